"""How a state of the exploration is one whole number: the machine's state in the lowest bits, then every variable."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from gatewright.harness.explore.environment import Environment, Variable
from gatewright.harness.explore.table import Table
from gatewright.harness.explore.terms import code_of
from gatewright.spec.errors import TableError


class Layout:
    """Where each variable lies in the number of a state.

    Attributes:
        variables: by their names.
        states: of the machine that code is made for.
        state_mask, state_shift: where that machine's state lies.
        width: how many bits there are in all; what stands above them is the label of a step.
    """

    state_shift = 0

    def __init__(self, table: Table, environment: Environment) -> None:
        self.variables = {variable.name: variable for variable in (*table.variables, *environment.variables)}
        if len(self.variables) != len(table.variables) + len(environment.variables):
            raise TableError(f"{table.name} and {environment.name} have variables of the same name")
        self.states = table.states
        self.state_mask = (1 << (len(self.states) - 1).bit_length()) - 1
        self.shifts: dict[str, int] = {}
        shift = self.state_mask.bit_length()
        for variable in self.variables.values():
            self.shifts[variable.name] = shift
            shift += variable.bits
        self.width = shift
        self.mask = (1 << shift) - 1

    def pack(self, state: Enum, values: Mapping[str, int]) -> int:
        """The number of a state."""
        packed = code_of(state)
        for name, shift in self.shifts.items():
            packed |= values[name] << shift
        return packed

    def unpack(self, packed: int) -> dict[str, int]:
        """The values of the variables; see :meth:`state` for the machine's state."""
        return {name: packed >> self.shifts[name] & ones(variable) for name, variable in self.variables.items()}

    def state(self, packed: int) -> Enum:
        """The machine's state."""
        return self.states[packed & self.state_mask]

    def state_of(self, packed: int, machine: str) -> Enum | None:
        """The state of one of the machines; of a table by itself there is but one."""
        return self.state(packed)

    def field(self, name: str) -> str:
        """The variable as Python source over ``s``."""
        return f"s >> {self.shifts[name]} & {ones(self.variables[name])}"


def ones(variable: Variable) -> int:
    """The bits of its field, all set."""
    return (1 << variable.bits) - 1
