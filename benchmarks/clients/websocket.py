"""trio-websocket alone, as a measure of what many idle connections take: three tasks each, and nothing of a shard."""

from __future__ import annotations

import json

import trio
from trio_websocket import open_websocket_url

from benchmarks.limits import raise_open_files
from benchmarks.resident import grown
from benchmarks.task import TOKEN, Task


async def memory(task: Task) -> dict[str, float]:
    async with open_websocket_url(task.url):  # what is loaded once is not a connection's
        pass
    return await grown(task.count, lambda done: _hold(task, done))


async def _hold(task: Task, done: trio.Event) -> None:
    ready = 0

    async def hold() -> None:
        nonlocal ready
        async with open_websocket_url(task.url) as socket, trio.open_nursery() as nursery:
            await socket.get_message()
            await socket.send_message(json.dumps({"op": 2, "d": {"token": TOKEN}}))
            await socket.get_message()
            ready += 1
            if ready == task.count:
                done.set()
            nursery.start_soon(trio.sleep, 41.25)  # where the heartbeat would be
            await socket.get_message()

    async with trio.open_nursery() as nursery:
        for _ in range(task.count):
            nursery.start_soon(hold)


def main(task: Task) -> dict[str, float]:
    raise_open_files()
    return trio.run(memory, task)
