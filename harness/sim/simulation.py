"""One simulated life of a real shard: a scenario is played, then everything heals, and the shard is judged.

    simulate(Scenario.of(7)).digest        # the same in every process

Judged are: every step, by the invariants (:mod:`gatewright.harness.monitor`) and as a step of the table; that no two
sockets are open together; that after the faults the shard is ready again, or failed for a reason that the scenario
holds, in bounded time; that every call of the user's ends; and that nothing is left: no task, no stream, no slot. A
shard that has ended for good before its third fault is begun anew, as a bot is by whoever operates it.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import random
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final

import attrs
import trio
import trio.testing

from gatewright.fsm.journal import Record
from gatewright.fsm.runtime import Runtime
from gatewright.harness.fake import FakeGateway, Rules
from gatewright.harness.fake.faults import UNREACHABLE
from gatewright.harness.fake.population import guild
from gatewright.harness.sim.bot import TOKEN, Bot, World, leaves
from gatewright.harness.sim.choices import Choices
from gatewright.harness.sim.ending import MOST_PASSES, Violation, Whole, until_nobody_is_connected
from gatewright.harness.sim.network import Network
from gatewright.harness.sim.oddities import GUILD
from gatewright.harness.sim.paths import PathOfTheTable
from gatewright.harness.sim.scenario import FEWEST_FAULTS, Scenario
from gatewright.harness.sim.scheduler import Scheduler, scheduled
from gatewright.harness.sim.seams import (
    MemoryMetadata,
    MemoryStore,
    SimulatedGate,
    SimulatedRegistration,
    real_gate,
    threads_in_line,
)
from gatewright.harness.sim.ways import opener_of
from gatewright.spec.rows import Row
from gatewright.spec.states import State
from gatewright.spec.table import TABLE
from gatewright.transport.metadata import HttpMetadataSource
from gatewright.transport.seams import SessionStore
from gatewright.transport.session_file import FileSessionStore
from gatewright.transport.token import Token

MOST_RUNS: Final = 20
"""More than any bot is started: each of its runs meets a fault, or is stopped by a user who does so a few times."""


@attrs.frozen
class Life:
    """What came of a scenario."""

    digest: str
    """Of every step and of everything that the server saw: the same for the same scenario, in any process."""
    end: State
    """The state before the block was left for the last time."""
    runs: int
    """How often the bot was started."""
    faults: int
    """How many faults it has met: three at least, unless it was cancelled."""
    rows: frozenset[str]
    steps: int
    passes: int
    seconds: float
    """Virtual ones."""
    story: tuple[str, ...]


@attrs.define
class _Life:
    """A life that is being lived."""

    scenario: Scenario
    network: Choices
    schedule: Choices
    rows: tuple[Row, ...]
    runtime: Runtime | None
    observe: Callable[[Record], None] | None
    whole: Whole
    bots: list[Bot] = attrs.field(factory=list[Bot])
    cancelled: bool = False
    faults: int = 0
    seconds: float = 0.0
    seen: str = ""
    folder: str = ""

    def before_pass(self, number: int) -> None:
        """Called before each pass."""
        if number == self.scenario.cancel_at:
            self.cancelled = True
            if self.bots:  # or none has begun yet
                self.bots[-1].cancel()
        self.whole.before_pass(number)

    @property
    def told(self) -> tuple[str, ...]:
        """Every step, as a line."""
        return tuple(line for bot in self.bots for line in bot.path.told)

    def violation(self, what: str) -> Violation:
        """Something that must not be."""
        return Violation(what, self.told[-40:])

    async def live(self) -> None:
        """The whole of it, in an event loop."""
        await self.whole.live(self._live, self.violation)
        self.seconds = trio.current_time()

    async def _live(self) -> None:
        scenario = self.scenario
        fake = FakeGateway(
            token=TOKEN,
            guilds=[guild(GUILD, member_count=3)],
            listen=False,
            rules=Rules(required_shards=1),
            script=scenario.script,
            metadata_script=scenario.metadata_script,
        )
        async with fake, trio.open_nursery() as servers:
            network = Network(fake.serve_stream, servers, self.network, unreachable=UNREACHABLE)
            await self._in_front_of(fake, network)
            await until_nobody_is_connected(fake)
            servers.cancel_scope.cancel()
        self.seen = repr(list(fake.log))

    async def _in_front_of(self, fake: FakeGateway, network: Network) -> None:
        """Starts the bot until it has met three faults, unless it is cancelled before."""
        scenario = self.scenario
        chance = random.Random(1)
        memory = MemoryMetadata(scenario.metadata, fake.url)
        opener = opener_of(scenario.way, network, fake)
        over_http = HttpMetadataSource(Token(TOKEN), base_url=fake.metadata_url, opener=opener)
        world = World(
            scenario=scenario,
            fake=fake,
            network=network,
            opener=opener,
            gate=SimulatedGate(scenario.gates, real_gate(chance.random)),
            memory=memory,
            metadata=over_http if scenario.http else memory,
            registration=SimulatedRegistration(scenario.registering),
            store=self._store(),
            chance=chance,
            acts=list(scenario.acts),
        )
        session = scenario.session
        while not self.bots or (world.faults < FEWEST_FAULTS and not self.cancelled):
            if len(self.bots) >= MOST_RUNS:
                raise self.violation(f"it has ended {MOST_RUNS} times, with {world.faults} faults")
            bot = Bot(world, PathOfTheTable(self.rows, self.observe), self.rows, self.runtime, session)
            self.bots.append(bot)
            if self.cancelled:
                bot.cancel()
            await bot.run()
            session = bot.session if world.store is None else None
        self.faults = world.faults

    def _store(self) -> SessionStore | None:
        if self.scenario.file is not None:
            path = Path(self.folder) / "session.json"
            if self.scenario.file:
                path.write_text(self.scenario.file)
            return FileSessionStore(path)
        return MemoryStore() if self.scenario.stored else None


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
    life = _Life(scenario, network, schedule, rows, runtime, observe, Whole(most_passes))
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
            error = next(leaves(raised))
    written = attrs.evolve(
        scenario,
        network=network.written,
        network_seed=None,
        schedule=schedule.written,
        schedule_seed=None,
    )
    if error is not None:
        return Attempt(written, None, error)
    told = life.told
    text = "\n".join((*told, life.seen))
    return Attempt(
        written,
        Life(
            digest=hashlib.sha256(text.encode()).hexdigest(),
            end=life.bots[-1].end,
            runs=len(life.bots),
            faults=life.faults,
            rows=frozenset[str]().union(*(bot.path.taken for bot in life.bots)),
            steps=len(told),
            passes=scheduler.passes,
            seconds=life.seconds,
            story=told,
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
