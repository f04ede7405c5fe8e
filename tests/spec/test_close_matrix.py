"""Protocol section 3.1 as a table: every close code × session held or not × every state in which a peer can close.

The expectations are written by hand, code by code, and not computed from the engine's classification. Each case is
followed to the next handshake, on both runtimes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from gatewright.fsm.core import shipped_compiled, shipped_machine
from gatewright.fsm.runtime import Runtime
from gatewright.spec.context import Context
from gatewright.spec.effects import Effect, RequestSlot, SendResume
from gatewright.spec.events import Closed, DeadlinePassed, Hello, MetadataFetched, Opened
from gatewright.spec.protocol import CloseCode
from gatewright.spec.session import Metadata, Session
from gatewright.spec.states import SOCKET_STATES, State, Then
from tests.support.conforms import conforms

RESUME, IDENTIFY, FAIL = "resume", "identify", "fail"

# (code, what follows with a session, what follows without one, seconds to wait at least)
ROWS: tuple[tuple[int | None, str, str, float], ...] = (
    (None, RESUME, IDENTIFY, 0),  # a drop of the TCP connection
    (1000, RESUME, IDENTIFY, 0),  # sent by the server, the documentation says nothing (A05)
    (1001, RESUME, IDENTIFY, 0),
    (1002, RESUME, IDENTIFY, 0),
    (1005, RESUME, IDENTIFY, 0),  # a close frame without a code
    (1006, RESUME, IDENTIFY, 0),
    (1011, RESUME, IDENTIFY, 0),
    (3000, RESUME, IDENTIFY, 0),
    (4000, RESUME, IDENTIFY, 0),
    (4001, RESUME, IDENTIFY, 0),
    (4002, RESUME, IDENTIFY, 0),
    (4003, IDENTIFY, IDENTIFY, 0),
    (4004, FAIL, FAIL, 0),
    (4005, RESUME, IDENTIFY, 0),
    (4006, IDENTIFY, IDENTIFY, 0),  # no longer documented
    (4007, IDENTIFY, IDENTIFY, 0),
    (4008, RESUME, IDENTIFY, 60),
    (4009, IDENTIFY, IDENTIFY, 0),
    (4010, FAIL, FAIL, 0),
    (4011, FAIL, FAIL, 0),
    (4012, FAIL, FAIL, 0),
    (4013, FAIL, FAIL, 0),
    (4014, FAIL, FAIL, 0),
    (4015, RESUME, IDENTIFY, 0),  # user accounts only; op 9 decides
    (4016, RESUME, IDENTIFY, 0),
    (4500, RESUME, IDENTIFY, 0),
    (4900, RESUME, IDENTIFY, 0),  # our own code, sent back
    (4999, RESUME, IDENTIFY, 0),
)

STATES = (
    State.AWAITING_HELLO,
    State.AWAITING_IDENTIFY_SLOT,
    State.IDENTIFIED,
    State.RESUMING,
    State.READY,
    State.STALLED,
    State.DRAINING,
)
CANNOT_BE = {
    # Whoever holds a session resumes it, so nobody waits to identify with one; and the last two have one by definition.
    (State.AWAITING_IDENTIFY_SLOT, True),
    (State.IDENTIFIED, True),
    (State.RESUMING, False),
    (State.READY, False),
}
PLACES = [place for place in itertools.product(STATES, (True, False)) if place not in CANNOT_BE]
RUNTIMES: dict[str, Callable[[], Runtime]] = {"machine": shipped_machine, "compiled": shipped_compiled}

HELD = Session(id="held", resume_url="wss://resume.example/", seq=5)
NOW = 1000.0


def shard_in(state: State, *, held: bool, then: Then = Then.RETRY) -> Context:
    return Context(
        state=state,
        gen=3,
        request=1,
        registered=True,
        metadata=Metadata(url="wss://gateway.example/"),
        session=HELD if held else None,
        received=5 if held else None,
        then=then,
        now=NOW,
        entered_at=NOW,
    )


def next_handshake(runtime: Runtime, context: Context) -> type[Effect]:
    """Lets a shard that backs off come back, and tells what it answers HELLO with."""
    assert context.deadline is not None
    context.now = context.deadline
    runtime.step(context, DeadlinePassed())
    if context.state is State.FETCHING_METADATA:
        runtime.step(context, MetadataFetched(context.request, "wss://gateway.example/"))
    runtime.step(context, Opened(context.gen))
    _, effects = runtime.step(context, Hello(context.gen, 41.25))
    (answer,) = {type(effect) for effect in effects} & {SendResume, RequestSlot}
    return answer


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(("state", "held"), PLACES)
@pytest.mark.parametrize(("code", "with_session", "without", "wait"), ROWS)
@conforms("P16", "P34", "P51", "P55", "A05", "A06")
def test_a_close_is_answered_as_section_3_1_says(
    code: int | None, with_session: str, without: str, wait: float, state: State, held: bool, runtime: str
) -> None:
    table = RUNTIMES[runtime]()
    context = shard_in(state, held=held)
    table.step(context, Closed(3, code))
    expected = with_session if held else without
    if expected == FAIL:
        assert context.state is State.FAILED
        assert context.failure is not None
        assert context.failure.code == code
        assert context.deadline is None
        return
    assert context.state is State.BACKING_OFF
    assert context.deadline is not None
    assert context.deadline >= NOW + wait
    if wait:
        assert context.deadline < NOW + 2 * wait
    assert next_handshake(table, context) is (SendResume if expected == RESUME else RequestSlot)
    assert context.session == (HELD if expected == RESUME else None)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(("then", "end"), [(Then.STOP, State.STOPPED), (Then.SUSPEND, State.SUSPENDED)])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row[0]))
@conforms("P51", "P49", "P50")
def test_a_close_on_the_way_out_ends_where_it_was_going_unless_it_is_fatal(
    row: tuple[int | None, str, str, float], then: Then, end: State, runtime: str
) -> None:
    code, with_session, _, _ = row
    context = shard_in(State.DRAINING, held=then is Then.SUSPEND, then=then)
    RUNTIMES[runtime]().step(context, Closed(3, code))
    assert context.state is (State.FAILED if with_session == FAIL else end)
    if context.state is State.SUSPENDED:
        assert context.session == (HELD if with_session == RESUME else None)


def test_the_table_has_every_documented_code_once_and_every_state_with_a_socket() -> None:
    codes = [code for code, *_ in ROWS]
    assert len(set(codes)) == len(codes)
    assert {code.value for code in CloseCode} <= set(codes)
    # While it connects there is no websocket that could be closed.
    assert set(STATES) == set(SOCKET_STATES) - {State.CONNECTING}
