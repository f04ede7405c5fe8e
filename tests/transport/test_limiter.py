"""The send limiter: 120 in 60 s with heartbeats counted and a reserve kept for them, and 5 presences in 20 s."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.spec.errors import ConfigurationError
from gatewright.spec.protocol import Opcode
from gatewright.transport.limiter import SLACK, SendLimiter, reserve
from tests.support.conforms import conforms

COMMAND = Opcode.REQUEST_GUILD_MEMBERS


@attrs.define
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def send(limiter: SendLimiter, op: Opcode, times: int = 1) -> None:
    for _ in range(times):
        limiter.sent(op)


@pytest.mark.parametrize(("interval", "kept"), [(41.25, 3), (45.0, 3), (60.0, 2), (600.0, 2), (30.0, 3), (1.0, 61)])
@conforms("P21", "P56")
def test_the_reserve_covers_the_beats_of_a_window_and_one_more(interval: float, kept: int) -> None:
    assert reserve(interval) == kept


@pytest.mark.parametrize("interval", [0.0, -1.0, float("nan")])
def test_there_is_no_reserve_for_an_interval_that_is_not_positive(interval: float) -> None:
    with pytest.raises(ValueError, match="interval"):
        reserve(interval)


@conforms("P56")
def test_commands_may_use_all_but_the_reserve_at_once() -> None:
    limiter = SendLimiter(Clock(), reserve=3)
    for _ in range(117):
        assert limiter.delay_for(COMMAND) == 0.0
        limiter.sent(COMMAND)
    assert limiter.delay_for(COMMAND) == pytest.approx(60.0 + SLACK)


@conforms("A10", "P21")
def test_heartbeats_are_counted_against_commands() -> None:
    limiter = SendLimiter(Clock(), reserve=3)
    send(limiter, Opcode.HEARTBEAT, 13)
    send(limiter, Opcode.IDENTIFY)
    send(limiter, COMMAND, 105)
    assert limiter.delay_for(COMMAND) == 0.0
    limiter.sent(COMMAND)
    assert limiter.delay_for(COMMAND) > 0
    assert limiter.in_window == 120


def test_beats_within_the_reserve_take_nothing_from_commands() -> None:
    limiter = SendLimiter(Clock(), reserve=3)
    send(limiter, Opcode.HEARTBEAT, 3)
    send(limiter, COMMAND, 116)
    assert limiter.delay_for(COMMAND) == 0.0


@pytest.mark.parametrize("op", [Opcode.HEARTBEAT, Opcode.IDENTIFY, Opcode.RESUME])
@conforms("P21")
def test_what_keeps_the_connection_alive_never_waits(op: Opcode) -> None:
    limiter = SendLimiter(Clock())
    send(limiter, COMMAND, 200)
    assert limiter.delay_for(op) == 0.0


@conforms("A10", "P55", "P56")
def test_the_window_slides_instead_of_starting_anew() -> None:
    clock = Clock()
    limiter = SendLimiter(clock, limit=3, window=60.0, reserve=1, slack=0.0)
    limiter.sent(COMMAND)
    clock.now += 30
    limiter.sent(COMMAND)
    assert limiter.delay_for(COMMAND) == pytest.approx(30)
    clock.now += 30
    assert limiter.delay_for(COMMAND) == 0.0
    limiter.sent(COMMAND)
    assert limiter.delay_for(COMMAND) == pytest.approx(30)


@conforms("P56")
def test_the_reserve_follows_the_interval_that_hello_gave() -> None:
    limiter = SendLimiter(Clock(), reserve=3)
    send(limiter, COMMAND, 100)
    assert limiter.delay_for(COMMAND) == 0.0
    limiter.keep(reserve(3.0))
    assert limiter.delay_for(COMMAND) > 0


def test_a_reserve_that_grows_makes_commands_wait_for_as_many_as_it_takes() -> None:
    clock = Clock(0.0)
    limiter = SendLimiter(clock, limit=5, reserve=1, slack=0.0)
    for clock.now in (0.0, 10.0, 20.0, 30.0):
        limiter.sent(COMMAND)
    limiter.keep(3)
    assert limiter.delay_for(COMMAND) == pytest.approx(60.0 + 20.0 - 30.0)


def test_a_reserve_leaves_at_least_one_send_to_commands() -> None:
    limiter = SendLimiter(Clock(), reserve=reserve(0.1))
    assert limiter.delay_for(COMMAND) == 0.0


@conforms("P58")
def test_presences_have_a_limit_of_their_own() -> None:
    clock = Clock()
    limiter = SendLimiter(clock)
    send(limiter, Opcode.PRESENCE_UPDATE, 5)
    assert limiter.delay_for(Opcode.PRESENCE_UPDATE) == pytest.approx(20.0 + SLACK)
    assert limiter.delay_for(COMMAND) == 0.0
    clock.now += 20.0 + SLACK
    assert limiter.delay_for(Opcode.PRESENCE_UPDATE) == 0.0


def test_presences_wait_for_the_common_limit_as_well() -> None:
    limiter = SendLimiter(Clock())
    send(limiter, COMMAND, 117)
    assert limiter.delay_for(Opcode.PRESENCE_UPDATE) == limiter.delay_for(COMMAND) > 0


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"window": 0.0}, {"slack": -1.0}])
def test_a_limit_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        SendLimiter(Clock(), **wrong)  # type: ignore[arg-type]  # one name at a time, each of its own type


def test_a_negative_reserve_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        SendLimiter(Clock(), reserve=-1)


STEPS = st.lists(
    st.tuples(
        st.floats(0, 30, allow_nan=False),
        st.sampled_from([COMMAND, Opcode.PRESENCE_UPDATE, Opcode.VOICE_STATE_UPDATE]),
    ),
    max_size=120,
)


@given(STEPS, st.floats(5, 60))
@conforms("P55")
def test_whoever_waits_as_told_never_passes_a_limit_and_is_not_put_off_for_ever(
    steps: list[tuple[float, Opcode]], interval: float
) -> None:
    clock = Clock()
    limit, window = 20, 60.0
    limiter = SendLimiter(clock, limit=limit, window=window, reserve=reserve(interval), slack=0.5)
    log: list[tuple[float, Opcode]] = []
    beat_at = clock.now

    def pass_time(seconds: float) -> None:
        nonlocal beat_at
        end = clock.now + seconds
        while beat_at <= end:
            clock.now = max(clock.now, beat_at)
            limiter.sent(Opcode.HEARTBEAT)
            log.append((clock.now, Opcode.HEARTBEAT))
            beat_at += interval
        clock.now = end

    for pause, op in steps:
        pass_time(pause)
        rounds = 0
        while (delay := limiter.delay_for(op)) > 0:
            assert delay <= window + 0.5
            pass_time(delay)
            rounds += 1
            assert rounds <= 2  # nothing but beats came in between, and the reserve is for them
        limiter.sent(op)
        log.append((clock.now, op))
    for index, (at, _) in enumerate(log):
        inside = [op for sent_at, op in log[: index + 1] if sent_at > at - window]
        assert len(inside) <= limit
        assert sum(op is Opcode.PRESENCE_UPDATE for sent_at, op in log[: index + 1] if sent_at > at - 20.0) <= 5
