"""Why not, what instead, how to get there: the message of a refusal and the answers of explain()."""

import pytest

from gatewright.fsm.core import ShardCore
from gatewright.fsm.errors import IllegalTransition
from gatewright.harness.walks import Walk
from gatewright.spec.events import (
    COMMANDS,
    Connect,
    Hello,
    Opened,
    Reconnect,
    Register,
    Registered,
    Stop,
    Suspend,
)
from gatewright.spec.rows import RowKind
from gatewright.spec.states import State
from gatewright.spec.table import CELLS


def fetching(seconds: float = 0.0) -> Walk:
    """A shard that has asked for metadata so many seconds ago."""
    walk = Walk()
    walk.reach(State.FETCHING_METADATA)
    walk.now += seconds
    return walk


def refusal_of(walk: Walk) -> IllegalTransition:
    with pytest.raises(IllegalTransition) as refusal:
        walk.core.feed(Connect(), walk.now)
    return refusal.value


# -- IllegalTransition -------------------------------------------------------------------------------------------------


def test_a_refusal_says_what_where_why_what_instead_and_what_was_before() -> None:
    assert str(refusal_of(fetching(1.9))) == (
        "connect() is not possible in 'fetching_metadata' (shard 0, generation 0, 1.9 s in this state).\n"
        "  The metadata request decides the URL; the shard connects by itself when it ends.\n"
        "  Possible now: force_identify, suspend, stop."
        "   Last: idle -register-> registering -registered-> fetching_metadata"
    )


def test_a_refusal_carries_its_parts() -> None:
    refusal = refusal_of(fetching())
    assert refusal.state is State.FETCHING_METADATA
    assert refusal.event == Connect()
    assert refusal.legal == ("force_identify", "suspend", "stop")
    assert refusal.why == CELLS[State.FETCHING_METADATA, Connect][0].why


def test_a_refusal_before_anything_happened_has_nothing_that_was_before() -> None:
    with pytest.raises(IllegalTransition) as refusal:
        ShardCore().feed(Connect(), now=0.0)
    assert "Last:" not in str(refusal.value)


def test_what_was_before_are_the_last_three_moves() -> None:
    walk = Walk()
    walk.reach(State.CONNECTING)
    walk.must(Opened(walk.gen))
    last = str(refusal_of(walk)).rpartition("Last: ")[2]
    assert last == "registering -registered-> fetching_metadata -metadata_fetched-> connecting -opened-> awaiting_hello"


def test_a_refusal_where_nothing_is_possible_says_so() -> None:
    walk = Walk()
    walk.must(Stop())
    assert "Possible now: nothing." in str(refusal_of(walk))


def test_an_event_without_a_row_is_refused_as_what_it_is() -> None:
    with pytest.raises(IllegalTransition, match=r"^the event 'registered' is not possible in 'idle'") as refusal:
        ShardCore().feed(Registered(), now=0.0)
    assert "out of step" in refusal.value.why


def test_an_event_without_a_row_is_counted() -> None:
    core = ShardCore()
    with pytest.raises(IllegalTransition):
        core.feed(Registered(), now=0.0)
    assert core.counts == {"illegal": 1}


# -- explain() ---------------------------------------------------------------------------------------------------------


def test_explain_says_that_a_command_is_possible() -> None:
    answer = ShardCore().explain("register")
    assert (answer.possible, answer.path) == (True, ())


def test_explain_says_why_a_command_is_not_possible() -> None:
    answer = fetching().core.explain(Connect)
    assert not answer.possible
    assert answer.why == "The metadata request decides the URL; the shard connects by itself when it ends."


def test_explain_takes_an_event_or_its_name() -> None:
    core = ShardCore()
    assert core.explain(Connect) == core.explain("connect")


def test_explain_lists_what_is_possible_instead() -> None:
    assert ShardCore().explain("connect").legal == ("register", "stop")


def test_explain_gives_the_shortest_way_to_where_the_command_is_possible() -> None:
    path = fetching().core.explain("connect").path
    assert path == (("suspend", State.SUSPENDED),)


def test_explain_gives_the_shortest_way_to_a_wanted_state() -> None:
    path = ShardCore().explain("register", wanted=State.READY).path
    assert path == (
        ("register", State.REGISTERING),
        ("registered", State.CONNECTING),
        ("opened", State.AWAITING_HELLO),
        ("hello", State.RESUMING),
        ("resumed", State.READY),
    )


def test_explain_says_that_there_is_no_way_back_from_the_end() -> None:
    walk = Walk()
    walk.must(Stop())
    answer = walk.core.explain("connect")
    assert answer.path is None
    assert "No way leads there from here." in str(answer)


def test_explain_reads_as_a_few_lines() -> None:
    assert str(fetching().core.explain("connect")).splitlines() == [
        "connect is not possible in 'fetching_metadata'. The metadata request decides the URL; "
        "the shard connects by itself when it ends.",
        "Possible now: force_identify, suspend, stop.",
        "Shortest way: fetching_metadata -suspend-> suspended",
    ]


def test_explain_refuses_a_name_that_no_event_has() -> None:
    with pytest.raises(LookupError, match=r"no event is called 'conect'; there are: .*connect"):
        ShardCore().explain("conect")


def test_explaining_changes_nothing() -> None:
    walk = fetching()
    before, written = walk.core.snapshot(), walk.core.journal.written
    for command in COMMANDS:
        walk.core.explain(command)
    assert (walk.core.snapshot(), walk.core.journal.written) == (before, written)


@pytest.mark.parametrize("state", [State.IDLE, State.REGISTERING, State.CONNECTING, State.AWAITING_HELLO, State.READY])
def test_what_is_said_to_be_possible_is_possible_and_nothing_else(state: State) -> None:
    for command in COMMANDS:
        walk = Walk()
        walk.reach(state)
        legal = walk.core.explain(command).legal
        taken = walk.feed(command())
        kind = next(iter(walk.core.journal.last())).kind if taken else RowKind.REFUSE
        assert (command.name in legal) == (kind is RowKind.TAKE)


def test_possible_follows_the_guards_of_the_moment() -> None:
    walk = Walk()
    walk.reach(State.READY)
    walk.must(Suspend())
    assert walk.core.explain("suspend").possible
    walk.must(Stop())
    assert not walk.core.explain("suspend").possible


def test_a_command_whose_way_is_open_is_explained_with_its_reason() -> None:
    walk = Walk()
    walk.reach(State.AWAITING_HELLO)
    walk.must(Hello(walk.gen, 40.0))
    assert walk.core.explain(Reconnect).why == "The user wants another socket, not another session."
    assert walk.core.explain(Register).possible is False
