"""What must come to pass, judged by Spin: as many states as the explorer's steps give, and the same verdicts."""

from __future__ import annotations

import functools
from collections.abc import Callable

import attrs
import pytest

from examples.door_lock import door
from gatewright.harness.explore import Bounds, Environment, Property, Table, eventually, flag
from gatewright.harness.explore.gateway import without_deadline
from gatewright.harness.explore.gateway_environment import gateway_environment
from gatewright.harness.explore.gateway_table import SMALL, gateway_table
from gatewright.harness.explore.mutants import Mutant, mutants
from gatewright.harness.export import promela_convergence, run_convergence
from gatewright.harness.export.agreement import Convergence, compare, revolving
from tests.export.doors import BOLTED_OPEN, CASES, GOAL, SHY, around
from tests.support.requires import requires

pytestmark = [requires("spin"), requires("cc"), pytest.mark.slow]

FEW = Bounds(values={"faults": 0, "commands": 0, "strict": 0, "capped": 1, "session": 0, "received": 0, "kept": 0})


def ask(table: Table, environment: Environment, bounds: Bounds = Bounds()) -> Convergence:  # noqa: B008 - it is frozen
    """What both say, who must agree."""
    found = compare(table, environment, bounds)
    assert found.agreed, str(found)
    (one,) = found.eventually
    return one


@pytest.mark.parametrize(("tries", "states"), [(0, 8), (1, 17), (2, 28), (3, 39)])
def test_a_door_that_lets_everybody_in_has_as_many_states_as_the_explorer_says(tries: int, states: int) -> None:
    found = ask(door.table(), door.ENVIRONMENT, Bounds(values={"tries": tries}))
    assert (found.explorer, found.spin, found.told) == ("holds", "holds", "")
    assert found.spin_states == found.states == states


def test_each_first_value_is_tried() -> None:
    twice = attrs.evolve(door.ENVIRONMENT, variables=(*door.ENVIRONMENT.variables, flag("sunny", False, True)))
    assert ask(door.table(), twice).spin_states == 2 * 39 - 1  # one in which a deadline passed is all there is


@pytest.mark.parametrize("case", CASES)
def test_both_say_of_a_door_what_is_the_case(case: str) -> None:
    table, environment, verdict = CASES[case]
    found = ask(table, environment)
    assert (found.explorer, found.spin) == (verdict, verdict)


def test_a_livelock_is_told_as_what_repeats() -> None:
    _, _, cycle = ask(door.table(), SHY).told.partition("; then for ever: ")
    assert sorted(cycle.split(", ")) == ["right code (closed)", "time is up (locked)"]


def test_a_deadlock_is_told_as_what_leads_there() -> None:
    assert ask(BOLTED_OPEN, around()).told.endswith(
        "time is up (closed), faults and commands cease (closed); then nothing"
    )


# -- what each part of the encoding is for -----------------------------------------------------------------------------


def test_time_is_eager() -> None:
    model = promela_convergence(door.table(), door.ENVIRONMENT, GOAL)
    assert run_convergence(model).verdict == "holds"
    hasty = model.replace("eager && !prompt && can_4_0", "eager && can_4_0")
    assert hasty != model
    found = run_convergence(hasty)
    assert found.verdict == "liveness"
    assert {name for name, _ in found.cycle} == {"right code", "time is up"}


def test_only_what_repeats_once_all_has_ceased_is_a_livelock() -> None:
    model = promela_convergence(door.table(), SHY, GOAL)
    assert run_convergence(model).verdict == "liveness"
    blind = model.replace("accept:", "")
    assert run_convergence(blind).verdict == "holds"
    never = model.replace("phase == 1 && !goal -> phase = 2", "phase == 4 && !goal -> phase = 2")
    assert run_convergence(never).verdict == "holds"


@pytest.mark.parametrize("case", ["who can push all the time does", "a deadline ends what goes round", "a row stays"])
def test_without_fairness_more_goes_round(case: str) -> None:
    table, environment, verdict = CASES[case]
    assert verdict == "holds"
    unfair = run_convergence(promela_convergence(table, environment, GOAL), fair=False)
    assert unfair.verdict == "liveness"
    assert {name for name, _ in unfair.cycle} == {"knock"}


def test_each_of_several_goals_is_asked() -> None:
    goals = (GOAL, eventually("D8", "everybody stays out", "state == Door.LOCKED"))
    found = compare(door.table(), attrs.evolve(door.ENVIRONMENT, properties=goals), Bounds())
    assert found.agreed
    assert [each.spin for each in found.eventually] == ["holds", "liveness"]


# -- mutants -----------------------------------------------------------------------------------------------------------


def test_both_say_the_same_of_every_mutant_of_the_door_that_stops_or_goes_round() -> None:
    table = door.table()
    found = dict(revolving(table, around(), Bounds(), mutants(table, table.rows)))
    assert [mutant.name for mutant, each in found.items() if not each.agreed] == []
    assert {each.spin for each in found.values()} == {"liveness", "deadlock"}


@functools.cache
def shard() -> tuple[Table, Environment]:
    return gateway_table(settings=SMALL), gateway_environment()


def named(*names: str) -> list[Mutant]:
    """Mutants of the shard."""
    table, _ = shard()
    rows = [row for row in table.rows if any(row.id in name.split() for name in names)]
    every = mutants(table, rows, without_deadline=without_deadline)
    found = {mutant.name: mutant for mutant in every if mutant.name in names}
    assert found.keys() == set(names), "rows were renamed; tests/export/test_convergence.py names mutants of them"
    return list(found.values())


def test_mutants_of_the_shard_that_need_not_come_to_an_end_are_found_by_spin() -> None:
    chosen = named(
        "retarget backing_off.deadline_passed.give_up to backing_off",
        "retarget backing_off.deadline_passed.give_up to draining",
        "retarget fetching_metadata.deadline_passed to fetching_metadata",
        "retarget awaiting_identify_slot.slot_granted to fetching_metadata",
        "drop_deadline backing_off",
    )
    found = {mutant.name: each for mutant, each in revolving(*shard(), FEW, chosen)}
    assert len(found) == len(chosen)
    assert [name for name, each in found.items() if not each.agreed] == []
    assert {each.explorer for each in found.values()} == {"liveness", "deadlock"}


def test_mutants_of_the_shard_that_go_round_until_their_deadline_are_excused_by_both() -> None:
    chosen = named("retarget resuming.resumed to identified", "drop_effect awaiting_hello.hello.resume send_resume")
    found = list(revolving(*shard(), FEW, chosen))
    assert len(found) == len(chosen)
    for mutant, each in found:
        assert (each.explorer, each.spin) == ("holds", "holds"), mutant.name
        assert each.agreed, str(each)
        model = promela_convergence(mutant.table, shard()[1], goal_of(shard()[1]), FEW)
        assert run_convergence(model, fair=False).verdict == "liveness", mutant.name


def goal_of(environment: Environment) -> Property:
    (goal,) = (item for item in environment.properties if item.shape == "eventually")
    return goal


def test_a_larger_exploration_is_the_same_model() -> None:
    table, environment = shard()
    write: Callable[[int], str] = lambda faults: promela_convergence(  # noqa: E731 - it is said twice below
        table, environment, goal_of(environment), Bounds(values={**FEW.values, "faults": faults})
    )
    small, large = write(0).splitlines(), write(7).splitlines()
    differ = [(one, other) for one, other in zip(small, large, strict=True) if one != other]
    assert len(differ) <= 2
    assert all("faults = " in one for one, _ in differ)
