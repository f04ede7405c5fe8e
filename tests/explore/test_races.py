"""Each race comes back when its guarding row is weakened, and the way to it is kept in the documents."""

import pytest

from tests.explore.races import PAGE, WEAKENINGS, Weakening, counterexample, page


@pytest.mark.parametrize("weakening", WEAKENINGS, ids=lambda weakening: weakening.race)
def test_the_race_comes_back(weakening: Weakening) -> None:
    found = counterexample(weakening)
    assert found.property.startswith(f"{weakening.breaks}: ")


def test_every_race_that_started_the_project_is_there() -> None:
    assert {weakening.race for weakening in WEAKENINGS} == {"R01", "R03", "R04", "R12", "R13"}


def test_the_page_is_what_is_found() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again: python -m tests.explore.races"
