"""The fake gateway by the book: HELLO, IDENTIFY, READY, heartbeats, dispatches, RESUME with replay."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from gatewright.harness.fake import Acted, Close, Closed, CloseFrame, FakeGateway, Received, Rules, Sent, Side
from tests.harness.client import TOKEN, connected


async def test_hello_gives_the_interval_in_milliseconds(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, heartbeat_interval=12.5) as fake, connected(fake) as client:
        hello = await client.read()
    assert hello["op"] == 10
    assert hello["d"]["heartbeat_interval"] == 12_500
    assert {"op", "d", "s", "t"} == set(hello)


async def test_ready_has_the_documented_fields_and_every_guild_unavailable(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, guilds=["41771983423143937"]) as fake, connected(fake) as client:
        ready = await client.start_session(shard=[0, 1])
        resume_url = fake.resume_url
    assert ready["v"] == 10
    assert ready["guilds"] == [{"id": "41771983423143937", "unavailable": True}]
    assert ready["shard"] == [0, 1]
    assert ready["resume_gateway_url"] == resume_url
    assert {"user", "application", "session_id"} <= set(ready)
    assert client.seq == 1


async def test_ready_names_no_shard_that_the_client_did_not_name(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake) as client:
        assert "shard" not in await client.start_session()


async def test_guilds_follow_ready_if_the_intent_was_given(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, guilds=2) as fake:
        async with connected(fake) as client:
            await client.start_session(intents=1)
            assert await client.read_events(2) == ["GUILD_CREATE", "GUILD_CREATE"]
        await trio.sleep(5)
        async with connected(fake) as client:
            await client.start_session(intents=512)
            assert await client.nothing_within(10)


async def test_a_shard_sees_its_own_guilds_only(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, guilds=4, rules=Rules(max_concurrency=2)) as fake:
        seen = list[str]()
        for shard_id in range(2):
            async with connected(fake) as client:
                guilds = [guild["id"] for guild in (await client.start_session(shard=[shard_id, 2]))["guilds"]]
                assert all((int(guild) >> 22) % 2 == shard_id for guild in guilds)
                seen += guilds
        assert len(seen) == len(set(seen)) == 4


async def test_every_heartbeat_is_acknowledged_also_before_identify(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake) as client:
        await client.read()
        for count in (1, 2):
            await client.send(1, None)
            assert (await client.read())["op"] == 11
            assert fake.heartbeats == count


async def test_a_client_that_does_not_beat_is_closed_after_the_tolerance_and_can_resume(
    autojump_clock: MockClock,
) -> None:
    async with FakeGateway(listen=False, heartbeat_interval=10, rules=Rules(heartbeat_tolerance=2)) as fake:
        async with connected(fake) as client:
            await client.start_session()
            assert await client.close_code() == 4000
            assert trio.current_time() == 20
        assert len(fake.sessions) == 1


async def test_a_heartbeat_postpones_the_tolerance(autojump_clock: MockClock) -> None:
    async with (
        FakeGateway(listen=False, heartbeat_interval=10, rules=Rules(heartbeat_tolerance=2)) as fake,
        connected(fake) as client,
    ):
        await client.read()
        for _ in range(5):
            await trio.sleep(19)
            await client.send(1, None)
            assert (await client.read())["op"] == 11
        assert await client.close_code() == 4000
        assert trio.current_time() == 5 * 19 + 20


async def test_dispatches_reach_the_sessions_of_their_shard_or_one_in_sequence(autojump_clock: MockClock) -> None:
    rules = Rules(max_concurrency=2)
    async with FakeGateway(listen=False, guilds=0, rules=rules) as fake, connected(fake) as one, connected(fake) as two:
        await one.start_session(shard=[0, 2])
        await two.start_session(shard=[1, 2])
        odd = {"guild_id": str(1 << 22)}
        await fake.dispatch("MESSAGE_CREATE", {"id": "1"})  # without a guild: shard 0
        await fake.dispatch("MESSAGE_CREATE", odd)
        await fake.dispatch("TYPING_START", {}, session=two.session_id)
        await fake.dispatch("MESSAGE_CREATE", {"id": "2"})
        await fake.dispatch("MESSAGE_CREATE", odd)
        first, second = [await one.read() for _ in range(2)], [await two.read() for _ in range(3)]
    assert [(event["s"], event["d"]) for event in first] == [(2, {"id": "1"}), (3, {"id": "2"})]
    assert [(event["s"], event["t"]) for event in second] == [
        (2, "MESSAGE_CREATE"),
        (3, "TYPING_START"),
        (4, "MESSAGE_CREATE"),
    ]


async def test_a_dispatch_for_a_session_that_is_not_alive_says_which_are(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake) as client:
        await client.start_session()
        with pytest.raises(LookupError, match=f"no session 'x' is alive; alive now: .'{client.session_id}'"):
            await fake.dispatch("TYPING_START", {}, session="x")


async def test_resume_replays_what_was_missed_in_order_and_then_says_resumed(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, guilds=1) as fake:
        async with connected(fake) as client:
            await client.start_session()
            session_id = client.session_id
        await fake.wait_until(lambda log: log.open_connections == 0)
        for number in range(3):
            await fake.dispatch("MESSAGE_CREATE", {"id": str(number)})
        async with connected(fake) as client:
            await client.read()
            await client.resume(session_id, 1)
            replayed = [await client.read() for _ in range(5)]
            await fake.dispatch("TYPING_START", {})
            live = await client.read()
    assert [(event["s"], event["t"]) for event in replayed] == [
        (2, "GUILD_CREATE"),
        (3, "MESSAGE_CREATE"),
        (4, "MESSAGE_CREATE"),
        (5, "MESSAGE_CREATE"),
        (6, "RESUMED"),
    ]
    assert (live["s"], live["t"]) == (7, "TYPING_START")
    assert fake.resumes == fake.identifies == 1


async def test_a_resume_costs_no_identify_budget(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, guilds=0) as fake:
        async with connected(fake) as client:
            await client.start_session()
            session_id = client.session_id
        async with connected(fake) as client:
            await client.read()
            await client.resume(session_id, 1)
            assert (await client.read())["t"] == "RESUMED"
        assert b'"remaining":999' in (await fake.metadata()).body


@pytest.mark.parametrize(("code", "survives"), [(1000, False), (1001, False), (4000, True), (4900, True), (3000, True)])
async def test_a_client_that_leaves_with_1000_or_1001_ends_its_session(
    autojump_clock: MockClock, code: int, survives: bool
) -> None:
    async with FakeGateway(listen=False) as fake:
        async with connected(fake) as client:
            await client.start_session()
            await client.ws.aclose(code)
        assert bool(fake.sessions) is survives


async def test_a_client_that_just_goes_keeps_its_session(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake:
        async with connected(fake) as client:
            await client.start_session()
        await fake.wait_until(lambda log: log.open_connections == 0)
        assert len(fake.sessions) == 1


@pytest.mark.parametrize("code", [4000, 4001, 4002, 4005, 4008])
async def test_our_own_close_keeps_the_session_if_the_code_is_resumable(autojump_clock: MockClock, code: int) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake) as client:
        await client.start_session()
        fake.close(code)
        assert await client.close_code() == code
        assert len(fake.sessions) == 1


@pytest.mark.parametrize("code", [4003, 4004, 4006, 4007, 4009, 4010, 4011, 4012, 4013, 4014])
async def test_our_own_close_ends_the_session_if_the_code_says_so(autojump_clock: MockClock, code: int) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake) as client:
        await client.start_session()
        fake.close(code)
        assert await client.close_code() == code
        assert not fake.sessions


async def test_a_resume_on_a_second_socket_takes_the_session_from_the_first(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, guilds=0) as fake, connected(fake) as first, connected(fake) as second:
        await first.start_session()
        await second.read()
        await second.resume(first.session_id, 1)
        assert (await second.read())["t"] == "RESUMED"
        await fake.dispatch("TYPING_START", {})
        assert (await second.read())["t"] == "TYPING_START"
        assert await first.nothing_within(5)
        await first.ws.aclose(1000)  # no longer the session's connection, so it cannot end it
        assert len(fake.sessions) == 1


async def test_what_was_dispatched_before_a_fault_arrives(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, guilds=0) as fake, connected(fake) as client:
        await client.start_session()
        await fake.dispatch("TYPING_START", {})
        await fake.dispatch("TYPING_START", {})
        fake.drop()
        assert await client.read_events(2) == ["TYPING_START", "TYPING_START"]
        assert await client.close_code() == 1006
        assert trio.current_time() == 0


async def test_after_our_close_frame_what_the_client_says_is_recorded_and_means_nothing(
    autojump_clock: MockClock,
) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake) as client:
        await client.read()
        fake.close(4000)
        message = b'{"op":99,"d":1}'
        await client.stream.send_all(bytes([0x81, 0x80 | len(message), 0, 0, 0, 0]) + message)
        assert await client.close_code() == 4000
        assert fake.log.received(99) == 1
        assert [acted.action for acted in fake.log.of(Acted)] == [Close(4000)]


async def test_the_same_seed_gives_the_same_session_ids(autojump_clock: MockClock) -> None:
    async def session_id(seed: int) -> str:
        async with FakeGateway(listen=False, seed=seed) as fake, connected(fake) as client:
            await client.start_session()
            return client.session_id

    assert await session_id(7) == await session_id(7) != await session_id(8)


async def test_the_log_tells_the_story_in_order(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, guilds=0) as fake:
        async with connected(fake) as client:
            await client.start_session()
            fake.perform(Close(4000, "bye"))
            await client.close_code()
        await fake.wait_until(lambda log: log.open_connections == 0)
        kinds = [type(record).__name__ for record in fake.log]
    assert kinds == ["Opened", "Sent", "Received", "Sent", "Acted", "CloseFrame", "CloseFrame", "Closed"]
    assert fake.connections == fake.max_open_connections == 1
    assert fake.open_connections == 0


async def test_the_log_says_who_ended_a_connection_and_with_which_code(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake:
        async with connected(fake) as client:
            await client.read()  # and then the client just goes
        await fake.wait_until(lambda log: log.open_connections == 0)
        async with connected(fake) as client:
            await client.read()
            await client.ws.aclose(4321)
        await fake.wait_until(lambda log: log.open_connections == 0)
        async with connected(fake) as client:
            await client.read()
            fake.drop()
            await client.close_code()
        await fake.wait_until(lambda log: log.open_connections == 0)
        async with connected(fake) as client:
            await client.read()
            fake.close(4000)
            await client.close_code()
        await fake.wait_until(lambda log: log.open_connections == 0)
        ends = [(closed.by, closed.code) for closed in fake.log.of(Closed)]
        frames = [(frame.by, frame.code) for frame in fake.log.of(CloseFrame)]
    assert ends == [(Side.CLIENT, None), (Side.CLIENT, 4321), (Side.SERVER, None), (Side.SERVER, 4000)]
    assert frames == [(Side.CLIENT, 4321), (Side.SERVER, 4321), (Side.SERVER, 4000), (Side.CLIENT, 4000)]
    assert trio.current_time() == 0, "nobody waits where both have said that they close"


async def test_a_close_frame_without_a_code_keeps_the_session(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, guilds=0) as fake:
        async with connected(fake) as client:
            await client.start_session()
            await client.stream.send_all(b"\x88\x80\0\0\0\0")
            await fake.wait_until(lambda log: log.open_connections == 0)
        assert [frame.code for frame in fake.log.of(CloseFrame)] == [None, None]
        assert len(fake.sessions) == 1


async def test_a_frame_that_is_none_is_closed_with_1002(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake) as client:
        await client.read()
        await client.stream.send_all(b"\xff\xff")
        assert await client.close_code() == 1002
        await fake.wait_until(lambda log: log.open_connections == 0)


async def test_a_ping_is_answered(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake) as client:
        await client.read()
        with trio.fail_after(1):
            await client.ws.ping(b"x")


async def test_a_message_in_fragments_is_one_message(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake) as client:
        await client.read()
        parts = [(0x01, b'{"op"'), (0x00, b":1,"), (0x80, b'"d":null}')]
        for first, part in parts:
            await client.stream.send_all(bytes([first, 0x80 | len(part), 0, 0, 0, 0]) + part)
        assert (await client.read())["op"] == 11


async def test_the_token_is_nowhere_in_the_log_but_whether_it_matched_is(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, token=TOKEN) as fake:
        async with connected(fake, target=f"/?v=10&encoding=json&x={TOKEN}") as client:
            await client.start_session(presence={"status": TOKEN, TOKEN: 1})
            await fake.dispatch("MESSAGE_CREATE", {"content": f"my token is {TOKEN}"})
        async with connected(fake) as client:
            await client.read()
            await client.identify(token="somebody's real token")
            assert await client.close_code() == 4004
        await fake.metadata(path=f"/{TOKEN}")
        text = repr(list(fake.log)) + repr(fake)
        matched = [record.token_matched for record in fake.log.of(Received)]
    assert TOKEN not in text
    assert "somebody's real token" not in text
    assert matched == [True, False]


async def test_max_open_connections_counts_those_that_were_open_together(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake:
        for _ in range(2):
            async with connected(fake) as client:
                await client.read()
        assert fake.max_open_connections == 1
        async with connected(fake), connected(fake):
            await fake.wait_until(lambda log: log.connections == 4)
            assert fake.open_connections == 2
        await fake.wait_until(lambda log: log.open_connections == 0)
        assert fake.max_open_connections == 2


async def test_sent_can_be_counted_by_event_and_by_opcode(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, guilds=2) as fake, connected(fake) as client:
        await client.start_session()
        await client.read_events(2)
        assert fake.log.sent("READY") == 1
        assert fake.log.sent("GUILD_CREATE") == 2
        assert fake.log.sent(op=10) == 1
        assert fake.log.sent() == 4 == len(fake.log.of(Sent))
