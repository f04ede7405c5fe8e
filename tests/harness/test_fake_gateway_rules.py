"""The fake gateway's demands: a close code for each misuse, identify slots and budget, and how sessions end."""

from __future__ import annotations

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gatewright.harness.fake import FakeGateway, Rules
from tests.harness.client import TOKEN, Client, connected


async def remaining(fake: FakeGateway) -> int:
    limit = msgspec.json.decode((await fake.metadata()).body)["session_start_limit"]
    assert isinstance(limit["remaining"], int)
    return limit["remaining"]


@pytest.mark.parametrize("op", [3, 4, 8, 31, 43])
async def test_a_command_before_identify_is_closed_with_4003(autojump_clock: MockClock, op: int) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake) as client:
        await client.read()
        await client.send(op, {})
        assert await client.close_code() == 4003


@pytest.mark.parametrize("op", [0, 5, 7, 9, 10, 11, 12, 99, -1])
async def test_an_opcode_that_clients_do_not_have_is_closed_with_4001(autojump_clock: MockClock, op: int) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake) as client:
        await client.start_session()
        await client.send(op)
        assert await client.close_code() == 4001


@pytest.mark.parametrize(
    "message",
    ["", "nonsense", "[]", "17", '{"d":1}', '{"op":"1"}', '{"op":true}', '{"op":1.5}', '{"op":1', b"\xff\x00"],
)
async def test_what_cannot_be_decoded_is_closed_with_4002(autojump_clock: MockClock, message: str | bytes) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake) as client:
        await client.read()
        await client.ws.send_message(message)
        assert await client.close_code() == 4002


@pytest.mark.parametrize(("size", "fits"), [(4096, True), (4097, False)])
async def test_a_payload_above_4096_bytes_is_closed_with_4002(autojump_clock: MockClock, size: int, fits: bool) -> None:
    empty = msgspec.json.encode({"op": 1, "d": None, "x": "é"})
    message = empty.replace("é".encode(), ("é" + "x" * (size - len(empty))).encode())
    assert len(message) == size
    async with FakeGateway(listen=False) as fake, connected(fake) as client:
        await client.read()
        await client.ws.send_message(message.decode())
        if fits:
            assert (await client.read())["op"] == 11
        else:
            assert await client.close_code() == 4002


@pytest.mark.parametrize("op", [2, 6])
async def test_a_wrong_token_is_closed_with_4004(autojump_clock: MockClock, op: int) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake) as client:
        await client.read()
        await client.send(op, {"token": "x", "properties": {}, "intents": 0, "session_id": "x", "seq": 1})
        assert await client.close_code() == 4004


async def test_bot_before_the_token_is_forgiven(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake) as client:
        assert await client.start_session(token=f"Bot {TOKEN}")


async def test_a_second_identify_is_closed_with_4005_also_while_ready_is_awaited(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake:
        async with connected(fake) as client:
            await client.start_session()
            await client.identify()
            assert await client.close_code() == 4005
        assert len(fake.sessions) == 1


async def test_a_resume_in_a_session_is_closed_with_4005(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake) as client:
        await client.start_session()
        await client.resume(client.session_id, 1)
        assert await client.close_code() == 4005


@pytest.mark.parametrize("seq", [-1, 3, 10_000])
async def test_a_resume_from_a_sequence_that_never_was_is_closed_with_4007(autojump_clock: MockClock, seq: int) -> None:
    async with FakeGateway(listen=False, guilds=1) as fake:
        async with connected(fake) as client:
            await client.start_session()
            session_id = client.session_id
        async with connected(fake) as client:
            await client.read()
            await client.resume(session_id, seq)
            assert await client.close_code() == 4007
        assert not fake.sessions


@pytest.mark.parametrize(("count", "closed"), [(119, False), (120, True)])
async def test_more_than_120_payloads_in_a_minute_are_closed_with_4008(
    autojump_clock: MockClock, count: int, closed: bool
) -> None:
    async with FakeGateway(listen=False, guilds=0) as fake, connected(fake) as client:
        await client.start_session()  # the IDENTIFY counts
        await trio.sleep(1)
        for _ in range(count):
            await client.send(31, {"guild_ids": []})
        if closed:
            assert await client.close_code() == 4008
            assert len(fake.sessions) == 1
        else:
            assert await client.nothing_within(5)


async def test_the_send_window_slides(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, guilds=0, heartbeat_interval=600) as fake, connected(fake) as client:
        await client.start_session()
        await trio.sleep(50)
        for _ in range(119):
            await client.send(31, {"guild_ids": []})
        await trio.sleep(10)  # the IDENTIFY has left the window, the rest has not
        await client.send(31, {"guild_ids": []})
        assert await client.nothing_within(5)
        await client.send(31, {"guild_ids": []})
        assert await client.close_code() == 4008


async def test_a_session_that_lapsed_is_closed_with_4009_and_then_unknown(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, guilds=0, rules=Rules(session_lifetime=90)) as fake:
        async with connected(fake) as client:
            await client.start_session()
            session_id = client.session_id
        await fake.wait_until(lambda log: log.open_connections == 0)
        await trio.sleep(89)
        async with connected(fake) as client:
            await client.read()
            await client.resume(session_id, 1)
            assert (await client.read())["t"] == "RESUMED"
        await fake.wait_until(lambda log: log.open_connections == 0)
        await trio.sleep(90)
        async with connected(fake) as client:
            await client.read()
            await client.resume(session_id, 1)
            assert await client.close_code() == 4009
        async with connected(fake) as client:
            await client.read()
            await client.resume(session_id, 1)
            assert (await client.read())["op"] == 9


async def test_an_unknown_session_gets_op_9_false_and_may_identify_on_the_same_socket(
    autojump_clock: MockClock,
) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake) as client:
        await client.read()
        await client.resume("unknown", 1)
        refusal = await client.read()
        assert (refusal["op"], refusal["d"]) == (9, False)
        await client.identify()
        assert (await client.read())["t"] == "READY"


async def test_a_resume_that_needs_more_than_was_kept_gets_op_9_false(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, guilds=0, rules=Rules(replay_limit=2)) as fake:
        async with connected(fake) as client:
            await client.start_session()
            session_id = client.session_id
        for _ in range(3):
            await fake.dispatch("TYPING_START", {})  # 2, 3, 4: the first is forgotten
        for seq, answer in ((2, "TYPING_START"), (1, None)):
            async with connected(fake) as client:
                await client.read()
                await client.resume(session_id, seq)
                assert (await client.read())["t"] == answer


@pytest.mark.parametrize("shard", [[-1, 1], [1, 1], [0, 0], [5, 4]])
async def test_a_shard_that_cannot_be_is_closed_with_4010(autojump_clock: MockClock, shard: list[int]) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake) as client:
        await client.read()
        await client.identify(shard=shard)
        assert await client.close_code() == 4010


async def test_too_few_shards_are_closed_with_4011(autojump_clock: MockClock) -> None:
    async def code(fake: FakeGateway, **fields: object) -> int | None:
        async with connected(fake) as client:
            await client.read()
            await client.identify(**fields)
            return await client.close_code()

    async with FakeGateway(listen=False, rules=Rules(required_shards=2)) as fake:
        assert await code(fake) == 4011
        assert await code(fake, shard=[0, 1]) == 4011
        async with connected(fake) as client:
            assert await client.start_session(shard=[0, 2])


@pytest.mark.parametrize("query", ["", "?encoding=json", "?v=6&encoding=json", "?v=11", "?v=ten"])
async def test_another_api_version_is_closed_with_4012(autojump_clock: MockClock, query: str) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake, target=f"/{query}") as client:
        assert await client.close_code() == 4012
        assert fake.log.sent(op=10) == 0


@pytest.mark.parametrize(
    ("intents", "code"),
    [("missing", 4013), (1 << 17, 4013), (-1, 4013), (1 << 40, 4013), (1 << 8, 4014), (1 | 1 << 15, 4014)],
)
async def test_intents_that_are_none_or_not_allowed_are_closed(
    autojump_clock: MockClock, intents: object, code: int
) -> None:
    allowed = ~(1 << 8 | 1 << 15)
    async with FakeGateway(listen=False, rules=Rules(allowed_intents=allowed)) as fake, connected(fake) as client:
        await client.read()
        fields: dict[str, object] = {"token": TOKEN, "properties": {}}
        await client.send(2, fields if intents == "missing" else {**fields, "intents": intents})
        assert await client.close_code() == code


async def test_no_intents_at_all_are_a_value(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake) as client:
        assert await client.start_session(intents=0)


async def test_an_intent_that_the_test_insists_on_is_closed_with_4013_when_missing(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, rules=Rules(required_intents=512)) as fake, connected(fake) as client:
        await client.read()
        await client.identify(intents=1)
        assert await client.close_code() == 4013


@pytest.mark.parametrize(
    "data",
    [
        None,
        {"token": TOKEN},
        {"token": 1, "properties": {}, "intents": 1},
        {"token": TOKEN, "properties": {}, "intents": "1"},
        {"token": TOKEN, "properties": {}, "intents": 1, "shard": [0]},
        {"token": TOKEN, "properties": {}, "intents": 1, "large_threshold": 49},
    ],
)
async def test_an_identify_of_another_shape_is_closed_with_4002(autojump_clock: MockClock, data: object) -> None:
    async with FakeGateway(listen=False) as fake, connected(fake) as client:
        await client.read()
        await client.send(2, data)
        assert await client.close_code() == 4002
        assert fake.identifies == 1


async def test_a_second_identify_of_a_bucket_within_five_seconds_gets_op_9_false(autojump_clock: MockClock) -> None:
    async def answer(shard: list[int]) -> str:
        async with connected(fake) as client:
            await client.read()
            await client.identify(shard=shard)
            payload = await client.read()
            return str(payload["t"] or (payload["op"], payload["d"]))

    async with FakeGateway(listen=False, rules=Rules(max_concurrency=2)) as fake:
        assert await answer([0, 4]) == "READY"
        assert await answer([1, 4]) == "READY"
        await trio.sleep(4.999)
        assert await answer([2, 4]) == "(9, False)"
        await trio.sleep(0.001)
        assert await answer([2, 4]) == "READY"


async def test_the_metadata_count_identifies_down_and_reset_after_a_day(autojump_clock: MockClock) -> None:
    async def identify() -> None:
        async with connected(fake) as client:
            await client.start_session()

    async with FakeGateway(listen=False, rules=Rules(identify_total=10)) as fake:
        assert await remaining(fake) == 10
        await identify()
        await trio.sleep(5)
        await identify()
        assert await remaining(fake) == 8
        limit = msgspec.json.decode((await fake.metadata()).body)["session_start_limit"]
        assert limit == {"total": 10, "remaining": 8, "reset_after": (86_400 - 5) * 1000, "max_concurrency": 1}
        await trio.sleep(86_395)
        assert await remaining(fake) == 10


async def test_one_identify_too_many_ends_every_session_and_voids_the_token(autojump_clock: MockClock) -> None:
    async def code(client: Client) -> int | None:
        await client.read()
        await client.identify()
        return await client.close_code()

    async with FakeGateway(listen=False, guilds=0, rules=Rules(identify_total=1)) as fake, connected(fake) as first:
        await first.start_session()
        await trio.sleep(5)
        async with connected(fake) as second:
            assert await code(second) == 4004
        assert await first.close_code() == 4004
        assert not fake.sessions
        assert (await fake.metadata()).status == 401
        async with connected(fake) as third:
            assert await code(third) == 4004


async def test_what_the_fake_does_not_speak_is_refused_before_the_101_in_words(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake:
        for query, word in (("v=10&encoding=etf", b"etf"), ("v=10&compress=brotli", b"brotli")):
            stream = await fake.open_stream()
            head = f"GET /?{query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            await stream.send_all(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n\r\n".encode())
            answer = b""
            while data := await stream.receive_some():
                answer += data
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert word in answer
