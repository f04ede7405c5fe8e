"""Fuzzing a whole shard: drawn bytes on the wire of the fake gateway, in memory, on virtual time.

The fake keeps to the protocol, and between its own messages stands what the grammar draws, below its websocket: frames
whole, in fragments, forbidden, and cut anywhere. Whatever the shard makes of it, it must neither raise nor fail nor
stop to answer, and when the bytes end it must be ready again.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Final

import attrs
import trio
import trio.testing

from gatewright.harness.fake import FakeGateway, Raw
from gatewright.harness.fuzz.grammar import FrameGrammar
from gatewright.spec.intents import Intents
from gatewright.spec.protocol import DAY
from gatewright.spec.session import Metadata
from gatewright.spec.states import State
from gatewright.transport.dispatch import UndecodableData
from gatewright.transport.gate import InMemoryIdentifyGate
from gatewright.transport.inflate import Compression
from gatewright.transport.metadata import StaticMetadataSource
from gatewright.transport.shard import Shard

LIFE: Final = 500
"""Frames after which a shard is left, and another one begins."""

_TOKEN: Final = "fake.token"  # noqa: S105 - it opens nothing but the fake
_MESSAGES: Final = 0.93
"""How many of the frames carry messages."""


@attrs.define
class LiveTally:
    """What a run has met."""

    frames: int = 0
    connections: int = 0
    dispatches: int = 0
    steps: Counter[str] = attrs.field(factory=Counter[str])
    """How often each event was fed."""

    def add(self, other: LiveTally) -> None:
        """Adds another run's."""
        self.frames += other.frames
        self.connections += other.connections
        self.dispatches += other.dispatches
        self.steps += other.steps


def fuzz_live(random: Random, frames: int, *, grammar: FrameGrammar | None = None) -> LiveTally:
    """Sends `frames` drawn frames to one shard after another; runs an event loop of its own.

    Raises:
        AssertionError: a shard failed, or did not come back.
        Exception: whatever a shard raised.
    """
    tally = LiveTally()
    messages = FrameGrammar(random) if grammar is None else grammar
    while tally.frames < frames:
        trio.run(
            _live,
            random,
            messages,
            tally,
            min(LIFE, frames - tally.frames),
            clock=trio.testing.MockClock(autojump_threshold=0),
        )
    return tally


async def _live(random: Random, grammar: FrameGrammar, tally: LiveTally, frames: int) -> None:
    grammar.seq = 0
    async with FakeGateway(token=_TOKEN, guilds=0, listen=False) as fake:
        shard = Shard(
            _TOKEN,
            intents=Intents.GUILDS,
            metadata=StaticMetadataSource(Metadata(url=fake.url)),
            opener=fake.open_stream,
            gate=InMemoryIdentifyGate(random=random.random),
            random=random.random,
            compress=random.choice(tuple(Compression)),
            queue=random.choice((1, 10, 1000)),
        )
        async with shard, trio.open_nursery() as nursery:
            nursery.start_soon(_consume, shard, tally)
            nursery.start_soon(_count, shard, tally)
            for _ in range(frames):
                await _send(random, grammar, fake)
            tally.frames += frames
            with trio.fail_after(DAY):  # of virtual time; it may have to wait for the budget's pace
                await shard.wait_for(State.READY)
            nursery.cancel_scope.cancel()
        tally.connections += fake.connections
        assert fake.max_open_connections == 1


async def _send(random: Random, grammar: FrameGrammar, fake: FakeGateway) -> None:
    if random.random() < _MESSAGES:
        data = grammar.frames(grammar.message(), binary=random.random() < 0.05)
    else:
        data = grammar.control()
    if fake.open_connections == 0:
        await _patience(fake)
    if random.random() < 0.2:
        cut = random.randrange(len(data) + 1)
        fake.perform(Raw(data[:cut]))
        await trio.sleep(random.choice((0, 0.1)))
        data = data[cut:]
    fake.perform(Raw(data))
    if random.random() < 0.3:
        await trio.sleep(random.choice((0, 0, 0.01, 1, 60)))


async def _patience(fake: FakeGateway) -> None:
    with trio.fail_after(DAY):
        await fake.wait_until(lambda log: log.open_connections > 0)


async def _consume(shard: Shard, tally: LiveTally) -> None:
    async for dispatch in shard:
        tally.dispatches += 1
        try:
            dispatch.data  # noqa: B018 - decodes
        except UndecodableData:
            continue


async def _count(shard: Shard, tally: LiveTally) -> None:
    async for move in shard.transitions():
        tally.steps[move.event] += 1
