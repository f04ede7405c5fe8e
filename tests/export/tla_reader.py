"""TLA+ read by the grammar of its own community (tree-sitter-tlaplus), and checked as TLC would, on small models.

It shares nothing with what wrote the module, so that a module which means something else than the table is seen. It
knows as much of TLA+ as a module of ours uses, and refuses everything else.
"""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs
import tree_sitter
import tree_sitter_tlaplus

from tests.export.tla_liveness import Temporal

State = Mapping[str, Any]
Values = tuple[Any, ...]
Relation = Callable[[Values], Iterator[dict[str, Any]]]
_INFIX = {
    "eq": "==", "neq": "!=", "lt": "<", "leq": "<=", "gt": ">", "geq": ">=", "plus": "+", "minus": "-", "mul": "*",
    "land": "and", "lor": "or", "in": "in", "cup": "|",
}  # fmt: skip


class Record(dict[str, Any]):
    """A record of TLA+; it does not change."""

    _hash: int | None = None

    def __hash__(self) -> int:  # type: ignore[override]  # a dict has none because it changes
        if self._hash is None:
            self._hash = hash(tuple(sorted((name, hash(value)) for name, value in self.items())))
        return self._hash

    def but(self, **fields: Any) -> Record:
        assert fields.keys() <= self.keys(), fields.keys() - self.keys()
        return Record({**self, **fields})


def records(**fields: Iterable[Any]) -> Iterator[Record]:
    for values in itertools.product(*fields.values()):
        yield Record(zip(fields, values, strict=True))


@attrs.frozen
class Definition:
    parameters: tuple[str, ...]
    body: tree_sitter.Node


@attrs.frozen
class Found:
    """How many states there are, and the first invariant or property that is broken."""

    states: int
    broken: str = ""


def parse(text: str) -> tree_sitter.Node:
    """The module's tree.

    Raises:
        SyntaxError: where it is no TLA+.
    """
    with warnings.catch_warnings(category=DeprecationWarning, action="ignore"):
        # The grammar gives an address, which newer grammars wrap.
        language = tree_sitter.Language(tree_sitter_tlaplus.language())  # pyright: ignore[reportDeprecated]
    root = tree_sitter.Parser(language).parse(text.encode()).root_node
    if root.has_error:
        raise SyntaxError(f"no TLA+, somewhere after line {_first_error(root)}")
    return root


def _first_error(node: tree_sitter.Node) -> int:
    for child in node.children:
        if child.has_error:
            return _first_error(child)
    return node.start_point[0] + 1


def text_of(node: tree_sitter.Node) -> str:
    assert node.text is not None
    return node.text.decode()


def nodes_in(node: tree_sitter.Node) -> list[tree_sitter.Node]:
    return [child for child in node.named_children if child.type != "comment"]


class Module:
    """A module with its definitions compiled."""

    def __init__(self, text: str) -> None:
        (module,) = (node for node in parse(text).children if node.type == "module")
        self.variables: tuple[str, ...] = ()
        self.definitions: dict[str, Definition] = {}
        self._now: State = {}
        self._next: State = {}
        self._names: dict[str, Any] = {"Record": Record, "records": records, "chain": itertools.chain, "module": self}
        for node in nodes_in(module):
            if node.type == "variable_declaration":
                self.variables += tuple(text_of(each) for each in nodes_in(node))
            elif node.type == "operator_definition":
                defined, *parameters, _, body = nodes_in(node)
                assert text_of(defined) not in self.definitions, f"{text_of(defined)} is defined twice"
                self.definitions[text_of(defined)] = Definition(tuple(map(text_of, parameters)), body)
            elif node.type not in {"header_line", "identifier", "extends", "double_line"}:
                raise NotImplementedError(node.type)
        reading = self._reaching(lambda node: node.type == "identifier_ref" and text_of(node) in self.variables)
        for name, definition in self.definitions.items():
            if not self._temporal(definition.body):
                made = self._function(definition.body, definition.parameters)
                # What only looks at its argument is asked the same again and again.
                once = len(definition.parameters) == 1 and name not in reading
                self._names[f"d_{name}"] = functools.lru_cache(maxsize=4)(made) if once else made

    def _temporal(self, node: tree_sitter.Node) -> bool:
        return node.type in {"always", "eventually", "fairness"} or any(map(self._temporal, nodes_in(node)))

    def _function(self, node: tree_sitter.Node, parameters: tuple[str, ...]) -> Callable[..., Any]:
        named = ", ".join(f"l_{name}" for name in parameters)
        made: Callable[..., Any] = eval(f"lambda {named}: {self._expression(node, frozenset(parameters))}", self._names)
        return made

    # -- expressions, as Python -----------------------------------------------------------------------------------

    def _expression(self, node: tree_sitter.Node, local: frozenset[str]) -> str:
        def inner(child: tree_sitter.Node) -> str:
            return self._expression(child, local)

        parts = nodes_in(node)
        match node.type:
            case "nat_number" | "string":
                return text_of(node)
            case "boolean":
                return text_of(node).title()
            case "identifier_ref":
                return self._reference(text_of(node), local)
            case "parentheses":
                return f"({inner(parts[0])})"
            case "bound_op":
                operator, *arguments = parts
                if text_of(operator) == "Cardinality":
                    return f"len({inner(arguments[0])})"
                return f"d_{text_of(operator)}({', '.join(map(inner, arguments))})"
            case "record_value":
                return f"{inner(parts[0])}[{text_of(parts[1])!r}]"
            case "record_literal":
                fields = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
                return f"Record({', '.join(f'{text_of(field)}={inner(value)}' for field, _, value in fields)})"
            case "set_of_records":
                pairs = zip(parts[::2], parts[1::2], strict=True)
                return f"frozenset(records({', '.join(f'{text_of(field)}={inner(each)}' for field, each in pairs)}))"
            case "finite_set_literal":
                return f"frozenset(({''.join(f'{inner(each)}, ' for each in parts)}))"
            case "tuple_literal":
                return f"({''.join(f'{inner(each)}, ' for each in parts[1:-1])})"
            case "set_map":
                bound, within = self._bound(parts[1], local)
                return f"frozenset({self._expression(parts[0], local | {bound})} for l_{bound} in {within})"
            case "except":
                base, *updates = parts
                fields_ = ((text_of(nodes_in(update)[0])[1:], nodes_in(update)[1]) for update in updates)
                return f"{inner(base)}.but({', '.join(f'{name}={inner(value)}' for name, value in fields_)})"
            case "if_then_else":
                return f"({inner(parts[1])} if {inner(parts[0])} else {inner(parts[2])})"
            case "case":
                arms = [
                    [each for each in nodes_in(arm) if each.type != "case_arrow"] for arm in parts if "arm" in arm.type
                ]
                tests = "".join(f"{inner(arm[1])} if {inner(arm[0])} else " for arm in arms[:-1])
                return f"({tests}{inner(arms[-1][0])})"
            case "let_in":
                *definitions, body = parts
                return self._let(definitions, body, local)
            case "bounded_quantification":
                bound, within = self._bound(parts[1], local)
                word = "all" if parts[0].type == "forall" else "any"
                return f"{word}({self._expression(parts[2], local | {bound})} for l_{bound} in {within})"
            case "conj_list" | "disj_list":
                joint = " and " if node.type == "conj_list" else " or "
                return f"({joint.join(inner(nodes_in(item)[1]) for item in parts)})"
            case "bound_prefix_op":
                if parts[0].type == "lnot":
                    return f"(not {inner(parts[1])})"
                if parts[0].type == "union":
                    return f"frozenset(chain.from_iterable({inner(parts[1])}))"
            case "bound_postfix_op" if parts[1].type == "prime":
                return f"module.primed(lambda: {inner(parts[0])})"
            case "bound_infix_op":
                left, operator, right = parts
                if operator.type == "implies":
                    return f"(not {inner(left)} or {inner(right)})"
                if operator.type == "dots_2":
                    return f"range({inner(left)}, {inner(right)} + 1)"
                if operator.type in _INFIX:
                    return f"({inner(left)} {_INFIX[operator.type]} {inner(right)})"
            case _:
                pass
        raise NotImplementedError(f"{node.type}: {text_of(node)[:80]}")

    def _reference(self, name: str, local: frozenset[str]) -> str:
        if name in local:
            return f"l_{name}"
        if name in self.variables:
            return f"module._now[{name!r}]"
        definition = self.definitions[name]
        return text_of(definition.body) if definition.body.type == "nat_number" else f"d_{name}()"

    def _bound(self, node: tree_sitter.Node, local: frozenset[str]) -> tuple[str, str]:
        name, _, within = nodes_in(node)
        assert text_of(name) not in local, f"{text_of(name)} is bound already"
        return text_of(name), self._expression(within, local)

    def _let(self, definitions: list[tree_sitter.Node], body: tree_sitter.Node, local: frozenset[str]) -> str:
        if not definitions:
            return self._expression(body, local)
        name, _, value = nodes_in(definitions[0])
        rest = self._let(definitions[1:], body, local | {text_of(name)})
        return f"(lambda l_{text_of(name)}: {rest})({self._expression(value, local)})"

    def primed(self, ask: Callable[[], Any]) -> Any:
        """What it is in the next state."""
        now, self._now = self._now, self._next
        try:
            return ask()
        finally:
            self._now = now

    # -- actions, as relations --------------------------------------------------------------------------------------

    def _reaching(self, wanted: Callable[[tree_sitter.Node], bool]) -> frozenset[str]:
        """The definitions with such a node, in themselves or in what they use."""
        found: set[str] = set()

        def reaches(node: tree_sitter.Node) -> bool:
            if wanted(node) or (node.type == "identifier_ref" and text_of(node) in found):
                return True
            return any(map(reaches, nodes_in(node)))

        while more := {name for name, each in self.definitions.items() if name not in found and reaches(each.body)}:
            found |= more
        return frozenset(found)

    @functools.cached_property
    def _acting(self) -> frozenset[str]:
        """Definitions that say something of the next state."""
        return self._reaching(lambda node: node.type == "prime")

    def _relation(self, node: tree_sitter.Node, parameters: tuple[str, ...], *, first: bool) -> Relation:
        """The states that a formula allows: of the next one, or with `first` of the first one."""
        relation = functools.partial(self._relation, parameters=parameters, first=first)
        parts = nodes_in(node)
        match node.type:
            case "parentheses":
                return relation(parts[0])
            case "conj_list" | "disj_list":
                each = [relation(nodes_in(item)[1]) for item in parts]
                return _all_of(each) if node.type == "conj_list" else _one_of(each)
            case "bound_infix_op" if parts[1].type in {"land", "lor"}:
                each = [relation(parts[0]), relation(parts[2])]
                return _all_of(each) if parts[1].type == "land" else _one_of(each)
            case "bounded_quantification" if parts[0].type == "exists":
                name, _, within = nodes_in(parts[1])
                members = self._function(within, parameters)
                body = self._relation(parts[2], (*parameters, text_of(name)), first=first)
                return lambda values: itertools.chain.from_iterable(
                    body((*values, member)) for member in members(*values)
                )
            case "bound_infix_op" if parts[1].type in {"eq", "in"} and self._assigned(parts[0], first):
                assigned = self._assigned(parts[0], first)
                value = self._function(parts[2], parameters)
                if parts[1].type == "eq":
                    return lambda values: iter([{assigned: value(*values)}])
                return lambda values: ({assigned: member} for member in value(*values))
            case "identifier_ref" | "bound_op":
                used, *arguments = parts or [node]
                if text_of(used) in self._acting:
                    given = [self._function(each, parameters) for each in arguments]
                    definition = self.definitions[text_of(used)]
                    body = self._relation(definition.body, definition.parameters, first=first)
                    return lambda values: body(tuple(each(*values) for each in given))
            case _:
                pass
        test = self._function(node, parameters)
        return lambda values: iter([dict[str, Any]()] if test(*values) else [])

    def _assigned(self, node: tree_sitter.Node, first: bool) -> str:
        if first:
            return text_of(node) if text_of(node) in self.variables else ""
        primed = node.type == "bound_postfix_op" and nodes_in(node)[1].type == "prime"
        return text_of(nodes_in(node)[0]) if primed else ""

    # -- checking ---------------------------------------------------------------------------------------------------

    def check(self, config: str, *, most: int = 100_000) -> Found:
        """Every state that can be reached, with the invariants and action properties that the configuration names."""
        asked = {line.split()[0]: line.split()[1:] for line in config.splitlines()}
        invariants = {name: self._names[f"d_{name}"] for name in asked["INVARIANTS"]}
        temporal = [name for name in asked["PROPERTIES"] if self._is_implication(name)]
        steps = {name: self._step_formula(name) for name in asked["PROPERTIES"] if name not in temporal}
        successors = self._relation(self.definitions["Next"].body, (), first=False)
        reached: dict[Values, State] = {}
        for state in self._beginnings():
            reached.setdefault(tuple(state[name] for name in self.variables), state)
        waiting = list(reached.values())
        for state in waiting:
            self._now = state
            for name, holds in invariants.items():
                if not holds():
                    return Found(len(reached), name)
            for after in successors(()):
                assert after.keys() == set(self.variables), "a variable has no next value"
                key = tuple(after[name] for name in self.variables)
                self._next = after
                if after != state:
                    for name, holds in steps.items():
                        if not holds():
                            return Found(len(reached), name)
                if key not in reached:
                    reached[key] = after
                    waiting.append(after)
                    assert len(reached) <= most, "too many states"
        for name in temporal:
            if Temporal(self, self.definitions[name].body).broken(list(reached)):
                return Found(len(reached), name)
        return Found(len(reached))

    # -- what temporal properties ask ---------------------------------------------------------------------------------

    def _is_implication(self, name: str) -> bool:
        body = self.definitions[name].body
        return body.type == "bound_infix_op" and nodes_in(body)[1].type == "implies"

    def definition(self, node: tree_sitter.Node) -> tree_sitter.Node | None:
        """What a name stands for."""
        found = self.definitions.get(text_of(node)) if node.type == "identifier_ref" else None
        return None if found is None else found.body

    def parts(self, node: tree_sitter.Node) -> list[tree_sitter.Node]:
        return nodes_in(node)

    def text(self, node: tree_sitter.Node) -> str:
        return text_of(node)

    def holds(self, node: tree_sitter.Node, now: Values, after: Values | None = None) -> bool:
        """Whether it is true of a state, or of a step."""
        self._now = self._state(now)
        self._next = self._now if after is None else self._state(after)
        found: bool = self._asked(node)()
        return found

    def successors(self, node: tree_sitter.Node, now: Values) -> Iterator[Values]:
        """The states that an action allows next."""
        self._now = self._state(now)
        return iter([tuple(after[name] for name in self.variables) for after in self._related(node)(())])

    def _state(self, values: Values) -> State:
        return dict(zip(self.variables, values, strict=True))

    @functools.cache  # noqa: B019 - a module lives as long as its test
    def _asked(self, node: tree_sitter.Node) -> Callable[..., Any]:
        return self._function(node, ())

    @functools.cache  # noqa: B019 - a module lives as long as its test
    def _related(self, node: tree_sitter.Node) -> Relation:
        return self._relation(node, (), first=False)

    def _beginnings(self) -> Iterator[State]:
        init = self.definitions["Init"].body
        items = [nodes_in(item)[1] for item in nodes_in(init)]
        assigns: dict[str, tree_sitter.Node] = {}  # as in TLC, what names a variable again is a test
        for item in items:
            name, operator, *_ = nodes_in(item)
            if operator.type in {"eq", "in"} and text_of(name) in self.variables:
                assigns.setdefault(text_of(name), item)
        assert assigns.keys() == set(self.variables), "a variable has no first value"
        tests = [self._function(item, ()) for item in items if item not in assigns.values()]
        for state in _all_of([self._relation(item, (), first=True) for item in assigns.values()])(()):
            self._now = state
            if all(test() for test in tests):
                yield state

    def _step_formula(self, name: str) -> Callable[[], bool]:
        """The action of ``[][A]_vars``, which is all that our properties are."""
        box, step = nodes_in(self.definitions[name].body)
        assert (box.type, step.type) == ("always", "step_expr_or_stutter")
        holds: Callable[[], bool] = self._function(nodes_in(step)[0], ())
        return holds


def _one_of(relations: list[Relation]) -> Relation:
    return lambda values: itertools.chain.from_iterable(relation(values) for relation in relations)


def _all_of(relations: list[Relation]) -> Relation:
    def both(values: Values) -> Iterator[dict[str, Any]]:
        given: list[dict[str, Any]] = [{}]
        for relation in relations:
            found = list(relation(values))
            if len(found) == 1:
                for each in given:
                    assert not each.keys() & found[0].keys(), "assigned twice"
                    each.update(found[0])
            else:
                given = [{**each, **one} for each in given for one in found]
        return iter(given)

    return both
