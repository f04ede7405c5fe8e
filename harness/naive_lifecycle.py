"""The supervisor of the exhibit: it polls for READY, forces one reconnect, and watches for HELLO by reading log lines.

Like :mod:`gatewright.harness.naive` it models what was observed (S01–S46) and is wrong on purpose; never build on it.
"""

from __future__ import annotations

import enum

import trio

from gatewright.harness.naive import NaiveGateway

READY_TIMEOUT = 15.0  # S01
READY_POLL = 0.25  # S02
HELLO_TIMEOUT = 30.0  # S03
STALLS_TO_FRESH = 3  # S05


class StartUpFailed(Exception):
    """READY did not come, not even after the forced reconnect (S41)."""


class Waited(enum.StrEnum):
    """How a wait for READY ended (S07)."""

    READY = "ready"
    TIMEOUT = "timeout"
    STOPPED = "stopped"


class NaiveLifecycle:
    """Waits for READY, forces one fresh reconnect, then gives up; and then waits to be stopped.

    Args:
        gateway: what it supervises. It did not open the socket and does not own it, which is the root of R03 to R05.
        ready_timeout: seconds of each of the two waits; a demonstration may be quicker than the 15 s of the original.
        start_up: seconds of other start-up work that is awaited first (S36); meanwhile nobody looks at the gateway.
    """

    def __init__(self, gateway: NaiveGateway, *, ready_timeout: float = READY_TIMEOUT, start_up: float = 0.0) -> None:
        self._gateway = gateway
        self._ready_timeout = ready_timeout
        self._start_up = start_up
        self._stopping = False
        self._stopped = trio.Event()
        self.waits: list[Waited] = []

    def abort(self) -> None:
        """Stop, by making reconnects impossible and leaving (S21).

        A registration that still waits for metadata is not told, and connects when they are there (R03); a watch that
        still counts is not told either (R12).
        """
        self._stopping = True
        self._gateway.max_attempts = 0
        self._gateway.disconnect()
        self._stopped.set()

    async def run(self) -> None:
        """Supervise until `abort`.

        Raises:
            StartUpFailed: after the second time-out. The socket stays open, and nobody listens to it any more (R05).
        """
        await trio.sleep(self._start_up)
        if await self._ready() is Waited.TIMEOUT:
            self._gateway.disconnect()
            self._gateway.connect(resume=False)
            if await self._ready() is Waited.TIMEOUT:
                raise StartUpFailed(f"no READY within {self._ready_timeout:g} s after a forced reconnect")
        await self._stopped.wait()

    async def _ready(self) -> Waited:
        """Look every 250 ms, and so miss whatever comes and goes between two looks (R31)."""
        deadline = trio.current_time() + self._ready_timeout
        while not self._stopping:
            if self._gateway.is_connected:
                self.waits.append(Waited.READY)
                return Waited.READY
            if trio.current_time() >= deadline:
                self.waits.append(Waited.TIMEOUT)
                return Waited.TIMEOUT
            await trio.sleep(READY_POLL)  # polling is what is on show
        self.waits.append(Waited.STOPPED)
        return Waited.STOPPED


class HelloWatch:
    """Thirty seconds after each "opened" line it wants to see a connected gateway, else it reconnects (S27 to S32).

    What it does wrong: it acts on the text of log lines (R07); it says HELLO and means READY (R10); a line of the old
    socket stops the watch of the new one (R11); stopping does not stop it (R12); "retry with resume" leaves with 1000
    first, and so the session is gone (R13).
    """

    def __init__(self, gateway: NaiveGateway, *, timeout: float = HELLO_TIMEOUT) -> None:
        self._gateway = gateway
        self._timeout = timeout
        self._watching = trio.CancelScope()
        self.stalls = 0
        gateway.watchers.append(self)

    def line(self, text: str) -> None:
        """Read one line of the gateway's log."""
        if "WebSocket connection closed" in text:
            self._watching.cancel()
        elif "WebSocket connection opened" in text:
            self._watching.cancel()
            self._watching = trio.CancelScope()
            self._gateway.nursery.start_soon(self._watch, self._watching)

    async def _watch(self, watching: trio.CancelScope) -> None:
        with watching:
            deadline = trio.current_time() + self._timeout
            while trio.current_time() < deadline:
                if self._gateway.is_connected:
                    self.stalls = 0
                    return
                await trio.sleep(READY_POLL)  # polling is what is on show
            self.stalls += 1
            fresh = self.stalls >= STALLS_TO_FRESH
            if fresh:
                self.stalls = 0
                self._gateway.session_id = self._gateway.resume_url = self._gateway.seq = None
            self._gateway.disconnect()
            self._gateway.connect(resume=not fresh)
