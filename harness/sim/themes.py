"""Themes: scenarios that lead to what chance alone comes to once in a million lives.

A theme is a small plot with open places. Two kinds of moments need one: a state that lasts only because something is
withheld (a HELLO, a slot, the way up), and two things that happen in the same instant, in either order. For the latter
nothing takes time in the network, and the scheduler's numbers decide who is first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import attrs

from gatewright.harness.fake.script import Connection, Delay, Drop, Withhold
from gatewright.harness.sim.choices import Source, pick
from gatewright.harness.sim.extras import COMPRESSIONS, WAYS
from gatewright.harness.sim.scenario import (
    INTENTS,
    Act,
    Consumer,
    Deed,
    Gate,
    Late,
    Limit,
    Registering,
    Scenario,
)
from gatewright.spec.session import Session
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.transport.queue import Queue, QueuePolicy

Theme: TypeAlias = Callable[[Source], Scenario]

_HELD: Final = Connection(hello=Withhold())
_BRIEF: Final = Settings(slot_timeout=2.5)
_QUICK: Final = Settings(connect_timeout=2.5)
_READY, _DISPATCH = 1, 3
"""Numbers of what is said out of turn."""
_OVERFLOWING: Final = (Act(0.0, Deed.OUT_OF_TURN, _DISPATCH),) * 3
_NO_METADATA: Final = ("metadata_503",) * 40
_SLOT: Final = State.AWAITING_IDENTIFY_SLOT
_VERBS: Final = (Deed.CONNECT, Deed.RECONNECT, Deed.FORCE_IDENTIFY, Deed.SUSPEND, Deed.STOP)
_SOCKET: Final = (State.AWAITING_HELLO, State.AWAITING_IDENTIFY_SLOT, State.IDENTIFIED, State.RESUMING, State.READY)
_FULL: Final = Queue(events=1)
_FAILING: Final = Queue(events=1, policy=QueuePolicy.FAIL)


def imported() -> Session:
    """A session that the shard may resume; the server does not know it."""
    return Session(id="imported", resume_url=None, seq=7, intents=int(INTENTS))


def _held_in(state: State) -> Scenario:
    """A life that stays in `state` on its first connection."""
    match state:
        case State.AWAITING_HELLO:
            return Scenario(connections=(_HELD,))
        case State.AWAITING_IDENTIFY_SLOT:
            return Scenario(gates=(Gate.SILENT,))
        case State.IDENTIFIED:
            return Scenario(connections=(Connection(ready=Withhold()),))
        case State.RESUMING:
            return Scenario(session=imported(), connections=(Connection(on_resume=Withhold()),))
        case _:
            return Scenario()


def _closed(source: Source) -> Act:
    """The server closes, with a code of each kind."""
    return pick(source, (Act(0.0, Deed.CLOSE), Act(0.0, Deed.CLOSE, 5), Act(0.0, Deed.CLOSE, 6), Act(0.0, Deed.BAN)))


# A state that lasts, and whatever can be said or asked in it ----------------------------------------------------------


def _said_in_a_state(source: Source) -> Scenario:
    """The server says things in a state in which it should not; then it closes, or the user leaves."""
    state, first = pick(source, _SOCKET), source.below(9)
    said = [Act(0.25, Deed.OUT_OF_TURN, first + place, state) for place in range(3)]
    last = _closed(source) if source.below(2) else Act(0.25, pick(source, (Deed.GARBAGE, *_VERBS)))
    last = attrs.evolve(last, after=0.25, during=state)
    acts = (*said[: source.below(4)], last, Act(1.0, Deed.DROP, 0, State.READY))
    return attrs.evolve(_held_in(state), acts=acts)


def _asked_in_a_state(source: Source) -> Scenario:
    """The user asks for something in every state, those that last no time as well."""
    state = pick(source, tuple(State))
    if state in {State.STOPPED, State.FAILED}:
        acts = [Act(1.0, Deed.STOP if state is State.STOPPED else Deed.BAN, 0, State.READY)]
        acts += [Act(0.1, verb) for verb in (*_VERBS, *_VERBS[:3])]
    elif state is State.SUSPENDED:
        acts = [Act(1.0, Deed.SUSPEND, 0, State.READY), Act(1.0, pick(source, _VERBS), 0, state)]
    else:
        acts = [Act(0.0, pick(source, _VERBS), 0, state), Act(0.0, pick(source, _VERBS))]
    return attrs.evolve(_held_in(state), acts=tuple(acts), metadata=("metadata_slow",))


def _stuck_in_a_state(source: Source) -> Scenario:
    """Nothing leaves any more, until a write has waited for too long: in a state, or when that is being left."""
    state = pick(source, _SOCKET)
    stuck = Act(0.0, Deed.CHOKE, 0, state), Act(0.0, Deed.BEAT_REQUEST)
    then = (Act(12.0, Deed.MEND), Act(1.0, Deed.DROP), Act(1.0, Deed.DROP))
    if state is State.IDENTIFIED:  # IDENTIFY itself is stuck
        return Scenario(gates=(Gate.SLOW,), acts=(Act(11.5, Deed.CHOKE, 0, State.AWAITING_IDENTIFY_SLOT), *then))
    if state is State.READY:
        overflow = (Act(9.5, Deed.ABSENCE, 1), *_OVERFLOWING)
        return Scenario(queue=_FAILING, acts=(*stuck, *overflow, *then))
    leave = (Act(9.5, pick(source, _VERBS)),) if source.below(2) else ()
    settings = Settings(hello_timeout=pick(source, (9.75, 30.0)))
    return attrs.evolve(_held_in(state), settings=settings, acts=(*stuck, *leave, *then))


def _silent_hellos(source: Source) -> Scenario:
    """HELLO does not come, again and again."""
    session = imported() if source.below(2) else None
    return Scenario(connections=(_HELD,) * (2 + source.below(2)), session=session)


def _held_back(source: Source) -> Scenario:
    """The consumer is away, its queue is full, and the next connection holds back what it brings."""
    state = pick(source, _SOCKET[:4])
    held = _held_in(state)
    first = Deed.RECONNECT if state in {State.AWAITING_HELLO, State.RESUMING} else Deed.FORCE_IDENTIFY
    said = _READY if state in {State.AWAITING_HELLO, _SLOT} else _DISPATCH
    last = pick(source, (Deed.DISPATCHES, Deed.DISPATCHES, Deed.RECONNECT, Deed.RESET, Deed.CLOSE))
    return attrs.evolve(
        held,
        session=None,
        queue=_FULL,
        settings=Settings(ready_wait_max=121.0, resume_wait_max=121.0, max_paused_beats=pick(source, (1, 4, 40))),
        connections=(Connection(), *held.connections),
        gates=(Gate.FREE, *held.gates),
        absent=pick(source, (25.0, 190.0, 400.0)),
        acts=(
            Act(1.0, first, 0, State.READY),
            Act(0.5, Deed.OUT_OF_TURN, said, state),
            Act(pick(source, (0.5, 180.0, 390.0)), last, source.below(12)),
        ),
    )


def _too_slow(source: Source) -> Scenario:
    """The queue overflows and that is fatal: in a handshake, in a replay, or live; and the server closes meanwhile."""
    state = pick(source, (State.IDENTIFIED, State.RESUMING, State.READY))
    acts = [Act(0.5, Deed.ABSENCE, 1, state)]
    if source.below(2):
        acts += [Act(0.1, Deed.CHOKE), Act(0.1, Deed.BEAT_REQUEST)]
    acts += _OVERFLOWING
    if source.below(2):
        acts += [attrs.evolve(_closed(source), after=pick(source, (0.0, 0.5))), Act(0.25, Deed.MEND)]
    return attrs.evolve(_held_in(state), queue=_FAILING, absent=60.0, acts=tuple(acts))


# Registrations, metadata, the gate ------------------------------------------------------------------------------------


def _registering(source: Source) -> Scenario:
    """Registrations that hang, fail or cannot be undone, and a user who leaves, or leaves and comes back."""
    how = pick(source, tuple(how for how in Registering if how is not Registering.FINE))
    acts = [Act(pick(source, (0.0, 0.5)), pick(source, (Deed.STOP, Deed.SUSPEND, Deed.MEND)), 0, State.REGISTERING)]
    if source.below(2):
        acts += [Act(0.0, pick(source, _VERBS), 0, pick(source, (None, State.DRAINING))) for _ in range(2)]
    acts.append(Act(pick(source, (0.0, 3.0, 8.0)), Deed.CONNECT, 0, State.SUSPENDED))
    acts.append(Act(pick(source, (0.0, 6.0)), pick(source, (Deed.STOP, Deed.SUSPEND, Deed.MEND))))
    settings = Settings(undo_timeout=pick(source, (1.0, 4.0, 10.0)))
    return Scenario(registering=how, settings=settings, acts=(*acts, Act(10.0, Deed.MEND)))


def _late_metadata(source: Source) -> Scenario:
    """A metadata request that was given up is answered all the same, when the shard has gone on."""
    where = pick(source, tuple(_AFTER_THE_REQUEST))
    wait, held, acts = _AFTER_THE_REQUEST[where]
    late = Late(6.0 + wait, fails=bool(source.below(2)))
    more = ("metadata_slow", "metadata_slow") if where is State.FETCHING_METADATA else ()
    return attrs.evolve(held, metadata=(late, *more), acts=(*acts, Act(30.0, Deed.MEND)))


def _woken(source: Source) -> Scenario:
    """No metadata are to be had, the fallback does not serve, and the user wakes the back-off."""
    acts = (
        Act(0.0, Deed.REFUSE, 3),
        Act(pick(source, (0.0, 0.1)), pick(source, _VERBS), 0, State.BACKING_OFF),
        Act(pick(source, (0.0, 0.1)), pick(source, _VERBS), 0, State.BACKING_OFF),
    )
    return Scenario(metadata=("metadata_503",) * 6, acts=acts, session=imported() if source.below(2) else None)


def _late_gate(source: Source) -> Scenario:
    """A gate that takes no notice of being cancelled answers when the shard has gone on."""
    gate = pick(source, (Gate.LATE_GRANT, Gate.LATE_REFUSAL, Gate.LATE_ESTIMATE))
    where = pick(source, tuple(_AFTER_THE_GATE))
    fails = _NO_METADATA if where is State.FETCHING_METADATA else ()
    settings = _BRIEF if where is State.STALLED else Settings()
    acts = (*_AFTER_THE_GATE[where], Act(8.0, Deed.MEND), Act(1.0, Deed.DROP))
    return Scenario(gates=(gate,), settings=settings, metadata=fails, acts=acts)


def _late_gate_of_an_old_connection(source: Source) -> Scenario:
    """It answers when the next connection, or the one after that, is well under way."""
    gate = pick(source, (Gate.LATE_GRANT, Gate.LATE_REFUSAL, Gate.LATE_ESTIMATE))
    held, acts = pick(source, _NEXT_TO_THE_GATE)
    again = (Act(0.25, Deed.RECONNECT, 0, _SLOT), *acts, Act(8.0, Deed.MEND), Act(1.0, Deed.DROP))
    return attrs.evolve(held, gates=(gate, *held.gates), connections=(Connection(), *held.connections), acts=again)


_STUCK: Final = (Act(2.25, Deed.CHOKE, 0, _SLOT), Act(0.0, Deed.BEAT_REQUEST))
_AFTER_THE_GATE: Final = {
    State.DRAINING: (*_STUCK, Act(0.25, Deed.OP_7)),
    State.STALLED: _STUCK,
    State.BACKING_OFF: (Act(2.75, Deed.OP_9, 0, _SLOT),),
    State.FETCHING_METADATA: (Act(2.75, Deed.RECONNECT, 0, _SLOT), Act(0.0, Deed.CONNECT, 0, State.BACKING_OFF)),
    State.SUSPENDED: (Act(2.5, Deed.SUSPEND, 0, _SLOT),),
    State.STOPPED: (Act(2.5, Deed.STOP, 0, _SLOT),),
    State.FAILED: (Act(2.5, Deed.BAN, 0, _SLOT),),
}
"""What leads from the slot that was asked for to each state, in which the gate answers then."""

_NEXT_TO_THE_GATE: Final[tuple[tuple[Scenario, tuple[Act, ...]], ...]] = (
    (Scenario(connections=(Connection(accept=Delay(5.0)),)), ()),
    (_held_in(State.AWAITING_HELLO), ()),
    (_held_in(_SLOT), ()),
    (_held_in(State.IDENTIFIED), ()),
    (
        Scenario(connections=(Connection(), Connection(on_resume=Withhold()))),
        (Act(0.25, Deed.OP_7, 0, State.READY),),
    ),
    (Scenario(), ()),
)
"""How the connection goes on that comes after the slot was asked for."""

_FETCHING: Final = State.FETCHING_METADATA
_AFTER_THE_REQUEST: Final[dict[State, tuple[float, Scenario, tuple[Act, ...]]]] = {
    _FETCHING: (-2.0, Scenario(), (Act(1.0, Deed.SUSPEND, 0, _FETCHING), Act(0.5, Deed.CONNECT))),
    State.CONNECTING: (0.25, Scenario(connections=(Connection(accept=Delay(1.0)),)), ()),
    State.AWAITING_HELLO: (0.25, _held_in(State.AWAITING_HELLO), ()),
    _SLOT: (0.25, _held_in(_SLOT), ()),
    State.IDENTIFIED: (0.25, _held_in(State.IDENTIFIED), ()),
    State.RESUMING: (
        0.25,
        Scenario(session=imported(), connections=(Connection(accept=Drop()), Connection(on_resume=Withhold()))),
        (),
    ),
    State.READY: (1.0, Scenario(), ()),
    State.STALLED: (
        2.75,
        Scenario(settings=Settings(hello_timeout=2.5), connections=(_HELD,)),
        (Act(0.25, Deed.CHOKE, 0, State.AWAITING_HELLO),),
    ),
    State.DRAINING: (0.75, Scenario(), (Act(0.5, Deed.CHOKE, 0, State.READY), Act(0.0, Deed.OP_7))),
    State.BACKING_OFF: (0.75, Scenario(), (Act(0.5, Deed.OP_9, 0, State.READY),)),
    State.SUSPENDED: (0.0, Scenario(), (Act(1.0, Deed.SUSPEND, 0, _FETCHING),)),
    State.STOPPED: (0.0, Scenario(), (Act(1.0, Deed.STOP, 0, _FETCHING),)),
    State.FAILED: (1.0, Scenario(), (Act(0.5, Deed.BAN, 0, State.READY),)),
}
"""By how much the answer comes later than the shard has waited for it, and what leads to the state in which it comes.
The table is patient for six seconds."""


# Leaving slowly, and two things in the same instant -------------------------------------------------------------------


@attrs.frozen
class _Leaving:
    """A shard that is being left, and whose close frame cannot leave, so that this takes all of its time."""

    scenario: Scenario
    during: State
    lasts: float


def _leaving(source: Source) -> _Leaving:
    """For each of what can come then, and where that is another attempt, one that asks for metadata first or fails."""
    state = pick(source, _SOCKET)
    stuck = (Act(0.5, Deed.CHOKE, 0, state), Act(0.0, Deed.BEAT_REQUEST))
    metadata = _NO_METADATA if source.below(3) == 0 else ()
    held = attrs.evolve(_held_in(state), metadata=metadata)
    match source.below(6):
        case 0:
            settings = Settings(hello_timeout=2.5, slot_timeout=2.5)
            if state is _SLOT:
                held = attrs.evolve(held, gates=(Gate.LATE_GRANT,))
            elif state is not State.AWAITING_HELLO:
                held = attrs.evolve(_held_in(State.AWAITING_HELLO), metadata=metadata)
                stuck = (Act(0.5, Deed.CHOKE, 0, State.AWAITING_HELLO), Act(0.0, Deed.BEAT_REQUEST))
            return _Leaving(attrs.evolve(held, settings=settings, acts=stuck), State.STALLED, 1.0)
        case 1:
            acts = (
                Act(0.5, Deed.CHOKE, 0, State.READY),
                Act(0.0, Deed.BEAT_REQUEST),
                Act(0.0, Deed.ABSENCE, 1),
                *_OVERFLOWING,
            )
            return _Leaving(Scenario(queue=_FAILING, acts=acts), State.DRAINING, 1.0)
        case 2:
            return _Leaving(attrs.evolve(held, acts=(*stuck, Act(0.5, Deed.STOP))), State.DRAINING, 5.0)
        case 3:
            return _Leaving(attrs.evolve(held, acts=(*stuck, Act(0.5, Deed.SUSPEND))), State.DRAINING, 1.0)
        case _:
            leave = Act(0.5, pick(source, (Deed.OP_7, Deed.RECONNECT, Deed.FORCE_IDENTIFY, Deed.GARBAGE, Deed.OP_9)))
            return _Leaving(attrs.evolve(held, acts=(*stuck, leave)), State.DRAINING, 1.0)


def _woken_at_once(source: Source) -> tuple[Act, ...]:
    """Perhaps the user wakes the back-off in the instant in which it begins, and perhaps leaves at once.

    Or leaves when the next connection begins by itself in that instant.
    """
    wake = Act(0.0, pick(source, _VERBS[:3]), 0, State.BACKING_OFF)
    leave = pick(source, _VERBS[3:])
    return ((), (wake,), (wake, Act(0.0, leave)), (Act(0.0, leave, 0, State.CONNECTING),))[source.below(4)]


def _with(leaving: _Leaving, *acts: Act) -> Scenario:
    return attrs.evolve(leaving.scenario, acts=(*leaving.scenario.acts, *acts))


def _said_at_the_end(source: Source) -> Scenario:
    """A message is being read in the instant in which the connection is given up."""
    leaving = _leaving(source)
    kind = source.below(10)
    said = Act(leaving.lasts, Deed.GARBAGE) if kind == 9 else Act(leaving.lasts, Deed.OUT_OF_TURN, kind)
    return _with(
        leaving,
        Act(0.0, Deed.LINGER, pick(source, (5, 8, 12, 16)), leaving.during),
        attrs.evolve(said, passes=source.below(4)),
        *_woken_at_once(source),
    )


def _said_while_leaving(source: Source) -> Scenario:
    """The server goes on talking."""
    leaving = _leaving(source)
    return _with(leaving, Act(0.0, Deed.STREAM, source.below(110), leaving.during), *_woken_at_once(source))


def _asked_while_leaving(source: Source) -> Scenario:
    """The user has other wishes meanwhile."""
    leaving = _leaving(source)
    first, second = pick(source, _VERBS), pick(source, _VERBS)
    return _with(
        leaving,
        Act(pick(source, (0.0, 0.25)), first, 0, leaving.during),
        Act(pick(source, (0.0, 0.25)), second),
        Act(6.0, Deed.MEND),
    )


def _closed_while_leaving(source: Source) -> Scenario:
    """The server closes meanwhile, and only then the way is free."""
    leaving = _leaving(source)
    close = attrs.evolve(_closed(source), after=0.25, during=leaving.during)
    return _with(leaving, close, Act(0.25, Deed.MEND))


def _flushed_at_the_end(source: Source) -> Scenario:
    """The close frame leaves in the instant in which it is no longer waited for."""
    leaving = _leaving(source)
    return _with(
        leaving,
        Act(leaving.lasts, Deed.MEND, 0, leaving.during, passes=source.below(5)),
        *_woken_at_once(source),
    )


def _left_at_once(source: Source) -> Scenario:
    """The same, and the next connection, which begins in that instant, is left in it as well."""
    # Who waits for a state hears of it too late for that.
    leave = Act(0.0, Deed.FORCE_IDENTIFY, passes=3 + source.below(3))
    mend = Act(1.0, Deed.MEND, 0, State.DRAINING, passes=source.below(6))
    stuck = (Act(0.5, Deed.CHOKE, 0, State.READY), Act(0.0, Deed.BEAT_REQUEST), Act(0.5, Deed.OP_7))
    return Scenario(acts=(*stuck, mend, leave))


def _read_at_the_end(source: Source) -> Scenario:
    """The consumer is back in the instant in which the connection is given up."""
    verb, absence = pick(source, ((Deed.RECONNECT, 0), (Deed.SUSPEND, 0), (Deed.STOP, 3), (Deed.PRESENCE, 0)))
    acts = (
        Act(0.5, Deed.CHOKE, 0, State.READY),
        Act(0.0, Deed.PRESENCE),
        Act(0.0, Deed.ABSENCE, 1, passes=8),
        *_OVERFLOWING,
        Act(0.0, verb, passes=24),
        Act(0.0, Deed.ABSENCE, absence + 4 * source.below(10), State.DRAINING),
        *_woken_at_once(source),
    )
    metadata = _NO_METADATA if source.below(2) else ()
    # Without a verb, the heartbeats that nobody answers lead away, and the next attempt is not made at once.
    settings = Settings(write_timeout=90.0, max_paused_beats=1, max_attempts=pick(source, (None, 1)))
    return Scenario(queue=_FULL, metadata=metadata, acts=acts, settings=settings)


def _held_back_at_the_end(source: Source) -> Scenario:
    """A queue that is full since long ago stops the reader in the instant in which the connection is given up."""
    verb, absence = pick(source, ((Deed.OP_7, 0), (Deed.SUSPEND, 0), (Deed.STOP, 3), (Deed.CONNECT, 0), (Deed.OP_9, 0)))
    during = State.STALLED if verb is Deed.CONNECT else State.DRAINING
    lasts = 5.0 if verb is Deed.STOP else 1.0
    early, waking = source.below(4) == 0, source.below(3) == 0
    if waking:  # at once, and metadata are asked for first
        verb, absence, lasts, during, early = Deed.OP_9, 0, 1.0, State.DRAINING, False
    acts = (
        Act(0.5, Deed.FORCE_IDENTIFY, 0, State.READY),
        Act(0.5, Deed.CHOKE, 0, _SLOT),
        Act(0.0, Deed.BEAT_REQUEST),
        Act(0.5, verb),
        Act(0.0, Deed.LINGER, pick(source, (5, 8, 12, 16)), during),
        Act(0.0, Deed.ABSENCE, absence + 4 * source.below(15)),
        Act(lasts * 0.5 if early else lasts, Deed.OUT_OF_TURN, _READY, passes=source.below(4)),
        *((Act(0.0, pick(source, _VERBS[:3]), 0, State.BACKING_OFF),) if waking else ()),
    )
    return Scenario(
        queue=_FULL,
        gates=(Gate.FREE, Gate.LATE_GRANT),
        settings=_BRIEF,
        metadata=_NO_METADATA if waking and source.below(2) else (),
        absent=60.0,
        acts=acts,
    )


def _closed_in_the_instant(source: Source) -> Scenario:
    """The server closes in the instant in which the shard decides to leave."""
    leave = pick(source, (Deed.OP_7, Deed.RECONNECT, Deed.SUSPEND, Deed.STOP, Deed.FORCE_IDENTIFY, None))
    close = _closed(source)
    if leave is None:
        return Scenario(queue=_FAILING, acts=(Act(1.0, Deed.ABSENCE, 1, State.READY), *_OVERFLOWING, close))
    if source.below(2):
        return Scenario(acts=(attrs.evolve(close, after=1.0, during=State.READY), Act(0.0, leave)))
    return Scenario(acts=(Act(1.0, leave, 0, State.READY), close))


def _opened_in_the_end(source: Source) -> Scenario:
    """The handshake ends in the instant in which it is given up."""
    if source.below(2):
        # A timer first lets be read what has come (I23): who waits for the answer is to be run after that, and not in
        # turn. So the order is drawn here: from some pass on, whoever is ready last is run first.
        order = (0,) * (20 + source.below(16)) + (-1,) * 24
        later = (Act(1.0, Deed.DROP, 0, State.READY),) * 2
        return Scenario(settings=_QUICK, connections=(Connection(accept=Delay(2.5)),), schedule=order, acts=later)
    session = imported() if source.below(2) else None
    leave = Act(1.0, pick(source, _VERBS[2:]), 0, State.CONNECTING, passes=source.below(12))
    return Scenario(connections=(Connection(accept=Delay(1.0)),), acts=(leave,), session=session)


# What is slow to end --------------------------------------------------------------------------------------------------

_CAPPED: Final = Settings(connect_timeout=2.5, max_attempts=2)


def _slow_to_close(source: Source) -> Scenario:
    """A stream that takes its time to be closed, so that others begin meanwhile; the peer may have closed it before."""
    lasts = 1 + source.below(32)  # quarters of a second
    closed = (_closed(source),) if source.below(2) else ()
    leave = pick(source, (Deed.OP_7, Deed.OP_9, Deed.RECONNECT, Deed.FORCE_IDENTIFY, Deed.SUSPEND, Deed.STOP))
    after = (attrs.evolve(act, after=0.25) for act in (*_woken_at_once(source), Act(0.0, pick(source, _VERBS))))
    acts = (Act(0.5, Deed.CLING, lasts, State.READY), *closed, Act(0.0, leave, passes=8), *after)
    metadata = _NO_METADATA if source.below(4) == 0 else ()
    capped = source.below(4) == 0
    return Scenario(
        settings=_CAPPED if capped else _QUICK,
        metadata=metadata,
        session=imported() if source.below(2) else None,
        acts=(*acts, Act(10.0, Deed.DROP)),
    )


def _slow_to_fail(source: Source) -> Scenario:
    """A connection that is refused long after it was given up."""
    if source.below(6) == 0:  # and this was its one attempt
        balk = Act(0.5, Deed.BALK, 28 + source.below(4), State.READY)
        return Scenario(settings=_CAPPED, acts=(balk, Act(0.0, Deed.DROP), Act(10.0, Deed.MEND)))
    lasts = 1 + source.below(32)
    leave = Act(pick(source, (0.0, 0.25, 2.0)), pick(source, _VERBS), 0, State.CONNECTING)
    # The second connection balks, since the first has metadata to begin with and a session to be resumed.
    acts = (
        Act(0.5, Deed.BALK, lasts, State.READY),
        Act(0.0, Deed.DROP),
        leave,
        *_woken_at_once(source),
        Act(pick(source, (0.25, 2.0)), pick(source, _VERBS), 0, pick(source, (None, State.CONNECTING))),
    )
    metadata = _NO_METADATA if source.below(3) == 0 else ()
    settings = _CAPPED if source.below(4) == 0 else _QUICK
    return Scenario(settings=settings, metadata=metadata, acts=(*acts, Act(10.0, Deed.MEND)))


# What is odd on the wire, in answers, and on the way there -----------------------------------------------------------


def _compressed(source: Source) -> Scenario:
    """Compressed messages that are cut, damaged, or larger than they look; and frames that are none."""
    odd = Deed.SPOIL if source.below(3) else Deed.WIRE
    acts = [Act(0.5, odd, source.below(30), State.READY) for _ in range(2)]
    acts += [Act(0.0, Deed.DISPATCHES, source.below(6)), Act(0.5, Deed.LARGE, source.below(4), State.READY)]
    acts += [Act(pick(source, (0.0, 0.5)), pick(source, (Deed.SPOIL, Deed.WIRE)), source.below(30), State.READY)]
    return Scenario(compress=pick(source, COMPRESSIONS), consumer=Consumer.CURIOUS, acts=tuple(acts))


def _answered_oddly(source: Source) -> Scenario:
    """Requests whose answers do not come, or others in their place; then the session may be lost, and they with it."""
    asked = (Deed.MEMBERS, Deed.CHUNKS, Deed.AGAIN, Deed.SOUNDS, Deed.CHANNELS, Deed.VOICE, Deed.PRUNE)
    acts = [Act(0.25, pick(source, asked), source.below(12), State.READY) for _ in range(1 + source.below(3))]
    acts += [Act(0.25, Deed.ANSWERS, source.below(12)) for _ in range(3)]
    last = pick(source, (Deed.FORCE_IDENTIFY, Deed.OP_9, Deed.CLOSE, Deed.STOP, Deed.MEND))
    acts.append(Act(pick(source, (0.5, 70.0)), last, 7 if last is Deed.CLOSE else 0))
    withheld = pick(source, tuple(Connection(answer=action) for action in (Withhold(), Delay(1.0), Delay(20.0))))
    return Scenario(connections=(withheld,), narrow=source.below(4) == 0, consumer=Consumer.CURIOUS, acts=tuple(acts))


def _asked_by_many(source: Source) -> Scenario:
    """Several tasks ask for dispatches, and one of them is slow at acknowledging."""
    more = tuple(Act(0.5, pick(source, (Deed.RIVALS, Deed.DISPATCHES)), source.below(12)) for _ in range(4))
    return Scenario(
        queue=pick(source, (Queue(), Queue(events=2), Queue(events=2, policy=QueuePolicy.DROP_OLDEST))),
        manual=source.below(3) > 0,
        window=3,
        consumer=pick(source, tuple(Consumer)),
        absent=pick(source, (0.0, 0.0, 5.0)),
        acts=(Act(1.0, Deed.RIVALS, source.below(2), State.READY), *more),
    )


def _on_the_way(source: Source) -> Scenario:
    """The way to the gateway is TCP, TLS and perhaps a proxy, and something is the matter with it."""
    trouble = (Deed.REFUSE, Deed.HANG, Deed.RESET, Deed.DROP)
    acts = [Act(pick(source, (0.0, 0.5)), pick(source, trouble), source.below(4)) for _ in range(2)]
    acts += [Act(0.0, pick(source, trouble), source.below(4), State.CONNECTING)]
    acts += [Act(1.0, pick(source, trouble), source.below(4), State.READY) for _ in range(2)]
    return Scenario(
        way=pick(source, WAYS),
        http=source.below(3) == 0,
        logged=True,
        file=pick(source, (None, None, "")),
        acts=tuple(acts),
    )


def _budgeted(source: Source) -> Scenario:
    """The server says again and again how much of the identify budget is left, and there are many identifies."""
    limits = (Limit(0, 600.0), Limit(0), Limit(400, 3600.0, buckets=16), Limit(101, 60.0), Limit(105), Limit(1000))
    acts = tuple(Act(3.0, pick(source, (Deed.FORCE_IDENTIFY, Deed.OP_9)), 0, State.READY) for _ in range(3))
    told = tuple(pick(source, limits) for _ in range(3))
    return Scenario(metadata=told, http=source.below(4) == 0, cached=source.below(2) == 1, logged=True, acts=acts)


THEMES: Final[tuple[Theme, ...]] = (
    *(_said_in_a_state,) * 6, *(_asked_in_a_state,) * 3, *(_stuck_in_a_state,) * 2, _silent_hellos, *(_held_back,) * 3,
    *(_too_slow,) * 2, *(_registering,) * 8, *(_late_metadata,) * 8, _woken, *(_late_gate,) * 6,
    *(_late_gate_of_an_old_connection,) * 6, *(_slow_to_close,) * 7, *(_slow_to_fail,) * 6,
    *(_said_at_the_end,) * 16, *(_said_while_leaving,) * 2, *(_asked_while_leaving,) * 3, *(_closed_while_leaving,) * 4,
    *(_flushed_at_the_end,) * 8, *(_left_at_once,) * 5, *(_read_at_the_end,) * 7, *(_held_back_at_the_end,) * 8,
    *(_closed_in_the_instant,) * 2, *(_opened_in_the_end,) * 5, *(_compressed,) * 2, *(_answered_oddly,) * 3,
    _asked_by_many, _on_the_way, _budgeted,
)  # fmt: skip
"""Every theme; the more there is to a theme, the more often."""


def themed(source: Source) -> Scenario:
    """A scenario of some theme, on a network in which nothing takes time; the scheduler is the caller's to seed."""
    return pick(source, THEMES)(source)
