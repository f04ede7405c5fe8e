"""What the demonstration promises: each a sentence, and a predicate over what was really seen.

The predicates read the servers' logs wherever a server can know, and the engine's journal and its consumer's events for
the rest. They hold at the end of their act and still hold at the end of the demonstration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs

from gatewright.fsm.journal import Record
from gatewright.harness.fake import Closed, CloseFrame, Log, Opened, Received, Sent, Side
from gatewright.harness.naive_races import Course, hello_without_handshake
from gatewright.spec.events import Connect
from gatewright.spec.protocol import CloseCode, Opcode
from gatewright.spec.rows import RowKind
from gatewright.spec.states import State
from gatewright.transport.dispatch import Dispatch

LIVE, AWAY, DARK = "live", "away", "dark"
"""What the messages of an act say, followed by their number."""

COUNTS: Final = {LIVE: 5, AWAY: 3, DARK: 2}
"""How many messages the server dispatches while the engine is there, away, and cut off without knowing it."""

FATAL_CODE: Final = CloseCode.AUTHENTICATION_FAILED


@attrs.frozen(kw_only=True)
class Evidence:
    """What was seen: the logs of the three servers, and the engine's records, events and state.

    `engine` is the log of the engine's server; `prompt` and `slow` are those of the naive client's two servers, whose
    metadata are prompt and slow.
    """

    engine: Log
    prompt: Log
    slow: Log
    records: Sequence[Record]
    events: Sequence[Dispatch]
    state: State


@attrs.frozen(kw_only=True)
class Promise:
    """One promise: its `id`, a `label` of a word or two, the whole sentence, and whether it was `seen`."""

    id: str
    label: str
    text: str
    seen: Callable[[Evidence], bool]


# The engine's connections, in the order of the acts.
_START, _AFTER_DROP, _AFTER_OP_9, _AFTER_ZOMBIE = 1, 2, 3, 4


def refusals(records: Sequence[Record]) -> list[Record]:
    """The commands that were refused."""
    return [record for record in records if record.kind is RowKind.REFUSE]


def _refused(evidence: Evidence) -> bool:
    refused = [
        record
        for record in refusals(evidence.records)
        if record.event == Connect.name and record.state is State.FETCHING_METADATA
    ]
    opened = evidence.engine.of(Opened)
    return bool(refused) and not refused[0].moved and not any(each.time <= refused[0].time for each in opened)


def _one_identify(evidence: Evidence) -> bool:
    return _handshakes(evidence.engine, _START) == [Opcode.IDENTIFY] and _sent(evidence.engine, "READY", _START) == 1


def _naive_is_ready(evidence: Evidence) -> bool:
    return naive_state(evidence.prompt) == "ready" and evidence.prompt.identifies == 1


def _naive_is_stuck(evidence: Evidence) -> bool:
    return naive_state(evidence.slow) == "stuck" and evidence.slow.identifies == 0


def _in_order(evidence: Evidence) -> bool:
    return _heard(evidence, LIVE, replayed=False)


def _resumed(evidence: Evidence) -> bool:
    cut = [record.connection for record in evidence.engine.of(Closed) if record.by is Side.SERVER and not record.code]
    return _START in cut and _is_resumed(evidence.engine, _AFTER_DROP) and _heard(evidence, AWAY, replayed=True)


def _fresh(evidence: Evidence) -> bool:
    log = evidence.engine
    refused = [sent.time for sent in log.of(Sent, connection=_AFTER_DROP) if sent.op == Opcode.INVALID_SESSION]
    opened = log.of(Opened, connection=_AFTER_OP_9)
    return (
        len(refused) == 1
        and _handshakes(log, _AFTER_OP_9) == [Opcode.IDENTIFY]
        and _sent(log, "READY", _AFTER_OP_9) == 1
        and opened[0].time - refused[0] >= 1.0  # P48: after 1 to 5 s
    )


def _zombie(evidence: Evidence) -> bool:
    found = any(
        record.to is State.STALLED and record.row == "ready.heartbeat_due.zombie" for record in evidence.records
    )
    return found and _is_resumed(evidence.engine, _AFTER_ZOMBIE) and _heard(evidence, DARK, replayed=True)


def _fatal(evidence: Evidence) -> bool:
    closes = [frame for frame in evidence.engine.of(CloseFrame) if frame.by is Side.SERVER and frame.code == FATAL_CODE]
    later = [opened for opened in evidence.engine.of(Opened) if closes and opened.time > closes[0].time]
    return bool(closes) and not later and evidence.state is State.FAILED


def _one_socket(evidence: Evidence) -> bool:
    return evidence.engine.max_open_connections == 1


PROMISES: Final = (
    Promise(
        id="refused",
        label="refusal",
        text="connect() before the metadata came was refused, and it changed nothing",
        seen=_refused,
    ),
    Promise(
        id="one-identify",
        label="one IDENTIFY",
        text="with slow metadata the engine reached READY, with exactly one IDENTIFY",
        seen=_one_identify,
    ),
    Promise(
        id="naive-ready",
        label="naive ready",
        text="with prompt metadata the naive client reached READY as well",
        seen=_naive_is_ready,
    ),
    Promise(
        id="naive-stuck",
        label="naive stuck",
        text="with slow metadata the naive client hung: a socket, HELLO, and no IDENTIFY ever",
        seen=_naive_is_stuck,
    ),
    Promise(
        id="in-order",
        label="in order",
        text=f"{COUNTS[LIVE]} dispatches came out in the order in which they were sent, once each",
        seen=_in_order,
    ),
    Promise(
        id="resumed",
        label="RESUME",
        text=f"after a drop one RESUME, no IDENTIFY, and the {COUNTS[AWAY]} events in between were replayed in order",
        seen=_resumed,
    ),
    Promise(
        id="fresh",
        label="op 9",
        text="after opcode 9 a wait of 1 s or more, one fresh IDENTIFY, and no RESUME of the dead session",
        seen=_fresh,
    ),
    Promise(
        id="zombie",
        label="zombie",
        text=f"a dark server was found out by a missing ACK; RESUME brought the {COUNTS[DARK]} events that were missed",
        seen=_zombie,
    ),
    Promise(
        id="fatal",
        label="fatal",
        text=f"close code {FATAL_CODE} ended in 'failed', and no connection was opened after it",
        seen=_fatal,
    ),
    Promise(
        id="one-socket",
        label="one socket",
        text="the server never saw two sockets of the engine at one time",
        seen=_one_socket,
    ),
)

BY_ID: Final = {promise.id: promise for promise in PROMISES}


def naive_state(log: Log) -> str:
    """What a server can say of the naive client: ``ready``, ``stuck`` (HELLO, then silence on an open socket)."""
    now = Course(began=0.0)  # the symptom asks for no time
    if hello_without_handshake(log, now):
        return "stuck"
    ready = any(sent.event == "READY" and log.is_open(sent.connection) for sent in log.of(Sent))
    return "ready" if ready else "connecting" if log.connections else "registering"


def summary(evidence: Evidence) -> dict[str, dict[str, dict[str, object]]]:
    """The last line of ``--json``: numbers out of the servers' logs, states and refusals as the engine had them."""
    return {
        "summary": {
            "engine": {
                "state": evidence.state.value,
                "identifies": evidence.engine.identifies,
                "resumes": evidence.engine.resumes,
                "illegal_refused": len(refusals(evidence.records)),
            },
            "naive": {"state": naive_state(evidence.slow), "identifies": evidence.slow.identifies},
        }
    }


def message(kind: str, number: int) -> dict[str, object]:
    """The data of a MESSAGE_CREATE; its content says which it is."""
    return {"id": str(1_000_000 + number), "channel_id": "1", "content": f"{kind} {number}"}


def heard(events: Sequence[Dispatch], kind: str) -> list[Dispatch]:
    """The messages of one kind among `events`, in the order in which they came."""
    return [
        event
        for event in events
        if event.type == "MESSAGE_CREATE" and str(event.data["content"]).startswith(f"{kind} ")
    ]


def _heard(evidence: Evidence, kind: str, *, replayed: bool) -> bool:
    found = heard(evidence.events, kind)
    wanted = [message(kind, number)["content"] for number in range(1, COUNTS[kind] + 1)]
    return [event.data["content"] for event in found] == wanted and all(event.replayed is replayed for event in found)


def _is_resumed(log: Log, connection: int) -> bool:
    return _handshakes(log, connection) == [Opcode.RESUME] and _sent(log, "RESUMED", connection) == 1


def _handshakes(log: Log, connection: int) -> list[int | None]:
    return [
        received.op
        for received in log.of(Received, connection=connection)
        if received.op in {Opcode.IDENTIFY, Opcode.RESUME}
    ]


def _sent(log: Log, event: str, connection: int) -> int:
    return sum(sent.event == event for sent in log.of(Sent, connection=connection))
