"""Tables that are wrong in one place: what kinds there are, what becomes of them, and that no new one survives."""

import fnmatch
from collections import Counter

import attrs
import pytest

from examples.door_lock import door
from gatewright.harness.explore.gateway import MUTATION_STAGES, survivors, without_deadline
from gatewright.harness.explore.gateway_environment import gateway_environment
from gatewright.harness.explore.gateway_table import SMALL, gateway_table
from gatewright.harness.explore.mutants import (
    Judge,
    Kind,
    Mutant,
    Outcome,
    Score,
    explained,
    mutants,
    sample,
    without_timers,
)
from gatewright.harness.explore.properties import eventually
from gatewright.harness.explore.search import Bounds, explore

SAMPLE, SEED = 200, 2


@pytest.fixture(scope="module")
def doors() -> Score:
    judge = Judge(door.table(), door.ENVIRONMENT, (Bounds(),))
    return judge.score(mutants(judge.table, judge.taken))


def outcome(score: Score, name: str) -> Outcome:
    [found] = [outcome for outcome in score.outcomes if outcome.mutant.name == name]
    return found


def test_every_kind_of_damage_is_done() -> None:
    kinds = {
        mutant.kind for mutant in mutants(gateway_table(), gateway_table().rows, without_deadline=without_deadline)
    }
    assert kinds == set(Kind)


def test_each_mutant_is_another_table() -> None:
    table = door.table()
    found = list(mutants(table, table.rows))
    assert len({mutant.name for mutant in found}) == len(found)
    assert all(mutant.table != table for mutant in found)


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("drop_row open.pull", "illegal"),
        ("drop_effect closed.time_up bolt", "safety"),
        ("retarget locked.code.wrong to open", "edge"),
        ("drop_guard locked.code.blocked", "illegal"),
        ("swap_event open.pull to code", "illegal"),
    ],
)
def test_a_mutant_dies_of_what_it_does(doors: Score, name: str, verdict: str) -> None:
    assert outcome(doors, name).verdict == verdict


def test_a_table_without_lint_still_has_its_mutants_killed(doors: Score) -> None:
    assert doors.score == 1.0
    assert doors.killed + doors.equivalent + len(doors.survivors) == len(doors.outcomes)


def test_a_state_that_forgets_its_deadline_is_seen_without_a_word_of_the_table_s(doors: Score) -> None:
    assert outcome(doors, "drop_deadline closed").detail == "taken no more: closed.time_up"
    nobody_pushes = tuple(action for action in door.ENVIRONMENT.actions if action.name != "push")
    locked_again = eventually("D4", "it is locked in the end", "state == Door.LOCKED")
    shut = attrs.evolve(
        door.ENVIRONMENT, actions=nobody_pushes, properties=(locked_again,), unheard={door.Push: "nobody is there"}
    )
    assert explore(door.table(), shut, coverage=False).ok
    assert explore(without_timers(door.table(), door.Door.CLOSED), shut, coverage=False).verdict == "deadlock"


def test_a_survivor_shows_what_is_not_demanded(doors: Score) -> None:
    unforgiving = attrs.evolve(door.ENVIRONMENT, properties=door.ENVIRONMENT.properties[:-1])
    judge = Judge(door.table(), unforgiving, (Bounds(),))
    assert [each.mutant.name for each in judge.score(mutants(judge.table, judge.taken)).survivors] == [
        "drop_update locked.code forgive"
    ]


def test_the_score_is_of_those_that_differ() -> None:
    mutant = Mutant(Kind.DROP_ROW, "x", "", door.table())
    score = Score(tuple(Outcome(mutant, verdict) for verdict in ("edge", "edge", "edge", "survived", "equivalent")))
    assert score.score == 0.75
    assert score.as_dict()["total"] == 5
    assert Score(()).score == 1.0


def test_a_sample_is_the_same_for_the_same_seed() -> None:
    table = door.table()
    drawn = [[mutant.name for mutant in sample(mutants(table, table.rows), 5, seed)] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.slow
def test_no_mutant_of_the_shipped_table_survives_without_a_reason() -> None:
    judge = Judge(gateway_table(settings=SMALL), gateway_environment(), MUTATION_STAGES)
    every = list(mutants(judge.table, judge.taken, without_deadline=without_deadline))
    drawn = sample(every, SAMPLE, SEED)
    # What survived earlier is tried again: a reason that has gone stale is a defect of the file.
    reasons = survivors()
    earlier = [mutant for mutant in every if explained(mutant.name, reasons) is not None]
    score = judge.score(dict.fromkeys((*drawn, *earlier)))
    unknown = [found.mutant.name for found in score.survivors if explained(found.mutant.name, reasons) is None]
    assert not unknown, f"no property notices: {unknown}; state one, or give the reason in survivors.toml"
    survived = [found.mutant.name for found in score.survivors]
    assert not [name for name in reasons if not fnmatch.filter(survived, name)], "no such mutant survives any more"
    assert Counter(found.killed for found in score.outcomes)[True] > SAMPLE / 2


def test_every_survivor_has_a_reason() -> None:
    assert survivors()
    assert all(len(reason) > 20 for reason in survivors().values())
