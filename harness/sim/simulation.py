"""One simulated life of a real shard: a scenario is played, then everything heals, and the shard is judged.

    simulate(Scenario.of(7)).digest        # the same in every process

Judged are: every step, by the invariants (:mod:`gatewright.harness.monitor`) and as a step of the table; that no two
sockets are open together; that after the faults the shard is ready again, or failed for a reason that the scenario
holds, in bounded time; that every call of the user's ends; and that nothing is left: no task, no stream, no slot.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import random
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final, cast

import attrs
import trio
import trio.testing

from gatewright.fsm.core import ShardCore
from gatewright.fsm.journal import Record
from gatewright.fsm.runtime import Runtime
from gatewright.harness.fake import CloseFrame, FakeGateway, MetadataAnswered, Rules, Side
from gatewright.harness.fake.faults import UNREACHABLE
from gatewright.harness.fake.population import guild
from gatewright.harness.monitor import Monitor, monitored
from gatewright.harness.sim.choices import Choices
from gatewright.harness.sim.deeds import Stage
from gatewright.harness.sim.ending import ENDS, LEFT_WITHIN, check_answers, check_leaks, recover
from gatewright.harness.sim.network import Network
from gatewright.harness.sim.oddities import GUILD, NONCE
from gatewright.harness.sim.paths import PathOfTheTable
from gatewright.harness.sim.scenario import FATAL, FEWEST_FAULTS, INTENTS, Consumer, Registering, Scenario
from gatewright.harness.sim.scheduler import Scheduler, scheduled
from gatewright.harness.sim.seams import (
    Counter,
    MemoryMetadata,
    MemoryStore,
    RegistrationBroke,
    SimulatedGate,
    SimulatedRegistration,
    real_gate,
    threads_in_line,
)
from gatewright.harness.sim.uses import examine
from gatewright.harness.sim.ways import opener_of
from gatewright.spec.rows import Row
from gatewright.spec.states import State
from gatewright.spec.table import TABLE
from gatewright.transport.dispatch import Dispatch
from gatewright.transport.errors import ShardFailed, ShardStopped
from gatewright.transport.exchange import CommandLimits
from gatewright.transport.mailbox import ConsumerBusy
from gatewright.transport.metadata import CachedMetadataSource, HttpMetadataSource
from gatewright.transport.queue import QueuePolicy
from gatewright.transport.seams import SessionStore
from gatewright.transport.session_file import FileSessionStore
from gatewright.transport.shard import Shard
from gatewright.transport.token import Token

MOST_PASSES: Final = 1_000_000
"""More than any simulation takes; one that never rests would hang otherwise."""

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
_TOKEN: Final = "MTIzNDU2Nzg5MDEyMzQ1Njc4.sim.token"  # noqa: S105 - it opens nothing but the fake
_WALL: Final = 1_700_000_000.0


class Violation(AssertionError):
    """A simulated shard did what it must not. `told` holds the last steps."""

    def __init__(self, what: str, told: tuple[str, ...] = ()) -> None:
        super().__init__(what if not told else what + "\n  " + "\n  ".join(told))
        self.what = what


@attrs.frozen
class Life:
    """What came of a scenario."""

    digest: str
    """Of every step and of everything that the server saw: the same for the same scenario, in any process."""
    end: State
    """The state before the block was left."""
    faults: int
    """How many faults were played. A shard that ended early has met fewer."""
    rows: frozenset[str]
    steps: int
    passes: int
    seconds: float
    """Virtual ones."""
    story: tuple[str, ...]


class SimulatedShard(Shard):
    """A shard on a monitored core."""

    monitor: Monitor
    rows: tuple[Row, ...] = TABLE
    runtime: Runtime | None = None

    def _make_core(self, *, now: float = 0.0) -> ShardCore:
        self.monitor = Monitor(self._settings, session=self._session)
        return monitored(self.monitor, table=self.rows, runtime=self.runtime, random=self._random, now=now)


@attrs.define
class _Life:
    """A life that is being lived."""

    scenario: Scenario
    network: Choices
    schedule: Choices
    path: PathOfTheTable
    rows: tuple[Row, ...]
    runtime: Runtime | None
    most_passes: int
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    whole: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    end: State = State.IDLE
    faults: int = 0
    cancelled_at: float | None = None
    seconds: float = 0.0
    seen: str = ""
    folder: str = ""

    def before_pass(self, number: int) -> None:
        """Called before each pass."""
        if number == self.scenario.cancel_at:
            self.cancelled_at = trio.current_time()
            self.scope.cancel()
        if number >= self.most_passes:
            self.whole.cancel()

    async def live(self) -> None:
        """The whole of it, in an event loop."""
        with self.whole:
            await self._live()
        if self.whole.cancelled_caught:
            raise self.violation(f"{self.most_passes} passes were not enough: something never rests")

    async def _live(self) -> None:
        tasks = trio.lowlevel.current_statistics().tasks_living
        scenario = self.scenario
        fake = FakeGateway(
            token=_TOKEN,
            guilds=[guild(GUILD, member_count=3)],
            listen=False,
            rules=Rules(required_shards=1),
            script=scenario.script,
            metadata_script=scenario.metadata_script,
        )
        async with fake, trio.open_nursery() as servers:
            network = Network(fake.serve_stream, servers, self.network, unreachable=UNREACHABLE)
            await self._in_front_of(fake, network)
            with trio.move_on_after(60.0):  # the server waits for a while before it believes that somebody is gone
                await fake.log.wait_until(lambda log: not log.open_connections)
            servers.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        left = trio.lowlevel.current_statistics()
        if left.tasks_living > tasks:
            raise self.violation(f"{left.tasks_living - tasks} tasks are left")
        if left.seconds_to_next_deadline != math.inf:
            raise self.violation("a timer is left")
        self.seconds = trio.current_time()
        self.seen = repr(list(fake.log))

    def violation(self, what: str) -> Violation:
        """Something that must not be."""
        return Violation(what, tuple(self.path.told[-40:]))

    async def _in_front_of(self, fake: FakeGateway, network: Network) -> None:
        scenario = self.scenario
        source = random.Random(1)
        gate = SimulatedGate(scenario.gates, real_gate(source.random))
        token = Token(_TOKEN)
        memory = MemoryMetadata(scenario.metadata, fake.url)
        opener = opener_of(scenario.way, network, fake)
        metadata = HttpMetadataSource(token, base_url=fake.metadata_url, opener=opener) if scenario.http else memory
        registration = SimulatedRegistration(scenario.registering)
        shard = SimulatedShard(
            token,
            intents=INTENTS,
            registrations=[registration],
            session=scenario.session,
            store=self._store(),
            settings=attrs.evolve(scenario.settings, fallback_url=fake.url),
            queue=scenario.queue,
            ack="manual" if scenario.manual else "auto",
            ack_window=scenario.window,
            limits=_NARROW if scenario.narrow else None,
            compress=scenario.compress,
            metadata=CachedMetadataSource(metadata) if scenario.cached else metadata,
            opener=opener,
            gate=gate,
            random=source.random,
            wall_clock=lambda: _WALL + trio.current_time(),
            observers=[self.path],
            watch_loop=False,
        )
        shard.rows, shard.runtime = self.rows, self.runtime
        stage: Stage | None = None
        began = left = 0.0
        try:
            async with trio.open_nursery() as users:
                stage = Stage(shard, fake, network, users)
                stage.leave_alone(scenario.absent)
                with self.scope:
                    async with shard:
                        # Drawn from the system's chance, and the one thing of a shard's that no seam decides.
                        shard._commands().book._nonce = NONCE
                        users.start_soon(self._consume, shard, stage)
                        await self._play(stage, gate)
                        memory.heal()
                        gate.heal()
                        stage.heal()
                        await recover(shard, self.violation)
                        self.end = shard.state
                        began = trio.current_time()
                if self.cancelled_at is not None:
                    self.end, began = shard.state, self.cancelled_at
                left = trio.current_time()
                await check_answers(stage, self.violation)
                users.cancel_scope.cancel()
        except* (ShardFailed, RegistrationBroke, trio.TooSlowError) as group:
            self._check_errors(group, shard, fake)
        if self.path.fault is not None:
            raise self.path.fault
        if left - began > LEFT_WITHIN:
            raise self.violation(f"I04: the block was left after {left - began:g} s")
        check_leaks(shard, network, gate, registration, self.violation, beside=self.scenario.http)

    async def _play(self, stage: Stage, gate: SimulatedGate) -> None:
        """All that the scenario holds; then the planned connections are waited for, and three faults there must be."""
        scenario, shard = self.scenario, stage.shard
        for act in scenario.acts:
            if act.during is not None:
                with trio.move_on_after(_LONG), contextlib.suppress(ShardFailed, ShardStopped):
                    await shard.wait_for(act.during)
            await trio.sleep(act.after)
            for _ in range(act.passes):
                await trio.lowlevel.checkpoint()
            stage.do(act)
            self.faults += act.is_fault
        planned = len(stage.fake.script)
        with trio.move_on_after(_PATIENCE):
            async with trio.open_nursery() as waiting:
                waiting.start_soon(_until_the_end, shard, waiting.cancel_scope)
                await stage.fake.log.wait_until(lambda log: log.connections >= planned)
                waiting.cancel_scope.cancel()
        self.faults += scenario.faulty(stage.fake.connections) + gate.troubles
        self.faults += min(len(scenario.metadata), shard._core._context.request)
        self.faults += scenario.registering is not Registering.FINE
        pause = 1.0
        while self.faults < FEWEST_FAULTS and shard.state not in ENDS:
            await trio.sleep(pause)
            pause = min(pause * 1.5, _PAUSE)  # a shard whose identify budget is spent has no connection for a day
            if shard.state is State.SUSPENDED:
                shard.connect()
            for link in stage.network.live:
                link.reset()
                self.faults += 1
        await trio.sleep(1.0)

    def _store(self) -> SessionStore | None:
        if self.scenario.file is not None:
            path = Path(self.folder) / "session.json"
            if self.scenario.file:
                path.write_text(self.scenario.file)
            return FileSessionStore(path)
        return MemoryStore() if self.scenario.stored else None

    async def _consume(self, shard: Shard, stage: Stage) -> None:
        with contextlib.suppress(ShardFailed):
            while True:
                with contextlib.suppress(ConsumerBusy):  # a rival was faster: later, then
                    await self._take(shard, stage)
                    return
                await trio.sleep(1.0)

    async def _take(self, shard: Shard, stage: Stage) -> None:
        unhandled: list[Dispatch] = []
        consumer, most = self.scenario.consumer, min(self.scenario.window, _UNHANDLED)
        if consumer is Consumer.SINK:
            await shard.push(Counter(stage.absence))
            return
        async for dispatch in shard.events(("GUILD_CREATE", "MESSAGE_CREATE")) if consumer is Consumer.SOME else shard:
            await stage.absence()
            if consumer is Consumer.CURIOUS:
                examine(dispatch)
            if self.scenario.manual:
                stage.hold(dispatch)
                unhandled.append(dispatch)
                if len(unhandled) >= most:
                    stage.acknowledge(unhandled, later=self.scenario.window <= _UNHANDLED)

    # -- judging -------------------------------------------------------------------------------------------------------

    def _check_errors(self, group: BaseExceptionGroup[Exception], shard: Shard, fake: FakeGateway) -> None:
        """Whatever came out of the block must be there for a reason that the scenario holds."""
        for error in _leaves(group):
            if isinstance(error, (RegistrationBroke, trio.TooSlowError)):
                if self.scenario.registering is Registering.FINE:
                    raise self.violation(f"{error!r} came from nowhere") from error
            elif not self._may_fail(shard, fake):
                raise self.violation(f"it failed without a reason: {error}") from error

    def _may_fail(self, shard: Shard, fake: FakeGateway) -> bool:
        failure, scenario = shard._core.failure, self.scenario
        assert failure is not None
        match failure.kind:
            case "close_code":
                sent = {frame.code for frame in fake.log.of(CloseFrame) if frame.by is Side.SERVER}
                return failure.code in sent & FATAL
            case "metadata":
                answers = {answer.status for answer in fake.log.of(MetadataAnswered)}
                return "metadata_401" in scenario.metadata and (not scenario.http or 401 in answers)
            case "registration":
                return scenario.registering in {Registering.FAILS, Registering.HANGS}
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


def _leaves(group: BaseException) -> Generator[BaseException]:
    if isinstance(group, BaseExceptionGroup):
        for error in cast("BaseExceptionGroup[BaseException]", group).exceptions:
            yield from _leaves(error)
    else:
        yield group


@attrs.frozen
class Attempt:
    """A life that was tried: what came of it, or what went wrong, and the scenario with all its numbers written out."""

    scenario: Scenario
    life: Life | None
    error: BaseException | None

    @property
    def signature(self) -> str:
        """What failures of one kind have in common; empty when nothing failed."""
        if self.error is None:
            return ""
        return getattr(self.error, "id", "") or f"{type(self.error).__name__}: {str(self.error)[:24]}"


def attempt(
    scenario: Scenario,
    *,
    rows: tuple[Row, ...] = TABLE,
    runtime: Runtime | None = None,
    observe: Callable[[Record], None] | None = None,
    most_passes: int = MOST_PASSES,
) -> Attempt:
    """Lives a scenario in an event loop of its own, and returns what went wrong instead of raising it.

    Args:
        scenario: what happens.
        rows: the table, or a weaker one.
        runtime: what runs it, if not one that is made of the rows.
        observe: sees each record of the journal.
        most_passes: after so many passes of the scheduler the life is given up, which is a violation.
    """
    network = Choices(scenario.network, scenario.network_seed)
    schedule = Choices(scenario.schedule, scenario.schedule_seed, ordinary=0.5)
    path = PathOfTheTable(rows, observe)
    life = _Life(scenario, network, schedule, path, rows, runtime, most_passes)
    scheduler = Scheduler(schedule, on_pass=life.before_pass)
    error: BaseException | None = None
    with contextlib.ExitStack() as stack:
        stack.enter_context(_heard() if scenario.logged else quiet())
        stack.enter_context(scheduled(scheduler))
        if scenario.file is not None:
            stack.enter_context(threads_in_line())
            life.folder = stack.enter_context(tempfile.TemporaryDirectory())
        try:
            trio.run(
                life.live,
                clock=trio.testing.MockClock(autojump_threshold=0),
                instruments=scheduler.instruments,
            )
        except Exception as raised:  # noqa: BLE001 - whatever it is, it was found
            error = next(_leaves(raised))
    written = attrs.evolve(
        scenario,
        network=network.written,
        network_seed=None,
        schedule=schedule.written,
        schedule_seed=None,
    )
    if error is not None:
        return Attempt(written, None, error)
    text = "\n".join((*path.told, life.seen))
    return Attempt(
        written,
        Life(
            digest=hashlib.sha256(text.encode()).hexdigest(),
            end=life.end,
            faults=life.faults,
            rows=frozenset(path.taken),
            steps=len(path.told),
            passes=scheduler.passes,
            seconds=life.seconds,
            story=tuple(path.told),
        ),
        None,
    )


def simulate(scenario: Scenario, *, rows: tuple[Row, ...] = TABLE) -> Life:
    """Lives a scenario in an event loop of its own.

    Args:
        scenario: what happens.
        rows: the table, or a weaker one.

    Raises:
        Violation: something is left, or did not come to pass in time.
        InvariantViolated: a step broke an invariant.
        NotAPath: the journal is no path of the table.
        Exception: whatever the shard raised that it should not.
    """
    tried = attempt(scenario, rows=rows)
    if tried.error is not None:
        raise tried.error
    assert tried.life is not None
    return tried.life


def cancellations(scenario: Scenario, *, every: int = 1) -> Iterator[Attempt]:
    """The same life again and again, with the user's block cancelled at each pass of the scheduler in turn.

    Args:
        scenario: what happens.
        every: only at each so-manieth pass.
    """
    passes = simulate(scenario).passes
    for number in range(0, passes, every):
        yield attempt(attrs.evolve(scenario, cancel_at=number))


@contextlib.contextmanager
def _heard() -> Generator[None]:
    """Everything that a simulated shard has to say is put into words, and nobody hears it."""
    log, handler = logging.getLogger("gatewright"), _Unheard()
    before, propagated = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
        log.propagate = propagated


class _Unheard(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        record.getMessage()


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """Nothing that a simulated shard has to say is news, in this block."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
