"""Doors into which not everybody need come, and what is to be said of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import attrs

from examples.door_lock import door
from examples.door_lock.door import Door, Row
from gatewright.harness.explore import Action, Environment, Table, flag

GOAL: Final = next(item for item in door.ENVIRONMENT.properties if item.shape == "eventually")


class Knock(door.Event):
    """Somebody knocks."""

    name: ClassVar[str] = "knock"


KNOCKS: Final = Action(name="knock", guard="state == Door.CLOSED", updates={"knocked": "not knocked"}, fair=True)
"""It goes on for ever, and changes something each time."""


KNOCK: Final = Row(id="closed.knock", source=Door.CLOSED, event=Knock, why="It rattles.")


def changed(name: str, **fields: Any) -> Table:
    return door.table(tuple(attrs.evolve(row, **fields) if row.id == name else row for row in door.ROWS))


def around(*actions: Action, **changes: Mapping[str, Any]) -> Environment:
    """The door's environment with only its goal, more actions, and some changed by name."""
    kept = tuple(attrs.evolve(each, **changes.get(each.name, {})) for each in door.ENVIRONMENT.actions)
    return attrs.evolve(
        door.ENVIRONMENT,
        variables=(*door.ENVIRONMENT.variables, flag("knocked")),
        actions=(*kept, *actions),
        properties=(GOAL,),
    )


def waiting(rearms: str = "") -> Table:
    """Whoever knocks makes the door wait longer, as far as `rearms` says so."""
    return attrs.evolve(
        door.table((*door.ROWS, attrs.evolve(KNOCK, updates=("wait",)))),
        updates={**door.table().updates, "wait": (("deadline", "now"),)},
        dropped={"deadline": "only whether it is armed again matters"},
        rearms=rearms,
    )


NOBODY: Final[Mapping[str, Any]] = {"fair": False}
"""Of pushing: somebody may, and nobody need to."""
SHY: Final = around(push=NOBODY)
SHY_AND_KNOCKED: Final = around(KNOCKS, push=NOBODY)
RATTLED: Final = around(attrs.evolve(KNOCKS, event=Knock), push=NOBODY)
UNTIMED: Final = attrs.evolve(door.table(), timed=())
BOLTED_OPEN: Final = changed("closed.time_up", target=None)
CASES: Final[Mapping[str, tuple[Table, Environment, str]]] = {
    "everybody gets in": (door.table(), around(), "holds"),
    "nobody pushes": (door.table(), SHY, "liveness"),
    "the code does nothing": (changed("locked.code", target=None, effects=(), updates=()), around(), "deadlock"),
    "time passes, and then nothing": (BOLTED_OPEN, around(), "deadlock"),
    "time passes again and again": (
        changed("closed.time_up", target=None, effects=()),
        around(**{"push": NOBODY, "time is up": {"updates": {"knocked": "not knocked"}}}),
        "liveness",
    ),
    "nobody pushes, and no time passes": (
        door.table(),
        around(**{"push": NOBODY, "time is up": {"timer": False}}),
        "deadlock",
    ),
    "who can push all the time does": (UNTIMED, around(KNOCKS), "holds"),
    "who can push now and then need not": (
        UNTIMED,
        around(KNOCKS, push={"guard": "knocked and not bolted and state == Door.CLOSED"}),
        "liveness",
    ),
    "a deadline ends what goes round": (door.table(), SHY_AND_KNOCKED, "holds"),
    "no deadline ends what goes round": (UNTIMED, SHY_AND_KNOCKED, "liveness"),
    "a row stays": (door.table((*door.ROWS, KNOCK)), RATTLED, "holds"),
    "a row enters its state again": (
        door.table((*door.ROWS, attrs.evolve(KNOCK, target=Door.CLOSED))),
        RATTLED,
        "liveness",
    ),
    "a row writes what is no deadline": (waiting(), RATTLED, "holds"),
    "a row arms the deadline again": (waiting("deadline"), RATTLED, "liveness"),
}
"""By what is the case: a door, what is around it, and the verdict."""
