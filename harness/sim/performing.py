"""What the explored environment's actions are in front of a real driver: a deed each, or the reason why there is none.

The explorer's environment is written as rows (`harness/explore/gateway_environment.py`). Here each of them is done to
the fake gateway, the simulated network, the seams, the user's handle or the clock.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeVar

import attrs
import trio
import trio.testing

from gatewright.fsm.errors import IllegalTransition
from gatewright.harness.fake import FakeGateway
from gatewright.harness.fake.payloads import envelope
from gatewright.harness.fake.script import (
    Amend,
    Answer,
    Close,
    Connection,
    Delay,
    HandshakeAction,
    Invalidate,
    MessageAction,
    Reconnect,
    RequestHeartbeat,
    Send,
)
from gatewright.harness.sim.held import Desk, HeldGate, HeldMetadata, HeldRegistration
from gatewright.harness.sim.network import Network
from gatewright.harness.sim.seams import RegistrationBroke
from gatewright.spec import events
from gatewright.spec.context import Context
from gatewright.spec.errors import GatewrightError
from gatewright.spec.events import MetadataError, SlotRefusal
from gatewright.spec.protocol import Opcode
from gatewright.spec.session import Metadata
from gatewright.spec.states import State
from gatewright.transport.commands import UpdatePresence
from gatewright.transport.queue import QueuePolicy
from gatewright.transport.seams import GateUnavailable, MetadataUnavailable, Slot
from gatewright.transport.shard import Shard

T = TypeVar("T")
Payload = Mapping[str, object]
"""What an action's event says, as the exploration knows it."""
Numbers = Mapping[str, int]
"""The explored state's variables."""

_HELD: Final = Delay(math.inf)
STEPS: Final = ("accept", "hello", "ready", "on_resume", "ack", "on_close")
"""What the server does only when it is told to."""
HOLDING: Final = Connection(accept=_HELD, hello=_HELD, ready=_HELD, on_resume=_HELD, ack=_HELD, on_close=_HELD)
_JUST: Final = 1e-6
"""Seconds that a timer is late, so that no rounding makes it early."""
_ESTIMATE: Final = 7.0
_OPEN, _DARK = 2, 3  # numbers of links


@attrs.define(eq=False)
class Scene:
    """Everybody who takes part: the shard, and all that surrounds it."""

    shard: Shard
    fake: FakeGateway
    network: Network
    clock: trio.testing.MockClock
    gate: HeldGate
    metadata: HeldMetadata
    registration: HeldRegistration
    users: trio.Nursery
    policy: QueuePolicy
    """What happens when the consumer is too slow."""
    begin: trio.Event = attrs.field(factory=trio.Event)
    """Set when the user enters the shard's block."""
    present: trio.Event = attrs.field(factory=trio.Event)
    """Set while the consumer takes dispatches."""
    asked: int = 0
    answered: int = 0
    """Calls of the user's that were made, and that have ended (I16)."""

    @property
    def context(self) -> Context:
        """The core's memory, to read."""
        return self.shard._core._context

    # -- the user ------------------------------------------------------------------------------------------------------

    def enter(self) -> bool:
        """The user enters the shard's block."""
        if self.begin.is_set():
            return False
        self.begin.set()
        return True

    def order(self, verb: Callable[[], None]) -> bool:
        """A verb that is done at once."""
        if not self.begin.is_set():
            return False
        with contextlib.suppress(IllegalTransition):  # a refusal is a step as well, and judged
            verb()
        return True

    def call(self, verb: Callable[[], Awaitable[object]]) -> bool:
        """A verb that lasts."""
        if not self.begin.is_set():
            return False
        self.asked += 1
        self.users.start_soon(self._called, verb)
        return True

    async def _called(self, verb: Callable[[], Awaitable[object]]) -> None:
        try:
            with contextlib.suppress(GatewrightError):  # the declared answers
                await verb()
        finally:
            self.answered += 1

    def leave_alone(self, policy: QueuePolicy) -> bool:
        """The consumer takes no more, and a dispatch comes."""
        if self.shard.state not in {State.READY, State.RESUMING} or policy is not self.policy:
            return False
        if self.present.is_set():
            self.present = trio.Event()
        return self.dispatch({"advances": True})

    def come_back(self) -> bool:
        """The consumer takes what there is."""
        self.present.set()
        return True

    # -- the clock -----------------------------------------------------------------------------------------------------

    def until(self, due: float | None, other: float | None) -> bool:
        """Time passes until a timer of the core's is due, unless the other one is before."""
        if due is None or (other is not None and other <= due):
            return False
        self.clock.jump(max(due - self.clock.current_time(), 0.0) + _JUST)
        return True

    def let_pass(self) -> None:
        """Time passes, and no timer of the core's is due yet."""
        due = self.shard._core.next_deadline()
        if due is not None:
            self.clock.jump(max(due - self.clock.current_time() - 0.01, 0.0))

    # -- the seams -----------------------------------------------------------------------------------------------------

    def tell(self, desk: Desk[T], answer: T | Exception, *, given_up: bool = False) -> bool:
        """Answers what was asked."""
        question = desk.open(given_up=given_up)
        if question is not None:
            question.answer(answer)
        return question is not None

    def undone(self) -> bool:
        """Undoing comes to its end, whether it is still waited for or not."""
        return any(self.tell(self.registration.undoing, True, given_up=given_up) for given_up in (True, False))

    def estimate(self) -> bool:
        """The gate says how long it will last."""
        question = self.gate.desk.open()
        if question is not None:
            question.note(_ESTIMATE)
        return question is not None

    def answer_late(self, answer: Slot | Exception | None, *, old: bool) -> bool:
        """The gate answers a request that was taken back, or says how long it will last.

        Args:
            answer: ``None``: an estimate.
            old: whether it is a request of an older connection than the newest.
        """
        gen = self.context.gen
        question = self.gate.desk.open(given_up=True, asked=lambda asked: (asked < gen) is old)
        if question is None:
            return False
        if answer is None:
            question.note(_ESTIMATE)
        else:
            question.answer(answer)
        return True

    def estimate_again(self) -> bool:
        """The gate says how long it will last, to who has asked last and has had an answer."""
        asked = self.gate.asked_in == self.context.gen
        if asked:
            self.gate.note(_ESTIMATE)
        return asked

    # -- the network and the server ------------------------------------------------------------------------------------

    @property
    def choked(self) -> bool:
        """Whether nothing more goes up on the newest connection."""
        return any(not link.up.limit for link in self.network.live[:1])

    def harm(self, how: str) -> bool:
        """Something happens to the newest connection."""
        for link in self.network.live[:1]:
            if how == "cut":
                link.cut()
            elif how == "choke":
                link.choke(0)
            else:
                link.reset()
            return True
        return False

    def choke(self) -> bool:
        """The way up is full, and the user says something; a write that lasts is noticed before any timer is due."""
        due, shard = self.shard._core.next_deadline(), self.shard
        patience = self.context.settings.write_timeout
        late = due is not None and due - self.clock.current_time() <= patience
        if late or shard.state is not State.READY or not self.harm("choke"):
            return False
        self.call(lambda: shard.update_presence(UpdatePresence(status="idle")))
        return True

    @property
    def newest(self) -> int | None:
        """The number of the newest open connection; the server may hold older ones whose end it has not seen."""
        return max(self.fake._world.conversations, default=None)

    def go_on(self, step: str, *actions: HandshakeAction | MessageAction) -> bool:
        """The server does what it has held back."""
        return self.fake.go_on(step, *actions, connection=self.newest)

    def serve(self, action: MessageAction, *, ends_session: bool = False) -> bool:
        """The server does something."""
        if ends_session:
            self.fake.end_sessions()
        self.fake.perform(action, connection=self.newest)
        return True

    def forget(self) -> bool:
        """The server forgets every session."""
        self.fake.end_sessions()
        return True

    def say(self, op: Opcode | int, data: object = None, *, seq: int | None = None, event: str | None = None) -> bool:
        """The server says this, whatever it should say."""
        return self.serve(Send(envelope(op, data, seq=seq, event=event)))

    def dispatch(self, payload: Payload, name: str = "MESSAGE_CREATE") -> bool:
        """A dispatch with the next sequence, or with that of the last one."""
        seq = self.context.received or 0
        if payload.get("advances"):
            for session in self.fake.sessions:
                seq = max(seq, session.seq)
            seq += 1
            for session in self.fake.sessions:
                session.seq = seq
        return self.say(Opcode.DISPATCH, {}, seq=seq, event=name)

    def ready(self, payload: Payload, *, new: bool) -> bool:
        """READY where another answer is due, or none: of a new session, or of the one that there is."""
        world = self.fake._world
        if new:
            conversation = world.chosen(self.newest)[-1]
            session = world.sessions.create(shard=(0, 1), intents=0, connection=conversation.number)
            conversation._session, conversation._live = session, True
            session.next_seq()
        known = [session.id for session in self.fake.sessions]
        url = self.fake.resume_url if payload.get("has_url") else None
        data = {"session_id": known[-1] if known else "unknown", "resume_gateway_url": url, "user": {"id": "1"}}
        return self.say(Opcode.DISPATCH, data, seq=1, event="READY")

    def heal(self) -> None:
        """From now on everything is as it should be, and time passes by itself."""
        self.fake.script = ()
        for conversation in self.fake._world.chosen(None):
            conversation._plan = Connection()
        self.network.heal()
        for step in STEPS:
            while self.fake.go_on(step):
                pass
        self.gate.desk.heal()
        self.metadata.desk.heal()
        self.registration.heal()
        self.come_back()
        self.clock.autojump_threshold = 0.0


@attrs.frozen
class Deed:
    """How an action is done."""

    do: Callable[[Scene, Payload], bool]
    """Does it, or returns that it cannot be done now, and has done nothing then."""
    also: tuple[str, ...] = ()
    """Actions that may come with it, any number of times, because it is a means to an end."""
    when: Callable[[Numbers], bool] = lambda _: True
    """Whether a driver can notice it in this explored state."""
    tries: int = 1
    """How often it may have to be done until it is noticed."""
    lasts: float = 0.0
    """Seconds after which it is noticed."""


def _heard(numbers: Numbers) -> bool:
    """The fake says nothing more on a websocket that is being closed; and a reader that is held back reads nothing."""
    return not numbers["closing"] and not numbers["held"]


def _reading(numbers: Numbers) -> bool:
    return not numbers["held"]


def _serving(action: MessageAction, *, ends_session: bool = False) -> Deed:
    return Deed(lambda scene, _: scene.serve(action, ends_session=ends_session), when=_heard)


def _ordering(verb: Callable[[Shard], Callable[[], None]]) -> Deed:
    return Deed(lambda scene, _: scene.order(verb(scene.shard)))


def _calling(verb: Callable[[Shard], Callable[[], Awaitable[object]]]) -> Deed:
    return Deed(lambda scene, _: scene.call(verb(scene.shard)))


def _held_back(step: str, *actions: HandshakeAction | MessageAction, also: tuple[str, ...] = ()) -> Deed:
    return Deed(lambda scene, _: scene.go_on(step, *actions), also=also, when=_heard)


_PAUSING: Final = "consumer holds the reader back"
_SLOW: Final = "consumer is too slow"
_DISPATCH: Final = "a dispatch"
_SLOT: Final = Slot(0, 0, "held")
_FOUND: Final = Metadata(url="wss://main.example/")


def _no_slot(refusal: SlotRefusal) -> Exception:
    return GateUnavailable(refusal, 3.0)


def _refusing(refusal: SlotRefusal) -> Deed:
    return Deed(lambda scene, _: scene.tell(scene.gate.desk, _no_slot(refusal)))


def _late_answers(when: str, *, old: bool) -> Mapping[str, Deed]:
    """What the gate says to a request that was taken back."""
    answers: Mapping[type[events.Event], Slot | Exception | None] = {
        events.SlotGranted: _SLOT,
        events.SlotQueued: None,
        events.SlotUnavailable: _no_slot(SlotRefusal.OUTAGE),
    }
    return {f"{event.name} {when}": _answering_late(answer, old=old) for event, answer in answers.items()}


def _answering_late(answer: Slot | Exception | None, *, old: bool) -> Deed:
    return Deed(lambda scene, _: scene.answer_late(answer, old=old))


def _no_metadata(error: MetadataError) -> Exception:
    return MetadataUnavailable(error, "as the exploration has it")


def _failing(error: MetadataError, *, given_up: bool = False) -> Deed:
    return Deed(lambda scene, _: scene.tell(scene.metadata.desk, _no_metadata(error), given_up=given_up))


def _deadline(scene: Scene, _: Payload) -> bool:
    return scene.until(scene.context.deadline, scene.context.beat_at)


UNDONE_LATE: Final = "registrations are undone, late"

DEEDS: Final[Mapping[str, Deed]] = MappingProxyType(
    {
        # The user.
        "user registers": Deed(lambda scene, _: scene.enter()),
        "user asks: connect": _ordering(lambda shard: shard.connect),
        "user asks: reconnect": _ordering(lambda shard: shard.reconnect),
        "user asks: force_identify": _ordering(lambda shard: shard.force_identify),
        "user asks: suspend": _calling(lambda shard: shard.suspend),
        "user asks: stop": _calling(lambda shard: shard.stop),
        # The clock, which decides whether time is left.
        "deadline passes": Deed(_deadline),
        "deadline passes, with time left": Deed(_deadline),
        "heartbeat is due": Deed(lambda scene, _: scene.until(scene.context.beat_at, scene.context.deadline)),
        # The client.
        "registrations are applied": Deed(lambda scene, _: scene.tell(scene.registration.applying, True)),
        "a registration fails": Deed(
            lambda scene, _: scene.tell(scene.registration.applying, RegistrationBroke("as the exploration has it"))
        ),
        "registrations are undone": Deed(lambda scene, _: scene.undone()),
        UNDONE_LATE: Deed(lambda scene, _: scene.undone()),
        _PAUSING: Deed(lambda scene, _: scene.leave_alone(QueuePolicy.PAUSE), also=(_DISPATCH,), when=_heard, tries=5),
        "consumer lets the reader go on": Deed(lambda scene, _: scene.come_back(), also=(_DISPATCH,)),
        _SLOW: Deed(lambda scene, _: scene.leave_alone(QueuePolicy.FAIL), also=(_DISPATCH,), when=_heard, tries=5),
        # Metadata.
        "metadata arrive": Deed(lambda scene, _: scene.tell(scene.metadata.desk, _FOUND)),
        **{f"metadata fail: {error}": _failing(error) for error in MetadataError},
        "metadata of a request that was given up": Deed(
            lambda scene, _: scene.tell(scene.metadata.desk, _FOUND, given_up=True)
        ),
        "failure of a request that was given up": _failing(MetadataError.FATAL, given_up=True),
        # The network.
        "handshake succeeds": Deed(lambda scene, _: scene.go_on("accept")),
        "handshake fails": Deed(lambda scene, _: scene.go_on("accept", Answer(503))),
        "network goes silent": Deed(lambda scene, _: scene.harm("cut")),
        "connection drops": Deed(lambda scene, _: scene.harm("reset"), when=_reading),
        "a write is blocked": Deed(
            lambda scene, _: scene.choke(), when=lambda numbers: not numbers["closing"], lasts=10.0
        ),
        # The server.
        "server closes with 4000": _serving(Close(4000)),
        "server closes with 4004": _serving(Close(4004), ends_session=True),
        "server closes with 4008": _serving(Close(4008)),
        "server closes with 4009": _serving(Close(4009), ends_session=True),
        "server answers the close": Deed(lambda scene, _: scene.go_on("on_close"), when=_reading),
        "session expires": Deed(lambda scene, _: scene.forget()),
        "HELLO": _held_back("hello"),
        "heartbeat ACK": _held_back("ack"),
        "heartbeat is asked for": _serving(RequestHeartbeat()),
        "READY": _held_back("ready"),
        "READY without a resume URL": _held_back("ready", Amend({"resume_gateway_url": None})),
        "READY instead of RESUMED": Deed(lambda scene, payload: scene.ready(payload, new=True), when=_heard),
        "RESUMED": _held_back("on_resume", also=(_DISPATCH,)),
        "the session is not known any more": _held_back("on_resume"),
        _DISPATCH: Deed(lambda scene, payload: scene.dispatch(payload), when=_heard),
        "opcode 7": _serving(Reconnect()),
        "opcode 9, resumable": _serving(Invalidate(resumable=True)),
        "opcode 9, final": _serving(Invalidate(resumable=False), ends_session=True),
        "nonsense": _serving(Send("\x00nonsense")),
        # What nobody asked for.
        "hello out of turn": Deed(
            lambda scene, _: scene.say(Opcode.HELLO, {"heartbeat_interval": 40_000}), when=_heard
        ),
        "heartbeat_acked out of turn": Deed(lambda scene, _: scene.say(Opcode.HEARTBEAT_ACK), when=_heard),
        "heartbeat_requested out of turn": _serving(RequestHeartbeat()),
        "ready out of turn": Deed(lambda scene, payload: scene.ready(payload, new=False), when=_heard),
        "resumed out of turn": Deed(lambda scene, payload: scene.dispatch(payload, "RESUMED"), when=_heard),
        "dispatched out of turn": Deed(lambda scene, payload: scene.dispatch(payload), when=_heard),
        "unknown_message out of turn": Deed(lambda scene, _: scene.say(12), when=_heard),
        # The identify gate.
        "slot is granted": Deed(lambda scene, _: scene.tell(scene.gate.desk, _SLOT)),
        "slot is queued": Deed(lambda scene, _: scene.estimate()),
        **{f"slot is refused: {refusal}": _refusing(refusal) for refusal in SlotRefusal},
        **_late_answers("after the request was withdrawn", old=False),
        **_late_answers("of an old connection", old=True),
        "slot_queued a second time": Deed(lambda scene, _: scene.estimate_again()),
    }
)
"""Actions of the explored environment by name, with what does them."""

OWN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "close frame has left": "the driver says so in the passes after it was asked to close",
        "socket is aborted": "the driver says so in the passes after it was asked to abort",
    }
)
"""Actions that are the driver's own answers: they come by themselves before all is quiet, and are held to be right."""

LATE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "aborted of an old connection": "a connection that was aborted ends when the next one is asked for already",
    }
)
"""Answers of the driver's own that the exploration lets come at any time: they come by themselves, or not at all."""

_OLD: Final = "a connection is opened when nothing is left of the one before, which is quiet then; see `LATE`"

_GIVEN_UP: Final = "the registration here ends at once when it is cancelled, and so there is no end that could be told"

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "handshake succeeds while it is aborted": "the driver is quiet again only when the socket is gone",
        "registered comes after it was given up": _GIVEN_UP,
        "registration_failed comes after it was given up": _GIVEN_UP,
        "slot_granted a second time": "a gate answers a request once",
        "slot_unavailable a second time": "a gate answers a request once",
        **{
            name: _OLD
            for event in (*events.OUTCOMES, *events.MESSAGES)
            if issubclass(event, events.ConnectionEvent)
            if (name := f"{event.name} of an old connection") not in {*DEEDS, *LATE}
        },
    }
)
"""Actions to which no driver can be brought while all else is quiet, each with the reason."""
