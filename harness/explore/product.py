"""Several machines in one environment: what each of them is called, and what surrounds each of them alone.

A machine's own names are read as they are wherever it is plain which machine is meant: in its rows, in the environment
that it has for itself, in actions that are fed to it and in reactions to its effects. Everywhere `left.x` is the
variable `x` of the machine `left`, and `left.state` its state; a name without a machine is of what all of them share.
"""

from __future__ import annotations

import keyword
import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

import attrs

from gatewright.harness.explore.environment import Environment
from gatewright.harness.explore.table import Table
from gatewright.spec.errors import TableError

_ALONE: Final[Mapping[str, Environment]] = MappingProxyType({})
_MOST_CONTROLS: Final = 1 << 16
"""Combinations of states, for each of which there is a list of what can happen."""

STATE: Final = "state"
"""What expressions call the state of a machine."""

_RESERVED: Final = frozenset(
    {STATE, "before", "event", "settings", "kind", "row", "moves", "effects", "updates", "machine", "now"}
)


@attrs.frozen(kw_only=True)
class Product:
    """Machines that are explored together: in each step one of them moves, or the environment alone.

    Attributes:
        name: what reports call it.
        machines: name to table; the same table may be there under several names.
        around: for the name of a machine, what surrounds it alone, in the machine's own names, as if it were explored
            by itself. The variables become the machine's, the actions are fed to it, and the properties must hold.

    Raises:
        TableError: a name that no expression could say, or that is already something else there.
    """

    name: str
    machines: Mapping[str, Table]
    around: Mapping[str, Environment] = _ALONE

    def __attrs_post_init__(self) -> None:
        if not self.machines:
            raise TableError(f"product {self.name}: it has no machine")
        for machine in self.machines:
            if not machine.isidentifier() or keyword.iskeyword(machine) or machine in _RESERVED:
                raise TableError(f"product {self.name}: no expression can speak of a machine called {machine!r}")
        for machine in self.around:
            if machine not in self.machines:
                raise TableError(f"product {self.name}: `around` speaks of {machine!r}, which is none of its machines")

    def with_machine(self, name: str, table: Table) -> Product:
        """The same product with another table for one of its machines."""
        return attrs.evolve(self, machines={**self.machines, name: table})


def machines_of(table: Table | Product) -> Mapping[str, Table]:
    """The tables by the names of their machines; a table by itself has no name."""
    return table.machines if isinstance(table, Product) else {"": table}


def qualified(machine: str, name: str) -> str:
    """What reports call something of a machine."""
    return f"{machine}.{name}" if machine else name


def row_ids(table: Table | Product) -> list[str]:
    """What reports call each of the rows."""
    return [qualified(name, row.id) for name, machine in machines_of(table).items() for row in machine.rows]


def single(table: Table | Product, what: str) -> Table:
    """A table as it is; a product is refused where only a table will do.

    Raises:
        TableError: it is one, with what to do.
    """
    if isinstance(table, Product):
        raise TableError(
            f"{table.name} is a product of machines, and {what} takes one table; give it each of "
            f"{', '.join(table.machines)} with an environment of its own"
        )
    return table


def around(product: Product, machine: str) -> Environment:
    """What surrounds that machine alone; nothing, if nothing was said."""
    found = product.around.get(machine)
    return Environment(name=machine, variables=(), actions=()) if found is None else found


def own_names(product: Product, machine: str) -> Iterator[str]:
    """What an expression may say of that machine."""
    yield STATE
    for variable in (*product.machines[machine].variables, *around(product, machine).variables):
        yield variable.name


def product_faults(product: Product, environment: Environment) -> Iterator[str]:
    """Why machines and environment do not belong together, one sentence each."""
    shared = {variable.name for variable in environment.variables}
    if len(shared) != len(environment.variables):
        yield f"{environment.name} has variables of the same name"
    for variable in environment.variables:
        if variable.within is not None:
            yield f"{variable.name}: all share it, so it has no state in which alone it means something"
    every = set(shared)
    for name in product.machines:
        own = list(own_names(product, name))
        every.update(own)
        if len(own) != len(set(own)):
            yield f"machine {name} and its environment have variables of the same name"
        for each in sorted(shared & set(own)):
            yield f"{each}: machine {name} has a variable that is called like one that all share; rename either"
    for name in sorted(every & product.machines.keys()):
        yield f"{name}: a machine and a variable have one name; rename either"
    for action in environment.actions:
        if action.to and action.to not in product.machines:
            yield f"action {action.name!r} is fed to {action.to!r}; the machines are {', '.join(product.machines)}"
        if action.event is not None and not action.to:
            yield f"action {action.name!r} feeds {action.event.name}; say to which machine, in `to`"
    for name, alone in product.around.items():
        for action in alone.actions:
            if action.to:
                yield f"action {action.name!r}: what is around {name} is fed to {name}, and not to {action.to!r}"
    for effect in environment.reactions:
        whose, dot, _ = effect.rpartition(".")
        if dot and whose not in product.machines:
            yield f"reaction to {effect}: there is no machine {whose!r}"
    total = math.prod(2 ** max((len(table.states) - 1).bit_length(), 1) for table in product.machines.values())
    if total > _MOST_CONTROLS:
        yield f"its machines have {total} combinations of states; more than {_MOST_CONTROLS} are too many"
