"""The code of a product: that of each machine, made by itself, and put together for each combination of their states.

To its own code a machine is a table in an environment, of which the other machines are a part: their variables and
their states are variables of that environment. So a machine has one function a state, however many there are beside it.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple, cast

import attrs

from gatewright.harness.explore.environment import Action, Environment, Variable
from gatewright.harness.explore.layout import Layout, ones
from gatewright.harness.explore.lint import of_one_name
from gatewright.harness.explore.product import STATE, Product, around, own_names, product_faults, qualified
from gatewright.harness.explore.program import Compiler, StateCode, predicate
from gatewright.harness.explore.properties import Property, Shape
from gatewright.harness.explore.reading import misread_of_machines
from gatewright.harness.explore.scope import MARK, Scope, closed, inner, owner, public, unique
from gatewright.harness.explore.steps import Part
from gatewright.harness.explore.table import Table
from gatewright.harness.explore.terms import Term, code_of, constant, names_in
from gatewright.spec.errors import TableError

_MOST_LABELS: Final = 0xFFFF
"""As many as an array of 16-bit numbers can tell apart."""


class _Read(NamedTuple):
    """A property with the names of the inside, whose it is, and what is left of it where its machine does not move."""

    item: Property
    whose: str
    silent: str


class _Alone(enum.Enum):
    """The state of an environment without a machine."""

    ALONE = "alone"


class _Whole(Layout):
    """The variables of all; those that hold the machines' states are the lowest."""

    def __init__(self, product: Product, variables: Iterable[Variable]) -> None:
        states = [_state_variable(name, table) for name, table in product.machines.items()]
        self.variables = {variable.name: variable for variable in (*states, *variables)}
        self.shifts = {}
        shift = 0
        for variable in self.variables.values():
            self.shifts[variable.name] = shift
            shift += variable.bits
        self.state_mask = (1 << sum(variable.bits for variable in states)) - 1
        self.width = shift
        self.mask = (1 << shift) - 1
        self.states = ()

    def state(self, packed: int) -> Enum:
        """Of one machine; a product has no state that would be one of an enumeration."""
        raise TableError("a product has no state of its own; ask `state_of` for that of a machine")

    def state_of(self, packed: int, machine: str) -> Enum | None:
        """The state of one of the machines; ``None`` for no machine."""
        if not machine:
            return None
        name = inner(machine, STATE)
        members = self.variables[name].members
        assert members is not None
        return list(members)[packed >> self.shifts[name] & ones(self.variables[name])]


class _Seen(Layout):
    """The same variables, as the code of one machine has them: its own state apart, and the others' among them."""

    def __init__(self, whole: _Whole, machine: str, table: Table) -> None:
        own = inner(machine, STATE)
        self.variables = {
            name: variable if owner(name) == machine else attrs.evolve(variable, within=None)
            for name, variable in whole.variables.items()
            if name != own
        }
        self.states = table.states
        self.shifts, self.width, self.mask = whole.shifts, whole.width, whole.mask
        self.state_shift = whole.shifts[own] if machine else 0
        self.state_mask = ones(whole.variables[own]) if machine else 0


def _state_variable(machine: str, table: Table) -> Variable:
    members = type(table.initial)
    return Variable(inner(machine, STATE), max(len(members) - 1, 1), (code_of(table.initial),), members)


class Joint:
    """Makes the code of a product, as :class:`~gatewright.harness.explore.program.Compiler` does of a table.

    Args:
        product: the machines, each with what surrounds it alone.
        environment: what they share.
        properties: of all of them; those that the machines brought along come behind.

    Raises:
        TableError: machines, environment and properties do not belong together.
    """

    def __init__(self, product: Product, environment: Environment, properties: Iterable[Property]) -> None:
        self.table = product
        self.environment = environment
        if faults := list(product_faults(product, environment)):
            raise TableError(f"{product.name} cannot be explored:\n  " + "\n  ".join(faults))
        self._names = {name: frozenset(own_names(product, name)) for name in product.machines}
        self._enumerations = unique(
            [
                *environment.enumerations,
                *(each for environment in product.around.values() for each in environment.enumerations),
                *(each for table in product.machines.values() for each in (type(table.initial), *table.enumerations)),
            ]
        )
        self.layout = _Whole(product, self._variables())
        self._known = {
            f"{each.__name__}.{member.name}": cast("Term", constant(member))
            for each in self._enumerations
            for member in each
        }
        self._read = tuple(self._reading(tuple(properties)))
        self.properties = tuple(each.item for each in self._read)
        if faults := list(self._misread()):
            raise TableError(f"{product.name} cannot be explored:\n  " + "\n  ".join(map(public, faults)))
        self._parts = {name: self._part(name) for name in (*product.machines, "")}
        self.controls = [
            sum(
                code << self.layout.shifts[inner(name, STATE)]
                for name, code in zip(product.machines, each, strict=True)
            )
            for each in itertools.product(*(range(len(table.states)) for table in product.machines.values()))
        ]

    @property
    def machines(self) -> Mapping[str, Table]:
        """The tables by the names of their machines."""
        return self.table.machines

    @property
    def constants(self) -> dict[str, Term]:
        """What expressions may name that is no variable."""
        return dict(self._known)

    def variables(self, machine: str) -> tuple[str, ...]:
        """The names of the variables, in the order in which the code of a machine counts them."""
        return tuple(self._parts[machine].layout.variables)

    @property
    def beginning(self) -> tuple[str, ...]:
        """Which first values are possible together."""
        product = self.table
        return (
            self._scope("").read(self.environment.beginning),
            *(self._scope(name).read(table.beginning) for name, table in product.machines.items()),
            *(self._scope(name).read(each.beginning) for name, each in product.around.items()),
        )

    def codes(self, table: Product) -> list[StateCode]:
        """The code of every combination of states, of a product whose tables differ in their rows only."""
        try:
            made = {name: part.codes(table.machines.get(name, part.table)) for name, part in self._parts.items()}
        except TableError as error:
            raise TableError(public(str(error))) from None
        if sum(max(len(code.labels) for code in codes) for codes in made.values()) > _MOST_LABELS:
            raise TableError(f"{table.name}: a state has more than {_MOST_LABELS} kinds of steps")
        impossible = StateCode(_nothing, (), (), "")
        codes = [impossible] * (self.layout.state_mask + 1)
        for control in self.controls:
            members = [made[name][self._code_in(control, name)] for name in self._parts]
            codes[control] = self._together(members)
        return codes

    def first(self, values: Mapping[str, int]) -> int:
        """The number of a state to begin in; the machines' states are among the variables."""
        return sum(value << self.layout.shifts[name] for name, value in values.items())

    def bound(self, values: Mapping[str, int]) -> Mapping[str, int]:
        """Bounds by the names of variables: one without a machine is of what all share, or else of each that has it."""
        found: dict[str, int] = {}
        for name, value in values.items():
            known = self._scope("").name(name)
            each = [inner(machine, name) for machine, names in self._names.items() if name in names]
            found |= dict.fromkeys(each if known not in self.layout.variables and each else [known], value)
        return found

    def known(self, control: int) -> dict[str, Term]:
        """What is known in one combination of states: constants, and variables as themselves where they may differ."""
        found = dict(self._known)
        for name, part in self._parts.items():
            before = part.before(part.table.states[self._code_in(control, name)])
            if name:
                found[inner(name, STATE)] = before[STATE]
            found |= {each: value for each, value in before.items() if owner(each) == name and each != STATE}
        return found

    def predicate(self, holds: Term) -> Callable[[int], object]:
        """A folded expression as a function of a packed state."""
        return predicate(self.layout, holds)

    def forget_others(self, machine: str, table: Table) -> None:
        """Drops the code of every other table for one of the machines."""
        self._parts[machine].forget_all_but(table.rows)

    # -- how it is read ------------------------------------------------------------------------------------------------

    def _scope(self, machine: str, *, settings: Mapping[str, object] | None = None) -> Scope:
        return Scope(self._names, machine, {} if settings is None else dict(settings))

    def _variables(self) -> Iterator[Variable]:
        product = self.table
        for name, table in product.machines.items():
            for variable in (*table.variables, *around(product, name).variables):
                yield attrs.evolve(variable, name=inner(name, variable.name))
        yield from self.environment.variables

    def _reading(self, shared_properties: tuple[Property, ...]) -> Iterator[_Read]:
        """Every property in names of the inside."""
        shared, product = self._scope(""), self.table
        for item in shared_properties:
            yield _Read(attrs.evolve(item, expression=shared.read(item.expression)), "", "")
        for name, each in product.around.items():
            scope = self._scope(name, settings=product.machines[name].settings)
            for item in each.properties:
                told = attrs.evolve(item, id=qualified(name, item.id), expression=scope.read(item.expression))
                yield _Read(told, name, scope.read(item.expression, silent=True))

    def _misread(self) -> Iterator[str]:
        """What is wrong with the properties, for which the machines are one large one."""
        tables, product = self.machines.values(), self.table
        environments = (*(around(product, name) for name in self.machines), self.environment)
        together = attrs.evolve(
            _nobody(product.name),
            rows=tuple(row for table in tables for row in table.rows),
            updates={update: () for table in tables for update in table.updates},
            # Any field that a property may ask after.
            dropped={
                field: ""
                for table in tables
                for field in (
                    *table.dropped,
                    *(each.name for each in table.variables),
                    *(field for made in table.updates.values() for field, _ in made),
                )
            },
        )
        surroundings = Environment(
            name=self.environment.name,
            variables=tuple(self.layout.variables.values()),
            actions=tuple(
                attrs.evolve(action, name=f"{number}: {action.name}")
                for number, environment in enumerate(environments)
                for action in environment.actions
            ),
            reactions={effect.rpartition(".")[2]: {} for each in environments for effect in each.reactions},
            enumerations=self._enumerations,
            unheard={event: why for each in environments for event, why in each.unheard.items()},
        )
        yield from of_one_name(self.properties)
        yield from misread_of_machines(together, surroundings, self.properties, self.machines, self.beginning)

    def _part(self, machine: str) -> Compiler:
        product, environment = self.table, self.environment
        table = _nobody(self.table.name) if not machine else self._inside(machine, product.machines[machine])
        judged: set[int] = set()
        stirred: dict[int, frozenset[str]] = {}
        properties: list[Property] = []
        for number, (item, whose, silent) in enumerate(self._read):
            expression = item.expression
            if item.shape is Shape.ALWAYS and _only(expression) == machine:
                judged.add(number)
            elif item.shape is Shape.EDGE:
                judged.add(number)
                if whose not in {"", machine}:
                    # Another machine's step is to this one what a step of the environment is.
                    expression = silent
                    stirred[number] = frozenset(name for name in self.layout.variables if owner(name) == whose)
            properties.append(attrs.evolve(item, expression=closed(expression, machine)))
        layout = _Seen(self.layout, machine, table)
        surroundings = Environment(
            name=environment.name,
            variables=tuple(
                variable
                for variable in layout.variables.values()
                if variable.name not in {x.name for x in table.variables}
            ),
            actions=tuple(self._actions(machine)),
            reactions=self._reactions(machine) if machine else {},
            enumerations=self._enumerations,
            unheard={**around(product, machine).unheard, **environment.unheard},
        )
        part = Part(machine=machine, layout=layout, judged=frozenset(judged), stirred=stirred)
        try:
            return Compiler(table, surroundings, properties, part)
        except TableError as error:
            raise TableError(public(str(error))) from None

    def _inside(self, machine: str, table: Table) -> Table:
        """The table with the names of the inside."""
        scope = self._scope(machine)

        def read(text: str) -> str:
            return closed(scope.read(text), machine)

        def entered(state: Any) -> Mapping[str, str]:
            return {inner(machine, field): read(text) for field, text in table.on_entry(state).items()}

        return attrs.evolve(
            table,
            name=f"{self.table.name}, machine {machine}",
            variables=tuple(attrs.evolve(each, name=inner(machine, each.name)) for each in table.variables),
            guards={name: read(text) for name, text in table.guards.items()},
            updates={
                name: tuple((inner(machine, field), read(text)) for field, text in made)
                for name, made in table.updates.items()
            },
            rewrites={read(old): read(new) for old, new in table.rewrites.items()},
            dropped={inner(machine, field): why for field, why in table.dropped.items()},
            on_entry=entered,
            beginning="True",  # which is asked of the whole
        )

    def _actions(self, machine: str) -> Iterator[Action]:
        own = around(self.table, machine).actions if machine else ()
        for action in own:
            unlike = f"{machine}: {action.unlike}" if action.unlike else ""
            yield self._action(attrs.evolve(action, name=f"{machine}: {action.name}", unlike=unlike, to=machine))
        for action in self.environment.actions:
            if action.to == machine:
                yield self._action(action)

    def _action(self, action: Action) -> Action:
        scope = self._scope(action.to)
        return attrs.evolve(
            action,
            guard=closed(scope.read(action.guard), action.to),
            updates=self._written(action.to, action.updates, f"action {action.name!r}"),
        )

    def _reactions(self, machine: str) -> Mapping[str, Mapping[str, str]]:
        found: dict[str, dict[str, str]] = {}
        own = around(self.table, machine).reactions
        asked = {str(effect.name) for row in self.machines[machine].rows for effect in row.effects}
        for key, updates in (*own.items(), *self.environment.reactions.items()):
            whose, dot, effect = key.rpartition(".")
            if (dot and whose != machine) or effect not in asked:
                continue
            written = self._written(machine, updates, f"reaction to {key}")
            before = found.setdefault(effect, {})
            for name in written.keys() & before.keys():
                raise TableError(f"{machine}: two reactions to {effect} write {public(name)}")
            before |= written
        return found

    def _written(self, machine: str, updates: Mapping[str, str], where: str) -> Mapping[str, str]:
        scope = self._scope(machine)
        found: dict[str, str] = {}
        for name, text in updates.items():
            known = scope.name(name)
            whose, _, variable = known.rpartition(MARK)
            if known not in self.layout.variables:
                raise TableError(f"{where}: {name!r} is no variable")
            if whose and (variable == STATE or variable in {x.name for x in self.machines[whose].variables}):
                raise TableError(f"{where}: {public(known)!r} belongs to the machine; only its rows write it")
            if whose != machine and self.layout.variables[known].within is not None:
                raise TableError(f"{where}: {public(known)!r} means something in some states of {whose} only; "
                                 "nothing but its own steps can write it")  # fmt: skip
            found[known] = closed(scope.read(text), machine)
        return found

    # -- how it is put together ----------------------------------------------------------------------------------------

    def _code_in(self, control: int, machine: str) -> int:
        if not machine:
            return 0
        name = inner(machine, STATE)
        return control >> self.layout.shifts[name] & ones(self.layout.variables[name])

    def _together(self, members: Sequence[StateCode]) -> StateCode:
        asked: list[tuple[Callable[..., None], int]] = []
        labels = 0
        for code in members:
            if not code.idle:
                asked.append((cast("Callable[..., None]", code.successors), labels << self.layout.width))
            labels += len(code.labels)

        def successors(state: int, emit: Callable[[int], None]) -> None:
            for each, begin in asked:
                each(state, emit, begin)

        return StateCode(
            successors,
            tuple(label for code in members for label in code.labels),
            tuple(loop for code in members for loop in code.loops),
            "\n".join(code.text for code in members),
        )


def _nothing(state: int, emit: Callable[[int], None]) -> None:
    """The code of a number that stands for no state."""


def _nobody(name: str) -> Table:
    return Table(name=f"{name}, environment", rows=(), initial=_Alone.ALONE)


def _only(expression: str) -> str:
    """The only machine of whose variables it speaks; empty for none, or for several."""
    found = {owner(name) for name in names_in(expression)} - {""}
    return found.pop() if len(found) == 1 else ""
