"""The presence that a bot is to have: the last one wins, and a session that begins anew begins with it (P59, P60).

Pure: what happens to the shard comes in as calls. There is one wish at a time; a newer one supersedes it, and its
caller is told. What was written so shortly before a connection was lost that the server may never have read it is sent
again after RESUMED, and only that (A18).
"""

from __future__ import annotations

from collections.abc import Callable

from gatewright.transport.answers import PresenceOutcome
from gatewright.transport.commands import UpdatePresence


class Wish:
    """A presence that somebody waits for. `notify` is called when `outcome` is there."""

    __slots__ = ("notify", "outcome", "presence")

    def __init__(self, presence: UpdatePresence) -> None:
        self.presence = presence
        self.notify: Callable[[], None] | None = None
        self.outcome: PresenceOutcome | None = None

    def settle(self, outcome: PresenceOutcome) -> None:
        """It has an outcome."""
        self.outcome = outcome
        if self.notify is not None:
            self.notify()


class Presence:
    """The presence of one shard.

    Args:
        first: what the first IDENTIFY carries.
    """

    __slots__ = ("_current", "_identified_with", "_lost_at", "_wish", "_written_at")

    def __init__(self, first: UpdatePresence | None) -> None:
        self._current = first
        self._wish: Wish | None = None
        self._identified_with: tuple[UpdatePresence | None] | None = None
        self._written_at: float | None = None
        self._lost_at: float | None = None

    @property
    def wanted(self) -> UpdatePresence | None:
        """What the bot is to have: what an IDENTIFY has to carry."""
        return self._current if self._wish is None else self._wish.presence

    def wish(self, presence: UpdatePresence) -> Wish:
        """Somebody asks for `presence`; the wish before it, if it is still one, is superseded."""
        before, self._wish = self._wish, Wish(presence)
        if before is not None:
            before.settle(PresenceOutcome.SUPERSEDED)
        return self._wish

    def withdraw(self, wish: Wish) -> None:
        """Its caller does not want it any more; idempotent."""
        if self._wish is wish:
            self._wish = None

    def written(self, presence: UpdatePresence, now: float) -> None:
        """`presence` was written to the socket."""
        self._current, self._written_at = presence, now
        if self._wish is not None and self._wish.presence is presence:
            wish, self._wish = self._wish, None
            wish.settle(PresenceOutcome.SENT)

    def identify(self) -> UpdatePresence | None:
        """What the IDENTIFY carries that is sent now."""
        self._identified_with = (self.wanted,)
        return self.wanted

    def lost(self, now: float) -> None:
        """The connection is being left; only the first call counts."""
        if self._lost_at is None:
            self._lost_at = now

    def began(self) -> UpdatePresence | None:
        """READY: a session has begun. Returns what has to be sent on it, whatever becomes of the wish, if anything."""
        carried, self._identified_with = self._identified_with, None
        self._written_at = self._lost_at = None
        if carried is None:
            # A server that answers RESUME with a new session has been told no presence.
            return self._current
        (self._current,) = carried
        if self._wish is not None and self._wish.presence is self._current:
            wish, self._wish = self._wish, None
            wish.settle(PresenceOutcome.CARRIED)
        return None

    def resumed(self, interval: float) -> UpdatePresence | None:
        """RESUMED: the session goes on. Returns what has to be sent again, whatever becomes of the wish, if anything.

        A dead connection is found out within two intervals of its last ACK (P18), so what was written longer ago than
        that has been read by the server.
        """
        written_at, lost_at = self._written_at, self._lost_at
        self._written_at = self._lost_at = None
        if written_at is None or lost_at is None or lost_at - written_at > 2 * interval:
            return None
        return self._current
