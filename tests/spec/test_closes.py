"""What a fatal close tells, and how close codes are sorted; `test_close_matrix.py` follows each to its handshake."""

import pytest

from gatewright.fsm.core import shipped_compiled
from gatewright.spec.context import Context
from gatewright.spec.events import Closed
from gatewright.spec.protocol import FATAL_CLOSE_CODES, CloseCode, CloseKind, close_kind
from gatewright.spec.session import Session
from gatewright.spec.states import State, Then
from gatewright.spec.table import LIVE
from tests.support.conforms import conforms

# The table of protocol section 3.1 with its additions, written out: code → what the next handshake is.
RESUMES = (None, 1000, 1001, 1006, 3000, 4000, 4001, 4002, 4005, 4008, 4015, 4900, 4999)
IDENTIFIES = (4003, 4006, 4007, 4009)
FAILS = (4004, 4010, 4011, 4012, 4013, 4014)

SESSION = Session(id="held", resume_url="wss://resume.example/", seq=5)
HOLDS = {State.AWAITING_HELLO: (False, True), State.RESUMING: (True,), State.READY: (True,)}
"""In which live states a session is held; elsewhere there is none yet."""
PLACES = [(state, held) for state in LIVE for held in HOLDS.get(state, (False,))]
LEFT = [(state, held) for state in (State.STALLED, State.DRAINING) for held in (False, True)]


def closed(state: State, code: int | None, *, held: bool, then: Then = Then.RETRY) -> Context:
    """A shard in `state` after the peer closed with `code`."""
    context = Context(
        state=state,
        gen=3,
        registered=True,
        session=SESSION if held else None,
        received=5 if held else None,
        then=then,
        now=100.0,
    )
    shipped_compiled().step(context, Closed(3, code))
    return context


@pytest.mark.parametrize("code", FAILS)
@pytest.mark.parametrize(("state", "held"), [*PLACES, *LEFT])
@conforms("P51")
def test_a_fatal_close_fails_with_its_code(state: State, held: bool, code: int) -> None:
    after = closed(state, code, held=held)
    assert after.state is State.FAILED
    assert after.failure is not None
    assert (after.failure.kind, after.failure.code) == ("close_code", code)


@pytest.mark.parametrize("then", list(Then))
@pytest.mark.parametrize("code", FAILS)
@conforms("P51")
def test_a_fatal_close_counts_whatever_was_to_come_after_draining(then: Then, code: int) -> None:
    assert closed(State.DRAINING, code, held=False, then=then).state is State.FAILED


@pytest.mark.parametrize("code", FAILS)
@conforms("P51")
def test_a_failure_says_in_a_sentence_what_to_do(code: int) -> None:
    failure = closed(State.READY, code, held=True).failure
    assert failure is not None
    assert str(code) in failure.reason
    assert failure.reason.endswith(".")


def test_every_documented_code_is_in_one_class() -> None:
    written = [*RESUMES, *IDENTIFIES, *FAILS]
    assert len(set(written)) == len(written)
    assert {code.value for code in CloseCode} <= set(written)


def test_the_kinds_are_those_of_the_table() -> None:
    kinds = {code: close_kind(code) for code in (*RESUMES, *IDENTIFIES, *FAILS)}
    assert {code for code, kind in kinds.items() if kind is CloseKind.FATAL} == set(FAILS) == set(FATAL_CLOSE_CODES)
    assert {code for code, kind in kinds.items() if kind is CloseKind.NEW_SESSION} == set(IDENTIFIES)
    assert {code for code, kind in kinds.items() if kind is CloseKind.RATE_LIMITED} == {4008}
