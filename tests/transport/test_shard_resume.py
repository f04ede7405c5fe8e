"""Coming back: RESUME and its replay, opcodes 7 and 9, and the URL that a session resumes at."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gatewright.harness.fake import (
    Amend,
    Close,
    Connection,
    Delay,
    Drop,
    FakeGateway,
    Invalidate,
    Opened,
    Reconnect,
    Rules,
    Send,
    Side,
    Withhold,
)
from gatewright.spec.events import ConnectError
from gatewright.spec.protocol import Opcode
from gatewright.spec.states import Cause, State
from gatewright.transport.seams import ConnectionUnavailable
from gatewright.transport.shard import Shard
from gatewright.transport.urls import GatewayUrl
from tests.support.conforms import conforms
from tests.support.shards import Streams, close_codes, collect, gateway, handshakes, payloads, shard_on, times, types

READY = '{"op":0,"s":1,"t":"READY","d":{"session_id":"another","resume_gateway_url":"wss://resume.invalid"}}'


async def resumed(shard: Shard) -> None:
    await shard.wait_for("resuming")
    await shard.wait_for("ready")


# -- the replay --------------------------------------------------------------------------------------------------------


@conforms("P38")
async def test_what_was_missed_is_replayed_in_order_and_marked(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        await collect(shard, 1)
        fake.drop()
        for number in range(3):
            await fake.dispatch("MESSAGE_CREATE", {"id": str(number)})
        await resumed(shard)
        await fake.dispatch("TYPING_START", {})
        dispatches = await collect(shard, 5)
        assert types(dispatches) == ["MESSAGE_CREATE"] * 3 + ["RESUMED", "TYPING_START"]
        assert [dispatch.data.get("id") for dispatch in dispatches[:3]] == ["0", "1", "2"]
        assert [dispatch.replayed for dispatch in dispatches] == [True, True, True, True, False]


async def test_all_dispatches_of_a_session_carry_its_id(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        (ready,) = await collect(shard, 1)
        fake.drop()
        await fake.dispatch("MESSAGE_CREATE", {})
        rest = await collect(shard, 2)
        assert {dispatch.session_id for dispatch in [ready, *rest]} == {ready.data["session_id"]}


@conforms("P35", "P37", "P38")
async def test_resume_asks_for_what_comes_after_the_last_one_received(autojump_clock: MockClock) -> None:
    """Received, and not handled: what waits in the queue is not replayed."""
    async with gateway(guilds=3) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        await wait_all_tasks_blocked()
        fake.drop()
        await resumed(shard)
        (session,) = fake.sessions
        assert payloads(fake, Opcode.RESUME) == [{"session_id": session.id, "seq": 4}]
        dispatches = await collect(shard, 5)
        assert [dispatch.seq for dispatch in dispatches] == [1, 2, 3, 4, 5]


@conforms("P38")
async def test_a_drop_in_the_middle_of_a_replay_goes_on_from_there(autojump_clock: MockClock) -> None:
    script = [Connection(after_ready=Drop()), Connection(replay=(Delay(1),), resumed=Withhold()), Connection()]
    async with gateway(guilds=0, script=script) as fake, shard_on(fake) as shard:
        await collect(shard, 1)
        await shard.wait_for("backing_off")
        for number in range(5):
            await fake.dispatch("MESSAGE_CREATE", {"id": str(number)})
        await collect(shard, 2)
        fake.drop()
        rest = await collect(shard, 4)
        assert [dispatch.seq for dispatch in rest] == [4, 5, 6, 7]
        assert types(rest)[-1] == "RESUMED"


@conforms("P31")
async def test_a_ready_in_answer_to_resume_begins_a_new_session(autojump_clock: MockClock) -> None:
    script = [Connection(after_ready=Drop()), Connection(on_resume=(Send(READY), Withhold()))]
    async with gateway(guilds=0, script=script) as fake, shard_on(fake) as shard:
        first, second = await collect(shard, 2)
        assert types([first, second]) == ["READY", "READY"]
        assert (second.session_id, second.replayed) == ("another", False)
        fake.perform(Send('{"op":0,"s":2,"t":"TYPING_START","d":{}}'))
        (after,) = await collect(shard, 1)
        assert (after.session_id, after.replayed) == ("another", False)


# -- opcode 7 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["hello", "after_hello", "on_identify", "ready", "after_ready"])
@conforms("P11", "P45")
async def test_opcode_7_is_followed_at_any_step(autojump_clock: MockClock, step: str) -> None:
    plan: dict[str, Any] = {step: Reconnect()}
    script = [Connection(**plan), Connection()]
    async with gateway(script=script) as fake, shard_on(fake) as shard:
        await fake.wait_until(lambda log: log.connections == 2)
        await shard.wait_for("ready")
        assert close_codes(fake) == [4900]
        assert handshakes(fake)[-1] == ("resume" if step == "after_ready" else "identify")


@conforms("P45", "P52")
async def test_the_first_opcode_7_is_followed_at_once(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        began = trio.current_time()
        fake.reconnect()
        await resumed(shard)
        assert trio.current_time() == began
        assert fake.max_open_connections == 1


@conforms("P53")
async def test_frames_after_we_have_decided_to_leave_are_void(autojump_clock: MockClock) -> None:
    """Opcode 9 behind opcode 7 would end the session."""
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        for message in ('{"op":7,"d":null}', '{"op":9,"d":false}', '{"op":0,"s":9,"t":"LATE","d":{}}'):
            fake.perform(Send(message))
        await resumed(shard)
        assert handshakes(fake) == ["identify", "resume"]
        assert "LATE" not in types(await collect(shard, 3))


# -- opcode 9 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resumable", [True, False])
@conforms("A02", "P39", "P46", "P47")
async def test_opcode_9_in_a_session_resumes_or_begins_anew(autojump_clock: MockClock, resumable: bool) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        began = trio.current_time()
        fake.invalidate(resumable=resumable)
        await shard.wait_for("backing_off")
        assert shard.snapshot().cause is Cause.INVALID_SESSION
        await shard.wait_for("ready")
        assert handshakes(fake)[-1] == ("resume" if resumable else "identify")
        assert trio.current_time() - began >= 1
        assert close_codes(fake) == [4900]


@conforms("A02", "P39", "P46")
async def test_a_refused_resume_identifies_at_the_main_url(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        fake.end_sessions()
        fake.drop()
        await resumed(shard)
        assert handshakes(fake) == ["identify", "resume", "identify"]
        assert [opened.host for opened in fake.log.of(Opened)] == [
            "gateway.invalid",
            "resume.gateway.invalid",
            "gateway.invalid",
        ]


@conforms("A01", "P46", "P48")
async def test_an_identify_that_is_refused_is_tried_again_later(autojump_clock: MockClock) -> None:
    script = [Connection(on_identify=Invalidate()), Connection()]
    async with gateway(script=script) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        first, second = times(fake, Opcode.IDENTIFY)
        assert second - first >= 5


@conforms("A15")
async def test_three_resumes_without_success_begin_anew(autojump_clock: MockClock) -> None:
    script = [Connection(), *[Connection(on_resume=Drop())] * 3, Connection()]
    async with gateway(script=script) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        fake.drop()
        await shard.wait_for("identified")
        await shard.wait_for("ready")
        assert handshakes(fake) == ["identify", "resume", "resume", "resume", "identify"]


@conforms("A06", "A14")
async def test_a_session_that_lapsed_begins_anew(autojump_clock: MockClock) -> None:
    script = [Connection(), *[Connection(hello=Drop())] * 9, Connection()]
    async with gateway(script=script, rules=Rules(session_lifetime=60)) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        fake.drop()
        await shard.wait_for("identified")
        await shard.wait_for("ready")
        assert close_codes(fake, Side.SERVER) == [4009]
        assert handshakes(fake) == ["identify", "resume", "identify"]


# -- URLs --------------------------------------------------------------------------------------------------------------


class Unreachable:
    """Streams to a fake, but none to its resume URL."""

    def __init__(self, fake: FakeGateway) -> None:
        self.streams = Streams(fake)
        self.refused = 0

    async def __call__(self, url: GatewayUrl) -> trio.abc.Stream:
        if url.host.startswith("resume"):
            self.refused += 1
            raise ConnectionUnavailable(ConnectError.NETWORK, "no such host")
        return await self.streams(url)


@conforms("A04", "P40")
async def test_a_resume_url_that_is_dead_gives_way_to_the_main_one(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        opener = Unreachable(fake)
        async with shard_on(fake, opener=opener) as shard:
            await shard.wait_for("ready")
            fake.drop()
            await resumed(shard)
            assert opener.refused == 2
            assert handshakes(fake) == ["identify", "resume"]


@pytest.mark.parametrize("url", ["::", "http://resume.invalid", "ws://resume.example", 7, None, ""])
@conforms("P35")
async def test_a_resume_url_that_cannot_be_used_is_left_out(autojump_clock: MockClock, url: object) -> None:
    script = [Connection(ready=Amend({"resume_gateway_url": url})), Connection()]
    async with gateway(script=script) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        fake.drop()
        await resumed(shard)
        assert handshakes(fake) == ["identify", "resume"]
        assert [opened.host for opened in fake.log.of(Opened)] == ["gateway.invalid"] * 2


@conforms("P04", "P05", "P36")
async def test_every_connection_asks_for_the_same_version_and_encoding(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        fake.drop()
        await resumed(shard)
        assert {opened.target for opened in fake.log.of(Opened)} == {"/?v=10&encoding=json"}


# -- closes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 4000, 4001, 4002, 4005, 4321, None])
@conforms("A05", "A06", "P16", "P34")
async def test_a_close_that_says_nothing_of_the_session_resumes(autojump_clock: MockClock, code: int | None) -> None:
    end = Drop() if code is None else Close(code)
    async with gateway(script=[Connection(after_ready=end), Connection()]) as fake, shard_on(fake) as shard:
        await resumed(shard)
        assert handshakes(fake) == ["identify", "resume"]


@pytest.mark.parametrize("code", [4003, 4006, 4007, 4009])
@conforms("A06", "P34")
async def test_a_close_that_takes_the_session_identifies(autojump_clock: MockClock, code: int) -> None:
    async with gateway(script=[Connection(after_ready=Close(code)), Connection()]) as fake, shard_on(fake) as shard:
        await shard.wait_for("backing_off")
        assert shard.session is None
        await shard.wait_for("ready")
        assert handshakes(fake) == ["identify", "identify"]


@conforms("P55")
async def test_4008_waits_for_the_rest_of_the_window_and_resumes(autojump_clock: MockClock) -> None:
    async with gateway(script=[Connection(after_ready=Close(4008)), Connection()]) as fake, shard_on(fake) as shard:
        await shard.wait_for("backing_off")
        began = trio.current_time()
        await shard.wait_for("ready")
        assert trio.current_time() - began >= 60
        assert handshakes(fake) == ["identify", "resume"]


async def test_coming_back_the_moment_the_socket_is_left_is_safe(autojump_clock: MockClock) -> None:
    """The old socket's last word comes when the next one is already being opened."""
    async with gateway() as fake:
        streams = Streams(fake)
        async with shard_on(fake, opener=streams) as shard:
            for _ in range(30):
                await shard.wait_for("ready")
                shard.reconnect()
                while shard.state is not State.BACKING_OFF:
                    await trio.lowlevel.checkpoint()
                shard.connect()
            await shard.wait_for("ready")
            assert streams.most_open == 1
            assert handshakes(fake).count("identify") == 1
