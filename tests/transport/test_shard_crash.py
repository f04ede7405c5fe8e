"""A seam that breaks its promise: its exception ends the shard, loudly and in order, and nobody is left waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gatewright.spec.session import Metadata
from gatewright.transport.connection import Connection
from gatewright.transport.errors import ShardStopped
from gatewright.transport.seams import Slot
from gatewright.transport.urls import GatewayUrl
from tests.support.shards import Recording, SilentGate, Streams, gateway, shard_on


class Bug(Exception):
    """Of somebody who wrote a seam."""


class BrokenMetadata:
    async def fetch(self) -> Metadata:
        await trio.sleep(1)
        raise Bug


class BrokenGate(SilentGate):
    async def acquire(self, *, shard_id: int, on_queued: Callable[[float], None]) -> Slot:
        await trio.sleep(1)
        raise Bug


async def broken_opener(url: GatewayUrl) -> trio.abc.Stream:
    await trio.sleep(1)
    raise Bug


BROKEN = [{"metadata": BrokenMetadata()}, {"gate": BrokenGate()}, {"opener": broken_opener}]


@pytest.mark.parametrize("options", BROKEN, ids=["metadata", "gate", "opener"])
async def test_its_exception_comes_out_of_the_block(autojump_clock: MockClock, options: dict[str, Any]) -> None:
    log: list[str] = []
    async with gateway() as fake:
        streams = Streams(fake)
        given = {"opener": streams, "registrations": [Recording("a", log)], **options}
        with pytest.RaisesGroup(Bug, flatten_subgroups=True):
            async with shard_on(fake, **given):
                await trio.sleep(3600)
        assert trio.current_time() < 2
        assert (streams.open, log[-1]) == (0, "undo a")


@pytest.mark.parametrize("options", BROKEN, ids=["metadata", "gate", "opener"])
async def test_nobody_waits_for_ever(autojump_clock: MockClock, options: dict[str, Any]) -> None:
    """Tasks outside of the block, which its cancellation does not reach."""
    ended: list[str] = []
    async with gateway() as fake, trio.open_nursery() as nursery:
        shard = shard_on(fake, **options)

        async def wait() -> None:
            with pytest.raises(ShardStopped):
                await shard.wait_for("ready")
            ended.append("wait")

        async def iterate() -> None:
            async for _ in shard:
                pass
            ended.append("iterate")

        async def watch() -> None:
            async for _ in shard.transitions():
                pass
            ended.append("watch")

        with pytest.RaisesGroup(Bug, flatten_subgroups=True):
            async with shard:
                for task in (wait, iterate, watch):
                    nursery.start_soon(task)
                await trio.sleep(3600)
        await wait_all_tasks_blocked()
    assert sorted(ended) == ["iterate", "wait", "watch"]


async def test_a_crash_while_the_block_is_left_comes_out_as_well(autojump_clock: MockClock) -> None:
    class Late(SilentGate):
        async def acquire(self, *, shard_id: int, on_queued: Callable[[float], None]) -> Slot:
            try:
                await trio.sleep_forever()
            finally:
                raise Bug

    async with gateway() as fake:
        with pytest.RaisesGroup(Bug, flatten_subgroups=True):
            async with shard_on(fake, gate=Late()) as shard:
                await shard.wait_for("awaiting_identify_slot")
                await wait_all_tasks_blocked()
        assert trio.current_time() <= 10


async def test_a_defect_in_the_step_that_stops_leaves_nothing(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(connection: Connection, code: int) -> None:
        raise Bug

    monkeypatch.setattr(Connection, "close", broken)
    log: list[str] = []
    async with gateway() as fake:
        tasks = trio.lowlevel.current_statistics().tasks_living
        streams = Streams(fake)
        with pytest.raises(Bug):
            async with shard_on(fake, opener=streams, registrations=[Recording("a", log)]) as shard:
                await shard.wait_for("ready")
        await wait_all_tasks_blocked()
        assert (streams.open, log[-1]) == (0, "undo a")
        assert trio.lowlevel.current_statistics().tasks_living == tasks


async def test_the_blocks_own_exception_is_kept_beside_it(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        with pytest.RaisesGroup(Bug, KeyError, flatten_subgroups=True):
            async with shard_on(fake, opener=broken_opener):
                try:
                    await trio.sleep(3600)
                finally:
                    raise KeyError
