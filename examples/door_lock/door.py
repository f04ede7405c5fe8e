"""A door with a lock: a machine that has nothing to do with gateways, declared and explored with the same kit.

``python -m examples.door_lock`` explores it, breaks it in every way that is known, and shows one counterexample.
"""

import enum
from typing import ClassVar

from gatewright.harness.explore import Action, Environment, Table, always, count, edge, eventually, flag, sometimes
from gatewright.spec.rows import TableRow


class Door(enum.StrEnum):
    """Where the door is."""

    LOCKED = "locked"
    CLOSED = "closed"
    OPEN = "open"


class Event:
    """Something that happens to it; the explorer calls it by its name."""

    name: ClassVar[str]


class Code(Event):
    """Somebody types a code."""

    name = "code"


class Push(Event):
    """Somebody pushes."""

    name = "push"


class Pull(Event):
    """Somebody pulls."""

    name = "pull"


class TimeUp(Event):
    """Nobody came in."""

    name = "time_up"


class Effect:
    """Something that the door asks of its lock."""

    name: ClassVar[str]


class Bolt(Effect):
    """Shoot the bolt."""

    name = "bolt"


class Unbolt(Effect):
    """Draw the bolt."""

    name = "unbolt"


Row = TableRow[Door, Event, Effect]

ROWS = (
    Row(id="locked.code", source=Door.LOCKED, event=Code, guard="right", target=Door.CLOSED, updates=("forgive",),
        effects=(Unbolt,), why="The code opens the lock."),
    Row(id="locked.code.wrong", source=Door.LOCKED, event=Code, guard="not right and not blocked",
        updates=("blame",), why="Three wrong codes are too many."),
    Row(id="locked.code.blocked", source=Door.LOCKED, event=Code, guard="not right and blocked",
        why="A thief gets nothing for trying on."),
    Row(id="closed.push", source=Door.CLOSED, event=Push, target=Door.OPEN, why="It opens."),
    Row(id="closed.time_up", source=Door.CLOSED, event=TimeUp, target=Door.LOCKED, effects=(Bolt,),
        why="A door that nobody opens is locked again."),
    Row(id="open.pull", source=Door.OPEN, event=Pull, target=Door.CLOSED, why="It closes."),
)  # fmt: skip


def table(rows: tuple[Row, ...] = ROWS) -> Table:
    return Table(
        name="door",
        rows=rows,
        initial=Door.LOCKED,
        variables=(count("wrong", 2),),
        guards={"right": "event.right", "blocked": "wrong >= settings.most"},
        updates={"blame": (("wrong", "wrong + 1"),), "forgive": (("wrong", "0"),)},
        settings={"most": 2},
        timed=(Door.CLOSED,),
    )


ENVIRONMENT = Environment(
    name="people",
    variables=(flag("bolted", True), count("tries", 3, initial=3)),
    actions=(
        Action(name="right code", event=Code, payload={"right": True}, guard="state == Door.LOCKED", fair=True),
        Action(name="wrong code", event=Code, payload={"right": False}, guard="tries > 0 and state == Door.LOCKED",
               updates={"tries": "tries - 1"}, fault=True),
        Action(name="push", event=Push, guard="not bolted and state == Door.CLOSED", fair=True),
        Action(name="pull", event=Pull, guard="state == Door.OPEN", fair=True),
        Action(name="time is up", event=TimeUp, guard="state == Door.CLOSED", timer=True),
    ),
    reactions={"bolt": {"bolted": "1"}, "unbolt": {"bolted": "0"}},
    properties=(
        always("D1", "the bolt is in while the door is locked, and only then", "bolted == (state == Door.LOCKED)"),
        edge("D2", "only the code unlocks", "not (before.bolted and not bolted) or (event == 'code' and event.right)"),
        sometimes("D3", "somebody gets in", "state == Door.OPEN"),
        eventually("D4", "everybody gets in", "state == Door.OPEN"),
        edge("D5", "a code opens no door", "not (event == 'code' and state == Door.OPEN)"),
        edge("D6", "what is pulled closes", "event != 'pull' or state == Door.CLOSED"),
        edge("D7", "the right code forgives", "not (event == 'code' and event.right) or wrong == 0"),
    ),
)  # fmt: skip
