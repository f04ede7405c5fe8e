"""What was handled: in any order, once and again, of this session and of one that is over (I17)."""

import heapq
import random
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from gatewright.transport.acks import Acks
from tests.support.conforms import conforms


def noted(*seqs: int, session: str = "s") -> Acks:
    acks = Acks(spanning=True)
    for seq in seqs:
        acks.note(session, seq)
    return acks


def taken(*seqs: int) -> Acks:
    acks = noted(*seqs)
    for seq in seqs:
        acks.take("s", seq)
    return acks


def test_nothing_is_committed_before_something_was_handled() -> None:
    assert taken(1, 2).committed("s") is None


def test_what_is_handled_in_order_is_committed_at_once() -> None:
    acks = taken(1, 2, 3)
    for seq in (1, 2, 3):
        acks.handle("s", seq)
        assert (acks.committed("s"), acks.unhandled) == (seq, 3 - seq)


@conforms("P43")
def test_the_committed_sequence_waits_for_the_oldest_that_is_not_handled() -> None:
    acks = taken(*range(1, 11))
    for seq in (1, 2, 4):
        acks.handle("s", seq)
    assert (acks.committed("s"), acks.oldest, acks.unhandled) == (2, 3, 8)
    acks.handle("s", 3)
    assert (acks.committed("s"), acks.oldest) == (4, 5)


def test_handled_in_reverse_it_moves_with_the_last_one() -> None:
    acks = taken(1, 2, 3)
    for seq in (3, 2):
        acks.handle("s", seq)
        assert (acks.committed("s"), acks.unhandled) == (None, 3)
    acks.handle("s", 1)
    assert (acks.committed("s"), acks.unhandled) == (3, 0)


def test_once_more_does_no_harm() -> None:
    acks = taken(1, 2, 3)
    for seq in (2, 2, 1, 1, 2):
        acks.handle("s", seq)
    assert (acks.committed("s"), acks.unhandled) == (2, 1)


def test_what_was_never_handed_out_cannot_be_handled() -> None:
    acks = noted(1)
    for seq in (1, 99):
        acks.handle("s", seq)
    assert acks.committed("s") is None


def test_a_session_that_is_over_says_nothing_any_more() -> None:
    acks = taken(70)
    acks.note("new", 1)
    acks.take("new", 1)
    acks.handle("s", 70)
    assert (acks.committed("new"), acks.committed("s"), acks.unhandled) == (None, None, 1)
    acks.let_go("s", 1)
    acks.take("s", 1)
    acks.handle("new", 1)
    assert (acks.committed("new"), acks.unhandled) == (1, 0)


@conforms("P43")
def test_a_dispatch_that_comes_again_is_one_dispatch() -> None:
    """A server may replay what it has sent already (P43)."""
    acks = taken(1, 2)
    acks.handle("s", 1)
    for seq in (1, 2, 2):
        acks.note("s", seq)
        acks.take("s", seq)
    assert acks.unhandled == 1
    acks.handle("s", 2)
    assert (acks.committed("s"), acks.unhandled) == (2, 0)


@conforms("P43")
def test_one_that_comes_late_holds_back_those_after_it() -> None:
    acks = taken(2, 9)
    acks.handle("s", 2)
    acks.note("s", 3)
    acks.handle("s", 9)
    assert (acks.committed("s"), acks.oldest) == (2, None)
    acks.take("s", 3)
    assert acks.oldest == 3
    acks.handle("s", 3)
    assert acks.committed("s") == 9


def test_what_is_let_go_counts_as_handled() -> None:
    acks = noted(1, 2, 3, 4)
    acks.let_go("s", 1)
    assert acks.committed("s") == 1
    acks.take("s", 2)
    acks.let_go("s", 3)
    assert (acks.committed("s"), acks.unhandled) == (1, 1)
    acks.handle("s", 2)
    assert (acks.committed("s"), acks.unhandled) == (3, 0)


def test_what_is_let_go_behind_a_slow_consumer_takes_no_memory() -> None:
    acks = taken(1)
    for seq in range(2, 200_000):
        acks.note("s", seq)
        acks.let_go("s", seq)
        assert len(acks._marks) == len(acks._heap) <= 1100
    acks.handle("s", 1)
    assert (acks.committed("s"), len(acks._marks), acks._spare) == (199_999, 0, 0)


def test_where_no_span_is_counted_one_that_is_never_handled_takes_no_memory_either() -> None:
    acks = Acks()
    for seq in range(1, 50_000):
        acks.note("s", seq)
        acks.take("s", seq)
        if seq > 1:
            acks.handle("s", seq)
        assert (acks.unhandled, len(acks._marks) <= 1100) == (1, True)
    acks.handle("s", 1)
    assert (acks.committed("s"), acks.unhandled, acks.oldest) == (49_999, 0, None)


class Model:
    """The same by definition: everything is kept, and the answer is searched for."""

    def __init__(self) -> None:
        self.committed: int | None = None
        self.unsettled: set[int] = set()
        self.settled: set[int] = set()
        self.taken: set[int] = set()

    def look(self) -> int | None:
        below = min(self.unsettled, default=2**63)
        found = max((seq for seq in self.settled if seq < below), default=None)
        if found is not None and (self.committed is None or found > self.committed):
            self.committed = found
        return self.committed

    @property
    def unhandled(self) -> int:
        return sum(self.committed is None or seq > self.committed for seq in self.taken)

    @property
    def oldest(self) -> int | None:
        oldest = min(self.unsettled, default=None)
        return oldest if oldest in self.taken else None


@given(st.integers(0, 2**32), st.integers(0, 3), st.sampled_from([0.0, 0.1, 1.0]), st.sampled_from([0.0, 0.05, 0.3]))
def test_it_is_the_highest_below_which_everything_was_handled(
    seed: int, disorder: int, shuffled: float, dropped: float
) -> None:
    source = random.Random(seed)
    acks, model = Acks(spanning=True), Model()
    waiting: list[int] = []
    out: list[int] = []
    newest = 0
    for _ in range(120):
        match source.randrange(5):
            case 0 | 1:
                newest += 1 + (source.random() < disorder / 10)
                seq = max(1, newest - (source.random() < shuffled) * source.randrange(disorder * 4 + 1))
                acks.note("s", seq)
                if seq not in model.settled | model.unsettled and (model.committed is None or seq > model.committed):
                    model.unsettled.add(seq)
                    waiting.append(seq)
            case 2 if waiting:
                seq = waiting.pop(0)
                if source.random() < dropped:
                    acks.let_go("s", seq)
                    model.unsettled.discard(seq)
                    model.settled.add(seq)
                else:
                    acks.take("s", seq)
                    model.taken.add(seq)
                    out.append(seq)
            case 3 if out:
                seq = out.pop(source.randrange(len(out)) if source.random() < shuffled else 0)
                acks.handle("s", seq)
                model.unsettled.discard(seq)
                model.settled.add(seq)
            case 4 if len(out) == 1 and waiting:
                # A consumer that has one takes some out of its hand, and looks at its numbers between any two.
                hand = deque(waiting[: source.randint(1, len(waiting))])
                if acks.may_lend(len(waiting)):
                    acks.lend(hand)
                    for _ in range(source.randint(0, len(hand))):
                        before, seq = out.pop(), hand.popleft()
                        assert waiting.pop(0) == seq
                        model.unsettled.discard(before)
                        model.settled.add(before)
                        model.taken.add(seq)
                        out.append(seq)
                        if source.random() < shuffled:
                            acks.handle("s", seq)
                            model.unsettled.discard(seq)
                            model.settled.add(seq)
                        if source.random() < 0.5:
                            newest += 1
                            assert acks.note_run("s", newest, newest, 1)
                            model.unsettled.add(newest)
                            waiting.append(newest)
                        if source.random() < 0.5:
                            assert acks.committed("s") == model.look()
                            assert (acks.unhandled, acks.oldest) == (model.unhandled, model.oldest)
                    acks.take_back()
                    out = [seq for seq in out if seq in model.unsettled]
            case _:
                pass
        assert acks.committed("s") == model.look()
        assert (acks.unhandled, acks.oldest) == (model.unhandled, model.oldest)
        assert len(acks._heap) == len(acks._marks)
        assert heapq.nsmallest(1, acks._heap) == acks._heap[:1]


def test_what_is_in_order_takes_no_memory() -> None:
    acks = Acks()
    acks.note("s", 1)
    acks.take("s", 1)
    for seq in range(2, 1000):
        acks.note("s", seq)
    for seq in range(2, 1000):
        acks.handle("s", seq - 1)
        acks.take("s", seq)
        assert (acks.committed("s"), acks.unhandled, len(acks._heap), len(acks._marks)) == (seq - 1, 1, 0, 0)


def test_nothing_is_lent_where_it_would_not_be_known_who_has_handled_what() -> None:
    nothing_out = noted(1, 2)
    another_out = noted(1, 2, 3)
    another_out.take("s", 1)
    another_out.take("s", 2)
    out_of_order = noted(1, 3, 2)
    out_of_order.take("s", 1)
    of_a_session_before = noted(1, 2)
    of_a_session_before.note("new", 1)
    for acks in (nothing_out, another_out, out_of_order):
        assert not acks.may_lend(2)
    of_a_session_before.take("new", 1)
    assert not of_a_session_before.may_lend(1)


def test_order_that_was_lost_and_found_again_takes_no_memory_either() -> None:
    acks = taken(1, 2, 3, 5)
    acks.handle("s", 2)
    for seq in (1, 3, 5):
        acks.handle("s", seq)
    acks.note("s", 6)
    acks.note("s", 5)
    assert (acks.committed("s"), acks.unhandled, len(acks._heap), len(acks._marks)) == (5, 0, 0, 0)
    acks.take("s", 6)
    acks.handle("s", 6)
    assert acks.committed("s") == 6
