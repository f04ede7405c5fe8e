"""What the expressions around a table may read.

A name that means nothing, or a comparison that holds of nothing, would make a property true of everything: it is
refused, with what was probably meant.
"""

from __future__ import annotations

import ast
import difflib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Final, cast

import attrs

from gatewright.harness.explore.environment import Environment
from gatewright.harness.explore.properties import Property, Shape
from gatewright.harness.explore.table import Table, constants
from gatewright.harness.explore.terms import STEP_FACTS, dotted, names_in, term
from gatewright.spec.errors import TableError
from gatewright.spec.rows import RowKind

_FUNCTIONS: Final = ("min", "max")
_OF_STEPS: Final = ("event", "kind", "moves", "effects", "updates", "row")


@attrs.frozen
class _Words:
    """What expressions of one kind may say.

    `names` are those that mean something, `texts` those that are texts, with the values that they can have (none named:
    any), `members` those that are a member of an enumeration, and `facts` what `does`, `assigned` and `updated` know.
    """

    names: frozenset[str]
    texts: Mapping[str, frozenset[str]]
    members: Mapping[str, type[Enum]]
    facts: Mapping[str, frozenset[str]]


def misread(table: Table, environment: Environment, properties: Iterable[Property]) -> Iterator[str]:
    """What is wrong with the expressions of the environment and of the properties, one sentence each."""
    words, of_steps, payloads = _vocabulary(table, environment)
    for where, text in ((table.name, table.beginning), (environment.name, environment.beginning)):
        yield from _expression(f"the beginning of {where}", text, words)
    for action in environment.actions:
        known = _with_payload(words, {name: payloads[name] for name in action.payload})
        yield from _expression(f"action {action.name!r}, its guard", action.guard, known)
        for name, text in action.updates.items():
            yield from _expression(f"action {action.name!r}, its update of {name}", text, known)
    answering = _with_payload(words, payloads)
    for effect, updates in environment.reactions.items():
        for name, text in updates.items():
            yield from _expression(f"reaction to {effect}, its update of {name}", text, answering)
    yield from _properties(properties, words, of_steps)


def misread_of_machines(
    table: Table,
    environment: Environment,
    properties: Iterable[Property],
    machines: Iterable[str],
    beginning: Iterable[str],
) -> Iterator[str]:
    """What is wrong with the properties and the beginnings of a product.

    Args:
        table: what its tables have, all together.
        environment: likewise of its environments, with the variables of all.
        properties: in names of the inside.
        machines: what `machine` can be in a property of steps, beside nobody.
        beginning: which first values are possible together, in names of the inside.
    """
    words, of_steps, _ = _vocabulary(table, environment)
    # Of a product as a whole there is no state; each of its machines has one.
    words, of_steps = (attrs.evolve(each, names=each.names - {"state", "before.state"}) for each in (words, of_steps))
    of_steps = attrs.evolve(
        of_steps, names=of_steps.names | {"machine"}, texts={**of_steps.texts, "machine": frozenset({*machines, ""})}
    )
    for text in beginning:
        yield from _expression(f"the beginning of {environment.name}", text, words)
    yield from _properties(properties, words, of_steps)


def _properties(properties: Iterable[Property], words: _Words, of_steps: _Words) -> Iterator[str]:
    for item in properties:
        yield from _expression(
            f"property {item.name!r}", item.expression, of_steps if item.shape is Shape.EDGE else words
        )


def _vocabulary(table: Table, environment: Environment) -> tuple[_Words, _Words, Mapping[str, frozenset[str]]]:
    """What may be said of states, what of steps, and the texts in the payloads of actions, by the name of each."""
    variables = (*table.variables, *environment.variables)
    members: dict[str, type[Enum]] = {variable.name: variable.members for variable in variables if variable.members}
    members["state"] = type(table.initial)
    known = frozenset(constants(table, environment.enumerations))
    words = _Words(known | {variable.name for variable in variables} | {"state"}, {}, members, {})
    payloads: dict[str, frozenset[str]] = {}
    for action in environment.actions:
        for name, value in action.payload.items():
            values = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
            said = frozenset(each for each in values if isinstance(each, str) and not isinstance(each, Enum))
            payloads[name] = payloads.get(name, frozenset()) | said
    events = {row.event for row in table.rows} | {*environment.unheard}
    events |= {action.event for action in environment.actions if action.event is not None}
    before = {f"before.{name}" for name in (*(variable.name for variable in variables), "state")}
    texts = {
        "event": frozenset(str(event.name) for event in events) | {""},
        "kind": frozenset(kind.value for kind in RowKind) | {""},
        "row": frozenset[str](),  # a weaker table may lack a row
    }
    of_steps = attrs.evolve(
        _with_payload(words, payloads, texts),
        members=members | {f"before.{name}": kind for name, kind in members.items()},
        facts={
            "does": frozenset(str(effect.name) for row in table.rows for effect in row.effects)
            | environment.reactions.keys(),
            "assigned": frozenset(field for assigns in table.updates.values() for field, _ in assigns)
            | {variable.name for variable in table.variables} | table.dropped.keys(),
            "updated": frozenset(table.updates),
        },
    )  # fmt: skip
    return words, attrs.evolve(of_steps, names=of_steps.names | before | {*_OF_STEPS}), payloads


def _with_payload(
    words: _Words, payloads: Mapping[str, frozenset[str]], texts: Mapping[str, frozenset[str]] | None = None
) -> _Words:
    told = {f"event.{name}": found for name, found in payloads.items()}
    return attrs.evolve(
        words,
        names=words.names | told.keys(),
        texts={**(texts or {}), **{name: found for name, found in told.items() if found}},
    )


def _expression(where: str, text: str, words: _Words) -> Iterator[str]:
    try:
        tree, names = term(text), names_in(text)
    except TableError as error:
        yield f"{where}: {error}"
        return
    for name in sorted(names - words.names):
        if name in _OF_STEPS or name.startswith("before."):
            yield f"{where}: {name!r} is of steps, and this is asked of states; write an edge"
        else:
            yield f"{where}: {name!r} is no variable{_meant(name, words.names)}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _call(where, node, words)
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for op, right in zip(node.ops, node.comparators, strict=True):
                if isinstance(op, (ast.In, ast.NotIn)) and not isinstance(right, ast.Tuple):
                    yield f"{where}: what follows `in` must be a tuple, such as ({ast.unparse(right)},)"
            for left, right in itertools.pairwise(sides):
                for one, other in _pairs(left, right):
                    yield from _comparison(where, one, other, words)
        elif isinstance(node, ast.BinOp) and (_is_text(node.left) or _is_text(node.right)):
            yield f"{where}: a text is no number in {ast.unparse(node)!r}"


def _pairs(left: ast.expr, right: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Either side with each of the other's, so that each is once the one that is looked at."""
    for each in right.elts if isinstance(right, ast.Tuple) else (right,):
        yield left, each
        yield each, left


def _comparison(where: str, read: ast.expr, other: ast.expr, words: _Words) -> Iterator[str]:
    name = dotted(read)
    said = dotted(other) or ""
    kind = words.members.get(name or "")
    if isinstance(other, ast.Constant) and isinstance(other.value, str):
        known = words.texts.get(name or "")
        if known is None:
            members = () if kind is None else tuple(each for each in kind if other.value in {each.value, each.name})
            instead = "".join(f"; write {kind.__name__}.{each.name}" for each in members[:1] if kind is not None)
            yield f"{where}: {ast.unparse(read)} is never the text {other.value!r}{instead}"
        elif known and other.value not in known:
            yield f"{where}: {name} is never {other.value!r}{_meant(other.value, known)}"
    elif kind is not None and said in words.names and "." in said and not said.startswith(("event.", "before.")):
        enumeration = said.partition(".")[0]
        if enumeration not in {kind.__name__, "settings"}:
            yield f"{where}: {name} is never {said}; it is one of {kind.__name__}"


def _call(where: str, node: ast.Call, words: _Words) -> Iterator[str]:
    function = dotted(node.func) or ast.unparse(node.func)
    if function in _FUNCTIONS:
        return
    if function not in STEP_FACTS:
        yield f"{where}: there is no function {function!r}{_meant(function, (*_FUNCTIONS, *words.facts))}"
        return
    if not words.facts:
        yield f"{where}: {function}() is of steps, and this is asked of states; write an edge"
        return
    match node.args:
        case [ast.Constant(str(said))]:
            if said not in words.facts[function]:
                what = {"does": "effect", "assigned": "field", "updated": "update"}[function]
                yield f"{where}: there is no {what} {said!r}{_meant(said, words.facts[function])}"
        case _:
            yield f"{where}: {function}() takes one name, as a text"


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _meant(said: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(said, sorted(known), n=1, cutoff=0.7)
    return f"; did you mean {near[0]!r}?" if near else ""


def nameless(table: Table, environment: Environment) -> Iterator[str]:
    """Events and effects that nobody can call by a name."""
    for row in table.rows:
        yield from (f"{row.id}: its event {said}" for said in _nameless(row.event))
        for effect in row.effects:
            yield from (f"{row.id}: its effect {said}" for said in _nameless(effect))
    for action in environment.actions:
        if action.event is not None:
            yield from (f"action {action.name!r}: its event {said}" for said in _nameless(action.event))


def _nameless(kind: type[Any]) -> Iterator[str]:
    if not isinstance(kind, type) or not isinstance(getattr(kind, "name", None), str):
        yield f"{kind!r} is no class with a `name`, by which reports and properties call it; declare one"
