"""Simulated lives of the real shard: none is violated, each comes back, and what is wrong is seen."""

import itertools

import attrs
import pytest
from hypothesis import given, settings

from gatewright.harness.fake.faults import Phase
from gatewright.harness.sim import Act, Deed, Life, Registering, Scenario, attempt, cancellations, shrink, simulate
from gatewright.harness.sim.scenario import FEWEST_FAULTS, Limit
from gatewright.harness.sim.strategies import scenarios
from gatewright.spec.effects import AbortSocket, SendHeartbeat
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.transport.keeping import SessionKeeper
from gatewright.transport.queue import Queue
from tests.sim.processes import printed
from tests.support.tables import SHIPPED, Weakened


@given(scenario=scenarios())
def test_no_drawn_life_is_violated(scenario: Scenario) -> None:
    simulate(scenario)


def test_no_life_of_a_seed_is_violated() -> None:
    lives = [simulate(Scenario.of(seed)) for seed in range(100)]
    assert {life.end for life in lives} == {State.READY, State.FAILED, State.STOPPED}
    assert all(life.faults >= FEWEST_FAULTS for life in lives)
    assert any(life.runs > 1 for life in lives)
    assert len(frozenset[str]().union(*(life.rows for life in lives))) > 100


def test_a_server_may_be_told_to_close_in_the_moment_in_which_the_socket_goes() -> None:
    acts = (Act(0.5, Deed.GARBAGE, 5), Act(0.0, Deed.RESET), Act(0.0, Deed.CLOSE))
    simulate(Scenario(queue=Queue(events=1), acts=acts, network_seed=1706117634, schedule_seed=3647437422))


def test_what_several_take_of_a_window_is_acknowledged_when_all_is_well_again() -> None:
    """The consumer waits for its third dispatch before it acknowledges one, and a sink beside it took the other two."""
    once = Settings(strict_startup=True, max_failed_resumes=1, max_paused_beats=1)
    rivals = Act(0.0, Deed.RIVALS, 6, State.BACKING_OFF)
    life = simulate(
        Scenario(settings=once, queue=Queue(events=1), manual=True, window=3, acts=(rivals,), absent=1000.0)
    )
    assert life.end is State.READY


def test_a_budget_that_is_nearly_spent_is_heard_of_when_it_is_renewed() -> None:
    acts = (Act(3.0, Deed.OP_9, 0, State.READY), Act(3.0, Deed.OP_9, 0, State.READY))
    life = simulate(Scenario(metadata=(Limit(105),), acts=acts))
    assert "awaiting_identify_slot.slot_unavailable.budget" in life.rows


@pytest.mark.parametrize(
    ("scenario", "runs"),
    [
        pytest.param(Scenario(acts=(Act(2.0, Deed.BAN, 0, State.READY),)), 2, id="closed for good by the server"),
        pytest.param(Scenario(acts=(Act(2.0, Deed.STOP, 0, State.READY),)), 2, id="stopped by its user"),
        pytest.param(Scenario(metadata=("metadata_401",), http=True), 2, id="turned away"),
        pytest.param(Scenario(registering=Registering.FAILS), 3, id="never registered"),
        pytest.param(Scenario(settings=Settings(max_attempts=1)), 3, id="one attempt a run"),
    ],
)
def test_a_bot_that_has_ended_before_its_third_fault_is_started_again(scenario: Scenario, runs: int) -> None:
    life = simulate(scenario)
    assert (life.runs, life.faults >= FEWEST_FAULTS) == (runs, True)
    assert sum("idle -register->" in line for line in life.story) == runs


def _connections_lost(life: Life) -> int:
    return sum("ready -closed->" in line for line in life.story)


def test_what_would_harm_a_bot_that_is_over_is_kept_for_its_next_run() -> None:
    closes = (Act(2.0, Deed.CLOSE, 0, State.READY),) * 3
    life = simulate(Scenario(acts=(Act(2.0, Deed.STOP, 0, State.READY), *closes)))
    assert (life.runs, life.faults, _connections_lost(life)) == (2, 3, 3)


@pytest.mark.parametrize("deed", [Deed.RESET, Deed.CUT, Deed.CLOSE, Deed.SILENCE])
def test_what_nobody_can_feel_is_no_fault(deed: Deed) -> None:
    life = simulate(Scenario(acts=(Act(0.0, deed),) * 3))  # there is no connection yet
    assert (life.faults, _connections_lost(life)) == (3, 3)


def test_a_seed_holds_at_least_three_faults() -> None:
    assert all(Scenario.of(seed).faults >= FEWEST_FAULTS for seed in range(500))


def test_a_seed_is_the_same_life_in_every_process() -> None:
    code = "from gatewright.harness.sim import *; print([simulate(Scenario.of(n)).digest for n in range(40, 60)])"
    found = printed(code)
    assert len(found) == 1
    assert len(set(eval(found.pop()))) == 20


def test_a_life_comes_back_from_its_numbers() -> None:
    tried = attempt(Scenario.of(12))
    assert tried.scenario.schedule_seed is None
    again = attempt(tried.scenario)
    assert tried.life is not None
    assert again.life == tried.life
    assert attempt(attrs.evolve(Scenario.of(12), schedule_seed=1)).life != tried.life


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(Scenario(), id="plain"),
        pytest.param(Scenario(stored=True, acts=(Act(2.0, Deed.SUSPEND), Act(1.0, Deed.CONNECT))), id="stored"),
        pytest.param(Scenario(http=True, connections=(("fin", Phase.READY),)), id="resuming"),
        pytest.param(Scenario(acts=(Act(3.0, Deed.MEMBERS), Act(0.0, Deed.VOICE), Act(1.0, Deed.CUT))), id="asking"),
    ],
)
def test_a_cancellation_at_any_checkpoint_leaves_nothing(scenario: Scenario) -> None:
    # Each checkpoint in turn, over all of these tests: every third here, and the others in a long run.
    lives = 0
    for tried in cancellations(scenario, every=1 if settings().max_examples > 1000 else 3):
        lives += 1
        assert tried.error is None, f"cancelled at pass {tried.scenario.cancel_at}: {tried.error}"
    assert lives > 50


def test_a_cancellation_that_leaves_something_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unshielded(self: SessionKeeper) -> None:
        self._scope.shield = False
        await original(self)

    original = SessionKeeper.run
    monkeypatch.setattr(SessionKeeper, "run", unshielded)
    # Only in some orders: the task that saves must see the cancellation before the block does.
    early = itertools.islice(cancellations(Scenario(stored=True, schedule_seed=3)), 60)
    assert any(tried.error is not None for tried in early)


@pytest.mark.parametrize(
    ("weaker", "within"),
    [
        pytest.param(SHIPPED.without_effect(AbortSocket, "stalled.deadline_passed"), 20, id="a dark peer is kept"),
        pytest.param(SHIPPED.without_effect(SendHeartbeat, "ready.heartbeat_due.beat"), 20, id="no heartbeat"),
        pytest.param(SHIPPED.without("connecting.deadline_passed"), 100, id="a handshake without an end"),
        pytest.param(SHIPPED.without_update("drop_session", "ready.stop"), 100, id="1000 and then RESUME"),
    ],
)
def test_a_weaker_table_is_seen(weaker: Weakened, within: int) -> None:
    assert any(attempt(Scenario.of(seed), rows=weaker.rows).error is not None for seed in range(within))


def _chances(scenario: Scenario) -> int:
    return sum(number != 0 for number in (*scenario.schedule, *scenario.network))


def test_what_fails_becomes_small() -> None:
    rows = SHIPPED.without_effect(AbortSocket, "stalled.deadline_passed").rows
    seed = next(seed for seed in range(400) if attempt(Scenario.of(seed), rows=rows).error is not None)
    large = attempt(Scenario.of(seed), rows=rows)
    small = shrink(large.scenario, play=lambda scenario: attempt(scenario, rows=rows))
    assert small.error is not None
    assert small.scenario.faults <= FEWEST_FAULTS
    assert small.signature == large.signature
    assert 2 * _chances(small.scenario) < _chances(large.scenario)
    assert small.scenario.settings == Settings()
    with pytest.raises(ValueError, match="does not fail"):
        shrink(Scenario())
