"""What becomes of a mutant in a layer, and the rates that come of many."""

from __future__ import annotations

from typing import Any

import attrs

from gatewright.harness.explore.mutants import Outcome


@attrs.frozen
class Verdict:
    """What a layer makes of a mutant.

    Attributes:
        tried: how many walks or lives met the place in which the mutant is wrong, and were tried; 0: the layer never
            comes there.
        by: what noticed it; empty when nothing did.
        alone: what noticed it without knowing the right table: an invariant, an exception, a promise that was not kept.
            In L4 this is not asked, since a walk follows the exploration of the right table.
    """

    tried: int
    by: str = ""
    alone: str = ""

    @property
    def killed(self) -> bool:
        """Whether the layer noticed."""
        return bool(self.by)

    @property
    def met(self) -> bool:
        """Whether the layer comes by the place in which the mutant is wrong."""
        return self.tried > 0


@attrs.frozen
class Graded:
    """A mutant with the verdicts of all layers: L0 to L2's, L4's and L5's."""

    outcome: Outcome
    walked: Verdict
    lived: Verdict
    runs_alike: bool = False
    """It cannot show once it runs, whatever the lint says of it."""
    livable: bool = True
    """Some life can show it: it is not on rows alone of which :mod:`gatewright.harness.sim.untaken` says that no life
    takes them, because the driver spares the table what they are about."""

    @property
    def loads(self) -> bool:
        """Whether the shipped engine would take it: its lint lets it pass."""
        return self.outcome.verdict != "lint"

    def as_dict(self) -> dict[str, Any]:
        """In the types of JSON."""
        return {
            "mutant": self.outcome.mutant.name,
            "operator": self.outcome.mutant.kind.value,
            "explorer": self.outcome.verdict,
            "walks": attrs.asdict(self.walked),
            "lives": attrs.asdict(self.lived),
        }


@attrs.frozen
class Rate:
    """So many of so many."""

    killed: int
    of: int

    def __str__(self) -> str:
        """As a percentage; a dash for nothing."""
        return f"{self.killed / self.of:.1%}" if self.of else "–"

    def as_dict(self) -> dict[str, Any]:
        """In the types of JSON; the rate of nothing is ``null``."""
        return {"killed": self.killed, "of": self.of, "rate": round(self.killed / self.of, 5) if self.of else None}
