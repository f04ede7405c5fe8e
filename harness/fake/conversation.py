"""One connection's protocol: HELLO, IDENTIFY, READY, RESUME, replay, heartbeats, and the close codes for misuse."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, TypeVar, cast
from urllib.parse import parse_qs, urlsplit

import msgspec
import trio

from gatewright.harness.fake import payloads
from gatewright.harness.fake.compression import Deflater, negotiate
from gatewright.harness.fake.identify import BudgetSpent, Identify, Resume
from gatewright.harness.fake.link import Link, Procedure, amended
from gatewright.harness.fake.log import Received, Side
from gatewright.harness.fake.script import Amend, Answer, Close, Connection, Invalidate
from gatewright.harness.fake.sessions import Dispatched, Session
from gatewright.harness.fake.wire import Wire
from gatewright.harness.fake.world import World
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.intents import Intents
from gatewright.spec.protocol import CloseCode, CloseKind, Opcode, close_kind
from gatewright.transport.inflate import Compression

_UNKNOWN_OPCODE: Final = Close(CloseCode.UNKNOWN_OPCODE, "Unknown opcode.")
_DECODE_ERROR: Final = Close(CloseCode.DECODE_ERROR, "Error while decoding payload.")
_NOT_AUTHENTICATED: Final = Close(CloseCode.NOT_AUTHENTICATED, "Not authenticated.")
_AUTHENTICATION_FAILED: Final = Close(CloseCode.AUTHENTICATION_FAILED, "Authentication failed.")
_ALREADY_AUTHENTICATED: Final = Close(CloseCode.ALREADY_AUTHENTICATED, "Already authenticated.")
_RATE_LIMITED: Final = Close(CloseCode.RATE_LIMITED, "Rate limited.")
_INVALID_API_VERSION: Final = Close(CloseCode.INVALID_API_VERSION, "Invalid API version.")
_HEARTBEAT_MISSED: Final = Close(CloseCode.UNKNOWN_ERROR, "No heartbeat.")

_OPCODES: Final[dict[int, Opcode]] = {int(op): op for op in Opcode}

HandshakeT = TypeVar("HandshakeT", Identify, Resume)

_CLIENT_ENDS_SESSION: Final = frozenset({1000, 1001})
"""Close codes of a client that end its session; any other, or none, keeps it (P49, P50)."""


class Conversation(Link):
    """A link that speaks the gateway protocol."""

    def __init__(self, *, world: World, number: int, plan: Connection, wire: Wire, target: str) -> None:
        super().__init__(world=world, number=number, plan=plan, wire=wire)
        self._query = parse_qs(urlsplit(target).query)
        self._session: Session | None = None
        self._authenticated = False  # an IDENTIFY or a RESUME was accepted
        self._live = False  # READY or RESUMED was sent: dispatches go out as they come
        self._patience = trio.CancelScope()
        self._received_at: deque[float] = deque()

    def deliver(self, session: Session, dispatched: Dispatched) -> None:
        """Send a dispatch of `session`, if this connection carries it and has sent READY or RESUMED."""
        if self._live and self._carries(session):
            self._send_dispatched(dispatched, dispatched.data)

    # What the client's messages lead to.

    def _open(self) -> Procedure:
        if (yield from self._step("accept")) is None:
            return
        negotiated = _negotiate(self._query)
        if isinstance(negotiated, Answer):
            self.perform(negotiated, step="accept")
            return
        self._deflater = Deflater(negotiated)
        self._wire.accept()
        self._feed(b"")  # what came before the 101 was only held back
        if self._query.get("v", [""])[-1] not in {str(version) for version in self._world.rules.api_versions}:
            self.perform(_INVALID_API_VERSION, step="accept")
            return
        amends = yield from self._step("hello")
        if amends is None:
            return
        self._send(Opcode.HELLO, amended(payloads.hello(self._world.heartbeat_interval), amends))
        self._postpone_impatience()
        assert self._nursery is not None
        self._nursery.start_soon(self._expect_heartbeats)
        yield from self._step("after_hello")

    def _on_message(self, message: bytes) -> None:
        envelope = _decode(message)
        op, data = (envelope.get("op"), envelope.get("d")) if envelope is not None else (None, None)
        if not isinstance(op, int) or isinstance(op, bool) or len(message) > self._world.rules.max_payload:
            op, data = None, None
        self._note_received(op, data, len(message))
        if not self._wire.opened:
            return  # after a close frame nothing that the client says matters
        if op is None:
            self.perform(_DECODE_ERROR, step="receive")
        elif self._over_the_limit():
            self.perform(_RATE_LIMITED, step="receive")
        elif op == Opcode.HEARTBEAT:
            self._begin(self._heartbeat())
        elif op == Opcode.IDENTIFY:
            self._begin(self._identify(data))
        elif op == Opcode.RESUME:
            self._begin(self._resume(data))
        elif op not in payloads.OPCODES_OF_CLIENTS:
            self.perform(_UNKNOWN_OPCODE, step="receive")
        elif not self._authenticated:
            self.perform(_NOT_AUTHENTICATED, step="receive")
        elif self._session is not None:  # between IDENTIFY and READY there is none yet to answer in
            self._begin(self._command(op, data, self._session))

    def _heartbeat(self) -> Procedure:
        self._postpone_impatience()
        if (yield from self._step("ack")) is not None:
            self._send(Opcode.HEARTBEAT_ACK)

    def _identify(self, data: object) -> Procedure:
        if (yield from self._step("on_identify")) is None:
            return
        identify = self._judge_shape(data, Identify)
        if isinstance(identify, Close):
            self.perform(identify, step="on_identify")
            return
        verdict = self._world.desk.judge(identify)
        if isinstance(verdict, BudgetSpent):
            self._world.void_token()
            return
        if isinstance(verdict, (Close, Invalidate)):
            self.perform(verdict, step="on_identify")
            return
        self._authenticated = True
        if identify.compress:
            self._deflater.compress_payloads()
        amends = yield from self._step("ready")
        if amends is None:
            return
        session = self._world.sessions.create(shard=verdict.shard, intents=verdict.intents, connection=self.number)
        self._session, session.compress = session, identify.compress
        guilds = self._world.guilds_of(session)
        ready = payloads.ready(session, guilds, resume_url=self._world.resume_url, sent_shard=verdict.sent_shard)
        self._send(Opcode.DISPATCH, amended(ready, amends), seq=session.next_seq(), event="READY")
        self._live = True
        for guild in guilds if session.intents & Intents.GUILDS else ():
            amends = yield from self._step("guilds")
            if amends is not None and self._carries(session):
                self._world.dispatch(session, "GUILD_CREATE", amended(payloads.guild_create(guild), amends))
        yield from self._step("after_ready")

    def _command(self, op: int, data: object, session: Session) -> Procedure:
        answer = self._world.commands.judge(op, data, session)
        if isinstance(answer, (Close, Invalidate)):
            self.perform(answer, step="receive")
            return
        for event, content in answer:
            amends = yield from self._step("answer")
            if amends is not None and self._carries(session):
                self._world.dispatch(session, event, amended(content, amends))

    def _resume(self, data: object) -> Procedure:
        if (yield from self._step("on_resume")) is None:
            return
        resume = self._judge_shape(data, Resume)
        if isinstance(resume, Close):
            self.perform(resume, step="on_resume")
            return
        session = self._world.sessions.judge_resume(resume.session_id, resume.seq)
        if isinstance(session, (Close, Invalidate)):
            self.perform(session, step="on_resume")
            return
        self._authenticated, self._session = True, session
        self._world.sessions.claim(session, self.number)
        if session.compress:
            self._deflater.compress_payloads()
        yield from self._replay(session, resume.seq)

    def _replay(self, session: Session, seq: int) -> Procedure:
        while missed := session.after(seq):  # what comes meanwhile is kept too, and found by the next look
            seq = missed.seq
            amends = yield from self._step("replay")
            if not self._carries(session):
                return
            if amends is not None:
                self._send_dispatched(missed, _amended_if_object(missed.data, amends))
        amends = yield from self._step("resumed")
        if amends is None or not self._carries(session):
            return
        while missed := session.after(seq):
            seq = missed.seq
            self._send_dispatched(missed, missed.data)
        self._send(Opcode.DISPATCH, amended(payloads.resumed(), amends), seq=session.next_seq(), event="RESUMED")
        self._live = True
        yield from self._step("after_resumed")

    # What the fake does by itself, or is told to do.

    def _dispatch(self, event: str, data: object, shift: int | None) -> None:
        if self._session is None or not self._carries(self._session):
            self._send(Opcode.DISPATCH, data, event=event)
        elif shift is not None:
            self._send(Opcode.DISPATCH, data, seq=self._session.seq + shift, event=event)
        else:
            self._world.dispatch(self._session, event, data)

    def _send_dispatched(self, dispatched: Dispatched, data: object) -> None:
        self._send(Opcode.DISPATCH, data, seq=dispatched.seq, event=dispatched.event)

    def _forget(self) -> None:
        self._let_go(end=True)

    def _invalidate(self, *, resumable: bool) -> None:
        self._send(Opcode.INVALID_SESSION, resumable)
        self._let_go(end=not resumable)
        self._authenticated = False

    def _leave(self, *, code: int | None, by: Side) -> None:
        ends = by is Side.CLIENT and code in _CLIENT_ENDS_SESSION
        ends = ends or (by is Side.SERVER and close_kind(code) in {CloseKind.NEW_SESSION, CloseKind.FATAL})
        self._let_go(end=ends)

    def _let_go(self, *, end: bool) -> None:
        session, self._session, self._live = self._session, None, False
        if session is None or session.connection != self.number:
            return  # another connection carries it by now
        if end:
            self._world.sessions.end(session)
        else:
            self._world.sessions.release(session)

    async def _expect_heartbeats(self) -> None:
        with self._patience:
            await trio.sleep_forever()
        self.perform(_HEARTBEAT_MISSED, step="ack")

    def _postpone_impatience(self) -> None:
        tolerance = self._world.rules.heartbeat_tolerance
        if tolerance is not None:
            self._patience.deadline = trio.current_time() + tolerance * self._world.heartbeat_interval

    # Judging and noting.

    def _carries(self, session: Session) -> bool:
        return self._session is session and session.connection == self.number

    def _judge_shape(self, data: object, shape: type[HandshakeT]) -> HandshakeT | Close:
        if self._authenticated:
            return _ALREADY_AUTHENTICATED
        try:
            handshake = msgspec.convert(data, shape)
        except msgspec.ValidationError:
            return _DECODE_ERROR
        return handshake if self._world.matches(handshake.token) else _AUTHENTICATION_FAILED

    def _over_the_limit(self) -> bool:
        rules, now = self._world.rules, trio.current_time()
        self._received_at.append(now)
        while self._received_at[0] <= now - rules.send_window:
            self._received_at.popleft()
        return len(self._received_at) > rules.send_limit

    def _note_received(self, op: int | None, data: object, size: int) -> None:
        matched: bool | None = None
        if op in {Opcode.IDENTIFY, Opcode.RESUME} and isinstance(data, dict):
            fields = cast("dict[str, object]", data)
            token = fields.get("token")
            matched = isinstance(token, str) and self._world.matches(token)
            data = {key: value for key, value in fields.items() if key != "token"}  # a wrong one is a secret as well
        self._world.note(
            Received(
                time=trio.current_time(),
                connection=self.number,
                op=None if op is None else _OPCODES.get(op, op),
                data=data,
                size=size,
                token_matched=matched,
            )
        )


def _decode(message: bytes) -> dict[str, object] | None:
    try:
        return msgspec.json.decode(message, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _amended_if_object(data: object, amends: tuple[Amend, ...]) -> object:
    return amended(cast("Mapping[str, object]", data), amends) if isinstance(data, Mapping) else data


def _negotiate(query: Mapping[str, list[str]]) -> Compression | Answer:
    """What this fake cannot speak is refused in words, before the 101, rather than answered in another language."""
    encoding = query.get("encoding", ["json"])[-1]
    if encoding != "json":
        return Answer(400, {"message": f"The fake gateway speaks encoding=json, not {encoding}", "code": 0})
    try:
        return negotiate(query["compress"][-1] if "compress" in query else None)
    except ConfigurationError as error:
        return Answer(400, {"message": f"The fake gateway does not speak that: {error}", "code": 0})
