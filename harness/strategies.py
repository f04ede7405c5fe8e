"""What Hypothesis draws for the walks of :mod:`gatewright.harness.walks`.

* `plausible()`: the outside answers, fails, withholds and comes late, the peer says what it likes on an open socket,
  and the user gives commands. Whatever is no command must have a row.
* `hostile()`: anything of the alphabet, of any generation, at any time. What has no row must raise and change nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

from hypothesis import strategies as st

from gatewright.harness.outside import INTERVAL, MAIN_URL, RESUME_URL
from gatewright.harness.walks import Behave, ComeLate, Fail, Move, Order, Say, Throw, Wait, Walk, Withhold
from gatewright.spec import events
from gatewright.spec.events import Event
from gatewright.spec.rows import Row
from gatewright.spec.session import Session
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.spec.table import TABLE

CLOSE_CODES: Final = (*(None, 4000, 4003, 4006, 4007, 4008, 4009) * 4, 1000, 1001, 4001, 4002, 4005, 4999)
"""Close codes after which there is a next attempt, each kind as often as the others."""
FATAL_CLOSE_CODES: Final = (4004, 4010, 4011, 4012, 4013, 4014)

_SEQUENCES: Final = st.integers(0, 6)
_FEW: Final = st.sampled_from((*range(5), *range(5), *range(5), *range(6)))
"""Which of several; the last, which ends a shard for good, is rare."""
_SECONDS: Final = st.sampled_from((0.0, 0.5, 1.0, 5.0, 19.9, 30.0, 61.0, 120.0, 700.0, 4000.0))


def commands() -> st.SearchStrategy[Event]:
    """Every command; those that end a walk are rare."""
    often = (events.Connect(), events.Reconnect(), events.Suspend(), events.ForceIdentify())
    return st.sampled_from((*often, *often, *often, *often, events.Register("client"), events.Stop()))


def messages() -> st.SearchStrategy[events.Message]:
    """What a peer may say, for generation 0."""
    return st.one_of(
        st.builds(events.Dispatched, st.just(0), _SEQUENCES, st.just("MESSAGE_CREATE")),
        st.just(events.HeartbeatAcked(0)),
        st.just(events.HeartbeatRequested(0)),
        st.just(events.ReconnectRequested(0)),
        st.builds(events.SessionInvalidated, st.just(0), st.booleans()),
        st.builds(events.Hello, st.just(0), st.sampled_from((INTERVAL, 0.1, 600.0))),
        st.builds(
            events.Ready,
            st.just(0),
            _SEQUENCES,
            st.sampled_from(("session a", "session b")),
            st.sampled_from((RESUME_URL, None)),
        ),
        st.builds(events.Resumed, st.just(0), _SEQUENCES),
        st.just(events.UnknownMessage(0, 12)),
        st.builds(events.ProtocolViolation, st.just(0), st.sampled_from(events.ViolationKind)),
    )


def closes() -> st.SearchStrategy[events.Closed]:
    """What ends a socket from the other side, for generation 0."""
    codes = st.sampled_from((*CLOSE_CODES * 4, *FATAL_CLOSE_CODES))
    return st.builds(events.Closed, st.just(0), codes)


def transports() -> st.SearchStrategy[events.ConnectionOutcome]:
    """What happens on an open socket beside messages, for generation 0."""
    return st.one_of(
        closes(),
        st.just(events.ReadingPaused(0)),
        st.just(events.ReadingResumed(0)),
        st.just(events.QueueOverflowed(0)),
        st.just(events.WriteBlocked(0)),
    )


def outcomes() -> st.SearchStrategy[Event]:
    """Every outcome, for generation and request 0."""
    return st.one_of(
        transports(),
        st.just(events.Opened(0)),
        st.builds(events.ConnectFailed, st.just(0), st.sampled_from(events.ConnectError)),
        st.just(events.CloseFlushed(0)),
        st.just(events.Aborted(0)),
        st.builds(events.SlotQueued, st.just(0), st.sampled_from((0.0, 20.0, 1e6))),
        st.just(events.SlotGranted(0)),
        st.builds(
            events.SlotUnavailable, st.just(0), st.sampled_from(events.SlotRefusal), st.sampled_from((0.0, 1.0, 300.0))
        ),
        st.just(events.Registered()),
        st.just(events.RegistrationFailed("it raised")),
        st.just(events.RegistrationUndone()),
        st.just(events.MetadataFetched(0, MAIN_URL)),
        st.builds(
            events.MetadataFailed,
            st.just(0),
            st.sampled_from(events.MetadataError),
            st.just("no"),
            st.sampled_from((0.0, 3.0)),
        ),
    )


def plausible() -> st.SearchStrategy[list[Move]]:
    """Moves of an outside that keeps the driver's contract; answers that were overtaken may still come."""
    behave = st.just(Behave())
    return _long(
        st.one_of(
            *(behave,) * 6,
            st.builds(Say, messages()),
            st.builds(Say, transports()),
            st.just(Withhold()),
            st.builds(Fail, _FEW),
            st.builds(ComeLate, _FEW),
            st.builds(Order, commands()),
            st.builds(Wait, _SECONDS),
        )
    )


def hostile() -> st.SearchStrategy[list[Move]]:
    """Moves without any contract, mixed with some that lead further."""
    behave = st.just(Behave())
    back = st.sampled_from((0, 0, 0, 0, 1, 2, -1))
    return _long(
        st.one_of(
            *(behave,) * 5,
            st.builds(Throw, messages(), back),
            st.builds(Throw, outcomes(), back),
            st.builds(Order, commands()),
            st.just(Withhold()),
            st.builds(Wait, _SECONDS),
        )
    )


def _long(moves: st.SearchStrategy[Move]) -> st.SearchStrategy[list[Move]]:
    """Lists of many moves, which shrink to few: left alone, Hypothesis draws five elements on average."""
    return st.sampled_from((0, 40, 100)).flatmap(lambda size: st.lists(moves, min_size=size, max_size=size + 20))


def sessions() -> st.SearchStrategy[Session | None]:
    """No session, or one that an earlier shard has left, with and without a resume URL."""
    return st.sampled_from(
        (
            None,
            Session(id="imported", resume_url=RESUME_URL, seq=7),
            Session(id="imported", resume_url=None, seq=7),
        )
    )


def configurations() -> st.SearchStrategy[Settings]:
    """Settings that differ where the table looks."""
    return st.sampled_from(
        (
            Settings(),
            Settings(strict_startup=True),
            Settings(max_attempts=9),
            Settings(shard_id=1, shard_count=3),
            Settings(max_failed_resumes=1, max_paused_beats=1, free_identifies=1),
        )
    )


_UP: Final = (State.CONNECTING, State.AWAITING_HELLO, State.READY)
_FRESH: Final = (
    State.IDLE,
    State.REGISTERING,
    State.FETCHING_METADATA,
    State.AWAITING_IDENTIFY_SLOT,
    State.IDENTIFIED,
    *_UP,
)
_IMPORTED: Final = (State.IDLE, State.REGISTERING, State.RESUMING, *_UP)


def _die(rolls: list[float]) -> Callable[[], float]:
    """A die that falls as was drawn, again and again."""
    return itertools.cycle(rolls).__next__


@st.composite
def walks(draw: st.DrawFn, table: tuple[Row, ...] = TABLE) -> Walk:
    """A walk over `table` that stands at a drawn state, having come there by the shortest way."""
    session = draw(sessions())
    rolls = draw(st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=1, max_size=4))
    walk = Walk(draw(configurations()), session=session, random=_die(rolls), table=table)
    walk.reach(draw(st.sampled_from(_FRESH if session is None else _IMPORTED)))
    return walk
