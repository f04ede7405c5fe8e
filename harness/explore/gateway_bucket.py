"""Two shards of one identify bucket in front of one gate: the shipped table twice, explored as a product.

What is left of each shard's surroundings leads it to the gate and away from it again: start-up without trouble, the
handshakes, what ends a connection or a session, the user's stop, suspend and force_identify. Beats, dispatches, a
consumer that is slow and whatever else a shard lives through by itself would only be squared here; see
:mod:`gatewright.harness.explore.gateway`. Faults and commands are of both shards together; deadlines pass for nothing.

The gate is the environment's. It gives one slot, and the next one when its holder has given it back, or has identified
and the spacing is over. A grant may be on its way while its shard goes elsewhere. It never takes a slot back by itself,
as the gate that is shipped does after half a minute, so that a shard that keeps one is seen.

    from gatewright.harness.explore.gateway_bucket import check
    check().assert_ok()
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

import attrs

from gatewright.harness.explore.environment import Action, Environment, choice, count, flag
from gatewright.harness.explore.gateway_environment import gateway_environment
from gatewright.harness.explore.gateway_table import SMALL, gateway_table
from gatewright.harness.explore.product import Product
from gatewright.harness.explore.projection import without
from gatewright.harness.explore.properties import Property, always, edge, eventually, sometimes
from gatewright.harness.explore.search import Bounds, Report, explore
from gatewright.harness.explore.table import AnyRow
from gatewright.spec import events
from gatewright.spec.table import TABLE

SHARDS: Final = ("left", "right")

QUICK: Final = Bounds(values={"faults": 0, "commands": 0})
"""Some 100 000 states, in which a shard stalls only because a deadline passes."""

DEFAULT: Final = Bounds(values={"faults": 1, "commands": 0})
"""Some 800 000 states: one of them is dropped, closed for good, or goes dark, wherever it is."""

DEEP: Final = Bounds(values={"faults": 1, "commands": 1})
"""For long runs."""

SETTINGS: Final = attrs.evolve(SMALL, hello_stalls_to_forget_url=1, hello_stalls_to_drop_session=2)
"""The smallest counts that there can be."""

FRESH: Final[Mapping[str, int]] = MappingProxyType({"strict": 0, "capped": 0, "session": 0, "received": 0, "kept": 0})
"""Both shards begin without a session, so that both come to the gate."""

KEPT: Final = frozenset(
    {
        *("user registers", "user asks: force_identify", "user asks: suspend", "user asks: stop"),
        *("registrations are applied", "registrations are undone", "metadata arrive", "deadline passes"),
        *("handshake succeeds", "connection drops", "network goes silent", "server closes with 4009"),
        *("server closes with 4004", "close frame has left", "server answers the close", "socket is aborted"),
        *("HELLO", "READY", "RESUMED", "the session is not known any more", "opcode 9, final"),
    }
)
"""What happens to a shard here, by the names of the actions of the environment in which it is explored by itself."""

_UNUSED: Final = frozenset({"greeted", "handshakes", "stopping", "undone_late", "gave_up"})
_SHARED: Final = frozenset({"faults", "commands"})
_STARTED: Final = "work == Work.NONE and not fetching"
"""Start-up is swift: no deadline passes during it."""
_GOALS: Final = ("IDLE", "READY", "SUSPENDED", "STOPPED", "FAILED")
"""Where a shard rests: it was not begun, it is there, or it is over."""


class Turn(enum.StrEnum):
    """What a shard's connection has asked the gate for."""

    NONE = "none"
    ASKED = "asked"
    GRANTED = "granted"  # and the grant is on its way


class Gate(enum.StrEnum):
    """What the bucket's next slot waits for."""

    FREE = "free"
    HELD = "held"
    SPACING = "spacing"  # an IDENTIFY was sent


_REACTIONS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "request_slot": {"turn": "Turn.ASKED"},
        "withdraw_slot": {"late": "late or turn == Turn.GRANTED", "turn": "Turn.NONE"},
        # What was granted to the connection before comes all the same, and is that connection's.
        "open_socket": {"old": "old or late or turn == Turn.GRANTED", "late": "0", "turn": "Turn.NONE"},
    }
)


def _grants() -> Iterator[Action]:
    """A grant, when it arrives: in time, after the request was withdrawn, or after another connection was opened."""
    for name, guard, updates, stale in (
        ("slot is granted", "turn == Turn.GRANTED", {"turn": "Turn.NONE"}, False),
        ("slot is granted, late", "late", {"late": "0"}, False),
        ("slot is granted to the connection before", "old", {"old": "0"}, True),
    ):
        yield Action(name=name, event=events.SlotGranted, guard=guard, updates=updates, payload={"stale": stale},
                     fair=True, lane="Gate")  # fmt: skip


def _kept(actions: Iterable[Action]) -> Iterator[Action]:
    for action in actions:
        if action.name in KEPT:
            timed = action.event is events.DeadlinePassed
            yield attrs.evolve(action, guard=f"{action.guard} and {_STARTED}") if timed else action


def surroundings() -> Environment:
    """What surrounds one shard alone: rows of the environment in which it is explored by itself, and its own grants."""
    whole = gateway_environment()
    own = without(attrs.evolve(whole, actions=tuple(_kept(whole.actions))), _UNUSED)
    reactions = {
        effect: {name: text for name, text in updates.items() if name != "slot"} | dict(_REACTIONS.get(effect, {}))
        for effect, updates in own.reactions.items()
    }
    heard = {action.event for action in own.actions} | {events.SlotGranted}
    return attrs.evolve(
        own,
        name="shard",
        variables=(
            *(each for each in own.variables if each.name not in {*_SHARED, "slot"}),
            choice("turn", Turn.NONE),
            flag("late"),  # a grant of the present connection that it does not wait for any more
            flag("old"),  # and one of the connection before
        ),
        actions=(*own.actions, *_grants()),
        reactions=reactions,
        enumerations=(*own.enumerations, Turn),
        properties=(),
        unheard={
            action.event: "no way to the gate or away from it"
            for action in whole.actions
            if action.event is not None and action.event not in heard
        },
    )


def _gate() -> Iterator[Action]:
    for shard in SHARDS:
        yield Action(name=f"the slot goes to {shard}", to=shard, fair=True, lane="Gate",
                     guard="turn == Turn.ASKED and gate == Gate.FREE",
                     updates={"turn": "Turn.GRANTED", "gate": "Gate.HELD"})  # fmt: skip
    yield Action(name="the spacing is over", guard="gate == Gate.SPACING", timer=True, lane="Gate",
                 updates={"gate": "Gate.FREE", "identifies": "0"})  # fmt: skip


def _out(shard: str) -> str:
    """How many slots are on their way to a shard."""
    return f"(1 if {shard}.turn == Turn.GRANTED else 0) + {shard}.late + {shard}.old"


def _properties() -> Iterator[Property]:
    one, other = SHARDS
    yield edge("I12", "IDENTIFY is sent with the slot that the gate gave",
               "not does('send_identify') or before.gate == Gate.HELD")  # fmt: skip
    yield always("I12", "no two IDENTIFYs of a bucket without the spacing between", "identifies <= 1")
    yield always("I12", "a slot that was given is on its way to one shard, until it is used or back",
                 f"{_out(one)} + {_out(other)} == (1 if gate == Gate.HELD else 0)")  # fmt: skip
    yield sometimes("I12", "both are ready", f"{one}.state == State.READY and {other}.state == State.READY")
    for shard, beside in ((one, other), (other, one)):
        waits = f"{shard}.turn == Turn.ASKED"
        yield sometimes("I12", f"{shard} waits for its slot while {beside} has one on its way",
                        f"{waits} and {beside}.turn == Turn.GRANTED")  # fmt: skip
        yield sometimes("I12", f"{shard} waits for the spacing after {beside} has identified",
                        f"{waits} and {beside}.state == State.IDENTIFIED and gate == Gate.SPACING")  # fmt: skip
        yield sometimes("I12", f"{shard} identifies while READY of {beside} is awaited still",
                        f"{shard}.state == State.IDENTIFIED and {beside}.state == State.IDENTIFIED")  # fmt: skip
        yield eventually("I19", f"{shard} comes to rest, whatever becomes of {beside}",
                         " or ".join(f"{shard}.state == State.{goal}" for goal in _GOALS))  # fmt: skip
        yield sometimes("I19", f"{shard} is ready while {beside} is stalled",
                        f"{shard}.state == State.READY and {beside}.state == State.STALLED")  # fmt: skip
        yield sometimes("I19", f"{shard} waits while {beside} is stalled, with a slot on its way",
                        f"{waits} and {beside}.state == State.STALLED and {beside}.late")  # fmt: skip
        yield sometimes("I19", f"{shard} waits while a slot is on its way to a connection of {beside} that is gone",
                        f"{waits} and {beside}.old")  # fmt: skip


def gate() -> Environment:
    """What both share: the gate, how much may go wrong, and what must hold."""
    return Environment(
        name="identify gate",
        variables=(
            choice("gate", Gate.FREE),
            count("identifies", 2),  # ghost: IDENTIFYs since the spacing began
            *(each for each in gateway_environment().variables if each.name in _SHARED),
        ),
        actions=tuple(_gate()),
        reactions={
            "send_identify": {"gate": "Gate.SPACING", "identifies": "identifies + 1"},
            "return_slot": {"gate": "Gate.FREE if gate == Gate.HELD else gate"},
        },
        enumerations=(Gate,),
        properties=tuple(_properties()),
    )


def bucket(rows: tuple[AnyRow, ...] = TABLE) -> Product:
    """The two shards."""
    table = gateway_table(rows, settings=SETTINGS)
    return Product(name="bucket", machines=dict.fromkeys(SHARDS, table), around=dict.fromkeys(SHARDS, surroundings()))


def check(
    bounds: Bounds = DEFAULT,
    *,
    rows: tuple[AnyRow, ...] = TABLE,
    environment: Environment | None = None,
    properties: Iterable[Property] = (),
) -> Report:
    """Explores the bucket.

    Args:
        bounds: how far; a name without a machine is of both shards.
        rows: the table of both.
        environment: the gate, if it is not the one that is meant to be.
        properties: more that must hold.

    Returns:
        The report. Rows that no step takes are not asked after: most of the table is explored elsewhere. Some 13 s at
        the default bounds.
    """
    within = attrs.evolve(bounds, values={**FRESH, **bounds.values})
    return explore(bucket(rows), gate() if environment is None else environment, within, properties, coverage=False)
