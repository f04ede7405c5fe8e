"""A way through the exploration, gone again on any table: a counterexample that is kept as a test.

    retrace(table(), ENVIRONMENT, ["wrong code", ("right code", {"right": "True"}), "time is up"])

Each action is done in turn if the environment allows it there, and passed over if not: whatever the table makes of it,
all that happens can happen, so what breaks is broken.
"""

from __future__ import annotations

import json
import keyword
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import Final, cast

import attrs

from gatewright.harness.explore.counterexample import Counterexample, Moment
from gatewright.harness.explore.environment import Action, Environment, count
from gatewright.harness.explore.product import Product, single
from gatewright.harness.explore.properties import Property, Shape
from gatewright.harness.explore.search import Bounds, explore
from gatewright.harness.explore.table import Table
from gatewright.spec.errors import TableError

Told = str | tuple[str, Mapping[str, str]]
"""The name of an action, with its payload in words where it has one."""

_TOLD: Final = "told_so_far"
_AS_SAID: Final[Mapping[str, int]] = MappingProxyType({})


def retrace(
    table: Table | Product,
    environment: Environment,
    story: Sequence[Told],
    values: Mapping[str, int] = _AS_SAID,
    *,
    what_follows: bool = False,
) -> None:
    """Goes through a story, with every property that the environment brings of states and steps judged on the way.

    Args:
        table: the machine.
        environment: what surrounds it.
        story: actions, in order; those that are not possible when their turn comes are passed over.
        values: first values of variables, as for :class:`~gatewright.harness.explore.Bounds`.
        what_follows: whether all that can follow upon the story is explored as well, and with it what must come to pass
            (`eventually`). What must sometimes be seen is not asked of one story.

    Raises:
        AssertionError: with the way to what is broken.
        TableError: a product was given, or the environment has no such action or payload; see
            :func:`~gatewright.harness.explore.explore` too.
    """
    machine = single(table, "a story")
    end = len(story)
    actions = [action for number, told in enumerate(story) for action in _turn(environment, number, told)]
    actions += [
        attrs.evolve(action, guard=f"({action.guard}) and {_TOLD} == {end}" if what_follows else "False", unlike="")
        for action in environment.actions
    ]
    told = attrs.evolve(
        environment,
        name=f"a story of {environment.name}",
        variables=(*environment.variables, count(_TOLD, max(end, 1))),
        actions=tuple(actions),
        properties=tuple(_judged(environment.properties, end, what_follows=what_follows)),
    )
    explore(machine, told, Bounds(values=values), coverage=False).assert_ok()


def _judged(properties: Iterable[Property], end: int, *, what_follows: bool) -> Iterator[Property]:
    for item in properties:
        if item.shape in {Shape.ALWAYS, Shape.EDGE}:
            yield item
        elif item.shape is Shape.EVENTUALLY and what_follows:
            yield attrs.evolve(item, expression=f"({item.expression}) or {_TOLD} < {end}")


def _turn(environment: Environment, number: int, told: Told) -> Iterator[Action]:
    """The action in its turn, and its being passed over."""
    nothing: Mapping[str, str] = {}
    name, said = (told, nothing) if isinstance(told, str) else told
    action = next((action for action in environment.actions if action.name == name), None)
    if action is None:
        known = ", ".join(action.name for action in environment.actions)
        raise TableError(f"environment {environment.name!r} has no action {name!r}; there are {known}")
    for key in said.keys() - action.payload.keys():
        raise TableError(f"action {name!r} has no payload {key!r}")
    payload = {key: _option(action, key, value, said.get(key)) for key, value in action.payload.items()}
    turn = f"{_TOLD} == {number}"
    yield attrs.evolve(
        action,
        name=f"{name} ({number + 1})",
        guard=f"({action.guard}) and {turn}",
        payload=payload,
        updates={**action.updates, _TOLD: str(number + 1)},
        unlike="",
    )
    reads = {f"event.{key}": value for key, value in payload.items()}
    blocked = _in_place(action.guard, reads)
    yield Action(
        name=f"{name} ({number + 1}) is not possible",
        guard=f"not ({blocked}) and {turn}",
        updates={_TOLD: str(number + 1)},
    )


def _option(action: Action, key: str, value: object, said: str | None) -> object:
    options = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
    if said is None:
        return options[0]
    for option in options:
        if _word(option) == said:
            return option
    known = ", ".join(_word(option) for option in options)
    raise TableError(f"action {action.name!r} has no payload {key}={said!r}; there are {known}")


def _word(value: object) -> str:
    """As :class:`~gatewright.harness.explore.counterexample.Moment` has it."""
    return str(getattr(value, "value", value))


def _in_place(guard: str, reads: Mapping[str, object]) -> str:
    """A guard whose action feeds nothing, with what it reads of the payload put in."""
    for name, value in reads.items():
        text = f"{type(value).__name__}.{value.name}" if isinstance(value, Enum) else repr(value)
        guard = re.sub(rf"\b{re.escape(name)}\b", text, guard)
    return guard


# -- to paste ----------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Source:
    """How a pasted test comes by a machine: lines of import, and the expressions for the table and the environment."""

    imports: tuple[str, ...]
    table: str
    environment: str


def story_of(counterexample: Counterexample) -> list[Told]:
    """Its actions, with their payloads in words; of what repeats for ever, the first round."""
    steps = [step for step in (*counterexample.steps, *counterexample.cycle) if step.action]
    return [(step.action, dict(step.payload)) if step.payload else step.action for step in steps]


def first_values(counterexample: Counterexample, table: Table, environment: Environment) -> dict[str, int]:
    """The first values that the table and the environment leave open, or that a bound has set."""
    if not counterexample.steps:
        return {}
    numbers = dict(counterexample.steps[0].numbers)
    variables = (*table.variables, *environment.variables)
    return {each.name: numbers[each.name] for each in variables if each.initial != (numbers[each.name],)}


def as_pytest(
    counterexample: Counterexample,
    table: Table,
    environment: Environment,
    source: Source,
    *,
    name: str | None = None,
) -> str:
    """The counterexample as a test to paste: it fails until the table is right, and stays as its test."""
    used = "retrace" if counterexample.steps else "explore"
    test = name or _identifier(counterexample.property)
    lines = [f"from gatewright.harness.explore import {used}", "", *source.imports, "", "", f"def test_{test}():"]
    lines.append(f'    """{summary(counterexample)}"""')
    if counterexample.steps:
        lines += said(counterexample, table, environment)
        lines.append(
            f"    retrace({source.table}, {source.environment}, {told_to(counterexample, table, environment)})"
        )
    else:  # it is never seen, and one story says nothing of that
        lines.append(f"    explore({source.table}, {source.environment}).assert_ok()")
    return "\n".join([*lines, ""])


def said(counterexample: Counterexample, table: Table, environment: Environment) -> list[str]:
    """The lines of a test that say the story, and the first values if there are any to be said."""
    lines = ["    story = [", *(f"        {_text(told)}," for told in story_of(counterexample)), "    ]"]
    values = first_values(counterexample, table, environment)
    return [*lines, f"    values = {_mapping(values)}"] if values else lines


def told_to(counterexample: Counterexample, table: Table, environment: Environment) -> str:
    """What `retrace` is given behind the environment; of what must come to pass, a story is only the beginning."""
    lasting = {item.name for item in environment.properties if item.shape is Shape.EVENTUALLY}
    values = ", values" if first_values(counterexample, table, environment) else ""
    return f"story{values}{', what_follows=True' if counterexample.property in lasting else ''}"


def summary(counterexample: Counterexample) -> str:
    """What is broken and the states on the way there, as one line of a docstring."""
    states = " → ".join(dict.fromkeys(step.state for step in counterexample.steps))
    text = f"{counterexample.property} ({counterexample.detail}). {states}".replace("\\", "/").replace('"', "'")
    return textwrap.shorten(text, 110, placeholder=" …")


def _text(told: Told) -> str:
    return json.dumps(told) if isinstance(told, str) else f"({json.dumps(told[0])}, {_mapping(told[1])})"


def _mapping(values: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in values.items()) + "}"


def as_example(counterexample: Counterexample, table: Table, environment: Environment) -> str:
    """The counterexample as a Hypothesis ``@example`` of a test whose `story` and `values` go to :func:`retrace`."""
    lines = ["@example(", "    story=[", *(f"        {_text(told)}," for told in story_of(counterexample)), "    ],"]
    return "\n".join([*lines, f"    values={_mapping(first_values(counterexample, table, environment))},", ")", ""])


def as_journal(counterexample: Counterexample) -> str:
    """The steps that rows took, as a journal: JSON, one object a line."""
    return "".join(json.dumps(line) + "\n" for line in map(_record, counterexample.steps) if line["row"])


def _record(step: Moment) -> dict[str, object]:
    return {
        "state": step.source,
        "to": step.state,
        "event": step.event,
        "detail": ", ".join(f"{name}={value}" for name, value in step.payload),
        "row": step.row,
        "effects": list(step.effects),
    }


def _identifier(text: str) -> str:
    found = re.sub(r"\W+", "_", text.lower()).strip("_") or "counterexample"
    return f"{found}_" if keyword.iskeyword(found) else found
