"""Everything that can happen to a shard, as rows: user, network, Discord, metadata end point, identify gate, time.

A variable says what is there, an action what can happen next, a reaction what an effect asks for. Failures spend the
budget `faults`, commands of the user the budget `commands`; both are bounds of the exploration. The environment never
looks at the state of the machine: an effect that a table forgets is a question that nobody answers.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from gatewright.harness.explore.environment import Action, Environment, choice, count, flag
from gatewright.harness.explore.gateway_properties import PROPERTIES
from gatewright.spec import events
from gatewright.spec.events import MetadataError
from gatewright.spec.protocol import CloseKind

MOST_FAULTS: Final = 7
MOST_COMMANDS: Final = 3


class Link(enum.StrEnum):
    """What there is of a connection."""

    NONE = "none"
    OPENING = "opening"
    OPEN = "open"
    DARK = "dark"  # half-open: nothing comes through any more, and nobody says so


class Server(enum.StrEnum):
    """What the server waits for, or owes."""

    OWES_HELLO = "owes_hello"
    GREETED = "greeted"
    OWES_READY = "owes_ready"
    OWES_RESUMED = "owes_resumed"
    LIVE = "live"


class Slot(enum.StrEnum):
    """What the identify gate was asked for."""

    NONE = "none"
    ASKED = "asked"
    WITHDRAWN = "withdrawn"  # its grant may be on its way all the same


class Work(enum.StrEnum):
    """What is being done about the registrations."""

    NONE = "none"
    APPLYING = "applying"
    UNDOING = "undoing"
    UNDONE = "undone"  # and what was given up may still end


VARIABLES: Final = (
    choice("link", Link.NONE),
    choice("server", Server.OWES_HELLO),
    count("closing", 2),  # 1: our close frame is on its way, 2: it has left
    flag("aborting"),
    flag("held"),  # the consumer holds the reader back
    count("beats", 2),  # heartbeats without their ACK
    flag("greeted"),  # ghost: HELLO came on this connection
    count("handshakes", 2),  # ghost: IDENTIFYs and RESUMEs sent on it
    choice("slot", Slot.NONE),
    choice("work", Work.NONE),
    flag("undone_late"),  # an undoing that the shard no longer waits for
    flag("fetching"),
    flag("gave_up"),  # a metadata request was given up; its answer may come all the same
    flag("kept", False, True),  # the server keeps the session that we were told
    flag("stopping"),  # ghost: stop was taken
    count("faults", MOST_FAULTS, initial=2),
    count("commands", MOST_COMMANDS, initial=2),
)

_GONE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "link": "Link.NONE", "server": "Server.OWES_HELLO", "closing": "0", "aborting": "0", "held": "0", "beats": "0",
        "greeted": "0", "handshakes": "0",
    }
)  # fmt: skip
_FAULT: Final[Mapping[str, str]] = MappingProxyType({"faults": "faults - 1"})
_UP: Final = "link == Link.OPEN and not aborting"
_HEARD: Final = f"{_UP} and not held"
"""Messages come through."""

REACTIONS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "apply_registrations": {"undone_late": "undone_late or work == Work.UNDOING", "work": "Work.APPLYING"},
        "undo_registrations": {"work": "Work.UNDOING"},
        "fetch_metadata": {"fetching": "1"},
        "cancel_metadata": {"gave_up": "gave_up or fetching", "fetching": "0"},
        "open_socket": {**_GONE, "link": "Link.OPENING", "slot": "Slot.NONE"},
        "close_keeping_session": {"closing": "1"},
        "close_ending_session": {"closing": "1", "kept": "0"},
        "abort_socket": {"aborting": "link != Link.NONE"},
        "request_slot": {"slot": "Slot.ASKED"},
        "withdraw_slot": {"slot": "Slot.WITHDRAWN if slot == Slot.ASKED else Slot.NONE"},
        "return_slot": {},
        "send_identify": {"server": "Server.OWES_READY", "handshakes": "handshakes + 1"},
        "send_resume": {"server": "Server.OWES_RESUMED", "handshakes": "handshakes + 1"},
        "send_heartbeat": {"beats": "beats + 1"},
        "deliver": {},
    }
)


def _commands() -> Iterator[Action]:
    """The user. A command may come at any time; `register` is free, because nothing happens without it."""
    yield Action(name="user registers", event=events.Register, told="events.Register('client')", lane="User")
    for command in (events.Connect, events.Reconnect, events.ForceIdentify, events.Suspend, events.Stop):
        yield Action(
            name=f"user asks: {command.name}",
            event=command,
            guard="commands > 0",
            updates={"commands": "commands - 1", **({"stopping": "1"} if command is events.Stop else {})},
            told=f"events.{command.__name__}()",
            lane="User",
        )


def _timers() -> Iterator[Action]:
    """Time. What a clock decides is a payload, so that both answers are explored."""
    fresh = {"acks_fresh": (False, True)}
    yield Action(name="deadline passes", event=events.DeadlinePassed, guard="deadline", timer=True,
                 payload={"time_left": False, **fresh}, told="events.DeadlinePassed()", lane="Clock")  # fmt: skip
    # Its cap passes in the end, so this one ceases like a fault.
    yield Action(name="deadline passes, with time left", event=events.DeadlinePassed, guard="deadline", fault=True,
                 payload={"time_left": True, **fresh}, unlike="deadline passes", told="events.DeadlinePassed()",
                 lane="Clock")  # fmt: skip
    yield Action(name="heartbeat is due", event=events.HeartbeatDue, guard="beat_at", timer=True,
                 told="events.HeartbeatDue()", lane="Clock")  # fmt: skip


def _start_up() -> Iterator[Action]:
    """Registrations and metadata."""
    yield Action(name="registrations are applied", event=events.Registered, guard="work == Work.APPLYING", fair=True,
                 updates={"work": "Work.NONE"}, told="events.Registered()", lane="Client")  # fmt: skip
    yield Action(name="a registration fails", event=events.RegistrationFailed,
                 guard="work == Work.APPLYING and faults > 0", fault=True, updates={"work": "Work.NONE", **_FAULT},
                 told="events.RegistrationFailed('it raised')", lane="Client")  # fmt: skip
    yield Action(name="registrations are undone", event=events.RegistrationUndone, guard="work == Work.UNDOING",
                 fair=True, updates={"work": "Work.UNDONE"}, told="events.RegistrationUndone()",
                 lane="Client")  # fmt: skip
    yield Action(name="registrations are undone, late", event=events.RegistrationUndone, guard="undone_late",
                 updates={"undone_late": "0"}, told="events.RegistrationUndone()", lane="Client")  # fmt: skip
    for event in (events.Registered, events.RegistrationFailed):
        yield Action(name=f"{event.name} comes after it was given up", event=event, lane="Client",
                     guard="work == Work.UNDOING or work == Work.UNDONE",
                     told=f"events.{event.__name__}()")  # fmt: skip
    metadata = "events.MetadataFetched({request}, 'wss://main.example/')"
    yield Action(name="metadata arrive", event=events.MetadataFetched, guard="fetching", fair=True,
                 payload={"late": False}, updates={"fetching": "0"}, told=metadata, lane="Discord")  # fmt: skip
    for error in MetadataError:
        yield Action(name=f"metadata fail: {error}", event=events.MetadataFailed, guard="fetching and faults > 0",
                     fault=True, payload={"late": False, "error": error}, updates={"fetching": "0", **_FAULT},
                     told=f"events.MetadataFailed({{request}}, events.MetadataError.{error.name})",
                     lane="Discord")  # fmt: skip
    late = {"late": True}
    yield Action(name="metadata of a request that was given up", event=events.MetadataFetched, guard="gave_up",
                 payload=late, told=metadata.replace("{request}", "{old_request}"), lane="Discord")  # fmt: skip
    yield Action(name="failure of a request that was given up", event=events.MetadataFailed, guard="gave_up",
                 payload={**late, "error": MetadataError.FATAL}, lane="Discord",
                 told="events.MetadataFailed({old_request}, events.MetadataError.FATAL)")  # fmt: skip


def _network() -> Iterator[Action]:
    """The socket: how it comes to be, and how it ends. What has ended it may be known already when it is aborted."""
    now = {"stale": False}
    yield Action(name="handshake succeeds", event=events.Opened, guard="link == Link.OPENING and not aborting",
                 fair=True, payload=now, updates={"link": "Link.OPEN"}, told="events.Opened({gen})",
                 lane="Network")  # fmt: skip
    yield Action(name="handshake succeeds while it is aborted", event=events.Opened,
                 guard="link == Link.OPENING and aborting", payload=now, told="events.Opened({gen})",
                 lane="Network")  # fmt: skip
    yield Action(name="handshake fails", event=events.ConnectFailed, guard="link == Link.OPENING and faults > 0",
                 fault=True, payload=now, updates={**_GONE, **_FAULT}, told="events.ConnectFailed({gen})",
                 lane="Network")  # fmt: skip
    yield Action(name="network goes silent", guard=f"{_UP} and faults > 0", fault=True,
                 updates={"link": "Link.DARK", **_FAULT}, lane="Network")  # fmt: skip
    yield Action(name="connection drops", event=events.Closed, fault=True, lane="Network",
                 guard="(link == Link.OPEN or link == Link.DARK) and faults > 0",
                 payload={**now, "close": CloseKind.RESUMABLE}, updates={**_GONE, **_FAULT},
                 told="events.Closed({gen})")  # fmt: skip
    codes = {CloseKind.RESUMABLE: 4000, CloseKind.RATE_LIMITED: 4008, CloseKind.NEW_SESSION: 4009,
             CloseKind.FATAL: 4004}  # fmt: skip
    for kind, code in codes.items():
        ends = {"kept": "0"} if kind in {CloseKind.NEW_SESSION, CloseKind.FATAL} else {}
        yield Action(name=f"server closes with {code}", event=events.Closed, fault=True,
                     guard="link == Link.OPEN and faults > 0",
                     payload={**now, "close": kind}, updates={**_GONE, **_FAULT, **ends}, lane="Discord",
                     told=f"events.Closed({{gen}}, {code})")  # fmt: skip
    yield Action(name="close frame has left", event=events.CloseFlushed, fair=True, payload=now, lane="Network",
                 guard="closing == 1 and (link == Link.OPEN or link == Link.DARK) and not aborting",
                 updates={"closing": "2"}, told="events.CloseFlushed({gen})")  # fmt: skip
    yield Action(name="server answers the close", event=events.Closed, fair=True, updates=_GONE, lane="Discord",
                 guard="link == Link.OPEN and closing > 0", payload={**now, "close": CloseKind.RESUMABLE},
                 told="events.Closed({gen}, 4000)")  # fmt: skip
    yield Action(name="socket is aborted", event=events.Aborted, guard="aborting", fair=True, payload=now,
                 updates=_GONE, told="events.Aborted({gen})", lane="Network")  # fmt: skip
    open_ = "(link == Link.OPEN or link == Link.DARK) and not aborting"
    yield Action(name="a write is blocked", event=events.WriteBlocked, guard=f"{open_} and faults > 0", fault=True,
                 payload=now, updates=_FAULT, told="events.WriteBlocked({gen})", lane="Network")  # fmt: skip
    yield Action(name="consumer holds the reader back", event=events.ReadingPaused,
                 guard=f"{open_} and not held and faults > 0", fault=True, payload=now,
                 updates={"held": "1", **_FAULT}, told="events.ReadingPaused({gen})", lane="Client")  # fmt: skip
    yield Action(name="consumer lets the reader go on", event=events.ReadingResumed, guard=f"{open_} and held",
                 fair=True, payload=now, updates={"held": "0"}, told="events.ReadingResumed({gen})",
                 lane="Client")  # fmt: skip
    yield Action(name="consumer is too slow", event=events.QueueOverflowed, fault=True, payload=now,
                 guard="link == Link.OPEN and not aborting and not held and handshakes > 0 and faults > 0",
                 told="events.QueueOverflowed({gen})", lane="Client")  # fmt: skip
    yield Action(name="session expires", guard="kept and faults > 0", fault=True, updates={"kept": "0", **_FAULT},
                 lane="Discord")  # fmt: skip


_READY: Final = "events.Ready({gen}, 1, 'session', {url})"


def _server() -> Iterator[Action]:
    """What an honest Discord says, and its bad days."""
    now = {"stale": False}
    yield Action(name="HELLO", event=events.Hello, guard=f"{_HEARD} and server == Server.OWES_HELLO", fair=True,
                 payload=now, updates={"server": "Server.GREETED", "greeted": "1"}, lane="Discord",
                 told="events.Hello({gen}, 40.0)")  # fmt: skip
    yield Action(name="heartbeat ACK", event=events.HeartbeatAcked, guard=f"{_HEARD} and beats > 0", fair=True,
                 payload=now, updates={"beats": "beats - 1"}, told="events.HeartbeatAcked({gen})",
                 lane="Discord")  # fmt: skip
    yield Action(name="heartbeat is asked for", event=events.HeartbeatRequested,
                 guard=f"{_HEARD} and server != Server.OWES_HELLO and faults > 0", payload=now, lane="Discord",
                 told="events.HeartbeatRequested({gen})")  # fmt: skip
    begun = {"server": "Server.LIVE", "kept": "1"}
    yield Action(name="READY", event=events.Ready, guard=f"{_HEARD} and server == Server.OWES_READY", fair=True,
                 payload={**now, "has_url": True}, updates=begun, told=_READY, lane="Discord")  # fmt: skip
    yield Action(name="READY without a resume URL", event=events.Ready, fault=True, lane="Discord",
                 guard=f"{_HEARD} and server == Server.OWES_READY and faults > 0",
                 payload={**now, "has_url": False}, updates={**begun, **_FAULT}, told=_READY)  # fmt: skip
    yield Action(name="READY instead of RESUMED", event=events.Ready, fault=True, lane="Discord",
                 guard=f"{_HEARD} and server == Server.OWES_RESUMED and faults > 0",
                 payload={**now, "has_url": (True, False)}, updates={**begun, **_FAULT}, told=_READY)  # fmt: skip
    yield Action(name="RESUMED", event=events.Resumed, guard=f"{_HEARD} and server == Server.OWES_RESUMED and kept",
                 fair=True, payload={**now, "advances": True}, updates={"server": "Server.LIVE"}, lane="Discord",
                 told="events.Resumed({gen}, {seq})")  # fmt: skip
    yield Action(name="the session is not known any more", event=events.SessionInvalidated, fair=True, lane="Discord",
                 guard=f"{_HEARD} and server == Server.OWES_RESUMED and not kept",
                 payload={**now, "resumable": False}, updates={"server": "Server.GREETED"},
                 told="events.SessionInvalidated({gen}, False)")  # fmt: skip
    yield Action(name="a dispatch", event=events.Dispatched, lane="Discord",
                 guard=f"{_HEARD} and (server == Server.LIVE or server == Server.OWES_RESUMED)",
                 payload={**now, "advances": (True, False)},
                 told="events.Dispatched({gen}, {seq}, 'MESSAGE_CREATE')")  # fmt: skip
    yield Action(name="opcode 7", event=events.ReconnectRequested, guard=f"{_HEARD} and faults > 0", fault=True,
                 payload=now, updates=_FAULT, told="events.ReconnectRequested({gen})", lane="Discord")  # fmt: skip
    yield Action(name="opcode 9, resumable", event=events.SessionInvalidated, guard=f"{_HEARD} and faults > 0",
                 fault=True, payload={**now, "resumable": True}, updates=_FAULT, lane="Discord",
                 told="events.SessionInvalidated({gen}, True)")  # fmt: skip
    yield Action(name="opcode 9, final", event=events.SessionInvalidated, guard=f"{_HEARD} and faults > 0", fault=True,
                 payload={**now, "resumable": False}, updates={"kept": "0", **_FAULT}, lane="Discord",
                 told="events.SessionInvalidated({gen}, False)")  # fmt: skip
    yield Action(name="nonsense", event=events.ProtocolViolation, guard=f"{_HEARD} and faults > 0", fault=True,
                 payload=now, updates=_FAULT, lane="Discord",
                 told="events.ProtocolViolation({gen}, events.ViolationKind.NOT_JSON)")  # fmt: skip


def _out_of_turn() -> Iterator[Action]:
    """What nobody asked for. It costs nothing, because most of it changes nothing."""
    told: dict[type[events.Event], str] = {
        events.Hello: "events.Hello({gen}, 40.0)",
        events.HeartbeatAcked: "events.HeartbeatAcked({gen})",
        events.HeartbeatRequested: "events.HeartbeatRequested({gen})",
        events.Ready: _READY,
        events.Resumed: "events.Resumed({gen}, {seq})",
        events.Dispatched: "events.Dispatched({gen}, {seq}, 'MESSAGE_CREATE')",
        events.UnknownMessage: "events.UnknownMessage({gen}, 12)",
    }
    turn: dict[type[events.Event], str] = {
        events.Hello: "server != Server.OWES_HELLO",
        events.HeartbeatAcked: "beats == 0",
        events.HeartbeatRequested: "server == Server.OWES_HELLO",
        events.Ready: "server != Server.OWES_READY and server != Server.OWES_RESUMED",
        events.Resumed: "server != Server.OWES_RESUMED",
        events.Dispatched: "server != Server.LIVE and server != Server.OWES_RESUMED",
        events.UnknownMessage: "True",
    }
    for event, text in told.items():
        yield Action(name=f"{event.name} out of turn", event=event, fault=True, told=text, lane="Discord",
                     guard=f"{_HEARD} and faults > 0 and {turn[event]}",
                     payload={"stale": False, "advances": True, "has_url": (True, False)})  # fmt: skip


_NO_MATTER: Final[Mapping[str, object]] = MappingProxyType({"more": False, "refusal": events.SlotRefusal.OUTAGE})
"""What a refusal says when nobody asks."""
_SLOT_TOLD: Final[Mapping[type[events.Event], str]] = MappingProxyType(
    {
        events.SlotGranted: "events.SlotGranted({gen})",
        events.SlotQueued: "events.SlotQueued({gen}, 7.0)",
        events.SlotUnavailable: "events.SlotUnavailable({gen}, events.SlotRefusal.OUTAGE, 3.0)",
    }
)


def _gate() -> Iterator[Action]:
    """The identify gate, which is another's code: it may answer late, and it may answer twice."""
    now = {"stale": False}
    asked = "slot == Slot.ASKED"
    yield Action(name="slot is granted", event=events.SlotGranted, guard=asked, fair=True, payload=now, lane="Gate",
                 updates={"slot": "Slot.NONE"}, told=_SLOT_TOLD[events.SlotGranted])  # fmt: skip
    yield Action(name="slot is queued", event=events.SlotQueued, guard=asked, payload=now, lane="Gate",
                 told=_SLOT_TOLD[events.SlotQueued])  # fmt: skip
    for refusal in events.SlotRefusal:
        yield Action(name=f"slot is refused: {refusal}", event=events.SlotUnavailable, guard=f"{asked} and faults > 0",
                     fault=True, payload={**now, "more": (False, True), "refusal": refusal},
                     updates={"slot": "Slot.NONE", **_FAULT}, lane="Gate",
                     told=f"events.SlotUnavailable({{gen}}, events.SlotRefusal.{refusal.name}, 3.0)")  # fmt: skip
    for event, told in _SLOT_TOLD.items():
        yield Action(name=f"{event.name} after the request was withdrawn", event=event, lane="Gate", told=told,
                     payload={**now, **_NO_MATTER}, guard="slot == Slot.WITHDRAWN")  # fmt: skip
        yield Action(name=f"{event.name} a second time", event=event, fault=True, lane="Gate", told=told,
                     guard=f"{_UP} and handshakes > 0 and faults > 0", payload={**now, **_NO_MATTER})  # fmt: skip


_OLD: Final = "gen > 1 or gen > 0 and link == Link.NONE"
_OLD_PAYLOAD: Final[Mapping[type[events.Event], Mapping[str, object]]] = MappingProxyType(
    {
        events.Closed: {"close": tuple(CloseKind)},
        events.SessionInvalidated: {"resumable": (False, True)},
        events.Ready: {"has_url": True},
        events.Dispatched: {"advances": True},
        events.Resumed: {"advances": True},
    }
)
_OLD_TOLD: Final[Mapping[type[events.Event], str]] = MappingProxyType(
    {
        events.Hello: "events.Hello({old_gen}, 40.0)",
        events.Closed: "events.Closed({old_gen})",
        events.SessionInvalidated: "events.SessionInvalidated({old_gen}, {resumable})",
        events.Ready: "events.Ready({old_gen}, 1, 'old session')",
        events.Dispatched: "events.Dispatched({old_gen}, 99, 'MESSAGE_CREATE')",
        events.Resumed: "events.Resumed({old_gen}, 99)",
        events.UnknownMessage: "events.UnknownMessage({old_gen}, 12)",
        events.ProtocolViolation: "events.ProtocolViolation({old_gen}, events.ViolationKind.NOT_JSON)",
    }
)


def _stale() -> Iterator[Action]:
    """Whatever a connection may say, from one that has ended."""
    for event in (*events.OUTCOMES, *events.MESSAGES):
        if issubclass(event, events.ConnectionEvent):
            yield Action(name=f"{event.name} of an old connection", event=event, guard=_OLD, lane="Network",
                         payload={"stale": True, **_NO_MATTER, **_OLD_PAYLOAD.get(event, {})},
                         told=_OLD_TOLD.get(event, f"events.{event.__name__}({{old_gen}})"))  # fmt: skip


def gateway_environment() -> Environment:
    """The environment of one shard, with the invariants as properties."""
    return Environment(
        name="gateway",
        variables=VARIABLES,
        actions=(
            *_commands(), *_timers(), *_start_up(), *_network(), *_server(), *_gate(), *_out_of_turn(), *_stale(),
        ),
        reactions=REACTIONS,
        properties=PROPERTIES,
        enumerations=(Link, Server, Slot, Work),
        beginning="kept <= (session > 0)",
    )  # fmt: skip
