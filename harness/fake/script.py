"""The vocabulary of misbehaviour: what the fake gateway does at which step of a connection.

A *script* is a list of plans, one for each connection in the order in which they arrive; the last one repeats. A plan
says for each step which *actions* come before it. Actions run in order, then the step itself happens, unless one of
them was final. An empty plan is a healthy server, so a script says only what goes wrong:

    fake.script = [
        Connection(hello=Withhold()),                  # the socket opens and nothing comes
        Connection(hello=Delay(3.0), ready=Delay(20)),
        Connection(accept=Dark()),                     # TCP is accepted, no 101 ever comes
        Connection(on_identify=Close(4009)),
        Connection(ack=After(2, Withhold())),          # two heartbeats are acknowledged, the third is not
        Connection(after_ready=(Delay(30), Reconnect(), Delay(10), Close(1001))),
        Connection(),                                  # and from here on all is well
    ]

The words are values: frozen, comparable, printable, and checked when they are made: by a type checker before that, and
with a `TypeError` for an action where it has no meaning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Generic, TypeAlias, TypeVar, get_args

import attrs
import msgspec

P = TypeVar("P")


@attrs.frozen
class Delay:
    """What comes next happens `seconds` later. Nothing else waits: heartbeats are answered in the meantime."""

    seconds: float = attrs.field(validator=attrs.validators.ge(0))


@attrs.frozen
class Withhold:
    """The step never happens; everything else goes on. Final."""


@attrs.frozen
class Dark:
    """From here on nothing passes in either direction and the socket stays open, as when a cable is pulled.

    The step itself is performed, and nobody sees it: after ``ready=Dark()`` the session exists. What the client sent
    is not read by the gateway, not even a close frame, but it is noticed when the client's end of the socket is gone.
    ``FakeGateway.light_up()`` delivers what was held back, as TCP does.

    Attributes:
        reading: whether the client's bytes are taken from the socket. With ``False`` they fill its buffers, until a
            write of the client blocks; then the end of the socket is not noticed either.
    """

    reading: bool = attrs.field(default=True, kw_only=True)


@attrs.frozen
class Drop:
    """The socket ends without a close frame: FIN, or RST with `reset`. Final.

    A stream that is no socket is reset through its ``reset()`` method if it has one, and ends like FIN if not.
    """

    reset: bool = attrs.field(default=False, kw_only=True)


@attrs.frozen
class Close:
    """A close frame with `code` and `reason`; the socket ends when the client has answered it, or 5 s later. Final.

    A code that ends sessions (4003, 4004, 4006, 4007, 4009, 4010 to 4014) ends this connection's session.
    """

    code: int = attrs.field(validator=attrs.validators.and_(attrs.validators.ge(1000), attrs.validators.lt(5000)))
    reason: str = ""


@attrs.frozen
class Reconnect:
    """Op 7: the client is asked to reconnect and resume. The session lives."""


@attrs.frozen
class Invalidate:
    """Op 9 instead of the step: the session, if there is one, is dropped unless `resumable`. Final.

    The connection stays open and is no longer authenticated, so that a command on it is answered with 4003.
    """

    resumable: bool = attrs.field(default=False, kw_only=True)


@attrs.frozen
class RequestHeartbeat:
    """Op 1: the client is asked for a heartbeat at once."""


@attrs.frozen
class Dispatch:
    """A dispatch of the connection's session, with the next sequence; outside a session with none (``s`` is null).

    With `shift` the sequence is the session's last one plus `shift`, and the dispatch is not kept for replay:
    ``Dispatch("TYPING_START", shift=0)`` is a duplicate, ``shift=-1`` comes out of order.
    """

    event: str
    data: object = attrs.field(factory=dict[str, object])
    shift: int | None = attrs.field(default=None, kw_only=True)


@attrs.frozen
class Forget:
    """The connection's session is ended without a word; the socket goes on. Its RESUME will get op 9 ``false``."""


@attrs.frozen
class Fragment:
    """The next message comes in `pieces` frames of the websocket, with a ping between them unless `ping` is false.

    RFC 6455 allows both at any time (5.4), and few servers do it.
    """

    pieces: int = attrs.field(default=3, validator=attrs.validators.ge(2))
    ping: bool = attrs.field(default=True, kw_only=True)


@attrs.frozen
class Send:
    """One websocket message as it is: text for `str`, binary for `bytes`. For payloads that are no payloads."""

    message: str | bytes


def _edges(at: int | Sequence[int]) -> tuple[int, ...]:
    return (at,) if isinstance(at, int) else tuple(at)


@attrs.frozen
class Split:
    """The next compressed message comes in several messages of the websocket, cut `at` these bytes.

    A negative one counts from the end: ``Split(-2)`` cuts the flush of a zlib stream in two (P75), and the first of
    ``Split((0, 1))`` is empty. It means nothing on a connection without compression, and breaks the rules of any but
    ``zlib-stream`` (P74, P76).
    """

    at: tuple[int, ...] = attrs.field(converter=_edges, validator=attrs.validators.min_len(1))

    def __call__(self, data: bytes) -> tuple[bytes, ...]:
        """`data` in pieces."""
        size = len(data)
        cuts = sorted(min(max(at + size if at < 0 else at, 0), size) for at in self.at)
        return tuple(data[start:end] for start, end in zip((0, *cuts), (*cuts, size), strict=True))


@attrs.frozen
class Corrupt:
    """The next compressed message comes with other bytes, as many, which no decoder takes."""


@attrs.frozen
class Bomb:
    """A message that is small on the wire and inflates to `size` bytes; nothing on a connection without compression."""

    size: int = attrs.field(default=2**30, validator=attrs.validators.ge(1))


@attrs.frozen
class Raw:
    """Bytes on the wire, below HTTP and the websocket: ``accept=(Raw(b"SSH-2.0-OpenSSH"), Drop())``."""

    data: bytes


@attrs.frozen
class Amend:
    """The step happens with other content: fields of its ``d``, or of the metadata's object, replaced or left out.

    ``ready=Amend({"resume_gateway_url": "::"})``, ``ready=Amend(without=("guilds",))``,
    ``hello=Amend({"heartbeat_interval": 0})``. A step without an object to amend is not changed.
    """

    fields: Mapping[str, object] = attrs.field(factory=dict[str, object])
    without: tuple[str, ...] = attrs.field(default=(), kw_only=True)

    def __call__(self, content: Mapping[str, object]) -> dict[str, object]:
        """`content` as amended, in a new dict."""
        return {key: value for key, value in {**content, **self.fields}.items() if key not in self.without}


_MESSAGES = {
    400: "400: Bad Request",
    401: "401: Unauthorized",
    403: "Missing Access",
    404: "404: Not Found",
    405: "405: Method Not Allowed",
    429: "You are being rate limited.",
}


@attrs.frozen
class Answer:
    """An HTTP answer instead of the 101 or of the metadata. Final.

    Attributes:
        status: for example 401, 429, 503; or 200 with another `body`.
        body: bytes as they are, anything else as JSON; ``None`` for what Discord answers with this status.
        headers: added to ``content-type`` and ``content-length``.
    """

    status: int = attrs.field(
        validator=attrs.validators.and_(attrs.validators.ge(200), attrs.validators.lt(600)),
    )
    body: object = None
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], kw_only=True)

    @classmethod
    def rate_limited(cls, retry_after: float, *, whole_bot: bool = False) -> Answer:
        """HTTP 429 with `retry_after` in seconds, in the body and rounded up in the header (P08)."""
        headers = {"retry-after": str(int(-(-retry_after // 1)))}
        if whole_bot:
            headers["x-ratelimit-global"] = "true"
        body = {"message": _MESSAGES[429], "retry_after": retry_after, "global": whole_bot}
        return cls(429, body, headers=headers)

    def content(self) -> bytes:
        """The body in bytes."""
        if isinstance(self.body, bytes):
            return self.body
        if self.body is not None:
            return msgspec.json.encode(self.body)
        return msgspec.json.encode({"message": _MESSAGES.get(self.status, f"{self.status}: Error"), "code": 0})


WireAction: TypeAlias = Delay | Withhold | Dark | Drop | Raw
HandshakeAction: TypeAlias = WireAction | Answer
MetadataAction: TypeAlias = WireAction | Answer | Amend
CompressionAction: TypeAlias = Split | Corrupt | Bomb
MessageAction: TypeAlias = (
    WireAction
    | CompressionAction
    | Close
    | Reconnect
    | Invalidate
    | RequestHeartbeat
    | Dispatch
    | Forget
    | Fragment
    | Send
    | Amend
)


def _check(words: Sequence[object], allowed: UnionType, where: str) -> None:
    for word in words:
        if not isinstance(word, allowed):
            names = ", ".join(kind.__name__ for kind in get_args(allowed))
            raise TypeError(f"{word!r} has no meaning {where}; what has: {names}")


def _actions(then: MessageAction | Sequence[MessageAction]) -> tuple[MessageAction, ...]:
    actions = tuple(then) if isinstance(then, Sequence) else (then,)
    _check(actions, MessageAction, "inside After")
    return actions


@attrs.frozen
class After:
    """The step happens `count` times; from then on `then` applies: ``ack=After(2, Withhold())``."""

    count: int = attrs.field(validator=attrs.validators.ge(1))
    then: tuple[MessageAction, ...] = attrs.field(converter=_actions, validator=attrs.validators.min_len(1))


MessagePlan: TypeAlias = MessageAction | After | Sequence[MessageAction | After]
HandshakePlan: TypeAlias = HandshakeAction | Sequence[HandshakeAction]
MetadataPlan: TypeAlias = MetadataAction | Sequence[MetadataAction]


def _messages(plan: MessagePlan) -> tuple[MessageAction | After, ...]:
    actions = tuple(plan) if isinstance(plan, Sequence) else (plan,)
    _check(actions, MessageAction | After, "once the websocket is open")
    return actions


def _handshake(plan: HandshakePlan) -> tuple[HandshakeAction, ...]:
    actions = tuple(plan) if isinstance(plan, Sequence) else (plan,)
    _check(actions, HandshakeAction, "before the 101 (accept=)")
    return actions


def metadata_plan(plan: MetadataPlan) -> tuple[MetadataAction, ...]:
    """One metadata request's plan as a tuple of its actions.

    Raises:
        TypeError: for an action that is none of HTTP's.
    """
    actions = tuple(plan) if isinstance(plan, Sequence) else (plan,)
    _check(actions, MetadataAction, "for metadata")
    return actions


@attrs.frozen(kw_only=True)
class Connection:
    """What happens on one websocket connection, step by step in the order of this list. Steps left out go well.

    Attributes:
        accept: the upgrade request was read; the step is the 101.
        hello: the websocket is open; the step is HELLO.
        after_hello: HELLO was sent; no step of its own.
        on_identify: an IDENTIFY was read; the step is to judge it.
        ready: the IDENTIFY was good; the step makes the session and sends READY.
        guilds: for each guild after READY; the step is its GUILD_CREATE.
        after_ready: READY and the guilds were sent; no step of its own.
        on_resume: a RESUME was read; the step is to judge it.
        replay: the RESUME was good; for each missed dispatch, and the step is to send it.
        resumed: nothing is left to replay; the step is RESUMED.
        after_resumed: RESUMED was sent; no step of its own.
        answer: for each dispatch that answers a command (op 4, 8, 31, 43); the step is that dispatch.
        ack: a heartbeat was read; the step is op 11.
        on_close: the client's close frame was read; the step is to answer it and to end the socket.
    """

    accept: tuple[HandshakeAction, ...] = attrs.field(default=(), converter=_handshake)
    hello: tuple[MessageAction | After, ...] = attrs.field(default=(), converter=_messages)
    after_hello: tuple[MessageAction | After, ...] = attrs.field(default=(), converter=_messages)
    on_identify: tuple[MessageAction | After, ...] = attrs.field(default=(), converter=_messages)
    ready: tuple[MessageAction | After, ...] = attrs.field(default=(), converter=_messages)
    guilds: tuple[MessageAction | After, ...] = attrs.field(default=(), converter=_messages)
    after_ready: tuple[MessageAction | After, ...] = attrs.field(default=(), converter=_messages)
    on_resume: tuple[MessageAction | After, ...] = attrs.field(default=(), converter=_messages)
    replay: tuple[MessageAction | After, ...] = attrs.field(default=(), converter=_messages)
    resumed: tuple[MessageAction | After, ...] = attrs.field(default=(), converter=_messages)
    after_resumed: tuple[MessageAction | After, ...] = attrs.field(default=(), converter=_messages)
    answer: tuple[MessageAction | After, ...] = attrs.field(default=(), converter=_messages)
    ack: tuple[MessageAction | After, ...] = attrs.field(default=(), converter=_messages)
    on_close: tuple[MessageAction | After, ...] = attrs.field(default=(), converter=_messages)

    def actions(self, step: str, occurrence: int) -> tuple[HandshakeAction | MessageAction, ...]:
        """The actions of `step` when it comes up for the `occurrence`-th time, counted from 1."""
        plan: tuple[HandshakeAction | MessageAction | After, ...] = getattr(self, step)
        found: list[HandshakeAction | MessageAction] = []
        for word in plan:
            if not isinstance(word, After):
                found.append(word)
            elif occurrence > word.count:
                found.extend(word.then)
        return tuple(found)


class Playlist(Generic[P]):
    """Entries in turn; the last one again and again, and nothing at all of an empty one."""

    def __init__(self, entries: Sequence[P]) -> None:
        self.entries = tuple(entries)
        self._position = 0

    def next(self) -> P | None:
        """The entry whose turn it is."""
        if not self.entries:
            return None
        entry = self.entries[min(self._position, len(self.entries) - 1)]
        self._position += 1
        return entry
