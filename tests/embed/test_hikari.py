"""hikari's own bot on the engine: its handlers, its cache, its exceptions, and the fake gateway in another thread."""

from __future__ import annotations

import asyncio
import base64
import math
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import hikari
import pytest
from hikari.api.shard import GatewayShard as HikariShard

from gatewright.embed.hikari import EngineOptions, GatewayBot, GatewayShard, install
from gatewright.harness.fake import Close, Connection, Rules
from gatewright.harness.fake.payloads import BOT_ID, message
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.protocol import Opcode
from tests.embed.loops import on_each_loop, run
from tests.support.shards import close_codes, payloads, times
from tests.support.threads import (
    LATE_ACKS,
    PATIENCE,
    PATIENT,
    SILENT_ONCE,
    Elsewhere,
    block_for_heartbeats,
    gateway_in_a_thread,
)

pytestmark = pytest.mark.sockets

TOKEN = base64.b64encode(BOT_ID.encode()).decode().rstrip("=") + ".fake.token"
INTENTS = hikari.Intents.ALL_UNPRIVILEGED | hikari.Intents.MESSAGE_CONTENT
CHANNEL = "175204397159022599"


def bot_at(there: Elsewhere, *, kind: Callable[..., hikari.GatewayBot] = GatewayBot, **options: Any) -> Any:
    """A bot that finds Discord's API at the fake gateway."""
    defaults: dict[str, Any] = {"intents": INTENTS, "banner": None, "logs": None, "rest_url": there.fake.metadata_url}
    return kind(options.pop("token", TOKEN), **{**defaults, **options})


@asynccontextmanager
async def started(bot: hikari.GatewayBot, **options: Any) -> AsyncGenerator[None]:
    """The bot, up and then closed."""
    async with asyncio.timeout(PATIENCE):
        await bot.start(check_for_updates=False, **options)
        try:
            yield
        finally:
            if bot.is_alive:
                await bot.close()


def engine_of(bot: hikari.GatewayBot, shard: int = 0) -> GatewayShard:
    found = bot.shards[shard]
    assert isinstance(found, GatewayShard)
    return found


class Heard:
    """What a bot's listeners heard, in order."""

    def __init__(self, bot: hikari.GatewayBot) -> None:
        self.events: list[hikari.Event] = []
        self._changed = asyncio.Event()
        bot.subscribe(hikari.Event, self._hear)

    async def _hear(self, event: hikari.Event) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, kind: Any, count: int = 1) -> Any:
        """The `count`-th event of a kind."""
        while len(found := [event for event in self.events if isinstance(event, kind)]) < count:
            self._changed.clear()
            await self._changed.wait()
        return found[count - 1]

    def of(self, kind: Any) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def say(there: Elsewhere, *contents: str) -> None:
    for content in contents:
        data = message(content, channel_id=CHANNEL)
        there.do(partial(there.fake.dispatch, "MESSAGE_CREATE", data))


@on_each_loop
def test_a_bot_starts_fills_its_cache_hears_messages_and_leaves_nothing_behind(loop: str) -> None:
    async def main(there: Elsewhere) -> None:
        bot = bot_at(there)
        heard = Heard(bot)
        async with started(bot):
            await heard.until(hikari.GuildAvailableEvent)
            assert str(bot.get_me().id) == BOT_ID
            assert len(bot.cache.get_guilds_view()) == 1
            assert bot.shards[0].is_connected
            assert str(bot.shards[0].get_user_id()) == BOT_ID
            assert math.isnan(bot.heartbeat_latency)
            say(there, *(f"m{number}" for number in range(20)))
            await heard.until(hikari.MessageCreateEvent, 20)
            assert [event.content for event in heard.of(hikari.MessageCreateEvent)] == [f"m{n}" for n in range(20)]
            assert engine_of(bot).engine is not None
        kinds = [type(event).__name__ for event in heard.events]
        assert kinds.index("ShardReadyEvent") < kinds.index("ShardConnectedEvent") < kinds.index("StartedEvent")
        assert kinds.index("StoppingEvent") < kinds.index("ShardDisconnectedEvent") < kinds.index("StoppedEvent")

    with gateway_in_a_thread(token=TOKEN, script=LATE_ACKS) as there:
        run(main(there), loop)
    assert close_codes(there.fake) == [1000]


def test_a_shard_of_ours_is_a_shard_of_hikari_s_with_nothing_abstract_left() -> None:
    assert not GatewayShard.__abstractmethods__
    # A new member of the interface is a new minor version: it is looked at before it is let in.
    assert {name for name, value in vars(HikariShard).items() if getattr(value, "__isabstractmethod__", False)} == {
        "capabilities", "close", "get_user_id", "heartbeat_latency", "id", "intents", "is_alive", "is_connected",
        "join", "request_channel_info", "request_guild_members", "shard_count", "start", "update_presence",
        "update_voice_state",
    }  # fmt: skip


def test_presence_members_voice_and_channel_info_reach_the_gateway_and_come_back_as_events() -> None:
    async def main(there: Elsewhere) -> None:
        bot = bot_at(there, intents=hikari.Intents.ALL)
        heard = Heard(bot)
        async with started(bot):
            guild = (await heard.until(hikari.GuildAvailableEvent)).guild_id
            await bot.update_presence(
                status=hikari.Status.IDLE, activity=hikari.Activity(name="x", type=hikari.ActivityType.WATCHING)
            )
            await bot.request_guild_members(guild, nonce="mine")
            chunk = await heard.until(hikari.MemberChunkEvent)
            assert (chunk.guild_id, chunk.nonce) == (guild, "mine")
            channel = there.fake.guilds[0].channels[0].id
            await bot.update_voice_state(guild, int(channel), self_deaf=True)
            state = await heard.until(hikari.VoiceStateUpdateEvent)
            assert (str(state.state.channel_id), state.state.is_self_deafened) == (channel, True)
            await heard.until(hikari.VoiceServerUpdateEvent)

    with gateway_in_a_thread(token=TOKEN) as there:
        run(main(there))
    (presence,) = payloads(there.fake, Opcode.PRESENCE_UPDATE)
    assert presence["status"] == "idle"
    assert presence["activities"] == [{"name": "x", "type": 3}]


def test_what_hikari_refuses_is_refused_the_same_way() -> None:
    async def main(there: Elsewhere) -> None:
        bot = bot_at(there)
        async with started(bot):
            shard = bot.shards[0]
            with pytest.raises(hikari.MissingIntentError):
                await shard.request_guild_members(1)
            with pytest.raises(hikari.MissingIntentError):
                await shard.request_guild_members(1, query="a", include_presences=True)
            with pytest.raises(ValueError, match="users"):
                await shard.request_guild_members(1, query="a", limit=1, users=[1])
            with pytest.raises(ValueError, match="nonce"):
                await shard.request_guild_members(1, query="a", limit=1, nonce="n" * 33)
            with pytest.raises(hikari.ComponentStateConflictError):
                await shard.start()
        with pytest.raises(hikari.ComponentStateConflictError):
            shard.get_user_id()
        with pytest.raises(hikari.ComponentStateConflictError):
            await shard.update_presence(afk=True)
        with pytest.raises(hikari.ComponentStateConflictError):
            await GatewayShard(bot, shard._shared, {}, shard._start).close()

    with gateway_in_a_thread(token=TOKEN) as there:
        run(main(there))


def test_an_interaction_is_heard_exactly_once_although_the_session_is_resumed_around_it() -> None:
    async def main(there: Elsewhere) -> None:
        bot = bot_at(there)
        heard = Heard(bot)
        async with started(bot):
            there.do(partial(there.fake.dispatch, "INTERACTION_CREATE", interaction()))
            there.do(there.fake.reconnect)
            await heard.until(hikari.ShardResumedEvent)
            say(there, "after")
            await heard.until(hikari.MessageCreateEvent)
            assert len(heard.of(hikari.InteractionCreateEvent)) == 1

    with gateway_in_a_thread(token=TOKEN) as there:
        run(main(there))


def interaction() -> dict[str, Any]:
    """A slash command in a direct message."""
    user = {"id": "1", "username": "u", "discriminator": "0", "global_name": None, "avatar": None, "public_flags": 0}
    return {
        "id": "9", "application_id": BOT_ID, "type": 2, "token": "t", "version": 1, "channel_id": CHANNEL,
        "channel": {"id": CHANNEL, "type": 1}, "user": user, "locale": "en-US", "entitlements": [], "context": 1,
        "authorizing_integration_owners": {}, "app_permissions": "0", "attachment_size_limit": 1,
        "data": {"id": "8", "name": "ping", "type": 1},
    }  # fmt: skip


def test_a_drop_is_resumed_and_what_was_missed_is_heard() -> None:
    async def main(there: Elsewhere) -> None:
        bot = bot_at(there)
        heard = Heard(bot)
        async with started(bot):
            await heard.until(hikari.GuildAvailableEvent)
            there.do(there.fake.drop)
            say(there, "missed")
            assert (await heard.until(hikari.MessageCreateEvent)).content == "missed"
            await heard.until(hikari.ShardResumedEvent)
            await heard.until(hikari.ShardConnectedEvent, 2)
            assert len(heard.of(hikari.ShardDisconnectedEvent)) == 1
            assert len(bot.cache.get_guilds_view()) == 1

    with gateway_in_a_thread(token=TOKEN) as there:
        run(main(there))
    assert (there.fake.identifies, there.fake.resumes) == (1, 1)


def test_an_invalid_session_is_followed_by_a_new_one() -> None:
    async def main(there: Elsewhere) -> None:
        bot = bot_at(there)
        heard = Heard(bot)
        async with started(bot):
            there.do(there.fake.invalidate)
            await heard.until(hikari.ShardReadyEvent, 2)
            assert bot.shards[0].is_connected

    with gateway_in_a_thread(token=TOKEN, rules=Rules(identify_spacing=0.0)) as there:
        run(main(there))
    assert there.fake.identifies == 2


def test_a_silent_server_is_left_and_the_session_resumed() -> None:
    async def main(there: Elsewhere) -> None:
        bot = bot_at(there)
        heard = Heard(bot)
        async with started(bot):
            await heard.until(hikari.ShardResumedEvent)
            assert engine_of(bot).engine is not None

    with gateway_in_a_thread(token=TOKEN, heartbeat_interval=0.2, script=SILENT_ONCE, rules=PATIENT) as there:
        run(main(there))


@pytest.mark.parametrize("code", [4004, 4010, 4011, 4012, 4013, 4014])
def test_a_fatal_code_is_raised_as_hikari_raises_it(code: int) -> None:
    async def main(there: Elsewhere) -> None:
        bot = bot_at(there)
        with pytest.raises(hikari.GatewayServerClosedConnectionError) as caught:
            await bot.start(check_for_updates=False)
        assert (caught.value.code, caught.value.can_reconnect) == (code, False)
        await bot.close()

    with gateway_in_a_thread(token=TOKEN, script=[Connection(on_identify=Close(code))]) as there:
        run(main(there))


def test_a_handler_that_never_returns_holds_up_no_end() -> None:
    async def main(there: Elsewhere) -> None:
        bot = bot_at(there)
        heard = Heard(bot)

        async def hang(_: hikari.MessageCreateEvent) -> None:
            await asyncio.Event().wait()

        bot.subscribe(hikari.MessageCreateEvent, hang)
        async with started(bot):
            say(there, "a", "b")
            await heard.until(hikari.MessageCreateEvent, 2)

    with gateway_in_a_thread(token=TOKEN) as there:
        asyncio.run(main(there))
    assert close_codes(there.fake) == [1000]


def test_a_fatal_code_in_mid_run_ends_join_with_it() -> None:
    async def main(there: Elsewhere) -> None:
        bot = bot_at(there)
        async with started(bot):
            joining = asyncio.create_task(bot.join())
            await asyncio.sleep(0)
            there.do(partial(there.fake.close, 4004, "no"))
            with pytest.raises(hikari.GatewayServerClosedConnectionError, match="4004"):
                await joining
            assert not bot.shards[0].is_alive

    with gateway_in_a_thread(token=TOKEN) as there:
        run(main(there))


def test_shards_share_one_engine_and_start_within_the_identify_window() -> None:
    async def main(there: Elsewhere) -> None:
        bot = bot_at(there)
        async with started(bot, shard_count=2, startup_window_delay=5):
            names = [thread.name for thread in threading.enumerate() if thread.name == "gatewright"]
            assert names == ["gatewright"]
            assert [engine_of(bot, number).id for number in (0, 1)] == [0, 1]

    with gateway_in_a_thread(token=TOKEN) as there:
        run(main(there))
    opened = times(there.fake, Opcode.IDENTIFY)
    assert opened[1] - opened[0] >= 5.0


def test_a_restart_resumes_the_session_and_hears_what_came_meanwhile(tmp_path: Path) -> None:
    async def first(there: Elsewhere) -> None:
        bot = bot_at(there, engine=EngineOptions(sessions=tmp_path))
        heard = Heard(bot)
        async with started(bot):
            say(there, "before")
            await heard.until(hikari.MessageCreateEvent)

    async def second(there: Elsewhere) -> None:
        bot = bot_at(there, engine=EngineOptions(sessions=tmp_path))
        heard = Heard(bot)
        async with started(bot):
            assert (await heard.until(hikari.MessageCreateEvent)).content == "meanwhile"
            assert str(bot.get_me().id) == BOT_ID
            assert str(bot.shards[0].get_user_id()) == BOT_ID

    with gateway_in_a_thread(token=TOKEN) as there:
        run(first(there))
        say(there, "meanwhile")
        run(second(there))
    assert (there.fake.identifies, there.fake.resumes) == (1, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["shard-0-of-1.json"]


def test_a_handler_that_blocks_stops_no_heartbeat() -> None:
    async def main(there: Elsewhere) -> None:
        bot = bot_at(there)
        heard = Heard(bot)
        beats: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def block(_: hikari.MessageCreateEvent) -> None:
            beats.set_result(block_for_heartbeats(there))

        bot.subscribe(hikari.MessageCreateEvent, block)
        async with started(bot):
            await heard.until(hikari.GuildAvailableEvent)
            say(there, "x")
            assert await beats >= 3  # with hikari's own shard none comes
            assert bot.shards[0].is_connected
            assert heard.of(hikari.ShardDisconnectedEvent) == []

    # An interval that no pause of a busy machine reaches: an acknowledgement may be late by that much.
    with gateway_in_a_thread(token=TOKEN, heartbeat_interval=1.0, rules=PATIENT) as there:
        run(main(there))
    assert there.fake.connections == 1


def test_a_handler_and_a_payload_that_hikari_cannot_take_end_no_shard() -> None:
    async def main(there: Elsewhere) -> None:
        bot = bot_at(there)
        heard = Heard(bot)

        async def fail(_: hikari.MessageCreateEvent) -> None:
            raise ZeroDivisionError

        bot.subscribe(hikari.MessageCreateEvent, fail)
        async with started(bot):
            there.do(partial(there.fake.dispatch, "MESSAGE_CREATE", {"nothing": "in it"}))
            there.do(partial(there.fake.dispatch, "NO_SUCH_EVENT", {}))
            say(there, "x")
            await heard.until(hikari.ExceptionEvent)
            assert bot.shards[0].is_connected

    with gateway_in_a_thread(token=TOKEN) as there:
        asyncio.run(main(there))


def test_installed_it_runs_the_bots_of_hikari_s_own_class() -> None:
    async def main(there: Elsewhere) -> None:
        with install():
            bot = bot_at(there, kind=hikari.GatewayBot)
            async with started(bot):
                assert isinstance(bot.shards[0], GatewayShard)
        assert hikari.GatewayBot._start_one_shard.__module__ == "hikari.impl.gateway_bot"

    with gateway_in_a_thread(token=TOKEN) as there:
        run(main(there))


def test_a_proxy_that_the_engine_cannot_speak_to_is_refused_with_what_it_takes() -> None:
    async def main(there: Elsewhere) -> None:
        settings = hikari.impl.ProxySettings(url="http://127.0.0.1:1", headers={"x": "y"})
        bot = bot_at(there)
        bot._proxy_settings = settings
        with pytest.raises(ConfigurationError, match="headers"):
            await bot.start(check_for_updates=False)
        await bot.close()

    with gateway_in_a_thread(token=TOKEN) as there:
        run(main(there))


UNMODIFIED = """
    import os
    import threading

    import hikari

    bot = hikari.GatewayBot(os.environ["BOT_TOKEN"], rest_url=os.environ["API"], banner=None, logs=None)


    @bot.listen()
    async def on_message(event: hikari.DMMessageCreateEvent) -> None:
        print("heard", event.content, [t.name for t in threading.enumerate() if t.name == "gatewright"], flush=True)
        await bot.close()


    bot.run(check_for_updates=False)
    print("left", [thread.name for thread in threading.enumerate() if not thread.daemon], flush=True)
"""


@pytest.mark.parametrize("changed", [False, True])
def test_two_lines_change_in_a_bot_that_runs_as_a_program(changed: bool, tmp_path: Path) -> None:
    source = textwrap.dedent(UNMODIFIED)
    if changed:
        source = source.replace("import hikari\n", "import hikari\nfrom gatewright.embed.hikari import GatewayBot\n", 1)
        source = source.replace("hikari.GatewayBot(", "GatewayBot(", 1)
    program = tmp_path / "bot.py"
    program.write_text(source)
    with gateway_in_a_thread(token=TOKEN) as there:
        environment = {"BOT_TOKEN": TOKEN, "API": there.fake.metadata_url, "PYTHONPATH": ":".join(sys.path)}
        with subprocess.Popen(
            [sys.executable, str(program)], stdout=subprocess.PIPE, text=True, env=environment
        ) as bot:
            assert bot.stdout is not None
            there.do(partial(there.fake.wait_until, lambda log: log.sent("GUILD_CREATE") == 1))
            say(there, "hello")
            out, _ = bot.communicate(timeout=PATIENCE)
    threads = "['gatewright']" if changed else "[]"
    assert out == f"heard hello {threads}\nleft ['MainThread']\n"
