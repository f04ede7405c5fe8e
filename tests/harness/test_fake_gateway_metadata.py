"""The fake gateway's metadata without HTTP: what it answers, and what a script makes of it."""

from __future__ import annotations

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gatewright.harness.fake import (
    Amend,
    Answer,
    Delay,
    Drop,
    FakeGateway,
    MetadataAnswered,
    MetadataRequested,
    Raw,
    Rules,
    Withhold,
)
from tests.harness.client import TOKEN


async def test_the_answer_has_discords_shape(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, rules=Rules(shards=9, max_concurrency=16)) as fake:
        status, headers, body = await fake.metadata()
        assert status == 200
        assert ("content-type", "application/json") in headers
        assert msgspec.json.decode(body) == {
            "url": fake.url,
            "shards": 9,
            "session_start_limit": {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 16},
        }


async def test_the_plain_end_point_needs_no_token(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake:
        status, _, body = await fake.metadata(path="/gateway", authorized=False)
        assert (status, msgspec.json.decode(body)) == (200, {"url": fake.url})


@pytest.mark.parametrize("authorization", [None, "", TOKEN, f"Bearer {TOKEN}", "Bot other"])
async def test_the_bots_end_point_needs_the_token(autojump_clock: MockClock, authorization: str | None) -> None:
    async with FakeGateway(listen=False, token=TOKEN) as fake:
        status, _, body = await fake.metadata(authorization=authorization, authorized=False)
        assert status == 401
        assert msgspec.json.decode(body) == {"message": "401: Unauthorized", "code": 0}


async def test_another_path_is_not_found(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake:
        assert (await fake.metadata(path="/api/v10/gateway/bot")).status == 200
        assert (await fake.metadata(path="/api/v9/gateway/bot")).status == 404
        assert (await fake.metadata(path="/api/gateway/bot")).status == 200  # as Discord does


async def test_each_request_takes_the_next_plan_and_the_last_one_repeats(autojump_clock: MockClock) -> None:
    script = [Answer(503), Answer(500), Answer(403)]
    async with FakeGateway(listen=False, metadata_script=script) as fake:
        assert [(await fake.metadata()).status for _ in range(4)] == [503, 500, 403, 403]
        fake.metadata_script = []
        assert (await fake.metadata()).status == 200
        assert fake.metadata_requests == 5


async def test_an_answer_can_be_late(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, metadata_script=[(Delay(20), Answer(503))]) as fake:
        assert (await fake.metadata()).status == 503
        assert trio.current_time() == 20


async def test_an_answer_can_be_withheld_until_the_asker_gives_up(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, metadata_script=[Withhold()]) as fake:
        with trio.move_on_after(3600) as patience:
            await fake.metadata()
        assert patience.cancelled_caught
        assert len(fake.log.of(MetadataRequested)) == 1
        assert not fake.log.of(MetadataAnswered)


async def test_a_rate_limit_names_its_seconds(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, metadata_script=[Answer.rate_limited(1.5, whole_bot=True)]) as fake:
        status, headers, body = await fake.metadata()
    assert status == 429
    assert dict(headers)["retry-after"] == "2"
    assert dict(headers)["x-ratelimit-global"] == "true"
    assert msgspec.json.decode(body) == {
        "message": "You are being rate limited.",
        "retry_after": 1.5,
        "global": True,
    }


@pytest.mark.parametrize("body", [b"<html>", b"", b"x" * 10_000_000])
async def test_a_body_can_be_any_bytes(autojump_clock: MockClock, body: bytes) -> None:
    async with FakeGateway(listen=False, metadata_script=[Answer(200, body)]) as fake:
        assert (await fake.metadata()).body == body


async def test_fields_can_be_amended(autojump_clock: MockClock) -> None:
    script = [(Amend({"url": "not a url"}), Amend(without=("shards",)))]
    async with FakeGateway(listen=False, metadata_script=script) as fake:
        content = msgspec.json.decode((await fake.metadata()).body)
    assert content["url"] == "not a url"
    assert set(content) == {"url", "session_start_limit"}


@pytest.mark.parametrize("plan", [Drop(), Drop(reset=True), Raw(b"\x15\x03\x01")])
async def test_what_is_no_answer_is_a_broken_resource(autojump_clock: MockClock, plan: Drop | Raw) -> None:
    async with FakeGateway(listen=False, metadata_script=[plan]) as fake:
        with pytest.raises(trio.BrokenResourceError, match="as its script says"):
            await fake.metadata()


async def test_the_log_has_the_request_and_how_it_ended(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, metadata_script=[Answer(503), Drop()]) as fake:
        await fake.metadata()
        with pytest.raises(trio.BrokenResourceError):
            await fake.metadata(authorization="Bot other")
        requests, answers = fake.log.of(MetadataRequested), fake.log.of(MetadataAnswered)
    assert [request.token_matched for request in requests] == [True, False]
    assert [answer.status for answer in answers] == [503, None]
