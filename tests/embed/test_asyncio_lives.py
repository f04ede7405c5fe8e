"""What shards on asyncio live through: losses, commands, and programs that are slow or never done."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gatewright.embed.shard import AsyncioShard
from gatewright.harness.fake import guild
from gatewright.spec.intents import Intents
from gatewright.spec.protocol import Opcode
from gatewright.transport.commands import Activity, UpdatePresence, UpdateVoiceState
from gatewright.transport.dispatch import Dispatch
from tests.embed.asyncio_shards import contents, say, shard_at
from tests.embed.loops import on_each_loop, run
from tests.support.shards import INTENTS, TOKEN, close_codes, handshakes, payloads
from tests.support.threads import (
    PATIENCE,
    PATIENT,
    SILENT_ONCE,
    Elsewhere,
    block_for_heartbeats,
    gateway_in_a_thread,
)

pytestmark = pytest.mark.sockets


async def next_of(shard: AsyncioShard, name: str) -> Dispatch:
    """The next dispatch of this type."""
    async for event in shard:
        if event.type == name:
            return event
    raise AssertionError(f"the stream ended before {name}")


# -- losses ------------------------------------------------------------------------------------------------------------


@on_each_loop
def test_a_dropped_connection_is_resumed_and_what_was_missed_is_replayed(loop: str) -> None:
    async def main(there: Elsewhere) -> None:
        async with shard_at(there) as shard:
            await shard.wait_for("ready")
            say(there, "before")
            assert await contents(shard, 1) == ["before"]
            session = shard.session
            there.do(there.fake.drop)
            say(there, "missed")
            assert await contents(shard, 1) == ["missed"]
            await next_of(shard, "RESUMED")
            say(there, "after")
            assert await contents(shard, 1) == ["after"]
            assert session is not None
            assert shard.session is not None
            assert shard.session.id == session.id

    with gateway_in_a_thread() as there:
        run(main(there), loop)
    assert handshakes(there.fake) == ["identify", "resume"]


@pytest.mark.parametrize("resumable", [False, True], ids=["with a new one", "by a resume"])
def test_a_session_that_the_gateway_declares_invalid_is_followed(resumable: bool) -> None:
    async def main(there: Elsewhere) -> None:
        async with shard_at(there) as shard:
            await next_of(shard, "READY")
            there.do(lambda: there.fake.invalidate(resumable=resumable))
            await next_of(shard, "RESUMED" if resumable else "READY")
            say(there, "after")
            assert await contents(shard, 1) == ["after"]

    with gateway_in_a_thread() as there:
        run(main(there))
    assert handshakes(there.fake) == ["identify", "resume" if resumable else "identify"]


def test_a_peer_that_answers_no_heartbeat_is_left_and_the_session_resumed() -> None:
    async def main(there: Elsewhere) -> None:
        async with shard_at(there) as shard:
            await next_of(shard, "RESUMED")

    with gateway_in_a_thread(heartbeat_interval=0.2, script=SILENT_ONCE, rules=PATIENT) as there:
        run(main(there))
    assert handshakes(there.fake) == ["identify", "resume"]


@on_each_loop
def test_an_interaction_arrives_exactly_once_although_the_session_is_resumed_around_it(loop: str) -> None:
    async def main(there: Elsewhere) -> None:
        async with shard_at(there, types={"INTERACTION_CREATE", "RESUMED", "MESSAGE_CREATE"}) as shard:
            await shard.wait_for("ready")
            say(there, 1, event="INTERACTION_CREATE")
            there.do(there.fake.drop)
            say(there, 2, event="INTERACTION_CREATE")
            found: list[object] = []
            for resumes in range(2):
                async for event in shard:
                    if event.type == "RESUMED":
                        break
                    found.append(event.data["content"])
                if not resumes:
                    there.do(there.fake.reconnect)
            say(there, "after")
            async for event in shard:
                found.append(event.data["content"])
                if event.type == "MESSAGE_CREATE":
                    break
            assert found == [1, 2, "after"]

    with gateway_in_a_thread() as there:
        run(main(there), loop)
    assert handshakes(there.fake) == ["identify", "resume", "resume"]


# -- commands ----------------------------------------------------------------------------------------------------------


@on_each_loop
def test_presence_members_and_voice_reach_the_gateway_and_their_answers_the_caller(loop: str) -> None:
    async def main(there: Elsewhere) -> None:
        (of,) = there.fake.guilds
        intents = INTENTS | Intents.GUILD_MEMBERS | Intents.GUILD_VOICE_STATES
        async with shard_at(there, intents=intents, presence=UpdatePresence(status="dnd")) as shard:
            await shard.wait_for("ready")
            await shard.send(UpdatePresence(status="idle", activities=(Activity("next"),)))
            found = await shard.request_members(of.id, query="ada", limit=5)
            assert [member["user"]["username"] for member in found.members] == ["ada0"]
            assert len((await shard.request_members(of.id, query="", limit=0)).members) == 3
            await shard.send(UpdateVoiceState(of.id, of.channels[0].id, self_deaf=True))
            state = (await next_of(shard, "VOICE_STATE_UPDATE")).data
            assert (state["channel_id"], state["self_deaf"]) == (of.channels[0].id, True)
            await shard.send(UpdateVoiceState(of.id, None))
            assert (await next_of(shard, "VOICE_STATE_UPDATE")).data["channel_id"] is None

    with gateway_in_a_thread(guilds=[guild(str((7 << 22) | 1), member_count=3)]) as there:
        run(main(there), loop)
    (identify,) = payloads(there.fake, Opcode.IDENTIFY)
    assert identify["presence"]["status"] == "dnd"
    (presence,) = payloads(there.fake, Opcode.PRESENCE_UPDATE)
    assert (presence["status"], presence["activities"]) == ("idle", [{"name": "next", "type": 0}])


# -- programs ----------------------------------------------------------------------------------------------------------


def test_heartbeats_go_on_beside_a_handler_that_blocks_and_so_does_the_connection() -> None:
    async def main(there: Elsewhere) -> None:
        async with shard_at(there) as shard:
            await shard.wait_for("ready")
            say(there, "block")
            assert await contents(shard, 1) == ["block"]
            assert block_for_heartbeats(there) >= 3
            say(there, "on the same connection")
            assert await contents(shard, 1) == ["on the same connection"]

    # An interval that no pause of a busy machine reaches: an acknowledgement may be late by that much.
    with gateway_in_a_thread(heartbeat_interval=1.0, rules=PATIENT) as there:
        run(main(there))
    assert there.fake.connections == 1


def test_a_handler_that_never_returns_holds_up_no_end() -> None:
    async def main(there: Elsewhere) -> None:
        called = asyncio.Event()

        async def handle(shard: AsyncioShard) -> None:
            async for event in shard:
                if event.type == "MESSAGE_CREATE":
                    called.set()
                    await asyncio.Event().wait()

        async with shard_at(there) as shard:
            handling = asyncio.create_task(handle(shard))
            await shard.wait_for("ready")
            say(there, "a")
            await called.wait()
            say(there, "b")
        assert not handling.done()
        handling.cancel()

    with gateway_in_a_thread() as there:
        run(main(there))
    assert close_codes(there.fake) == [1000]


PROGRAM = """
    import asyncio
    import os
    import threading

    from gatewright import Intents
    from gatewright.embed import AsyncioShard
    from gatewright.spec.session import Metadata
    from gatewright.transport.metadata import StaticMetadataSource


    async def main():
        there = StaticMetadataSource(Metadata(url=os.environ["GATEWAY"]))
        async with AsyncioShard(os.environ["BOT_TOKEN"], intents=Intents.GUILDS, metadata=there) as shard:
            await shard.wait_for("ready")
            print("gatewright" in {thread.name for thread in threading.enumerate()})


    asyncio.run(main())
    for thread in [one for one in threading.enumerate() if one.daemon]:
        thread.join(60)  # the loop's watch has been told to end, and nobody waited for it
    print([thread.name for thread in threading.enumerate()])
"""


def test_a_program_ends_with_the_main_thread_only(tmp_path: Path) -> None:
    program = tmp_path / "bot.py"
    program.write_text(textwrap.dedent(PROGRAM))
    with gateway_in_a_thread() as there:
        environment = {**os.environ, "BOT_TOKEN": TOKEN, "GATEWAY": there.url, "PYTHONPATH": ":".join(sys.path)}
        out = subprocess.run(
            [sys.executable, str(program)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            timeout=PATIENCE,
            check=True,
        ).stdout
    assert out.splitlines() == ["True", "['MainThread']"]
    assert close_codes(there.fake) == [1000]
