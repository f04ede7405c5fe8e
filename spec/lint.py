"""L0: what must hold of the table before anything runs it. Each finding names the row and says what to do."""

from __future__ import annotations

import itertools
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, cast

import attrs

from gatewright.spec.context import Context
from gatewright.spec.domains import DOMAINS
from gatewright.spec.effects import EFFECTS, Effect
from gatewright.spec.errors import TableError
from gatewright.spec.events import COMMANDS, EVENTS, MESSAGES, OUTCOMES, DeadlinePassed, Event, HeartbeatDue
from gatewright.spec.expressions import FIELDS, compile_predicate, names_read, parse
from gatewright.spec.guards import GUARDS, expression_of, guard_names
from gatewright.spec.references import UnknownReference, resolve
from gatewright.spec.rows import Row, RowKind
from gatewright.spec.states import STATES, State, StateSpec
from gatewright.spec.updates import UPDATES

_MOST_VALUATIONS: Final = 50_000


def _cells(rows: Iterable[Row]) -> dict[tuple[State, type[Event]], list[Row]]:
    cells: dict[tuple[State, type[Event]], list[Row]] = {}
    for row in rows:
        cells.setdefault((row.source, row.event), []).append(row)
    return cells


def _rows_are_well_formed(rows: Iterable[Row]) -> Iterator[str]:
    seen: set[str] = set()
    for row in rows:
        if row.id in seen:
            yield f"{row.id}: two rows have this id; give one a variant"
        seen.add(row.id)
        if row.event not in EVENTS:
            yield f"{row.id}: {row.event.__name__} is not in the alphabet (gatewright.spec.events.EVENTS)"
        if row.kind is not RowKind.TAKE and row.target is not None:
            yield f"{row.id}: a row of kind {row.kind} may not move the shard; only rows of kind take do"
        if row.kind in {RowKind.IGNORE, RowKind.REFUSE} and row.updates:
            yield f"{row.id}: a row of kind {row.kind} changes nothing; leave the updates out"
        if row.kind is RowKind.REFUSE and (row.effects or row.event not in COMMANDS + OUTCOMES):
            yield f"{row.id}: only commands and outcomes are refused, and a refusal has no effects"
        if STATES[row.source].absorbing and row.target is not None:
            yield f"{row.id}: {row.source} is absorbing; nothing leaves it"
        if not row.why.endswith(".") or "\n" in row.why:
            yield f"{row.id}: `why` must be one line, a sentence that ends with a full stop"
        for name in row.updates:
            if name not in UPDATES:
                yield f"{row.id}: unknown update {name!r}; define it in gatewright.spec.updates"
        for effect in row.effects:
            if effect not in EFFECTS:
                yield f"{row.id}: {effect.__name__} is not in gatewright.spec.effects.EFFECTS"
        try:
            if not resolve(row.ref):
                yield f"{row.id}: a row cites at least one reference"
        except UnknownReference as error:
            yield f"{row.id}: {error}"


def _names_resolve(rows: Iterable[Row]) -> Iterator[str]:
    expressions = {f"guard {guard.name}": guard.expression for guard in GUARDS.values()}
    for state, spec in STATES.items():
        expressions |= {f"state {state} {which}": text for which, text in _timeouts(spec)}
    for update in UPDATES.values():
        for field, text in update.assigns:
            expressions[f"update {update.name}.{field}"] = text
            if field not in FIELDS or field in {"state", "now", "entered_at", "settings"}:
                yield f"update {update.name}: {field!r} is not a field that an update may write"
    for effect in EFFECTS:
        for field in attrs.fields(effect):
            expressions[f"effect {effect.__name__}.{field.name}"] = str(field.metadata.get("expression", ""))
    for where, text in expressions.items():
        try:
            parse(text)
        except TableError as error:
            yield f"{where}: {error}"
    used = {name for row in rows if row.guard is not None for name in guard_names(row.guard)}
    for name in sorted(used - GUARDS.keys()):
        yield f"unknown guard {name!r}; define it in gatewright.spec.guards"
    for name in sorted(GUARDS.keys() - used):
        yield f"guard {name!r} is used by no row; remove it"
    for name in sorted(UPDATES.keys() - {name for row in rows for name in row.updates}):
        yield f"update {name!r} is used by no row; remove it"
    for effect in EFFECTS:
        if not any(effect in row.effects for row in rows):
            yield f"effect {effect.__name__} is used by no row; remove it"


def _reads(text: str) -> frozenset[str]:
    try:
        return names_read(text)
    except TableError:  # said elsewhere, once
        return frozenset()


def _payloads_exist(rows: Iterable[Row]) -> Iterator[str]:
    """What a row reads of its event must be a field of that event."""
    for row in rows:
        texts = [GUARDS[name].expression for name in guard_names(row.guard or "None") if name in GUARDS]
        texts += [text for name in row.updates if name in UPDATES for _, text in UPDATES[name].assigns]
        texts += [str(field.metadata.get("expression")) for effect in row.effects for field in attrs.fields(effect)]
        fields = {f"event.{field.name}" for field in attrs.fields(row.event)}
        read = {name for text in texts for name in _reads(text) if name.startswith("event.")}
        for name in sorted(read - fields):
            yield f"{row.id}: reads {name}, which {row.event.__name__} does not have"


def _timeouts(spec: StateSpec) -> Iterator[tuple[str, str]]:
    if spec.deadline is not None:
        yield "deadline", spec.deadline
    if spec.cap is not None:
        yield "cap", spec.cap


def _guards_partition(rows: Iterable[Row]) -> Iterator[str]:
    verdicts: dict[tuple[str | None, ...], str | None] = {}
    for (state, event), cell in _cells(rows).items():
        guards = tuple(row.guard for row in cell)
        if guards not in verdicts:
            verdicts[guards] = _partition_fault(guards)
        fault = verdicts[guards]
        if fault is not None:
            yield f"{state}.{event.name}: {fault} (rows: {', '.join(row.id for row in cell)})"


def _partition_fault(guards: tuple[str | None, ...]) -> str | None:
    if guards == (None,):
        return None
    if None in guards:
        return "a row without a guard stands beside others; say when it is taken"
    try:
        expressions = [expression_of(guard) for guard in guards]
    except TableError as error:
        return str(error)
    names = sorted({name for text in expressions for name in names_read(text)})
    missing = [name for name in names if name not in DOMAINS]
    if missing:
        return f"no domain for {', '.join(missing)}; add one to gatewright.spec.domains"
    size = 1
    for name in names:
        size *= len(DOMAINS[name])
    if size > _MOST_VALUATIONS:
        return f"{size} valuations are too many to check; use fewer fields in the guards of one cell"
    predicates = [compile_predicate(text) for text in expressions]
    taken = [False] * len(guards)
    context, event = types.SimpleNamespace(), types.SimpleNamespace()
    as_context, as_event = cast("Context", context), cast("Event", event)
    for values in itertools.product(*(DOMAINS[name] for name in names)):
        for name, value in zip(names, values, strict=True):
            setattr(event if name.startswith("event.") else context, name.removeprefix("event."), value)
        true = [index for index, predicate in enumerate(predicates) if predicate(as_context, as_event)]
        if len(true) != 1:
            which = "no row is taken" if not true else "rows overlap: " + " and ".join(str(guards[i]) for i in true)
            return f"{which} when {dict(zip(names, values, strict=True))}"
        taken[true[0]] = True
    shadowed = [guard for guard, hit in zip(guards, taken, strict=True) if not hit]
    return f"never taken: {', '.join(map(str, shadowed))}; remove the row or widen the domain" if shadowed else None


def _states_are_covered(rows: Iterable[Row], states: Mapping[State, StateSpec]) -> Iterator[str]:
    cells = _cells(rows)
    for state, spec in states.items():
        has_row = (state, DeadlinePassed) in cells
        if spec.deadline is not None and not has_row:
            yield f"{state}: has a deadline and no row for it; say where it leads"
        if spec.deadline is None and has_row:
            yield f"{state}: has a row for a deadline that it does not have"
        if spec.deadline is None and not (spec.absorbing or state in {State.IDLE, State.READY, State.SUSPENDED}):
            yield f"{state}: is not steady and needs a deadline"
        if spec.heartbeats != ((state, HeartbeatDue) in cells):
            yield f"{state}: the heartbeat timer and its row must come together"
        for event in (*COMMANDS, *MESSAGES):
            if (state, event) not in cells:
                yield f"{state}.{event.name}: a command or message needs a row, if only one that refuses or counts it"
    reachable, frontier = {State.IDLE}, [State.IDLE]
    while frontier:
        source = frontier.pop()
        for row in rows:
            if row.source is source and row.target is not None and row.target not in reachable:
                reachable.add(row.target)
                frontier.append(row.target)
    for state in states:
        if state not in reachable:
            yield f"{state}: no row leads there"


def _effects_are_answered(rows: Iterable[Row], effects: Iterable[type[Effect]]) -> Iterator[str]:
    cells = _cells(rows)
    for effect in effects:
        if bool(effect.answers) != bool(effect.covered_by):
            yield f"effect {effect.__name__}: name both its answers and the states whose deadline covers silence"
        for state in effect.covered_by:
            spec = STATES[state]
            if spec.deadline is None and not spec.heartbeats:
                yield f"effect {effect.__name__}: {state} has no deadline that could cover it"
            for answer in effect.answers:
                if (state, answer) not in cells:
                    yield f"effect {effect.__name__}: its answer {answer.name} has no row in {state}"
    for row in rows:
        target = row.target or row.source
        for effect in row.effects:
            # Leaving an effect's covering state in the same step is fine only for effects that nothing waits for,
            # and for an abort, which the next OpenSocket waits for in the driver.
            covered = not effect.covered_by or target in effect.covered_by or effect.name in _COVERED_ELSEWHERE
            if not covered:
                yield f"{row.id}: {effect.__name__} is awaited in {', '.join(effect.covered_by)}, not in {target}"


_COVERED_ELSEWHERE: Final = {"abort_socket", "send_heartbeat"}


def findings(rows: Iterable[Row]) -> Iterator[str]:
    """Everything that is wrong with `rows`, as sentences that begin with the row, the cell or the state."""
    rows = tuple(rows)
    yield from _rows_are_well_formed(rows)
    yield from _names_resolve(rows)
    yield from _payloads_exist(rows)
    yield from _guards_partition(rows)
    yield from _states_are_covered(rows, STATES)
    yield from _effects_are_answered(rows, EFFECTS)


def check(rows: Iterable[Row]) -> None:
    """Refuses a table that contradicts itself.

    Raises:
        TableError: with every finding, one a line.
    """
    found = list(findings(rows))
    if found:
        raise TableError("the transition table does not hold together:\n  " + "\n  ".join(found))
