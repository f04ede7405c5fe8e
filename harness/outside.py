"""The outside of a shard as its effects have made it: what was asked, what is there, and what an honest answer is.

It follows the effects of a core and the events that were fed to it, so it can take over at any moment of any run and
behave well from then on. It does not look at the state of the shard: an effect that a table forgets is a question that
nobody answers.
"""

from __future__ import annotations

import enum
from typing import Final

import attrs

from gatewright.spec import effects, events
from gatewright.spec.effects import Effect
from gatewright.spec.events import Event

MAIN_URL: Final = "wss://main.example/"
RESUME_URL: Final = "wss://resume.example/"
INTERVAL: Final = 40.0
_FOR_GOOD: Final = 5


class Link(enum.StrEnum):
    """How far a socket has come."""

    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"  # a close frame of ours is on its way
    ABORTING = "aborting"


@attrs.define
class Socket:
    """The socket of one generation, with what is to be said on it."""

    gen: int
    link: Link = Link.OPENING
    hello: bool = False
    flushed: bool = False
    identify: bool = False
    resume: int | None = None
    beats: int = 0
    paused: bool = False
    slot: bool = False


@attrs.define
class Outside:
    """The driver, the network, the metadata end point, the gate and the peer of one shard."""

    registration: type[Event] | None = None
    request: int | None = None
    requests: int = 0
    """The number of the last metadata request, answered or not."""
    socket: Socket | None = None
    sessions: int = 0
    late: list[Event] = attrs.field(factory=list[Event])
    """Answers that were overtaken: they may still come, and must move nothing."""

    def answer(self) -> Event | None:
        """What a well-behaved outside says next; ``None`` when nothing was asked of it."""
        if self.registration is not None:
            return self.registration()
        if self.request is not None:
            return events.MetadataFetched(self.request, MAIN_URL)
        return None if self.socket is None else self._answer_on(self.socket)

    def _answer_on(self, socket: Socket) -> Event | None:
        gen = socket.gen
        match socket.link:
            case Link.OPENING:
                return events.Opened(gen)
            case Link.CLOSING:
                return events.Closed(gen) if socket.flushed else events.CloseFlushed(gen)
            case Link.ABORTING:
                return events.Aborted(gen)
            case Link.OPEN:
                pass
        if socket.paused:
            return events.ReadingResumed(gen)
        if not socket.hello:
            return events.Hello(gen, INTERVAL)
        if socket.beats:
            return events.HeartbeatAcked(gen)
        if socket.slot:
            return events.SlotGranted(gen)
        if socket.identify:
            return self.ready(gen)
        if socket.resume is not None:
            return events.Resumed(gen, socket.resume + 1)
        return None

    def failure(self, which: int) -> Event | None:
        """What an outside says that fails in what was asked of it, in one of several ways; 5 is for good."""
        if self.registration is events.Registered:
            return events.RegistrationFailed("it raised") if which == _FOR_GOOD else None
        if self.request is not None and which == _FOR_GOOD:
            return events.MetadataFailed(self.request, events.MetadataError.FATAL)
        if self.request is not None:
            error = (events.MetadataError.TRANSIENT, events.MetadataError.MALFORMED)[which % 2]
            return events.MetadataFailed(self.request, error, retry_after=float(which % 3))
        socket = self.socket
        if socket is None:
            return None
        if socket.link is Link.OPENING:
            return events.ConnectFailed(socket.gen, list(events.ConnectError)[which % 5])
        if socket.slot:
            return (
                events.SlotQueued(socket.gen, eta=20.0),
                events.SlotUnavailable(socket.gen, events.SlotRefusal.OUTAGE, retry_after=2.0),
                events.SlotUnavailable(socket.gen, events.SlotRefusal.BUDGET, retry_after=300.0),
            )[which % 3]
        if socket.link in {Link.OPEN, Link.CLOSING}:
            return events.WriteBlocked(socket.gen)
        return None

    def ready(self, gen: int) -> events.Ready:
        """READY for a new session, with a resume URL in two of three."""
        self.sessions += 1
        url = None if self.sessions % 3 == 0 else RESUME_URL
        return events.Ready(gen, seq=1, session_id=f"session {self.sessions}", resume_url=url)

    # -- what happened -------------------------------------------------------------------------------------------------

    def note(self, event: Event, made: tuple[Effect, ...]) -> None:
        """Takes into account an event that the core accepted, and the effects that it asked for."""
        match event:
            case events.Registered() | events.RegistrationFailed():
                if self.registration is events.Registered:
                    self.registration = None
            case events.RegistrationUndone():
                if self.registration is events.RegistrationUndone:
                    self.registration = None
            case events.MetadataFetched() | events.MetadataFailed():
                if event.request == self.request:
                    self.request = None
            case events.ConnectionEvent():
                if self.socket is not None and event.gen == self.socket.gen:
                    self._note_on(self.socket, event)
            case _:
                pass
        for effect in made:
            self._asked(effect)

    def _note_on(self, socket: Socket, event: Event) -> None:
        match event:
            case events.Opened():
                if socket.link is Link.OPENING:
                    socket.link = Link.OPEN
            case events.Closed() | events.Aborted() | events.ConnectFailed():
                self.socket = None
            case events.CloseFlushed():
                socket.flushed = True
            case events.Hello():
                socket.hello = True
            case events.SlotGranted() | events.SlotUnavailable():
                socket.slot = False
            case events.Ready():
                socket.identify = False
            case events.Resumed():
                socket.resume = None
            case events.HeartbeatAcked():
                socket.beats = max(socket.beats - 1, 0)
            case events.ReadingPaused():
                socket.paused = True
            case events.ReadingResumed():
                socket.paused = False
            case _:
                pass

    def _asked(self, effect: Effect) -> None:
        match effect:
            case effects.ApplyRegistrations():
                self.registration = events.Registered
            case effects.UndoRegistrations():
                self.registration = events.RegistrationUndone
            case effects.FetchMetadata():
                self.request = self.requests = effect.request
            case effects.CancelMetadata():
                self.late.append(events.MetadataFetched(effect.request, MAIN_URL))
                self.request = None
            case effects.OpenSocket():
                if self.socket is not None:
                    self.late.append(events.Closed(self.socket.gen))
                self.socket = Socket(effect.gen)
            case _:
                if self.socket is not None:
                    self._asked_on(self.socket, effect)

    def _asked_on(self, socket: Socket, effect: Effect) -> None:
        match effect:
            case effects.CloseKeepingSession() | effects.CloseEndingSession():
                socket.link = Link.CLOSING
            case effects.AbortSocket():
                if socket.link is Link.OPENING:
                    self.late += [events.Opened(socket.gen), events.ConnectFailed(socket.gen)]
                self.late.append(events.Aborted(socket.gen))
                socket.link = Link.ABORTING
            case effects.RequestSlot():
                socket.slot = True
            case effects.WithdrawSlot():
                if socket.slot:
                    self.late.append(events.SlotGranted(socket.gen))
                socket.slot = False
            case effects.SendIdentify():
                socket.identify = True
            case effects.SendResume():
                socket.resume = effect.seq
            case effects.SendHeartbeat():
                socket.beats += 1
            case _:
                pass
