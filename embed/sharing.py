"""What the shards of one bot share on one loop: an engine thread, the identify gate, what metadata said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Self

from gatewright.embed.thread import EngineThread
from gatewright.spec.session import Metadata
from gatewright.transport.gate import InMemoryIdentifyGate
from gatewright.transport.metadata import CachedMetadataSource
from gatewright.transport.token import Token


class BotEngine:
    """The engine of one bot's shards: it starts with the first of them and ends with the last.

    ``async with`` counts a user in and out, from any task of the loop. The identify gate outlives the engine: a bot
    that is closed and started again in one process must not forget when it identified (P27).

    Args:
        token: whose budget it is.
        ask: asks for metadata, on the loop, as a framework does it: with its own HTTP client, limits and proxies. It
            raises :class:`~gatewright.transport.seams.MetadataUnavailable`.
        on_unused: called when the last user has left.
    """

    def __init__(
        self,
        token: Token,
        ask: Callable[[], Coroutine[Any, Any, Metadata]],
        *,
        on_unused: Callable[[], object] = lambda: None,
    ) -> None:
        self.gate = _gate_of(token)
        # The machine's clock: trio's own differs from one engine to the next.
        self.metadata = CachedMetadataSource(_Asked(self, ask), clock=time.monotonic)
        self._on_unused = on_unused
        self._engine: EngineThread | None = None
        self._users = 0
        self._turn = asyncio.Lock()

    @property
    def engine(self) -> EngineThread:
        """The engine, inside of the block."""
        assert self._engine is not None
        return self._engine

    async def __aenter__(self) -> Self:
        """Starts the engine for the first user."""
        async with self._turn:
            if self._engine is None:
                engine = EngineThread()
                await engine.__aenter__()
                self._engine = engine
            self._users += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the engine after the last user, also when the wait for that is cancelled."""
        self._users -= 1
        await asyncio.shield(asyncio.ensure_future(self._end_if_unused()))

    async def _end_if_unused(self) -> None:
        async with self._turn:
            if self._users == 0 and self._engine is not None:
                engine, self._engine = self._engine, None
                self._on_unused()
                await engine.__aexit__(None, None, None)


class _Asked:
    """A metadata source in the engine that asks on the loop."""

    def __init__(self, owner: BotEngine, ask: Callable[[], Coroutine[Any, Any, Metadata]]) -> None:
        self._owner = owner
        self._ask = ask

    async def fetch(self) -> Metadata:
        """Asks once."""
        return await self._owner.engine.on_loop(self._ask)


_GATES: Final[dict[Token, InMemoryIdentifyGate]] = {}


def _gate_of(token: Token) -> InMemoryIdentifyGate:
    return _GATES.setdefault(token, InMemoryIdentifyGate(clock=time.monotonic))
