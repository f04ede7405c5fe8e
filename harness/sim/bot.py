"""One run of a simulated bot: a real shard with its consumer and its user, from entering its block to leaving it.

The server, the network and the seams outlast a run: a bot whose shard has ended for good is started again in front of
the same ones, as whoever operates it would do.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Generator
from typing import Final, cast

import attrs
import trio

from gatewright.fsm.core import ShardCore
from gatewright.fsm.runtime import Runtime
from gatewright.harness.fake import CloseFrame, FakeGateway, MetadataAnswered, Side
from gatewright.harness.monitor import Monitor, monitored
from gatewright.harness.sim.deeds import Stage
from gatewright.harness.sim.ending import ENDS, LEFT_WITHIN, Violation, check_answers, check_leaks, recover
from gatewright.harness.sim.network import Network
from gatewright.harness.sim.oddities import NONCE
from gatewright.harness.sim.paths import PathOfTheTable
from gatewright.harness.sim.scenario import (
    FATAL,
    FEWEST_FAULTS,
    INTENTS,
    UNREGISTERED,
    Act,
    Consumer,
    Registering,
    Scenario,
)
from gatewright.harness.sim.seams import (
    Counter,
    MemoryMetadata,
    RegistrationBroke,
    SimulatedGate,
    SimulatedRegistration,
)
from gatewright.harness.sim.uses import examine
from gatewright.spec.rows import Row
from gatewright.spec.session import Session
from gatewright.spec.states import State
from gatewright.spec.table import TABLE
from gatewright.transport.dispatch import Dispatch
from gatewright.transport.errors import ShardFailed, ShardStopped
from gatewright.transport.exchange import CommandLimits
from gatewright.transport.mailbox import ConsumerBusy
from gatewright.transport.metadata import CachedMetadataSource
from gatewright.transport.queue import QueuePolicy
from gatewright.transport.seams import MetadataSource, SessionStore, StreamOpener
from gatewright.transport.shard import Shard
from gatewright.transport.token import Token

TOKEN: Final = "MTIzNDU2Nzg5MDEyMzQ1Njc4.sim.token"  # noqa: S105 - it opens nothing but the fake

_NARROW: Final = CommandLimits(commands=2, requests=2, answer_bytes=300)
"""What may be under way where next to nothing may."""
_UNHANDLED: Final = 3
"""Dispatches that a consumer keeps before it acknowledges them, the newest first."""
_LONG: Final = 100.0
"""Virtual seconds for which a state is waited for in which something is to be done."""
_PAUSE: Final = 60.0
"""Most virtual seconds between two looks at whether there is a connection that can be reset."""
_PATIENCE: Final = 4000.0
"""Virtual seconds for which the connections of a scenario are waited for."""
_WALL: Final = 1_700_000_000.0


class SimulatedShard(Shard):
    """A shard on a monitored core."""

    monitor: Monitor
    rows: tuple[Row, ...] = TABLE
    runtime: Runtime | None = None

    def _make_core(self, *, now: float = 0.0) -> ShardCore:
        self.monitor = Monitor(self._settings, session=self._session)
        return monitored(self.monitor, table=self.rows, runtime=self.runtime, random=self._random, now=now)


@attrs.define
class World:
    """Everything around a bot that outlasts a run of it."""

    scenario: Scenario
    fake: FakeGateway
    network: Network
    opener: StreamOpener
    gate: SimulatedGate
    memory: MemoryMetadata
    metadata: MetadataSource
    """The `memory`, or what asks the server over HTTP."""
    registration: SimulatedRegistration
    store: SessionStore | None
    chance: random.Random
    acts: list[Act]
    """What is still to be done."""
    felt: int = 0
    """Faults that were played by acts and by resets, beside those that are counted where they are planned."""
    connected: int = 0
    """Connections before everything healed."""
    registered: int = 0
    """How often the bot was started."""

    @property
    def faults(self) -> int:
        """How many faults there were. What nobody could feel, such as a reset without a connection, is none."""
        troubles = self.gate.troubles + self.network.troubles + self.metadata_troubles
        if self.scenario.registering is not Registering.FINE:
            troubles += self.registered
        return self.felt + self.scenario.faulty(self.connected) + troubles

    @property
    def metadata_troubles(self) -> int:
        """How many of the planned metadata requests there were."""
        if self.metadata is self.memory:
            return self.memory.troubles
        return min(len(self.scenario.metadata), self.fake.log.metadata_requests)

    def heal(self) -> None:
        """All seams answer from now on."""
        self.memory.heal()
        self.gate.heal()


@attrs.define
class Bot:
    """A run of the bot.

    Args:
        world: what it runs in.
        path: sees its journal.
        rows, runtime: the table that its shard runs on, and what runs it if not one that is made of the rows.
        session: what its user has kept of an earlier run.
    """

    world: World
    path: PathOfTheTable
    rows: tuple[Row, ...]
    runtime: Runtime | None
    session: Session | None
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    cancelled_at: float | None = None
    end: State = State.IDLE
    """The state before the block was left."""

    def cancel(self) -> None:
        """Cancels the user's block."""
        self.cancelled_at = trio.current_time()
        self.scope.cancel()

    def violation(self, what: str) -> Violation:
        """Something that must not be."""
        return Violation(what, tuple(self.path.told[-40:]))

    async def run(self) -> None:
        """Lives until everything has healed and is well, or until the shard has ended for good; and is judged."""
        world, scenario = self.world, self.world.scenario
        world.registered += 1
        shard = self._shard()
        self.session = None
        began = left = 0.0
        try:
            async with trio.open_nursery() as users:
                stage = Stage(shard, world.fake, world.network, users)
                if world.registered == 1:
                    stage.leave_alone(scenario.absent)
                with self.scope:
                    async with shard:
                        # Drawn from the system's chance, and the one thing of a shard's that no seam decides.
                        shard._commands().book._nonce = NONCE
                        users.start_soon(self._consume, shard, stage)
                        await self._play(stage)
                        if world.faults >= FEWEST_FAULTS or shard.state not in ENDS:
                            world.heal()
                            stage.heal()
                        await recover(shard, self.violation)
                        self.end, self.session = shard.state, shard.session
                        began = trio.current_time()
                if self.cancelled_at is not None:
                    self.end, began = shard.state, self.cancelled_at
                left = trio.current_time()
                await check_answers(stage, self.violation)
                users.cancel_scope.cancel()
        except* (ShardFailed, RegistrationBroke, trio.TooSlowError) as group:
            self._check_errors(group, shard)
        if self.path.fault is not None:
            raise self.path.fault
        if left - began > LEFT_WITHIN:
            raise self.violation(f"I04: the block was left after {left - began:g} s")
        check_leaks(shard, world.network, world.gate, world.registration, self.violation, beside=scenario.http)

    def _shard(self) -> SimulatedShard:
        world, scenario = self.world, self.world.scenario
        shard = SimulatedShard(
            Token(TOKEN),
            intents=INTENTS,
            registrations=[world.registration],
            session=self.session,
            store=world.store,
            settings=attrs.evolve(scenario.settings, fallback_url=world.fake.url),
            queue=scenario.queue,
            ack="manual" if scenario.manual else "auto",
            ack_window=scenario.window,
            limits=_NARROW if scenario.narrow else None,
            compress=scenario.compress,
            metadata=CachedMetadataSource(world.metadata) if scenario.cached else world.metadata,
            opener=world.opener,
            gate=world.gate,
            random=world.chance.random,
            wall_clock=lambda: _WALL + trio.current_time(),
            observers=[self.path],
            watch_loop=False,
        )
        shard.rows, shard.runtime = self.rows, self.runtime
        return shard

    # -- what happens --------------------------------------------------------------------------------------------------

    async def _play(self, stage: Stage) -> None:
        """All that the scenario holds; then the planned connections are waited for, and three faults there must be."""
        world, shard = self.world, stage.shard
        await self._act(stage)
        planned = len(stage.fake.script)
        with trio.move_on_after(_PATIENCE):
            async with trio.open_nursery() as waiting:
                waiting.start_soon(_until_the_end, shard, waiting.cancel_scope)
                await stage.fake.log.wait_until(lambda log: log.connections >= planned)
                waiting.cancel_scope.cancel()
        world.connected = stage.fake.connections
        pause = 1.0
        while world.faults < FEWEST_FAULTS and shard.state not in ENDS:
            await trio.sleep(pause)
            pause = min(pause * 1.5, _PAUSE)  # a shard whose identify budget is spent has no connection for a day
            if shard.state is State.SUSPENDED:
                shard.connect()
            for link in stage.network.live:
                link.reset()
                world.felt += 1
        await trio.sleep(1.0)

    async def _act(self, stage: Stage) -> None:
        """Does what is to be done. What would harm a shard that is over already is left for the next run."""
        world, shard = self.world, stage.shard
        acts, world.acts = world.acts, []
        for act in acts:
            if act.during is not None:
                with trio.move_on_after(_LONG), contextlib.suppress(ShardFailed, ShardStopped):
                    await shard.wait_for(act.during)
            await trio.sleep(act.after)
            for _ in range(act.passes):
                await trio.lowlevel.checkpoint()
            if act.is_fault and shard.state in ENDS:
                world.acts.append(act)
                continue
            noticed = stage.is_noticed(act.deed)
            stage.do(act)
            world.felt += act.is_fault and noticed

    async def _consume(self, shard: Shard, stage: Stage) -> None:
        with contextlib.suppress(ShardFailed):
            while True:
                with contextlib.suppress(ConsumerBusy):  # a rival was faster: later, then
                    await self._take(shard, stage)
                    return
                await trio.sleep(1.0)

    async def _take(self, shard: Shard, stage: Stage) -> None:
        scenario, unhandled = self.world.scenario, list[Dispatch]()
        consumer, most = scenario.consumer, min(scenario.window, _UNHANDLED)
        if consumer is Consumer.SINK:
            await shard.push(Counter(stage.absence))
            return
        async for dispatch in shard.events(("GUILD_CREATE", "MESSAGE_CREATE")) if consumer is Consumer.SOME else shard:
            await stage.absence()
            if consumer is Consumer.CURIOUS:
                examine(dispatch)
            if scenario.manual:
                stage.hold(dispatch)
                unhandled.append(dispatch)
                if len(unhandled) >= most:
                    stage.acknowledge(unhandled, later=scenario.window <= _UNHANDLED)

    # -- judging -------------------------------------------------------------------------------------------------------

    def _check_errors(self, group: BaseExceptionGroup[Exception], shard: Shard) -> None:
        """Whatever came out of the block must be there for a reason that the scenario holds."""
        for error in leaves(group):
            if isinstance(error, (RegistrationBroke, trio.TooSlowError)):
                if self.world.scenario.registering is Registering.FINE:
                    raise self.violation(f"{error!r} came from nowhere") from error
            elif not self._may_fail(shard):
                raise self.violation(f"it failed without a reason: {error}") from error

    def _may_fail(self, shard: Shard) -> bool:
        failure, scenario, log = shard._core.failure, self.world.scenario, self.world.fake.log
        assert failure is not None
        match failure.kind:
            case "close_code":
                return failure.code in {frame.code for frame in log.of(CloseFrame) if frame.by is Side.SERVER} & FATAL
            case "metadata":
                answers = {answer.status for answer in log.of(MetadataAnswered)}
                return "metadata_401" in scenario.metadata and (not scenario.http or 401 in answers)
            case "registration":
                return scenario.registering in UNREGISTERED
            case "attempts":
                return scenario.settings.max_attempts is not None
            case "consumer":
                return scenario.queue.policy is QueuePolicy.FAIL
            case _:
                return False


async def _until_the_end(shard: Shard, scope: trio.CancelScope) -> None:
    with contextlib.suppress(ShardFailed, ShardStopped):
        await shard.wait_for(*ENDS)
    scope.cancel()


def leaves(group: BaseException) -> Generator[BaseException]:
    """The exceptions of a group that are no groups."""
    if isinstance(group, BaseExceptionGroup):
        for error in cast("BaseExceptionGroup[BaseException]", group).exceptions:
            yield from leaves(error)
    else:
        yield group
