"""Registration effects of one client: applied once, whoever asks, and undone in reverse when nobody holds them."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import trio

from gatewright.transport.seams import Registration

_LOGGER = logging.getLogger("gatewright.registrar")


class Registrar:
    """Applies `registrations` to a client exactly once (F03, I05).

    Shards of one client share one registrar: the first to come applies, the others wait for it; if the first is
    stopped meanwhile, the next takes over from a clean slate. What was applied is undone when the last holder takes
    its registration back.
    """

    def __init__(self, registrations: Iterable[Registration] = ()) -> None:
        self._registrations = tuple(registrations)
        self._lock = trio.Lock()
        self._begun: list[Registration] = []
        self._complete = False
        self._holders: set[object] = set()

    @property
    def applied(self) -> bool:
        """Whether all registrations are in place."""
        return self._complete

    async def apply(self, client: object, *, holder: object) -> None:
        """Applies what is not applied yet, in order, for `holder` (any hashable that stands for one shard).

        Raises:
            Exception: whatever a registration raised; :meth:`undo` must follow, as it must after a cancellation.
        """
        async with self._lock:
            if not self._complete:
                for registration in self._registrations:
                    self._begun.append(registration)
                    await registration.apply(client)
                self._complete = True
            self._holders.add(holder)

    async def undo(self, client: object, *, holder: object) -> None:
        """Takes `holder`'s registration back; undoes everything that was begun, in reverse, when nobody else holds it.

        Every step runs (I14).

        Raises:
            ExceptionGroup: with what the steps raised.
        """
        errors: list[Exception] = []
        async with self._lock:
            self._holders.discard(holder)
            if self._holders:
                return
            self._complete = False
            while self._begun:
                registration = self._begun.pop()
                try:
                    await registration.undo(client)
                except Exception as error:  # noqa: BLE001 - collected; every step must run
                    _LOGGER.error("undoing a registration failed: %s", type(error).__name__)
                    errors.append(error)
        if errors:
            raise ExceptionGroup("undoing registrations failed", errors)
