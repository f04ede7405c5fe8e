"""Keeps a shard's session in a store: reads it at the start, writes it now and then, and once more at the end."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import trio

from gatewright.spec.errors import ConfigurationError
from gatewright.spec.session import Session, SessionInvalid, SessionRefusal, SessionRefused
from gatewright.transport.logs import ShardLog
from gatewright.transport.seams import SessionStore

DEFAULT_INTERVAL: Final = 5.0
"""Seconds. What was handled since the last save comes again after a crash; it never is lost."""

FINAL_SAVE: Final = 5.0
"""Seconds that the last save may take: a disk that hangs must not hold up the end of the process."""


class SessionKeeper:
    """Saves what `session` says, whenever it has changed.

    Args:
        store: where to.
        session: the session as it should be stored.
        interval: seconds between two saves.
        log: told when a save fails; the shard goes on.

    Raises:
        ConfigurationError: if `interval` is not positive.
    """

    def __init__(
        self, store: SessionStore, session: Callable[[], Session | None], *, interval: float, log: ShardLog
    ) -> None:
        if isinstance(interval, bool) or not (interval > 0 and math.isfinite(interval)):
            raise ConfigurationError(f"store_interval must be a positive number of seconds, not {interval!r}")
        self._store = store
        self._session = session
        self._interval = interval
        self._log = log
        self._saved: Session | None = None
        self._known = False
        # A cancellation of the user's block must not end the nursery that the shard still winds down in.
        self._scope = trio.CancelScope(shield=True)
        self._ended = trio.Event()

    async def load(self) -> Session | SessionRefused | None:
        """What the store has, or why it cannot be used.

        Raises:
            Exception: whatever else the store raises: better at the start than never to be saved.
        """
        try:
            self._saved = await self._store.load()
        except SessionInvalid as error:
            return SessionRefused(SessionRefusal.UNREADABLE, str(error))
        self._known = True
        return self._saved

    async def run(self) -> None:
        """Saves at intervals, until :meth:`end`; shielded, as all that a shard does in the background."""
        try:
            with self._scope:
                while True:
                    await trio.sleep(self._interval)
                    await self._save()
        finally:
            self._ended.set()

    async def end(self) -> None:
        """Ends :meth:`run` and saves for the last time, shielded and bounded."""
        self._scope.cancel()
        with trio.move_on_after(FINAL_SAVE, shield=True) as patience:
            await self._ended.wait()
            await self._save()
        if patience.cancelled_caught:
            self._log.store_failed(TimeoutError(f"the store took longer than {FINAL_SAVE:g} s"))

    async def _save(self) -> None:
        session = self._session()
        if self._known and session == self._saved:
            return
        try:
            await self._store.save(session)
        except Exception as error:  # noqa: BLE001 - whatever it is, the bot is worth more than the file
            self._log.store_failed(error)
        else:
            self._saved, self._known = session, True
