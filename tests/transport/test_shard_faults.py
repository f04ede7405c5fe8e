"""A network that fails: silence, slowness and sudden ends, each noticed, named and survived with the session."""

import itertools

import pytest
import trio
from trio.testing import MockClock

from gatewright.fsm.journal import Record
from gatewright.harness.fake import (
    After,
    Answer,
    Close,
    Connection,
    Dark,
    Delay,
    Drop,
    Raw,
    Received,
    RequestHeartbeat,
    Rules,
    Send,
    Withhold,
)
from gatewright.spec.protocol import Opcode
from gatewright.spec.settings import Settings
from gatewright.spec.states import Cause, State
from gatewright.transport import driver
from gatewright.transport.connection import Connection as Socket
from gatewright.transport.shard import Shard
from tests.support.conforms import conforms
from tests.support.shards import Streams, close_codes, gateway, handshakes, path, shard_on

INTERVAL = 41.25
PATIENT = Rules(heartbeat_tolerance=None)


def steps(shard: Shard, event: str) -> list[Record]:
    return [record for record in shard.journal if record.event == event]


# -- heartbeats --------------------------------------------------------------------------------------------------------


@conforms("P13", "P14", "P17")
async def test_heartbeats_go_out_at_their_interval_after_a_jittered_first(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        await trio.sleep(5 * INTERVAL)
        times = [seen.time for seen in fake.log.of(Received) if seen.op == Opcode.HEARTBEAT]
        assert 0 <= times[0] < INTERVAL
        assert [round(b - a, 6) for a, b in itertools.pairwise(times)] == [INTERVAL] * (len(times) - 1)


@conforms("P18")
async def test_a_missing_ack_is_noticed_when_the_next_beat_is_due(autojump_clock: MockClock) -> None:
    script = [Connection(ack=After(2, Withhold())), Connection()]
    async with gateway(script=script, rules=PATIENT) as fake, shard_on(fake) as shard:
        await shard.wait_for("stalled")
        beats = [seen.time for seen in fake.log.of(Received) if seen.op == Opcode.HEARTBEAT]
        assert len(beats) == 3
        assert trio.current_time() == pytest.approx(beats[-1] + INTERVAL)
        assert shard.snapshot().cause is Cause.ZOMBIE
        await shard.wait_for("ready")
        assert (handshakes(fake), close_codes(fake)) == (["identify", "resume"], [4900])


@conforms("P13", "P18")
async def test_a_zombie_before_ready_is_left_too(autojump_clock: MockClock) -> None:
    script = [Connection(ready=Withhold(), ack=Withhold()), Connection()]
    async with gateway(script=script, rules=PATIENT) as fake, shard_on(fake) as shard:
        await shard.wait_for("stalled")
        assert trio.current_time() < 3 * INTERVAL
        await shard.wait_for("ready")


@conforms("A08", "P19")
async def test_beats_that_the_server_asks_for_neither_make_nor_hide_a_zombie(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        for _ in range(20):
            await trio.sleep(10)
            fake.request_heartbeat()
        assert "stalled" not in path(shard)
        assert fake.heartbeats >= 20


@conforms("P19")
async def test_a_beat_that_is_asked_for_is_sent_at_once(autojump_clock: MockClock) -> None:
    async with gateway(script=[Connection(after_hello=RequestHeartbeat())]) as fake, shard_on(fake):
        await fake.wait_until(lambda log: log.heartbeats == 1)
        assert trio.current_time() == 0


async def test_a_slow_ack_is_no_zombie(autojump_clock: MockClock) -> None:
    async with gateway(script=[Connection(ack=Delay(INTERVAL - 0.1))]) as fake, shard_on(fake) as shard:
        await trio.sleep(20 * INTERVAL)
        assert (shard.state, fake.connections) == (State.READY, 1)
        assert shard.latency == pytest.approx(INTERVAL - 0.1)


@conforms("A07")
async def test_an_ack_that_comes_with_the_next_beat_is_seen_first(autojump_clock: MockClock) -> None:
    """Both are due at the same moment; what was received goes first (I23)."""
    async with gateway(script=[Connection(ack=Delay(INTERVAL))]) as fake, shard_on(fake) as shard:
        await trio.sleep(20 * INTERVAL)
        assert (shard.state, fake.connections) == (State.READY, 1)


async def test_a_dark_peer_costs_a_second_and_not_the_session(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        fake.go_dark()
        await shard.wait_for("stalled")
        began = trio.current_time()
        await shard.wait_for("backing_off")
        assert trio.current_time() - began <= Settings().close_timeout
        await shard.wait_for("ready")
        assert handshakes(fake) == ["identify", "resume"]


async def test_a_flood_does_not_hold_a_heartbeat_back(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that never rests: something was read in every pass of the loop."""
    passes = itertools.count()
    monkeypatch.setattr(Socket, "progress", property(lambda _: next(passes)))
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        await trio.sleep(5 * INTERVAL)
        assert (fake.heartbeats >= 4, shard.state) == (True, State.READY)
        assert next(passes) <= 6 * driver._QUIET_PASSES


async def test_in_a_flood_an_ack_is_waited_for_but_not_for_ever(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may stand anywhere behind what lies unread, so the verdict waits; and one day it falls."""
    passes = itertools.count()
    monkeypatch.setattr(Socket, "progress", property(lambda _: next(passes)))
    monkeypatch.setattr(driver, "_MOST_PASSES", 200)
    async with gateway(script=[Connection(ack=Withhold())]) as fake, shard_on(fake) as shard:
        await shard.wait_for("stalled")
        assert fake.heartbeats == 1
        assert 200 <= next(passes) <= 200 + 2 * driver._QUIET_PASSES


# -- phases before a session -------------------------------------------------------------------------------------------


@conforms("P12")
async def test_silence_after_the_upgrade_is_named_and_left(autojump_clock: MockClock) -> None:
    async with gateway(script=[Connection(hello=Withhold()), Connection()]) as fake, shard_on(fake) as shard:
        await shard.wait_for("stalled")
        assert trio.current_time() == Settings().hello_timeout
        assert shard.snapshot().stalled_in is State.AWAITING_HELLO
        await shard.wait_for("ready")


async def test_three_silences_in_a_row_give_the_session_up(autojump_clock: MockClock) -> None:
    script = [Connection(), *[Connection(hello=Withhold())] * 3, Connection()]
    async with gateway(script=script, rules=Rules(session_lifetime=1e6)) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        fake.drop()
        await fake.wait_until(lambda log: log.identifies + log.resumes == 2)
        assert handshakes(fake) == ["identify", "identify"]
        assert path(shard).count("stalled") == 3


@conforms("P09")
async def test_an_upgrade_that_is_never_answered_is_given_up(autojump_clock: MockClock) -> None:
    async with gateway(script=[Connection(accept=Dark()), Connection()]) as fake, shard_on(fake) as shard:
        await shard.wait_for("stalled")
        assert trio.current_time() == Settings().connect_timeout
        assert shard.snapshot().stalled_in is State.CONNECTING
        await shard.wait_for("ready")
        assert fake.max_open_connections == 1


@conforms("P20")
async def test_while_acks_come_a_missing_ready_is_waited_for(autojump_clock: MockClock) -> None:
    async with gateway(script=[Connection(ready=Delay(500))]) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        assert (trio.current_time() >= 500, handshakes(fake)) == (True, ["identify"])


@conforms("A13")
async def test_a_replay_that_stands_still_is_given_up(autojump_clock: MockClock) -> None:
    script = [Connection(), Connection(resumed=Withhold()), Connection()]
    async with gateway(script=script) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        fake.drop()
        await shard.wait_for("resuming")
        began = trio.current_time()
        await shard.wait_for("stalled")
        assert trio.current_time() - began == Settings().resume_timeout
        await shard.wait_for("ready")
        assert handshakes(fake) == ["identify", "resume", "resume"]


@pytest.mark.parametrize(
    "accept",
    [
        Answer(403),
        Answer(503, b""),
        (Raw(b"SSH-2.0-OpenSSH_9.6\r\n"), Drop()),
        (Raw(bytes(range(256))), Drop()),
        Raw(b"HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: wrong\r\n\r\n"),
        Drop(),
    ],
    ids=["403", "503", "ssh", "bytes", "bad-accept", "eof"],
)
async def test_a_failed_handshake_is_tried_again(autojump_clock: MockClock, accept: Answer) -> None:
    async with gateway(script=[Connection(accept=accept), Connection()]) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        assert len(steps(shard, "connect_failed")) == 1
        assert handshakes(fake) == ["identify"]


# -- what cannot be understood -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    ["{", "[]", '{"op":"x"}', '{"op":0,"d":{}}', '{"op":0,"t":"READY","s":1,"d":{}}', b"\xff\xfe", '{"op":10,"d":{}}'],
)
async def test_a_violation_ends_the_connection_and_keeps_the_session(
    autojump_clock: MockClock, message: str | bytes
) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        fake.perform(Send(message))
        await shard.wait_for("resuming")
        await shard.wait_for("ready")
        assert (handshakes(fake), close_codes(fake)) == (["identify", "resume"], [4900])


@pytest.mark.parametrize("message", ['{"op":99}', '{"op":2,"d":null}', '{"op":0,"s":50,"t":"NEW_THING","d":[1]}'])
@conforms("P78")
async def test_what_is_merely_unknown_is_tolerated(autojump_clock: MockClock, message: str) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        fake.perform(Send(message))
        await trio.sleep(10)
        assert (shard.state, fake.connections) == (State.READY, 1)


@pytest.mark.parametrize(
    "frame",
    [
        b"\x83\x00",  # a reserved opcode
        b"\xf1\x00",  # reserved bits
        b"\x81\x85\x00\x00\x00\x00hello",  # masked by a server
        b"\x81\x02\xff\xff",  # text that is no UTF-8
        b"\x89\xfe\x00\x80" + b"x" * 128,  # a ping that is too long
        b"\x80\x01x",  # a continuation of nothing
        b"\x88\x01\x03",  # a close frame with half a code
        b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff",  # a length beyond the bound
    ],
)
async def test_a_broken_frame_ends_the_connection_and_keeps_the_session(
    autojump_clock: MockClock, frame: bytes
) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        fake.perform(Raw(frame))
        await shard.wait_for("backing_off")
        await shard.wait_for("ready")
        assert handshakes(fake) == ["identify", "resume"]


async def test_a_ping_behind_our_close_frame_does_no_harm(autojump_clock: MockClock) -> None:
    """trio-websocket answers it although it must not any more, and stumbles."""
    script = [Connection(on_close=(Raw(b"\x89\x00"), Delay(2)))]
    async with gateway(script=script) as fake:
        async with shard_on(fake) as shard:
            await shard.wait_for("ready")
            await shard.stop()
            assert shard.state is State.STOPPED
        assert close_codes(fake) == [1000]


async def test_pings_are_answered(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        fake.perform(Raw(b"\x89\x02hi"))
        await trio.sleep(60)
        assert (shard.state, fake.connections) == (State.READY, 1)


# -- old sockets -------------------------------------------------------------------------------------------------------


@conforms("P53")
async def test_late_frames_of_an_old_socket_touch_nothing(autojump_clock: MockClock) -> None:
    """The old peer wakes up when the session lives elsewhere: opcode 9 and a fatal close would end it."""
    async with gateway() as fake:
        streams = Streams(fake)
        async with shard_on(fake, opener=streams) as shard:
            await shard.wait_for("ready")
            fake.go_dark(connection=1)
            await shard.wait_for("resuming")
            await shard.wait_for("ready")
            for action in (Send('{"op":9,"d":false}'), Close(4004)):
                if fake.log.is_open(1):
                    fake.perform(action, connection=1)
            await trio.sleep(5 * INTERVAL)
            assert shard.state is State.READY
            assert streams.most_open == 1
            assert handshakes(fake) == ["identify", "resume"]
