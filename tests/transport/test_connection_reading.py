"""Reading on a connection: each message once and in order, then its end, and pauses that lose nothing."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from wsproto.events import AcceptConnection, CloseConnection, TextMessage

from gatewright.spec.events import Closed, Opened, ViolationKind
from gatewright.transport import connection
from tests.support.connections import Host, Pair, pair
from tests.support.frames import CLOSE, CONTINUATION, PING, TEXT, frame


async def opened(at: Pair) -> None:
    await at.peer.accept()
    await wait_all_tasks_blocked()


async def test_messages_are_fed_in_order_and_before_the_close_behind_them(autojump_clock: MockClock) -> None:
    async with pair() as at:
        await opened(at)
        await at.peer.send(*[TextMessage(str(number)) for number in range(500)], CloseConnection(4000, "bye"))
        await at.connection.gone.wait()
    assert at.host.messages == [str(number) for number in range(500)]
    assert at.host.outcomes == [Opened(1), Closed(1, 4000, "bye")]


async def test_what_comes_with_the_101_is_fed_after_the_opening(autojump_clock: MockClock) -> None:
    order: list[str] = []

    class Ordered(Host):
        def take(self, message: str | bytes) -> bool:
            order.append(f"{message!r} after {self.names}")
            return True

    async with pair(host=Ordered()) as at:
        await at.peer.events()
        await at.peer.send(AcceptConnection(), TextMessage("a"))
        await wait_all_tasks_blocked()
    assert order == ["'a' after ['Opened']"]


async def test_a_pause_holds_back_what_came_in_the_same_piece(autojump_clock: MockClock) -> None:
    async with pair(reading=False) as at:
        await opened(at)
        await at.peer.send(TextMessage("a"), TextMessage("b"), TextMessage("c"))
        await wait_all_tasks_blocked()
        assert at.host.messages == ["a"]
        at.host.reading.set()
        await wait_all_tasks_blocked()
        assert at.host.messages == ["a", "b", "c"]


async def test_a_pause_reads_nothing_more(autojump_clock: MockClock) -> None:
    async with pair(reading=False) as at:
        await opened(at)
        await at.peer.send(TextMessage("a"))
        await wait_all_tasks_blocked()
        progress = at.connection.progress
        await at.peer.send(TextMessage("b"))
        await wait_all_tasks_blocked()
        assert at.connection.progress == progress
        at.host.reading.set()
        await wait_all_tasks_blocked()
        assert at.host.messages == ["a", "b"]


async def test_a_pause_after_every_message_loses_none(autojump_clock: MockClock) -> None:
    class Stuttering(Host):
        def take(self, message: str | bytes) -> bool:
            super().take(message)
            return False

    host = Stuttering()
    host.reading.set()
    async with pair(host=host) as at:
        await opened(at)
        for number in range(0, 30, 3):
            await at.peer.send(*[TextMessage(str(number + step)) for step in range(3)])
        await wait_all_tasks_blocked()
    assert host.messages == [str(number) for number in range(30)]


async def test_a_close_is_told_when_what_came_before_it_was_taken(autojump_clock: MockClock) -> None:
    async with pair(reading=False) as at:
        await opened(at)
        await at.peer.send(TextMessage("a"), TextMessage("b"), CloseConnection(4000))
        await wait_all_tasks_blocked()
        assert at.host.outcomes == [Opened(1)]
        at.host.reading.set()
        await at.connection.gone.wait()
    assert (at.host.messages, at.host.outcomes[-1]) == (["a", "b"], Closed(1, 4000))


async def test_what_waits_for_room_is_thrown_away_when_we_close(autojump_clock: MockClock) -> None:
    async with pair(reading=False) as at:
        await opened(at)
        await at.peer.send(TextMessage("a"), TextMessage("b"))
        await wait_all_tasks_blocked()
        at.connection.close(4900)
        await wait_all_tasks_blocked()
        at.host.reading.set()
        await wait_all_tasks_blocked()
        assert at.host.messages == ["a"]
        await at.peer.raw(frame(TEXT, b"c") + frame(CLOSE, b"\x13\x24"))
        await at.connection.gone.wait()
    assert (at.host.messages, at.host.outcomes[-1]) == (["a"], Closed(1))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"x", masked=True), 1002),
        (frame(TEXT, b"x", rsv=4), 1002),
        (frame(CONTINUATION, b"x"), 1002),
        (frame(PING, b"x" * 200), 1002),
        (frame(TEXT, b"\xff"), 1007),
    ],
)
async def test_a_malformed_frame_ends_it_behind_what_came_before(
    autojump_clock: MockClock, data: bytes, code: int
) -> None:
    async with pair() as at:
        await opened(at)
        await at.peer.raw(frame(TEXT, b"a") + data + frame(TEXT, b"b"))
        await at.connection.gone.wait()
    assert at.host.messages == ["a"]
    (_, closed) = at.host.outcomes
    assert isinstance(closed, Closed)
    assert closed.code == code


@pytest.mark.parametrize("fin", [True, False])
async def test_a_message_that_is_too_large_is_a_violation_in_its_place(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, fin: bool
) -> None:
    """Not a close with 1009, after which the same READY would come again and again."""
    monkeypatch.setattr(connection, "MAX_MESSAGE_BYTES", 100)
    async with pair() as at:
        await opened(at)
        large = frame(TEXT, b"x" * 60, fin=fin) + frame(CONTINUATION, b"x" * 60) if not fin else frame(TEXT, b"x" * 101)
        await at.peer.raw(frame(TEXT, b"a") + large + frame(TEXT, b"b"))
        await wait_all_tasks_blocked()
        assert at.host.messages == ["a"]
        (violation,) = at.host.violations
        assert (violation.gen, violation.violation, violation.detail) == (
            1,
            ViolationKind.TOO_LARGE,
            "a message has more than 100 bytes",
        )
        assert not at.connection.gone.is_set()  # the machine says what follows


@pytest.mark.parametrize("paused", [False, True])
async def test_a_defect_of_ours_is_not_taken_for_a_fault_of_the_peer(autojump_clock: MockClock, paused: bool) -> None:
    class Defective(Host):
        def take(self, message: str | bytes) -> bool:
            if message == "b" or not paused:
                raise ZeroDivisionError
            return False

    host = Defective()
    host.reading.set()
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with pair(host=host) as at:
            await opened(at)
            await at.peer.send(TextMessage("a"), TextMessage("b"))
            await trio.sleep(1)
    assert host.outcomes == [Opened(1)]
