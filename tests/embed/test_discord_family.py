"""disnake, nextcord and py-cord on the engine, in one life each: start, loss, new session, commands, restart.

`make adapters` runs this in an environment for each: py-cord stands in the place of discord.py, and nextcord wants a
setuptools of its own age.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import threading
import warnings
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gatewright.embed import sharing
from gatewright.embed.discordpy import attach
from gatewright.harness.fake import Close, Connection, Rules, guild
from gatewright.harness.fake.payloads import message
from gatewright.spec.protocol import Opcode
from tests.embed.loops import run
from tests.support.gates import FreeGate
from tests.support.requires import requires
from tests.support.shards import TOKEN, close_codes, handshakes
from tests.support.threads import Elsewhere, gateway_in_a_thread

pytestmark = [
    pytest.mark.sockets,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:pkg_resources is deprecated:UserWarning"),  # nextcord's
]

each_library = pytest.mark.parametrize(
    "library",
    [
        pytest.param("disnake", marks=requires("disnake")),
        pytest.param("nextcord", marks=requires("nextcord")),
        pytest.param("discord", marks=requires("py-cord"), id="py-cord"),
    ],
)
KINDS = {"client": "Client", "sharded": "AutoShardedClient", "bot": "Bot", "sharded bot": "AutoShardedBot"}
EVENTS = ("connect", "ready", "resumed", "disconnect", "message")
PATIENCE = 60.0


class Life:
    """One client of `library`, attached, from its start to its end."""

    def __init__(self, library: str, kind: str, sessions: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.package: Any = importlib.import_module(library)
            commands: Any = importlib.import_module(f"{library}.ext.commands")
        make = getattr(self.package, KINDS[kind], None) or partial(getattr(commands, KINDS[kind]), "!")
        options: dict[str, Any] = {"guild_ready_timeout": 0.1, "chunk_guilds_at_startup": False}
        self.client: Any = make(intents=self.package.Intents.all(), **options)
        attach(self.client, engine={"sessions": sessions, "gate": FreeGate()})
        self.heard: list[tuple[str, Any]] = []
        self._changed = asyncio.Event()
        for name in EVENTS:
            self._listen(name)

    def _listen(self, name: str) -> None:
        async def hear(*args: Any) -> None:
            self.heard.append((name, args[0] if args else None))
            self._changed.set()

        setattr(self.client, f"on_{name}", hear)

    def names(self) -> list[str]:
        return [name for name, _ in self.heard if name in {"connect", "resumed", "disconnect"}]

    def contents(self) -> list[str]:
        return [what.content for name, what in self.heard if name == "message"]

    async def until(self, name: str, count: int = 1) -> None:
        while sum(one == name for one, _ in self.heard) < count:
            self._changed.clear()
            await self._changed.wait()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        async with asyncio.timeout(PATIENCE):
            life = asyncio.create_task(self.client.start(TOKEN))
            try:
                await self.until("ready")
                yield
            finally:
                await self.client.close()
                await asyncio.wait({life})


@contextlib.contextmanager
def pointed_at(library: str, there: Elsewhere) -> Any:
    """The API that the library knows is the fake gateway's."""
    with pytest.MonkeyPatch.context() as patch:
        route = importlib.import_module(f"{library}.http").Route
        for name in ("BASE", "API_BASE_URL"):
            patch.setattr(route, name, there.fake.metadata_url, raising=False)
        patch.setattr(sharing, "_GATES", {})
        yield


def say(there: Elsewhere, content: str) -> None:
    (of,) = there.fake.guilds
    data = message(content, channel_id=of.channels[0].id, guild_id=of.id)
    there.do(partial(there.fake.dispatch, "MESSAGE_CREATE", data))


@each_library
@pytest.mark.parametrize("kind", KINDS)
def test_a_client_lives_through_losses_commands_and_a_restart(library: str, kind: str, tmp_path: Path) -> None:
    async def main(there: Elsewhere) -> None:
        first = Life(library, kind, tmp_path)
        async with first.running():
            (of,) = first.client.guilds
            package = first.package
            await first.client.change_presence(activity=package.Game("x"), status=package.Status.idle)
            assert [one.name for one in await of.query_members("ada", limit=5, cache=False)] == ["ada0"]
            await of.change_voice_state(channel=of.voice_channels[0])
            there.do(there.fake.drop)
            say(there, "missed")
            await first.until("resumed")
            await first.until("message")
            there.do(there.fake.invalidate)
            await first.until("connect", 2)
            await first.until("ready", 2)
        assert first.names()[:5] == ["connect", "disconnect", "resumed", "disconnect", "connect"]
        say(there, "while it was away")
        again = Life(library, kind, tmp_path)
        async with again.running():
            await again.until("resumed")
            await again.until("message")
            assert again.contents() == ["while it was away"]
            (of,) = again.client.guilds
            assert (of.name, [one.name for one in of.voice_channels]) == (f"Guild {of.id}", ["voice"])
            assert of.me is not None

    rules = Rules(identify_spacing=0.0)
    with (
        gateway_in_a_thread(guilds=[guild(str((7 << 22) | 1), member_count=3)], rules=rules) as there,
        pointed_at(library, there),
    ):
        run(main(there))
    assert handshakes(there.fake) == ["identify", "resume", "identify", "resume"]
    assert there.fake.log.received(Opcode.PRESENCE_UPDATE) >= 1
    assert there.fake.log.received(Opcode.VOICE_STATE_UPDATE) == 1
    assert 1000 not in close_codes(there.fake)  # each end left the session to the next start
    assert "gatewright" not in {thread.name for thread in threading.enumerate()}


@each_library
@pytest.mark.parametrize("kind", ["client", "sharded"])
@pytest.mark.parametrize(("code", "name"), [(4004, "ConnectionClosed"), (4014, "PrivilegedIntentsRequired")])
def test_a_fatal_code_raises_the_library_s_own_exception(
    library: str, kind: str, code: int, name: str, tmp_path: Path
) -> None:
    async def main() -> None:
        life = Life(library, kind, tmp_path)
        with pytest.raises(getattr(life.package, name)):
            await asyncio.wait_for(life.client.start(TOKEN), PATIENCE)
        await life.client.close()

    with gateway_in_a_thread(script=[Connection(on_identify=Close(code))]) as there, pointed_at(library, there):
        run(main())
    assert "gatewright" not in {thread.name for thread in threading.enumerate()}
