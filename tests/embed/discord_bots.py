"""Bots on discord.py for tests: pointed at a fake gateway, listened to, started and closed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import discord
import pytest
from discord.ext import commands
from discord.http import Route

from gatewright.embed import sharing
from gatewright.embed.discordpy import Attachment, attach
from gatewright.harness.fake import Received
from gatewright.harness.fake.payloads import message
from gatewright.spec.protocol import Opcode
from tests.embed.discord_libraries import all_guilds
from tests.support.gates import FreeGate
from tests.support.shards import TOKEN
from tests.support.threads import PATIENCE, Elsewhere

KINDS: Final[dict[str, Callable[..., discord.Client]]] = {
    "client": discord.Client,
    "sharded": discord.AutoShardedClient,
    "bot": partial(commands.Bot, "!"),
    "sharded bot": partial(commands.AutoShardedBot, "!"),
}
each_kind = pytest.mark.parametrize("kind", KINDS)
one_and_many = pytest.mark.parametrize("kind", ["client", "sharded"])


@contextlib.contextmanager
def discord_at(there: Elsewhere) -> Generator[None]:
    """The API and the gateways that discord.py knows are the fake one's; gates remember nothing of earlier tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Route, "BASE", there.fake.metadata_url)
        patch.setattr(sharing, "_GATES", {})
        yield


class Bot:
    """A client that is attached, and what its listeners heard, in order.

    Attributes:
        heard: names of events, and what came with them.
    """

    def __init__(self, kind: str = "client", *, attached: bool = True, **options: Any) -> None:
        engine = {"gate": FreeGate(), **options.pop("engine", {})}
        refill = options.pop("refill", 100)
        defaults: dict[str, Any] = {
            "intents": discord.Intents.all(),
            "guild_ready_timeout": 0.1,
            "chunk_guilds_at_startup": False,
        }
        self.client: Any = KINDS[kind](**{**defaults, **options})
        self.attachment: Attachment | None = None
        if attached:
            self.attachment = attach(self.client, engine=engine, refill=refill)  # type: ignore[arg-type]
        self.heard: list[tuple[str, Any]] = []
        self._changed = asyncio.Event()
        for name in (*_EVENTS, *(f"shard_{name}" for name in _EVENTS)):
            self.listen(name)

    def listen(self, name: str) -> None:
        """Hears events of this name as well."""

        async def hear(*args: Any) -> None:
            self.heard.append((name, args[0] if args else None))
            self._changed.set()

        setattr(self.client, f"on_{name}", hear)

    def names(self, *among: str) -> list[str]:
        """The names of what was heard, of these if there are any."""
        return [name for name, _ in self.heard if not among or name in among]

    def contents(self) -> list[str]:
        """The messages."""
        return [what.content for name, what in self.heard if name == "message"]

    async def until(self, name: str, count: int = 1) -> Any:
        """What came with the `count`-th event of this name."""
        assert count > 0
        async with asyncio.timeout(PATIENCE):
            while len(found := [what for one, what in self.heard if one == name]) < count:
                self._changed.clear()
                await self._changed.wait()
        return found[count - 1]

    @asynccontextmanager
    async def running(self, *, ready: bool = True, whole: bool = True) -> AsyncGenerator[asyncio.Task[None]]:
        """Started, ready if that is wanted, and with all its guilds, and then closed."""
        async with asyncio.timeout(PATIENCE):
            life = asyncio.create_task(self.client.start(TOKEN))
            try:
                if ready:
                    waiting = asyncio.create_task(self.until("ready"))
                    await asyncio.wait({life, waiting}, return_when=asyncio.FIRST_COMPLETED)
                    waiting.cancel()
                    if life.done():
                        life.result()
                    if whole:
                        await all_guilds(self.client)
                yield life
            finally:
                await self.client.close()
                await asyncio.wait({life})
                if not life.cancelled():
                    life.exception()  # it was looked at: a test that wants it awaits the task
        await asyncio.sleep(0)


_EVENTS: Final = ("connect", "ready", "resumed", "disconnect", "message")


def say(there: Elsewhere, *contents: str, guild: int = 0) -> None:
    """Has the gateway dispatch a message each, in a channel of a guild."""
    of = there.fake.guilds[guild]
    for content in contents:
        data = message(content, channel_id=of.channels[0].id, guild_id=of.id)
        there.do(partial(there.fake.dispatch, "MESSAGE_CREATE", data))


def received(there: Elsewhere, op: Opcode) -> list[Any]:
    """What the gateway received with this opcode."""
    return [entry.data for entry in there.fake.log.of(Received) if entry.op == op]
