"""Metadata that are given or remembered: one request for many shards, and answers that outlive a bad hour."""

from contextlib import suppress

import pytest
import trio
import trio.testing

from gatewright.spec.errors import ConfigurationError
from gatewright.spec.events import MetadataError
from gatewright.spec.session import Metadata
from gatewright.transport.metadata import CachedMetadataSource, StaticMetadataSource
from gatewright.transport.seams import MetadataUnavailable
from gatewright.transport.urls import UnusableUrl
from tests.support.conforms import conforms

# -- given -------------------------------------------------------------------------------------------------------------


async def test_given_metadata_is_checked_once_and_given_for_ever() -> None:
    source = StaticMetadataSource(Metadata(url="wss://gateway.discord.gg"))
    assert (await source.fetch()).url == "wss://gateway.discord.gg/"
    with pytest.raises(UnusableUrl):
        StaticMetadataSource(Metadata(url="http://gateway.discord.gg"))


# -- remembered --------------------------------------------------------------------------------------------------------


class Scripted:
    """A source whose answers are written down, each of which takes a second."""

    def __init__(self, *script: Metadata | MetadataUnavailable) -> None:
        self.script = list(script)
        self.asked = 0

    async def fetch(self) -> Metadata:
        self.asked += 1
        await trio.sleep(1)
        step = self.script.pop(0)
        if isinstance(step, MetadataUnavailable):
            raise step
        return step


def numbered(number: int) -> Metadata:
    return Metadata(url="wss://gateway.discord.gg/", remaining=number)


def unavailable(error: MetadataError, retry_after: float = 0.0) -> MetadataUnavailable:
    return MetadataUnavailable(error, "because", retry_after)


@conforms("P08")
async def test_many_shards_that_ask_at_once_make_one_request(autojump_clock: trio.testing.MockClock) -> None:
    inner = Scripted(numbered(1))
    cache = CachedMetadataSource(inner)
    got: list[Metadata] = []

    async def shard() -> None:
        got.append(await cache.fetch())

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(shard)
    assert inner.asked == 1
    assert len(got) == 10
    assert all(answer is got[0] for answer in got)
    assert trio.current_time() == pytest.approx(1)


@conforms("P03")
async def test_an_answer_serves_briefly_and_is_then_asked_for_again(autojump_clock: trio.testing.MockClock) -> None:
    inner = Scripted(numbered(1), numbered(2))
    cache = CachedMetadataSource(inner, limit_ttl=30)
    first = await cache.fetch()
    await trio.sleep(29)
    assert await cache.fetch() is first
    await trio.sleep(2)
    assert (await cache.fetch()).remaining == 2
    assert inner.asked == 2


@pytest.mark.parametrize("error", [MetadataError.TRANSIENT, MetadataError.MALFORMED])
@conforms("P02")
async def test_an_old_answer_serves_when_no_new_one_can_be_had(
    autojump_clock: trio.testing.MockClock, error: MetadataError
) -> None:
    cache = CachedMetadataSource(Scripted(numbered(1), unavailable(error), unavailable(error)), url_ttl=3600)
    first = await cache.fetch()
    await trio.sleep(1000)
    assert await cache.fetch() is first
    await trio.sleep(3000)
    with pytest.raises(MetadataUnavailable):
        await cache.fetch()


async def test_a_refused_token_is_fatal_whatever_is_remembered(autojump_clock: trio.testing.MockClock) -> None:
    inner = Scripted(numbered(1), unavailable(MetadataError.FATAL), numbered(3))
    cache = CachedMetadataSource(inner, limit_ttl=30)
    await cache.fetch()
    await trio.sleep(31)
    for _ in range(5):
        with pytest.raises(MetadataUnavailable) as refused:
            await cache.fetch()
        assert refused.value.error is MetadataError.FATAL
    assert inner.asked == 2  # each 401 counts towards a ban of the address
    await trio.sleep(31)
    assert (await cache.fetch()).remaining == 3


@conforms("P08")
async def test_a_rate_limit_is_kept_for_all_who_ask(autojump_clock: trio.testing.MockClock) -> None:
    inner = Scripted(unavailable(MetadataError.TRANSIENT, 60.0), numbered(2))
    cache = CachedMetadataSource(inner)
    waits: list[float] = []
    for pause in (0, 20, 20):
        await trio.sleep(pause)
        with pytest.raises(MetadataUnavailable) as refused:
            await cache.fetch()
        waits.append(refused.value.retry_after)
    assert waits == pytest.approx([60, 40, 20])
    assert inner.asked == 1
    await trio.sleep(20)
    assert (await cache.fetch()).remaining == 2


async def test_all_who_wait_for_one_request_share_its_failure(autojump_clock: trio.testing.MockClock) -> None:
    inner = Scripted(unavailable(MetadataError.TRANSIENT))
    cache = CachedMetadataSource(inner)
    failures: list[MetadataUnavailable] = []

    async def shard() -> None:
        with pytest.raises(MetadataUnavailable) as refused:
            await cache.fetch()
        failures.append(refused.value)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(shard)
    assert inner.asked == 1
    assert len({id(refused) for refused in failures}) == 5  # an exception belongs to one task


@pytest.mark.parametrize("who", [0, 1, 2])
async def test_whoever_is_cancelled_the_others_get_their_answer(
    autojump_clock: trio.testing.MockClock, who: int
) -> None:
    cache = CachedMetadataSource(Scripted(numbered(1), numbered(2)))
    scopes = [trio.CancelScope() for _ in range(3)]
    got: list[int] = []

    async def shard(number: int) -> None:
        with scopes[number]:
            await cache.fetch()
            got.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(shard, number)
            await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(0.5)
        scopes[who].cancel()
    assert sorted(got) == [number for number in range(3) if number != who]


async def test_a_source_that_breaks_hangs_nobody(autojump_clock: trio.testing.MockClock) -> None:
    class Broken:
        asked = 0

        async def fetch(self) -> Metadata:
            self.asked += 1
            await trio.sleep(1)
            if self.asked == 1:
                raise ZeroDivisionError
            return numbered(2)

    cache = CachedMetadataSource(Broken())
    got: list[Metadata] = []

    async def shard() -> None:
        with suppress(ZeroDivisionError):
            got.append(await cache.fetch())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(shard)
    assert [answer.remaining for answer in got] == [2, 2]


@pytest.mark.parametrize(("url_ttl", "limit_ttl"), [(60.0, -1.0), (5.0, 10.0)])
@conforms("P03")
def test_a_url_that_lives_shorter_than_its_budget_is_refused(url_ttl: float, limit_ttl: float) -> None:
    with pytest.raises(ConfigurationError):
        CachedMetadataSource(Scripted(), url_ttl=url_ttl, limit_ttl=limit_ttl)
