"""What an operator reads in the log, at which level, and in which fields."""

from __future__ import annotations

import json
import logging
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from gatewright.fsm.errors import IllegalTransition
from gatewright.harness.fake import Answer, Close, Connection, Delay, Drop, Send
from gatewright.spec.events import MetadataError
from gatewright.spec.states import State
from gatewright.transport.errors import AuthenticationFailed
from tests.support.shards import TOKEN, Answers, gateway, shard_on, unavailable

LOGGER = "gatewright.shard.0"
INTERVAL = 41.25


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger=LOGGER)


def at(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    """What is logged at `level` or above, without what follows the move."""
    return [
        record.getMessage().split(" (")[0]
        for record in caplog.records
        if record.name == LOGGER and record.levelno >= level
    ]


def extra(record: logging.LogRecord) -> dict[str, Any]:
    return cast("dict[str, Any]", record.__dict__["gatewright"])


async def test_info_tells_when_the_bot_is_there_and_when_not(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        await trio.sleep(3 * INTERVAL)
        fake.drop()
        await shard.wait_for("backing_off")
        await shard.wait_for("ready")
        await shard.stop()
    assert at(caplog, logging.INFO) == [
        "identified -ready-> ready",
        "ready -closed-> backing_off",
        "resuming -resumed-> ready",
        "ready -stop-> draining",
        "draining -closed-> stopped",
    ]
    assert at(caplog, logging.WARNING) == []
    assert "connecting -opened-> awaiting_hello" in at(caplog, logging.DEBUG)


async def test_a_zombie_is_a_warning(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        fake.go_dark()
        await shard.wait_for("stalled")
        await shard.wait_for("backing_off")
    assert at(caplog, logging.WARNING) == ["ready -heartbeat_due-> stalled"]


async def test_a_connection_that_flaps_becomes_a_warning(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway(script=[Connection(hello=Drop())]) as fake, shard_on(fake) as shard:
        for _ in range(4):
            await shard.wait_for("connecting")
            await shard.wait_for("backing_off")
    loud = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [extra(record)["attempts"] for record in loud] == [2, 3, 4]
    assert "attempt 5 in " in loud[-1].getMessage()


async def test_failing_is_an_error_with_its_reason(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    async with gateway(script=[Connection(after_ready=(Delay(1), Close(4004)))]) as fake, shard_on(fake) as shard:
        with pytest.raises(AuthenticationFailed):
            await shard.wait_for("stopped")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "check DISCORD_TOKEN" in record.getMessage()
    assert extra(record)["failure"]["code"] == 4004


async def test_a_peer_that_repeats_nonsense_is_not_repeated(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        for _ in range(120):
            fake.perform(Send('{"op": 99}'))
        await trio.sleep(1)
    assert len(at(caplog, logging.WARNING)) == 3


async def test_a_refused_command_is_written_down_and_not_loud(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        with pytest.raises(IllegalTransition):
            shard.connect()
    assert "ready -connect-> ready" in at(caplog, logging.DEBUG)
    assert "ready -connect-> ready" not in at(caplog, logging.INFO)


async def test_the_fields_are_json_and_complete(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        fake.drop()
        await shard.wait_for("backing_off")
    (record,) = [record for record in caplog.records if "-> backing_off" in record.getMessage()]
    found = extra(record)
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {
        "shard", "time", "gen", "state", "to", "event", "detail", "reason", "row", "kind", "effects", "cause",
        "attempts", "retry_in", "not_ready_for", "failure",
    }  # fmt: skip
    assert (found["shard"], found["state"], found["to"], found["cause"]) == (0, "ready", "backing_off", "dropped")
    assert found["retry_in"] is not None
    assert TOKEN not in caplog.text + repr([vars(record) for record in caplog.records])


async def test_each_shard_has_its_own_logger(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="gatewright")
    async with gateway() as fake, shard_on(fake, shard_id=3, shard_count=4) as shard:
        await shard.wait_for("ready")
        assert shard.state is State.READY
    assert {record.name for record in caplog.records} == {"gatewright.shard.3"}


async def test_a_connection_that_cannot_be_opened_says_why(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway(script=[Connection(accept=Answer(503))]) as fake, shard_on(fake) as shard:
        await shard.wait_for("backing_off")
    (record,) = [record for record in caplog.records if "-> backing_off" in record.getMessage()]
    assert "rejected: the server answered 503 instead of 101" in record.getMessage()
    assert extra(record)["reason"] == "rejected: the server answered 503 instead of 101"


async def test_a_peer_cannot_write_lines_of_its_own(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    script = [Connection(after_ready=(Close(4000, "tired\nERROR all is lost"),))]
    async with gateway(script=script) as fake, shard_on(fake) as shard:
        await shard.wait_for("backing_off")
    (record,) = [record for record in caplog.records if "-> backing_off" in record.getMessage()]
    assert "4000 'tired\\nERROR all is lost'" in record.getMessage()
    assert "\n" not in record.getMessage()


async def test_metadata_that_does_not_come_is_a_warning_that_says_why_and_not_again_and_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    metadata = Answers(unavailable(MetadataError.TRANSIENT))
    async with gateway() as fake, shard_on(fake, metadata=metadata) as shard:
        await shard.wait_for("connecting")
    told = [record for record in caplog.records if "-metadata_failed->" in record.getMessage()]
    assert len(told) == metadata.asked > 2
    assert [record.levelno for record in told] == [logging.WARNING] + [logging.DEBUG] * (len(told) - 1)
    assert "transient: as the test wants it" in told[0].getMessage()
