"""Shards for tests: against the fake gateway, in memory and in virtual time unless a test says otherwise."""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, cast

import attrs
import trio

from gatewright.fsm.journal import Record
from gatewright.harness.fake import CloseFrame, FakeGateway, Received, Side
from gatewright.spec.events import MetadataError
from gatewright.spec.intents import Intents
from gatewright.spec.protocol import Opcode
from gatewright.spec.session import Metadata
from gatewright.spec.states import State
from gatewright.transport.dispatch import Dispatch
from gatewright.transport.gate import InMemoryIdentifyGate
from gatewright.transport.metadata import StaticMetadataSource
from gatewright.transport.seams import MetadataUnavailable, Slot
from gatewright.transport.shard import Shard
from gatewright.transport.urls import GatewayUrl

TOKEN = "fake.token"
INTENTS = Intents.GUILDS


def gateway(**options: Any) -> FakeGateway:
    """A fake gateway in memory; for a port: ``listen=True``."""
    defaults: dict[str, Any] = {"token": TOKEN, "listen": False}
    return FakeGateway(**{**defaults, **options})


def shard_on(fake: FakeGateway, **options: Any) -> Shard:
    """A shard that reaches `fake` through memory, with metadata at hand and jitter that is the same in every run."""
    source = random.Random(1)
    defaults: dict[str, Any] = {
        "intents": INTENTS,
        "opener": fake.open_stream,
        "metadata": StaticMetadataSource(Metadata(url=fake.url)),
        "random": source.random,
        "gate": InMemoryIdentifyGate(random=source.random),
    }
    chosen = {**defaults, **options}
    return Shard(chosen.pop("token", TOKEN), **chosen)


# -- seams that a test scripts -----------------------------------------------------------------------------------------


@attrs.frozen
class Late:
    """An answer that takes its time; ``None`` for one that never comes."""

    seconds: float | None
    answer: Metadata | MetadataUnavailable | None = None


class Answers:
    """A metadata source that answers as it was told, in turn, and the last answer again and again."""

    def __init__(self, *answers: Metadata | MetadataUnavailable | Late) -> None:
        self._answers = answers
        self.asked = 0
        self.cancelled = 0

    async def fetch(self) -> Metadata:
        answer = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        try:
            if isinstance(answer, Late):
                await trio.sleep(math.inf if answer.seconds is None else answer.seconds)
                assert answer.answer is not None
                answer = answer.answer
            else:
                await trio.lowlevel.checkpoint()
        except trio.Cancelled:
            self.cancelled += 1
            raise
        if isinstance(answer, MetadataUnavailable):
            raise MetadataUnavailable(answer.error, answer.reason, answer.retry_after)
        return answer


def unavailable(error: MetadataError, *, retry_after: float = 0.0) -> MetadataUnavailable:
    """What a metadata source raises."""
    return MetadataUnavailable(error, "as the test wants it", retry_after)


@attrs.define(eq=False)
class Recording:
    """A registration that writes down what is done to it, and fails or waits where a test wants it to."""

    name: str
    log: list[str]
    during_apply: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint
    during_undo: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint

    async def apply(self, client: object) -> None:
        self.log.append(f"apply {self.name}")
        await self.during_apply()
        self.log.append(f"applied {self.name}")

    async def undo(self, client: object) -> None:
        self.log.append(f"undo {self.name}")
        await self.during_undo()


class Moves:
    """An observer that keeps every state that was entered; a journal forgets."""

    def __init__(self) -> None:
        self.states: list[State] = []

    def observe(self, record: Record) -> None:
        if record.moved:
            self.states.append(record.to)


# -- what was seen -----------------------------------------------------------------------------------------------------


def moves(records: Iterable[Record]) -> list[str]:
    """The states that were entered, in order."""
    return [record.to.value for record in records if record.moved]


def path(shard: Shard) -> list[str]:
    """The states that a shard has been in since it was made, as far as its journal reaches."""
    return moves(shard.journal)


def close_codes(fake: FakeGateway, by: Side = Side.CLIENT) -> list[int | None]:
    """The codes of the close frames that the gateway has seen of its clients (or sent), in order."""
    return [frame.code for frame in fake.log.of(CloseFrame) if frame.by is by]


def handshakes(fake: FakeGateway) -> list[str]:
    """IDENTIFY and RESUME as they came in."""
    names = {Opcode.IDENTIFY: "identify", Opcode.RESUME: "resume"}
    return [names[Opcode(seen.op)] for seen in fake.log.of(Received) if seen.op in names]


def payloads(fake: FakeGateway, op: Opcode) -> list[dict[str, Any]]:
    """The data of the messages with this opcode, as they came in."""
    return [cast("dict[str, Any]", seen.data) for seen in fake.log.of(Received) if seen.op == op]


def times(fake: FakeGateway, op: Opcode) -> list[float]:
    """When the messages with this opcode came in."""
    return [seen.time for seen in fake.log.of(Received) if seen.op == op]


async def collect(shard: Shard, count: int) -> list[Dispatch]:
    """The next `count` dispatches."""
    return [await anext(shard) for _ in range(count)]


def types(dispatches: Sequence[Dispatch]) -> list[str]:
    """Their names."""
    return [dispatch.type for dispatch in dispatches]


async def entered(shard: Shard, state: State | str) -> None:
    """Waits for `state`, in a bound that no healthy shard comes near."""
    with trio.fail_after(4 * 3600):
        await shard.wait_for(state)


# -- streams that are watched ------------------------------------------------------------------------------------------


class Streams:
    """Opens streams to a fake in memory, counts those that are open, and can stop their writes half-way."""

    def __init__(self, fake: FakeGateway) -> None:
        self._fake = fake
        self.open = 0
        self.most_open = 0
        self.opened = 0
        self.urls: list[str] = []
        self.writable = trio.Event()
        self.writable.set()
        self.closing_takes = 0.0
        """Seconds that a stream takes to be closed, whoever is in a hurry."""

    async def __call__(self, url: GatewayUrl) -> trio.abc.Stream:
        self.urls.append(str(url))
        stream = WatchedStream(await self._fake.open_stream(url), self)
        self.opened += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        return stream

    def block(self) -> None:
        """From now on a write sends one byte and goes on when `unblock` is called: the peer does not read."""
        self.writable = trio.Event()

    def unblock(self) -> None:
        self.writable.set()


class WatchedStream(trio.abc.Stream):
    """A client's end of a stream in memory."""

    def __init__(self, inner: trio.abc.Stream, owner: Streams) -> None:
        self._inner = inner
        self._owner = owner
        self._closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self._owner.writable.is_set():
            await self._inner.send_all(data)
            return
        await self._inner.send_all(data[:1])
        await self._owner.writable.wait()
        await self._inner.send_all(data[1:])

    async def wait_send_all_might_not_block(self) -> None:
        await self._owner.writable.wait()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            with trio.CancelScope(shield=True):
                await trio.sleep(self._owner.closing_takes)
            self._owner.open -= 1
        await self._inner.aclose()


class SilentGate:
    """An identify gate that puts everybody into its queue and grants nothing."""

    def __init__(self) -> None:
        self.waiting = 0
        self.given_back = 0

    async def acquire(self, *, shard_id: int, on_queued: Callable[[float], None]) -> Slot:
        on_queued(3600.0)
        self.waiting += 1
        try:
            await trio.sleep_forever()
        finally:
            self.waiting -= 1
        raise AssertionError("nobody ends this wait but a cancellation")

    def sent(self, slot: Slot) -> None: ...

    def answered(self, slot: Slot) -> None: ...

    def give_back(self, slot: Slot) -> None:
        self.given_back += 1

    def learn(self, metadata: Metadata) -> None: ...
