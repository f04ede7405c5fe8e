"""Storms: commands of a user and faults of a server in any order, and what holds in all of them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import cast

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from gatewright.fsm.errors import IllegalTransition
from gatewright.harness.fake import (
    Close,
    CloseFrame,
    Connection,
    Dark,
    Delay,
    Drop,
    FakeGateway,
    Invalidate,
    Raw,
    Received,
    Rules,
    Send,
    Sent,
    Side,
    Withhold,
)
from gatewright.harness.fake.script import MessageAction
from gatewright.spec.protocol import Opcode
from gatewright.spec.states import STATES, State
from gatewright.transport.commands import RequestChannelInfo
from gatewright.transport.errors import SendRefused, ShardFailed
from gatewright.transport.shard import Shard
from tests.support.shards import Streams, gateway, shard_on

PLANS = (
    Connection(),
    Connection(accept=Dark()),
    Connection(accept=Drop()),
    Connection(accept=(Raw(b"\0\0\0\0"), Drop())),
    Connection(hello=Withhold()),
    Connection(hello=Delay(12)),
    Connection(ready=Delay(150)),
    Connection(ready=Withhold()),
    Connection(on_identify=Close(4000)),
    Connection(on_identify=Invalidate()),
    Connection(after_ready=Drop(), after_resumed=Drop()),
    Connection(on_resume=Invalidate()),
    Connection(on_resume=Invalidate(resumable=True)),
    Connection(resumed=Withhold()),
    Connection(replay=Delay(20)),
    Connection(ack=Withhold()),
    Connection(on_close=Withhold()),
)


@attrs.define(eq=False)
class Storm:
    fake: FakeGateway
    shard: Shard
    streams: Streams
    nursery: trio.Nursery
    consuming: trio.Event
    illegal: int = 0

    def command(self, name: str) -> None:
        before = self.shard.snapshot()
        try:
            getattr(self.shard, name)()
        except IllegalTransition:
            self.illegal += 1
            assert attrs.evolve(self.shard.snapshot(), age=0) == attrs.evolve(before, age=0)

    def in_background(self, name: str) -> None:
        async def run() -> None:
            try:
                await getattr(self.shard, name)()
            except IllegalTransition:
                self.illegal += 1
            except ShardFailed:
                pass
            else:
                assert self.streams.open == 0 or not STATES[self.shard.state].absorbing

        self.nursery.start_soon(run)

    def send(self) -> None:
        async def run() -> None:
            try:
                with trio.move_on_after(30):
                    await self.shard.send(RequestChannelInfo(1))
            except SendRefused:
                pass

        self.nursery.start_soon(run)

    def stutter(self) -> None:
        """The consumer stops, or goes on."""
        if self.consuming.is_set():
            self.consuming = trio.Event()
        else:
            self.consuming.set()

    async def act(self, action: object) -> None:
        match action:
            case str(verb) if verb in {"connect", "reconnect", "force_identify"}:
                self.command(verb)
            case str(verb) if verb in {"suspend", "stop"}:
                self.in_background(verb)
            case "leave":
                pass
            case "send":
                self.send()
            case "stutter":
                self.stutter()
            case "light up":
                self.fake.light_up()
            case "block":
                self.streams.block()
            case "unblock":
                self.streams.unblock()
            case "end sessions":
                self.fake.end_sessions()
            case int(count):
                for _ in range(count):
                    await self.fake.dispatch("MESSAGE_CREATE", {})
            case list():
                self.fake.script = cast("list[Connection]", action)
            case _:
                self.fake.perform(cast("MessageAction", action))


ACTIONS = st.one_of(
    st.sampled_from(["connect", "reconnect", "force_identify", "suspend", "send", "stutter"]),
    st.sampled_from(["light up", "block", "unblock", "end sessions"]),
    st.sampled_from([Drop(), Dark(), Raw(b"\x83\x00")]),
    st.sampled_from(["{", '{"op":7}', '{"op":1}', '{"op":99}']).map(Send),
    st.sampled_from([Invalidate(), Invalidate(resumable=True)]),
    st.sampled_from([1000, 1001, 4000, 4003, 4005, 4007, 4008, 4009]).map(Close),
    st.integers(1, 30),
    st.lists(st.sampled_from(PLANS), min_size=1, max_size=4),
)
STEPS = st.lists(st.tuples(st.sampled_from([0.0, 0.0, 0.3, 2.0, 15.0, 50.0, 130.0]), ACTIONS), max_size=25)


async def storm(steps: list[tuple[float, object]], *, last: object) -> None:
    seen: defaultdict[str, list[int]] = defaultdict(list)
    async with gateway(guilds=2, rules=Rules(session_lifetime=1e9)) as fake:
        streams = Streams(fake)
        shard = shard_on(fake, opener=streams, queue=20)
        async with trio.open_nursery() as nursery, shard:
            at = Storm(fake, shard, streams, nursery, trio.Event())
            at.consuming.set()

            async def consume() -> None:
                try:
                    async for dispatch in shard:
                        seen[dispatch.session_id].append(dispatch.seq)
                        await at.consuming.wait()
                except ShardFailed:
                    pass

            nursery.start_soon(consume)
            for delay, action in steps:
                await trio.sleep(delay)
                await at.act(action)
            await heal(at)
            await at.act(last)
            if last != "leave":
                with trio.fail_after(60):
                    await shard.wait_for("stopped", "suspended", "failed")
        await wait_all_tasks_blocked()
        check(fake, streams, seen)


async def heal(at: Storm) -> None:
    """Faults cease: from here on the shard has to find its way by itself (the liveness half)."""
    at.fake.script = [Connection()]
    at.fake.light_up()
    at.streams.unblock()
    at.consuming.set()
    await wait_all_tasks_blocked()
    with trio.fail_after(6 * 3600):
        while at.shard.state not in {State.READY, State.STOPPED, State.FAILED}:
            if at.shard.state is State.SUSPENDED:
                at.shard.connect()
            await at.shard.wait_for("ready", "suspended", "stopped", "failed")
            await wait_all_tasks_blocked()  # the last of the faults may only be arriving


def check(fake: FakeGateway, streams: Streams, seen: dict[str, list[int]]) -> None:
    assert streams.most_open <= 1
    assert streams.open == 0
    assert fake.max_open_connections <= 1
    for number in range(1, fake.connections + 1):
        ops = [message.op for message in fake.log.of(Received, connection=number)]
        handshakes = [op for op in ops if op in {Opcode.IDENTIFY, Opcode.RESUME}]
        assert len(handshakes) <= 1
        before = ops[: ops.index(handshakes[0])] if handshakes else ops
        assert set(before) <= {Opcode.HEARTBEAT}
        frames = [frame for frame in fake.log.of(CloseFrame, connection=number) if frame.by is Side.CLIENT]
        assert len(frames) <= 1
    for session, seqs in seen.items():
        # In order, and each exactly once: a replay fills every gap and repeats nothing. Only RESUMED is never replayed.
        missing = set(range(seqs[0], seqs[-1])) - set(seqs)
        assert seqs == sorted(set(seqs)), session
        assert missing <= resumed_sequences(fake, session)


def resumed_sequences(fake: FakeGateway, session: str) -> set[int | None]:
    """The sequences that RESUMED had in this session, received or not."""
    found: set[int | None] = set()
    for message in fake.log.of(Received):
        data = cast("dict[str, object]", message.data)
        if message.op == Opcode.RESUME and data["session_id"] == session:
            sent = fake.log.of(Sent, connection=message.connection)
            found |= {frame.seq for frame in sent if frame.event == "RESUMED"}
    return found


def run(test: Callable[..., object], *args: object, **options: object) -> None:
    trio.run(partial(test, *args, **options), clock=MockClock(autojump_threshold=0))  # type: ignore[arg-type]


@given(STEPS, st.sampled_from(["stop", "suspend", "leave", Close(4004)]))
def test_in_any_storm_there_is_one_socket_and_the_shard_comes_back(
    steps: list[tuple[float, object]], last: object
) -> None:
    run(storm, steps, last=last)


@pytest.mark.parametrize("seed", range(3))
def test_a_long_storm(seed: int) -> None:
    """Three hundred steps in a row, which drawn examples do not reach."""
    source = random.Random(seed)
    simple = ["connect", "reconnect", "suspend", "send", "stutter", "light up", "unblock", Drop(), Dark(), Send("{")]
    others = [Send('{"op":7}'), Invalidate(), 5, *map(Close, (1000, 4000, 4008, 4009))]
    steps: list[tuple[float, object]] = []
    for _ in range(300):
        action = source.choice([*simple, *others, [source.choice(PLANS), Connection()]])
        steps.append((source.choice([0, 0.2, 3, 20, 90]), action))
    run(storm, steps, last="stop")
