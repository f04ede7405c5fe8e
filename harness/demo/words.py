"""What happened, in a few words a line: the engine's steps, the naive client's notes, and what the server saw."""

from __future__ import annotations

import enum
import heapq
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final, TypeAlias

import attrs

from gatewright.fsm.journal import Record
from gatewright.harness.demo.clients import EngineRun, Heard, NaiveRun
from gatewright.harness.fake import (
    Acted,
    Closed,
    CloseFrame,
    Dark,
    Delay,
    Drop,
    MetadataAnswered,
    MetadataRequested,
    Opened,
    Received,
    Sent,
    Side,
    Withhold,
)
from gatewright.harness.fake import Record as Logged
from gatewright.harness.naive import Note
from gatewright.spec.events import Dispatched, HeartbeatAcked, HeartbeatDue
from gatewright.spec.protocol import END_SESSION_CODE, KEEP_SESSION_CODE, Opcode
from gatewright.spec.rows import RowKind
from gatewright.spec.states import State


class Tone(enum.Enum):
    """How a line is meant; each view has its own way of showing it."""

    PLAIN = enum.auto()
    GOOD = enum.auto()
    BAD = enum.auto()
    WAITING = enum.auto()
    REFUSED = enum.auto()
    QUIET = enum.auto()


@attrs.frozen
class Line:
    """One line of what happened, on trio's clock: by a client, or as its `server` saw it.

    An arrow to the right is what goes to the server, one to the left what comes from it, and a triangle begins a state.
    `short` is for where there is
    little room. A `beat` belongs to the heartbeats, which most acts leave out.
    """

    time: float
    text: str
    tone: Tone = Tone.PLAIN
    server: bool = False
    short: str = ""
    beat: bool = False

    @property
    def brief(self) -> str:
        """`short`, if there is one."""
        return self.short or self.text


Source: TypeAlias = tuple[Sequence[Any], Callable[[Any], Line | None]]
"""What grows, and how one entry of it is said. Entries are of one kind for each source, which the pairing ensures."""


def sources(run: EngineRun | NaiveRun) -> tuple[Source, ...]:
    """Where the lines about a client come from: itself, and its server."""
    server: Source = (run.fake.log, _of_server)
    if isinstance(run, NaiveRun):
        return (run.notes, _of_note), server
    return (run.records, _of_step), (run.heard, _of_event), server


def lines(run: EngineRun | NaiveRun) -> list[Line]:
    """All lines about a client, in order."""
    said = ([line for entry in entries if (line := say(entry)) is not None] for entries, say in sources(run))
    return list(heapq.merge(*said, key=_time))


_time: Final = attrgetter("time")

_TONES: Final = {
    State.READY: Tone.GOOD,
    State.STALLED: Tone.BAD,
    State.FAILED: Tone.BAD,
    State.DRAINING: Tone.WAITING,
    State.BACKING_OFF: Tone.WAITING,
}


def _of_step(record: Record) -> Line | None:
    if record.kind is RowKind.REFUSE:
        return Line(record.time, f"{record.event}() is refused", Tone.REFUSED)
    if record.moved:
        tone = _TONES.get(record.to, Tone.PLAIN)
        return Line(record.time, f"▸ {record.to} ({record.event})", tone, short=f"▸ {record.to}")
    if record.kind is RowKind.UNEXPECTED:
        return Line(record.time, f"unexpected: {record.event}", Tone.WAITING)
    if record.event == HeartbeatDue.name:
        return Line(record.time, "a heartbeat is due", Tone.QUIET, beat=True)
    if record.event == HeartbeatAcked.name and record.kind is RowKind.TAKE:
        return Line(record.time, "it is acknowledged", Tone.QUIET, beat=True)
    if record.event in _TOLD_OTHERWISE or record.kind is RowKind.IGNORE:
        return None
    return Line(record.time, record.event, Tone.QUIET)


_TOLD_OTHERWISE: Final = frozenset({Dispatched.name, HeartbeatAcked.name})


def _of_event(heard: Heard) -> Line | None:
    event = heard.event
    if event.type in {"READY", "RESUMED"}:
        return None  # the step says so
    again = " (replayed)" if event.replayed else ""
    if event.type == "MESSAGE_CREATE":
        said = f"bot hears “{event.data['content']}”"
        return Line(heard.time, said + again, short=f"hears “{event.data['content']}”")
    return Line(heard.time, f"bot hears {event.type}{again}", Tone.QUIET, short=f"hears {event.type}")


def _of_note(note: Note) -> Line:
    return Line(note.time, note.text)


def _of_server(record: Logged) -> Line | None:
    found = _server_words(record)
    if found is None:
        return None
    text, tone = found
    short = f"← dispatch {record.seq}" if isinstance(record, Sent) and record.seq and tone is Tone.PLAIN else ""
    return Line(record.time, text, tone, server=True, short=short, beat=_is_beat(record))


def _is_beat(record: Logged) -> bool:
    return (isinstance(record, Received) and record.op == Opcode.HEARTBEAT) or (
        isinstance(record, Sent) and record.op == Opcode.HEARTBEAT_ACK
    )


def _server_words(record: Logged) -> tuple[str, Tone] | None:
    match record:
        case Received(op=int(op)):
            return _received(Opcode(op), record.data)
        case Sent(op=int(op)):
            return _sent(Opcode(op), record.event, record.seq)
        case Opened(connection=number):
            return f"→ opens socket {number}", Tone.QUIET
        case Closed(connection=number):
            return f"socket {number} is gone", Tone.QUIET
        case CloseFrame(by=Side.SERVER, code=code) if code in {KEEP_SESSION_CODE, END_SESSION_CODE}:
            return None  # the answer to the client's own
        case CloseFrame(by=by, code=code):
            return f"{'←' if by is Side.SERVER else '→'} close {code}", Tone.BAD if by is Side.SERVER else Tone.WAITING
        case MetadataRequested():
            return "→ GET /gateway/bot", Tone.PLAIN
        case MetadataAnswered():
            return "← metadata", Tone.PLAIN
        case Acted(action=action, step=step):
            return _acted(action, step)
        case _:
            return None


def _received(op: Opcode, data: object) -> tuple[str, Tone]:
    match op:
        case Opcode.HEARTBEAT:
            return "→ heartbeat", Tone.QUIET
        case Opcode.IDENTIFY:
            return "→ IDENTIFY", Tone.GOOD
        case Opcode.RESUME:
            match data:
                case {"seq": int() as seq}:
                    return f"→ RESUME, seq {seq}", Tone.GOOD
                case _:
                    return "→ RESUME", Tone.GOOD
        case _:
            return f"→ {op.name}", Tone.PLAIN


def _sent(op: Opcode, event: str | None, seq: int | None) -> tuple[str, Tone]:
    match op:
        case Opcode.DISPATCH if event in {"READY", "RESUMED"}:
            return f"← {event}", Tone.GOOD
        case Opcode.DISPATCH:
            return f"← {event}, seq {seq}", Tone.PLAIN
        case Opcode.INVALID_SESSION:
            return "← op 9, invalid session", Tone.BAD
        case Opcode.HEARTBEAT_ACK:
            return "← ACK", Tone.QUIET
        case _:
            return f"← {op.name}", Tone.PLAIN


def _acted(action: object, step: str | None) -> tuple[str, Tone] | None:
    match action, step:
        case Drop(), _:
            return "cuts the socket", Tone.BAD
        case Dark(), _:
            return "goes dark", Tone.BAD
        case Withhold(), "metadata":
            return "gives no answer", Tone.BAD
        case Delay(seconds), "metadata":
            return f"answers in {seconds:g} s", Tone.WAITING
        case Delay(seconds), "accept":
            return f"accepts in {seconds:g} s", Tone.WAITING
        case _:
            return None
