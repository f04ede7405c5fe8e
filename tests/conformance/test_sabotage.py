"""The marked tests can fail: each is run against an engine with one line broken, and must go red."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from gatewright.spec.references import REFERENCES
from tests.conformance.sabotage import FAILED, SABOTAGES, Sabotage, broken, changed, run_tests
from tests.support.checkout import ROOT, copy_to
from tests.support.conforms import proofs

# Each takes some seconds, so a whole run tries a few: the same ones every time. `make sabotage` tries all.
SAMPLE = 20


def _sample() -> list[Sabotage]:
    """One of each of 20 demands."""
    shuffled = random.Random(98).sample(SABOTAGES, len(SABOTAGES))
    of_each = {sabotage.row: sabotage for sabotage in shuffled}
    return list(of_each.values())[:SAMPLE]


CHOSEN = list(SABOTAGES) if os.environ.get("GATEWRIGHT_SABOTAGE") == "all" else _sample()


def name_of(sabotage: Sabotage) -> str:
    return f"{sabotage.row}-{sabotage.test.rpartition('::')[2]}"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which the chosen tests pass."""
    copy = copy_to(tmp_path_factory.mktemp("sabotage") / "checkout")
    tests = sorted({sabotage.test for sabotage in CHOSEN})
    status, output = run_tests(copy, tests, keep_bytecode=True)
    assert status == 0, output
    return copy


def test_there_are_enough_and_over_many_demands() -> None:
    assert len({sabotage.row for sabotage in SABOTAGES}) >= 40
    assert len(set(SABOTAGES)) == len(SABOTAGES)


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=name_of)
def test_it_applies_to_the_engine_of_today(sabotage: Sabotage) -> None:
    source = (ROOT / sabotage.path).read_text(encoding="utf-8")
    assert changed(source, sabotage) != source
    assert sabotage.row in REFERENCES


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=name_of)
def test_its_test_claims_the_demand(sabotage: Sabotage) -> None:
    assert sabotage.test in proofs()[sabotage.row]


def test_a_text_that_is_not_there_once_is_refused() -> None:
    sabotage = Sabotage("P01", "spec/x.py", "old", "new", "tests/x.py::test_x")
    for source in ("", "old old"):
        with pytest.raises(ValueError, match="stands"):
            changed(source, sabotage)


@pytest.mark.slow
@pytest.mark.parametrize("sabotage", CHOSEN, ids=name_of)
def test_a_broken_engine_is_noticed(checkout: Path, sabotage: Sabotage) -> None:
    with broken(checkout, sabotage):
        status, output = run_tests(checkout, [sabotage.test])
    assert status == FAILED, f"{sabotage.row}: {sabotage.new!r} in {sabotage.path} was not noticed\n{output}"
