"""What the tests of all adapters have in common: bots beside a gateway in a thread, and what their listeners heard."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from typing import Any, ClassVar, Final

from gatewright.harness.fake import Rules
from gatewright.harness.fake.payloads import message
from tests.embed.loops import run, until
from tests.support.shards import TOKEN
from tests.support.threads import PATIENCE, Elsewhere, gateway_in_a_thread

_NUMBERS: Final = itertools.count(1)


class AnyBot:
    """A client of some library, from its start to its end.

    Attributes:
        client: the library's.
        heard: the names of events, and what came with them, in order.
    """

    ready: ClassVar = "ready"
    """The event that tells that it is."""

    # Any: the libraries have nothing in common but what is used here.
    def __init__(self, client: Any) -> None:
        self.client: Any = client
        self.heard: list[tuple[str, Any]] = []
        self._changed = asyncio.Event()

    # -- what was heard --------------------------------------------------------------------------------------------

    def note(self, name: str, what: Any) -> None:
        """Something was heard."""
        self.heard.append((name, what))
        self._changed.set()

    def names(self, *among: str) -> list[str]:
        """The names of what was heard, of these if there are any."""
        return [name for name, _ in self.heard if not among or name in among]

    def of(self, name: str) -> list[Any]:
        """What came with the events of this name."""
        return [what for one, what in self.heard if one == name]

    async def until(self, name: str, count: int = 1) -> Any:
        """What came with the `count`-th event of this name."""
        assert count > 0
        async with asyncio.timeout(PATIENCE):
            while len(found := self.of(name)) < count:
                self._changed.clear()
                await self._changed.wait()
        return found[count - 1]

    # -- its life --------------------------------------------------------------------------------------------------

    def start(self) -> Coroutine[Any, Any, None]:
        """The library's own life of a client."""
        life: Coroutine[Any, Any, None] = self.client.start(TOKEN)
        return life

    async def end(self, life: asyncio.Task[None]) -> None:
        """Has the library end it."""
        await self.client.close()

    async def all_guilds(self) -> None:
        """Waits for those that a busy machine brings later than the library's own patience, which is short here."""
        await until(lambda: not any(one.unavailable for one in self.client.guilds))

    @asynccontextmanager
    async def running(self, *, ready: bool = True, whole: bool = True) -> AsyncGenerator[asyncio.Task[None]]:
        """Started, ready if that is wanted and with all its guilds, and then ended."""
        async with asyncio.timeout(PATIENCE):
            life = asyncio.create_task(self.start())
            try:
                if ready:
                    waiting = asyncio.create_task(self.until(self.ready))
                    await asyncio.wait({life, waiting}, return_when=asyncio.FIRST_COMPLETED)
                    waiting.cancel()
                    if life.done():
                        life.result()
                    if whole:
                        await self.all_guilds()
                yield life
            finally:
                await self.end(life)
                await asyncio.wait({life})
                if not life.cancelled():
                    life.exception()  # it was looked at: a test that wants it awaits the task
        await asyncio.sleep(0)


async def cancel_the_start(bot: AnyBot) -> None:
    """As a program does it that ends its bot from outside."""
    async with bot.running() as life:
        life.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await life


async def start_again_without_rest(make: Callable[[], AnyBot]) -> None:
    """One that leaves a stored session, and one that cannot ask what guilds there are, and has them all the same."""
    async with make().running():
        pass
    bot = make()
    asked = bot.client.http.request

    async def request(route: Any, *args: Any, **rest: Any) -> Any:
        if "guilds" in route.path:
            raise OSError("REST is gone")
        return await asked(route, *args, **rest)

    bot.client.http.request = request
    async with bot.running():
        assert len(bot.client.guilds) == 1


Pointed = Callable[[Elsewhere], AbstractContextManager[None]]
"""For a block, what a library takes for Discord is the fake gateway."""


def play(
    pointed: Pointed, main: Callable[[Elsewhere], Coroutine[Any, Any, None]], *, loop: str = "asyncio", **options: Any
) -> Elsewhere:
    """Runs ``main(there)`` beside a gateway, and returns that for its log."""
    defaults: dict[str, Any] = {"rules": Rules(identify_spacing=0.0)}
    with gateway_in_a_thread(**{**defaults, **options}) as there, pointed(there):
        run(main(there), loop)
    return there


def say(there: Elsewhere, *contents: str, guild: int = 0) -> None:
    """Has the gateway dispatch a message each, in a channel of a guild."""
    of = there.fake.guilds[guild]
    for content in contents:
        # Libraries keep messages by their id.
        data = {**message(content, channel_id=of.channels[0].id, guild_id=of.id), "id": str(next(_NUMBERS) << 22)}
        there.do(partial(there.fake.dispatch, "MESSAGE_CREATE", data))
