"""Spin on the exported models: it stores as many states as the explorer finds, and says the same of weaker tables."""

from __future__ import annotations

import itertools

import attrs
import pytest
from rich.console import Console

from examples.door_lock import door
from gatewright.harness.check import Options, Watch, prove
from gatewright.harness.explore import Bounds, Property, flag
from gatewright.harness.explore.gateway import MUTATION_STAGES, without_deadline
from gatewright.harness.explore.gateway_environment import gateway_environment
from gatewright.harness.explore.gateway_table import SMALL, gateway_table
from gatewright.harness.explore.mutants import mutants
from gatewright.harness.export import SpinError, promela, run_spin
from gatewright.harness.export.agreement import compare, compared, sampled
from gatewright.harness.subject import Subject
from gatewright.spec.errors import TableError
from tests.export.broken import each_broken
from tests.support.requires import requires

pytestmark = [requires("spin"), requires("cc"), pytest.mark.slow]

SAMPLE, SEED = 8, 1
"""Of the shard's mutants; `gatewright check --spin-mutants 50` tries more, and docs/proof.md has what came of them."""


@pytest.mark.parametrize(
    "values",
    [
        {"faults": 0, "commands": 0},
        {"faults": 0, "commands": 1},
        {"faults": 0, "commands": 2, "strict": 0, "capped": 0, "session": 0},
        {"faults": 1, "commands": 0, "strict": 1, "capped": 1},
        {"faults": 1, "commands": 1, "strict": 0, "capped": 1, "session": 0},
    ],
    ids=str,
)
def test_spin_stores_as_many_states_of_the_shard_as_the_explorer(values: dict[str, int]) -> None:
    found = compare(gateway_table(settings=SMALL), gateway_environment(), Bounds(values=values))
    assert (found.spin, found.explorer) == ("holds", "holds")
    assert found.spin_states == found.states > 5_000
    (settled,) = found.eventually
    assert settled.agreed
    assert (settled.spin, settled.explorer) == ("holds", "holds")
    assert settled.spin_states == settled.states > 1.5 * found.states


def test_spin_and_the_explorer_agree_on_mutants_of_the_shard() -> None:
    table, environment = gateway_table(settings=SMALL), gateway_environment()
    drawn = sampled(table, environment, MUTATION_STAGES[0], seed=SEED, without_deadline=without_deadline)
    found = {mutant.name: each for mutant, each in itertools.islice(drawn, SAMPLE)}
    assert len(found) == SAMPLE
    assert [name for name, each in found.items() if not each.agreed] == []
    assert {each.explorer for each in found.values()} > {"holds"}


def test_spin_and_the_explorer_agree_on_every_mutant_of_the_door() -> None:
    table = door.table()
    drawn = compared(table, door.ENVIRONMENT, Bounds(), mutants(table, table.rows))
    found = {mutant.name: each for mutant, each in drawn}
    assert len(found) > 20
    assert [name for name, each in found.items() if not each.agreed] == []
    assert {each.explorer for each in found.values()} >= {"holds", "safety", "illegal"}


@pytest.mark.parametrize("tries", [0, 1, 2, 3])
def test_a_bound_of_the_exploration_is_a_bound_of_the_model(tries: int) -> None:
    found = compare(door.table(), door.ENVIRONMENT, Bounds(values={"tries": tries}))
    assert found.agreed
    assert found.spin_states == found.states == [3, 7, 12, 17][tries]


def test_each_first_value_is_tried() -> None:
    twice = attrs.evolve(door.ENVIRONMENT, variables=(*door.ENVIRONMENT.variables, flag("sunny", False, True)))
    assert compare(door.table(), twice, Bounds()).spin_states == 34


@each_broken
def test_what_does_not_hold_is_seen_by_both(broken: Property) -> None:
    environment = attrs.evolve(door.ENVIRONMENT, properties=(broken,))
    found = compare(door.table(), environment, Bounds())
    assert found.agreed
    assert found.spin == ("safety" if broken.shape == "always" else "edge")


def test_a_check_has_spin_judge_as_many_mutants_as_are_asked_for() -> None:
    subject = Subject(table=door.table(), environment=door.ENVIRONMENT)
    result = prove(subject, Options(mutants=0, spin_mutants=3), Watch(Console(quiet=True)))
    assert len(result.spin_mutants) == 3
    assert result.reasons == []
    name, agreed = next(iter(result.spin_mutants.items()))
    result.spin_mutants = {name: attrs.evolve(agreed, spin="holds", explorer="edge")}
    assert result.reasons[0].startswith(f"spin disagrees on a mutant: {name}: edge and holds")
    assert result.as_dict()["spin"]["agreed"] is False


def test_a_check_tells_what_spin_says_of_what_must_come_to_pass() -> None:
    subject = Subject(table=door.table(), environment=door.ENVIRONMENT)
    result = prove(subject, Options(mutants=0), Watch(Console(quiet=True)))
    assert result.reasons == []
    assert result.spin is not None
    (agreed,) = result.spin
    (settled,) = agreed.eventually
    wrong = attrs.evolve(settled, spin="liveness", told="push (open); then for ever: pull (closed), push (open)")
    result.spin = (attrs.evolve(agreed, eventually=(wrong,)),)
    (reason,) = result.reasons
    assert "D4: everybody gets in: holds and liveness" in reason
    assert reason.endswith("spin goes push (open); then for ever: pull (closed), push (open)")
    assert result.as_dict()["spin"]["agreed"] is False


def test_a_model_that_spin_refuses_is_an_error() -> None:
    with pytest.raises(SpinError, match="syntax error"):
        run_spin(promela(door.table(), door.ENVIRONMENT) + "nonsense")


def test_a_table_with_more_states_than_allowed_is_no_agreement() -> None:
    with pytest.raises(TableError, match="more than 5 states"):
        compare(door.table(), door.ENVIRONMENT, Bounds(most=5))
