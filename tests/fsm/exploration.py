"""Contexts that can be reached from the beginning, found breadth-first with concrete events of every kind."""

import copy
import functools
from collections import deque
from collections.abc import Hashable, Iterator

import attrs

from gatewright.fsm.core import shipped_compiled
from gatewright.fsm.errors import Refusal
from gatewright.spec import events
from gatewright.spec.context import Context
from gatewright.spec.events import Event
from gatewright.spec.session import Session
from gatewright.spec.settings import Settings
from gatewright.spec.states import HEARTBEAT_STATES, SOCKET_STATES, STATES, State

RESUME_URL = "wss://resume.example/"
SESSION = Session(id="imported", resume_url=RESUME_URL, seq=7)


def beginnings() -> Iterator[Context]:
    """Shards before anything happened, with the settings and sessions that the table tells apart."""
    # The second is at the end of its patience at once, so that what is rare is not far.
    hasty = Settings(
        strict_startup=True,
        shard_count=2,
        max_attempts=2,
        max_failed_resumes=1,
        max_paused_beats=1,
        connect_failures_to_forget_url=1,
        hello_stalls_to_forget_url=1,
        hello_stalls_to_drop_session=2,
    )
    # The third has no time left when its time-outs come, so that a paused reader exhausts them before its beats do.
    capped = Settings(ready_timeout=60.0, ready_wait_max=60.0, resume_timeout=60.0, resume_wait_max=60.0)
    for settings in (Settings(ready_timeout=60.0), hasty, capped):
        for session in (None, SESSION, SESSION.without_url()):
            yield Context(settings=settings, session=session, received=None if session is None else session.seq)


def variants(context: Context) -> tuple[Event, ...]:
    """Every event of the alphabet at this context, with payloads that differ where the table looks."""
    return _variants(context.gen, context.request, context.received or 0, context.state in SOCKET_STATES)


@functools.lru_cache(maxsize=4096)
def _variants(gen: int, request: int, received: int, socket: bool) -> tuple[Event, ...]:
    found: list[Event] = [command() for command in events.COMMANDS]
    found += [events.Registered(), events.RegistrationFailed("no"), events.RegistrationUndone()]
    for number in (request, request - 1):
        found.append(events.MetadataFetched(number, "wss://main.example/", total=500))
        found += [events.MetadataFailed(number, error, retry_after=1.0) for error in events.MetadataError]
    for of in (gen, gen - 1):
        if of > 0 or not socket:  # where there never was a socket, there is nothing that could say anything
            found += _of_generation(of, received)
    return (*found, events.DeadlinePassed(), events.HeartbeatDue())


def _of_generation(gen: int, received: int) -> Iterator[Event]:
    yield from (events.Opened(gen), events.ConnectFailed(gen), events.CloseFlushed(gen), events.Aborted(gen))
    yield from (events.Closed(gen, code) for code in (None, 4000, 4004, 4008, 4009))
    yield from (
        events.WriteBlocked(gen),
        events.ReadingPaused(gen),
        events.ReadingResumed(gen),
        events.QueueOverflowed(gen),
    )
    yield from (events.SlotQueued(gen, 7.0), events.SlotGranted(gen))
    yield from (events.SlotUnavailable(gen, refusal, retry_after=3.0) for refusal in events.SlotRefusal)
    yield from (events.Hello(gen, 40.0), events.HeartbeatRequested(gen), events.HeartbeatAcked(gen))
    yield from (events.ReconnectRequested(gen), events.UnknownMessage(gen, 12))
    yield from (events.SessionInvalidated(gen, resumable) for resumable in (False, True))
    yield events.Ready(gen, 1, "new", RESUME_URL)
    yield from (make(gen, seq) for make in (events.Resumed, events.Dispatched) for seq in (received, received + 1))
    yield events.ProtocolViolation(gen, events.ViolationKind.NOT_JSON)


def at(context: Context, event: Event) -> None:
    """Lets the time come at which `event` can happen: a timer is fed when it is due."""
    due = context.beat_at if isinstance(event, events.HeartbeatDue) else context.deadline
    if isinstance(event, events.Timer) and due is not None and due > context.now:
        context.now = due


def _shape(c: Context) -> Hashable:
    """What is told apart: everything that guards read, with counters and times bounded so that there is an end."""
    if STATES[c.state].absorbing:  # nothing of the past matters any more
        return c.state, None if c.failure is None else c.failure.kind
    plan = None if c.session is None else c.session.resume_url is None
    leaving = c.state in {State.STALLED, State.DRAINING, State.BACKING_OFF}
    return (
        (
            c.state,
            c.settings.strict_startup,
            c.settings.ready_wait_max,
            c.registered,
            c.metadata is None,
            c.fallback,
            min(c.request, 2),
        ),
        (min(c.gen, 2), c.connect_failures, c.stalls, plan, c.failed_resumes, c.been_ready, min(c.attempts, 2)),
        (c.then, c.cause, min(c.identifies, 2)) if leaving else None,
        (c.acked, c.proving, c.paused, c.paused_since_beat, c.paused_beats, _recently_acked(c), c.progressed)
        if c.state in {State.AWAITING_HELLO, *HEARTBEAT_STATES}
        else None,
    )


def _recently_acked(c: Context) -> bool:
    """An ACK will be recent when the deadline of the state comes."""
    if c.acked_at is None or c.deadline is None or c.interval is None:
        return False
    return c.deadline - c.acked_at <= 2 * c.interval


@functools.cache
def reachable(most: int) -> tuple[Context, ...]:
    """Up to `most` contexts that differ in shape, each with a shortest history, the nearest first."""
    table = shipped_compiled()
    found: dict[Hashable, Context] = {}
    frontier: deque[Context] = deque()
    for context in beginnings():
        found[_shape(context)] = context
        frontier.append(context)
    while frontier and len(found) < most:
        context = frontier.popleft()
        for event in variants(context):
            after = copy.copy(context)
            at(after, event)
            try:
                table.step(after, event)
            except Refusal:
                continue
            shape = _shape(after)
            if shape not in found:
                after.roll = len(found) % 10 / 10
                found[shape] = after
                frontier.append(after)
    return tuple(found.values())


def same(one: Context, other: Context) -> dict[str, tuple[object, object]]:
    """The fields in which two contexts differ; empty when they are equal."""
    return {
        field.name: (getattr(one, field.name), getattr(other, field.name))
        for field in attrs.fields(Context)
        if getattr(one, field.name) != getattr(other, field.name)
    }
