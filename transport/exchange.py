"""Commands out and their answers in, for one shard: the queue before READY, what is unanswered, and the presence.

None of it decides about the connection. It looks at the shard's state after each step, hands waiting commands to the
connection's outbox in the step that made the shard ready, and ends what can no longer be answered.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
from collections.abc import Callable, Iterable
from typing import Final

import attrs
import trio

from gatewright.fsm.core import ShardCore
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.events import Closed, Event, Ready, Resumed
from gatewright.spec.protocol import CloseCode
from gatewright.spec.states import STATES, State
from gatewright.transport.answers import PresenceOutcome
from gatewright.transport.commands import RequestGuildMembers, UpdatePresence, UserCommand, encode_command
from gatewright.transport.dispatch import Dispatch
from gatewright.transport.driver import Driver
from gatewright.transport.errors import ConnectionLost, NotReady, RequestTimedOut, TooManyCommands
from gatewright.transport.outbox import Fate, Outbox, Outgoing
from gatewright.transport.presence import Presence
from gatewright.transport.requests import Book, Pending
from gatewright.transport.waiting import Lot

_REFUSED_PAYLOAD: Final = frozenset({CloseCode.UNKNOWN_OPCODE, CloseCode.DECODE_ERROR})


def _a_bound(owner: object, attribute: attrs.Attribute[int], value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"CommandLimits.{attribute.name} must be a whole number of at least 1, not {value!r}")


@attrs.frozen(kw_only=True)
class CommandLimits:
    """How much of what a program asks for may be under way in one shard.

    Attributes:
        commands: commands that wait, for READY or for their turn within the rate limits.
        requests: requests that have no answer yet.
        answer_bytes: bytes of member chunks that wait to be taken, over all requests; also what one
            ``request_members`` may gather. Decoded, members take five to ten times as much memory.
    """

    commands: int = attrs.field(default=1000, validator=_a_bound)
    requests: int = attrs.field(default=1000, validator=_a_bound)
    answer_bytes: int = attrs.field(default=64 * 2**20, validator=_a_bound)


def _wake(lot: trio.lowlevel.ParkingLot) -> None:
    lot.unpark_all()


@attrs.define(eq=False)
class _Waiting:
    """A command that waits for READY; adopting it moves its time limit out of the way."""

    outgoing: Outgoing
    pending: Pending | None
    patience: trio.CancelScope


class Exchange:
    """The commands of one shard.

    Args:
        core: the shard's state, read only.
        driver: whose connection to send on, and whose dispatches to look at.
        presence: what the bot is to appear as.
        check_presence: raises if a presence does not fit into IDENTIFY, which has to carry it one day.
        limits: the bounds.
    """

    __slots__ = (
        "_check_presence", "_core", "_driver", "_ended", "_presence", "_ready", "_tickets", "_unsent", "_waiting",
        "book", "limits",
    )  # fmt: skip

    def __init__(
        self,
        core: ShardCore,
        driver: Driver,
        presence: Presence,
        *,
        check_presence: Callable[[UpdatePresence], object],
        limits: CommandLimits,
    ) -> None:
        self.limits: Final = limits
        self.book: Final = Book(most=limits.requests, most_bytes=limits.answer_bytes)
        self._core = core
        self._driver = driver
        self._presence = presence
        self._check_presence = check_presence
        self._tickets = itertools.count()
        self._waiting: dict[int, _Waiting] = {}
        self._unsent = 0
        self._ready = Lot()
        self._ended = False

    # -- what the shard tells --------------------------------------------------------------------------------------

    def after_step(self, event: Event) -> None:
        """Looks at where the shard is after a step that was no dispatch; idempotent but for READY and RESUMED."""
        core = self._core
        if self.book:
            if type(event) is Closed and event.code is not None and event.code in _REFUSED_PAYLOAD:
                self.book.refused(event.code)
            self.book.session_is(core.session_id)
        if core.state is State.READY:
            if type(event) is Ready or type(event) is Resumed:
                self._entered_ready(event)
            return
        self._presence.lost(trio.current_time())
        if STATES[core.state].absorbing:
            self.end()

    def end(self) -> None:
        """The shard is over, or its block left: nothing is sent and nothing is answered any more; idempotent."""
        self._ended = True
        for waiting in self._waiting.values():
            waiting.outgoing.settle(Fate.UNSENT)
        self._waiting.clear()
        self.book.end(f"the shard is '{self._core.state}'")
        self._ready.unpark_all()

    def _entered_ready(self, event: Ready | Resumed) -> None:
        outbox = self._outbox()
        if outbox is None:
            return
        if type(event) is Ready:
            again = self._presence.began()
        else:
            again = self._presence.resumed(self._core.interval or math.inf)
        if again is not None:
            outbox.post(Outgoing(again.op, encode_command(again)))
            self._presence.written(again, trio.current_time())
        # In the order in which they were asked for, whatever order their callers would be woken in.
        for _, waiting in sorted(self._waiting.items()):
            waiting.patience.deadline = math.inf
            if waiting.pending is not None and waiting.pending.error is not None:
                waiting.outgoing.settle(Fate.UNSENT)  # nobody waits for its answer any more
            else:
                outbox.post(waiting.outgoing)
        self._waiting.clear()
        self.book.connected(trio.current_time())
        self._ready.unpark_all()

    # -- sending ---------------------------------------------------------------------------------------------------

    async def send(self, command: UserCommand, *, wait: float = 0.0, pending: Pending | None = None) -> None:
        """As :meth:`gatewright.transport.verbs.CommandVerbs.send`; `pending` is told when it goes out."""
        payload = encode_command(command)
        if isinstance(command, UpdatePresence):
            self._check_presence(command)
        if self._unsent >= self.limits.commands:
            raise TooManyCommands(f"{self._unsent} commands wait already; wait for some of them first")
        self._unsent += 1
        try:
            outgoing = Outgoing(command.op, payload, functools.partial(self._noticed, command, pending))
            await self._send(outgoing, trio.current_time() + wait, pending)
        finally:
            self._unsent -= 1

    def _noticed(self, command: UserCommand, pending: Pending | None, fate: Fate) -> None:
        """Keeps account of what goes out, also when its caller was cancelled while it was written."""
        if fate is Fate.BEGUN and pending is not None:
            pending.session_id = self._core.session_id
        if fate is not Fate.SENT:
            return
        now = trio.current_time()
        if isinstance(command, UpdatePresence):
            self._presence.written(command, now)
        elif isinstance(command, RequestGuildMembers) and command.whole_list:
            self.book.whole_lists.sent(command.guild_id, now)
        if pending is not None and not pending.begun:
            pending.move(now)

    async def _send(self, outgoing: Outgoing, until: float, pending: Pending | None) -> None:
        ticket = next(self._tickets)
        while True:
            if pending is not None and pending.error is not None:
                raise pending.error
            outbox = self._outbox()
            with trio.CancelScope(deadline=math.inf) as patience:
                if outbox is not None:
                    outbox.post(outgoing)
                elif self._ended or until <= trio.current_time():
                    raise self._not_ready()
                else:
                    patience.deadline = until
                    self._waiting[ticket] = _Waiting(outgoing, pending, patience)
                try:
                    await outgoing.sent()
                except ConnectionLost:
                    # Unsent on a connection that was lost: it waits on, as long as its caller wished it to.
                    if outgoing.fate is not Fate.UNSENT or (until <= trio.current_time() and not self._ended):
                        raise
                else:
                    return
                finally:
                    self._waiting.pop(ticket, None)
            if patience.cancelled_caught:
                if outgoing.fate is Fate.SENT:  # its turn and its time came together
                    return
                raise self._not_ready()
            outgoing = outgoing.again()

    def _outbox(self) -> Outbox | None:
        """Where a command can go now: the outbox of a connection with a live session."""
        connection = self._driver.connection
        if self._core.state is not State.READY or connection is None or connection.outbox.closed:
            return None
        return connection.outbox

    def _not_ready(self) -> NotReady:
        state = self._core.state
        if self._ended:
            return NotReady(f"the shard is '{state}'; nothing can be sent on it any more")
        return NotReady(f"a command cannot be sent in '{state}'; wait for it: await shard.wait_for('ready')")

    # -- asking ----------------------------------------------------------------------------------------------------

    def open(self, pending: Pending) -> None:
        """Begins to look for the answer of a request."""
        self.book.open(pending)
        self._driver.watch = self._offer

    def close(self, pending: Pending) -> None:
        """Nobody waits for this answer any more; idempotent."""
        self.book.close(pending)
        if not self.book:
            self._driver.watch = None

    async def ask(self, pending: Pending, commands: Iterable[UserCommand], *, until: float, wait: float) -> None:
        """Sends the commands of an open request.

        Raises:
            RequestTimedOut: `until` came before the last one's turn.
            RequestFailed, SendRefused: as it may be.
        """
        with trio.move_on_at(until) as scope:
            for command in commands:
                await self.send(command, wait=min(wait, until - trio.current_time()), pending=pending)
                if pending.error is not None:
                    raise pending.error
        if scope.cancelled_caught:
            raise RequestTimedOut(f"{pending.op.name} did not get its turn in the time that it was given")

    async def progress(
        self,
        pending: Pending,
        enough: Callable[[], bool],
        *,
        until: float,
        patience: float,
        late: Callable[[], Exception],
    ) -> None:
        """Waits until there is `enough` of an answer, or the request has failed.

        Raises:
            RequestTimedOut: it is not there at `until`, or nothing of it came for `patience` seconds of a live session.
            RequestFailed: as the book says.
        """
        changed = trio.lowlevel.ParkingLot()
        pending.notify = lambda: _wake(changed)
        await trio.lowlevel.checkpoint()
        while not enough():
            if pending.error is not None:
                raise pending.error
            limit = until
            if self._core.state is State.READY:
                limit = min(until, pending.moved_at + patience)
            if limit <= trio.current_time():
                # What lies in the kernel behind a blocked event loop came in time (I23).
                await self._driver.read_what_has_come()
                if not enough() and pending.error is None:
                    raise late()
                continue
            with trio.move_on_at(limit):
                await changed.park()

    def _offer(self, dispatch: Dispatch) -> None:
        self.book.offer(dispatch, trio.current_time())

    def why_late(self) -> str:
        """What may be behind an answer that does not come, beyond the server."""
        if self._core.reading_paused:
            return "; reading is paused, because nobody takes the shard's dispatches: take them in a task of their own"
        if self._core.state is not State.READY:
            return f"; the shard is '{self._core.state}'"
        return ""

    # -- presence --------------------------------------------------------------------------------------------------

    async def update_presence(self, presence: UpdatePresence, *, wait: float) -> PresenceOutcome:
        """As :meth:`gatewright.transport.verbs.CommandVerbs.update_presence`."""
        payload = encode_command(presence)
        if not isinstance(presence, UpdatePresence):  # pyright: ignore[reportUnnecessaryIsInstance] # not all use a type checker
            raise ConfigurationError(
                f"a presence is a gatewright.UpdatePresence, not {type(presence).__name__}; send() takes other commands"
            )
        self._check_presence(presence)
        until = trio.current_time() + wait
        if self._outbox() is None and (self._ended or wait <= 0):
            raise self._not_ready()
        wish = self._presence.wish(presence)
        try:
            while wish.outcome is None:
                with trio.CancelScope() as scope:
                    wish.notify = scope.cancel
                    notice = functools.partial(self._noticed, presence, None)
                    await self._wish_goes_out(Outgoing(presence.op, payload, notice), until)
        finally:
            self._presence.withdraw(wish)
        return wish.outcome

    async def _wish_goes_out(self, outgoing: Outgoing, until: float) -> None:
        outbox = self._outbox()
        if outbox is None:
            if self._ended or until <= trio.current_time():
                raise self._not_ready()
            with trio.move_on_at(until):
                await self._ready.park()
            return
        outbox.post(outgoing)
        with contextlib.suppress(ConnectionLost):  # it says what the bot is to have: twice is as good as once
            await outgoing.sent()
