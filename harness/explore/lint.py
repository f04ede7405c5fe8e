"""L0 for any machine: what can be said of a table without exploring it, with the row's id and what to do."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, cast

from gatewright.harness.explore.environment import Environment
from gatewright.harness.explore.properties import Property
from gatewright.harness.explore.reading import misread, nameless
from gatewright.harness.explore.table import AnyRow, Table, constants, rewriting
from gatewright.harness.explore.terms import Term, constant, fold, is_true, names_in, source, term
from gatewright.spec.errors import TableError

_MOST: Final = 20_000
"""Valuations that are tried for a pair of rows; the explorer sees the overlaps of larger ones, where they happen."""


def findings(table: Table, environment: Environment) -> Iterator[str]:
    """What is wrong, one sentence each; what the table's own lint says is part of it."""
    if found := list(nameless(table, environment)):
        yield from found
        return
    yield from table.findings(table.rows)
    sound: list[AnyRow] = []
    seen: set[str] = set()
    for row in table.rows:
        faults = list(_row(table, environment, row))
        if row.id in seen:
            faults.append(f"{row.id}: two rows have this id; ids are what reports and journals call a row")
        seen.add(row.id)
        yield from faults
        if not faults:
            sound.append(row)
    cells: dict[tuple[Any, type[Any]], list[AnyRow]] = {}
    for row in sound:
        cells.setdefault((row.source, row.event), []).append(row)
    for cell in cells.values():
        for one, other in itertools.combinations(cell, 2):
            try:
                yield from _overlap(table, environment, one, other)
            except TableError as error:
                yield f"{one.id}, or {other.id}: its guard cannot be asked: {error}"
    answered = {row.event for row in table.rows}
    for action in environment.actions:
        if action.event is not None and action.event not in answered:
            yield (
                f"action {action.name!r} feeds {action.event.name}, and no row of the table is on it; write one, or "
                "take the action away"
            )


def gaps(table: Table, environment: Environment, properties: Iterable[Property]) -> Iterator[str]:
    """What the environment does not say of the table, which would otherwise be silently left out of an exploration."""
    properties = tuple(properties)
    if found := list(nameless(table, environment)):
        yield from found
        return
    fed = {action.event for action in environment.actions}
    for event in sorted({row.event for row in table.rows}, key=lambda event: str(event.name)):
        if event not in fed and event not in environment.unheard:
            yield (
                f"event {event.name}: no action of environment {environment.name!r} feeds it; write one, or name it in "
                "`unheard`, with the reason"
            )
    for effect in sorted({str(effect.name) for row in table.rows for effect in row.effects}):
        if effect not in environment.reactions:
            yield f"effect {effect}: environment {environment.name!r} has no reaction to it; {{}} says: none"
    for name in sorted({variable.name for variable in environment.variables} & table.dropped.keys()):
        yield f"{name}: the environment has a variable that is called like a field that {table.name} drops; rename it"
    machine = {variable.name for variable in table.variables}
    names = machine | {variable.name for variable in environment.variables}
    for action in environment.actions:
        for name in action.updates.keys() - names:
            yield f"action {action.name!r}: {name!r} is no variable"
        for name in action.updates.keys() & machine:
            yield f"action {action.name!r}: {name!r} belongs to the machine; only rows write it"
    for effect, updates in environment.reactions.items():
        for name in updates.keys() - names:
            yield f"reaction to {effect}: {name!r} is no variable"
    yield from misread(table, environment, properties)
    yield from of_one_name(properties)
    actions = {action.name for action in environment.actions}
    for action in environment.actions:
        if action.unlike and action.unlike not in actions - {action.name}:
            yield f"action {action.name!r}: there is no other action {action.unlike!r} that it could be unlike"
    states, variables = {*table.states}, (*table.variables, *environment.variables)
    for where, named in (
        ("`timed`", table.timed),
        ("`forgets`", table.forgets),
        ("`absorbing`", table.absorbing),
        *((f"variable {each.name!r}, `within`", each.within or ()) for each in variables),
    ):
        for state in named:
            if state not in states:
                yield f"{where}: {state!r} is no state of {table.name}"


def of_one_name(properties: Iterable[Property]) -> Iterator[str]:
    """Properties that no report could tell apart."""
    names = [item.name for item in properties]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield f"two properties are called {name!r}; reports tell them apart by it"


def _row(table: Table, environment: Environment, row: AnyRow) -> Iterator[str]:
    states = ", ".join(str(state.value) for state in table.states)
    for which, state in (("source", cast("object", row.source)), ("target", cast("object", row.target))):
        if state not in table.states and not (which == "target" and state is None):
            yield f"{row.id}: unknown state {state!r} as its {which}; the states are {states}"
    try:
        for name in sorted(names_in(row.guard)) if row.guard is not None else ():
            if name not in table.guards:
                yield f"{row.id}: unknown guard {name!r}; define it in the table's `guards`"
            else:
                term(table.guards[name])
    except TableError as error:
        yield f"{row.id}: its guard is {error}"
    for name in row.updates:
        if name not in table.updates:
            yield f"{row.id}: unknown update {name!r}; define it in the table's `updates`"
        elif not all(isinstance(each, tuple) and len(each) == 2 for each in table.updates[name]):
            yield f"{row.id}: update {name!r} must be pairs of a field and an expression, such as (('count', '0'),)"
    for effect in row.effects:
        if str(effect.name) not in environment.reactions:
            yield f"{row.id}: environment {environment.name!r} has no reaction to {effect.name}; {{}} says: none"


def _guard(table: Table, row: AnyRow) -> Term:
    if row.guard is None:
        return constant(True)
    rewrite = rewriting(table)
    return fold(term(row.guard), {name: rewrite(table.guards[name]) for name in names_in(row.guard)})


def _overlap(table: Table, environment: Environment, one: AnyRow, other: AnyRow) -> Iterator[str]:
    """A valuation in which both are taken."""
    variables = {variable.name: variable for variable in (*table.variables, *environment.variables)}
    known = constants(table, environment.enumerations)
    guards = [fold(_guard(table, row), known | {"state": constant(one.source)}) for row in (one, other)]
    reads = set[str]().union(*(names_in(source(guard)) for guard in guards))
    domains: dict[str, Sequence[object]] = {}
    for name in sorted(reads):
        if name in variables:
            domains[name] = range(variables[name].most + 1)
        elif name.startswith("event."):
            domains[name] = _payloads(environment, one.event, name.removeprefix("event."))
    if len(domains) != len(reads) or math.prod(map(len, domains.values())) > _MOST:
        return  # what has no meaning is refused by the explorer, with what to do
    for values in itertools.product(*domains.values()):
        valuation = {name: constant(value) for name, value in zip(domains, values, strict=True)}
        if all(is_true(fold(guard, valuation)) for guard in guards):
            when = ", ".join(f"{name}={value}" for name, value in zip(domains, values, strict=True)) or "always"
            yield f"{one.id}: overlaps {other.id} ({when}); make the guards of a cell exclude each other"
            return


def _payloads(environment: Environment, event: type[Any], name: str) -> tuple[object, ...]:
    found: dict[object, None] = {}
    for action in environment.actions:
        if action.event is event and name in action.payload:
            value = action.payload[name]
            found |= dict.fromkeys(cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,))
    return tuple(found)
