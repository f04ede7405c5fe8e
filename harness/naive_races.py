"""The races of the first system as scripts for the fake gateway, each with the symptom by which it is known.

A :class:`Race` is data: what the gateway does, what the supervisor is told, and a predicate over the gateway's log. So
it can be asked of any client: the naive model shows every symptom, and the engine must show none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeAlias, cast

import attrs
import trio

from gatewright.harness.fake import (
    Acted,
    Close,
    CloseFrame,
    Connection,
    Dark,
    Delay,
    Drop,
    FakeGateway,
    Log,
    Opened,
    Received,
    RequestHeartbeat,
    Sent,
    Side,
    Withhold,
)
from gatewright.harness.fake.script import MetadataPlan
from gatewright.harness.naive import FetchMetadata, NaiveClient, NaiveGateway, Note, OpenStream, Phase
from gatewright.harness.naive_lifecycle import HelloWatch, NaiveLifecycle, StartUpFailed
from gatewright.spec.protocol import IDENTIFY_SPACING, Opcode


@attrs.frozen(kw_only=True)
class Course:
    """When things happened in one run, on trio's clock; ``None`` for what did not."""

    began: float
    stopped: float | None = None
    """The client was told to stop."""
    forced: float | None = None
    """The client was told to give up its session and identify anew."""
    ended: float | None = None
    """The client's supervisor returned or raised."""


Symptom: TypeAlias = Callable[[Log, Course], bool]


@attrs.frozen(kw_only=True)
class Race:
    """A race. Times are seconds from the beginning of the run.

    Attributes:
        id: of the table of races, such as ``R01``.
        what: what goes wrong, in a sentence.
        script: for the fake gateway's connections.
        metadata_script: for its metadata.
        start_up: how long the supervisor's other start-up work takes.
        stop_at: when the client is told to stop.
        force_at: when it is told to give up its session and identify anew.
        until: when the symptom is looked for.
        symptom: whether it shows in the gateway's log.
    """

    id: str
    what: str
    script: Sequence[Connection] = ()
    metadata_script: Sequence[MetadataPlan] = ()
    start_up: float = 0.0
    stop_at: float | None = None
    force_at: float | None = None
    until: float
    symptom: Symptom
    blind_to_sockets: bool = False
    """Whether the naive model's close handlers act on any socket, which this race needs and others do not."""


@attrs.frozen(kw_only=True)
class Played:
    """How the naive model fared."""

    shows_symptom: bool
    course: Course
    phase: Phase
    notes: tuple[Note, ...]


async def play(
    race: Race,
    fake: FakeGateway,
    *,
    token: str = "fake.token",  # noqa: S107  # it opens nothing but the fake
    fetch_metadata: FetchMetadata | None = None,
    open_stream: OpenStream | None = None,
) -> Played:
    """Play `race` with the naive model against `fake`, in memory unless other ways to reach it are given."""
    fake.script, fake.metadata_script = race.script, race.metadata_script
    course = Course(began=trio.current_time())
    async with trio.open_nursery() as nursery:
        gateway = NaiveGateway(
            token=token,
            nursery=nursery,
            fetch_metadata=fetch_metadata or fake.metadata,
            open_stream=open_stream or fake.open_stream,
            fallback_url=fake.url,
            blind_to_sockets=race.blind_to_sockets,
        )
        HelloWatch(gateway)
        NaiveClient(gateway)
        lifecycle = NaiveLifecycle(gateway, start_up=race.start_up)
        ended: list[float] = []

        async def supervise() -> None:
            try:
                await lifecycle.run()
            except StartUpFailed as failure:
                gateway.unhandled.append(str(failure))
            ended.append(trio.current_time())

        nursery.start_soon(supervise)
        if race.force_at is not None:
            await trio.sleep_until(course.began + race.force_at)
            gateway.connect(resume=False)
            course = attrs.evolve(course, forced=trio.current_time())
        if race.stop_at is not None:
            await trio.sleep_until(course.began + race.stop_at)
            lifecycle.abort()
            course = attrs.evolve(course, stopped=trio.current_time())
        await trio.sleep_until(course.began + race.until)
        course = attrs.evolve(course, ended=ended[0] if ended else None)
        played = Played(
            shows_symptom=race.symptom(fake.log, course),
            course=course,
            phase=gateway.phase,
            notes=tuple(gateway.notes),
        )
        nursery.cancel_scope.cancel()
    return played


# The symptoms, each over the log of any client.


def hello_without_handshake(log: Log, _course: Course) -> bool:
    """A socket is open, HELLO was sent on it, and the client neither identified nor resumed nor left."""
    for opened in log.of(Opened):
        number = opened.connection
        greeted = any(sent.op == Opcode.HELLO for sent in log.of(Sent, connection=number))
        if greeted and log.is_open(number) and not _handshakes(log, connection=number):
            return True
    return False


def connects_after_stop(log: Log, course: Course) -> bool:
    """A websocket was opened after the client was told to stop."""
    return course.stopped is not None and any(opened.time > course.stopped for opened in log.of(Opened))


def identifies_too_soon(log: Log, _course: Course) -> bool:
    """Two IDENTIFYs came within the five seconds that a bucket needs."""
    times = [received.time for received in log.of(Received) if received.op == Opcode.IDENTIFY]
    return any(second - first < IDENTIFY_SPACING for first, second in pairwise(times))


def socket_outlives_supervisor(log: Log, course: Course) -> bool:
    """The supervisor is over and a socket is open."""
    return course.ended is not None and log.open_connections > 0


def leaves_a_live_session(log: Log, course: Course) -> bool:
    """The client closed a connection that had its session, that nothing had happened to, and was not told to."""
    for frame in log.of(CloseFrame):
        number = frame.connection
        live = any(sent.event in {"READY", "RESUMED"} for sent in log.of(Sent, connection=number))
        told = course.stopped is not None or log.of(Acted, connection=number)
        if frame.by is Side.CLIENT and live and not told:
            return True
    return False


def kills_its_own_session(log: Log, _course: Course) -> bool:
    """The client left with 1000 or 1001, resumed after that, and was refused."""
    left = [frame.time for frame in log.of(CloseFrame) if frame.by is Side.CLIENT and frame.code in {1000, 1001}]
    for resume in (received for received in log.of(Received) if received.op == Opcode.RESUME):
        refused = any(sent.op == Opcode.INVALID_SESSION for sent in log.of(Sent, connection=resume.connection))
        if refused and any(time <= resume.time for time in left):
            return True
    return False


def handshake_hangs(log: Log, _course: Course) -> bool:
    """A socket has waited for its 101 for more than a minute, and still does."""
    now = trio.current_time()
    return any(
        opened.time < now - 60 and log.is_open(opened.connection) and not log.of(Sent, connection=opened.connection)
        for opened in log.of(Opened)
    )


def identifies_twice(log: Log, _course: Course) -> bool:
    """There was a second IDENTIFY, where the first session could have been resumed."""
    return log.identifies > 1


def beats_with_an_old_sequence(log: Log, _course: Course) -> bool:
    """A heartbeat had a sequence on a connection that had none yet: IDENTIFY was sent, READY had not come."""
    for beat in (received for received in log.of(Received) if received.op == Opcode.HEARTBEAT):
        before = [record for record in log.of(Sent, connection=beat.connection) if record.time <= beat.time]
        resumed = any(received.op == Opcode.RESUME for received in log.of(Received, connection=beat.connection))
        if beat.data is not None and not resumed and all(record.seq is None for record in before):
            return True
    return False


def resumes_an_older_session(log: Log, _course: Course) -> bool:
    """A RESUME asked for the session before the last IDENTIFY."""
    readies = {
        cast("dict[str, str]", sent.data)["session_id"]: sent.time for sent in log.of(Sent) if sent.event == "READY"
    }
    identifies = [received.time for received in log.of(Received) if received.op == Opcode.IDENTIFY]
    for resume in (received for received in log.of(Received) if received.op == Opcode.RESUME):
        born = readies.get(cast("dict[str, str]", resume.data)["session_id"], math.inf)
        if any(born < time < resume.time for time in identifies):
            return True
    return False


def resumes_although_told_not_to(log: Log, course: Course) -> bool:
    """The first handshake after the order to identify anew was a RESUME."""
    if course.forced is None:
        return False
    later = [received for received in _handshakes(log) if received.time > course.forced]
    return bool(later) and later[0].op == Opcode.RESUME


def _handshakes(log: Log, *, connection: int | None = None) -> list[Received]:
    return [
        received
        for received in log.of(Received, connection=connection)
        if received.op in {Opcode.IDENTIFY, Opcode.RESUME}
    ]


_QUICK_DROP = Connection(ready=Delay(0.05), after_ready=(Delay(0.1), Close(4000)))
"""READY, and the connection is gone before anybody looks again."""
_SESSION_THEN_DROP = Connection(after_ready=(Delay(1), Drop()))

RACES: tuple[Race, ...] = (
    Race(
        id="R01",
        what="HELLO finds no client, IDENTIFY is dropped in silence, and nothing times what follows",
        metadata_script=[Withhold()],
        until=60,
        symptom=hello_without_handshake,
    ),
    Race(
        id="R03",
        what="stopped while metadata are pending, and when they come the bot goes online, supervised by nobody",
        metadata_script=[Delay(5)],
        stop_at=2,
        until=30,
        symptom=connects_after_stop,
    ),
    Race(
        id="R04",
        what="metadata come just before the deadline: the registration identifies, the lifecycle identifies again",
        metadata_script=[Delay(14.9)],
        script=[Connection(ready=Delay(1))],
        until=20,
        symptom=identifies_too_soon,
    ),
    Race(
        id="R05",
        what="a start-up that failed leaves its socket open, and READY comes to a monitor that is dead",
        script=[Connection(ready=Delay(20))],
        until=60,
        symptom=socket_outlives_supervisor,
    ),
    Race(
        id="R11",
        what="the old socket closes late, and its handler kills the new one",
        script=[_SESSION_THEN_DROP, Connection(hello=Withhold(), on_close=Delay(2)), Connection()],
        until=60,
        symptom=leaves_a_live_session,
        blind_to_sockets=True,
    ),
    Race(
        id="R12",
        what="the HELLO watch was not stopped with the rest, and opens a new connection",
        script=[Connection(hello=Dark()), Connection()],
        start_up=math.inf,
        stop_at=10,
        until=60,
        symptom=connects_after_stop,
    ),
    Race(
        id="R13",
        what="the connection to resume on is left with 1000, which ends the session that is to be resumed",
        script=[_SESSION_THEN_DROP, Connection(resumed=Delay(40)), Connection()],
        until=60,
        symptom=kills_its_own_session,
    ),
    Race(
        id="R18",
        what="no 101 ever comes, nothing times the attempt, and any other attempt is ignored in silence",
        script=[_SESSION_THEN_DROP, Connection(accept=Withhold())],
        until=240,
        symptom=handshake_hangs,
    ),
    Race(
        id="R31",
        what="READY came and went between two looks, so the start-up fails and a good session is thrown away",
        script=[_QUICK_DROP, Connection(hello=Withhold()), Connection()],
        until=60,
        symptom=identifies_twice,
    ),
    Race(
        id="R32",
        what="a fresh session's first heartbeat carries the sequence of the one before",
        script=[
            Connection(after_ready=(Delay(6), Close(4009))),
            Connection(after_hello=RequestHeartbeat(), ready=Delay(1)),
        ],
        until=15,
        symptom=beats_with_an_old_sequence,
    ),
    Race(
        id="R32",
        what="a fresh connection drops before READY, and the next one resumes the session that was given up",
        script=[_QUICK_DROP, Connection(hello=Withhold()), Connection(on_identify=Drop()), Connection()],
        until=60,
        symptom=resumes_an_older_session,
    ),
    Race(
        id="R35",
        what="told to identify anew while a resume is connecting, it ignores the order in silence",
        script=[Connection(after_ready=(Delay(2), Close(4000))), Connection(accept=Delay(10)), Connection()],
        force_at=5,
        until=30,
        symptom=resumes_although_told_not_to,
    ),
)
"""In the order of their ids."""
