"""A blocked event loop is told of, with the stack that blocks it, once, and without a word of what is in it."""

from __future__ import annotations

import logging
import select
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import attrs
import pytest
import trio
from trio.testing import MockClock

from gatewright.harness.fake import Connection, Dispatch
from gatewright.spec.session import Metadata
from gatewright.transport import watchdog
from gatewright.transport.metadata import StaticMetadataSource
from gatewright.transport.shard import Shard
from gatewright.transport.watchdog import LONGEST_TOLERANCE, QUIET, LoopWatch, tolerance
from tests.support.shards import INTENTS, TOKEN, gateway, shard_on
from tests.support.threads import PATIENCE, PATIENT, gateway_in_a_thread

INTERVAL = 8.0
"""Seconds between heartbeats: two blocked seconds are told of, which no pause of a busy machine reaches."""


@attrs.frozen
class Beats:
    interval: float | None


def warnings(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "gatewright.loop"]


def told(record: logging.LogRecord) -> dict[str, Any]:
    return cast("dict[str, Any]", record.__dict__["gatewright"])


def end_watching() -> None:
    """Waits for threads that were told to end: nobody else does."""
    for thread in threads():
        thread.join(PATIENCE)


@pytest.fixture(autouse=True)
def no_thread_is_left_of_earlier_tests() -> None:
    end_watching()


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "gatewright loop watch"]


def handle(secret: str, until: socket.socket, patience: float) -> None:
    """What a bot does with an event, badly."""
    select.select([until], [], [], patience)


class Telling(logging.Handler):
    """Sends a byte for a warning."""

    def __init__(self, whom: socket.socket) -> None:
        super().__init__()
        self._whom = whom

    def emit(self, record: logging.LogRecord) -> None:
        self._whom.send(b"!")


@pytest.fixture
def warned() -> Iterator[socket.socket]:
    """Can be read from as soon as a warning was written."""
    ours, theirs = socket.socketpair()
    handler, log = Telling(theirs), logging.getLogger("gatewright.loop")
    log.addHandler(handler)
    with ours, theirs:
        yield ours
        log.removeHandler(handler)


async def consume(until: socket.socket, patience: float, *, watch_loop: bool) -> float:
    """How long a shard lived whose consumer blocked the loop until something happened, or the patience was over."""
    script = [Connection(after_ready=Dispatch("MESSAGE_CREATE", {"content": "x"}))]
    with gateway_in_a_thread(heartbeat_interval=INTERVAL, script=script, rules=PATIENT) as there:
        metadata = StaticMetadataSource(Metadata(url=there.url))
        began = time.monotonic()
        async with Shard(TOKEN, intents=INTENTS, metadata=metadata, watch_loop=watch_loop) as shard:
            async for event in shard:
                if event.type == "MESSAGE_CREATE":
                    handle("a-secret-value", until, patience)
                    break
    end_watching()  # it may be about to write
    return time.monotonic() - began


@pytest.mark.sockets
async def test_a_consumer_that_blocks_is_named_by_file_line_and_function(
    caplog: pytest.LogCaptureFixture, warned: socket.socket
) -> None:
    lived = await consume(warned, PATIENCE, watch_loop=True)
    (record,) = warnings(caplog)
    assert record.levelno == logging.WARNING
    stack = told(record)["stack"]
    line = handle.__code__.co_firstlineno + 2
    assert stack[-1] == f"{__file__}:{line} handle"
    assert any(place.endswith(" consume") for place in stack)
    assert stack[-1] in record.getMessage()
    assert tolerance(INTERVAL) <= told(record)["blocked_for"] < lived
    assert "a-secret-value" not in record.getMessage() + repr(record.__dict__)


@pytest.mark.sockets
async def test_it_can_be_switched_off(caplog: pytest.LogCaptureFixture, warned: socket.socket) -> None:
    assert await consume(warned, 2 * tolerance(INTERVAL), watch_loop=False) >= 2 * tolerance(INTERVAL)
    assert warnings(caplog) == []


async def test_one_thread_watches_for_all_shards_and_ends_with_the_last(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        async with shard_on(fake) as first:
            await first.wait_for("ready")
            (thread,) = threads()
            assert thread.daemon
            async with shard_on(fake) as second:
                await second.wait_for("ready")
                assert threads() == [thread]
            assert threads() == [thread]
        thread.join(PATIENCE)
        assert not thread.is_alive()
        async with shard_on(fake, watch_loop=False) as third:
            await third.wait_for("ready")
            assert threads() == []
        async with shard_on(fake) as fourth:
            await fourth.wait_for("ready")
            (another,) = threads()
            assert another is not thread
        another.join(PATIENCE)


async def test_the_thread_ends_with_a_shard_that_is_cancelled(autojump_clock: MockClock) -> None:
    seen: list[threading.Thread] = []
    async with gateway() as fake:
        with trio.CancelScope() as scope:
            async with shard_on(fake) as shard:
                await shard.wait_for("ready")
                seen += threads()
                scope.cancel()
    (thread,) = seen
    thread.join(PATIENCE)
    assert not thread.is_alive()


@pytest.mark.parametrize(("interval", "tolerated"), [(None, 10.0), (41.25, 10.0), (20.0, 5.0), (0.4, 0.1)])
def test_a_quarter_of_an_interval_is_tolerated(interval: float | None, tolerated: float) -> None:
    assert tolerance(interval) == pytest.approx(tolerated)


# -- what one look finds; the thread is not started --------------------------------------------------------------------


@pytest.fixture
async def watch() -> LoopWatch:
    found = LoopWatch()
    found.join(0, Beats(41.25))
    found.join(3, Beats(None))
    return found


def blocked_since(watch: LoopWatch, since: float) -> None:
    """Asks at that time; the answer comes when the test gives the loop back."""
    watch.answer()
    watch.look(since)


async def test_a_blockage_is_told_of_once(watch: LoopWatch, caplog: pytest.LogCaptureFixture) -> None:
    blocked_since(watch, 100.0)
    watch.look(100.0 + LONGEST_TOLERANCE - 0.1)
    assert warnings(caplog) == []
    for now in (110.0, 115.0, 200.0):
        watch.look(now)
    (record,) = warnings(caplog)
    assert told(record)["shards"] == [0, 3]
    assert "blocked for 10.0 s" in record.getMessage()


async def test_blockages_that_follow_each_other_are_told_of_seldom(
    watch: LoopWatch, caplog: pytest.LogCaptureFixture
) -> None:
    for since in (100.0, 120.0, 140.0, 100.0 + 2 * QUIET):
        blocked_since(watch, since)
        watch.look(since + 15)
    first, second = warnings(caplog)
    assert (told(first)["left_out"], told(second)["left_out"]) == (0, 2)
    assert "2 times more" in second.getMessage()


async def test_of_many_shards_the_line_names_the_first_and_the_fields_all(caplog: pytest.LogCaptureFixture) -> None:
    watch = LoopWatch()
    for shard_id in range(1000):
        watch.join(shard_id, Beats(41.25))
    blocked_since(watch, 0.0)
    watch.look(LONGEST_TOLERANCE + 1.0)
    (record,) = warnings(caplog)
    assert "(shard 0, 1, 2, 3, 4, 5, 6, 7 and 992 more)" in record.message
    assert told(record)["shards"] == list(range(1000))


async def test_a_loop_that_comes_round_is_not_blocked(watch: LoopWatch, caplog: pytest.LogCaptureFixture) -> None:
    for now in range(100, 1000, 5):
        watch.look(now)
        await trio.testing.wait_all_tasks_blocked()
    assert warnings(caplog) == []
    watch.look(1000.0)
    watch.look(1020.0)  # the control: it was not given back
    assert len(warnings(caplog)) == 1


async def test_the_shard_with_the_shortest_interval_decides(caplog: pytest.LogCaptureFixture) -> None:
    watch = LoopWatch()
    watch.join(0, Beats(41.25))
    hasty = watch.join(1, Beats(4.0))
    blocked_since(watch, 100.0)
    watch.leave(hasty)
    watch.look(101.5)  # would be too long for the one that has left
    assert warnings(caplog) == []
    watch.join(1, Beats(4.0))
    watch.look(101.5)
    assert len(warnings(caplog)) == 1


async def test_a_stack_that_belongs_to_the_next_pass_is_thrown_away(
    watch: LoopWatch, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def goes_on(frame: object) -> list[str]:
        watch.answer()
        return ["somewhere else"]

    monkeypatch.setattr(watchdog, "_stack", goes_on)
    blocked_since(watch, 100.0)
    watch.look(120.0)
    assert warnings(caplog) == []


@pytest.mark.parametrize(("interval", "period"), [(0.01, 0.25), (8.0, 0.5), (None, 1.0)])
async def test_it_looks_between_once_and_four_times_a_second(
    monkeypatch: pytest.MonkeyPatch, interval: float | None, period: float
) -> None:
    """Once at least, because the first HELLO may come with a short interval at any time."""
    watch = LoopWatch()
    watch.join(0, Beats(interval))
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) > 1

    monkeypatch.setattr(watch._ended, "wait", wait)
    watch._watch()
    assert waits == [period] * 2
