"""The faults by name, and scripts that play each of them in a phase of a client's life.

    fake.script = FAULTS["silence"].script(Phase.RESUMING)      # one fault, then a healthy server
    fake.script = Faults(seed=7).script                         # twenty connections, most of them with some fault

A phase is what the *client* is doing when the fault comes, under the names of the shard's states. The server sees the
same moments in any client, so a script made here fits a bot in any language.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias, cast

import attrs
import msgspec

from gatewright.harness.fake.script import (
    Amend,
    Answer,
    Close,
    Connection,
    Corrupt,
    Dark,
    Delay,
    Dispatch,
    Drop,
    Forget,
    Fragment,
    HandshakeAction,
    Invalidate,
    MessageAction,
    MetadataAction,
    Raw,
    Reconnect,
    RequestHeartbeat,
    Send,
    Withhold,
)
from gatewright.spec.protocol import CloseCode

UNREACHABLE: Final = "wss://unreachable.gateway.invalid"
"""A URL that nothing answers: the name does not resolve, and ``FakeGateway.open_stream`` refuses it."""

_SOON: Final = Delay(5.0)
"""How long a session lives before a fault of the phases that need one."""


class Phase(enum.StrEnum):
    """What the client is doing when a fault comes."""

    FETCHING_METADATA = "fetching_metadata"
    CONNECTING = "connecting"
    AWAITING_HELLO = "awaiting_hello"
    AWAITING_IDENTIFY_SLOT = "awaiting_identify_slot"
    IDENTIFIED = "identified"
    RESUMING = "resuming"
    READY = "ready"
    DRAINING = "draining"
    BACKING_OFF = "backing_off"


_P = Phase
_TALKING: Final = (_P.AWAITING_HELLO, _P.AWAITING_IDENTIFY_SLOT, _P.IDENTIFIED, _P.RESUMING, _P.READY)
_HANDSHAKE: Final = (_P.AWAITING_HELLO, _P.IDENTIFIED, _P.RESUMING)
_BEATING: Final = (_P.AWAITING_IDENTIFY_SLOT, _P.IDENTIFIED, _P.RESUMING, _P.READY)
_SOCKET: Final = (_P.CONNECTING, *_TALKING, _P.DRAINING)
_SESSION: Final = (_P.RESUMING, _P.READY)

Action: TypeAlias = HandshakeAction | MessageAction | MetadataAction


@attrs.frozen(kw_only=True)
class Fault:
    """One way to fail.

    Attributes:
        name: as scripts on disk, the table of the tour and ``Faults`` call it.
        meaning: one line for a reader.
        actions: what is played, in order; then the step of the phase happens unless one of them was final.
        phases: in which phases it can occur.
        within: seconds in which a shard of ours is ``ready`` again, or failed, from when the fault was played; in any
            of the phases. The tour holds it to that.
        fails_with: the close code or HTTP status that a shard must give up for; ``None`` if it must recover.
        harmless: whether the connection must survive it, since nothing of it breaks the protocol's promises.
        unacknowledged: whether heartbeats go unacknowledged as well, from the beginning of the connection.
        amends_ready: a change of READY that the fault needs.
        compress: the transport compression without which the fault means nothing.
    """

    name: str
    meaning: str
    actions: tuple[Action, ...] = ()
    phases: tuple[Phase, ...]
    within: float
    fails_with: int | None = None
    harmless: bool = False
    unacknowledged: bool = False
    amends_ready: Amend | None = None
    compress: str | None = None

    def script(self, phase: Phase) -> tuple[Connection, ...]:
        """Connections of which one plays the fault in `phase`; the last one is healthy and repeats.

        For a fault in the metadata, all connections are healthy: see `metadata`.

        Raises:
            ValueError: if it cannot occur in `phase`.
        """
        self._check(phase)
        return (*_STAGES[phase](self), Connection())

    def metadata(self, phase: Phase) -> tuple[tuple[MetadataAction, ...], ...]:
        """Plans for metadata requests; the last one is healthy and repeats. Empty for a fault of the websocket."""
        self._check(phase)
        if phase is not Phase.FETCHING_METADATA:
            return ()
        return (cast("tuple[MetadataAction, ...]", self.actions), ())

    def _check(self, phase: Phase) -> None:
        if phase not in self.phases:
            raise ValueError(f"{self.name} cannot occur in {phase}; it can in: {', '.join(self.phases)}")


def server_frame(payload: Mapping[str, object]) -> bytes:
    """A text frame as a server sends it, for `Raw`: what wsproto would not send any more at that point."""
    data = msgspec.json.encode(payload)
    if len(data) > 125:
        raise ValueError(f"{len(data)} bytes; this is for payloads of at most 125")
    return bytes((0x81, len(data))) + data


def _messages(fault: Fault) -> tuple[MessageAction, ...]:
    return cast("tuple[MessageAction, ...]", fault.actions)


def _ack(fault: Fault) -> tuple[MessageAction, ...]:
    return (Withhold(),) if fault.unacknowledged else ()


def _then(fault: Fault) -> tuple[MessageAction, ...]:
    """The actions where the step has to fail to show the fault."""
    return (Withhold(),) if fault.unacknowledged else _messages(fault)


def _before(*last: MessageAction) -> Connection:
    """A session that lives for a while, whether it began here or was resumed, and then `last`."""
    return Connection(after_ready=(_SOON, *last), after_resumed=(_SOON, *last))


def _ended(connection: Connection) -> Connection:
    """The same, and where it outlives its plan it is dropped, so that the next one comes."""
    return attrs.evolve(
        connection,
        after_ready=(*connection.after_ready, _SOON, Drop()),
        after_resumed=(*connection.after_resumed, _SOON, Drop()),
    )


_STAGES: Final[Mapping[Phase, Callable[[Fault], tuple[Connection, ...]]]] = MappingProxyType(
    {
        _P.FETCHING_METADATA: lambda _: (),
        _P.CONNECTING: lambda fault: (Connection(accept=cast("tuple[HandshakeAction, ...]", fault.actions)),),
        _P.AWAITING_HELLO: lambda fault: (Connection(hello=_messages(fault)),),
        _P.AWAITING_IDENTIFY_SLOT: lambda fault: (
            Connection(after_hello=(Delay(0.5), *_messages(fault)), ack=_ack(fault), ready=_ack(fault)),
        ),
        _P.IDENTIFIED: lambda fault: (Connection(ready=_then(fault), ack=_ack(fault)),),
        _P.RESUMING: lambda fault: (_before(Drop()), Connection(resumed=_then(fault), ack=_ack(fault))),
        _P.READY: lambda fault: (attrs.evolve(_before(*_messages(fault)), ack=_ack(fault)),),
        _P.DRAINING: lambda fault: (attrs.evolve(_before(Reconnect()), on_close=_messages(fault)),),
        _P.BACKING_OFF: lambda fault: (
            attrs.evolve(_before(*_messages(fault), Drop()), ready=fault.amends_ready or ()),
        ),
    }
)


def connections_of(fault: Fault | None, phase: Phase = Phase.READY) -> tuple[Connection, ...]:
    """The connections that play `fault` in `phase`, and are dropped some time later; without a fault a healthy one."""
    return (Connection(),) if fault is None else tuple(map(_ended, _STAGES[phase](fault)))


_LATE: Final = (
    Raw(server_frame({"t": None, "s": None, "op": 9, "d": False})),
    Raw(server_frame({"t": "TYPING_START", "s": 999, "op": 0, "d": {}})),
    Raw(server_frame({"t": None, "s": None, "op": 7, "d": None})),
)

_ALL: Final = (
    # The wire.
    Fault(
        name="silence",
        meaning="nothing passes any more, in either direction, and the socket stays open",
        actions=(Dark(),),
        phases=_SOCKET,
        within=100.0,
    ),
    Fault(
        name="half_open",
        meaning="the server stops to read and to write without FIN; writes fill the buffers",
        actions=(Dark(reading=False),),
        phases=_SOCKET,
        within=100.0,
    ),
    Fault(name="fin", meaning="the socket ends without a close frame", actions=(Drop(),), phases=_SOCKET, within=10.0),
    Fault(name="rst", meaning="the connection is reset", actions=(Drop(reset=True),), phases=_SOCKET, within=10.0),
    Fault(
        name="slow",
        meaning="the 101, HELLO, READY or RESUMED is 10 s late",
        actions=(Delay(10.0),),
        phases=(_P.CONNECTING, *_HANDSHAKE),
        within=15.0,
        harmless=True,
    ),
    Fault(
        name="never",
        meaning="the 101, HELLO, RESUMED or the answer to a close frame does not come",
        actions=(Withhold(),),
        phases=(_P.CONNECTING, _P.AWAITING_HELLO, _P.RESUMING, _P.DRAINING),
        within=130.0,
    ),
    Fault(
        name="no_ready",
        meaning="READY does not come and heartbeats are acknowledged, as in an outage: a shard is patient for an hour",
        actions=(Withhold(),),
        phases=(_P.IDENTIFIED,),
        within=3700.0,
    ),
    Fault(
        name="no_101",
        meaning="the upgrade is refused with HTTP 503",
        actions=(Answer(503),),
        phases=(_P.CONNECTING,),
        within=5.0,
    ),
    Fault(
        name="not_http",
        meaning="another protocol answers the upgrade",
        actions=(Raw(b"SSH-2.0-OpenSSH_9.7\r\n"), Drop()),
        phases=(_P.CONNECTING,),
        within=5.0,
    ),
    Fault(
        name="fragments",
        meaning="a message comes in frames, with control frames between them",
        actions=(Fragment(4), RequestHeartbeat()),
        phases=_TALKING,
        within=5.0,
        harmless=True,
    ),
    # Heartbeats.
    Fault(
        name="no_ack",
        meaning="heartbeats are read and not acknowledged",
        phases=_BEATING,
        within=100.0,
        unacknowledged=True,
    ),
    Fault(
        name="beat_storm",
        meaning="60 op 1 at once",
        actions=(RequestHeartbeat(),) * 60,
        phases=_TALKING,
        within=5.0,
        harmless=True,
    ),
    # Opcodes.
    Fault(name="op_7", meaning="op 7, before or after anything", actions=(Reconnect(),), phases=_TALKING, within=10.0),
    Fault(
        name="op_7_instead",
        meaning="op 7 instead of HELLO, READY or RESUMED",
        actions=(Reconnect(), Withhold()),
        phases=_HANDSHAKE,
        within=10.0,
    ),
    Fault(name="op_9", meaning="op 9: the session is gone", actions=(Invalidate(),), phases=_TALKING, within=15.0),
    Fault(
        name="op_9_resumable",
        meaning="op 9 with true: resume",
        actions=(Invalidate(resumable=True),),
        phases=_TALKING,
        within=15.0,
    ),
    # Close codes.
    Fault(
        name="close_1000",
        meaning="the server closes as if all were well",
        actions=(Close(1000),),
        phases=_TALKING,
        within=10.0,
    ),
    Fault(name="close_1001", meaning="the server goes away", actions=(Close(1001),), phases=_TALKING, within=10.0),
    Fault(name="close_4000", meaning="unknown error", actions=(Close(4000),), phases=_TALKING, within=10.0),
    Fault(
        name="close_4008",
        meaning="rate limited, deserved or not",
        actions=(Close(CloseCode.RATE_LIMITED),),
        phases=_BEATING,
        within=70.0,
    ),
    Fault(
        name="close_4009",
        meaning="the session timed out",
        actions=(Close(CloseCode.SESSION_TIMED_OUT),),
        phases=_BEATING,
        within=15.0,
    ),
    Fault(
        name="close_4004",
        meaning="the token is refused",
        actions=(Close(CloseCode.AUTHENTICATION_FAILED),),
        phases=(_P.IDENTIFIED, _P.RESUMING, _P.READY),
        within=1.0,
        fails_with=4004,
    ),
    Fault(
        name="close_4014",
        meaning="the intents are not allowed",
        actions=(Close(CloseCode.DISALLOWED_INTENTS),),
        phases=(_P.IDENTIFIED,),
        within=1.0,
        fails_with=4014,
    ),
    # Content.
    Fault(
        name="garbage",
        meaning="a message that is no payload",
        actions=(Send("\x00nonsense"),),
        phases=_TALKING,
        within=10.0,
    ),
    Fault(
        name="corrupt",
        meaning="a compressed message that no decoder takes",
        actions=(Corrupt(), RequestHeartbeat()),
        phases=_TALKING,
        within=10.0,
        compress="zlib-stream",
    ),
    Fault(
        name="duplicate",
        meaning="a dispatch with the sequence of the last one",
        actions=(Dispatch("TYPING_START", shift=0),),
        phases=_SESSION,
        within=1.0,
        harmless=True,
    ),
    Fault(
        name="out_of_order",
        meaning="a dispatch with a sequence of before",
        actions=(Dispatch("TYPING_START", shift=-1),),
        phases=_SESSION,
        within=1.0,
        harmless=True,
    ),
    Fault(
        name="late_frames",
        meaning="op 9, a dispatch and op 7 on a socket that the client is leaving",
        actions=(*_LATE, Delay(1.0)),
        phases=(_P.DRAINING,),
        within=5.0,
    ),
    Fault(
        name="session_lost",
        meaning="the server forgets the session while the client is away",
        actions=(Forget(),),
        phases=(_P.BACKING_OFF,),
        within=15.0,
    ),
    Fault(
        name="dead_resume_url",
        meaning="READY names a resume URL that nothing answers, and the connection drops",
        amends_ready=Amend({"resume_gateway_url": UNREACHABLE}),
        phases=(_P.BACKING_OFF,),
        within=15.0,
    ),
    # Metadata.
    *(
        Fault(
            name=name, meaning=meaning, actions=actions, phases=(_P.FETCHING_METADATA,), within=within, fails_with=code
        )
        for name, meaning, actions, within, code in (
            ("metadata_401", "the metadata are refused: 401", (Answer(401),), 1.0, 401),
            ("metadata_429", "rate limited for 3 s", (Answer.rate_limited(3.0),), 10.0, None),
            ("metadata_503", "the metadata fail: 503", (Answer(503),), 5.0, None),
            ("metadata_garbage", "the metadata are no JSON", (Answer(200, b"<html>"),), 5.0, None),
            ("metadata_fields", "the metadata have no url", (Amend(without=("url",)),), 5.0, None),
            ("metadata_fin", "the request is dropped", (Drop(),), 5.0, None),
            ("metadata_silence", "the request is never answered", (Withhold(),), 10.0, None),
            ("metadata_slow", "the answer is 5 s late", (Delay(5.0),), 10.0, None),
        )
    ),
)

FAULTS: Final[Mapping[str, Fault]] = MappingProxyType({fault.name: fault for fault in _ALL})
"""All faults by name."""


class Faults:
    """A random plan of faults that its seed brings back.

    Args:
        seed: the same seed gives the same plan, in any process and on any version of Python.
        rate: how many of the connections have a fault, from 0 to 1.
        connections: how many are planned; all after them are healthy.
        lethal: whether faults after which a bot must give up (such as 4004) are among them.
    """

    def __init__(self, *, seed: int, rate: float = 0.7, connections: int = 20, lethal: bool = False) -> None:
        if not 0.0 <= rate <= 1.0:
            raise ValueError(f"rate is a share from 0 to 1, not {rate!r}")
        self.seed = seed
        source = random.Random(seed)
        choices = [
            (fault, phase)
            for fault in _ALL
            for phase in fault.phases
            if phase is not Phase.FETCHING_METADATA and (lethal or fault.fails_with is None)
        ]
        self.chosen: list[tuple[Fault, Phase]] = []
        script: list[Connection] = []
        while len(script) < connections:
            if source.random() >= rate:
                script.append(_before(Drop()))
                continue
            fault, phase = choices[source.randrange(len(choices))]
            self.chosen.append((fault, phase))
            script.extend(connections_of(fault, phase))
        self.script: Sequence[Connection] = (*script, Connection())
        """The plans for connections; the last one is healthy."""

    def __repr__(self) -> str:
        names = ", ".join(f"{fault.name} in {phase}" for fault, phase in self.chosen)
        return f"<Faults of seed {self.seed}: {names}>"
