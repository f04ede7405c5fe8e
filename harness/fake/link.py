"""One websocket connection without its protocol: playing steps and actions, framing, closing, and the log of it all.

A *procedure* is a generator that plays steps and yields what to wait for in between. It runs at once up to its
first delay, so that without delays everything happens in the order in which the client asked for it; only what is
delayed goes on in a task of its own, and so a late READY holds up no heartbeat.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import TypeAlias

import attrs
import trio
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.utilities import RemoteProtocolError

from gatewright.harness.fake import payloads
from gatewright.harness.fake.compression import Deflater
from gatewright.harness.fake.http import response
from gatewright.harness.fake.log import Acted, Closed, CloseFrame, Sent, Side
from gatewright.harness.fake.script import (
    Amend,
    Answer,
    Bomb,
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
    Raw,
    Reconnect,
    RequestHeartbeat,
    Send,
    Split,
    Withhold,
)
from gatewright.harness.fake.wire import Wire
from gatewright.harness.fake.world import World
from gatewright.spec.protocol import Opcode
from gatewright.transport.inflate import Compression

Pause: TypeAlias = tuple[float, trio.CancelScope]
"""Seconds to wait, and the scope that may end the wait before."""
Procedure: TypeAlias = Generator[Pause, None, None]
Step: TypeAlias = Generator[Pause, None, tuple[Amend, ...] | None]
"""Plays the actions of a step. Returns what to amend, or ``None`` if the step must not happen."""

_WITHOUT_WEBSOCKET = frozenset({"accept", "on_close"})
"""The steps that come up while no websocket is open: before the 101, and after the client's close frame."""
_NO_CODE = 1005
"""How wsproto spells a close frame without a code."""


@attrs.define(eq=False)
class _Delayed:
    """A step that waits in a delay."""

    step: str
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    instead: tuple[HandshakeAction | MessageAction, ...] = ()
    """What is played when it goes on, before the rest of its plan."""


class Link(ABC):
    """One connection from its upgrade request until the socket is gone; the protocol is its subclass's."""

    def __init__(self, *, world: World, number: int, plan: Connection, wire: Wire) -> None:
        self.number = number
        self._world = world
        self._wire = wire
        self._nursery: trio.Nursery | None = None
        self._over = False
        self._plan = plan
        self._occurrences: Counter[str] = Counter()
        self._delayed: list[_Delayed] = []
        self._partial: list[bytes] = []
        self._fragment: Fragment | None = None
        self._deflater = Deflater(Compression.NONE)  # until something else is negotiated
        self._first_close: tuple[Side, int | None] | None = None

    @abstractmethod
    def _open(self) -> Procedure:
        """The procedure that begins with the upgrade request."""

    @abstractmethod
    def _on_message(self, message: bytes) -> None:
        """A whole message was read."""

    @abstractmethod
    def _dispatch(self, event: str, data: object, shift: int | None) -> None:
        """Send a dispatch of this connection's session."""

    @abstractmethod
    def _forget(self) -> None:
        """End this connection's session without a word."""

    @abstractmethod
    def _invalidate(self, *, resumable: bool) -> None:
        """Send op 9 and forget who the client is."""

    @abstractmethod
    def _leave(self, *, code: int | None, by: Side) -> None:
        """The first close frame passed, or (with ``None``) the socket is gone: let go of the session."""

    async def run(self) -> None:
        """Converse until the socket is gone. Cancellation ends it; who called closes the stream."""
        by = Side.SERVER
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                try:
                    self._wire.start(nursery)
                    self._begin(self._open())
                    while data := await self._wire.receive():
                        self._feed(data)
                    by = Side.SERVER if self._wire.cut_here else Side.CLIENT
                finally:
                    self._over = True
                nursery.cancel_scope.cancel()
        finally:
            self._leave(code=None, by=by)
            by, code = self._first_close or (by, None)
            self._world.log.add(Closed(time=trio.current_time(), connection=self.number, by=by, code=code))

    def light_up(self) -> None:
        """The cable is plugged in again: what was held back passes."""
        if self._over:
            return
        self._feed(self._wire.light_up())

    def perform(self, action: HandshakeAction | MessageAction, *, step: str | None = None) -> None:
        """Play one action now. `Delay`, `Withhold` and `Amend` mean something in a step only."""
        if self._over:
            return  # the socket has just gone, and the tasks of the connection are ending
        self._world.log.add(Acted(time=trio.current_time(), connection=self.number, action=action, step=step))
        match action:
            case Dark(reading=reading):
                self._wire.go_dark(reading=reading)
            case Drop(reset=reset):
                self._wire.drop(reset=reset)
            case Raw(data):
                self._wire.send_raw(data)
            case Answer():
                self._wire.send_raw(response(action))
                self._wire.finish()
            case Close(code, reason) if self._wire.opened:
                self._close(code, reason)
            case Close() if not self._wire.accepted:
                self._wire.drop(reset=False)  # before the 101 there is no frame to send
            case _ if self._wire.opened:
                self._perform_message(action)
            case _:
                pass  # no websocket, or not any more: nothing that could carry it

    def _perform_message(self, action: HandshakeAction | MessageAction) -> None:
        match action:
            case Reconnect():
                self._send(Opcode.RECONNECT)
            case RequestHeartbeat():
                self._send(Opcode.HEARTBEAT)
            case Invalidate(resumable=resumable):
                self._invalidate(resumable=resumable)
            case Dispatch(event, data, shift=shift):
                self._dispatch(event, data, shift)
            case Forget():
                self._forget()
            case Fragment():
                self._fragment = action
            case Send(message):
                record = Sent(time=trio.current_time(), connection=self.number, op=None, data=message)
                self._send_frames([message], record)
            case Split() | Corrupt():
                self._deflater.prepare(action)
            case Bomb(size):
                record = Sent(time=trio.current_time(), connection=self.number, op=None, data=repr(action))
                self._send_frames(self._deflater.bomb(size), record)
            case _:
                pass

    def _step(self, name: str) -> Step:
        self._occurrences[name] += 1
        amends: list[Amend] = []
        actions = deque(self._plan.actions(name, self._occurrences[name]))
        while actions:
            action = actions.popleft()
            if isinstance(action, Amend):
                amends.append(action)
            self.perform(action, step=name)
            if isinstance(action, Delay):
                delayed = _Delayed(name)
                self._delayed.append(delayed)
                yield action.seconds, delayed.scope
                self._delayed.remove(delayed)
                actions.extendleft(reversed(delayed.instead))
            if isinstance(action, (Withhold, Drop, Close, Invalidate, Answer)):
                return None
        return tuple(amends) if self._wire.opened or name in _WITHOUT_WEBSOCKET else None

    def _begin(self, procedure: Procedure) -> None:
        """Run `procedure` up to its first delay now, and the rest in a task of the connection."""
        assert self._nursery is not None
        for seconds, scope in procedure:
            self._nursery.start_soon(_finish, procedure, seconds, scope)
            return

    def go_on(self, step: str, actions: Sequence[HandshakeAction | MessageAction]) -> bool:
        """End the delay in which `step` has waited longest, and play `actions` next; whether there was one."""
        for delayed in self._delayed:
            if delayed.step == step and not delayed.scope.cancel_called:
                delayed.instead = tuple(actions)
                delayed.scope.cancel()
                return True
        return False

    def _send(self, op: Opcode, data: object = None, *, seq: int | None = None, event: str | None = None) -> None:
        if not self._wire.opened:
            return
        record = Sent(time=trio.current_time(), connection=self.number, op=op, data=data, seq=seq, event=event)
        self._send_frames(self._deflater.frames(payloads.envelope(op, data, seq=seq, event=event)), record)

    def _send_frames(self, messages: Sequence[str | bytes], record: Sent) -> None:
        """Send `messages`, which are one of the gateway's; it is noted with the first of them."""

        def note() -> None:
            self._world.note(record)

        for position, message in enumerate(messages):
            for part, frame in enumerate(self._frames(message)):
                self._wire.send(frame, None if position or part else note)

    def _frames(self, message: str | bytes) -> Iterator[Event]:
        """A message in one frame, or in those that a `Fragment` wants."""
        fragment, self._fragment = self._fragment, None
        pieces = 1 if fragment is None else min(fragment.pieces, max(1, len(message)))
        cuts = [len(message) * piece // pieces for piece in range(pieces + 1)]
        for start, end in itertools.pairwise(cuts):
            piece, last = message[start:end], end == len(message)
            if isinstance(piece, bytes):
                yield BytesMessage(data=piece, message_finished=last)
            else:
                yield TextMessage(data=piece, message_finished=last)
            if fragment is not None and fragment.ping and not last:
                yield Ping(payload=b"between")

    def _close(self, code: int, reason: str) -> None:
        assert self._nursery is not None
        self._first_close = Side.SERVER, code
        self._wire.send(
            CloseConnection(code=code, reason=reason or None), lambda: self._note_close(Side.SERVER, code, reason)
        )
        self._leave(code=code, by=Side.SERVER)
        self._nursery.start_soon(self._wait_for_answer)

    async def _wait_for_answer(self) -> None:
        await trio.sleep(self._world.rules.close_timeout)
        self._wire.finish()

    def _feed(self, data: bytes) -> None:
        try:
            for event in self._wire.feed(data):
                self._receive(event)
        except RemoteProtocolError as error:
            if self._wire.opened and isinstance(error.event_hint, CloseConnection):
                self._close(error.event_hint.code, error.event_hint.reason or "")
            self._wire.finish()

    def _receive(self, event: Event) -> None:
        match event:
            case TextMessage(data=data) | BytesMessage(data=data):
                self._partial.append(data.encode() if isinstance(data, str) else bytes(data))
                if event.message_finished:
                    message, self._partial = b"".join(self._partial), []
                    self._on_message(message)
            case Ping() if self._wire.opened:
                self._wire.send(event.response())
            case CloseConnection(code=code, reason=reason):
                self._on_close(event, None if code == _NO_CODE else int(code), reason or "")
            case _:
                pass

    def _on_close(self, frame: CloseConnection, code: int | None, reason: str) -> None:
        self._note_close(Side.CLIENT, code, reason)
        if self._first_close is not None:  # the answer to our own
            self._wire.finish()
            return
        self._first_close = Side.CLIENT, code
        self._leave(code=code, by=Side.CLIENT)
        self._begin(self._answer_close(frame, code))

    def _answer_close(self, frame: CloseConnection, code: int | None) -> Procedure:
        if (yield from self._step("on_close")) is not None:
            self._wire.send(frame.response(), lambda: self._note_close(Side.SERVER, code, ""))
            self._wire.finish()

    def _note_close(self, by: Side, code: int | None, reason: str) -> None:
        self._world.note(CloseFrame(time=trio.current_time(), connection=self.number, by=by, code=code, reason=reason))


async def _finish(procedure: Procedure, seconds: float, scope: trio.CancelScope) -> None:
    while True:
        with scope:
            await trio.sleep(seconds)
        try:
            seconds, scope = next(procedure)
        except StopIteration:
            return


def amended(content: Mapping[str, object], amends: tuple[Amend, ...]) -> dict[str, object]:
    """`content` after all of `amends`, in their order."""
    result = dict(content)
    for amend in amends:
        result = amend(result)
    return result
