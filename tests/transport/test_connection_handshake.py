"""Opening a connection: each way in which it fails is told as what it is, once, with nothing of the socket left."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from wsproto.events import AcceptConnection, CloseConnection, TextMessage

from gatewright.spec.events import Aborted, Closed, ConnectError, ConnectFailed, Opened
from gatewright.transport.seams import ConnectionUnavailable
from tests.support.conforms import conforms
from tests.support.connections import pair

REJECTED = b"HTTP/1.1 %d No\r\ncontent-length: 2\r\n\r\nno"


@conforms("P07")
async def test_an_answered_upgrade_opens_it(autojump_clock: MockClock) -> None:
    async with pair() as at:
        await at.peer.accept()
        await wait_all_tasks_blocked()
        assert at.host.outcomes == [Opened(1)]
        assert not at.connection.gone.is_set()


@pytest.mark.parametrize("error", ConnectError)
async def test_a_stream_that_cannot_be_opened_says_why(autojump_clock: MockClock, error: ConnectError) -> None:
    async with pair(refusal=ConnectionUnavailable(error, "no route")) as at:
        await at.connection.gone.wait()
    assert at.host.outcomes == [ConnectFailed(1, error, "no route")]


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 429, 500, 503])
@conforms("P05")
async def test_a_status_instead_of_101_is_a_rejection(autojump_clock: MockClock, status: int) -> None:
    async with pair() as at:
        await at.peer.events()
        await at.peer.raw(REJECTED % status)
        await at.connection.gone.wait()
    assert at.host.outcomes == [ConnectFailed(1, ConnectError.REJECTED, f"the server answered {status} instead of 101")]


@pytest.mark.parametrize(
    "answer",
    [
        bytes(range(256)) * 4,
        b"\0" * 100,
        b"SSH-2.0-OpenSSH_9.6\r\nProtocol mismatch\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 S\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: wrong\r\n\r\n",
        b"HTTP/1.1 101 S\r\nx: " + b"a" * 200_000,
    ],
    ids=["bytes", "zeros", "ssh", "bare-101", "bad-accept", "endless-header"],
)
async def test_what_is_no_answer_is_garbage(autojump_clock: MockClock, answer: bytes) -> None:
    async with pair() as at:
        await at.peer.events()
        await at.peer.raw(answer)
        await at.connection.gone.wait()
    assert at.host.outcomes == [
        ConnectFailed(1, ConnectError.GARBAGE, "the answer to the upgrade cannot be understood")
    ]


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 101 Swi", b"HTTP/1.1 403 No\r\n\r\n"])
async def test_an_end_before_the_answer_is_garbage_too(autojump_clock: MockClock, answer: bytes) -> None:
    async with pair() as at:
        await at.peer.events()
        await at.peer.raw(answer)
        await at.peer.stream.aclose()
        await at.connection.gone.wait()
    assert at.host.outcomes == [ConnectFailed(1, ConnectError.GARBAGE, "it ended before the upgrade")]


async def test_what_comes_together_with_the_101_is_read(autojump_clock: MockClock) -> None:
    async with pair() as at:
        await at.peer.events()
        await at.peer.send(AcceptConnection(), TextMessage("hello"), CloseConnection(4000, "bye"))
        await at.connection.gone.wait()
    assert at.host.messages == ["hello"]
    assert at.host.outcomes == [Opened(1), Closed(1, 4000, "bye")]


async def test_an_end_right_after_the_101_is_a_close(autojump_clock: MockClock) -> None:
    async with pair() as at:
        await at.peer.accept()
        await at.peer.stream.aclose()
        await at.connection.gone.wait()
    assert at.host.outcomes == [Opened(1), Closed(1)]


@pytest.mark.parametrize("answered", [False, True])
async def test_aborting_ends_it_at_any_moment(autojump_clock: MockClock, answered: bool) -> None:
    async with pair() as at:
        if answered:
            await at.peer.accept()
        else:
            await at.peer.events()
        await wait_all_tasks_blocked()
        at.connection.abort()
        at.connection.abort()
        await at.connection.gone.wait()
        assert await at.peer.stream.receive_some() == b""  # no farewell
    assert at.host.outcomes[-1] == Aborted(1)
    assert at.host.names.count("Aborted") == 1


async def test_one_that_is_aborted_in_the_instant_in_which_it_is_answered_ends_at_once(
    autojump_clock: MockClock,
) -> None:
    for passes in (*range(12),) * 8:  # trio decides who is first in a pass, so one try a pass shows little
        async with pair() as at:
            await at.peer.events()
            await at.peer.send(AcceptConnection())
            for _ in range(passes):
                await trio.lowlevel.checkpoint()
            at.connection.abort()
            await at.connection.gone.wait()
            assert await at.peer.stream.receive_some() == b""
        assert at.host.outcomes in ([Aborted(1)], [Opened(1), Aborted(1)])  # the table ignores the former


async def test_one_that_is_aborted_before_it_begins_opens_nothing(autojump_clock: MockClock) -> None:
    async with pair() as at:
        at.connection.abort()
        await at.connection.gone.wait()
    assert at.host.outcomes == [Aborted(1)]


async def test_a_handshake_sets_no_limit_of_its_own(autojump_clock: MockClock) -> None:
    """The state `connecting` has one, and aborts."""
    async with pair() as at:
        await trio.sleep(3600)
        assert at.host.outcomes == []
