"""The engine reads less often while dispatches come one by one, and nothing but reading waits for that."""

from __future__ import annotations

import asyncio
import math
import threading
from functools import partial

import attrs
import pytest

from gatewright.embed import pace as module
from gatewright.embed.pace import ENOUGH, SPACING, SPACING_BEHIND, Pace
from tests.embed.asyncio_shards import say, shard_at
from tests.embed.loops import run
from tests.support.threads import PATIENCE, PATIENT, Elsewhere, gateway_in_a_thread


@attrs.define
class Bell:
    """In place of the lock: what was waited for."""

    slept: list[float] = attrs.field(factory=list[float])

    def acquire(self, timeout: float) -> bool:
        self.slept.append(timeout)
        return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 100.0)


def slept(pace: Pace, *timeouts: float) -> list[float]:
    """What `pace` sleeps where trio would wait for so long."""
    bell = Bell()
    pace._bell = bell  # type: ignore[assignment]  # for the lock
    for timeout in timeouts:
        pace.before_io_wait(timeout)
    return bell.slept


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(("awaited", "spacing"), [(True, SPACING), (False, SPACING_BEHIND)])
def test_after_a_read_that_brought_dispatches_the_next_wait_begins_later_and_only_that(
    awaited: bool, spacing: float
) -> None:
    pace = Pace()
    pace.brought(1, awaited=awaited)
    assert slept(pace, math.inf, math.inf) == [pytest.approx(spacing)]


@pytest.mark.usefixtures("clock")
def test_a_read_that_brought_none_or_many_lets_the_next_one_begin_at_once() -> None:
    pace = Pace()
    assert slept(pace, math.inf) == []
    pace.brought(ENOUGH, awaited=True)
    assert slept(pace, math.inf) == []


@pytest.mark.usefixtures("clock")
def test_no_deadline_and_no_runnable_task_is_kept_waiting() -> None:
    pace = Pace()
    pace.brought(1, awaited=True)
    assert slept(pace, 0.0, 0.001) == [0.001]


@pytest.mark.usefixtures("clock")
def test_what_was_asked_since_the_read_is_done_at_once() -> None:
    pace = Pace()
    pace.brought(1, awaited=True)
    pace.wake()
    assert slept(pace, math.inf) == []


def test_what_is_asked_in_the_middle_of_the_sleep_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPACING", 600.0)
    pace = Pace()
    pace.brought(1, awaited=True)
    sleeper = threading.Thread(target=pace.before_io_wait, args=(math.inf,), daemon=True)
    sleeper.start()
    while not pace._asleep and sleeper.is_alive():
        pass
    pace.wake()
    pace.wake()  # again does no harm
    sleeper.join(timeout=PATIENCE)
    assert not sleeper.is_alive()


@pytest.mark.sockets
def test_calls_and_the_end_do_not_wait_for_the_next_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPACING", 600.0)
    monkeypatch.setattr(module, "SPACING_BEHIND", 600.0)

    async def main(there: Elsewhere) -> None:
        async with asyncio.timeout(PATIENCE), shard_at(there) as shard:  # long before reading goes on
            await shard.wait_for("ready")
            for number in range(5):
                say(there, str(number))
                while (event := await anext(shard)).type != "MESSAGE_CREATE":
                    pass
                assert event.data["content"] == str(number)
                assert (await shard.metrics()).dispatches > 0

    with gateway_in_a_thread() as there:
        run(main(there))


@pytest.mark.sockets
def test_heartbeats_are_sent_in_time_while_reading_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPACING", 600.0)
    monkeypatch.setattr(module, "SPACING_BEHIND", 600.0)

    async def main(there: Elsewhere) -> None:
        async with asyncio.timeout(PATIENCE), shard_at(there) as shard:  # long before reading goes on
            await shard.wait_for("ready")
            say(there, "x")
            await anext(shard)
            await asyncio.to_thread(there.do, partial(there.fake.wait_until, lambda log: log.heartbeats >= 3))

    with gateway_in_a_thread(heartbeat_interval=0.2, rules=PATIENT) as there:
        run(main(there))
