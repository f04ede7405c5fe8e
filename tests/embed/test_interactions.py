"""interactions.py on the engine: its own clients, listeners, cache and exceptions, and a fake gateway in a thread.

`make adapters` runs this in an environment of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Coroutine, Generator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from gatewright.embed.interactions import Attachment, EngineGateway, attach
from gatewright.embed.versions import UnsupportedFramework
from gatewright.harness.fake import Answer, Close, Connection, Rules, guild
from gatewright.harness.fake.population import Guild
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.intents import Intents
from gatewright.spec.protocol import Opcode
from gatewright.spec.states import State
from tests.embed import bots
from tests.embed.bots import say
from tests.embed.loops import on_each_loop, run
from tests.support.gates import FreeGate
from tests.support.requires import requires
from tests.support.shards import TOKEN, close_codes, handshakes, payloads
from tests.support.threads import (
    LATE_ACKS,
    PATIENCE,
    PATIENT,
    SILENT_ONCE,
    Elsewhere,
    block_for_heartbeats,
    gateway_in_a_thread,
)

pytestmark = [
    requires("interactions"),
    pytest.mark.sockets,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

KINDS: Final = {"client": "Client", "sharded": "AutoShardedClient"}
one_and_many = pytest.mark.parametrize("kind", KINDS)
DOCUMENTED: Final = int(Intents.all())
THREE: Final = guild(str((7 << 22) | 1), member_count=3)


class Bot(bots.AnyBot):
    """A client that is attached, unless a test wants it as it is; events are heard by the names of their classes."""

    ready = "Ready"

    def __init__(
        self,
        kind: str = "client",
        *,
        attached: bool = True,
        engine: dict[str, Any] | None = None,
        refill: int = 100,
        **options: Any,
    ) -> None:
        self.library: Any = importlib.import_module("interactions")
        # The library's ALL has a bit that Discord does not document, and the fake refuses those.
        intents = self.library.Intents(int(self.library.Intents.ALL) & DOCUMENTED)
        chosen = {"intents": intents, "sync_interactions": False, **options}
        super().__init__(getattr(self.library, KINDS[kind])(**chosen))
        self.attachment: Attachment | None = None
        if attached:
            told: Any = {"gate": FreeGate(), **(engine or {})}
            self.attachment = attach(self.client, engine=told, refill=refill)
        for name in ("WebsocketReady", "Ready", "Startup", "Resume", "Disconnect", "MessageCreate", "Error"):
            self.listen(name)

    def listen(self, name: str) -> None:
        """Hears events of this class as well."""

        async def hear(event: Any) -> None:
            self.note(name, event)

        self.client.add_listener(self.library.Listener.create(getattr(self.library.events, name))(hear))

    def contents(self) -> list[str]:
        """The messages."""
        return [event.message.content for event in self.of("MessageCreate")]

    def start(self) -> Coroutine[Any, Any, None]:
        life: Coroutine[Any, Any, None] = self.client.astart(TOKEN)
        return life

    async def end(self, life: asyncio.Task[None]) -> None:
        if not life.done():
            await self.client.stop()
        if self.client._connection_state is None:  # sharded: it waits for who is gone
            life.cancel()

    async def all_guilds(self) -> None:
        """The library waits for them itself, three seconds for each."""


@contextlib.contextmanager
def pointed(there: Elsewhere) -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module("interactions.api.http.route").Route, "BASE", there.fake.metadata_url)
        yield


def play(main: Any, *, loop: str = "asyncio", **options: Any) -> Elsewhere:
    """Runs ``main(there)`` beside a gateway, and returns that for its log."""
    rules: dict[str, Any] = {"rules": Rules(identify_spacing=0.0, max_concurrency=16)}
    return bots.play(pointed, main, loop=loop, **{**rules, **options})


# -- start and end -----------------------------------------------------------------------------------------------------


@one_and_many
@on_each_loop
def test_a_client_starts_fills_its_cache_hears_messages_and_leaves_nothing_behind(kind: str, loop: str) -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot(kind)
        async with bot.running():
            assert bot.client.user.username == "fake"
            assert sorted(str(one.id) for one in bot.client.guilds) == sorted(one.id for one in there.fake.guilds)
            say(there, *(f"m{number}" for number in range(20)))
            await bot.until("MessageCreate", 20)
            assert sorted(bot.contents()) == sorted(f"m{number}" for number in range(20))
            assert bot.client.is_ready
            assert bot.client.latency == float("inf")
            assert bot.attachment is not None
            assert bot.attachment.shards[0].state is State.READY
        assert bot.attachment.shards == {}
        assert len(bot.of("Startup")) == 1

    there = play(main, loop=loop, guilds=2, script=LATE_ACKS)
    assert close_codes(there.fake) == [1000]


def test_many_shards_share_one_engine() -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot("sharded")
        async with bot.running():
            assert [thread.name for thread in threading.enumerate()].count("gatewright") == 1
            assert len(bot.client.guilds) == 4
            for index in range(4):
                say(there, str(index), guild=index)
            await bot.until("MessageCreate", 4)
            assert sorted(bot.contents()) == list("0123")
            assert sorted(bot.client.latencies) == [0, 1]

    # The library starts one each 5.1 s, and waits for ever with a greater concurrency.
    there = play(main, guilds=4, rules=Rules(shards=2, required_shards=2, identify_spacing=0.0))
    assert sorted(data["shard"] for data in payloads(there.fake, Opcode.IDENTIFY)) == [[0, 2], [1, 2]]
    assert close_codes(there.fake) == [1000, 1000]


def test_cancelling_the_start_leaves_nothing_behind() -> None:
    async def main(there: Elsewhere) -> None:
        await bots.cancel_the_start(Bot())

    assert close_codes(play(main).fake) == [1000]


PROGRAM = """
    import os
    import threading

    import interactions
    from interactions.api.http.route import Route

    Route.BASE = os.environ["API"]
    bot = interactions.Client(intents=interactions.Intents.GUILDS, sync_interactions=False)


    @interactions.listen()
    async def on_ready():
        engines = [thread.name for thread in threading.enumerate() if thread.name == "gatewright"]
        print("ready as", bot.user.username, engines, flush=True)
        await bot.stop()


    bot.start(os.environ["BOT_TOKEN"])
    print("left", [thread.name for thread in threading.enumerate() if not thread.daemon], flush=True)
"""


def test_two_lines_change_in_a_bot_that_runs_as_a_program(tmp_path: Path) -> None:
    source = textwrap.dedent(PROGRAM)
    source = source.replace("import interactions\n", "import interactions\nimport gatewright.embed.interactions\n", 1)
    source = source.replace("\n\n\n@", "\ngatewright.embed.interactions.attach(bot)\n\n\n@", 1)
    program = tmp_path / "bot.py"
    program.write_text(source)
    with gateway_in_a_thread() as there:
        environment = {"BOT_TOKEN": TOKEN, "API": there.fake.metadata_url, "PYTHONPATH": ":".join(sys.path)}
        out = subprocess.run(
            [sys.executable, str(program)], stdout=subprocess.PIPE, text=True, env=environment, timeout=60, check=True
        ).stdout
    assert out == "ready as fake ['gatewright']\nleft ['MainThread']\n"


# -- losses ------------------------------------------------------------------------------------------------------------


@one_and_many
def test_a_dropped_connection_is_resumed_and_what_was_missed_is_replayed(kind: str) -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot(kind)
        async with bot.running():
            gateway = bot.client.get_guild_websocket(there.fake.guilds[0].id)
            session = gateway.session_id
            there.do(there.fake.drop)
            say(there, "missed")
            await bot.until("Resume")
            say(there, "after")
            await bot.until("MessageCreate", 2)
            assert bot.contents() == ["missed", "after"]
            assert bot.client.get_guild_websocket(there.fake.guilds[0].id) is gateway
            assert gateway.session_id == session
            assert bot.client.is_ready

    assert handshakes(play(main).fake) == ["identify", "resume"]


@one_and_many
def test_a_session_that_the_gateway_ends_is_followed_by_a_new_one(kind: str) -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot(kind)
        async with bot.running():
            there.do(there.fake.invalidate)
            await bot.until("Ready", 2)
            assert len(bot.client.guilds) == 1
            say(there, "on the new one")
            await bot.until("MessageCreate")

    assert handshakes(play(main).fake) == ["identify", "identify"]


def test_a_peer_that_answers_no_heartbeat_is_left_and_the_session_resumed() -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot()
        async with bot.running():
            await bot.until("Resume")

    there = play(main, heartbeat_interval=0.2, script=SILENT_ONCE, rules=PATIENT)
    assert handshakes(there.fake) == ["identify", "resume"]


@pytest.mark.parametrize(("resume", "then"), [(True, "resume"), (False, "identify")])
def test_a_reconnect_that_the_program_asks_for_is_the_engine_s(resume: bool, then: str) -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot()
        async with bot.running():
            await bot.client.ws.reconnect(resume=resume)
            await (bot.until("Resume") if resume else bot.until("Ready", 2))

    assert handshakes(play(main).fake) == ["identify", then]


def test_a_listener_that_blocks_stops_no_heartbeat() -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot()

        beats: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def block(_: Any) -> None:
            beats.set_result(block_for_heartbeats(there))

        bot.client.add_listener(bot.library.Listener.create(bot.library.events.MessageCreate)(block))
        async with bot.running():
            say(there, "block")
            assert await beats >= 3  # with the library's own gateway none comes

    # An interval that no pause of a busy machine reaches: an acknowledgement may be late by that much.
    assert play(main, heartbeat_interval=1.0, rules=PATIENT).fake.connections == 1


def test_a_listener_that_never_returns_holds_up_no_end() -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot()

        async def hang(_: Any) -> None:
            await asyncio.Event().wait()

        bot.client.add_listener(bot.library.Listener.create(bot.library.events.MessageCreate)(hang))
        async with bot.running():
            say(there, "a", "b")
            await bot.until("MessageCreate", 2)

    assert close_codes(play(main).fake) == [1000]


# -- failures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "name", "says"),
    [
        (4004, "WebSocketClosed", "4004"),
        (4010, "WebSocketClosed", "4010"),
        (4011, "LibraryException", "must use shards"),
        (4012, "WebSocketClosed", "4012"),
        (4013, "LibraryException", "Invalid Intents"),
        (4014, "LibraryException", "privileged intents"),
    ],
)
def test_a_fatal_code_raises_the_library_s_own_exception(code: int, name: str, says: str) -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot()
        errors = importlib.import_module("interactions.client.errors")
        with pytest.raises(getattr(errors, name), match=says):
            await asyncio.wait_for(bot.client.astart(TOKEN), PATIENCE)

    play(main, script=[Connection(on_identify=Close(code))])


def test_a_token_that_is_refused_is_the_library_s_own_failure() -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot()
        with pytest.raises(importlib.import_module("interactions.client.errors").LoginError):
            await asyncio.wait_for(bot.client.astart("wrong"), PATIENCE)
        await bot.client.http.close()

    play(main)


def test_an_event_that_the_library_cannot_take_costs_that_event_alone() -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot()
        async with bot.running():
            there.do(partial(there.fake.dispatch, "MESSAGE_CREATE", ["no", "object"]))
            there.do(partial(there.fake.dispatch, "NO_SUCH_EVENT", None))
            say(there, "after")
            await bot.until("MessageCreate")

    assert handshakes(play(main).fake) == ["identify"]


# -- commands ----------------------------------------------------------------------------------------------------------


def test_presence_members_and_voice_reach_the_gateway_and_their_answers_the_caller() -> None:
    async def main(there: Elsewhere) -> None:
        library: Any = importlib.import_module("interactions")
        bot = Bot(status=library.Status.DND, activity=library.Activity(name="first", type=library.ActivityType.GAME))
        bot.listen("VoiceUserJoin")
        async with bot.running():
            (one,) = bot.client.guilds
            await bot.client.change_presence(status=library.Status.IDLE, activity="next")
            await asyncio.wait_for(one.gateway_chunk(presences=False), PATIENCE)
            assert sorted(member.username for member in one.members) == ["ada0", "bela1", "carl2", "fake"]
            channel = int(there.fake.guilds[0].channels[0].id)
            answer = asyncio.create_task(bot.client.wait_for("raw_voice_state_update", timeout=PATIENCE))
            await asyncio.sleep(0)
            await bot.client.ws.voice_state_update(one.id, channel, False, True)
            assert (await answer).data["channel_id"] == str(channel)

    there = play(main, guilds=[THREE])
    (identify,) = payloads(there.fake, Opcode.IDENTIFY)
    assert identify["presence"]["status"] == "dnd"
    assert [activity["name"] for activity in identify["presence"]["activities"]] == ["first"]
    (presence,) = payloads(there.fake, Opcode.PRESENCE_UPDATE)
    assert (presence["status"], [one["name"] for one in presence["activities"]]) == ("idle", ["next"])
    (voice,) = payloads(there.fake, Opcode.VOICE_STATE_UPDATE)
    assert voice["self_deaf"] is True


def test_the_answer_to_a_move_finds_its_caller_however_early_it_comes() -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot()
        async with bot.running():
            (one,) = bot.client.guilds
            channel = int(there.fake.guilds[0].channels[0].id)
            for number in range(50):
                await bot.client.ws.voice_state_update(one.id, None if number % 2 else channel)
                # As `ActiveVoiceState.move` does it.
                await bot.client.wait_for("raw_voice_state_update", timeout=PATIENCE)

    play(main, guilds=[THREE])


def test_what_is_sent_as_json_is_checked_and_what_is_the_engine_s_is_refused() -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot()
        async with bot.running():
            gateway = bot.client.ws
            await gateway.send('{"op": 3, "d": {"status": "online", "activities": [], "since": 0, "afk": false}}')
            with pytest.raises(ConfigurationError, match="engine's"):
                await gateway.send_json({"op": 2, "d": {}})
        with pytest.raises(importlib.import_module("interactions.client.errors").LibraryException, match="closed"):
            await gateway.voice_state_update(1, None)

    assert len(payloads(play(main).fake, Opcode.PRESENCE_UPDATE)) == 1


def test_a_slash_command_runs_exactly_once_although_the_session_is_resumed_around_it() -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot()
        ran: list[int] = []

        async def ping(context: Any) -> None:
            ran.append(int(context.id))

        command = bot.library.slash_command(name="ping", description="-")(ping)
        bot.client.add_interaction(command)

        async def known(*_: Any) -> list[dict[str, Any]]:
            return [{"name": "ping", "id": "77"}]

        bot.client.http.get_application_commands = known
        async with bot.running():
            (of,) = there.fake.guilds
            there.do(partial(there.fake.dispatch, "INTERACTION_CREATE", _interaction("1", of)))
            there.do(there.fake.drop)
            there.do(partial(there.fake.dispatch, "INTERACTION_CREATE", _interaction("2", of)))
            await bot.until("Resume")
            there.do(there.fake.reconnect)
            await bot.until("Resume", 2)
            say(there, "after")
            await bot.until("MessageCreate")
        assert ran == [1, 2]

    play(main)


def _interaction(number: str, of: Guild) -> dict[str, object]:
    user = {"id": "5", "username": "author", "discriminator": "0", "avatar": None, "global_name": None}
    member: dict[str, object] = {
        "user": user,
        "roles": [],
        "joined_at": "2020-01-01T00:00:00+00:00",
        "deaf": False,
        "mute": False,
    }
    return {
        "id": number,
        "application_id": "1000000000000000002",
        "type": 2,
        "data": {"id": "77", "name": "ping", "type": 1},
        "channel": {"id": of.channels[0].id, "type": 0},
        "channel_id": of.channels[0].id,
        "guild_id": of.id,
        "guild_locale": "en-US",
        "member": {**member, "flags": 0, "permissions": "0", "avatar": None},
        "app_permissions": "0",
        "token": "interaction",
        "version": 1,
        "locale": "en-US",
        "entitlements": [],
        "authorizing_integration_owners": {},
        "attachment_size_limit": 0,
        "context": 0,
    }


# -- restart -----------------------------------------------------------------------------------------------------------


@one_and_many
def test_a_bot_that_is_started_again_resumes_its_session_and_loses_no_message(kind: str, tmp_path: Path) -> None:
    async def once(there: Elsewhere, *contents: str) -> Bot:
        bot = Bot(kind, engine={"sessions": tmp_path})
        async with bot.running():
            if contents:
                await bot.until("MessageCreate", len(contents))
            assert bot.contents() == list(contents)
            assert bot.client.user.username == "fake"
            assert sorted(one.name for one in bot.client.guilds) == sorted(
                f"Guild {one.id}" for one in there.fake.guilds
            )
            assert [channel.name for channel in bot.client.guilds[0].channels] == ["voice"]
            assert bot.client.guilds[0].me is not None
        return bot

    async def main(there: Elsewhere) -> None:
        await once(there)
        say(there, "a", "b")
        again = await once(there, "a", "b")
        await again.until("Resume")
        assert len(again.of("Startup")) == 1

    there = play(main, guilds=2)
    assert handshakes(there.fake) == ["identify", "resume"]
    assert [path.name for path in tmp_path.iterdir()] == ["shard-0-of-1.json"]
    assert 1000 not in close_codes(there.fake)


def test_a_stored_session_is_given_up_where_rest_does_not_tell_what_was_known(tmp_path: Path) -> None:
    async def main(there: Elsewhere) -> None:
        await bots.start_again_without_rest(partial(Bot, engine={"sessions": tmp_path}))

    assert handshakes(play(main).fake) == ["identify", "resume", "identify"]


# -- attaching ---------------------------------------------------------------------------------------------------------


def test_what_cannot_be_attached_is_refused_with_what_can() -> None:
    with pytest.raises(ConfigurationError, match=r"Client.*not str"):
        attach("client")
    bot = Bot()
    with pytest.raises(ConfigurationError, match="already"):
        attach(bot.client)


def test_a_version_that_was_not_tested_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", {"discord-py-interactions": "6.0.0"}.__getitem__)
    with pytest.raises(UnsupportedFramework, match=r"discord-py-interactions 5\.16\.\*.*6\.0\.0"):
        Bot()


def test_a_client_that_is_not_attached_keeps_the_library_s_own_gateway() -> None:
    async def main() -> None:
        state = importlib.import_module("interactions.api.gateway.state")
        attached, other = Bot(), Bot(attached=False)
        attached.client.http.token = other.client.http.token = TOKEN
        assert isinstance(state.GatewayClient(attached.client._connection_state, (0, 1)), EngineGateway)
        gateway = state.GatewayClient(other.client._connection_state, (0, 1))
        own = importlib.import_module("interactions.api.gateway.gateway").GatewayClient
        assert type(gateway) is own
        assert gateway.shard == (0, 1)

    run(main())


def test_whatever_the_library_asks_of_its_gateway_is_there() -> None:
    """A new member that is asked for is a new version of the library: it is looked at before it is let in."""
    package = Path(inspect.getfile(importlib.import_module("interactions"))).parent
    text = "".join(path.read_text() for path in package.rglob("*.py") if path.parent.name != "voice")
    own = importlib.import_module("interactions.api.gateway.gateway").GatewayClient
    asked = set(re.findall(r"\bself\.gateway\.([a-z_]+)", text)) | set(re.findall(r"\bws\.([a-z]\w+)\(", text))
    asked -= {"close", "receive", "send_str", "wait_until_ready", "run", "set_new_voice_server"}  # of voice, aiohttp
    assert asked == {
        "average_latency", "change_presence", "latency", "request_member_chunks", "voice_state_update"
    }  # fmt: skip
    assert asked <= set(dir(EngineGateway))
    used = set(re.findall(r"self\.(\w+)", inspect.getsource(own.dispatch_event)))
    assert used == {"_process_member_chunk", "_ready", "_trace", "sequence", "session_id", "state", "ws_resume_url"}


def test_metadata_that_are_refused_end_the_shard_and_are_told(caplog: pytest.LogCaptureFixture) -> None:
    async def main(there: Elsewhere) -> None:
        bot = Bot()
        await asyncio.wait_for(bot.client.astart(TOKEN), PATIENCE)  # it logs what is no close code, and ends
        assert bot.of("Disconnect")

    play(main, metadata_script=[(), (Answer(401),)])
    assert "401" in caplog.text
