"""Words of the fault plans as a client sees them: frames in pieces, odd sequences, forgotten sessions."""

from __future__ import annotations

import pytest
from trio.testing import MockClock
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Ping, Request, TextMessage

from gatewright.harness.fake import Connection, Delay, Dispatch, FakeGateway, Forget, Fragment, RequestHeartbeat
from gatewright.harness.fake.faults import UNREACHABLE, server_frame
from gatewright.transport.seams import ConnectionUnavailable
from tests.harness.client import connected


@pytest.mark.parametrize(("ping", "kinds"), [(True, [TextMessage, Ping, TextMessage]), (False, [TextMessage] * 2)])
async def test_a_fragmented_message_has_control_frames_between(
    autojump_clock: MockClock, ping: bool, kinds: list[type]
) -> None:
    script = [Connection(hello=Fragment(2, ping=ping))]
    async with FakeGateway(listen=False, script=script) as fake:
        stream = await fake.open_stream()
        client = WSConnection(ConnectionType.CLIENT)
        await stream.send_all(client.send(Request(host="x", target="/?v=10")))
        seen: list[object] = []
        while len(seen) < len(kinds):
            client.receive_data(bytes(await stream.receive_some()))
            seen += [event for event in client.events() if not isinstance(event, AcceptConnection)]
        assert [type(event) for event in seen] == kinds
        texts = [event for event in seen if isinstance(event, TextMessage)]
        assert [event.message_finished for event in texts] == [False, True]
        assert '"op":10' in "".join(event.data for event in texts)


async def test_only_the_next_message_is_fragmented(autojump_clock: MockClock) -> None:
    script = [Connection(after_hello=(Fragment(3), RequestHeartbeat(), RequestHeartbeat()))]
    async with FakeGateway(listen=False, script=script) as fake, connected(fake) as client:
        assert [(await client.read())["op"] for _ in range(3)] == [10, 1, 1]


async def test_a_shifted_dispatch_has_its_sequence_and_is_not_kept(autojump_clock: MockClock) -> None:
    shifted = (Dispatch("TYPING_START", shift=0), Dispatch("TYPING_START", shift=-1), Dispatch("TYPING_START"))
    async with FakeGateway(listen=False, guilds=0, script=[Connection(after_ready=shifted)]) as fake:
        async with connected(fake) as client:
            await client.start_session()
            assert [(await client.read())["s"] for _ in shifted] == [1, 0, 2]
            session_id = client.session_id
        async with connected(fake) as client:
            await client.read()
            await client.resume(session_id, 1)
            assert await client.read_events(2) == ["TYPING_START", "RESUMED"]


async def test_a_forgotten_session_cannot_be_resumed(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, script=[Connection(after_ready=(Delay(1), Forget())), Connection()]) as fake:
        async with connected(fake) as client:
            await client.start_session(intents=0)
            assert await client.nothing_within(5)
            session_id = client.session_id
        async with connected(fake) as client:
            await client.read()
            await client.resume(session_id, 1)
            assert (await client.read())["op"] == 9


async def test_the_unreachable_url_is_not_reached_in_memory(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake:
        with pytest.raises(ConnectionUnavailable):
            await fake.open_stream(f"{UNREACHABLE}/?v=10")


def test_a_raw_frame_is_refused_where_its_length_does_not_fit() -> None:
    assert server_frame({"op": 7})[:2] == b"\x81\x08"
    with pytest.raises(ValueError, match="at most 125"):
        server_frame({"d": "x" * 125})
