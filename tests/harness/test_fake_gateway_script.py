"""The fake gateway's script: every action, at the steps where it matters, and the live controls that do the same."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gatewright.harness.fake import (
    Acted,
    After,
    Amend,
    Answer,
    Close,
    Connection,
    Dark,
    Delay,
    Dispatch,
    Drop,
    FakeGateway,
    Invalidate,
    Raw,
    Reconnect,
    RequestHeartbeat,
    Send,
    Withhold,
)
from gatewright.harness.fake.script import MessagePlan
from tests.harness.client import Client, connected


async def raw_handshake(fake: FakeGateway) -> trio.abc.Stream:
    stream = await fake.open_stream()
    head = b"GET /?v=10&encoding=json HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    await stream.send_all(head + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n\r\n")
    return stream


async def read_all(stream: trio.abc.Stream, *, within: float = 100) -> tuple[bytes, bool]:
    """Everything that comes, and whether the end came too."""
    answer = b""
    with trio.move_on_after(within):
        while data := await stream.receive_some():
            answer += data
        return answer, True
    return answer, False


async def test_a_step_that_is_held_back_goes_on_when_it_is_told_to(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, script=[Connection(hello=Delay(math.inf))]) as fake, connected(fake) as client:
        with trio.move_on_after(1000) as waiting:
            await client.read()
        assert waiting.cancelled_caught
        assert not fake.go_on("ready")
        before = trio.current_time()
        assert fake.go_on("hello", Reconnect(), Amend({"heartbeat_interval": 7}))
        assert not fake.go_on("hello")
        assert (await client.read())["op"] == 7
        assert (await client.read())["d"]["heartbeat_interval"] == 7
        assert trio.current_time() == before


async def test_each_connection_takes_the_next_plan_and_the_last_one_repeats(autojump_clock: MockClock) -> None:
    script = [Connection(hello=Delay(3)), Connection(hello=Delay(7)), Connection(hello=Delay(1))]
    async with FakeGateway(listen=False, script=script) as fake:
        for wait in (3, 7, 1, 1):
            before = trio.current_time()
            async with connected(fake) as client:
                await client.read()
            assert trio.current_time() == before + wait


async def test_a_new_script_begins_with_the_next_connection(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, script=[Connection(), Connection(hello=Withhold())]) as fake:
        async with connected(fake) as client:
            await client.read()
        fake.script = [Connection(hello=Delay(2)), Connection()]
        async with connected(fake) as client:
            await client.read()
        assert trio.current_time() == 2


# Before the 101.


@pytest.mark.parametrize("plan", [Withhold(), Dark()])
async def test_a_handshake_can_hang(autojump_clock: MockClock, plan: Withhold | Dark) -> None:
    async with FakeGateway(listen=False, script=[Connection(accept=plan)]) as fake:
        assert await read_all(await raw_handshake(fake)) == (b"", False)
        assert fake.open_connections == 1


async def test_a_handshake_can_be_late(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, script=[Connection(accept=Delay(9))]) as fake, connected(fake) as client:
        assert trio.current_time() == 9
        assert (await client.read())["op"] == 10


async def test_a_handshake_can_be_refused_with_an_http_status(autojump_clock: MockClock) -> None:
    script = [Connection(accept=Answer(503, {"message": "x"}, headers={"Retry-After": "7"}))]
    async with FakeGateway(listen=False, script=script) as fake:
        answer, ended = await read_all(await raw_handshake(fake))
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"retry-after: 7\r\n" in answer
    assert answer.endswith(b'\r\n\r\n{"message":"x"}')
    assert ended


async def test_a_handshake_can_be_answered_with_garbage(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, script=[Connection(accept=(Raw(b"SSH-2.0\r\n"), Drop()))]) as fake:
        assert await read_all(await raw_handshake(fake)) == (b"SSH-2.0\r\n", True)


async def test_a_handshake_can_end_in_nothing(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, script=[Connection(accept=Drop())]) as fake:
        assert await read_all(await raw_handshake(fake)) == (b"", True)


async def test_a_live_close_before_the_101_ends_the_socket(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, script=[Connection(accept=Withhold())]) as fake:
        stream = await raw_handshake(fake)
        await fake.wait_until(lambda log: log.connections == 1)
        fake.close(4000)
        assert await read_all(stream) == (b"", True)


# The steps of a connection. Each arrives where the step is due, and sees what happens there.


async def arrive_at(step: str, client: Client, fake: FakeGateway) -> None:
    """Do what makes `step` come up, up to it."""
    if step == "hello":
        return
    await client.read()
    if step == "after_hello":
        return
    if step == "ack":
        await client.send(1, None)
        return
    await client.identify()
    if step in {"on_identify", "ready"}:
        return
    await client.read()
    if step == "guilds":
        return
    await client.read()


STEPS = ["hello", "after_hello", "on_identify", "ready", "guilds", "after_ready", "ack"]


def plan(step: str, actions: MessagePlan) -> Connection:
    return Connection(**{step: actions})  # type: ignore[arg-type]  # the name is one of STEPS


@pytest.mark.parametrize("step", STEPS)
async def test_any_step_can_close(autojump_clock: MockClock, step: str) -> None:
    async with FakeGateway(listen=False, script=[plan(step, Close(4321, "because"))]) as fake:
        async with connected(fake) as client:
            await arrive_at(step, client, fake)
            assert await client.close_code() == 4321
        assert Acted(time=0.0, connection=1, action=Close(4321, "because"), step=step) in fake.log


@pytest.mark.parametrize("step", STEPS)
async def test_any_step_can_drop(autojump_clock: MockClock, step: str) -> None:
    async with (
        FakeGateway(listen=False, script=[plan(step, Drop())]) as fake,
        connected(fake) as client,
    ):
        await arrive_at(step, client, fake)
        assert await client.close_code() == 1006


@pytest.mark.parametrize("step", STEPS)
async def test_any_step_can_go_dark_and_the_socket_stays_open(autojump_clock: MockClock, step: str) -> None:
    async with (
        FakeGateway(listen=False, script=[plan(step, Dark())]) as fake,
        connected(fake) as client,
    ):
        await arrive_at(step, client, fake)
        assert await client.nothing_within(3600)
        assert fake.open_connections == 1


@pytest.mark.parametrize("step", ["hello", "on_identify", "ready", "guilds", "ack"])
async def test_any_step_can_be_withheld_and_the_rest_goes_on(autojump_clock: MockClock, step: str) -> None:
    async with FakeGateway(listen=False, script=[plan(step, Withhold())]) as fake, connected(fake) as client:
        await arrive_at(step, client, fake)
        assert await client.nothing_within(60)
        await client.send(1, None)
        if step == "ack":
            assert await client.nothing_within(10)
        else:
            assert (await client.read())["op"] == 11


@pytest.mark.parametrize("step", ["hello", "on_identify", "ready", "guilds", "ack"])
async def test_any_step_can_be_late(autojump_clock: MockClock, step: str) -> None:
    async with FakeGateway(listen=False, script=[plan(step, Delay(33))]) as fake, connected(fake) as client:
        await arrive_at(step, client, fake)
        assert await client.nothing_within(32.9)
        await client.read()
        assert trio.current_time() == 33


async def test_a_late_ready_holds_up_no_heartbeat(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, script=[Connection(ready=Delay(100))]) as fake, connected(fake) as client:
        await client.read()
        await client.identify()
        await trio.sleep(41)
        await client.send(1, None)
        assert (await client.read())["op"] == 11
        assert trio.current_time() == 41


async def test_a_withheld_ready_makes_no_session_and_a_dark_one_does(autojump_clock: MockClock) -> None:
    script = [Connection(ready=Withhold()), Connection(ready=Dark())]
    async with FakeGateway(listen=False, script=script) as fake:
        for sessions in (0, 1):
            async with connected(fake) as client:
                await client.read()
                await client.identify()
                assert await client.nothing_within(5)
            assert len(fake.sessions) == sessions


async def test_actions_come_in_order_and_then_the_step(autojump_clock: MockClock) -> None:
    hello = (Reconnect(), Delay(2), RequestHeartbeat(), Send("text"), Dispatch("RATE_LIMITED", {"opcode": 8}))
    async with FakeGateway(listen=False, script=[Connection(hello=hello)]) as fake, connected(fake) as client:
        assert (await client.read())["op"] == 7
        assert trio.current_time() == 0
        assert (await client.read())["op"] == 1
        assert trio.current_time() == 2
        assert await client.ws.get_message() == "text"
        event = await client.read()
        assert (event["t"], event["s"], event["d"]) == ("RATE_LIMITED", None, {"opcode": 8})
        assert (await client.read())["op"] == 10


async def test_a_dispatch_in_a_session_has_the_next_sequence(autojump_clock: MockClock) -> None:
    script = [Connection(after_ready=Dispatch("TYPING_START", {"x": 1}))]
    async with FakeGateway(listen=False, guilds=0, script=script) as fake, connected(fake) as client:
        await client.start_session()
        event = await client.read()
        assert (event["t"], event["s"], event["d"]) == ("TYPING_START", 2, {"x": 1})


async def test_a_binary_message_can_be_sent(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, script=[Connection(hello=Send(b"\x00"))]) as fake, connected(fake) as client:
        assert await client.ws.get_message() == b"\x00"


async def test_raw_bytes_break_the_frames(autojump_clock: MockClock) -> None:
    async with (
        FakeGateway(listen=False, script=[Connection(hello=Raw(b"\xff\xff"))]) as fake,
        connected(fake) as client,
    ):
        assert await client.close_code() == 1002


async def test_after_lets_the_step_happen_first(autojump_clock: MockClock) -> None:
    script = [Connection(ack=After(2, (Delay(5), Withhold())))]
    async with FakeGateway(listen=False, script=script) as fake, connected(fake) as client:
        await client.read()
        for _ in range(2):
            await client.send(1, None)
            assert (await client.read())["op"] == 11
        await client.send(1, None)
        assert await client.nothing_within(30)


async def test_amend_replaces_and_leaves_out_fields(autojump_clock: MockClock) -> None:
    script = [
        Connection(
            hello=Amend({"heartbeat_interval": 0}),
            ready=(Amend({"resume_gateway_url": "::"}), Amend(without=("guilds",))),
            guilds=Amend({"unavailable": True}),
        )
    ]
    async with FakeGateway(listen=False, script=script) as fake, connected(fake) as client:
        assert (await client.read())["d"]["heartbeat_interval"] == 0
        await client.identify()
        ready = (await client.read())["d"]
        assert ready["resume_gateway_url"] == "::"
        assert "guilds" not in ready
        assert "session_id" in ready
        assert (await client.read())["d"]["unavailable"] is True


async def test_an_invalidated_identify_may_be_repeated_on_the_same_socket(autojump_clock: MockClock) -> None:
    async with (
        FakeGateway(listen=False, script=[Connection(ready=After(1, Withhold()), on_identify=Delay(0))]) as fake,
        connected(fake) as client,
    ):
        await client.start_session()
        await client.read()
        fake.invalidate()
        refusal = await client.read()
        assert (refusal["op"], refusal["d"]) == (9, False)
        assert not fake.sessions
        await client.send(3, {})
        assert await client.close_code() == 4003


async def test_a_resumable_invalidation_keeps_the_session(autojump_clock: MockClock) -> None:
    script = [Connection(after_ready=Invalidate(resumable=True)), Connection()]
    async with FakeGateway(listen=False, guilds=0, script=script) as fake:
        async with connected(fake) as client:
            await client.start_session()
            refusal = await client.read()
            assert (refusal["op"], refusal["d"]) == (9, True)
            session_id = client.session_id
            await fake.dispatch("TYPING_START", {})
            assert await client.nothing_within(5)
        async with connected(fake) as client:
            await client.read()
            await client.resume(session_id, 1)
            assert await client.read_events(2) == ["TYPING_START", "RESUMED"]


# Resuming.


async def lost_session(fake: FakeGateway, *, missed: int) -> str:
    async with connected(fake) as client:
        await client.start_session()
    await fake.wait_until(lambda log: log.open_connections == 0)
    for number in range(missed):
        await fake.dispatch("MESSAGE_CREATE", {"id": str(number)})
    return client.session_id


@pytest.mark.parametrize("code", [4009, 4000])
async def test_a_resume_can_be_closed(autojump_clock: MockClock, code: int) -> None:
    script = [Connection(), Connection(on_resume=Close(code))]
    async with FakeGateway(listen=False, guilds=0, script=script) as fake:
        session_id = await lost_session(fake, missed=0)
        async with connected(fake) as client:
            await client.read()
            await client.resume(session_id, 1)
            assert await client.close_code() == code
        assert [session.connection for session in fake.sessions] == [None]


async def test_a_resume_can_be_withheld(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, guilds=0, script=[Connection(), Connection(on_resume=Withhold())]) as fake:
        session_id = await lost_session(fake, missed=1)
        async with connected(fake) as client:
            await client.read()
            await client.resume(session_id, 1)
            assert await client.nothing_within(60)
            assert [session.connection for session in fake.sessions] == [None]


async def test_something_can_follow_resumed(autojump_clock: MockClock) -> None:
    script = [Connection(), Connection(after_resumed=(Delay(2), Close(4000)))]
    async with FakeGateway(listen=False, guilds=0, script=script) as fake:
        session_id = await lost_session(fake, missed=0)
        async with connected(fake) as client:
            await client.read()
            await client.resume(session_id, 1)
            assert await client.close_code() == 4000
            assert trio.current_time() == 2
            assert fake.log.sent("RESUMED") == 1


async def test_a_replay_that_breaks_off_goes_on_where_it_stopped(autojump_clock: MockClock) -> None:
    script = [Connection(), Connection(replay=After(2, Drop())), Connection()]
    async with FakeGateway(listen=False, guilds=0, script=script) as fake:
        session_id = await lost_session(fake, missed=4)
        async with connected(fake) as client:
            await client.read()
            await client.resume(session_id, 1)
            assert [(await client.read())["s"] for _ in range(2)] == [2, 3]
            assert await client.close_code() == 1006
        async with connected(fake) as client:
            await client.read()
            await client.resume(session_id, 3)
            assert [(event["s"], event["t"]) for event in [await client.read() for _ in range(3)]] == [
                (4, "MESSAGE_CREATE"),
                (5, "MESSAGE_CREATE"),
                (6, "RESUMED"),
            ]


async def test_what_is_dispatched_during_a_slow_replay_comes_in_its_place(autojump_clock: MockClock) -> None:
    script = [Connection(), Connection(replay=Delay(10), resumed=Delay(10))]
    async with FakeGateway(listen=False, guilds=0, script=script) as fake:
        session_id = await lost_session(fake, missed=1)
        async with connected(fake) as client:
            await client.read()
            await client.resume(session_id, 1)
            await trio.sleep(5)
            await fake.dispatch("TYPING_START", {})  # while the first is replayed
            await trio.sleep(20)
            await fake.dispatch("PRESENCE_UPDATE", {})  # while RESUMED waits
            events = [await client.read() for _ in range(4)]
    assert [(event["s"], event["t"]) for event in events] == [
        (2, "MESSAGE_CREATE"),
        (3, "TYPING_START"),
        (4, "PRESENCE_UPDATE"),
        (5, "RESUMED"),
    ]
    assert trio.current_time() == 30


async def test_resumed_can_be_withheld(autojump_clock: MockClock) -> None:
    script = [Connection(), Connection(resumed=Withhold())]
    async with FakeGateway(listen=False, guilds=0, script=script) as fake:
        session_id = await lost_session(fake, missed=1)
        async with connected(fake) as client:
            await client.read()
            await client.resume(session_id, 1)
            assert await client.read_events(1) == ["MESSAGE_CREATE"]
            assert await client.nothing_within(60)


# Closing.


async def test_a_close_frame_of_the_client_can_stay_unanswered(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, script=[Connection(on_close=Withhold())]) as fake, connected(fake) as client:
        await client.start_session()
        with trio.move_on_after(600) as patience:
            await client.ws.aclose(4000)
        assert patience.cancelled_caught
        assert len(fake.sessions) == 1


async def test_a_close_frame_of_the_client_can_be_answered_late(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, script=[Connection(on_close=Delay(8))]) as fake, connected(fake) as client:
        await client.start_session()
        await client.ws.aclose(1000)
        assert trio.current_time() == 8


async def test_a_socket_waits_five_seconds_for_the_answer_to_its_close_frame(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake:
        stream = await raw_handshake(fake)
        await fake.wait_until(lambda log: log.sent(op=10) == 1)
        await wait_all_tasks_blocked()
        fake.close(4000)
        _, ended = await read_all(stream)
        assert ended
        assert 5 <= trio.current_time() <= 6


# The dark, live.


async def test_in_the_dark_nothing_arrives_and_the_light_brings_it_all(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, guilds=0) as fake, connected(fake) as client:
        await client.start_session()
        await fake.dispatch("TYPING_START", {})
        fake.go_dark()
        await fake.dispatch("PRESENCE_UPDATE", {})
        await client.send(1, 1)
        assert await client.read_events(1) == ["TYPING_START"]
        assert await client.nothing_within(30)
        assert fake.heartbeats == 0
        fake.light_up()
        assert [(event["op"], event["t"]) for event in [await client.read(), await client.read()]] == [
            (0, "PRESENCE_UPDATE"),
            (11, None),
        ]
        assert fake.heartbeats == 1


async def test_the_light_also_comes_back_where_nobody_read(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, guilds=0) as fake, connected(fake) as client:
        await client.start_session()
        fake.go_dark(reading=False)
        for _ in range(2):
            await client.send(1, 1)
            assert await client.nothing_within(5)
        fake.light_up()
        assert [(await client.read())["op"] for _ in range(2)] == [11, 11]


async def test_a_close_frame_sent_into_the_dark_ends_no_session_and_the_end_is_noticed(
    autojump_clock: MockClock,
) -> None:
    async with FakeGateway(listen=False) as fake:
        async with connected(fake) as client:
            await client.start_session()
            fake.go_dark()
            with trio.move_on_after(1):
                await client.ws.aclose(1000)
        await fake.wait_until(lambda log: log.open_connections == 0)
        assert len(fake.sessions) == 1


async def test_in_the_dark_the_client_never_sees_the_server_give_up(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, guilds=0, heartbeat_interval=10) as fake, connected(fake) as client:
        await client.start_session()
        fake.go_dark()
        assert await client.nothing_within(3600)
        assert fake.open_connections == 1


async def test_a_drop_in_the_dark_is_seen_because_the_test_asked_for_it(autojump_clock: MockClock) -> None:
    for reading in (True, False):
        async with FakeGateway(listen=False) as fake, connected(fake) as client:
            await client.read()
            fake.go_dark(reading=reading)
            await client.send(1, None)
            fake.drop()
            assert await client.close_code() == 1006
            await fake.wait_until(lambda log: log.open_connections == 0)


# Which connection.


async def test_a_control_can_be_for_one_connection(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake) as first, connected(fake) as second:
        await first.read()
        await second.read()
        fake.reconnect(connection=2)
        fake.request_heartbeat(connection=1)
        assert (await second.read())["op"] == 7
        assert (await first.read())["op"] == 1
        fake.close(4000, connection=1)
        assert await first.close_code() == 4000
        assert await second.nothing_within(10)


async def test_a_control_for_a_connection_that_is_gone_says_which_are_open(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake) as client:
        await client.read()
        with pytest.raises(LookupError, match=r"connection 7 is not open; open now: \[1\]"):
            fake.close(4000, connection=7)


async def test_sessions_can_be_forgotten_behind_the_clients_back(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, guilds=0) as fake:
        session_id = await lost_session(fake, missed=0)
        fake.end_sessions()
        async with connected(fake) as client:
            await client.read()
            await client.resume(session_id, 1)
            assert (await client.read())["op"] == 9


# What makes no sense is refused when it is said.


@pytest.mark.parametrize(
    "nonsense",
    [
        lambda: Delay(-1),
        lambda: Close(999),
        lambda: Close(5000),
        lambda: Answer(101),
        lambda: After(0, Withhold()),
        lambda: After(1, ()),
        lambda: Connection(hello=Answer(503)),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        lambda: Connection(accept=Close(4000)),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        lambda: FakeGateway(metadata_script=[Reconnect()]),  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
        lambda: FakeGateway(token=""),
    ],
)
def test_nonsense_is_refused(nonsense: Callable[[], object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        nonsense()


def test_a_word_in_the_wrong_place_says_where_it_has_no_meaning() -> None:
    with pytest.raises(
        TypeError, match=r"Close\(.*\) has no meaning before the 101 \(accept=\); what has: Delay, Withhold"
    ):
        Connection(accept=Close(4000))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
