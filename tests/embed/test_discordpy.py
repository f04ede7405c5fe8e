"""discord.py's own clients on the engine: their handlers, caches and exceptions, and a fake gateway in a thread."""

from __future__ import annotations

import asyncio
import math
import re
import threading
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import discord
import pytest
import yarl
from discord.ext import commands
from discord.gateway import DiscordWebSocket

from gatewright.embed.discordpy import attach
from gatewright.embed.discordws import EngineWebSocket
from gatewright.embed.family import proxy_of
from gatewright.embed.versions import UnsupportedFramework
from gatewright.harness.fake import Amend, Answer, Close, Connection, Withhold, guild
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.protocol import Opcode
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.transport.proxy import Proxy
from tests.embed import bots, discord_bots
from tests.embed.bots import say
from tests.embed.discord_bots import each_kind, one_and_many
from tests.embed.loops import on_each_loop, until
from tests.support.shards import TOKEN, close_codes, handshakes, payloads
from tests.support.threads import LATE_ACKS, PATIENCE, Elsewhere

pytestmark = pytest.mark.sockets


Bot = partial(discord_bots.Bot, "discord")
play = partial(discord_bots.play, "discord")


# -- start and end -----------------------------------------------------------------------------------------------------


@each_kind
@on_each_loop
def test_a_client_starts_fills_its_cache_hears_messages_in_order_and_leaves_nothing_behind(
    kind: str, loop: str
) -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot(kind)
        async with bot.running():
            assert bot.client.user.name == "fake"
            assert [str(one.id) for one in bot.client.guilds] == [one.id for one in there.fake.guilds]
            assert bot.client.latency == math.inf
            say(there, *(f"m{number}" for number in range(20)))
            await bot.until("message", 20)
            assert bot.contents() == [f"m{number}" for number in range(20)]
            first = bot.of("message")[0]
            assert str(first.guild.id) == there.fake.guilds[0].id
            assert first.channel.name == "voice"
            assert bot.attachment is not None
            assert bot.attachment.shards[0].state is State.READY
            assert not bot.client.is_ws_ratelimited()
        assert bot.client.is_closed()
        assert bot.attachment.shards == {}
        assert bot.names("connect", "ready") == ["connect", "ready"]

    assert close_codes(play(main, loop=loop, guilds=2, script=LATE_ACKS).fake) == [1000]


def test_cancelling_the_start_leaves_nothing_behind() -> None:
    async def main(there: Elsewhere) -> None:
        await bots.cancel_the_start(Bot())

    assert close_codes(play(main).fake) == [1000]


def test_closing_while_there_is_no_connection_does_not_wait_for_one() -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot(engine={"settings": Settings(hello_timeout=10 * PATIENCE)})
        async with bot.running(ready=False):  # which bounds the closing as well
            await asyncio.to_thread(there.do, partial(there.fake.wait_until, lambda log: log.connections == 1))

    assert play(main, script=[Connection(hello=Withhold())]).fake.connections == 1


# -- losses ------------------------------------------------------------------------------------------------------------


@one_and_many
def test_a_dropped_connection_is_resumed_and_what_was_missed_is_replayed(kind: str) -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot(kind)
        async with bot.running():
            websocket = bot.client._get_websocket(int(there.fake.guilds[0].id))
            session = websocket.session_id
            there.do(there.fake.drop)
            say(there, "missed")
            await bot.until("resumed")
            say(there, "after")
            await bot.until("message", 2)
            assert bot.contents() == ["missed", "after"]
            assert bot.client._get_websocket(int(there.fake.guilds[0].id)) is websocket
            assert websocket.session_id == session
            assert websocket.gateway.rstrip("/") == there.fake.resume_url
            assert websocket.sequence is not None
        # A close is told as the library tells it: of one connection that its client left, by the client alone.
        events = bot.names("connect", "disconnect", "resumed")
        assert events[:3] == ["connect", "disconnect", "resumed"]
        if kind == "sharded":
            sharded = [one for one in bot.heard if one[0] in {"shard_connect", "shard_disconnect", "shard_resumed"}]
            assert sharded[:3] == [("shard_connect", 0), ("shard_disconnect", 0), ("shard_resumed", 0)]

    assert handshakes(play(main).fake) == ["identify", "resume"]


def test_a_session_that_the_gateway_ends_is_followed_by_a_new_one() -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot()
        async with bot.running():
            there.do(there.fake.invalidate)
            await bot.until("ready", 2)
            assert len(bot.client.guilds) == 1
            say(there, "on the new one")
            await bot.until("message")
        assert bot.names("connect", "disconnect")[:3] == ["connect", "disconnect", "connect"]

    assert handshakes(play(main).fake) == ["identify", "identify"]


def test_a_websocket_that_is_closed_with_another_code_than_1000_resumes() -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot()
        async with bot.running():
            await bot.client.ws.close()  # 4000: how programs have a resume
            await bot.until("resumed")

    assert handshakes(play(main).fake) == ["identify", "resume"]


def test_a_shard_can_be_disconnected_and_connected_again() -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot("sharded")
        async with bot.running():
            shard = bot.client.get_shard(0)
            await shard.connect()  # it is connected
            await shard.disconnect()
            assert shard.is_closed()
            await shard.reconnect()
            await bot.until("shard_ready", 2)
            assert not shard.is_closed()
            say(there, "again")
            await bot.until("message")

    there = play(main)
    assert handshakes(there.fake) == ["identify", "identify"]
    assert there.fake.max_open_connections == 1


# -- failures ----------------------------------------------------------------------------------------------------------


@one_and_many
@pytest.mark.parametrize("code", [4004, 4010, 4011, 4012, 4013])
def test_a_fatal_code_raises_the_library_s_own_exception_and_leaves_nothing_behind(kind: str, code: int) -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot(kind)
        with pytest.raises(discord.ConnectionClosed) as caught:
            await asyncio.wait_for(bot.client.start(TOKEN), PATIENCE)
        assert caught.value.code == code
        assert bot.client.is_closed()

    play(main, script=[Connection(on_identify=Close(code))])


@one_and_many
def test_intents_that_are_not_enabled_raise_the_library_s_own_exception(kind: str) -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot(kind)
        with pytest.raises(discord.PrivilegedIntentsRequired):
            await asyncio.wait_for(bot.client.start(TOKEN), PATIENCE)
        await bot.client.close()

    play(main, script=[Connection(on_identify=Close(4014))])


def test_a_token_that_is_refused_is_the_library_s_own_failure() -> None:
    async def main(there: Elsewhere) -> None:
        wrong = Bot()
        with pytest.raises(discord.LoginFailure):
            await wrong.client.start("wrong")
        await wrong.client.close()
        refused = Bot()
        with pytest.raises(discord.LoginFailure, match="401"):
            await asyncio.wait_for(refused.client.start(TOKEN), PATIENCE)
        await refused.client.close()

    play(main, metadata_script=[(Answer(401),)])


def test_an_exception_in_the_library_s_parser_costs_one_event(caplog: pytest.LogCaptureFixture) -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot()
        async with bot.running():
            there.do(partial(there.fake.dispatch, "MESSAGE_CREATE", {"junk": True}))
            there.do(partial(there.fake.dispatch, "NO_SUCH_EVENT", {}))
            say(there, "after")
            await bot.until("message")

    there = play(main)
    assert "discord.py could not parse the event MESSAGE_CREATE" in caplog.text
    assert handshakes(there.fake) == ["identify"]


# -- commands ----------------------------------------------------------------------------------------------------------


def test_presence_members_and_voice_reach_the_gateway_and_their_answers_the_caller() -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot(status=discord.Status.dnd, activity=discord.Game("first"))
        bot.listen("voice_state_update")
        async with bot.running():
            (one,) = bot.client.guilds
            await bot.client.change_presence(activity=discord.Game("next"), status=discord.Status.idle)
            found = await one.query_members("ada", limit=5, cache=False)
            assert [member.name for member in found] == ["ada0"]
            found = await one.query_members(user_ids=[found[0].id], cache=False)
            assert [member.name for member in found] == ["ada0"]
            assert len(await one.chunk()) == 3
            assert one.chunked
            await one.change_voice_state(channel=one.channels[0], self_deaf=True)
            await bot.until("voice_state_update")
            assert one.me.voice.channel == one.channels[0]
            await one.change_voice_state(channel=None)
            await bot.until("voice_state_update", 2)

    there = play(main, guilds=[guild(str((7 << 22) | 1), member_count=3)])
    (identify,) = payloads(there.fake, Opcode.IDENTIFY)
    assert identify["presence"]["status"] == "dnd"
    assert identify["presence"]["activities"] == [{"name": "first", "type": 0}]
    (presence,) = payloads(there.fake, Opcode.PRESENCE_UPDATE)
    assert (presence["status"], presence["activities"]) == ("idle", [{"name": "next", "type": 0}])
    assert presence["since"] > 0


def test_the_answer_to_a_request_finds_its_caller_however_early_it_comes() -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot()
        async with bot.running():
            (one,) = bot.client.guilds
            for _ in range(50):
                found = await asyncio.wait_for(one.query_members("ada", limit=5, cache=False), PATIENCE)
                assert [member.name for member in found] == ["ada0"]

    play(main, guilds=[guild(str((7 << 22) | 1), member_count=3)])


def test_all_members_are_asked_for_at_the_start_where_the_client_wants_that() -> None:
    async def main(there: Elsewhere) -> None:
        intents = discord.Intents.all()
        intents.presences = False  # with it, small guilds bring their members along
        bot = Bot(chunk_guilds_at_startup=True, intents=intents)
        async with bot.running():
            await until(lambda: all(one.chunked for one in bot.client.guilds))  # later, where a guild came late
            assert [len(one.members) for one in bot.client.guilds] == [4, 4, 4]

    play(main, guilds=[guild(str((number << 22) | 1), member_count=3) for number in range(1, 4)])


def test_what_is_sent_as_json_is_checked_and_what_is_the_engine_s_is_refused() -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot()
        async with bot.running():
            websocket = bot.client.ws
            await websocket.send('{"op": 3, "d": {"status": "online", "activities": [], "since": 0, "afk": false}}')
            with pytest.raises(ConfigurationError, match="engine's"):
                await websocket.send_as_json({"op": 2, "d": {}})
            with pytest.raises(TypeError, match="BaseActivity"):
                await bot.client.change_presence(activity="x")
        with pytest.raises(discord.ClientException, match="closed"):
            await websocket.voice_state(1, None)

    assert len(payloads(play(main).fake, Opcode.PRESENCE_UPDATE)) == 1


def test_a_command_while_the_connection_is_lost_goes_out_after_the_resume() -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot()
        async with bot.running():
            there.do(there.fake.drop)
            await bot.until("disconnect")
            await bot.client.guilds[0].change_voice_state(channel=None)
            assert "resumed" in bot.names() or bot.client.ws.engine.state is State.READY

    assert len(payloads(play(main).fake, Opcode.VOICE_STATE_UPDATE)) == 1


def test_a_prefix_command_runs_once() -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot("bot")
        ran: list[str] = []
        done = asyncio.Event()

        @bot.client.command()  # type: ignore[untyped-decorator]
        async def ping(context: commands.Context[Any], word: str) -> None:
            ran.append(word)
            done.set()

        bot.client.on_message = bot.client.process_commands
        async with bot.running():
            say(there, "!ping pong")
            await asyncio.wait_for(done.wait(), PATIENCE)
        assert ran == ["pong"]

    play(main)


# -- hooks -------------------------------------------------------------------------------------------------------------


def test_a_user_s_identify_hook_is_called_before_each_identify() -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot()
        calls: list[tuple[int | None, bool, int]] = []

        async def hook(shard_id: int | None, *, initial: bool = False) -> None:
            calls.append((shard_id, initial, there.do(lambda: there.fake.identifies)))

        bot.client.before_identify_hook = hook
        async with bot.running():
            there.do(there.fake.invalidate)
            await bot.until("ready", 2)
        assert calls == [(None, True, 0), (None, False, 1)]

    play(main)


@one_and_many
def test_what_an_identify_hook_raises_ends_the_client(kind: str) -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot(kind)

        async def hook(shard_id: int | None, *, initial: bool = False) -> None:
            raise ValueError("no identify today")

        bot.client.before_identify_hook = hook
        with pytest.raises(ValueError, match="no identify today"):
            await asyncio.wait_for(bot.client.start(TOKEN), PATIENCE)
        await bot.client.close()

    assert play(main).fake.identifies == 0


def test_debug_events_show_what_comes_and_what_goes() -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot(enable_debug_events=True)
        for name in ("socket_raw_receive", "socket_raw_send", "socket_event_type"):
            bot.listen(name)
        async with bot.running():
            await bot.client.change_presence(status=discord.Status.idle)
            await bot.until("socket_raw_send")
        assert any('"t":"READY","s":1,"op":0' in one for one in bot.of("socket_raw_receive"))
        assert "READY" in bot.of("socket_event_type")

    play(main)


# -- restart -----------------------------------------------------------------------------------------------------------


@each_kind
def test_a_bot_that_is_started_again_resumes_its_session_and_loses_no_message(kind: str, tmp_path: Path) -> None:
    async def once(there: Elsewhere, *contents: str) -> discord_bots.Bot:
        bot = Bot(kind, engine={"sessions": tmp_path})
        async with bot.running():
            if contents:
                await bot.until("message", len(contents))
            assert bot.contents() == list(contents)
            assert bot.client.user.name == "fake"
            (one, *_) = bot.client.guilds
            assert one.name == f"Guild {one.id}"
            assert one.me is not None
            assert [channel.name for channel in one.channels] == ["voice"]
            assert all(what.guild == one for what in bot.of("message"))
        return bot

    async def main(there: Elsewhere) -> None:
        await once(there)
        say(there, "a", "b")
        again = await once(there, "a", "b")
        await again.until("resumed")
        assert again.names("connect", "ready")[:2] == ["connect", "ready"]

    there = play(main, guilds=2)
    assert handshakes(there.fake) == ["identify", "resume"]
    assert [path.name for path in tmp_path.iterdir()] == ["shard-0-of-1.json"]


def test_a_stored_session_is_given_up_where_rest_does_not_tell_what_was_known(tmp_path: Path) -> None:
    async def main(there: Elsewhere) -> None:
        await bots.start_again_without_rest(partial(Bot, engine={"sessions": tmp_path}))

    assert handshakes(play(main).fake) == ["identify", "resume", "identify"]


def test_a_shard_with_more_guilds_than_it_may_ask_for_knows_them_by_id(tmp_path: Path) -> None:
    async def main(there: Elsewhere) -> None:
        options: dict[str, Any] = {"engine": {"sessions": tmp_path}, "refill": 1}
        async with Bot(**options).running():
            pass
        bot = Bot(**options)
        async with bot.running(whole=False):
            assert [one.unavailable for one in bot.client.guilds] == [True, True]

    assert handshakes(play(main, guilds=2).fake) == ["identify", "resume"]


# -- attaching ---------------------------------------------------------------------------------------------------------


def test_what_cannot_be_attached_is_refused_with_what_can() -> None:
    with pytest.raises(ConfigurationError, match=r"Client.*not str"):
        attach("client")
    client = discord.Client(intents=discord.Intents.none())
    attach(client)
    with pytest.raises(ConfigurationError, match="already"):
        attach(client)


def test_a_version_that_was_not_tested_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", {"discord.py": "3.0.0"}.__getitem__)
    with pytest.raises(UnsupportedFramework, match=r"discord\.py 2\.7\.\*.*3\.0\.0"):
        attach(discord.Client(intents=discord.Intents.none()))


def test_a_client_that_is_not_attached_keeps_the_library_s_own_gateway() -> None:
    attach(discord.Client(intents=discord.Intents.none()))

    async def main(there: Elsewhere) -> None:
        bot = Bot(attached=False)
        bot.client._connection.heartbeat_timeout = 5.0
        with pytest.MonkeyPatch.context() as patch:
            gateway = yarl.URL(there.fake.url)
            patch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", gateway)
            async with bot.running():
                assert isinstance(bot.client.ws, DiscordWebSocket)
                assert threading.active_count() > 1

    play(main)


def test_a_gateway_of_one_s_own_is_where_the_engine_connects() -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot()
        with pytest.MonkeyPatch.context() as patch:
            gateway = yarl.URL(there.fake.url)
            patch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", gateway)
            async with bot.running():
                pass

    play(main, metadata_script=[(Amend({"url": "wss://gateway.invalid"}),)])


def test_whatever_the_library_asks_of_its_websocket_is_there() -> None:
    """A new member that is asked for is a new version of the library: it is looked at before it is let in."""
    package = Path(discord.__file__).parent
    text = "".join(
        (package / name).read_text()
        for name in ("client.py", "shard.py", "state.py", "guild.py", "ext/commands/converter.py")
    )
    asked = set(re.findall(r"\bws\.([a-z_]+)", text))
    assert asked == {
        "change_presence", "close", "gateway", "is_ratelimited", "latency", "open", "poll_event", "request_chunks",
        "sequence", "session_id", "shard_id", "voice_state",
    }  # fmt: skip
    assert asked - {"shard_id"} <= set(dir(EngineWebSocket))


def test_the_proxy_of_a_client_is_the_engine_s() -> None:
    def client(**options: Any) -> discord.Client:
        return discord.Client(intents=discord.Intents.none(), **options)

    assert proxy_of(client()) is None
    assert proxy_of(client(proxy="http://proxy.invalid:1")) == Proxy("http://proxy.invalid:1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        auth = aiohttp.BasicAuth("me", "secret")
    with_auth = proxy_of(client(proxy="http://proxy.invalid:1", proxy_auth=auth))
    assert with_auth == Proxy("http://proxy.invalid:1", username="me", password="secret")
