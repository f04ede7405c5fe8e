"""The mutants of the shipped table through all layers, and the rates side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import attrs

from gatewright.harness.explore.gateway import MUTATION_STAGES, without_deadline
from gatewright.harness.explore.gateway_environment import gateway_environment
from gatewright.harness.explore.gateway_table import SMALL, gateway_table
from gatewright.harness.explore.mutants import Judge, Kind, Mutant, mutants, sample
from gatewright.harness.explore.search import Bounds
from gatewright.harness.grades import driven as driven_
from gatewright.harness.grades import lives, walks
from gatewright.harness.grades.driven import Driven
from gatewright.harness.grades.lives import Lives
from gatewright.harness.grades.mutated import Mutated
from gatewright.harness.grades.verdicts import Graded, Rate
from gatewright.harness.grades.walks import Walks
from gatewright.harness.sim.driven import BOUNDS, explored
from gatewright.harness.sim.untaken import reasons


class Layers:
    """Everything that judges, made once. What it costs is some minutes, most of them for lives.

    Args:
        bounds: of the exploration along which walks go, and driven lives.
        each: walks that begin with each row.
        seeds: lives that are lived on the shipped table.
        driven: driven lives on it; they are tried on the mutants that the others do not notice.
    """

    def __init__(
        self, *, bounds: Bounds = BOUNDS, each: int = walks.EACH, seeds: int = lives.SEEDS, driven: int = driven_.SEEDS
    ) -> None:
        self.judge = Judge(gateway_table(settings=SMALL), gateway_environment(), MUTATION_STAGES)
        self.mutants: tuple[Mutant, ...] = tuple(
            mutants(self.judge.table, self.judge.taken, without_deadline=without_deadline)
        )
        ways = explored(bounds)
        self.walks = Walks(ways, each=each)
        self.lives = Lives(seeds)
        self.driven = Driven(ways, driven)
        self._untaken = reasons().keys()

    def grade(self, mutant: Mutant) -> Graded:
        """One mutant through all of them. An equivalent one is tried as well: nothing may notice it."""
        mutated = Mutated.of(mutant)
        lived = self.lives.judge(mutated)
        if not lived.killed:
            beside = self.driven.judge(mutated)
            lived = attrs.evolve(lived, tried=lived.tried + beside.tried, by=beside.by)
        return Graded(
            self.judge.judge(mutant),
            self.walks.judge(mutated),
            lived,
            runs_alike=mutated.runs_alike,
            livable=bool(mutated.shown_by - self._untaken),
        )


@attrs.frozen(kw_only=True)
class Grades:
    """The verdicts over a sample of mutants.

    Attributes:
        graded: the mutants.
        drawn_from: how many mutants there are.
        seed: with which they were drawn.
        walks, lives, driven: how many walks, lives and driven lives there were.
    """

    graded: tuple[Graded, ...]
    drawn_from: int
    seed: int
    walks: int
    lives: int
    driven: int

    @property
    def different(self) -> tuple[Graded, ...]:
        """Those that are no equivalent of the shipped table."""
        return tuple(each for each in self.graded if each.outcome.verdict != "equivalent")

    @property
    def false_alarms(self) -> tuple[Graded, ...]:
        """Equivalent ones that walks or lives noticed: a defect of the judges, or of the equivalence."""
        return tuple(
            each
            for each in self.graded
            if each.outcome.verdict == "equivalent" and (each.walked.killed or each.lived.killed)
        )

    def rates(self, graded: Iterable[Graded] | None = None) -> dict[str, Rate]:
        """The rate of each layer, over mutants that are not equivalent: all of the sample's unless others are given.

        ``explorer`` is L0 to L2, ``walks`` L4, ``lives`` L5; ``alone`` is L5 by what does not know the right table;
        ``…_met`` is the rate over those in whose wrong place the layer comes by.
        """
        found = self.different if graded is None else tuple(graded)
        walked, lived = [each.walked for each in found], [each.lived for each in found]
        return {
            "explorer": Rate(sum(each.outcome.killed for each in found), len(found)),
            "walks": Rate(sum(each.killed for each in walked), len(found)),
            "walks_met": Rate(sum(each.killed for each in walked), sum(each.met for each in walked)),
            "lives": Rate(sum(each.killed for each in lived), len(found)),
            "lives_met": Rate(sum(each.killed for each in lived), sum(each.met for each in lived)),
            "alone": Rate(sum(bool(each.alone) for each in lived), len(found)),
            "alone_met": Rate(sum(bool(each.alone) for each in lived), sum(each.met for each in lived)),
        }

    def groups(self) -> Iterator[tuple[str, tuple[Graded, ...]]]:
        """The mutants that are not equivalent: by operator, then those that the engine would load, then all."""
        found = self.different
        for kind in Kind:
            yield kind.value, tuple(each for each in found if each.outcome.mutant.kind is kind)
        yield "all that lint lets pass", tuple(each for each in found if each.loads)
        yield "all that show once they run", tuple(each for each in found if not each.runs_alike)
        yield "all on rows that a life can take", tuple(each for each in found if each.livable)
        yield "all", found

    def table(self) -> list[str]:
        """The rates as lines of Markdown."""
        heads = (
            "operator",
            "mutants",
            "L0–L2",
            "L4",
            "where met",
            "L5",
            "where met",
            "L5 without the table",
            "where met",
        )
        lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        for name, graded in self.groups():
            if graded:
                rates = " | ".join(str(rate) for rate in self.rates(graded).values())
                lines.append(f"| {name} | {len(graded)} | {rates} |")
        return lines

    def survivors(self) -> dict[str, list[str]]:
        """Names of the mutants that a layer does not notice, though they show."""
        shown = [each for each in self.different if not each.runs_alike]
        return {
            "walks": [each.outcome.mutant.name for each in shown if not each.walked.killed],
            "lives": [each.outcome.mutant.name for each in shown if each.lived.met and not each.lived.killed],
            "lives that never come by": [
                each.outcome.mutant.name for each in shown if each.livable and not each.lived.met
            ],
        }

    def as_dict(self) -> dict[str, Any]:
        """In the types of JSON."""
        return {
            "sample": len(self.graded),
            "of": self.drawn_from,
            "seed": self.seed,
            "equivalent": len(self.graded) - len(self.different),
            "false_alarms": [each.outcome.mutant.name for each in self.false_alarms],
            "walks": self.walks,
            "lives": self.lives,
            "driven": self.driven,
            "rates": {name: rate.as_dict() for name, rate in self.rates().items()},
            "by": {
                name: {"mutants": len(found), **{which: rate.as_dict() for which, rate in self.rates(found).items()}}
                for name, found in self.groups()
            },
            "noticed_by": {
                "walks": _counted(each.walked.by for each in self.different),
                "lives": _counted(each.lived.by for each in self.different),
                "alone": _counted(each.lived.alone for each in self.different),
            },
            "survivors": self.survivors(),
            "graded": [each.as_dict() for each in self.graded],
        }


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(Counter(word for word in words if word).most_common())


def grade(
    size: int | None = 500,
    seed: int = 1,
    *,
    layers: Layers | None = None,
    progress: Callable[[Graded], None] = lambda _: None,
) -> Grades:
    """Draws mutants of the shipped table and puts each through L0 to L2, L4 and L5.

    Args:
        size: how many are drawn with `seed`; ``None`` for all.
        seed: with which they are drawn.
        layers: what judges; made here if it is not given.
        progress: told of each mutant.
    """
    layers = Layers() if layers is None else layers
    drawn: Sequence[Mutant] = layers.mutants if size is None else sample(layers.mutants, size, seed)
    graded: list[Graded] = []
    for mutant in drawn:
        graded.append(layers.grade(mutant))
        progress(graded[-1])
    return Grades(
        graded=tuple(graded),
        drawn_from=len(layers.mutants),
        seed=seed,
        walks=layers.walks.count,
        lives=layers.lives.count,
        driven=layers.driven.count,
    )
