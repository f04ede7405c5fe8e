"""discord.py, disnake, nextcord and py-cord on the engine: what holds for all four, by the same tests.

`make adapters` runs this for disnake, nextcord and py-cord, in an environment for each: py-cord stands in the place of
discord.py, and nextcord wants a setuptools of its own age. What is discord.py's alone is in `test_discordpy.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import threading
import warnings
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gatewright.embed import sharing
from gatewright.embed.discordpy import EngineOptions, attach
from gatewright.harness.fake import Close, Connection, Rules, guild
from gatewright.harness.fake.payloads import message
from gatewright.spec.protocol import Opcode
from tests.embed.discord_libraries import all_guilds, each_library
from tests.embed.loops import on_each_loop, run
from tests.support.gates import FreeGate
from tests.support.shards import TOKEN, close_codes, handshakes, payloads
from tests.support.threads import (
    PATIENCE,
    PATIENT,
    SILENT_ONCE,
    Elsewhere,
    block_for_heartbeats,
    gateway_in_a_thread,
)

pytestmark = [
    pytest.mark.sockets,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:pkg_resources is deprecated:UserWarning"),  # nextcord's
]

one_and_many = pytest.mark.parametrize("kind", ["client", "sharded"])
KINDS = {"client": "Client", "sharded": "AutoShardedClient", "bot": "Bot", "sharded bot": "AutoShardedBot"}
EVENTS = ("connect", "ready", "shard_ready", "resumed", "disconnect", "message")


class Life:
    """One client of `library`, attached, from its start to its end."""

    def __init__(self, library: str, kind: str = "client", sessions: Path | None = None) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.package: Any = importlib.import_module(library)
            commands: Any = importlib.import_module(f"{library}.ext.commands")
        make = getattr(self.package, KINDS[kind], None) or partial(getattr(commands, KINDS[kind]), "!")
        options: dict[str, Any] = {"guild_ready_timeout": 0.1, "chunk_guilds_at_startup": False}
        if library == "disnake" and kind.endswith("bot"):
            options["command_sync_flags"] = commands.CommandSyncFlags.none()  # the API here knows no commands
        self.client: Any = make(intents=self.package.Intents.all(), **options)
        engine = EngineOptions(gate=FreeGate())
        if sessions is not None:
            engine["sessions"] = sessions
        self.attachment = attach(self.client, engine=engine)
        self.heard: list[tuple[str, Any]] = []
        self._changed = asyncio.Event()
        for name in EVENTS:
            self._listen(name)

    def _listen(self, name: str) -> None:
        async def hear(*args: Any) -> None:
            self.note(name, args[0] if args else None)

        setattr(self.client, f"on_{name}", hear)

    def note(self, name: str, what: Any) -> None:
        self.heard.append((name, what))
        self._changed.set()

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
                await all_guilds(self.client)
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


def say(there: Elsewhere, content: str, *, guild: int = 0) -> None:
    of = there.fake.guilds[guild]
    data = message(content, channel_id=of.channels[0].id, guild_id=of.id)
    there.do(partial(there.fake.dispatch, "MESSAGE_CREATE", data))


def play(library: str, main: Any, *, loop: str = "asyncio", **options: Any) -> Elsewhere:
    """Runs ``main(there)`` beside a gateway, and returns that for its log."""
    defaults: dict[str, Any] = {"rules": Rules(identify_spacing=0.0)}
    with gateway_in_a_thread(**{**defaults, **options}) as there, pointed_at(library, there):
        coroutine: Coroutine[Any, Any, None] = main(there)
        run(coroutine, loop)
    assert "gatewright" not in {thread.name for thread in threading.enumerate()}
    return there


# -- a whole life ------------------------------------------------------------------------------------------------------


@each_library
@pytest.mark.parametrize("kind", KINDS)
@on_each_loop
def test_a_client_lives_through_losses_commands_and_a_restart(
    library: str, kind: str, loop: str, tmp_path: Path
) -> None:
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

    there = play(library, main, loop=loop, guilds=[guild(str((7 << 22) | 1), member_count=3)])
    assert handshakes(there.fake) == ["identify", "resume", "identify", "resume"]
    assert there.fake.log.received(Opcode.PRESENCE_UPDATE) >= 1
    assert there.fake.log.received(Opcode.VOICE_STATE_UPDATE) == 1
    assert 1000 not in close_codes(there.fake)  # each end left the session to the next start


@each_library
def test_many_shards_share_one_engine_and_each_tells_of_itself(library: str) -> None:
    async def main(there: Elsewhere) -> None:
        bot = Life(library, "sharded")
        async with bot.running():
            assert [thread.name for thread in threading.enumerate()].count("gatewright") == 1
            assert sorted(what for name, what in bot.heard if name == "shard_ready") == [0, 1, 2]
            assert sorted(bot.attachment.shards) == [0, 1, 2]
            assert len(bot.client.guilds) == 6
            assert {one.shard_id for one in bot.client.guilds} == {0, 1, 2}
            closed = {number: info.is_closed() for number, info in bot.client.shards.items()}
            assert closed == dict.fromkeys(range(3), False)
            for index in range(6):
                say(there, str(index), guild=index)
            await bot.until("message", 6)
            assert sorted(bot.contents()) == list("012345")

    there = play(library, main, guilds=6, rules=Rules(shards=3, required_shards=3, identify_spacing=0.0))
    assert sorted(data["shard"] for data in payloads(there.fake, Opcode.IDENTIFY)) == [[0, 3], [1, 3], [2, 3]]
    assert close_codes(there.fake) == [1000, 1000, 1000]


# -- silent peers, and programs that are slow or never done ------------------------------------------------------------


@each_library
@one_and_many
def test_a_peer_that_answers_no_heartbeat_is_left_and_the_session_resumed(library: str, kind: str) -> None:
    async def main(there: Elsewhere) -> None:
        bot = Life(library, kind)
        async with bot.running():
            await bot.until("resumed")
            say(there, "after")
            await bot.until("message")

    there = play(library, main, heartbeat_interval=0.2, script=SILENT_ONCE, rules=PATIENT)
    assert handshakes(there.fake) == ["identify", "resume"]


@each_library
def test_a_handler_that_blocks_stops_no_heartbeat(library: str) -> None:
    async def main(there: Elsewhere) -> None:
        bot = Life(library)

        async def on_message(message: Any) -> None:
            bot.note("beats", block_for_heartbeats(there))

        bot.client.on_message = on_message
        async with bot.running():
            say(there, "block")
            await bot.until("beats")
        # The library's own gateway sends from another thread, through the loop: none comes.
        assert [what >= 3 for name, what in bot.heard if name == "beats"] == [True]

    # An interval that no pause of a busy machine reaches: an acknowledgement may be late by that much.
    assert play(library, main, heartbeat_interval=1.0, rules=PATIENT).fake.connections == 1


@each_library
def test_a_handler_that_never_returns_holds_up_no_end(library: str) -> None:
    async def main(there: Elsewhere) -> None:
        bot = Life(library)
        called = asyncio.Event()

        async def on_message(message: Any) -> None:
            called.set()
            await asyncio.Event().wait()

        bot.client.on_message = on_message
        async with bot.running():
            say(there, "a")
            await called.wait()
            say(there, "b")

    assert close_codes(play(library, main).fake) == [1000]


# -- interactions ------------------------------------------------------------------------------------------------------


@each_library
def test_a_slash_command_runs_exactly_once_although_the_session_is_resumed_around_it(library: str) -> None:
    async def main(there: Elsewhere) -> None:
        bot = Life(library, "bot")

        async def ping(context: Any) -> None:
            bot.note("ping", getattr(context, "interaction", context).id)  # py-cord hands over a context

        async with bot.running():
            add_slash_command(bot, ping)
            there.do(partial(there.fake.dispatch, "INTERACTION_CREATE", interaction("1")))
            there.do(there.fake.drop)
            there.do(partial(there.fake.dispatch, "INTERACTION_CREATE", interaction("2")))
            await bot.until("resumed")
            there.do(there.fake.reconnect)
            await bot.until("resumed", 2)
            say(there, "after")
            await bot.until("message")
            await bot.until("ping", 2)
        assert [what for name, what in bot.heard if name == "ping"] == [1, 2]

    assert handshakes(play(library, main).fake) == ["identify", "resume", "resume"]


def add_slash_command(bot: Life, ping: Any) -> None:
    """Adds the command ``/ping`` as each library wants it, without telling the API."""
    # disnake and nextcord find the parameter by its type.
    ping.__annotations__["context"] = getattr(bot.package, "ApplicationCommandInteraction", bot.package.Interaction)
    if hasattr(bot.client, "tree"):  # discord.py
        bot.client.tree.add_command(bot.package.app_commands.Command(name="ping", description="-", callback=ping))
        return
    command = bot.client.slash_command(name="ping", description="-")(ping)
    if bot.package.__name__ == "nextcord":  # it knows commands by the ids that the API gives, from READY on
        bot.client.add_all_application_commands()
        command.parse_discord_response(bot.client._connection, interaction("0")["data"])
        bot.client.add_application_command(command, overwrite=True)


def interaction(number: str) -> dict[str, Any]:
    user = {"id": "5", "username": "author", "discriminator": "0", "avatar": None, "global_name": None}
    return {
        "id": number,
        "application_id": "1000000000000000002",
        "type": 2,
        "data": {"id": "77", "name": "ping", "type": 1},
        "channel": {"id": "6", "type": 1},
        "channel_id": "6",
        "user": user,
        "token": "interaction",
        "version": 1,
        "locale": "en-US",
        "entitlements": [],
        "authorizing_integration_owners": {},
        "attachment_size_limit": 0,
        "context": 1,
    }


# -- failures ----------------------------------------------------------------------------------------------------------


@each_library
@one_and_many
@pytest.mark.parametrize(("code", "name"), [(4004, "ConnectionClosed"), (4014, "PrivilegedIntentsRequired")])
def test_a_fatal_code_raises_the_library_s_own_exception(
    library: str, kind: str, code: int, name: str, tmp_path: Path
) -> None:
    async def main(there: Elsewhere) -> None:
        life = Life(library, kind, tmp_path)
        with pytest.raises(getattr(life.package, name)):
            await asyncio.wait_for(life.client.start(TOKEN), PATIENCE)
        await life.client.close()

    play(library, main, script=[Connection(on_identify=Close(code))])
