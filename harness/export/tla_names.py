"""What everything is called in a module of TLA+, and how its expressions are written over a state."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from gatewright.harness.explore.terms import Term, code_of, constant, term
from gatewright.harness.export.plan import Plan
from gatewright.harness.export.tla_language import IDENTIFIER, RESERVED, TLA, TlaWriter, Words, bare
from gatewright.harness.export.writing import Said
from gatewright.spec.errors import TableError


class Names:
    """The names of one module, each given once."""

    def __init__(self, plan: Plan) -> None:
        words = Words()
        self._plan = plan
        self.variables = {name: words.new(name) for name in ("state", *plan.variables)}
        self._enumerations = (type(plan.table.initial), *plan.table.enumerations, *plan.environment.enumerations)
        self._constants: dict[str, tuple[str, int]] = {}
        for enumeration in self._enumerations:
            for member in enumeration:
                about = f"{enumeration.__name__}.{member.name}"
                self._constants[about] = (words.new(about), code_of(member))
        for setting, value in plan.table.settings.items():
            if isinstance(value, int):
                self._constants[f"settings.{setting}"] = (words.new(f"settings_{setting}"), int(value))
        self.rows = {plan.number: words.new(f"row_{plan.number}") for plan in plan.rows}
        self.events = {event: words.title(f"on {event.name}") for event in plan.events}
        self.actions = {action.name: words.title(action.name) for action in plan.environment.actions}
        self.properties = {
            item.name: words.new(f"{item.id}_{number}") for number, item in enumerate(plan.properties, 1)
        }
        self.new = words.title

    @property
    def definitions(self) -> Iterable[str]:
        """The constants."""
        return (f"{word} == {value}" for word, value in self._constants.values())

    def constant(self, text: str) -> Said | None:
        """A setting or a member of an enumeration, by its dotted name."""
        found = self._constants.get(text)
        return None if found is None else Said(found[0], value=found[1], two=found[1] in {0, 1})

    def variable(self, name: str, record: str = "") -> Said | None:
        """A variable, or the field of that name of a record."""
        if name not in self.variables:
            return None
        found = self._plan.variables.get(name)
        text = self.variables[name]
        return Said(f"{record}.{text}" if record else text, two=found is not None and found.most == 1)

    def payload(self, name: str) -> str:
        """The field of a payload.

        Raises:
            TableError: for what cannot be one.
        """
        if IDENTIFIER.fullmatch(name) is None or name in RESERVED:
            raise TableError(f"the payload {name!r} cannot be a field in TLA+; call it otherwise")
        return name

    def value(self, value: object) -> str:
        """What a payload holds."""
        if isinstance(value, self._enumerations):
            return self.state(value)
        found = constant(value).value
        if not isinstance(found, int):
            raise TableError(f"the payload {value!r} is no number, no truth and no member of an enumeration")
        return str(found)

    def state(self, member: Enum) -> str:
        """A member of an enumeration."""
        return self._constants[f"{type(member).__name__}.{member.name}"][0]

    def over(self, record: str = "") -> TlaWriter:
        """Expressions of rows and actions, over the variables or a record, and the payload ``p``."""

        def name(text: str) -> Said | None:
            if text.startswith("event."):
                return Said(f"p.{self.payload(text[6:])}")
            return self.variable(text, record) or self.constant(text)

        return TlaWriter(TLA, name)

    def truth(self, expression: str | Term, record: str = "") -> str:
        """A condition over the variables or a record."""
        return bare(self.over(record).truth(term(expression) if isinstance(expression, str) else expression))


def members(texts: Iterable[object]) -> str:
    """A set of these."""
    return f"{{{', '.join(map(str, texts))}}}"
