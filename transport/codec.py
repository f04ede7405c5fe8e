"""JSON in, events out; values in, payloads out. Pure: no I/O, no state.

:func:`decode` reads the envelope (``op``, ``s``, ``t``) and leaves ``d`` as the bytes it came in, so that an event that
nobody looks at costs no more than its envelope. Whatever arrives, the answer is an event: what cannot be understood is
a :class:`~gatewright.spec.events.ProtocolViolation` or an :class:`~gatewright.spec.events.UnknownMessage`, never an
exception (R06, R19), and never with a word of the payload in it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

import attrs
import msgspec

from gatewright.spec import events
from gatewright.spec.errors import ConfigurationError, GatewrightError
from gatewright.spec.events import ViolationKind
from gatewright.spec.protocol import MAX_PAYLOAD_BYTES, MAX_SESSION_ID, Opcode
from gatewright.transport.dispatch import Dispatch, Origin
from gatewright.transport.token import Token
from gatewright.transport.urls import usable_resume_url

if TYPE_CHECKING:
    from gatewright.transport.commands import UpdatePresence

Decoded: TypeAlias = tuple[events.Event, Dispatch | None]
"""An event for the core and, when it is a dispatch, what the consumer gets of it."""

MIN_HEARTBEAT_INTERVAL: Final = 0.1
MAX_HEARTBEAT_INTERVAL: Final = 600.0
"""Seconds. HELLO's interval is moved into these bounds: it must neither spin nor hide a dead socket for ever."""

DEFAULT_PROPERTIES: Final[Mapping[str, str]] = {"os": sys.platform, "browser": "gatewright", "device": "gatewright"}
"""What IDENTIFY says of the client when nothing else is wished for; keys without ``$`` (P25)."""

_EXTRAORDINARY: Final = ("READY", "RESUMED")
"""Dispatches that have events of their own in the table."""

_MOST_AT_ONCE: Final = 256
"""Messages that are decoded together: more than a read brings of usual size. What follows upon an extraordinary one
among them is decoded again, and no peer is to make that cost much."""

_NULL: Final = msgspec.Raw(b"null")


class PayloadTooLarge(GatewrightError, ValueError):
    """A payload is larger than the gateway accepts (it would close with 4002), so it was not sent (P54).

    `size` and `limit` are bytes of UTF-8.
    """

    def __init__(self, size: int, limit: int = MAX_PAYLOAD_BYTES) -> None:
        super().__init__(f"the payload has {size} bytes and the gateway accepts {limit}; send less in one command")
        self.size = size
        self.limit = limit


# -- reading -----------------------------------------------------------------------------------------------------------


class _Envelope(msgspec.Struct, gc=False):
    op: int
    # The sequence goes back out in heartbeats: what 64 bits do not hold could not be written again.
    s: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    t: str | None = None
    d: msgspec.Raw = _NULL


class _Dispatched(Dispatch, kw_only=True, gc=False):
    """A dispatch as it comes, decoded in one step. What is not exactly that is decoded again, as an envelope."""

    op: Literal[0]
    seq: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    _raw: msgspec.Raw = _NULL  # pyright: ignore[reportIncompatibleVariableOverride] # narrower on the way in


class _HelloData(msgspec.Struct, gc=False):
    heartbeat_interval: float


class _ReadyData(msgspec.Struct):
    # Only the session id is demanded; the others may be missing or of any type (R19, R20).
    session_id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SESSION_ID)]
    resume_gateway_url: object = None
    user: object = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_dispatch = msgspec.json.Decoder(_Dispatched).decode
_decode_hello = msgspec.json.Decoder(_HelloData).decode
_decode_ready = msgspec.json.Decoder(_ReadyData).decode


@attrs.frozen
class Run:
    """Ordinary dispatches that came one after the other: themselves, and in columns what others look at in each.

    `size` is how many bytes of data they have in all, at most: it may be that of their messages.
    """

    dispatches: list[Dispatch]
    seqs: list[int]
    types: list[str]
    size: int

    def cut(self, place: int) -> tuple[Run, Run]:
        """The first dispatches, as many as `place` says, and the rest."""
        return self._part(slice(place)), self._part(slice(place, None))

    def _part(self, part: slice) -> Run:
        some = self.dispatches[part]
        return Run(some, self.seqs[part], self.types[part], sum(dispatch.size for dispatch in some))


def decode_run(
    messages: Sequence[str | bytes], origin: Origin, *, checked: bool = False, most: int, most_bytes: int
) -> Run:
    """The first of `messages`, as long as each is an ordinary dispatch, which does nothing but move the sequence.

    Nearly always that is all of them. The next one, good or bad, is for :func:`decode`.

    Args:
        messages: whole messages, after inflation.
        origin: of the dispatches.
        checked: whether all are bytes, and UTF-8 for sure.
        most: how many dispatches are wanted.
        most_bytes: of how many bytes; the last one may have more.
    """
    most = min(most, _MOST_AT_ONCE)
    some = messages if len(messages) <= most else messages[:most]
    try:
        if not checked:
            for message in some:
                # The decoder skips over `d` without a look at its encoding.
                if type(message) is bytes and not message.isascii():
                    message.decode()
        dispatches: list[Dispatch] = list(map(_decode_dispatch, some))
    except (ValueError, RecursionError):
        dispatches = _decode_as_far_as_possible(some)
    # A comprehension is the quickest loop there is, and two words are found in a list sooner than hashed.
    types = [dispatch.type for dispatch in dispatches]
    for extraordinary in _EXTRAORDINARY:
        if extraordinary in types:
            del types[types.index(extraordinary) :]
            del dispatches[len(types) :]
    if checked and len(types) == len(some):
        size = sum(map(len, some))
    else:
        size = sum([len(dispatch._raw) for dispatch in dispatches])
    if size >= most_bytes:
        taken = size = 0
        while taken < len(dispatches) and size < most_bytes:
            size += dispatches[taken].size
            taken += 1
        del dispatches[taken:], types[taken:]
    for dispatch in dispatches:
        dispatch.origin = origin
    return Run(dispatches, [dispatch.seq for dispatch in dispatches], types, size)


def _decode_as_far_as_possible(messages: Sequence[str | bytes]) -> list[Dispatch]:
    run: list[Dispatch] = []
    try:
        for message in messages:
            if type(message) is bytes:
                message.decode()
            run.append(_decode_dispatch(message))
    except (ValueError, RecursionError):
        pass
    return run


def decode(message: str | bytes, *, gen: int, wall_clock: Callable[[], float]) -> Decoded:
    """Turn one message of the gateway into an event of the core.

    Args:
        message: one whole message, after inflation.
        gen: the generation of the connection it came on.
        wall_clock: Unix time in seconds, read only for READY's `created`.

    Returns:
        The event, and the dispatch for the consumer when it is one that was understood.

    Raises:
        Nothing, for any bytes.

    Source: P15, P19, P31, P42, P45-P47, P78; protocol section 1.2.
    """
    try:
        if isinstance(message, bytes):
            message.decode()  # the decoder below skips over `d` without a look at its encoding
        envelope = _decode_envelope(message)
    except msgspec.ValidationError:
        return _bad_envelope(gen, "the message is not an object with op, s and t of their types")
    except ValueError:
        return events.ProtocolViolation(gen, ViolationKind.NOT_JSON, "the message is not JSON in UTF-8"), None
    except RecursionError:
        return _bad_envelope(gen, "the message is nested too deeply")
    op = envelope.op
    if op != 0:
        return _decode_other(op, envelope.d, gen), None
    seq, type_ = envelope.s, envelope.t
    if seq is None or type_ is None:
        return _bad_envelope(gen, "a dispatch has no sequence or no type")
    dispatch = Dispatch(type_, seq, envelope.d)
    if type_ == "READY":
        return _decode_ready_dispatch(dispatch, envelope.d, gen, wall_clock)
    if type_ == "RESUMED":
        return events.Resumed(gen, seq), dispatch
    return events.Dispatched(gen, seq, type_), dispatch


def _decode_other(op: int, data: msgspec.Raw, gen: int) -> events.Event:
    match op:
        case Opcode.HEARTBEAT_ACK:
            return events.HeartbeatAcked(gen)
        case Opcode.HEARTBEAT:
            return events.HeartbeatRequested(gen)
        case Opcode.HELLO:
            return _decode_hello_message(data, gen)
        case Opcode.RECONNECT:
            return events.ReconnectRequested(gen)
        case Opcode.INVALID_SESSION:
            # Anything but a true `true` is no promise that the session lives.
            return events.SessionInvalidated(gen, resumable=bytes(data) == b"true")
        case _:
            return events.UnknownMessage(gen, op)


def _decode_hello_message(data: msgspec.Raw, gen: int) -> events.Event:
    try:
        interval = _decode_hello(data).heartbeat_interval / 1000
    except (ValueError, RecursionError):
        interval = 0.0
    if interval <= 0:
        return _bad_payload(gen, "HELLO has no heartbeat_interval above zero")
    return events.Hello(gen, min(max(interval, MIN_HEARTBEAT_INTERVAL), MAX_HEARTBEAT_INTERVAL))


def _decode_ready_dispatch(dispatch: Dispatch, data: msgspec.Raw, gen: int, wall_clock: Callable[[], float]) -> Decoded:
    try:
        ready = _decode_ready(data)
    except (ValueError, RecursionError):
        return _bad_payload(gen, "READY has no session_id that can be used"), None
    dispatch.origin = Origin(ready.session_id)
    event = events.Ready(
        gen,
        dispatch.seq,
        ready.session_id,
        usable_resume_url(ready.resume_gateway_url),
        _user_id(ready.user),
        wall_clock(),
    )
    return event, dispatch


def _user_id(user: object) -> str:
    match user:
        case {"id": str(identity)} if identity.isascii() and identity.isdigit():
            return identity
        case _:
            return ""


def _bad_payload(gen: int, detail: str) -> events.ProtocolViolation:
    return events.ProtocolViolation(gen, ViolationKind.BAD_PAYLOAD, detail)


def _bad_envelope(gen: int, detail: str) -> Decoded:
    return events.ProtocolViolation(gen, ViolationKind.BAD_ENVELOPE, detail), None


# -- writing -----------------------------------------------------------------------------------------------------------


def _reveal(value: object) -> str:
    # The token stays wrapped up to the encoder itself, so that no frame above ever holds it in clear (I22).
    if isinstance(value, Token):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


_encode = msgspec.json.Encoder(enc_hook=_reveal).encode


def encode_payload(op: Opcode, data: object) -> bytes:
    """One payload, ready to be sent as a text message.

    Raises:
        PayloadTooLarge: if it has more than 4096 bytes.
        ConfigurationError: if JSON in UTF-8 cannot hold `data`: half a surrogate pair, a type that JSON does not know.
    """
    try:
        return check_size(_encode({"op": int(op), "d": data}))
    except PayloadTooLarge:
        raise
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        # The error's own text may quote the payload.
        kind = type(error).__name__
        raise ConfigurationError(f"a payload of {op.name} cannot be written as JSON in UTF-8 ({kind})") from None


def check_size(payload: bytes) -> bytes:
    """`payload`, if the gateway accepts one of its size.

    Raises:
        PayloadTooLarge: if it has more than 4096 bytes.

    Source: P54.
    """
    size = len(payload)
    if size > MAX_PAYLOAD_BYTES:
        del payload  # it may be an IDENTIFY, and some tracebacks show what local names hold
        raise PayloadTooLarge(size)
    return payload


def encode_heartbeat(seq: int | None) -> bytes:
    """HEARTBEAT (opcode 1) with the last sequence received, ``None`` before the first. Source: P15."""
    return b'{"op":1,"d":null}' if seq is None else b'{"op":1,"d":%d}' % seq


def encode_identify(
    *,
    token: Token,
    intents: int,
    shard: tuple[int, int] | None = None,
    presence: UpdatePresence | None = None,
    large_threshold: int | None = None,
    compress: bool = False,
    properties: Mapping[str, str] = DEFAULT_PROPERTIES,
    capabilities: int = 0,
) -> bytes:
    """IDENTIFY (opcode 2), the one payload that begins a session.

    Args:
        token: sent in its bare form (P33).
        intents: an :class:`~gatewright.spec.intents.Intents` or its number; 0 is a value and is sent (P24).
        shard: ``(id, count)``, counted from 0; left out when ``None`` (P88).
        presence: the presence to appear with.
        large_threshold: 50 to 250; above it a guild's offline members are left out of GUILD_CREATE (P26).
        compress: ask for payload compression: single messages may come as zlib (P73, P74).
        properties: ``os``, ``browser`` and ``device`` (P25).
        capabilities: a bit field beside the intents, such as ``1 << 15`` for obfuscated channels; left out when 0.

    Raises:
        ConfigurationError: if `intents`, `shard`, `large_threshold` or `capabilities` is out of range.
        PayloadTooLarge: if a presence or properties make it larger than 4096 bytes.

    Source: protocol section 1.3, P22-P26, P33.
    """
    if intents < 0:
        raise ConfigurationError(f"intents must be 0 or above, not {intents}")
    data: dict[str, object] = {"token": token, "properties": dict(properties), "intents": int(intents)}
    if shard is not None:
        shard_id, count = shard
        if not 0 <= shard_id < count:
            raise ConfigurationError(f"shard {shard_id} of {count} does not exist; ids run from 0 to the count minus 1")
        data["shard"] = [shard_id, count]
    if large_threshold is not None:
        if not 50 <= large_threshold <= 250:
            raise ConfigurationError(f"large_threshold must be between 50 and 250, not {large_threshold}")
        data["large_threshold"] = large_threshold
    if compress:
        data["compress"] = True
    if presence is not None:
        data["presence"] = presence.payload()
    if isinstance(capabilities, bool) or not isinstance(capabilities, int) or capabilities < 0:
        raise ConfigurationError(f"capabilities must be a whole number of at least 0, not {capabilities!r}")
    if capabilities:
        data["capabilities"] = capabilities
    return encode_payload(Opcode.IDENTIFY, data)


def encode_resume(*, token: Token, session_id: str, seq: int) -> bytes:
    """RESUME (opcode 6) of `session_id`, from the last sequence received.

    Raises:
        PayloadTooLarge: never for a session id that :func:`decode` let through.

    Source: protocol section 1.3, P37.
    """
    return encode_payload(Opcode.RESUME, {"token": token, "session_id": session_id, "seq": seq})
