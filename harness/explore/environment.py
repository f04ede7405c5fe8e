"""What surrounds a machine, as data: variables, the actions that change them, and what each effect asks for.

Everything is an expression of the table's language over the variables of the environment and the machine, so an
environment is pure: it can be explored, exported and drawn like the table itself.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, cast

import attrs

from gatewright.harness.explore.properties import Property
from gatewright.spec.errors import TableError

_NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})
_TAKEN: Final = {
    *("state", "before", "event", "kind", "moves", "effects", "updates", "row", "settings"),
    *("does", "assigned", "updated", "min", "max", "bool", "range", "s", "emit", "Broken"),
}
"""What expressions call something else, and what the code that is made of them does."""
_MOST: Final = 65_535


@attrs.frozen
class Variable:
    """One variable with few values, kept as a number from 0 to `most`.

    Attributes:
        name: as expressions call it.
        most: the greatest number; what would be greater is kept as `most`.
        initial: its values at the beginning; more than one means that each of them is tried.
        members: the enumeration whose members the numbers stand for, if any.
        within: states in which it means something. Elsewhere it is forgotten, and a row that enters one of them from
            outside must write it, or it is reported as reading what nobody wrote.
        presence: it tells only whether there is a value; every expression but ``None`` counts as one.
        shown: expression over the real context that gives its value, for comparing a run with the exploration.
    """

    name: str
    most: int = 1
    initial: tuple[int, ...] = (0,)
    members: type[Enum] | None = None
    within: tuple[Enum, ...] | None = None
    presence: bool = False
    shown: str = ""

    def __attrs_post_init__(self) -> None:
        if not self.name.isidentifier() or keyword.iskeyword(self.name) or self.name in _TAKEN:
            raise TableError(
                f"a variable cannot be called {self.name!r}: expressions name it, so it must be an identifier, and "
                f"{', '.join(sorted(_TAKEN))} mean something else"
            )
        if self.most > _MOST:
            raise TableError(
                f"variable {self.name}: {self.most} is more than an exploration tells apart ({_MOST}); let it stop "
                "where no guard looks further"
            )
        if self.most < 1 or not self.initial or not all(0 <= value <= self.most for value in self.initial):
            raise TableError(f"variable {self.name}: initial values {self.initial} must lie in 0 to {self.most}")

    @property
    def bits(self) -> int:
        """How many bits its values need."""
        return self.most.bit_length()

    def word(self, value: int) -> str:
        """A value as people read it."""
        if self.members is not None:
            return str(list(self.members)[value].value)
        return ("no", "yes")[value] if self.most == 1 else str(value)


def flag(
    name: str,
    *initial: bool,
    within: Iterable[Enum] | None = None,
    presence: bool = False,
    shown: str = "",
) -> Variable:
    """A variable that is true or false; false at the beginning unless said otherwise."""
    values = tuple(int(value) for value in initial) or (0,)
    return Variable(name, 1, values, None, None if within is None else tuple(within), presence, shown)


def count(name: str, most: int, *, initial: int = 0, within: Iterable[Enum] | None = None, shown: str = "") -> Variable:
    """A number from 0 to `most`; counting further stays at `most`."""
    return Variable(name, most, (initial,), None, None if within is None else tuple(within), False, shown)


def choice(name: str, initial: Enum, *, within: Iterable[Enum] | None = None, shown: str = "") -> Variable:
    """One member of an enumeration."""
    members = list(type(initial))
    where = None if within is None else tuple(within)
    return Variable(name, len(members) - 1, (members.index(initial),), type(initial), where, False, shown)


@attrs.frozen(kw_only=True)
class Action:
    """One thing that can happen.

    Attributes:
        name: what drawings call it, in plain words.
        guard: when it can happen, over the variables.
        event: the event that it feeds to the machine; ``None``: the environment changes by itself.
        payload: what expressions may read as ``event.x``: a value, or a tuple of values that are all tried where the
            machine tells them apart.
        updates: what it changes in the environment, before the machine takes its row.
        fair: it happens in the end, if it stays possible.
        fault: it is a failure; faults cease when liveness is judged.
        timer: it is a timer of the machine, or without an event and in a product a clock of what its machines share;
            when liveness is judged it comes only when nothing else can.
        hostile: the machine may refuse the event, although it is no command.
        unlike: the name of another action; where the machine treats both alike, this one is left out.
        told: the event as Python text, for tests to paste; see the printers of counterexamples.
        lane: who does it, for sequence diagrams.
        to: in a product, the machine that it is fed to, or whose names its expressions may say without a prefix.
    """

    name: str
    guard: str = "True"
    event: type[Any] | None = None
    payload: Mapping[str, object] = _NOTHING
    updates: Mapping[str, str] = _NOTHING
    fair: bool = False
    fault: bool = False
    timer: bool = False
    hostile: bool = False
    unlike: str = ""
    told: str = ""
    lane: str = "Environment"
    to: str = ""

    @property
    def is_clock(self) -> bool:
        """Whether it is a timer of no machine."""
        return self.timer and self.event is None

    def __attrs_post_init__(self) -> None:
        if self.fair and self.fault:
            raise TableError(f"action {self.name!r}: a fault ceases, so it cannot be fair")
        for name, value in self.payload.items():
            for each in cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,):
                if not (each is None or isinstance(each, (bool, int, str, Enum))):
                    raise TableError(
                        f"action {self.name!r}: the payload {name}={each!r} is none; give a truth, a whole number, a "
                        "text, a member of an enumeration, or a tuple of those to try each"
                    )


@attrs.frozen(kw_only=True)
class Environment:
    """Everything that can happen to a machine.

    Attributes:
        variables: what the environment remembers, ghosts of the properties included.
        actions: what can happen.
        reactions: for the name of each effect, what asking for it changes in the environment, in order. In a product
            it is of whichever machine asks, and ``machine.effect`` of that machine alone.
        properties: what must hold; `explore` takes more.
        enumerations: classes whose members expressions may name, beside those of the table.
        beginning: which combinations of initial values are possible, beside what the table says.
        unheard: events of the machine that this environment never feeds, each with the reason.
    """

    name: str
    variables: tuple[Variable, ...]
    actions: tuple[Action, ...]
    reactions: Mapping[str, Mapping[str, str]] = _NOTHING
    properties: tuple[Property, ...] = ()
    enumerations: tuple[type[Enum], ...] = ()
    unheard: Mapping[type[Any], str] = _NOTHING
    beginning: str = "True"

    def __attrs_post_init__(self) -> None:
        names = [action.name for action in self.actions]
        for name in {name for name in names if names.count(name) > 1}:
            raise TableError(f"environment {self.name}: two actions are called {name!r}")
