"""A shard on asyncio: real sockets, a real clock, and a fake gateway in a thread of its own."""

from __future__ import annotations

import asyncio
import inspect
import math
import threading
import time
from typing import Any, get_type_hints

import pytest

from gatewright.embed.errors import EngineStopped
from gatewright.embed.shard import AsyncioShard, ShardOptions
from gatewright.embed.thread import EngineThread
from gatewright.fsm.errors import IllegalTransition
from gatewright.harness.fake import Connection, Delay, Rules
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.states import State
from gatewright.transport.commands import UpdatePresence
from gatewright.transport.errors import AuthenticationFailed, NotReady, ShardStopped
from gatewright.transport.shard import Shard
from tests.embed.asyncio_shards import contents, say, shard_at
from tests.embed.loops import loop_factory, on_each_loop, run, until
from tests.support.conforms import conforms
from tests.support.shards import INTENTS, TOKEN, close_codes
from tests.support.threads import PATIENCE, PATIENT, Elsewhere, block_for_heartbeats, gateway_in_a_thread

pytestmark = pytest.mark.sockets


def test_the_options_are_those_of_a_shard() -> None:
    asyncio_s = set(get_type_hints(ShardOptions))
    trio_s = set(inspect.signature(Shard).parameters)
    assert trio_s - asyncio_s == {"token", "intents", "ack", "ack_window", "clock", "wall_clock", "random"}
    assert asyncio_s <= trio_s


def test_whatever_a_shard_can_be_asked_can_be_asked_on_asyncio() -> None:
    asked = {name for name, _ in inspect.getmembers(Shard, inspect.isfunction) if not name.startswith("_")}
    missing = asked - set(dir(AsyncioShard))
    # Streams have one shape here, `types=` and `async for`; chunks one by one are for `run()`.
    assert missing == {"events", "member_chunks", "push"}


@on_each_loop
def test_messages_arrive_in_order_and_leaving_ends_the_session(loop: str) -> None:
    async def main(there: Elsewhere) -> None:
        async with shard_at(there) as shard:
            assert await shard.wait_for("ready") is State.READY
            say(there, *range(50))
            assert await contents(shard, 50) == list(range(50))
            assert "AsyncioShard 0/1 ready" in repr(shard)
            assert TOKEN not in repr(shard)

    with gateway_in_a_thread() as there:
        run(main(there), loop)
    assert close_codes(there.fake) == [1000]


@conforms("P13")
def test_a_handler_that_blocks_the_loop_stops_no_heartbeat() -> None:
    async def main(there: Elsewhere) -> None:
        async with shard_at(there) as shard:
            await shard.wait_for("ready")
            assert block_for_heartbeats(there, 5) >= 5

    with gateway_in_a_thread(heartbeat_interval=0.1, rules=PATIENT) as there:
        run(main(there))


def test_a_flood_for_a_loop_that_is_blocked_is_held_back_and_then_delivered_whole() -> None:
    async def main(there: Elsewhere) -> None:
        async with shard_at(there, queue=100) as shard:
            await shard.wait_for("ready")
            flood = asyncio.create_task(asyncio.to_thread(say, there, *range(4000)))
            await asyncio.sleep(0)
            time.sleep(0.3)  # noqa: ASYNC251 - a handler that blocks
            assert await contents(shard, 4000) == list(range(4000))
            await flood

    with gateway_in_a_thread() as there:
        run(main(there))


def test_a_restart_resumes_and_replays_what_was_not_handled() -> None:
    async def first(there: Elsewhere) -> Any:
        async with shard_at(there) as shard:
            await shard.wait_for("ready")
            say(there, *range(10))
            assert await contents(shard, 4) == [0, 1, 2, 3]  # 3 is in hand
            session = await shard.suspend()
            assert session is not None
        assert shard.session == session
        return session

    async def second(there: Elsewhere, session: Any) -> None:
        async with shard_at(there, session=session) as shard:
            assert await contents(shard, 7) == [3, 4, 5, 6, 7, 8, 9]
            assert shard.session_refused is None

    with gateway_in_a_thread() as there:
        session = run(first(there))
        run(second(there, session))
        assert (there.do(lambda: there.fake.identifies), there.do(lambda: there.fake.resumes)) == (1, 1)


def test_events_are_acknowledged_by_hand_in_any_order() -> None:
    async def first(there: Elsewhere) -> Any:
        async with shard_at(there, ack="manual", types={"MESSAGE_CREATE"}) as shard:
            await shard.wait_for("ready")
            say(there, *range(6))
            events = [await anext(shard) for _ in range(6)]
            for number in (4, 0, 1, 3):
                events[number].ack()
                events[number].ack()
            return await shard.suspend()

    async def second(there: Elsewhere, session: Any) -> None:
        async with shard_at(there, session=session) as shard:
            assert await contents(shard, 4) == [2, 3, 4, 5]

    with gateway_in_a_thread() as there:
        session = run(first(there))
        run(second(there, session))


def test_the_window_holds_back_what_is_beyond_it_until_something_is_acknowledged() -> None:
    async def main(there: Elsewhere) -> None:
        async with shard_at(there, ack="manual", ack_window=3, types={"MESSAGE_CREATE"}) as shard:
            await shard.wait_for("ready")
            say(there, *range(6))
            events = [await anext(shard) for _ in range(3)]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await anext(shard)
            events[0].ack()
            assert (await anext(shard)).data["content"] == 3

    with gateway_in_a_thread() as there:
        run(main(there))


def test_a_fatal_code_is_raised_to_the_consumer_and_not_again_on_leaving() -> None:
    async def main(there: Elsewhere) -> None:
        async with shard_at(there, token="wrong.token") as shard:
            with pytest.raises(AuthenticationFailed):
                async for _ in shard:
                    pass
            assert shard.state is State.FAILED

    with gateway_in_a_thread() as there:
        run(main(there))


def test_a_fatal_code_that_nobody_saw_is_raised_on_leaving() -> None:
    async def block(there: Elsewhere) -> None:
        async with shard_at(there, token="wrong.token") as shard:
            await shard.wait_for("failed")
            await asyncio.sleep(0.05)

    async def main(there: Elsewhere) -> None:
        with pytest.raises(AuthenticationFailed):
            await block(there)

    with gateway_in_a_thread() as there:
        run(main(there))


def test_an_exception_of_the_block_is_not_replaced_by_a_failure() -> None:
    async def block(there: Elsewhere) -> None:
        async with shard_at(there, token="wrong.token") as shard:
            await shard.wait_for("failed")
            raise ZeroDivisionError

    async def main(there: Elsewhere) -> None:
        with pytest.raises(ZeroDivisionError):
            await block(there)

    with gateway_in_a_thread() as there:
        run(main(there))


def test_verbs_and_questions_cross_with_their_errors() -> None:
    async def main(there: Elsewhere) -> None:
        async with shard_at(there) as shard:
            with pytest.raises(NotReady):
                await shard.send(UpdatePresence())
            await until(lambda: there.do(there.fake.go_on, "hello"))
            await shard.wait_for("ready")
            with pytest.raises(IllegalTransition, match="connect"):
                await shard.connect()
            assert not (await shard.explain("connect")).possible
            assert (await shard.snapshot()).connected
            assert (await shard.metrics()).identifies == 1
            assert len(await shard.journal()) > 3
            await shard.send(UpdatePresence(status="idle"))
            members = await shard.request_members(there.fake.guilds[0].id, query="", limit=1)
            assert members.guild_id == there.fake.guilds[0].id
            moves = shard.transitions()
            watching = asyncio.create_task(anext(moves))
            await asyncio.sleep(0)
            await shard.snapshot()  # one pass of the engine later, somebody watches
            await shard.reconnect()
            assert (await watching).to is State.DRAINING
            await moves.aclose()
            await shard.wait_for("ready")
            assert await shard.run(lambda real: real.wait_for("ready")) is State.READY
            await shard.force_identify()
            await shard.wait_for("backing_off", "connecting")
            await shard.stop()
            assert [event async for event in shard if event.type == "MESSAGE_CREATE"] == []
            with pytest.raises(ShardStopped):
                await shard.wait_for("ready")

    with gateway_in_a_thread(script=[Connection(hello=Delay(math.inf)), Connection()]) as there:
        run(main(there))


def test_transitions_end_with_the_shard() -> None:
    async def main(there: Elsewhere) -> None:
        async with shard_at(there) as shard:
            seen = asyncio.create_task(_all(shard))
            await shard.wait_for("ready")
            await shard.stop()
            assert (await seen)[-1] == "stopped"

    async def _all(shard: AsyncioShard) -> list[str]:
        return [record.to.value async for record in shard.transitions()]

    with gateway_in_a_thread() as there:
        run(main(there))


def test_shards_share_an_engine() -> None:
    async def main(there: Elsewhere) -> None:
        async with EngineThread() as engine:
            shards = [shard_at(there, engine=engine, shard_id=number, shard_count=3) for number in range(3)]
            async with shards[0], shards[1], shards[2]:
                await asyncio.gather(*(shard.wait_for("ready") for shard in shards))
                engines = [thread for thread in threading.enumerate() if thread.name == "gatewright"]
                assert len(engines) == 1
            assert engine.running

    with gateway_in_a_thread(rules=Rules(identify_spacing=0.0)) as there:
        run(main(there))


def test_cancelling_the_block_stops_the_shard_in_order() -> None:
    async def main(there: Elsewhere) -> None:
        ready = asyncio.Event()

        async def block() -> None:
            async with shard_at(there) as shard:
                await shard.wait_for("ready")
                ready.set()
                async for _ in shard:
                    pass

        task = asyncio.create_task(block())
        await ready.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with gateway_in_a_thread() as there:
        run(main(there))
    assert close_codes(there.fake) == [1000]


def test_an_engine_that_ends_first_tells_the_consumer() -> None:
    async def main(there: Elsewhere) -> None:
        engine = await EngineThread().__aenter__()
        shard = await shard_at(there, engine=engine).__aenter__()
        await shard.wait_for("ready")
        consumer = asyncio.create_task(contents(shard, 1000))
        await asyncio.sleep(0.02)
        await engine.__aexit__(None, None, None)
        with pytest.raises(EngineStopped):
            await consumer
        with pytest.raises(EngineStopped):
            await shard.send(UpdatePresence())
        with pytest.raises(EngineStopped):
            await shard.__aexit__(None, None, None)

    with gateway_in_a_thread() as there:
        run(main(there))
    assert close_codes(there.fake) == [1000]


@on_each_loop
def test_a_loop_that_is_closed_first_stops_the_shard_in_order(loop: str) -> None:
    async def enter(there: Elsewhere) -> AsyncioShard:
        shard = await shard_at(there).__aenter__()
        await shard.wait_for("ready")
        return shard

    with gateway_in_a_thread() as there:
        abandoned = loop_factory(loop)()
        shard = abandoned.run_until_complete(enter(there))
        abandoned.close()
        assert shard._engine._thread is not None
        shard._engine._thread.join(PATIENCE)
        assert not shard._engine._thread.is_alive()
    assert close_codes(there.fake) == [1000]


def test_a_shard_is_used_once_and_inside_its_block() -> None:
    async def main(there: Elsewhere) -> None:
        shard = shard_at(there)
        with pytest.raises(ConfigurationError, match="async with"):
            await shard.send(UpdatePresence())
        async with shard:
            with pytest.raises(ConfigurationError, match="used once"):
                await shard.__aenter__()
        with pytest.raises(ConfigurationError, match="left"):
            await shard.wait_for("ready")

    with gateway_in_a_thread() as there:
        run(main(there))


def test_a_mistake_in_the_options_is_named_before_any_thread_is_started() -> None:
    with pytest.raises(ConfigurationError, match="large_threshold"):
        AsyncioShard(TOKEN, intents=INTENTS, large_threshold=5)
