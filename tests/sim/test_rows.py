"""Which rows simulated lives take: themes lead to rare ones, and what none takes has a reason that holds."""

import pytest

from gatewright.harness.sim import Scenario, simulate
from gatewright.harness.sim.choices import SeedSource
from gatewright.harness.sim.themes import THEMES, Theme
from gatewright.harness.sim.untaken import reasons
from gatewright.spec.table import TABLE

PLAIN = Scenario()


@pytest.mark.parametrize("theme", dict.fromkeys(THEMES), ids=lambda theme: theme.__name__.strip("_"))
def test_a_theme_leads_to_rows_that_a_plain_life_does_not_take(theme: Theme) -> None:
    taken = simulate(PLAIN).rows
    rows = frozenset[str]().union(*(simulate(theme(SeedSource(seed))).rows for seed in range(10)))
    assert len(rows - taken) >= 3
    assert not rows & set(reasons()), "a row that is taken has a reason why it cannot be"


def test_reasons_are_for_rows_of_the_table() -> None:
    assert set(reasons()) <= {row.id for row in TABLE}


def test_seeds_take_most_rows_and_none_that_has_a_reason() -> None:
    rows = frozenset[str]().union(*(simulate(Scenario.of(seed)).rows for seed in range(300)))
    # Ten thousand seeds take every row that has no reason; what is rare needs more than a test has time for.
    assert len(rows) > 240
    assert not rows & set(reasons())
