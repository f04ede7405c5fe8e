"""A way through the exploration, taken on the real core: concrete events, concrete times, and a test to paste.

The explored states are an abstraction. A way that was found in it is only believed when the core, fed with the events
that it stands for, goes the same way; :func:`replay` does that, and :func:`differences` compares every variable.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Final, cast

import attrs

from gatewright.fsm.compiled import CompiledTable
from gatewright.fsm.core import ShardCore
from gatewright.fsm.errors import IllegalTransition
from gatewright.fsm.machine import TableMachine
from gatewright.harness.explore.counterexample import Counterexample, Moment
from gatewright.harness.explore.gateway_environment import gateway_environment
from gatewright.harness.explore.gateway_table import SMALL, gateway_table
from gatewright.harness.explore.retracing import said, summary, told_to
from gatewright.harness.monitor import InvariantViolated, Monitor, monitored
from gatewright.harness.outside import RESUME_URL
from gatewright.spec import events
from gatewright.spec.context import Context
from gatewright.spec.errors import TableError
from gatewright.spec.events import Event
from gatewright.spec.expressions import compile_value
from gatewright.spec.rows import Row
from gatewright.spec.session import Session
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.spec.table import TABLE

_SESSION: Final = "Session(id='imported', resume_url={url!r}, seq=7)"


@functools.lru_cache(maxsize=4)
def _runtimes(rows: tuple[Row, ...]) -> tuple[TableMachine, CompiledTable]:
    return TableMachine(rows), CompiledTable(rows)


@attrs.frozen
class Fed:
    """One event that was fed: as Python text, when, and what became of it."""

    text: str
    now: float
    event: Event
    outcome: str
    """``""``, or how the core refused it."""


@attrs.frozen
class Replay:
    """A way, taken on the core."""

    settings: Settings
    session: Session | None
    fed: tuple[Fed, ...]
    core: ShardCore
    went_astray: str
    """Where the core went another way than the exploration; ``""`` when it did not."""

    @property
    def journal(self) -> str:
        """The steps as the core's journal has them: JSON, one record a line."""
        return "".join(f"{json.dumps(record.as_dict())}\n" for record in self.core.journal)


def context_of(core: ShardCore) -> Context:
    """The core's memory, to read."""
    return core._context


def beginning(values: Mapping[str, int]) -> tuple[Settings, Session | None]:
    """The settings and the session with which a way begins."""
    settings = attrs.evolve(
        SMALL, strict_startup=bool(values["strict"]), max_attempts=SMALL.max_attempts if values["capped"] else None
    )
    url = RESUME_URL if values["session"] == 2 else None
    return settings, Session(id="imported", resume_url=url, seq=7) if values["session"] else None


def _time(context: Context, step: Moment) -> float:
    """When the step happens, so that what time decides is decided as the step says."""
    payload = dict(step.payload)
    now = context.now
    if step.event == "deadline_passed":
        if payload.get("acks_fresh") == "False" and context.acked_at is not None and context.interval is not None:
            now = max(now, context.acked_at + 2 * context.interval + 1.0)
        if payload.get("time_left") == "False" and context.cap is not None:
            now = max(now, context.cap)
    return now


def told(context: Context, text: str, payload: Mapping[str, str]) -> str:
    """The event of an action as Python text, with the numbers that the core's memory gives it."""
    return text.format(
        gen=context.gen,
        old_gen=max(context.gen - 1, 1),
        request=context.request,
        old_request=context.request - 1,
        seq=(context.received or 0) + (payload.get("advances") == "True"),
        url=repr(RESUME_URL if payload.get("has_url") == "True" else None),
        resumable=payload.get("resumable"),
    )


def replay(steps: Sequence[Moment], *, rows: tuple[Row, ...] = TABLE) -> Replay:
    """Feeds a core on `rows` with what the steps stand for; the first step is the beginning."""
    settings, session = beginning({name: int(value) for name, value in steps[0].numbers})
    machine, compiled = _runtimes(rows)
    core = ShardCore(settings, session=session, machine=machine, compiled=compiled, journal_size=4096)
    fed: list[Fed] = []
    astray = ""
    for step in steps[1:]:
        if not step.told:
            continue
        context = context_of(core)
        now, text = _time(context, step), told(context, step.told, dict(step.payload))
        event = cast("Event", eval(text, {"events": events}))  # noqa: S307 - the environment's own text
        outcome = ""
        try:
            core.feed(event, now)
        except (IllegalTransition, TableError) as error:
            outcome = type(error).__name__
        fed.append(Fed(text, now, event, outcome))
        if core.state.value != step.state and not astray:
            astray = f"after {text} the core is in {core.state}, and the exploration in {step.state}"
    return Replay(settings, session, tuple(fed), core, astray)


@functools.cache
def _shown(state: State) -> tuple[tuple[str, Callable[[Context, Event], object]], ...]:
    return tuple(
        (variable.name, compile_value(variable.shown))
        for variable in gateway_table(settings=SMALL).variables
        if variable.within is None or state in variable.within
    )


def differences(core: ShardCore, numbers: Mapping[str, int]) -> dict[str, tuple[object, int]]:
    """Variables that the core has otherwise than the exploration; empty when both agree.

    Compared is all that means something in the core's state.
    """
    context = context_of(core)
    found: dict[str, tuple[object, int]] = {}
    for name, shown in _shown(context.state):
        value = shown(context, events.DeadlinePassed())
        code = list(type(value)).index(value) if isinstance(value, Enum) else int(cast("int", value))
        if code != numbers[name]:
            found[name] = (value, numbers[name])
    return found


# -- printing ----------------------------------------------------------------------------------------------------------


def _settings_text(settings: Settings) -> str:
    changed = [
        f"{field.name}={getattr(settings, field.name)!r}"
        for field in attrs.fields(Settings)
        if getattr(settings, field.name) != field.default
    ]
    return f"Settings({', '.join(changed)})"


def _session_text(session: Session | None) -> str:
    return "None" if session is None else _SESSION.format(url=session.resume_url)


def as_pytest(counterexample: Counterexample, *, rows: tuple[Row, ...] = TABLE, name: str = "counterexample") -> str:
    """The counterexample as a test to paste, which fails on `rows`, and passes on a table without the fault.

    It goes the way in the exploration, with the properties judged. Before that it feeds the monitored core, if the
    monitor notices the fault as well, and has nothing to say about the shipped table there.
    """
    replayed = replay(counterexample.steps, rows=rows)
    table, environment = gateway_table(rows, settings=SMALL), gateway_environment()
    noticed = _monitor_notices(replayed, rows) and (rows is TABLE or not _monitor_notices(replayed, TABLE))
    imports = [
        "from gatewright.harness.explore import retrace",
        "from gatewright.harness.explore.gateway_environment import gateway_environment",
        "from gatewright.harness.explore.gateway_table import SMALL, gateway_table",
    ]
    fed: list[str] = []
    if noticed:
        imports += [
            "from gatewright.harness.monitor import Monitor, monitored",
            "from gatewright.spec import events",
            "from gatewright.spec.session import Session",
            "from gatewright.spec.settings import Settings",
        ]
        fed = [
            f"    settings = {_settings_text(replayed.settings)}",
            f"    session = {_session_text(replayed.session)}",
            "    core = monitored(Monitor(settings, session=session), table=table)",
            *(f"    core.feed({fed.text}, {fed.now})" for fed in replayed.fed),
        ]
    lines = [
        *imports,
        "from gatewright.spec.table import TABLE",
        "",
        "",
        f"def test_{name}(table=TABLE):",
        f'    """{summary(counterexample)}"""',
        *fed,
        *said(counterexample, table, environment),
        "    machine = gateway_table(table, settings=SMALL)",
        f"    retrace(machine, gateway_environment(), {told_to(counterexample, table, environment)})",
        "",
    ]
    return "\n".join(lines)


def _monitor_notices(replayed: Replay, rows: tuple[Row, ...]) -> bool:
    core = monitored(Monitor(replayed.settings, session=replayed.session), table=rows)
    try:
        for fed in replayed.fed:
            core.feed(fed.event, fed.now)
    except (InvariantViolated, IllegalTransition, TableError):
        return True
    return False


def as_example(counterexample: Counterexample, *, rows: tuple[Row, ...] = TABLE) -> str:
    """The counterexample as a Hypothesis `@example` of the walks of :mod:`gatewright.harness.strategies`."""
    replayed = replay(counterexample.steps, rows=rows)
    moves = [
        f"        {'Order' if fed.event.kind is events.EventKind.COMMAND else 'Feed'}({fed.text}),\n"
        for fed in replayed.fed
    ]
    settings, session = _settings_text(replayed.settings), _session_text(replayed.session)
    return f"@example(\n    walk=Walk({settings}, session={session}),\n    moves=[\n{''.join(moves)}    ],\n)\n"
