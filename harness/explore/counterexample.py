"""A shortest way to what must not be, for people: as text, as a sequence diagram, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from gatewright.harness.explore.steps import Label


@attrs.frozen(kw_only=True)
class Moment:
    """One step of a counterexample."""

    action: str
    lane: str
    event: str
    payload: tuple[tuple[str, str], ...]
    told: str
    row: str
    row_target: str
    effects: tuple[str, ...]
    source: str
    state: str
    changes: tuple[tuple[str, str], ...]
    numbers: tuple[tuple[str, int], ...]
    """Every variable after the step, as it is kept."""
    broken: bool = False
    machine: str = ""
    """Which one of a product moves; empty for a table by itself, and where the environment moves alone."""

    @classmethod
    def of(
        cls,
        label: Label | None,
        source: str,
        state: str,
        changes: tuple[tuple[str, str], ...],
        numbers: tuple[tuple[str, int], ...],
    ) -> Moment:
        """The step of a label; without one, the beginning."""
        if label is None:
            return cls(
                action="", lane="", event="", payload=(), told="", row="", row_target="", effects=(), source=source,
                state=state, changes=(), numbers=numbers,
            )  # fmt: skip
        row, action = label.row, label.action
        return cls(
            action=action.name,
            lane=action.lane,
            event="" if action.event is None else str(action.event.name),
            payload=tuple((name, str(getattr(value, "value", value))) for name, value in label.payload.items()),
            told=action.told,
            row="" if row is None else row.id,
            row_target="" if row is None or row.target is None else str(row.target.value),
            effects=() if row is None else tuple(str(effect.name) for effect in row.effects),
            source=source,
            state=state,
            changes=changes,
            numbers=numbers,
            machine=label.machine,
        )

    def as_dict(self) -> dict[str, Any]:
        """The step as JSON has it."""
        left_out = {"numbers", "told", "row_target", *(() if self.machine else ("machine",))}
        return attrs.asdict(self, filter=lambda attribute, _: attribute.name not in left_out)

    @property
    def line(self) -> str:
        """The step on one line."""
        what = f" = {self.event}" if self.event else ""
        row = f"   row {self.row}" if self.row else ""
        said = f" [{', '.join(self.effects)}]" if self.effects else ""
        moved = f"{self.source} → {self.state}" if self.source != self.state else self.state
        moved = f"   {self.machine}: {moved}" if self.machine else f"   {moved}" if moved else ""
        changes = "".join(f" {name}={value}" for name, value in self.changes)
        return f"{self.action}{what}{moved}{row}{said}{'   ' + changes.strip() if changes else ''}"


@attrs.frozen
class Counterexample:
    """What does not hold, and the shortest way there; `cycle` is what then repeats for ever, if that is the trouble.

    `machines` are those of a product; there are none for a table by itself.
    """

    property: str
    detail: str
    steps: tuple[Moment, ...]
    cycle: tuple[Moment, ...] = ()
    machines: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The steps, one a line."""
        lines = [f"{self.property}  ({self.detail})"]
        lines += [f"{number:3d}  {step.line}" for number, step in enumerate(self.steps) if step.action]
        if len(self.steps) == 1:
            lines.append(f"     at the beginning, in {self.steps[0].state}")
        if self.cycle:
            lines += ["     and then again and again:", *(f"     {step.line}" for step in self.cycle)]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """The counterexample as JSON has it."""
        return {
            "property": self.property,
            "detail": self.detail,
            "steps": [step.as_dict() for step in self.steps if step.action],
            "cycle": [step.as_dict() for step in self.cycle],
        }
