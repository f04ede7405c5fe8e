"""Mutants of the shipped table on the shipped runtime: walks and lives notice them, and what is none goes unnoticed."""

from __future__ import annotations

import json
import random

import pytest

from gatewright.fsm.core import shipped_machine
from gatewright.harness.explore.gateway import QUICK, compiler, without_deadline
from gatewright.harness.explore.gateway_environment import gateway_environment
from gatewright.harness.explore.gateway_table import SMALL, gateway_table
from gatewright.harness.explore.mutants import Kind, Outcome, mutants
from gatewright.harness.explore.search import search
from gatewright.harness.explore.ways import Ways
from gatewright.harness.grades import Graded, Grades, Lives, Mutated, Verdict, Walks
from gatewright.harness.grades.driven import Driven
from gatewright.harness.grades.lives import HANG, Counted, noticed_by
from gatewright.harness.sim.scenario import Scenario
from gatewright.harness.sim.simulation import attempt
from gatewright.spec.table import TABLE

# A life is given up where it stands when its core raises in the middle of it, and leaves coroutines behind.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]

EVERY = {
    mutant.name: mutant for mutant in mutants(gateway_table(settings=SMALL), TABLE, without_deadline=without_deadline)
}
NOTICED = (
    "drop_row connecting.deadline_passed",
    "retarget ready.closed.resumable to stopped",
    "internalise awaiting_hello.hello.resume",
    "drop_guard ready.closed.resumable",
    "negate_guard awaiting_hello.hello.resume",
    "drop_effect ready.heartbeat_due.beat send_heartbeat",
    "drop_update ready.stop drop_session",
    "swap_event ready.reconnect_requested to protocol_violation",
    "drop_deadline connecting",
    "off_by_one resume_url_failing + 1 becomes nothing",
)


@pytest.fixture(scope="module")
def ways() -> Ways:
    found, broken = search(gateway_table(settings=SMALL), gateway_environment(), QUICK, compiler())
    assert broken is None
    return Ways(found)


@pytest.fixture(scope="module")
def walks(ways: Ways) -> Walks:
    return Walks(ways, each=1)


@pytest.fixture(scope="module")
def driven(ways: Ways) -> Driven:
    return Driven(ways, 100)


@pytest.fixture(scope="module")
def lives() -> Lives:
    return Lives(100)


def mutated(name: str) -> Mutated:
    return Mutated.of(EVERY[name])


def handful(seed: int, rows: frozenset[str]) -> list[Mutated]:
    """Some of each operator, of rows that are taken. To swap the order of updates is hardly ever another table."""
    found: list[Mutated] = []
    for kind in sorted({*Kind} - {Kind.SWAP_ORDER}):
        mine = [mutated(name) for name, mutant in EVERY.items() if mutant.kind is kind]
        taken = [each for each in mine if each.own <= rows and each.shown_by & rows and not each.runs_alike]
        found += random.Random(seed).sample(taken, min(len(taken), 5))
    return found


@pytest.mark.parametrize("name", NOTICED)
def test_walks_and_lives_notice_a_table_that_is_wrong(walks: Walks, lives: Lives, name: str) -> None:
    assert walks.judge(mutated(name)).killed
    lived = lives.judge(mutated(name))
    assert lived.killed or not lived.met


def test_driven_lives_notice_tables_that_are_wrong(driven: Driven) -> None:
    found = [driven.judge(mutated(name)) for name in NOTICED]
    assert sum(each.killed for each in found) > len(NOTICED) / 2


@pytest.mark.parametrize(
    "name",
    [
        "swap_order awaiting_identify_slot.deadline_passed updates 1 and 2",
        "swap_order awaiting_hello.hello.identify updates 1 and 2",
    ],
)
def test_what_is_no_other_table_goes_unnoticed(walks: Walks, lives: Lives, driven: Driven, name: str) -> None:
    for verdict in (each.judge(mutated(name)) for each in (walks, lives, driven)):
        assert verdict.met
        assert not verdict.killed


def test_most_of_any_operator_are_noticed(walks: Walks, lives: Lives) -> None:
    tried = handful(1, walks.rows & lives.rows)
    assert {each.mutant.kind for each in tried} == {*Kind} - {Kind.SWAP_ORDER}
    assert sum(walks.judge(each).killed for each in tried) > 0.8 * len(tried)
    assert sum(lives.judge(each).killed for each in tried) > 0.7 * len(tried)


def test_a_life_that_does_not_come_by_is_the_same_life(lives: Lives) -> None:
    """That is why it need not be tried again."""
    tried = 0
    for each in handful(2, lives.rows)[::3]:
        for seed in range(40):
            counted = Counted(shipped_machine())
            life = attempt(Scenario.of(seed), runtime=counted).life
            if counted.rows & each.shown_by:
                continue
            again = attempt(Scenario.of(seed), rows=each.rows, runtime=each.machine()).life
            assert life is not None
            assert again is not None
            assert again.digest == life.digest
            tried += 1
            break
    assert tried > 5


def test_a_row_that_refuses_does_nothing_else_that_it_says() -> None:
    assert mutated("retarget ready.connect to stopped").runs_alike
    assert not mutated("drop_row ready.connect").runs_alike


def test_a_guard_that_is_changed_shows_wherever_a_row_asks_it() -> None:
    changed = mutated("off_by_one paused_too_long >= becomes >").shown_by
    assert {"ready.heartbeat_due.zombie", "ready.heartbeat_due.beat"} <= changed
    assert "ready.stop" not in changed


def test_a_core_that_never_rests_is_given_up() -> None:
    counted = Counted(shipped_machine(), most=10)
    tried = attempt(Scenario.of(1), runtime=counted)
    assert tried.life is None
    assert noticed_by(tried) == HANG


def test_the_rates_are_of_those_that_differ() -> None:
    def graded(name: str, explorer: str, walked: str, lived: Verdict) -> Graded:
        return Graded(Outcome(EVERY[name], explorer), Verdict(1, walked), lived)

    names = list(EVERY)
    grades = Grades(
        graded=(
            graded(names[0], "edge", "I10", Verdict(3, "journal", "I10")),
            graded(names[1], "lint", "exploration", Verdict(2, "journal")),
            graded(names[2], "survived", "", Verdict(0)),
            graded(names[3], "equivalent", "", Verdict(5)),
        ),
        drawn_from=9,
        seed=4,
        walks=10,
        lives=20,
        driven=30,
    )
    rates = {name: (rate.killed, rate.of) for name, rate in grades.rates().items()}
    assert rates["explorer"] == rates["walks"] == rates["lives"] == (2, 3)
    assert rates["walks_met"] == (2, 3)
    assert rates["lives_met"] == (2, 2)
    assert (rates["alone"], rates["alone_met"]) == ((1, 3), (1, 2))
    assert not grades.false_alarms
    told = json.loads(json.dumps(grades.as_dict()))
    assert (told["sample"], told["of"], told["equivalent"]) == (4, 9, 1)
    assert told["by"]["all that lint lets pass"]["mutants"] == 2
    assert told["rates"]["lives"] == {"killed": 2, "of": 3, "rate": 0.66667}
    assert told["survivors"]["walks"] == [names[2]]
    assert any(line.startswith("| all | 3 | 66.7% |") for line in grades.table())


def test_an_equivalent_mutant_that_is_noticed_is_a_false_alarm() -> None:
    name = next(iter(EVERY))
    graded = Graded(Outcome(EVERY[name], "equivalent"), Verdict(1, "I10"), Verdict(0))
    grades = Grades(graded=(graded,), drawn_from=1, seed=1, walks=1, lives=1, driven=1)
    assert grades.false_alarms == (graded,)
