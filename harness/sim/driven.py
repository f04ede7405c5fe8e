"""Lives that the explored environment drives: its actions, done to a real driver in front of the fake gateway.

    drive(explored(), seed=7).told

A life takes the shortest explored way to a drawn state, and wanders on from there. Each action is done as a deed
(:mod:`gatewright.harness.sim.performing`) on a clock that stands still; then the simulation runs until every task is
blocked, under a scheduler that runs one task a pass. What the shard's journal got meanwhile must be the action, and
the answers that the driver gives of its own, in an order that the exploration allows; and the core must stand in an
explored state with each of its variables. Where several are possible, all of them are kept. In the end everything
heals, and the life is judged like any other simulated one.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, cast

import attrs
import trio
import trio.testing

from gatewright.fsm.journal import Record
from gatewright.fsm.runtime import Runtime
from gatewright.harness.explore.concrete import happening
from gatewright.harness.explore.gateway import compiler
from gatewright.harness.explore.gateway_environment import gateway_environment
from gatewright.harness.explore.gateway_table import SMALL, gateway_table
from gatewright.harness.explore.replay import beginning, differences
from gatewright.harness.explore.search import Bounds, search
from gatewright.harness.explore.steps import Label
from gatewright.harness.explore.ways import Step, Ways
from gatewright.harness.fake import FakeGateway, Rules
from gatewright.harness.fake.faults import UNREACHABLE
from gatewright.harness.fake.sessions import Session as ServedSession
from gatewright.harness.sim.bot import TOKEN, SimulatedShard, leaves
from gatewright.harness.sim.choices import Choices
from gatewright.harness.sim.ending import (
    LEFT_WITHIN,
    MOST_PASSES,
    Violation,
    Whole,
    check_answers,
    check_leaks,
    recover,
    until_nobody_is_connected,
)
from gatewright.harness.sim.held import HeldGate, HeldMetadata, HeldRegistration
from gatewright.harness.sim.network import Network
from gatewright.harness.sim.paths import PathOfTheTable
from gatewright.harness.sim.performing import DEEDS, HOLDING, LATE, OWN, REASONS, UNDONE_LATE, Deed, Scene
from gatewright.harness.sim.scenario import INTENTS
from gatewright.harness.sim.scheduler import Scheduler, scheduled
from gatewright.harness.sim.seams import RegistrationBroke
from gatewright.harness.sim.simulation import quiet
from gatewright.spec import events
from gatewright.spec.rows import Row
from gatewright.spec.session import Session
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.spec.table import TABLE
from gatewright.transport.errors import ShardFailed
from gatewright.transport.queue import Queue, QueuePolicy
from gatewright.transport.shard import Shard
from gatewright.transport.token import Token

BOUNDS: Final = Bounds(values={"faults": 1, "commands": 2, "strict": 0})
"""What is explored for lives to be drawn from: every row that can be taken is taken within it."""
WANDERING: Final = 12
"""Actions beyond the drawn state, at most."""

_FOREVER: Final = 1e9
_ANSWERS: Final = frozenset({*OWN, *LATE, "registrations are undone", UNDONE_LATE})
"""What may come beside the action: nothing was begun that could be undone, or it lasted too long."""
_TIMERS: Final = frozenset({"deadline passes", "deadline passes, with time left"})
_SAME: Final = (
    _TIMERS,
    frozenset({"registrations are undone", UNDONE_LATE}),
)
"""Actions that are one and the same happening: the exploration alone knows them apart."""
_CLOCK: Final = (events.DeadlinePassed, events.HeartbeatDue)
_BEATS: Final = 100
"""Heartbeats that may come before a deadline."""
_RULES: Final = Rules(
    required_shards=1,
    identify_spacing=0.0,
    identify_total=100_000,
    session_lifetime=_FOREVER,
    heartbeat_tolerance=None,
    send_limit=100_000,
    presence_limit=None,
)
"""A server that does nothing of its own."""


@attrs.frozen
class Taken:
    """What came of a driven life."""

    seed: int
    row: str
    """The row to which its way led."""
    left: str
    """Where and why the way was left before its end; empty if it was not."""
    passed_over: tuple[str, ...]
    """Actions for which other ways were passed over that had been drawn before; see ``REASONS``."""
    done: Counter[str] = attrs.field(eq=False)
    """How often each action was done, and judged."""
    rows: frozenset[str]
    passes: int
    end: State
    told: tuple[str, ...] = attrs.field(repr=False)


def explored(bounds: Bounds = BOUNDS) -> Ways:
    """The exploration from which lives are drawn."""
    graph, broken = search(gateway_table(settings=SMALL), gateway_environment(), bounds, compiler())
    assert broken is None
    return Ways(graph)


def drive(
    ways: Ways,
    seed: int,
    *,
    rows: tuple[Row, ...] = TABLE,
    runtime: Runtime | None = None,
    most_passes: int = MOST_PASSES,
) -> Taken:
    """Lives the life of a seed.

    Args:
        ways: see :func:`explored`.
        seed: draws the way, what comes after it, and the order of the tasks.
        rows: the table that the shard runs; another than the explored one must show itself.
        runtime: what runs it, if not one that is made of the rows.
        most_passes: after so many passes of the scheduler the life is given up, which is a violation.

    Raises:
        Violation: the driver went another way than the exploration, or did not come to rest, or left something behind.
        InvariantViolated: a step broke an invariant.
        NotAPath: the journal is no path of the table.
    """
    chance = random.Random(seed)
    way = _Way.drawn(ways, chance)
    clock = trio.testing.MockClock()
    life = _Life(ways, seed, chance, way, rows, runtime, clock, Whole(most_passes))
    scheduler = Scheduler(Choices((), seed, ordinary=0.5), on_pass=life.whole.before_pass)
    with quiet(), scheduled(scheduler):
        try:
            trio.run(life.live, clock=clock, instruments=scheduler.instruments)
        except BaseExceptionGroup as group:
            raise next(leaves(group)) from group
    return Taken(
        seed=seed,
        row=way.row,
        left=life.left,
        passed_over=way.passed_over,
        done=life.done,
        rows=frozenset(life.path.taken),
        passes=scheduler.passes,
        end=life.end,
        told=tuple(life.told),
    )


@attrs.frozen
class _Way:
    """A way that a life is to take: where it begins, and each action with the machine's state before it."""

    row: str
    root: int
    steps: tuple[tuple[Label, str], ...]
    passed_over: tuple[str, ...]
    """Actions of ways that were drawn before, which no driver can be brought to."""

    @classmethod
    def drawn(cls, ways: Ways, chance: random.Random) -> _Way:
        """To a drawn state in which a drawn row is taken, and over this row; one that a driver can take."""
        graph, passed_over = ways.graph, list[str]()
        while True:
            row = ways.rows[int(chance.random() * len(ways.rows))]
            last, number = ways.draw(row, chance)
            path = graph.path(number)
            labels = [label for label, _ in path if label is not None] + [last]
            hindered = next((label.action.name for label in labels if label.action.name in REASONS), None)
            if hindered is None:
                states = [graph.compiler.layout.state(packed).value for _, packed in path]
                steps = tuple(zip(labels, states, strict=True))
                return cls(row, graph.index[path[0][1]], steps, tuple(passed_over))
            passed_over.append(hindered)


@attrs.define
class _Life:
    """A driven life."""

    ways: Ways
    seed: int
    chance: random.Random
    way: _Way
    rows: tuple[Row, ...]
    runtime: Runtime | None
    clock: trio.testing.MockClock
    whole: Whole
    possible: tuple[int, ...] = ()
    left: str = ""
    records: list[Record] = attrs.field(factory=list[Record])
    told: list[str] = attrs.field(factory=list[str])
    done: Counter[str] = attrs.field(factory=Counter[str])
    path: PathOfTheTable = attrs.field(init=False)
    end: State = State.IDLE

    def __attrs_post_init__(self) -> None:
        self.path = PathOfTheTable(self.rows, self.records.append)

    def violation(self, what: str) -> Violation:
        """Something that must not be."""
        return Violation(f"driven life {self.seed}: {what}", tuple(self.told[-60:]))

    async def live(self) -> None:
        """The whole of it, in an event loop."""
        await self.whole.live(self._live, self.violation)

    async def _live(self) -> None:
        self.possible = (self.way.root,)
        numbers = self._numbers(self.way.root)
        settings, session = beginning(numbers)
        fake = FakeGateway(token=TOKEN, guilds=[], listen=False, rules=_RULES, script=[HOLDING])
        if session is not None and numbers["kept"]:
            known = ServedSession(session.id, (0, 1), int(INTENTS), None, seq=session.seq)
            fake._world.sessions._live[known.id] = known
        async with fake, trio.open_nursery() as servers:
            network = Network(fake.serve_stream, servers, Choices((), None), unreachable=UNREACHABLE)
            await self._in_front_of(fake, network, settings, session)
            self.clock.autojump_threshold = 0.0
            await until_nobody_is_connected(fake)
            servers.cancel_scope.cancel()

    async def _in_front_of(
        self, fake: FakeGateway, network: Network, settings: Settings, session: Session | None
    ) -> None:
        gate, metadata = HeldGate(lambda: shard._core.gen), HeldMetadata(fake.url)
        registration = HeldRegistration(stubborn=any(label.action.name == UNDONE_LATE for label, _ in self.way.steps))
        failing = any(label.action.event is events.QueueOverflowed for label, _ in self.way.steps)
        policy = QueuePolicy.FAIL if failing else QueuePolicy.PAUSE
        shard = SimulatedShard(
            Token(TOKEN),
            intents=INTENTS,
            client="client",
            registrations=[registration],
            session=None if session is None else attrs.evolve(session, intents=int(INTENTS)),
            settings=attrs.evolve(settings, fallback_url=fake.url),
            queue=Queue(events=2, policy=policy),
            metadata=metadata,
            opener=network,
            gate=gate,
            random=random.Random(1).random,
            wall_clock=lambda: 1_700_000_000.0 + trio.current_time(),
            observers=[self.path],
            watch_loop=False,
        )
        shard.rows, shard.runtime = self.rows, self.runtime
        shard._core = shard._make_core(now=trio.current_time())
        try:
            async with trio.open_nursery() as users:
                scene = Scene(shard, fake, network, self.clock, gate, metadata, registration, users, policy)
                scene.come_back()
                over = trio.Event()
                users.start_soon(self._drive, scene, over)
                await scene.begin.wait()
                async with shard:
                    users.start_soon(_consume, shard, scene)
                    await over.wait()
                    scene.heal()
                    await recover(shard, self.violation)
                    self.end = shard.state
                    began = trio.current_time()
                if trio.current_time() - began > LEFT_WITHIN:
                    raise self.violation("I04: the block was not left in time")
                await check_answers(scene, self.violation)
                users.cancel_scope.cancel()
        except* (ShardFailed, RegistrationBroke, trio.TooSlowError):
            pass  # why it has failed was judged step by step, by the exploration
        if self.path.fault is not None:
            raise self.path.fault
        check_leaks(shard, network, gate, registration, self.violation, beside=False)

    # -- driving -------------------------------------------------------------------------------------------------------

    async def _drive(self, scene: Scene, over: trio.Event) -> None:
        try:
            await self._go(scene)
        except BaseException:
            scene.heal()  # so that the shard's block can be left
            raise
        over.set()

    async def _go(self, scene: Scene) -> None:
        await trio.testing.wait_all_tasks_blocked()
        for label, state in self.way.steps:
            name = label.action.name
            if name in {*OWN, *LATE} or (name in _TIMERS and state == State.BACKING_OFF != scene.shard.state):
                continue  # it has come by itself
            why = await self._try(scene, label)
            if why and name in _TIMERS:
                why = await self._beat_until(scene, label)
            if why:
                self.left = f"{name}: {why}"
                break
        for _ in range(int(self.chance.random() * (WANDERING + 1))):
            if not await self._wander(scene):
                break
        if not scene.begin.is_set():
            scene.enter()
            await trio.testing.wait_all_tasks_blocked()

    async def _beat_until(self, scene: Scene, label: Label) -> str:
        """Lets heartbeats come, and acknowledges them, until a deadline passes; or why it does not."""
        for _ in range(_BEATS):
            for name in ("heartbeat is due", "heartbeat ACK"):
                steps = [step for step, _ in self._steps(self.possible[0]) if step.action.name == name]
                why = await self._try(scene, steps[0]) if steps else "the driver is not brought there"
                if why:
                    return why
            if not await self._try(scene, label):
                return ""
        return "heartbeats come before it, for ever"

    async def _wander(self, scene: Scene) -> bool:
        """Does some action that is possible; whether there was one."""
        changing, idle = self.ways.of(self.possible[0])
        source = changing if changing and self.chance.random() < 0.8 else idle or changing
        labels = [label for label, _ in source if label.action.name in DEEDS]
        self.chance.shuffle(labels)
        for label in labels:
            if not await self._try(scene, label):
                return True
        return False

    async def _try(self, scene: Scene, label: Label) -> str:
        """Does an action, and judges what came of it; or why it cannot be done now."""
        deed = DEEDS[label.action.name]
        if not self._meanings(label, self.possible):
            return "the driver has gone on by itself"
        if not all(deed.when(self._numbers(number)) for number in self.possible):
            return "the driver does not notice it there"
        if scene.shard.state is State.FETCHING_METADATA and scene.metadata.desk.open() is None:
            scene.let_pass()
            await self._rest()
        if not scene.present.is_set() and not any(self._numbers(number)["held"] for number in self.possible):
            scene.come_back()  # it held back a connection that is gone; what has piled up would hold back the next one
            await self._rest()
        self.records.clear()
        for _ in range(deed.tries):
            if not deed.do(scene, label.payload):
                return "the driver is not brought there"
            await self._rest()
            if deed.lasts:
                self.clock.jump(deed.lasts + 0.001)
                await self._rest()
            event = label.action.event
            if deed.tries == 1 or any(record.event == event.name for record in self.records if event is not None):
                break
        self.told.append(f"{trio.current_time():10.3f}  {label.action.name} {dict(label.payload)}")
        self.told += [f"    {record} {record.row}" for record in self.records]
        self._judge(scene, label, deed)
        return ""

    async def _rest(self) -> None:
        await trio.testing.wait_all_tasks_blocked()

    # -- judging -------------------------------------------------------------------------------------------------------

    def _numbers(self, number: int) -> dict[str, int]:
        graph = self.ways.graph
        return graph.compiler.layout.unpack(graph.packed[number])

    def _meanings(self, label: Label, numbers: Iterable[int]) -> list[Step]:
        """The explored steps that are this happening."""
        names, wanted = _names(label.action.name), happening(label)
        return [
            step
            for number in numbers
            for step in self._steps(number)
            if step[0].action.name in names and happening(step[0]) == wanted
        ]

    def _steps(self, number: int) -> Iterator[Step]:
        changing, idle = self.ways.of(number)
        yield from changing
        yield from idle

    def _judge(self, scene: Scene, label: Label, deed: Deed) -> None:
        """Keeps the explored states that the steps since then may have led to.

        Raises:
            Violation: there is none.
        """
        if self.path.fault is not None:
            raise self.path.fault
        core, layout = scene.shard._core, self.ways.graph.compiler.layout
        if label.action.event is not None:
            found = {(number, False) for number in self.possible}
        else:
            found = {(target, True) for _, target in self._meanings(label, self.possible)}
        for record in self.records:
            found = self._after(found, record, label, {*_ANSWERS, *deed.also})
            if not found:
                raise self.violation(f"the exploration has no such step: {record} {record.row}")
        due = core.next_deadline()
        if due is not None and due <= self.clock.current_time():
            raise self.violation(f"all is quiet, and a timer was due at {due:.3f}")
        # What is due in the same moment may come before a timer, and disarm it.
        ended = [number for number, done in sorted(found) if done or label.action.event in _CLOCK]
        if not ended:
            raise self.violation(f"{label.action.name!r} was done, and the driver has not taken it in")
        right, wrong = list[int](), list[str]()
        for number in ended:
            packed = self.ways.graph.packed[number]
            state = layout.state(packed)
            if cast("State", state).value != core.state.value:
                wrong.append(f"it is in {core.state}, and not in {state.value}")
                continue
            other = differences(core, layout.unpack(packed))
            owed = [name for name in self._owed(number) if not (scene.choked and name == "close frame has left")]
            if other:
                wrong.append(f"it differs from the exploration: {other}")
            elif owed:
                wrong.append(f"all is quiet, and the driver has not said: {', '.join(owed)}")
            else:
                right.append(number)
        if not right:
            raise self.violation(f"after {label.action.name!r} {'; or '.join(dict.fromkeys(wrong))}")
        self.possible = tuple(right)
        self.done[label.action.name] += 1

    def _owed(self, number: int) -> Iterator[str]:
        """The driver's own answers that are possible in an explored state; when all is quiet they have come."""
        for label, _ in self._steps(number):
            if label.action.name in OWN:
                yield label.action.name

    def _after(
        self, found: set[tuple[int, bool]], record: Record, label: Label, also: set[str]
    ) -> set[tuple[int, bool]]:
        names, wanted = _names(label.action.name), happening(label)
        after: set[tuple[int, bool]] = set()
        for number, done in found:
            for step, target in self._steps(number):
                if step.row is None or step.row.id != record.row:
                    continue
                if not done and step.action.name in names and happening(step) == wanted:
                    after.add((target, True))
                if step.action.name in also or (record.state is State.BACKING_OFF and step.action.name in _TIMERS):
                    after.add((target, done))  # a back-off that lasts no time ends by itself
        return after


def _names(name: str) -> frozenset[str]:
    return next((same for same in _SAME if name in same), frozenset({name}))


async def _consume(shard: Shard, scene: Scene) -> None:
    with contextlib.suppress(ShardFailed):
        async for _ in shard:
            await scene.present.wait()
