"""The book of unanswered requests, against what the server may send: any order, twice, foreign, missing, garbage."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.transport.commands import MAX_NONCE_BYTES
from gatewright.transport.dispatch import Dispatch
from gatewright.transport.errors import (
    AnswerTooLarge,
    RequestLost,
    RequestRateLimited,
    RequestSuperseded,
    TooManyCommands,
)
from gatewright.transport.requests import (
    Book,
    Pending,
    PendingChannelInfo,
    PendingMembers,
    PendingSounds,
    PendingVoice,
    WholeLists,
)
from tests.support.asking import chunk


def book(*, most: int = 100, most_bytes: int = 10**9) -> Book:
    return Book(most=most, most_bytes=most_bytes)


def dispatch(event: str, data: object, seq: int = 1) -> Dispatch:
    return Dispatch(event, seq, msgspec.json.encode(data))


def opened(of: Book, pending: Pending, session: str = "s") -> Any:
    of.open(pending)
    pending.session_id = session
    pending.move(0.0)
    return pending


def offer(to: Book, event: str, data: object, now: float = 1.0) -> None:
    to.offer(dispatch(event, data), now)


# -- chunks ------------------------------------------------------------------------------------------------------------


@attrs.frozen
class Chunks:
    """Some answers, in pieces, and the order in which the pieces come."""

    counts: tuple[int, ...]
    arrivals: tuple[tuple[int, int], ...]
    """(which answer, which chunk of it); some come twice, some never."""


@st.composite
def arrivals(draw: st.DrawFn) -> Chunks:
    counts = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    pieces = [(answer, index) for answer, count in enumerate(counts) for index in range(count)]
    missing = draw(st.sets(st.sampled_from(pieces), max_size=2))
    again = draw(st.lists(st.sampled_from(pieces), max_size=8))
    coming = [piece for piece in pieces if piece not in missing]
    return Chunks(counts, tuple(draw(st.permutations(coming + [piece for piece in again if piece not in missing]))))


FOREIGN = st.sampled_from(
    [
        ("GUILD_MEMBERS_CHUNK", chunk("foreign", 0, 1, 99)),
        ("GUILD_MEMBERS_CHUNK", chunk(None, 0, 1, 99)),
        ("GUILD_MEMBERS_CHUNK", {"nonce": 1}),
        ("MESSAGE_CREATE", {"guild_id": "1", "nonce": "n"}),
        ("RATE_LIMITED", {"opcode": 8, "retry_after": 1, "meta": {"nonce": "foreign"}}),
        ("SOUNDBOARD_SOUNDS", {"guild_id": "1"}),
    ]
)


@given(arrivals(), st.lists(FOREIGN, max_size=5), st.randoms(use_true_random=False))
def test_each_answer_is_complete_exactly_when_each_of_its_chunks_has_come(
    chunks: Chunks, foreign: list[tuple[str, object]], random: Any
) -> None:
    """P64, P65."""
    of = book()
    requests = [opened(of, PendingMembers("1", of.new_nonce(), whole_list=False)) for _ in chunks.counts]
    events: list[tuple[str, object]] = [
        (
            "GUILD_MEMBERS_CHUNK",
            chunk(requests[answer].nonce, index, chunks.counts[answer], 10 * answer + index, guild="1"),
        )
        for answer, index in chunks.arrivals
    ]
    for other in foreign:
        events.insert(random.randint(0, len(events)), other)
    taken: list[list[int]] = [[] for _ in requests]
    for event, data in events:
        offer(of, event, data)
        for request, indices in zip(requests, taken, strict=True):
            if random.random() < 0.5 and (piece := request.take()) is not None:
                indices.append(piece.index)
    for answer, request in enumerate(requests):
        while (piece := request.take()) is not None:
            taken[answer].append(piece.index)
        came = {index for which, index in chunks.arrivals if which == answer}
        assert sorted(taken[answer]) == sorted(came), "each chunk once"
        assert request.complete is (came == set(range(chunks.counts[answer])))
        assert request.waiting == 0
        assert request.missing in {None, chunks.counts[answer] - len(came)}
        assert request.error is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["guild_id", "nonce", "chunk_index", "chunk_count", "opcode", "meta", "user_id", "x"]),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)
EVENTS = st.sampled_from(
    [
        "GUILD_MEMBERS_CHUNK",
        "RATE_LIMITED",
        "SOUNDBOARD_SOUNDS",
        "CHANNEL_INFO",
        "VOICE_STATE_UPDATE",
        "VOICE_SERVER_UPDATE",
        "MESSAGE_CREATE",
    ]
)


@given(st.lists(st.tuples(EVENTS, JSON | st.binary(max_size=30)), max_size=12))
def test_whatever_comes_nothing_is_raised_and_nobodys_answer_is_made_up(events: list[tuple[str, object]]) -> None:
    """P78."""
    of = book()
    waiting: list[Pending] = [
        opened(of, PendingMembers("-1", of.new_nonce(), whole_list=True)),
        opened(of, PendingSounds(["-1"])),
        opened(of, PendingChannelInfo("-1")),
        opened(of, PendingVoice("-1", "-5", "-9", needs_server=True)),
    ]
    for event, data in events:
        raw = data if isinstance(data, bytes) else msgspec.json.encode(data)
        of.offer(Dispatch(event, 1, raw), 1.0)
    assert not any(pending.over for pending in waiting)


def test_nonces_are_short_enough_and_never_the_same() -> None:
    """P64."""
    first, second = book(), book()
    nonces = [of.new_nonce() for of in (first, second) for _ in range(10_000)]
    assert len(set(nonces)) == len(nonces)
    assert max(len(nonce.encode()) for nonce in nonces) <= MAX_NONCE_BYTES


def test_a_chunk_that_does_not_fit_ends_its_own_request_and_no_other() -> None:
    size = dispatch("", chunk("0123456789abcdef-1", 0, 9, 1, guild="1")).view.nbytes
    of = book(most_bytes=3 * size + 10)
    first = opened(of, PendingMembers("1", of.new_nonce(), whole_list=True))
    second = opened(of, PendingMembers("1", of.new_nonce(), whole_list=True))
    for index in range(2):
        offer(of, "GUILD_MEMBERS_CHUNK", chunk(first.nonce, index, 9, 1, guild="1"))
    offer(of, "GUILD_MEMBERS_CHUNK", chunk(second.nonce, 0, 9, 1, guild="1"))
    offer(of, "GUILD_MEMBERS_CHUNK", chunk(second.nonce, 1, 9, 1, guild="1"))
    assert isinstance(second.error, AnswerTooLarge)
    assert first.error is None
    of.close(second)
    offer(of, "GUILD_MEMBERS_CHUNK", chunk(first.nonce, 2, 9, 1, guild="1"))
    assert [first.take().index for _ in range(3)] == [0, 1, 2]


# -- verdicts ----------------------------------------------------------------------------------------------------------


def test_a_rate_limit_without_a_nonce_is_for_the_newest_request_that_nothing_has_come_of() -> None:
    """P67."""
    of = book()
    begun, older, newer = (opened(of, PendingMembers("1", of.new_nonce(), whole_list=True)) for _ in range(3))
    offer(of, "GUILD_MEMBERS_CHUNK", chunk(begun.nonce, 0, 2, 1, guild="1"))
    unsent = PendingMembers("1", of.new_nonce(), whole_list=True)
    of.open(unsent)
    limited = {"opcode": 8, "retry_after": 9.5, "meta": {"guild_id": "1"}}
    ended: list[list[bool]] = []
    for _ in range(3):
        offer(of, "RATE_LIMITED", limited)
        ended.append([request.error is not None for request in (begun, older, newer, unsent)])
        for request in (older, newer):
            if request.over:
                of.close(request)
    assert ended == [
        [False, False, True, False],
        [False, True, True, False],
        [False, True, True, False],
    ]
    assert isinstance(newer.error, RequestRateLimited)
    assert newer.error.retry_after == 9.5
    assert of.whole_lists.delay("1", 1.0) == 9.5


def test_what_is_over_does_not_change() -> None:
    of = book()
    done = opened(of, PendingChannelInfo("1"))
    offer(of, "CHANNEL_INFO", {"guild_id": "1", "channels": []})
    answer = done.answer
    offer(of, "CHANNEL_INFO", {"guild_id": "1", "channels": [1]})
    of.session_is("another")
    of.refused(4002)
    of.end("over")
    assert (done.complete, done.error, done.answer is answer) == (True, None, True)


def test_the_first_reason_stays() -> None:
    of = book()
    request = opened(of, PendingChannelInfo("1"))
    of.refused(4001)
    of.end("over")
    assert "4001" in str(request.error)


def test_a_session_that_is_gone_takes_only_what_was_asked_on_it() -> None:
    """P60."""
    of = book()
    old, new = opened(of, PendingChannelInfo("1"), "old"), opened(of, PendingChannelInfo("2"), "new")
    waiting = PendingChannelInfo("3")
    of.open(waiting)
    of.session_is("new")
    assert isinstance(old.error, RequestLost)
    assert (new.error, waiting.error) == (None, None)


def test_a_voice_command_supersedes_those_of_its_guild_alone() -> None:
    of = book()
    first = opened(of, PendingVoice("1", "5", "9", needs_server=True))
    other = opened(of, PendingVoice("2", "5", "9", needs_server=True))
    second = opened(of, PendingVoice("1", None, "9", needs_server=False))
    assert isinstance(first.error, RequestSuperseded)
    assert (other.error, second.error) == (None, None)


def test_the_book_has_an_end() -> None:
    of = book(most=2)
    first = opened(of, PendingChannelInfo("1"))
    opened(of, PendingChannelInfo("2"))
    with pytest.raises(TooManyCommands, match="2"):
        of.open(PendingChannelInfo("3"))
    of.close(first)
    of.close(first)
    of.open(PendingChannelInfo("3"))
    assert len(of) == 2


# -- whole lists -------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 20)), max_size=40))
def test_two_whole_lists_of_one_guild_are_never_within_30_seconds(asks: list[tuple[str, float]]) -> None:
    """P63."""
    lists, now = WholeLists(), 1000.0
    sent: dict[str, list[float]] = {}
    for guild, pause in asks:
        now += pause
        if lists.delay(guild, now) == 0:
            lists.sent(guild, now)
            sent.setdefault(guild, []).append(now)
    for times in sent.values():
        assert all(later - earlier > 30 for earlier, later in itertools.pairwise(times))
    assert len(lists._free_at) <= 3


def test_guilds_that_may_be_asked_again_are_forgotten() -> None:
    lists = WholeLists()
    for number in range(1000):
        lists.sent(str(number), float(number))
    assert len(lists._free_at) <= 32


def test_a_chunk_of_another_guild_is_no_answer_whatever_its_nonce() -> None:
    of = book()
    request = opened(of, PendingMembers("1", of.new_nonce(), whole_list=False))
    offer(of, "GUILD_MEMBERS_CHUNK", chunk(request.nonce, 0, 1, 9, guild="2"))
    assert (request.begun, request.complete) == (False, False)
