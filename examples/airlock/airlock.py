"""An airlock: two doors of one kind, and an interlock that lets one of them open at a time.

A door asks and waits, the interlock answers when it pleases; what is said is on its way for a while. So each of the
machines is right by itself, and only together they show whether both doors can be open.

``python -m examples.airlock`` explores it, breaks it in every way that is known, and draws one counterexample.
"""

import enum
from typing import ClassVar

from gatewright.harness.explore import Action, Environment, Product, Table, always, eventually, flag, sometimes
from gatewright.spec.rows import TableRow

Door = enum.StrEnum("Door", ["SHUT", "WAITING", "OPEN"])
Lock = enum.StrEnum("Lock", ["FREE", "TAKEN"])


class Named:
    name: ClassVar[str]


class Pressed(Named):
    name = "pressed"


class Closed(Named):
    name = "closed"


class Ask(Named):
    name = "ask"


class Tell(Named):
    name = "tell"


class Unlock(Named):
    name = "unlock"


DoorRow = TableRow[Door, Named, Named]
LockRow = TableRow[Lock, Named, Named]
SIDES = ("outer", "inner")

DOOR = Table(
    name="door",
    rows=(
        DoorRow(id="shut.pressed", source=Door.SHUT, event=Pressed, target=Door.WAITING, effects=(Ask,),
                why="A door opens with the interlock's leave only."),
        DoorRow(id="waiting.unlock", source=Door.WAITING, event=Unlock, target=Door.OPEN, why="Now it may."),
        DoorRow(id="open.closed", source=Door.OPEN, event=Closed, target=Door.SHUT, effects=(Tell,),
                why="The other door may be waiting."),
    ),
    initial=Door.SHUT,
)  # fmt: skip

LOCK_ROWS = (
    LockRow(id="free.ask", source=Lock.FREE, event=Ask, target=Lock.TAKEN, effects=(Unlock,), why="Nothing is open."),
    LockRow(id="taken.ask", source=Lock.TAKEN, event=Ask, updates=("remember",), why="One door is open already."),
    LockRow(id="taken.tell.waiting", source=Lock.TAKEN, event=Tell, guard="waiting", updates=("forget",),
            effects=(Unlock,), why="The other door has been waiting."),
    LockRow(id="taken.tell", source=Lock.TAKEN, event=Tell, guard="not waiting", target=Lock.FREE, why="All is shut."),
)  # fmt: skip


def lock(rows: tuple[LockRow, ...] = LOCK_ROWS) -> Table:
    return Table(
        name="interlock",
        rows=rows,
        initial=Lock.FREE,
        variables=(flag("waiting"),),
        guards={"waiting": "waiting"},
        updates={"remember": (("waiting", "1"),), "forget": (("waiting", "0"),)},
    )


DOORWAY = Environment(
    name="doorway",
    variables=(flag("asks"), flag("unlocks"), flag("tells")),  # what is on its way
    actions=(
        Action(name="somebody presses", event=Pressed, guard="state == Door.SHUT", lane="traveller"),
        Action(name="it is unlocked", event=Unlock, guard="unlocks", updates={"unlocks": "0"}, fair=True,
               lane="interlock"),
        Action(name="it falls shut", event=Closed, guard="state == Door.OPEN", timer=True, lane="clock"),
    ),
    reactions={"ask": {"asks": "1"}, "tell": {"tells": "1"}},
    properties=(eventually("A1", "whoever waits gets in", "state != Door.WAITING"),),
)  # fmt: skip


def airlock(rows: tuple[LockRow, ...] = LOCK_ROWS) -> Product:
    machines = {"outer": DOOR, "interlock": lock(rows), "inner": DOOR}
    return Product(name="airlock", machines=machines, around=dict.fromkeys(SIDES, DOORWAY))


ENVIRONMENT = Environment(
    name="wires",
    variables=(),
    # What a door says arrives in turn: were it to ask for the second time before it tells, the interlock would take
    # it for the other one. Leave out `in_turn`, and the explorer says so in eight steps.
    actions=tuple(
        Action(name=f"{side} {said}", to="interlock", event=event, payload={"unlocks": whom}, lane=side, fair=True,
               guard=f"{side}.{said} and {in_turn}", updates={f"{side}.{said}": "0"})
        for side, other in (SIDES, SIDES[::-1])
        for said, event, whom, in_turn in (("asks", Ask, side, f"not {side}.tells"), ("tells", Tell, other, "True"))
    ),
    reactions={
        "interlock.unlock": {f"{side}.unlocks": f"{side}.unlocks or event.unlocks == '{side}'" for side in SIDES}
    },
    properties=(
        always("A2", "never both doors open", "not (outer.state == Door.OPEN and inner.state == Door.OPEN)"),
        sometimes("A3", "one waits until the other is shut", "outer.state == Door.OPEN and interlock.waiting"),
    ),
)  # fmt: skip
