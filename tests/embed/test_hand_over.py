"""The bounded queue between the two threads: order, bounds, and that nobody is left asleep."""

from __future__ import annotations

import asyncio
import time

import pytest
import trio

from gatewright.embed.stream import Ended, HandOver
from gatewright.embed.thread import EngineThread
from tests.embed.loops import on_each_loop, run


async def fill(queue: HandOver[int], count: int, *, pace: int = 0) -> None:
    """Puts `count` numbers, and a checkpoint after each `pace` of them."""
    for number in range(count):
        await queue.put(number)
        if pace and number % pace == 0:
            await trio.lowlevel.checkpoint()
    queue.end()


async def drain(queue: HandOver[int]) -> list[int]:
    """Takes all until the end."""
    taken: list[int] = []
    while True:
        try:
            taken.append(await queue.take())
        except Ended:
            return taken


@on_each_loop
@pytest.mark.parametrize("pace", [0, 1, 7])
@pytest.mark.parametrize("limit", [1, 2, 64, 100_000])
def test_every_item_arrives_once_and_in_order(loop: str, pace: int, limit: int) -> None:
    async def main() -> None:
        async with EngineThread() as engine:
            queue = HandOver[int](engine, limit)
            writer = engine.start(fill_with_pace, queue, pace)
            assert await drain(queue) == list(range(3000))
            await writer.wait()

    async def fill_with_pace(queue: HandOver[int], pace: int) -> None:
        await fill(queue, 3000, pace=pace)

    run(main(), loop)


def test_the_engine_waits_while_the_queue_is_full_and_goes_on_when_half_of_it_was_taken() -> None:
    async def main() -> None:
        async with EngineThread() as engine:
            queue = HandOver[int](engine, 10)
            engine.start(fill, queue, 100)
            await engine.call(trio.sleep, 0.01)
            assert len(queue) == 10
            for _ in range(4):
                await queue.take()
            await engine.call(trio.sleep, 0.01)
            assert len(queue) == 6
            await queue.take()
            await engine.call(trio.sleep, 0.01)
            assert len(queue) == 10

    run(main())


def test_a_wait_that_is_cancelled_loses_nothing() -> None:
    async def main() -> None:
        async with EngineThread() as engine:
            queue = HandOver[int](engine, 10)
            for _ in range(20):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.001):
                        await queue.take()
            engine.start(fill, queue, 100)
            taken: list[int] = []
            while len(taken) < 100:
                task = asyncio.create_task(queue.take())
                await asyncio.sleep(0)
                task.cancel()
                try:
                    taken.append(await task)
                except asyncio.CancelledError:
                    continue
            assert taken == list(range(100))

    run(main())


def test_a_consumer_that_never_waits_leaves_the_loop_its_turn() -> None:
    async def main() -> None:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with EngineThread() as engine:
            queue = HandOver[int](engine, 100_000)
            await engine.call(fill, queue, 10_000)
            task = asyncio.create_task(others())
            await drain(queue)
            task.cancel()
        assert turns >= 10_000 // 64 - 1

    run(main())


def test_the_end_comes_after_the_last_item_also_while_the_consumer_waits() -> None:
    async def main() -> None:
        async with EngineThread() as engine:
            queue = HandOver[int](engine, 10)
            task = asyncio.create_task(drain(queue))
            await asyncio.sleep(0.01)
            await engine.call(fill, queue, 3)
            assert await task == [0, 1, 2]
            with pytest.raises(Ended):
                await queue.take()

    run(main())


def test_a_loop_that_is_blocked_finds_all_that_came_meanwhile() -> None:
    async def main() -> None:
        async with EngineThread() as engine:
            queue = HandOver[int](engine, 1000)
            task = asyncio.create_task(drain(queue))
            await asyncio.sleep(0.01)
            engine.start(fill, queue, 500)
            time.sleep(0.1)  # noqa: ASYNC251 - a handler that blocks
            assert await task == list(range(500))

    run(main())
