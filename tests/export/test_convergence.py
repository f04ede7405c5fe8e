"""What must come to pass, judged by Spin: as many states as the explorer's steps give, and the same verdicts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import attrs
import pytest

from examples.door_lock import door
from examples.door_lock.door import Door, Row
from gatewright.harness.explore import Action, Bounds, Environment, Property, Table, eventually, flag
from gatewright.harness.explore.gateway import without_deadline
from gatewright.harness.explore.gateway_environment import gateway_environment
from gatewright.harness.explore.gateway_table import SMALL, gateway_table
from gatewright.harness.explore.mutants import Mutant, mutants
from gatewright.harness.export import promela_convergence, run_convergence
from gatewright.harness.export.agreement import Convergence, compare, revolving
from tests.support.requires import requires

pytestmark = [requires("spin"), requires("cc"), pytest.mark.slow]

GOAL = next(item for item in door.ENVIRONMENT.properties if item.shape == "eventually")
FEW = Bounds(values={"faults": 0, "commands": 0, "strict": 0, "capped": 1, "session": 0, "received": 0, "kept": 0})


class Knock(door.Event):
    """Somebody knocks."""

    name: ClassVar[str] = "knock"


KNOCKS = Action(name="knock", guard="state == Door.CLOSED", updates={"knocked": "not knocked"}, fair=True)
"""It goes on for ever, and changes something each time."""


def changed(name: str, **fields: Any) -> Table:
    return door.table(tuple(attrs.evolve(row, **fields) if row.id == name else row for row in door.ROWS))


def around(*actions: Action, **changes: Mapping[str, Any]) -> Environment:
    """The door's environment with only its goal, more actions, and some changed by name."""
    kept = tuple(attrs.evolve(each, **changes.get(each.name, {})) for each in door.ENVIRONMENT.actions)
    return attrs.evolve(
        door.ENVIRONMENT,
        variables=(*door.ENVIRONMENT.variables, flag("knocked")),
        actions=(*kept, *actions),
        properties=(GOAL,),
    )


def ask(table: Table, environment: Environment, bounds: Bounds = Bounds()) -> Convergence:  # noqa: B008 - it is frozen
    """What both say, who must agree."""
    found = compare(table, environment, bounds)
    assert found.agreed, str(found)
    (one,) = found.eventually
    return one


SILENT: Mapping[str, Mapping[str, Any]] = {"push": {"fair": False}, "time is up": {"timer": False}}
TICKING: Mapping[str, Mapping[str, Any]] = {
    "push": {"fair": False},
    "time is up": {"updates": {"knocked": "not knocked"}},
}
UNTIMED = attrs.evolve(door.table(), timed=())
SHY = around(push={"fair": False})


@pytest.mark.parametrize(("tries", "states"), [(0, 8), (1, 17), (2, 28), (3, 39)])
def test_a_door_that_lets_everybody_in_has_as_many_states_as_the_explorer_says(tries: int, states: int) -> None:
    found = ask(door.table(), door.ENVIRONMENT, Bounds(values={"tries": tries}))
    assert (found.explorer, found.spin, found.told) == ("holds", "holds", "")
    assert found.spin_states == found.states == states


def test_each_first_value_is_tried() -> None:
    twice = attrs.evolve(door.ENVIRONMENT, variables=(*door.ENVIRONMENT.variables, flag("sunny", False, True)))
    assert ask(door.table(), twice).spin_states == 2 * 39 - 1  # one in which a deadline passed is all there is


def test_a_livelock_is_told_as_what_repeats() -> None:
    found = ask(door.table(), SHY)
    assert (found.explorer, found.spin) == ("liveness", "liveness")
    _, _, cycle = found.told.partition("; then for ever: ")
    assert sorted(cycle.split(", ")) == ["right code (closed)", "time is up (locked)"]


def test_a_step_that_changes_nothing_is_none() -> None:
    found = ask(changed("locked.code", target=None, effects=(), updates=()), around())
    assert (found.explorer, found.spin) == ("deadlock", "deadlock")
    assert found.told.endswith("; then nothing")


def test_a_deadline_that_passes_and_changes_nothing_ends_no_cycle() -> None:
    """The bolt is in, and the door is not in its frame: the deadline passes, and there it stays."""
    found = ask(changed("closed.time_up", target=None), around())
    assert (found.explorer, found.spin) == ("deadlock", "deadlock")


def test_a_deadline_that_passes_again_and_again_is_no_excuse() -> None:
    ticking = around(**TICKING)
    found = ask(changed("closed.time_up", target=None, effects=()), ticking)
    assert (found.explorer, found.spin) == ("liveness", "liveness")


def test_what_may_never_happen_short_of_the_goal_is_a_deadlock() -> None:
    environment = around(**SILENT)
    assert ask(door.table(), environment).spin == "deadlock"


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


def test_what_stays_possible_happens_in_the_end() -> None:
    """It is knocked again and again, but who pushes all the time gets in."""
    environment = around(KNOCKS)
    assert ask(UNTIMED, environment).spin == "holds"
    unfair = run_convergence(promela_convergence(UNTIMED, environment, GOAL), fair=False)
    assert unfair.verdict == "liveness"
    assert {name for name, _ in unfair.cycle} == {"knock"}


def test_what_is_possible_every_other_moment_need_not_happen() -> None:
    environment = around(KNOCKS, push={"guard": "knocked and not bolted and state == Door.CLOSED"})
    assert ask(UNTIMED, environment).spin == "liveness"


def test_a_deadline_that_stays_armed_passes_in_the_end() -> None:
    """There is nobody who pushes; the cycle of knocks ends because the door's deadline does."""
    environment = around(KNOCKS, push={"fair": False})
    timed = ask(door.table(), environment)
    assert (timed.explorer, timed.spin) == ("holds", "holds")
    assert run_convergence(promela_convergence(door.table(), environment, GOAL), fair=False).verdict == "liveness"
    assert ask(UNTIMED, environment).spin == "liveness"


@pytest.mark.parametrize(("rearms", "verdict"), [("", "holds"), ("deadline", "liveness")])
def test_a_deadline_that_is_armed_again_and_again_never_passes(rearms: str, verdict: str) -> None:
    knock = Row(id="closed.knock", source=Door.CLOSED, event=Knock, updates=("wait",), why="Somebody may come.")
    table = attrs.evolve(
        door.table((*door.ROWS, knock)),
        updates={**door.table().updates, "wait": (("deadline", "now"),)},
        dropped={"deadline": "only whether it is armed again matters"},
        rearms=rearms,
    )
    found = ask(table, around(attrs.evolve(KNOCKS, event=Knock), push={"fair": False}))
    assert (found.explorer, found.spin) == (verdict, verdict)


@pytest.mark.parametrize("target", [None, Door.CLOSED])
def test_a_state_that_is_entered_again_arms_its_deadline_again(target: Door | None) -> None:
    knock = Row(id="closed.knock", source=Door.CLOSED, event=Knock, target=target, why="It rattles.")
    environment = around(attrs.evolve(KNOCKS, event=Knock), push={"fair": False})
    found = ask(door.table((*door.ROWS, knock)), environment)
    assert found.spin == found.explorer == ("holds" if target is None else "liveness")


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
