"""discord.py, disnake, nextcord and py-cord on the engine: what holds for all four, by the same tests.

`make adapters` runs this for disnake, nextcord and py-cord, in an environment for each: py-cord stands in the place of
discord.py, and nextcord wants a setuptools of its own age. What is discord.py's alone is in `test_discordpy.py`.
"""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gatewright.harness.fake import Close, Connection, Rules, guild
from gatewright.spec.protocol import Opcode
from tests.embed.bots import say
from tests.embed.discord_bots import KINDS, Bot, each_library, one_and_many, play
from tests.embed.loops import on_each_loop
from tests.support.shards import TOKEN, close_codes, handshakes, payloads
from tests.support.threads import (
    PATIENCE,
    PATIENT,
    SILENT_ONCE,
    Elsewhere,
    block_for_heartbeats,
)

pytestmark = [
    pytest.mark.sockets,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:pkg_resources is deprecated:UserWarning"),  # nextcord's
]

# -- a whole life ------------------------------------------------------------------------------------------------------


@each_library
@pytest.mark.parametrize("kind", KINDS)
@on_each_loop
def test_a_client_lives_through_losses_commands_and_a_restart(
    library: str, kind: str, loop: str, tmp_path: Path
) -> None:
    async def main(there: Elsewhere) -> None:
        first = Bot(library, kind, engine={"sessions": tmp_path})
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
        told = first.names("connect", "resumed", "disconnect")
        assert told[:5] == ["connect", "disconnect", "resumed", "disconnect", "connect"]
        say(there, "while it was away")
        again = Bot(library, kind, engine={"sessions": tmp_path})
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
        bot = Bot(library, "sharded")
        async with bot.running():
            assert [thread.name for thread in threading.enumerate()].count("gatewright") == 1
            assert sorted(bot.of("shard_ready")) == [0, 1, 2]
            assert bot.attachment is not None
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
        bot = Bot(library, kind)
        async with bot.running():
            await bot.until("resumed")
            say(there, "after")
            await bot.until("message")

    there = play(library, main, heartbeat_interval=0.2, script=SILENT_ONCE, rules=PATIENT)
    assert handshakes(there.fake) == ["identify", "resume"]


@each_library
def test_a_handler_that_blocks_stops_no_heartbeat(library: str) -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot(library)

        async def on_message(message: Any) -> None:
            bot.note("beats", block_for_heartbeats(there))

        bot.client.on_message = on_message
        async with bot.running():
            say(there, "block")
            await bot.until("beats")
        # The library's own gateway sends from another thread, through the loop: none comes.
        assert [beats >= 3 for beats in bot.of("beats")] == [True]

    # An interval that no pause of a busy machine reaches: an acknowledgement may be late by that much.
    assert play(library, main, heartbeat_interval=1.0, rules=PATIENT).fake.connections == 1


@each_library
def test_a_handler_that_never_returns_holds_up_no_end(library: str) -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot(library)
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
        bot = Bot(library, "bot")

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
        assert bot.of("ping") == [1, 2]

    assert handshakes(play(library, main).fake) == ["identify", "resume", "resume"]


def add_slash_command(bot: Bot, ping: Any) -> None:
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
        life = Bot(library, kind, engine={"sessions": tmp_path})
        with pytest.raises(getattr(life.package, name)):
            await asyncio.wait_for(life.client.start(TOKEN), PATIENCE)
        await life.client.close()

    play(library, main, script=[Connection(on_identify=Close(code))])
