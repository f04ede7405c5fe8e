"""Presence: the last one wins, no caller is left without an outcome, and the next session begins with it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gatewright.harness.fake import Connection, Delay, Drop, Invalidate, Received, Send, Withhold
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.protocol import Opcode
from gatewright.spec.states import State
from gatewright.transport.answers import PresenceOutcome
from gatewright.transport.codec import PayloadTooLarge
from gatewright.transport.commands import Activity, UpdatePresence, UpdateVoiceState
from gatewright.transport.errors import NotReady
from tests.support.asking import Asking, begin
from tests.support.conforms import conforms
from tests.support.shards import Streams, gateway, payloads, shard_on, times
from tests.support.stages import stage

PRESENCE = Opcode.PRESENCE_UPDATE
SENT, CARRIED, SUPERSEDED = PresenceOutcome.SENT, PresenceOutcome.CARRIED, PresenceOutcome.SUPERSEDED


def saying(text: str) -> UpdatePresence:
    return UpdatePresence(activities=[Activity(text)])


def said(data: dict[str, Any]) -> str:
    return str(data["activities"][0]["name"])


@pytest.mark.parametrize("wrong", [UpdateVoiceState(1, None), {"status": "idle"}, "idle", UpdatePresence, None])
async def test_what_is_no_presence_is_refused_and_changes_nothing(wrong: Any, autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        with pytest.raises(ConfigurationError, match="UpdatePresence"):
            await shard.update_presence(wrong)
        shard.force_identify()
        await shard.wait_for("backing_off")
        await shard.wait_for("ready")
        assert all(not data.get("presence") for data in payloads(fake, Opcode.IDENTIFY))
        assert payloads(fake, PRESENCE) == payloads(fake, Opcode.VOICE_STATE_UPDATE) == []


@conforms("P58")
async def test_a_presence_is_sent_at_once_when_it_can_be(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        assert await shard.update_presence(saying("a")) is SENT
        await wait_all_tasks_blocked()
        assert [said(data) for data in payloads(fake, PRESENCE)] == ["a"]


@conforms("P58", "P59")
async def test_the_last_of_many_wins_and_the_others_are_told(autojump_clock: MockClock) -> None:
    """Five in 20 s, then the newest."""
    async with gateway() as fake, shard_on(fake) as shard, trio.open_nursery() as nursery:
        await shard.wait_for("ready")
        callers: list[Asking] = []
        for number in range(100):
            callers.append(begin(nursery, partial(shard.update_presence, saying(str(number)))))
            await wait_all_tasks_blocked(0.0)
        await trio.sleep(60)
        assert [caller.result for caller in callers] == [SENT] * 5 + [SUPERSEDED] * 94 + [SENT]
        assert [said(data) for data in payloads(fake, PRESENCE)] == ["0", "1", "2", "3", "4", "99"]
        assert times(fake, PRESENCE)[-1] == pytest.approx(21)


@conforms("P60")
async def test_before_ready_it_goes_with_the_identify(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake, presence=saying("first")) as shard:
        assert await shard.update_presence(saying("second")) is CARRIED
        assert [said(data["presence"]) for data in payloads(fake, Opcode.IDENTIFY)] == ["second"]
        assert payloads(fake, PRESENCE) == []


async def test_what_comes_between_identify_and_ready_is_sent_after_it(autojump_clock: MockClock) -> None:
    async with (
        gateway(script=[Connection(ready=Delay(5))]) as fake,
        shard_on(fake) as shard,
        trio.open_nursery() as nursery,
    ):
        first = begin(nursery, lambda: shard.update_presence(saying("a")))
        await shard.wait_for("identified")
        await trio.sleep(1)
        second = begin(nursery, lambda: shard.update_presence(saying("b")))
        await shard.wait_for("ready")
        await wait_all_tasks_blocked()
        assert (first.result, second.result) == (SUPERSEDED, SENT)
        assert said(payloads(fake, Opcode.IDENTIFY)[0]["presence"]) == "a"
        assert [said(data) for data in payloads(fake, PRESENCE)] == ["b"]


async def test_an_identify_that_came_to_nothing_carried_nothing(autojump_clock: MockClock) -> None:
    async with (
        gateway(script=[Connection(on_identify=Invalidate()), Connection()]) as fake,
        shard_on(fake) as shard,
    ):
        assert await shard.update_presence(saying("a")) is CARRIED
        assert [said(data["presence"]) for data in payloads(fake, Opcode.IDENTIFY)] == ["a", "a"]


@pytest.mark.parametrize("by_send", [False, True])
@conforms("P60")
async def test_every_later_identify_carries_the_newest(autojump_clock: MockClock, by_send: bool) -> None:
    async with gateway() as fake, shard_on(fake, presence=saying("first")) as shard:
        await shard.wait_for("ready")
        if by_send:
            await shard.send(saying("second"))
        else:
            await shard.update_presence(saying("second"))
        fake.invalidate()
        await shard.wait_for("identified")
        await shard.wait_for("ready")
        await trio.sleep(30)
        assert [said(data["presence"]) for data in payloads(fake, Opcode.IDENTIFY)] == ["first", "second"]
        assert len(payloads(fake, PRESENCE)) == 1


@pytest.mark.parametrize(("changed", "sent"), [(False, []), (True, ["b"])])
@conforms("A18")
async def test_after_resumed_it_is_sent_only_if_it_changed(
    autojump_clock: MockClock, changed: bool, sent: list[str]
) -> None:
    async with gateway() as fake, shard_on(fake) as shard, trio.open_nursery() as nursery:
        await shard.wait_for("ready")
        await shard.update_presence(saying("a"))
        await trio.sleep(120)
        fake.drop()
        await shard.wait_for("backing_off", "connecting")
        if changed:
            assert shard.state is not State.READY
            begin(nursery, lambda: shard.update_presence(saying("b")))
        await shard.wait_for("ready")
        await trio.sleep(60)
        assert fake.resumes == 1
        assert [said(data) for data in payloads(fake, PRESENCE)][1:] == sent


async def test_what_the_server_may_not_have_read_is_sent_again_after_resumed(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        await trio.sleep(120)
        fake.go_dark()
        assert await shard.update_presence(saying("into the dark")) is SENT
        await shard.wait_for("stalled")
        await shard.wait_for("ready")
        await trio.sleep(1)
        assert fake.resumes == 1
        assert [said(data) for data in payloads(fake, PRESENCE)] == ["into the dark"]


async def test_a_server_that_begins_a_session_by_itself_is_told(autojump_clock: MockClock) -> None:
    """RESUME carries no presence, so a READY in answer to it begins a session without one."""
    ready = '{"op":0,"s":1,"t":"READY","d":{"session_id":"another","resume_gateway_url":"wss://resume.invalid"}}'
    script = [Connection(after_ready=(Delay(200), Drop())), Connection(on_resume=(Send(ready), Withhold()))]
    async with gateway(guilds=0, script=script) as fake, shard_on(fake, presence=saying("a")) as shard:
        await shard.wait_for("ready")
        await shard.wait_for("resuming")
        await fake.wait_until(lambda log: any(seen.op == PRESENCE for seen in log.of(Received)))
        assert [said(data) for data in payloads(fake, PRESENCE)] == ["a"]
        assert fake.identifies == 1


async def test_it_can_be_refused_instead_of_waiting(autojump_clock: MockClock) -> None:
    async with gateway(script=[Connection(ready=Delay(5))]) as fake, shard_on(fake) as shard:
        with pytest.raises(NotReady):
            await shard.update_presence(saying("a"), wait=0)
        with pytest.raises(NotReady):
            await shard.update_presence(saying("a"), wait=3)
        await shard.wait_for("ready")
        await trio.sleep(60)
        assert payloads(fake, PRESENCE) == []


async def test_cancelling_takes_it_back(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake, presence=saying("first")) as shard:
        await shard.wait_for("ready")
        for number in range(5):
            await shard.update_presence(saying(str(number)))
        with trio.move_on_after(5) as scope:
            await shard.update_presence(saying("never"))
        assert scope.cancelled_caught
        fake.invalidate()
        await shard.wait_for("identified")
        await shard.wait_for("ready")
        assert said(payloads(fake, Opcode.IDENTIFY)[-1]["presence"]) == "4"
        assert len(payloads(fake, PRESENCE)) == 5


@pytest.mark.parametrize("over", ["stop", "leave"])
async def test_a_presence_that_waits_is_told_when_the_shard_is_over(autojump_clock: MockClock, over: str) -> None:
    async with trio.open_nursery() as nursery:
        async with stage(State.BACKING_OFF) as at:
            asking = begin(nursery, lambda: at.shard.update_presence(saying("a")))
            await wait_all_tasks_blocked()
            if over == "stop":
                await at.shard.stop()
        await wait_all_tasks_blocked()
        assert isinstance(asking.error, NotReady)


@conforms("P54")
async def test_a_presence_that_identify_has_no_room_for_is_refused(autojump_clock: MockClock) -> None:
    """IDENTIFY has to carry it one day, and holds a token and more beside it."""
    fits_alone = saying("x" * 3950)
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        for call in (shard.update_presence, shard.send):
            with pytest.raises(PayloadTooLarge):
                await call(fits_alone)
        assert payloads(fake, PRESENCE) == []


async def test_a_presence_that_is_half_written_when_the_connection_dies_is_sent_again(
    autojump_clock: MockClock,
) -> None:
    async with gateway() as fake:
        streams = Streams(fake)
        async with shard_on(fake, opener=streams) as shard, trio.open_nursery() as nursery:
            await shard.wait_for("ready")
            streams.block()
            asking = begin(nursery, lambda: shard.update_presence(saying("a")))
            await shard.wait_for("stalled")
            streams.unblock()
            await shard.wait_for("ready")
            await wait_all_tasks_blocked()
            assert asking.result is SENT
            assert [said(data) for data in payloads(fake, PRESENCE)] == ["a"]


async def test_one_whose_caller_was_cancelled_while_it_was_written_is_carried_all_the_same(
    autojump_clock: MockClock,
) -> None:
    """The server has it, so the next session must not begin with another."""
    async with gateway() as fake:
        streams = Streams(fake)
        async with shard_on(fake, opener=streams) as shard:
            await shard.wait_for("ready")
            streams.block()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(shard.send, saying("half"))
                await wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
                streams.unblock()
            await wait_all_tasks_blocked()
            assert [said(data) for data in payloads(fake, PRESENCE)] == ["half"]
            fake.invalidate()
            await shard.wait_for("identified")
            await shard.wait_for("ready")
            assert said(payloads(fake, Opcode.IDENTIFY)[-1]["presence"]) == "half"
