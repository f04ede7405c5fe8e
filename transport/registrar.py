"""Registration effects of one client: applied once, whoever asks, and undone in reverse when nobody holds them."""

from __future__ import annotations

import logging
import math
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
        # Most shards have none, and are spared what nobody would wait for.
        self._lock = trio.Lock() if self._registrations else None
        self._begun: list[Registration] = []
        self._complete = False
        self._holders: dict[object, None] = {}

    @property
    def applied(self) -> bool:
        """Whether all registrations are in place."""
        return self._complete or not self._registrations

    async def apply(self, client: object, *, holder: object) -> None:
        """Applies what is not applied yet, in order, for `holder` (any hashable that stands for one shard).

        Raises:
            Exception: whatever a registration raised; :meth:`undo` must follow, as it must after a cancellation.
        """
        if self._lock is None:
            await trio.lowlevel.checkpoint()
            return
        async with self._lock:
            if not self._complete:
                _raise(await self._undo_all(client, math.inf))  # what a shard began that was stopped meanwhile
                for registration in self._registrations:
                    self._begun.append(registration)
                    await registration.apply(client)
                self._complete = True
            self._holders[holder] = None

    async def undo(self, client: object, *, holder: object, within: float = math.inf) -> None:
        """Takes `holder`'s registration back; undoes everything that was begun, in reverse, when nobody else holds it.

        Every step runs (I14). When `within` seconds are over, the step that lasts is cancelled, and those after it
        run to where they would wait.

        Raises:
            ExceptionGroup: with what the steps raised, a :class:`trio.TooSlowError` for each that was cancelled.
        """
        if self._lock is None:
            await trio.lowlevel.checkpoint()
            return
        deadline = trio.current_time() + within
        self._holders.pop(holder, None)
        try:
            with trio.fail_at(deadline):
                await self._lock.acquire()
        except trio.TooSlowError as error:  # another shard is at it, and takes no notice of its own deadline
            _raise([error])
        try:
            if self._holders:
                return
            self._complete = False
            errors = await self._undo_all(client, deadline)
        finally:
            self._lock.release()
        _raise(errors)

    async def _undo_all(self, client: object, deadline: float) -> list[Exception]:
        errors: list[Exception] = []
        while self._begun:
            try:
                with trio.fail_at(deadline):
                    await self._begun[-1].undo(client)
            except Exception as error:  # noqa: BLE001 - collected; every step must run
                _LOGGER.error("undoing a registration failed: %s", type(error).__name__)
                errors.append(error)
            self._begun.pop()
        return errors


def _raise(errors: list[Exception]) -> None:
    if errors:
        raise ExceptionGroup("undoing registrations failed", errors)
