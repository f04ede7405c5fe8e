"""The ladder of states, with the present one lit, and what the engine knows besides its state."""

from __future__ import annotations

from typing import Final

from rich.console import Group
from rich.panel import Panel
from rich.text import Text

from gatewright.harness.demo.stage import Stage
from gatewright.spec.events import HeartbeatAcked, HeartbeatDue
from gatewright.spec.states import HEARTBEAT_STATES, State

GROUPS: Final = (
    ("start", (State.IDLE, State.REGISTERING, State.FETCHING_METADATA)),
    ("connect", (State.CONNECTING, State.AWAITING_HELLO)),
    ("handshake", (State.AWAITING_IDENTIFY_SLOT, State.IDENTIFIED, State.RESUMING)),
    ("live", (State.READY,)),
    ("trouble", (State.STALLED, State.DRAINING, State.BACKING_OFF)),
    ("away and over", (State.SUSPENDED, State.STOPPED, State.FAILED)),
)

_LIT: Final = {
    State.READY: "bold black on green",
    State.STALLED: "bold white on red",
    State.FAILED: "bold white on red",
    State.DRAINING: "bold black on yellow",
    State.BACKING_OFF: "bold black on yellow",
}
_LIT_ELSE: Final = "bold black on cyan"

_AFTERGLOW: Final = 0.8
"""Seconds for which a state that was left still glows: some last no longer than a message takes."""

_NAME: Final = max(len(state) for state in State)
_INNER: Final = _NAME + 4
WIDTH: Final = _INNER + 4
"""Of the panel, its border included."""


def ladder(stage: Stage, now: float, *, tall: bool) -> Panel:
    """All states; when there is room, with a heading for each group and the facts below."""
    shard = stage.engine.shard
    left_at = {record.state: record.time for record in stage.engine.records if record.moved}
    lines: list[Text] = []
    for name, states in GROUPS:
        if tall:
            lines.append(Text(name, style="dim italic"))
        lines += [_rung(state, lit=state is shard.state, left=left_at.get(state), now=now) for state in states]
    if tall:
        lines += [Text(), *facts(stage, now, width=_INNER)]
    return Panel(Group(*lines), title="engine", title_align="left", border_style="dim")


def _rung(state: State, *, lit: bool, left: float | None, now: float) -> Text:
    """One state: lit, in its afterglow, visited, or never seen."""
    if lit:
        return Text(f"▶ {state:<{_NAME}}  ", style=_LIT.get(state, _LIT_ELSE), no_wrap=True)
    if left is None:
        return Text(f"  {state}", style="dim", no_wrap=True)
    return Text(f"• {state}", style="bold cyan" if now - left < _AFTERGLOW else "", no_wrap=True)


def facts(stage: Stage, now: float, *, width: int | None = None) -> list[Text]:
    """Age, generation, attempt, session, heartbeat: one a line within `width`, or all in two lines."""
    found = _facts(stage, now)
    if width is not None:
        return [
            Text.assemble((f"{name:<11}", "dim"), value, no_wrap=True, overflow="ellipsis") for name, value in found
        ]
    half = (len(found) + 1) // 2
    return [
        Text.assemble(
            *(piece for name, value in part for piece in ((f" {name} ", "dim"), f"{value} ")),
            no_wrap=True,
            overflow="ellipsis",
        )
        for part in (found[:half], found[half:])
    ]


def _facts(stage: Stage, now: float) -> list[tuple[str, str]]:
    shot = stage.engine.shard.snapshot()
    session = "none" if shot.session_id is None else f"{shot.session_id[:6]}…  seq {shot.received}"
    left = "" if shot.deadline_in is None else f" of {shot.age + shot.deadline_in:.0f} s"
    return [
        ("in it for", f"{shot.age:.1f} s{left}"),
        ("generation", str(shot.gen)),
        ("attempt", str(shot.attempts)),
        ("session", session),
        ("heartbeat", _heartbeat(stage, now)),
    ]


def _heartbeat(stage: Stage, now: float) -> str:
    if stage.engine.shard.state not in HEARTBEAT_STATES:
        return "none"
    for record in reversed(stage.engine.records):
        if record.event == HeartbeatAcked.name:
            return f"ACK {now - record.time:.1f} s ago"
        if record.event == HeartbeatDue.name and not record.moved:
            return f"no ACK, {now - record.time:.1f} s"
        if record.moved and record.to is State.AWAITING_HELLO:
            break
    return "none yet"
