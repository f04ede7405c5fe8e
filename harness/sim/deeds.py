"""What user, server and network do in a simulated life, one function a deed."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from gatewright.fsm.errors import IllegalTransition
from gatewright.harness.fake import FakeGateway
from gatewright.harness.fake.script import (
    Close,
    Dark,
    Dispatch,
    Drop,
    Forget,
    Invalidate,
    MessageAction,
    Raw,
    Reconnect,
    RequestHeartbeat,
    Send,
)
from gatewright.harness.sim.misuse import CALLS, VALUES, refused, refused_call
from gatewright.harness.sim.network import Network
from gatewright.harness.sim.oddities import ANSWERS, GUILD, SPOILED, WIRE
from gatewright.harness.sim.scenario import CODES, FATAL_CODES, Act, Deed
from gatewright.harness.sim.seams import Counter
from gatewright.harness.sim.uses import FailingSink, keep_secrets, only_watch, rivals, until_it_is_back
from gatewright.spec.errors import GatewrightError
from gatewright.transport.commands import Activity, UpdatePresence, UpdateVoiceState
from gatewright.transport.dispatch import Dispatch as Dispatched
from gatewright.transport.proxy import Proxy
from gatewright.transport.shard import Shard
from gatewright.transport.token import Token

CHANNEL: Final = "1000000000000000002"
_GARBAGE: Final = (
    "\x00nonsense", "{}", "[]", '{"op":0,"s":1,"t":"X","d":', b"\xff\xfe", '{"op":"10","d":null}', '{"op":99,"d":null}',
    '{"op":10,"d":{"heartbeat_interval":0}}', '{"op":9,"d":{}}', '{"op":0,"s":-1,"t":"X","d":{}}', "", "null",
)  # fmt: skip
_OUT_OF_TURN: Final = (
    '{"op":10,"d":{"heartbeat_interval":41250},"s":null,"t":null}',
    '{"op":0,"t":"READY","s":1,"d":{"session_id":"out of turn","resume_gateway_url":null,"user":{"id":"1"}}}',
    '{"op":0,"t":"RESUMED","s":2,"d":{}}',
    '{"op":0,"t":"MESSAGE_CREATE","s":3,"d":{}}',
    '{"op":11,"d":null}',
    '{"op":12,"d":null}',
    '{"op":7,"d":null}',
    '{"op":9,"d":false}',
    '{"op":1,"d":null}',
)


_STREAMED: Final = (*_OUT_OF_TURN, '{"op":9,"d":true}', "no JSON")
_STREAMED_MESSAGES: Final = 44
_STREAMED_EVERY: Final = 0.125
"""Seconds. What a shard waits for the end of a connection is a multiple, so that a message comes in that moment."""


_ON_THE_WAY: Final = frozenset({Deed.RESET, Deed.CUT, Deed.CHOKE, Deed.LINGER, Deed.SLOW, Deed.CLING})
"""What is done to a connection, also to one on which nobody has said anything yet."""
_OF_THE_USER: Final = frozenset({Deed.ABSENCE, Deed.FLOOD})


class Stage:
    """Everybody who takes part in a simulated life."""

    def __init__(self, shard: Shard, fake: FakeGateway, network: Network, users: trio.Nursery) -> None:
        self.shard = shard
        self.fake = fake
        self.network = network
        self._away = trio.CancelScope()
        self._absent_until = 0.0
        self._dawdling = 0
        self.asked = 0
        self.answered = 0
        """Calls of the user's that were made, and that have ended (I16)."""
        self._users = users
        self._held: list[Dispatched] = []
        self._healed = False

    def is_noticed(self, deed: Deed) -> bool:
        """Whether it would make any difference now, if it is a fault. Connections to come count their own faults."""
        if deed in {Deed.REFUSE, Deed.HANG, Deed.BALK}:
            return False
        if deed in _ON_THE_WAY:
            return bool(self.network.live)
        return deed in _OF_THE_USER or self.fake.log.open_connections > 0

    def do(self, act: Act) -> None:
        """Does it; what makes no sense now does nothing."""
        number, shard = act.number, self.shard
        match act.deed:
            case Deed.CONNECT | Deed.RECONNECT | Deed.FORCE_IDENTIFY:
                self._order(
                    {Deed.CONNECT: shard.connect, Deed.RECONNECT: shard.reconnect}.get(act.deed, shard.force_identify)
                )
            case Deed.SUSPEND:
                self._call(shard.suspend)
            case Deed.STOP:
                self._call(shard.stop)
            case Deed.ABSENCE:
                self.leave_alone(trio.current_time() + (1.0, 50.0, 200.0, 5.0)[number % 4], passes=number // 4)
            case Deed.CLOSE:
                self._serve(Close(CODES[number % len(CODES)], "as the scenario has it"))
            case Deed.BAN:
                self._serve(Close(FATAL_CODES[number % len(FATAL_CODES)], "as the scenario has it"))
            case Deed.DROP:
                self._serve(Drop(reset=bool(number % 2)))
            case Deed.OP_7:
                self._serve(Reconnect())
            case Deed.OP_9:
                self._serve(Invalidate(resumable=bool(number % 2)))
            case Deed.BEAT_REQUEST:
                self._serve(RequestHeartbeat())
            case Deed.FORGET:
                self._serve(Forget())
            case Deed.GARBAGE:
                self._serve(Send(_GARBAGE[number % len(_GARBAGE)]))
            case Deed.OUT_OF_TURN:
                self._serve(Send(_OUT_OF_TURN[number % len(_OUT_OF_TURN)]))
            case Deed.SILENCE:
                self._serve(Dark(reading=bool(number % 2)))
            case Deed.INSPECT:
                self._inspect()
            case Deed.MISUSE:
                self._users.start_soon(self._misuse)
            case Deed.RIVALS:
                sink = FailingSink(self.hold) if number % 2 else Counter(self.absence)
                self._users.start_soon(rivals, self.shard, sink, self.hold)
            case Deed.ANSWERS:
                self._serve(ANSWERS[number % len(ANSWERS)])
            case Deed.SPOIL:
                self._serve(SPOILED[number % len(SPOILED)])
                self._serve(Dispatch("MESSAGE_CREATE", {"content": "spoiled" * 300}))
            case Deed.WIRE:
                self._serve(Raw(WIRE[number % len(WIRE)]))
            case Deed.STREAM:
                self._users.start_soon(self._stream, number)
            case Deed.DISPATCHES:
                for _ in range(1 + number):
                    self._serve(Dispatch("MESSAGE_CREATE", {"content": "hello"}))
            case Deed.LARGE:
                self._serve(Dispatch("MESSAGE_CREATE", {"content": "x" * (70_000 if number % 4 == 3 else 3_000)}))
            case (
                Deed.PRESENCE
                | Deed.MEMBERS
                | Deed.CHUNKS
                | Deed.SOUNDS
                | Deed.CHANNELS
                | Deed.VOICE
                | Deed.FLOOD
                | Deed.PRUNE
                | Deed.AGAIN
            ):
                self._ask(act)
            case _:
                self._harm(act)

    async def _misuse(self) -> None:
        """Everything that can be got wrong."""
        for make in VALUES:
            assert refused(make), "a value that there is not was taken"
        for call in CALLS:
            assert await refused_call(call, self.shard), "a call that cannot be meant was taken"

    def _inspect(self) -> None:
        """Reads everything that there is to read; it must be possible at any time."""
        shard = self.shard
        for told in (
            shard, shard.session_refused, shard.counts, shard.latency, shard.beats, shard.not_ready_since,
            shard.metrics(), shard.snapshot(), shard.dropped, shard.unacked, shard.explain("connect"),
            shard.explain("suspend", wanted="ready"), list(shard.journal),
        ):  # fmt: skip
            str(told)
        keep_secrets(Token("MTIz.sim.token"), Proxy("http://u:p@proxy.invalid:3128"))

    def leave_alone(self, until: float, *, passes: int = 0) -> None:
        """The consumer takes nothing before this time, and is late by some passes of the loop then."""
        self._absent_until = self._away.deadline = until
        self._dawdling = passes

    async def absence(self) -> None:
        """What the consumer waits for before it handles a dispatch."""
        if self._absent_until <= trio.current_time():
            return
        with trio.CancelScope(deadline=self._absent_until) as self._away:
            await trio.sleep_forever()
        for _ in range(self._dawdling):
            await trio.lowlevel.checkpoint()

    def hold(self, dispatch: Dispatched) -> None:
        """Somebody took it. It is acknowledged when all is well again at the latest, and at once from then on.

        Where somebody never acknowledges what he took, a full window rightly holds the reader back for ever.
        """
        if self._healed:
            dispatch.ack()
        else:
            self._held.append(dispatch)

    def acknowledge(self, unhandled: list[Dispatched], *, later: bool) -> None:
        """Says of each that it was handled, the newest first; now, or when the consumer has gone on asking."""
        taken = unhandled[::-1]
        unhandled.clear()
        if later:
            self._users.start_soon(self._acknowledge, taken)
            return
        for dispatch in taken:
            dispatch.ack()

    async def _acknowledge(self, taken: list[Dispatched]) -> None:
        for dispatch in taken:
            await trio.sleep(1.0)
            dispatch.ack()

    def heal(self) -> None:
        """Nothing goes wrong from now on, but for what the open connection's script still holds."""
        self.leave_alone(0.0)
        self._healed = True
        for dispatch in self._held:
            dispatch.ack()
        self._held.clear()
        self.fake.script = ()
        self.fake.metadata_script = ()
        self.network.heal()
        self.fake.light_up()

    def _harm(self, act: Act) -> None:
        number, network, live = act.number, self.network, self.network.live[:1]
        match act.deed:
            case Deed.REFUSE:
                network.refuse += 1 + number % 4
            case Deed.HANG:
                network.hang += 1 + number % 2
            case Deed.BALK:
                network.balk = number * 0.25
            case Deed.CLING:
                for link in live:
                    link.clinging = number * 0.25
            case Deed.MEND:
                network.heal()
            case Deed.RESET:
                for link in live:
                    link.reset()
            case Deed.CUT:
                for link in live:
                    link.cut()
            case Deed.CHOKE:
                for link in live:
                    link.choke(number)
            case Deed.LINGER:
                for link in live:
                    link.down.lingering = number
            case Deed.SLOW:
                for link in live:
                    link.slow((0.2, 3.0, 25.0)[number % 3])
            case _:
                raise NotImplementedError(act.deed)

    def _serve(self, action: MessageAction) -> None:
        self.fake.perform(action)

    async def _stream(self, number: int) -> None:
        """Of everything that a server can say, for some seconds; `number` says in which order the kinds come."""
        began, kinds = trio.current_time(), len(_STREAMED)
        for place in range(_STREAMED_MESSAGES):
            await trio.sleep_until(began + place * _STREAMED_EVERY)
            self._serve(Send(_STREAMED[(place * (1 + number % (kinds - 1)) + number // kinds) % kinds]))

    def _order(self, command: Callable[[], None]) -> None:
        with contextlib.suppress(IllegalTransition):  # a refusal is an answer
            command()

    def _ask(self, act: Act) -> None:
        number, shard = act.number, self.shard
        wait = (0.0, 5.0, 200.0)[number % 3]
        match act.deed:
            case Deed.PRESENCE:
                self._call(
                    lambda: shard.update_presence(
                        UpdatePresence(status="idle", activities=(Activity("sim"),)), wait=wait
                    )
                )
            case Deed.MEMBERS:
                self._call(lambda: shard.request_members(GUILD, query="a", limit=1 + number, wait=wait))
            case Deed.CHUNKS:
                self._call(self._chunks)
            case Deed.PRUNE:
                self._call(lambda: shard.request_members(GUILD, user_ids=["5", "6"], wait=wait))
                self._call(lambda: shard.member_chunks(GUILD, query="", limit=0).gather())
                self._call(lambda: shard.update_voice_state(GUILD, None, timeout=30.0, wait=wait))
            case Deed.AGAIN:
                self._call(lambda: shard.request_members(GUILD, query="", wait=wait, retry=True))
                self._call(lambda: shard.join_voice(GUILD, CHANNEL, wait=wait))
                self._call(lambda: until_it_is_back(shard))
                self._call(lambda: only_watch(shard))
            case Deed.SOUNDS:
                self._call(lambda: shard.request_soundboard_sounds([GUILD], wait=wait))
            case Deed.CHANNELS:
                self._call(lambda: shard.request_channel_info(GUILD, wait=wait))
            case Deed.VOICE:
                self._call(lambda: shard.join_voice(GUILD, CHANNEL, wait=wait))
            case _:
                for _ in range(10 * number):
                    self._call(lambda: shard.send(UpdateVoiceState(GUILD, None), wait=wait))

    async def _chunks(self) -> None:
        async with self.shard.member_chunks(GUILD, query="", limit=0) as chunks:
            async for _ in chunks:
                pass

    def _call(self, call: Callable[[], Awaitable[object]]) -> None:
        self.asked += 1
        self._users.start_soon(self._called, call)

    async def _called(self, call: Callable[[], Awaitable[object]]) -> None:
        try:
            with contextlib.suppress(GatewrightError):  # the declared answers
                await call()
        finally:
            self.answered += 1
