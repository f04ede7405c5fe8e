"""The core of a shard: its clock and its timers, its journal and its snapshots."""

import copy
import itertools
from collections.abc import Sequence

import attrs
import pytest

from gatewright.fsm.core import ShardCore, shipped_compiled, shipped_machine
from gatewright.fsm.errors import IllegalTransition
from gatewright.fsm.runtime import DispatchRuntime, Step
from gatewright.harness.monitor import MadeDispatches
from gatewright.harness.walks import Walk
from gatewright.spec.context import Context
from gatewright.spec.effects import ApplyRegistrations, OpenSocket, SendHeartbeat
from gatewright.spec.events import (
    Closed,
    Connect,
    Dispatched,
    Hello,
    MetadataFetched,
    Opened,
    ReconnectRequested,
    Register,
    Registered,
    Stop,
    UnknownMessage,
)
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from tests.fsm.standing import draining, holding, where
from tests.support.conforms import conforms

URL = "wss://main.example/"


def at(state: State, **options: object) -> Walk:
    """A walk that stands in `state`."""
    walk = Walk(**options)  # type: ignore[arg-type]  # the tests' own options
    walk.reach(state)
    return walk


# -- feeding -----------------------------------------------------------------------------------------------------------


def test_feeding_returns_what_must_be_done() -> None:
    assert ShardCore().feed(Register(), now=0.0) == (ApplyRegistrations(),)


def test_the_client_is_known_from_the_first_step_on() -> None:
    core, client = ShardCore(), object()
    core.feed(Register(client), now=0.0)
    assert core.client is client


def test_dispatches_take_the_compiled_path_and_everything_else_the_machine() -> None:
    class Counting:
        def __init__(self) -> None:
            self.events: list[str] = []

        def step(self, context: object, event: object) -> object:
            self.events.append(type(event).__name__)
            return shipped_compiled().step(context, event)  # type: ignore[arg-type]  # it only counts

        def step_dispatch(self, context: Context, gen: int, seq: int, type_: str) -> Step:
            self.events.append(type_)
            return shipped_compiled().step_dispatch(context, gen, seq, type_)

        def step_run(
            self, context: Context, gen: int, seqs: Sequence[int], types: Sequence[str]
        ) -> tuple[int, Step | None]:
            self.events.extend(types)
            return shipped_compiled().step_run(context, gen, seqs, types)

    machine, compiled = Counting(), Counting()
    core = ShardCore(machine=machine, compiled=compiled)  # type: ignore[arg-type]  # it only counts
    core.feed(Register(), now=0.0)
    core.feed(Dispatched(1, seq=1, type="A"), now=0.0)
    core.feed_dispatch(1, 2, "B", now=0.0)
    core.feed_run(1, [3, 4], ["C", "D"], now=0.0)
    assert (machine.events, compiled.events) == (["Register"], ["A", "B", "C", "D"])


@pytest.mark.parametrize("state", [State.RESUMING, State.READY, State.IDENTIFIED, State.DRAINING])
def test_a_dispatch_by_its_fields_leaves_the_same_traces_as_the_event_in_the_machine(state: State) -> None:
    """Effects, journal, counts, numbers and everything a snapshot tells: nobody can say which way it went."""
    one, other = (held(state, compiled) for compiled in (shipped_compiled(), MadeDispatches(shipped_machine())))
    gen = one.gen
    for step, (of, seq) in enumerate([(gen, 5), (gen, 6), (gen, 6), (gen, 4), (gen - 1, 9), (gen, 1000)]):
        now = 100.0 + step / 10
        effects = one.feed_dispatch(of, seq, "MESSAGE_CREATE", now)
        assert effects == other.feed(Dispatched(of, seq, "MESSAGE_CREATE"), now)
        assert one._context == other._context
    assert list(one.journal) == list(other.journal)
    assert one.journal.last()[0].detail == "seq=1000, type='MESSAGE_CREATE'"
    assert one.counts == other.counts
    assert one.metrics() == other.metrics()


@pytest.mark.parametrize("state", [State.RESUMING, State.READY, State.IDENTIFIED, State.DRAINING])
@pytest.mark.parametrize("size", [1, 3, 300])
def test_dispatches_in_runs_leave_the_same_traces_as_their_events_in_the_machine(state: State, size: int) -> None:
    """A run may end anywhere: at a sequence that does not advance, in a state that has no ordinary dispatches."""
    one, other = (held(state, compiled) for compiled in (shipped_compiled(), MadeDispatches(shipped_machine())))
    gen = one.gen
    seqs = [*range(5, 300), 299, 4, *range(301, 310), 305, 310, 311]
    for step, some in enumerate(_batches(seqs, size)):
        now = 100.0 + step / 10
        dispatches = [Dispatched(gen, seq, f"EVENT_{seq}") for seq in some]
        while dispatches:
            columns = [event.seq for event in dispatches], [event.type for event in dispatches]
            taken, effects = one.feed_run(gen, *columns, now)
            if not taken:
                taken, effects = 1, one.feed_dispatch(gen, dispatches[0].seq, dispatches[0].type, now)
            assert [other.feed(event, now) for event in dispatches[:taken]] == [effects] * taken
            assert one._context == other._context
            dispatches = dispatches[taken:]
    assert list(one.journal) == list(other.journal)
    assert len(one.journal) == 256
    assert one.journal.last(7) == other.journal.last(7)
    assert list(one.journal.copy()) == list(other.journal)
    assert one.counts == other.counts
    assert one.metrics() == other.metrics()


def test_a_run_of_an_older_generation_is_no_run() -> None:
    core = held(State.READY, shipped_compiled())
    assert core.feed_run(core.gen - 1, [7], ["A"], 100.0) == (0, ())
    assert core.feed_run(core.gen, [7], ["A"], 100.0)[0] == 1


def _batches(seqs: list[int], size: int) -> list[list[int]]:
    return [seqs[start : start + size] for start in range(0, len(seqs), size)]


def held(state: State, compiled: DispatchRuntime) -> ShardCore:
    """A core in `state`, by the way that a walk goes there; dispatches go through `compiled`."""
    walk = (
        holding(State.RESUMING) if state is State.RESUMING else at(state) if state is not State.DRAINING else draining()
    )
    core = ShardCore(compiled=compiled)
    core._context = copy.copy(walk.core._context)
    return core


def test_a_refused_command_changes_nothing_that_can_be_seen() -> None:
    walk = at(State.FETCHING_METADATA)
    before = walk.core.snapshot()
    with pytest.raises(IllegalTransition):
        walk.core.feed(Connect(), now=walk.now)
    assert walk.core.snapshot() == before


def test_a_command_that_is_possible_is_taken_from_the_same_place() -> None:
    # The positive control of the test above.
    walk = at(State.FETCHING_METADATA)
    before = walk.core.snapshot()
    walk.core.feed(Stop(), now=walk.now)
    assert walk.core.snapshot() != before


def test_two_shards_on_the_same_runtimes_do_not_see_each_other() -> None:
    machine, compiled = shipped_machine(), shipped_compiled()
    one = ShardCore(machine=machine, compiled=compiled)
    other = ShardCore(Settings(shard_id=1, shard_count=2), machine=machine, compiled=compiled)
    one.feed(Register(), now=0.0)
    one.feed(Registered(), now=1.0)
    assert (one.state, other.state) == (State.FETCHING_METADATA, State.IDLE)
    assert (len(one.journal), len(other.journal)) == (2, 0)


# -- time --------------------------------------------------------------------------------------------------------------


def test_time_never_runs_backwards() -> None:
    core = ShardCore(now=100.0)
    core.feed(Register(), now=50.0)
    assert core.next_deadline() == 100.0 + core.settings.registering_timeout


def test_the_next_deadline_is_none_where_nothing_is_awaited() -> None:
    assert ShardCore().next_deadline() is None


def test_the_next_deadline_is_that_of_the_state() -> None:
    walk = at(State.CONNECTING)
    assert walk.core.next_deadline() == walk.now + 20.0


def test_the_next_deadline_is_the_heartbeat_when_it_comes_first() -> None:
    walk = at(State.AWAITING_IDENTIFY_SLOT)  # 30 s, and the first beat after half of 40 s
    assert walk.core.next_deadline() == walk.now + 20.0


def test_the_next_deadline_is_that_of_the_state_when_the_heartbeat_comes_later() -> None:
    walk = Walk(Settings(slot_timeout=5.0))
    walk.reach(State.AWAITING_IDENTIFY_SLOT)
    assert walk.core.next_deadline() == walk.now + 5.0


def test_a_timer_that_is_not_due_is_not_fed() -> None:
    walk = at(State.CONNECTING)
    assert walk.core.tick(walk.now + 19.999) == ()
    assert where(walk) is State.CONNECTING


def test_a_timer_is_fed_at_the_very_moment_at_which_it_is_due() -> None:
    walk = at(State.CONNECTING)
    walk.wait(20.0)
    assert where(walk) is State.STALLED


def test_an_overdue_timer_counts_from_when_it_is_fed() -> None:
    walk = at(State.CONNECTING)
    walk.wait(500.0)
    assert where(walk) is State.STALLED
    assert walk.core.next_deadline() == walk.now + 1.0


def test_of_two_due_timers_the_heartbeat_is_fed_first() -> None:
    walk = Walk(Settings(ready_timeout=20.0))
    walk.reach(State.IDENTIFIED)
    walk.wait(20.0)  # both the first beat and the deadline are due
    assert [record.event for record in walk.core.journal.last(2)] == ["heartbeat_due", "deadline_passed"]


def test_a_delay_of_nothing_is_over_in_the_same_tick() -> None:
    walk = at(State.READY)
    walk.must(ReconnectRequested(walk.gen))
    walk.wait(walk.core.settings.close_timeout)
    assert [record.to for record in walk.core.journal.last(2)] == [State.BACKING_OFF, State.CONNECTING]


def test_ticking_again_at_the_same_moment_does_nothing() -> None:
    walk = at(State.READY)
    walk.elapse()
    assert SendHeartbeat(gen=walk.gen, seq=1) in walk.made
    assert walk.core.tick(walk.now) == ()


# -- the journal -------------------------------------------------------------------------------------------------------


def test_the_journal_tells_time_generation_states_event_row_and_effects() -> None:
    walk = at(State.FETCHING_METADATA)
    walk.wait(2.5)
    walk.must(MetadataFetched(1, URL))
    (record,) = walk.core.journal.last()
    assert (record.time, record.gen, record.state, record.to) == (2.5, 1, State.FETCHING_METADATA, State.CONNECTING)
    assert (record.event, record.row, record.effects) == (
        "metadata_fetched",
        "fetching_metadata.metadata_fetched",
        ("open_socket",),
    )


def test_the_journal_keeps_the_last_steps_and_counts_all() -> None:
    core = ShardCore(journal_size=3)
    core.feed(Register(), now=0.0)
    for moment in range(5):
        core.feed(UnknownMessage(0), now=float(moment))
    assert [record.time for record in core.journal] == [2.0, 3.0, 4.0]
    assert core.journal.written == 6


def test_the_journal_holds_a_refused_command() -> None:
    core = ShardCore()
    with pytest.raises(IllegalTransition):
        core.feed(Connect(), now=0.0)
    (record,) = core.journal
    assert (record.row, record.kind, record.effects) == ("idle.connect", "refuse", ())


def test_a_record_reads_as_one_line() -> None:
    core = ShardCore()
    core.feed(Register(), now=1.5)
    (record,) = core.journal
    assert str(record) == "     1.500  gen 0  idle -register-> registering  [apply_registrations]"


def test_a_record_gives_its_payload_without_the_client() -> None:
    core = ShardCore()
    core.feed(Register("a client with a secret"), now=0.0)
    assert "secret" not in str(next(iter(core.journal)).as_dict())


def test_what_is_not_the_normal_case_is_counted_by_its_row() -> None:
    walk = at(State.READY)
    walk.must(UnknownMessage(walk.gen, 12))
    walk.must(UnknownMessage(walk.gen, 12))
    assert walk.core.counts == {"ready.unknown_message": 2}


# -- snapshots ---------------------------------------------------------------------------------------------------------


def test_a_snapshot_says_connected_in_ready_and_nowhere_else() -> None:
    connected: dict[State, bool] = {}
    walk = Walk()
    connected[where(walk)] = walk.core.snapshot().connected
    walk.must(Register("client"))
    while where(walk) is not State.READY:
        connected[where(walk)] = walk.core.snapshot().connected
        walk.behave()
    connected[where(walk)] = walk.core.snapshot().connected
    assert {state for state, yes in connected.items() if yes} == {State.READY}
    assert len(connected) == 8


def test_asking_for_a_snapshot_changes_nothing() -> None:
    walk = at(State.AWAITING_HELLO)
    first = walk.core.snapshot(walk.now)
    later = walk.core.snapshot(walk.now + 7.0)
    assert walk.core.snapshot(walk.now) == first
    assert (later.age, later.deadline_in) == (first.age + 7.0, 23.0)


def test_a_snapshot_is_a_value_that_does_not_follow_the_shard() -> None:
    walk = at(State.AWAITING_HELLO)
    before = walk.core.snapshot()
    walk.must(Hello(walk.gen, 40.0))
    assert before.state is State.AWAITING_HELLO
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        before.gen = 7  # type: ignore[misc]  # that is the point


def test_a_snapshot_shows_a_cause_only_while_it_says_something_about_now() -> None:
    walk = at(State.READY)
    walk.must(Closed(walk.gen))
    assert walk.core.snapshot().cause == "dropped"
    walk.reach(State.READY)
    assert walk.core.snapshot().cause is None


# -- jitter ------------------------------------------------------------------------------------------------------------


def test_the_die_is_cast_anew_after_every_step_but_a_dispatch() -> None:
    rolls = itertools.count()
    core = ShardCore(random=lambda: next(rolls) / 1000)
    core.feed(Register(), now=0.0)
    core.feed(Dispatched(1, seq=1), now=0.0)
    assert next(rolls) == 2  # one for the beginning, one for the first step


@conforms("A09", "A25", "P14")
def test_the_first_heartbeat_is_spread_by_the_die() -> None:
    due: list[float] = []
    for roll in (0.0, 0.25, 0.75):
        walk = at(State.AWAITING_HELLO, random=lambda roll=roll: roll)
        walk.must(Hello(walk.gen, 40.0))
        deadline = walk.core.next_deadline()
        assert deadline is not None
        due.append(deadline)
    assert due == [0.0, 10.0, 30.0]


def test_a_core_opens_its_socket_at_the_url_of_the_metadata() -> None:
    core = ShardCore()
    for event in (Register(), Registered()):
        core.feed(event, now=0.0)
    assert core.feed(MetadataFetched(1, URL), now=0.0) == (OpenSocket(gen=1, url=URL, resume=False),)
    assert core.feed(Opened(1), now=0.0) == ()
