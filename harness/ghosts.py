"""What a monitor remembers beside the context, to judge the invariants that need a history.

Each ghost follows one subject through the steps of a shard and yields what broke, as ``(invariant, what)``. A ghost
believes events and effects only: no counter of the context, and none of the table's functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

import attrs

from gatewright.spec import effects, events
from gatewright.spec.rows import RowKind
from gatewright.spec.session import Session
from gatewright.spec.settings import Settings
from gatewright.spec.states import HEARTBEAT_STATES, SOCKET_STATES, State
from gatewright.spec.step_rules import LIVE, OVER, SESSION_ENDING_CODES, Step

Broken = Iterator[tuple[str, str]]
_LEAVING: Final = (State.STALLED, State.DRAINING)
_EPSILON: Final = 1e-6
"""Slack for sums of floating point seconds."""


class Ghost(Protocol):
    """Follows one subject."""

    def see(self, step: Step) -> Broken:
        """Takes one step into account; yields what it broke."""
        ...


def _ignored(step: Step) -> bool:
    """The table says that it did not happen; whether it may say so is judged by the rules over one step."""
    return step.row.kind is RowKind.IGNORE


@attrs.define
class Sockets:
    """The socket that is there, what was said on it, and when it had to be gone (I01, I02, I04, I07)."""

    settings: Settings
    bound: bool = False
    open: int | None = None
    hello: bool = False
    shaken: bool = False
    closing: bool = False
    stop_by: float | None = None

    def see(self, step: Step) -> Broken:
        """See :class:`Ghost`."""
        event, after = step.event, step.after
        if isinstance(event, events.Register) and step.row.kind is RowKind.TAKE:
            self.bound = True
        if isinstance(event, events.ConnectionEvent) and event.gen == self.open and not _ignored(step):
            if isinstance(event, (events.Closed, events.Aborted, events.ConnectFailed)):
                self.open = None
            if isinstance(event, events.Hello) and step.before.state is State.AWAITING_HELLO:
                self.hello = True
        for effect in step.effects:
            yield from self._effect(effect)
        if self.open is not None and after.state not in SOCKET_STATES:
            yield "I04" if after.state in OVER else "I01", f"the socket of generation {self.open} is left behind"
        if self.closing and after.state in LIVE:
            yield "I07", f"{after.state} is shown while its socket is being closed"
        yield from self._stops(step)

    def _effect(self, effect: effects.Effect) -> Broken:
        match effect:
            case effects.OpenSocket():
                if self.open is not None:
                    yield "I01", f"a socket is opened while that of generation {self.open} is there"
                if not self.bound:
                    yield "I02", "a socket is opened before a client is bound"
                self.open, self.hello, self.shaken, self.closing = effect.gen, False, False, False
            case effects.AbortSocket():
                if effect.gen == self.open:
                    self.open = None
            case effects.CloseKeepingSession() | effects.CloseEndingSession():
                if effect.gen != self.open:
                    yield "I06", "a socket that is gone is closed"
                if self.closing:
                    yield "I21", "a second close frame is sent"
                self.closing = True
            case effects.SendIdentify() | effects.SendResume() | effects.SendHeartbeat():
                if effect.gen != self.open or self.closing:
                    yield "I06", f"{effect.name} on a socket that is gone or being left"
                if not isinstance(effect, effects.SendHeartbeat):
                    if not self.hello:
                        yield "I02", f"{effect.name} before HELLO"
                    if self.shaken:
                        yield "I02", f"{effect.name} is the second handshake of this connection"
                    self.shaken = True
            case _:
                pass

    def _stops(self, step: Step) -> Broken:
        after = step.after
        if isinstance(step.event, events.Stop) and step.row.kind is RowKind.TAKE:
            s = self.settings
            self.stop_by = after.now + max(s.final_close_timeout, s.close_timeout, s.undo_timeout)
        if (
            self.stop_by is not None
            and after.state not in OVER
            and (after.deadline is None or after.deadline > self.stop_by + _EPSILON)
        ):
            yield "I04", "stop() was asked for, and nothing ends the shard in time"


@attrs.define
class Registrations:
    """Registrations that were begun, applied, and taken down (I05, I14)."""

    applying: bool = False
    applied: int = 0

    def see(self, step: Step) -> Broken:
        """See :class:`Ghost`."""
        if step.before.state is State.REGISTERING and isinstance(step.event, events.Registered):
            self.applied += self.applying
            self.applying = False
        for effect in step.effects:
            if isinstance(effect, effects.ApplyRegistrations):
                if self.applying or self.applied:
                    yield "I05", "registrations are applied a second time"
                self.applying = True
            elif isinstance(effect, effects.UndoRegistrations):
                if not self.applying:
                    yield "I14", "what was not begun is undone"
                self.applying = False
        if self.applying and step.after.state is not State.REGISTERING:
            yield "I14", "registrations that were begun are neither waited for nor undone"
        if (step.does(effects.OpenSocket) or step.after.state is State.READY) and self.applied != 1:
            yield "I05", f"connected with registrations applied {self.applied} times"


@attrs.define
class Slots:
    """The slot that was asked for (I12)."""

    asked: int | None = None

    def see(self, step: Step) -> Broken:
        """See :class:`Ghost`."""
        event = step.event
        if isinstance(event, (events.SlotGranted, events.SlotUnavailable)) and event.gen == self.asked and step.current:
            granted = isinstance(event, events.SlotGranted)
            if granted and not step.does(effects.SendIdentify):
                yield "I12", "a slot that was waited for is not used"
            self.asked = None
        elif step.does(effects.SendIdentify):
            yield "I12", "IDENTIFY without a slot"
        for effect in step.effects:
            if isinstance(effect, effects.RequestSlot):
                if self.asked is not None:
                    yield "I12", "a second slot is asked for"
                self.asked = effect.gen
            elif isinstance(effect, effects.WithdrawSlot) and effect.gen == self.asked:
                self.asked = None
        if self.asked is not None and step.after.state is not State.AWAITING_IDENTIFY_SLOT:
            yield "I12", "the wait for a slot ended and the request was not taken back"


@attrs.define
class Sessions:
    """The session as the protocol has it: what begins and ends it, counted here again (I10, I11)."""

    settings: Settings
    held: str | None = None
    url: str | None = None
    seq: int = 0
    stalls: int = 0
    failed_resumes: int = 0
    connect_failures: int = 0
    progressed: bool = False
    paused: bool = False

    @classmethod
    def of(cls, settings: Settings, session: Session | None) -> Sessions:
        """The history of a shard that begins with `session`."""
        if session is None:
            return cls(settings)
        return cls(settings, held=session.id, url=session.resume_url, seq=session.seq)

    def see(self, step: Step) -> Broken:
        """See :class:`Ghost`."""
        if step.current and not _ignored(step):
            self._event(step)
        session = step.after.session
        if (None if session is None else session.id) != self.held:
            yield "I10", f"the session should be {self.held!r}, and is {session!r}"
        if session is not None and session.resume_url != self.url:
            yield "I10", f"the resume URL should be {self.url!r}, and is {session.resume_url!r}"
        if self.held is not None and step.after.received != self.seq:
            yield "I17", f"the received sequence should be {self.seq}, and is {step.after.received}"
        if (step.after.stalls, step.after.failed_resumes) != (self.stalls, self.failed_resumes):
            yield "I11", f"{self.stalls} stalls and {self.failed_resumes} failed resumes were seen"
        for effect in step.effects:
            match effect:
                case effects.SendResume():
                    if (effect.session_id, effect.seq) != (self.held, self.seq):
                        yield "I10", f"RESUME of {effect.session_id!r}, where {self.held!r} is held"
                    self.progressed = False
                case effects.SendIdentify() | effects.RequestSlot():
                    if self.held is not None:
                        yield "I10", f"{effect.name} although {self.held!r} is held"
                case effects.OpenSocket():
                    self.paused = False
                    if effect.resume != (self.held is not None) or (self.url is not None and effect.url != self.url):
                        yield "I10", f"the plan of {effect} is not that of the session"
                case _:
                    pass

    def _event(self, step: Step) -> None:
        event, state = step.event, step.before.state
        self._failed_resume(step)
        match event:
            case events.Stop() | events.ForceIdentify():
                if step.row.kind is RowKind.TAKE:
                    self._drop()
            case events.Closed():
                if event.code in SESSION_ENDING_CODES:
                    self._drop()
            case events.SessionInvalidated():
                live = state in {State.RESUMING, State.READY}
                if state in LIVE and not (live and event.resumable):
                    self._drop()
            case events.Ready():
                if state in {State.IDENTIFIED, State.RESUMING, State.READY}:
                    self.held, self.url, self.seq = event.session_id, event.resume_url, event.seq
                    self.stalls = self.failed_resumes = 0
            case events.Resumed():
                if state is State.RESUMING:
                    self.stalls = self.failed_resumes = 0
                if state in {State.RESUMING, State.READY}:
                    self.seq = max(self.seq, event.seq)
            case events.Dispatched():
                if state in {State.RESUMING, State.READY} and event.seq > self.seq:
                    self.seq, self.progressed = event.seq, True
            case events.Hello():
                if state is State.AWAITING_HELLO:
                    self.connect_failures = 0
            case events.ConnectFailed() | events.DeadlinePassed():
                self._no_connection(state)
            case events.ReadingPaused() | events.ReadingResumed():
                self.paused = state in LIVE and isinstance(event, events.ReadingPaused)
            case _:
                pass

    def _no_connection(self, state: State) -> None:
        if state is State.AWAITING_HELLO and not self.paused:
            self.stalls += 1
            if self.stalls >= self.settings.hello_stalls_to_drop_session:
                self._drop()
            elif self.stalls >= self.settings.hello_stalls_to_forget_url:
                self.url, self.connect_failures = None, 0
        elif state is State.CONNECTING:
            self.connect_failures += 1
            if self.url is not None and self.connect_failures >= self.settings.connect_failures_to_forget_url:
                self.url, self.connect_failures = None, 0

    def _failed_resume(self, step: Step) -> None:
        """RESUME was sent, and is left without RESUMED, without progress, and not because we wished to."""
        if step.before.state is not State.RESUMING or step.after.state not in {*_LEAVING, State.BACKING_OFF}:
            return
        held_back = self.paused and isinstance(step.event, events.Timer)
        ours = held_back or step.event.kind is events.EventKind.COMMAND
        ours = ours or isinstance(step.event, events.QueueOverflowed)
        final = isinstance(step.event, events.SessionInvalidated) and not step.event.resumable
        final = final or (isinstance(step.event, events.Closed) and step.event.code in SESSION_ENDING_CODES)
        if ours or final or self.progressed:
            return
        self.failed_resumes += 1
        if self.failed_resumes >= self.settings.max_failed_resumes:
            self._drop()

    def _drop(self) -> None:
        self.held = self.url = None


@attrs.define
class Beats:
    """The scheduled heartbeat that has no ACK, and whether reading was paused since it was issued (I20, I23)."""

    settings: Settings
    outstanding: bool = False
    proving: bool = False
    paused: bool = False
    paused_since: bool = False
    paused_beats: int = 0
    proved: bool = False
    """This very step proved the session: the ACK of a beat that was scheduled in `ready`."""

    def see(self, step: Step) -> Broken:
        """See :class:`Ghost`."""
        self.proved = False
        state = step.before.state
        if step.current and not _ignored(step):
            match step.event:
                case events.Hello() if state is State.AWAITING_HELLO:
                    self.outstanding = False
                case events.ReadingPaused() if state in LIVE:
                    self.paused, self.paused_since, self.paused_beats = True, True, 0
                case events.ReadingResumed() if state in LIVE:
                    self.paused, self.paused_beats = False, 0
                case events.HeartbeatAcked() if state in HEARTBEAT_STATES:
                    self.proved = self.outstanding and self.proving and state is State.READY
                    self.outstanding = False
                case events.HeartbeatDue():
                    yield from self._due(step)
                case _:
                    pass
        if step.does(effects.OpenSocket):
            self.paused = self.paused_since = False
            self.paused_beats = 0

    def _due(self, step: Step) -> Broken:
        after = step.after.state
        if self.outstanding and not self.paused_since:
            if after is not State.STALLED:
                yield "I03", "the last scheduled heartbeat has no ACK, and the connection is kept"
            return
        if after is State.STALLED:
            yield "I23" if self.paused_since else "I20", "a zombie is seen where none can be known"
            return
        if self.paused and self.paused_beats >= self.settings.max_paused_beats:
            if after is not State.DRAINING:
                yield "I23", "reading is paused for too long, and the declared policy does not act"
            return
        if step.after.state is not step.before.state or [type(e) for e in step.effects] != [effects.SendHeartbeat]:
            yield "I20", "a heartbeat was due and not simply sent"
        self.outstanding, self.proving = True, step.before.state is State.READY
        self.paused_since = self.paused
        self.paused_beats = self.paused_beats + 1 if self.paused else 0
