"""The invariants are there, are stated as every document states them, and can be evaluated."""

import pytest

from gatewright.spec.context import Context, Failure
from gatewright.spec.events import Stop
from gatewright.spec.expressions import compile_predicate, parse
from gatewright.spec.invariants import INVARIANTS, LIVENESS, LIVENESS_GOALS, Invariant, Layer
from gatewright.spec.references import REFERENCES
from gatewright.spec.session import Session
from gatewright.spec.states import STATES, State

ALL = tuple(INVARIANTS.values())
RULES = [(invariant.id, rule) for invariant in ALL for rule in invariant.steps]
EXPRESSIONS = [(invariant.id, text) for invariant in ALL for text in invariant.contexts]


def test_there_is_one_for_each_number_in_order() -> None:
    assert list(INVARIANTS) == [f"I{number:02}" for number in range(1, 24)]


@pytest.mark.parametrize("invariant", ALL, ids=lambda invariant: invariant.id)
def test_an_invariant_is_stated_as_the_references_state_it(invariant: Invariant) -> None:
    assert invariant.text == REFERENCES[invariant.id].text


@pytest.mark.parametrize("invariant", ALL, ids=lambda invariant: invariant.id)
def test_an_invariant_says_where_it_is_proved(invariant: Invariant) -> None:
    assert invariant.where


@pytest.mark.parametrize("invariant", ALL, ids=lambda invariant: invariant.id)
def test_what_is_proved_on_the_core_is_stated_over_the_core(invariant: Invariant) -> None:
    stated = bool(invariant.contexts or invariant.steps or invariant.history)
    assert stated is (Layer.CORE in invariant.where)


@pytest.mark.parametrize(("number", "text"), EXPRESSIONS)
def test_an_expression_is_one_of_the_language_and_reads_no_event(number: str, text: str) -> None:
    parse(text)
    assert "event." not in text, number


@pytest.mark.parametrize(("number", "text"), EXPRESSIONS)
def test_an_expression_holds_of_a_shard_to_which_nothing_happened(number: str, text: str) -> None:
    assert compile_predicate(text)(Context(), Stop()), number


@pytest.mark.parametrize(("number", "text"), EXPRESSIONS)
def test_an_expression_can_be_false(number: str, text: str) -> None:
    wrong = [
        Context(state=state, failure=None, paused=True, session=None, received=5, cap=1.0, beat_at=1.0)
        for state in State
    ]
    wrong += [Context(state=state, session=None, received=None) for state in State]
    wrong += [holding(state) for state in State]
    assert not all(compile_predicate(text)(context, Stop()) for context in wrong), number


def holding(state: State) -> Context:
    """A shard that holds what it should not hold in most states."""
    session = Session(id="held", resume_url=None, seq=1)
    return Context(state=state, session=session, received=1, failure=Failure("close_code"), deadline=1.0)


@pytest.mark.parametrize(("number", "rule"), RULES, ids=[rule.__name__ for _, rule in RULES])
def test_a_rule_says_in_a_sentence_what_it_demands(number: str, rule: object) -> None:
    first = (rule.__doc__ or "").splitlines()[0]
    assert first.endswith("."), number


def test_liveness_names_its_goals() -> None:
    assert all(f"`{goal}`" in LIVENESS for goal in LIVENESS_GOALS)


def test_every_goal_of_liveness_is_a_state_that_lasts() -> None:
    assert all(STATES[goal].deadline is None for goal in LIVENESS_GOALS)
