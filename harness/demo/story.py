"""The story: the acts in their order, each told by what really happens, and judged at its end.

It waits for what it wants to see, with a bound each time and one for all of it, so that it cannot hang: what is not
seen in time is a broken promise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
import trio

from gatewright.fsm.errors import IllegalTransition
from gatewright.harness.demo import acts
from gatewright.harness.demo.acts import Act
from gatewright.harness.demo.clients import HEARTBEAT_INTERVAL, SUPERVISOR_PATIENCE, TOKEN, EngineRun, NaiveRun
from gatewright.harness.demo.network import Loopback, Network
from gatewright.harness.demo.promises import AWAY, BY_ID, COUNTS, DARK, FATAL_CODE, LIVE, heard, message, naive_state
from gatewright.harness.demo.sabotage import sabotaged
from gatewright.harness.demo.stage import Stage, Verdict, View
from gatewright.harness.fake import Connection, Delay, FakeGateway, Log, Rules, Withhold
from gatewright.spec.errors import GatewrightError
from gatewright.spec.states import State

EACH_WAIT: Final = 10.0
"""Seconds that any one thing may take to be seen."""
IN_ALL: Final = 60.0
"""Seconds that the whole may take. It takes about 20; nothing but a defect reaches this."""

_RULES: Final = Rules(heartbeat_tolerance=5.0)
_SERVER: Final = Connection(hello=Delay(0.3), ready=Delay(0.3))
"""A healthy server, slow enough to be watched."""
_AFTERWARDS: Final = 1.0
"""Seconds in which a reconnect is looked for after the fatal close; after any other it would have come at once."""


class NotSeen(Exception):
    """Something that the story waited for did not come, and so a promise is broken."""

    def __init__(self, promise: str, what: str) -> None:
        super().__init__(what)
        self.promise = promise


async def play(view: View, *, sabotage: str | None = None, network: Network | None = None) -> Stage:
    """Play the whole demonstration.

    Args:
        view: who shows it.
        sabotage: a name from :mod:`~gatewright.harness.demo.sabotage`, to see it fail.
        network: between the clients and their servers; real sockets by default.

    Returns:
        The stage as it was at the end; ``kept_all`` says whether everything that was promised was seen.

    Raises:
        ConfigurationError: for a sabotage that does not exist.
    """
    network = Loopback() if network is None else network

    def gateway(*metadata: Delay | Withhold) -> FakeGateway:
        return FakeGateway(
            token=TOKEN,
            heartbeat_interval=HEARTBEAT_INTERVAL,
            rules=_RULES,
            script=[_SERVER],
            metadata_script=metadata,
            listen=network.listens,
        )

    with sabotaged(sabotage):
        async with (
            gateway() as for_prompt,
            gateway(Withhold()) as for_slow,
            gateway(Withhold(), Delay(0.8)) as for_engine,
        ):
            now = trio.current_time()
            engine = EngineRun(for_engine, network, on_record=lambda record: view.on_record(stage, record))
            prompt, slow = NaiveRun(for_prompt, network), NaiveRun(for_slow, network)
            stage = Stage(engine=engine, prompt=prompt, slow=slow, began=now, act_began=now)
            async with trio.open_nursery() as players:
                async with trio.open_nursery() as watching:
                    watching.start_soon(view.run, stage)
                    await _Story(stage, view, players).tell()
                    await trio.sleep(view.pause)
                    watching.cancel_scope.cancel()
                view.on_end(stage)  # while all of them are still what they were judged as
                players.cancel_scope.cancel()
            return stage


class _Story:
    def __init__(self, stage: Stage, view: View, players: trio.Nursery) -> None:
        self._stage = stage
        self._view = view
        self._players = players
        self._engine = stage.engine
        self._fake = stage.engine.fake

    async def tell(self) -> None:
        """Play all acts, or those up to the first that fails; never raises for what the engine does."""
        stage = self._stage
        with trio.move_on_after(IN_ALL) as bound:
            try:
                await self._tell()
            except* (NotSeen, GatewrightError) as group:
                self._give_up(group)
        if bound.cancelled_caught:
            stage.trouble = f"{self._where}, and {IN_ALL:g} s are over"
            self._break(*stage.act.promises)

    async def _tell(self) -> None:
        await self._begin(acts.RACE)
        async with self._engine.shard:
            self._players.start_soon(self._engine.consume)
            self._stage.prompt.start(self._players)
            self._stage.slow.start(self._players)
            await self._race()
            await self._end()
            for act, play_act in (
                (acts.DISPATCHES, self._dispatches),
                (acts.DROP, self._drop),
                (acts.INVALID, self._invalid),
                (acts.ZOMBIE, self._zombie),
                (acts.FATAL, self._fatal),
            ):
                await self._begin(act)
                await play_act()
                await self._end()
        for id_ in BY_ID:  # what was kept then must still hold
            self._judge(id_)

    # The acts.

    async def _race(self) -> None:
        shard = self._engine.shard
        with trio.move_on_after(SUPERVISOR_PATIENCE):  # what a supervisor does: wait for READY, then help
            await shard.wait_for("ready")
        try:
            shard.connect()
        except IllegalTransition as refusal:
            self._engine.refusal = str(refusal)
        self._engine.catch_up()  # a refusal is in the journal, and a step for observers only with the next one
        self._must_be_kept("refused")
        prompt, slow = self._stage.prompt.fake, self._stage.slow.fake
        await self._server("naive-ready", lambda log: naive_state(log) == "ready", prompt, "the naive client's READY")
        await self._server("naive-stuck", lambda log: naive_state(log) == "stuck", slow, "the naive client's silence")
        await self._see("one-identify", lambda: shard.state is State.READY, "READY")

    async def _dispatches(self) -> None:
        await self._send(LIVE, gap=0.15)
        await self._see("in-order", lambda: len(self._heard(LIVE)) == COUNTS[LIVE], "the messages")
        await self._proved("in-order")

    async def _drop(self) -> None:
        self._fake.script = [attrs.evolve(_SERVER, accept=Delay(0.6), replay=Delay(0.25))]
        sockets = self._fake.connections
        self._fake.drop()
        await self._server("resumed", lambda log: log.connections > sockets, self._fake, "another connection")
        await self._send(AWAY, gap=0.1)
        await self._see("resumed", lambda: self._resumed(AWAY), "RESUMED and the missed messages")
        self._fake.script = [_SERVER]
        await self._proved("resumed")

    async def _invalid(self) -> None:
        identifies = self._fake.identifies
        before = self._sessions()
        self._fake.invalidate()
        await self._server("fresh", lambda log: log.identifies > identifies, self._fake, "a fresh IDENTIFY")
        await self._see("fresh", lambda: self._ready_again(before), "READY with another session")

    async def _zombie(self) -> None:
        self._fake.go_dark()
        await self._send(DARK, gap=0.1)
        await self._see("zombie", lambda: self._resumed(DARK), "RESUMED and the missed messages")

    async def _fatal(self) -> None:
        sockets = self._fake.connections
        self._fake.close(FATAL_CODE, "Authentication failed.")
        await self._see("fatal", lambda: self._over or self._fake.connections > sockets, "the failure")
        with trio.move_on_after(_AFTERWARDS):  # nothing comes, and this is how long it is waited for
            await self._fake.wait_until(lambda log: log.connections > sockets)

    # What they are made of.

    async def _begin(self, act: Act) -> None:
        self._stage.act, self._stage.act_began = act, trio.current_time()
        self._view.on_act(self._stage)
        await trio.sleep(self._view.pause)

    async def _end(self) -> None:
        for id_ in self._stage.act.promises:
            self._must_be_kept(id_)
        await trio.sleep(self._view.pause)

    def _must_be_kept(self, id_: str) -> None:
        self._judge(id_)
        if self._stage.verdicts[id_] is not Verdict.KEPT:
            raise NotSeen(id_, self._where)

    def _judge(self, id_: str) -> None:
        before = self._stage.verdicts[id_]
        if self._stage.judge(BY_ID[id_]) is not before:
            self._view.on_verdict(self._stage, BY_ID[id_])

    async def _see(self, promise: str, condition: Callable[[], bool], what: str) -> None:
        with trio.move_on_after(EACH_WAIT):
            await self._engine.until(lambda: condition() or self._over)
        if not condition():
            raise NotSeen(promise, f"{self._where}, and {what} did not come")

    async def _server(self, promise: str, condition: Callable[[Log], bool], fake: FakeGateway, what: str) -> None:
        with trio.move_on_after(EACH_WAIT):
            await fake.wait_until(condition)
        if not condition(fake.log):
            raise NotSeen(promise, f"{self._where}, and {what} did not come")

    async def _proved(self, promise: str) -> None:
        # A session is proved by the ACK of a heartbeat of its own; from then on it is resumed without a delay.
        await self._see(promise, lambda: self._engine.shard.snapshot().attempts == 0, "the ACK of a heartbeat")

    async def _send(self, kind: str, *, gap: float) -> None:
        for number in range(1, COUNTS[kind] + 1):
            await self._fake.dispatch("MESSAGE_CREATE", message(kind, number))
            await trio.sleep(gap)

    @property
    def _where(self) -> str:
        act = self._stage.act
        return f"stopped in act {act.number}, '{act.title}': the engine is in '{self._state}'"

    def _give_up(self, group: ExceptionGroup[Exception]) -> None:
        error = _first(group)
        if isinstance(error, NotSeen):
            self._stage.trouble = str(error)
            self._break(error.promise)
        else:
            self._stage.trouble = f"{self._where}; it crashed with {type(error).__name__}: {error}"
            self._break(*self._stage.act.promises)

    def _break(self, *promises: str) -> None:
        """Say how those stand; of the act's other promises, what was seen counts, and the rest was not reached."""
        for id_ in promises:
            self._judge(id_)
        for id_ in self._stage.act.promises:
            if BY_ID[id_].seen(self._stage.evidence):
                self._judge(id_)

    @property
    def _over(self) -> bool:
        return self._engine.failure is not None

    @property
    def _state(self) -> State:
        return self._engine.shard.state

    def _heard(self, kind: str) -> list[str]:
        return [str(event.data["content"]) for event in heard(self._engine.events, kind)]

    def _resumed(self, kind: str) -> bool:
        return len(self._heard(kind)) >= COUNTS[kind] and self._engine.events[-1].type == "RESUMED"

    def _sessions(self) -> set[str]:
        return {event.session_id for event in self._engine.events if event.type == "READY"}

    def _ready_again(self, before: set[str]) -> bool:
        return self._state is State.READY and bool(self._sessions() - before)


def _first(error: Exception) -> Exception:
    """The first exception in a group of groups."""
    match error:
        case ExceptionGroup(exceptions=(Exception() as inner, *_)):
            return _first(inner)
        case _:
            return error
