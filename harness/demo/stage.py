"""What there is to see: the players, the act, and how the promises stand. The story writes it, views read it."""

from __future__ import annotations

import enum
from typing import Protocol

import attrs

from gatewright.fsm.journal import Record
from gatewright.harness.demo.acts import RACE, Act
from gatewright.harness.demo.clients import EngineRun, NaiveRun
from gatewright.harness.demo.promises import PROMISES, Evidence, Promise


class Verdict(enum.StrEnum):
    """How a promise stands."""

    PENDING = "pending"
    KEPT = "kept"
    BROKEN = "broken"


@attrs.define(eq=False, kw_only=True)
class Stage:
    """The whole demonstration at one moment. Times are trio's."""

    engine: EngineRun
    prompt: NaiveRun
    slow: NaiveRun
    began: float
    act: Act = RACE
    act_began: float
    verdicts: dict[str, Verdict] = attrs.field(
        factory=lambda: {promise.id: Verdict.PENDING for promise in PROMISES},
    )
    trouble: str = ""
    """Why the story ended early; empty when it did not."""

    @property
    def evidence(self) -> Evidence:
        """What was seen so far."""
        return Evidence(
            engine=self.engine.fake.log,
            prompt=self.prompt.fake.log,
            slow=self.slow.fake.log,
            records=self.engine.records,
            events=self.engine.events,
            state=self.engine.shard.state,
        )

    @property
    def kept_all(self) -> bool:
        """Whether everything that was promised was seen."""
        return not self.trouble and all(verdict is Verdict.KEPT for verdict in self.verdicts.values())

    def judge(self, promise: Promise) -> Verdict:
        """Look whether `promise` is kept now, and note it."""
        verdict = Verdict.KEPT if promise.seen(self.evidence) else Verdict.BROKEN
        self.verdicts[promise.id] = verdict
        return verdict


class View(Protocol):
    """A way to watch."""

    pause: float
    """Seconds that a reader is given before and after each act; 0 for a program."""

    async def run(self, stage: Stage) -> None:
        """Show `stage` until cancelled."""
        ...

    def on_act(self, stage: Stage) -> None:
        """Another act begins."""
        ...

    def on_record(self, stage: Stage, record: Record) -> None:
        """The engine made a step. Called in the engine's own task: to take note, and for nothing that can fail."""
        ...

    def on_verdict(self, stage: Stage, promise: Promise) -> None:
        """A promise was judged."""
        ...

    def on_end(self, stage: Stage) -> None:
        """It is over; called after `run` has ended."""
        ...
