"""Themes: scenarios that lead to what chance alone comes to once in a million lives.

A theme is a small plot with open places. Two kinds of moments need one: a state that lasts only because something is
withheld (a HELLO, a slot, the way up), and two things that happen in the same instant, in either order. For the latter
nothing takes time in the network, and the scheduler's numbers decide who is first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import attrs

from gatewright.harness.fake.script import Connection, Delay, Withhold
from gatewright.harness.sim.choices import Source, pick
from gatewright.harness.sim.scenario import INTENTS, Act, Deed, Gate, Late, Registering, Scenario
from gatewright.spec.session import Session
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.transport.queue import Queue, QueuePolicy

Theme: TypeAlias = Callable[[Source], Scenario]

_HELD: Final = Connection(hello=Withhold())
_BRIEF: Final = Settings(slot_timeout=2.5)
_READY, _DISPATCH = 1, 3
"""Numbers of what is said out of turn."""
_VERBS: Final = (Deed.CONNECT, Deed.RECONNECT, Deed.FORCE_IDENTIFY, Deed.SUSPEND, Deed.STOP)
_LEAVING_VERBS: Final = (Deed.RECONNECT, Deed.SUSPEND, Deed.STOP, Deed.FORCE_IDENTIFY)
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


# A state that lasts, and whatever can be said or asked in it ----------------------------------------------------------


def _said_in_a_state(source: Source) -> Scenario:
    """The server says something in a state in which it should not, or closes."""
    state = pick(source, _SOCKET)
    deed = pick(source, (Deed.OUT_OF_TURN, Deed.CLOSE, Deed.BAN, Deed.GARBAGE, Deed.OUT_OF_TURN))
    acts = (Act(1.0, deed, source.below(12), state), Act(1.0, pick(source, _VERBS), 0, state))
    return attrs.evolve(_held_in(state), acts=acts)


def _asked_in_a_state(source: Source) -> Scenario:
    """The user asks for something in every state, those that last no time as well."""
    state = pick(source, tuple(State))
    held = _held_in(state)
    if state in {State.STOPPED, State.FAILED}:
        acts = [Act(1.0, Deed.STOP if state is State.STOPPED else Deed.BAN, 0, State.READY)]
        acts += [Act(0.1, verb) for verb in (*_VERBS, *_VERBS[:3])]
    elif state is State.SUSPENDED:
        acts = [Act(1.0, Deed.SUSPEND, 0, State.READY), Act(1.0, pick(source, _VERBS), 0, state)]
    else:
        acts = [Act(0.0, pick(source, _VERBS), 0, state), Act(0.0, pick(source, _VERBS))]
    return attrs.evolve(held, acts=tuple(acts), metadata=("metadata_slow",))


def _stuck_in_a_state(source: Source) -> Scenario:
    """Nothing leaves any more, and the state goes on until a write has waited for too long."""
    state = pick(source, _SOCKET)
    if state is State.IDENTIFIED:
        acts: tuple[Act, ...] = (Act(0.0, Deed.CHOKE, source.below(6), State.AWAITING_IDENTIFY_SLOT),)
        return Scenario(gates=(Gate.SLOW,), acts=acts)
    acts = (Act(0.5, Deed.CHOKE, source.below(2), state), Act(0.5, Deed.BEAT_REQUEST))
    return attrs.evolve(_held_in(state), acts=acts)


def _silent_hellos(source: Source) -> Scenario:
    """HELLO does not come, again and again."""
    session = imported() if source.below(2) else None
    return Scenario(connections=(_HELD,) * (2 + source.below(2)), session=session)


def _held_back(source: Source) -> Scenario:
    """The consumer is away, its queue is full, and the next connection holds back what it brings."""
    state = pick(source, _SOCKET[:4])
    held = _held_in(state)
    first = Deed.RECONNECT if state in {State.AWAITING_HELLO, State.RESUMING} else Deed.FORCE_IDENTIFY
    plans = {
        State.AWAITING_HELLO: (_HELD,),
        State.IDENTIFIED: (Connection(ready=Withhold()),),
        State.RESUMING: (Connection(on_resume=Withhold()),),
    }.get(state, ())
    short = Settings(ready_wait_max=121.0, resume_wait_max=121.0, max_paused_beats=pick(source, (1, 4, 40)))
    return attrs.evolve(
        held,
        session=None,
        queue=_FULL,
        settings=short,
        connections=(Connection(), *plans),
        gates=(Gate.FREE, *held.gates),
        absent=pick(source, (25.0, 190.0, 400.0)),
        acts=(
            Act(1.0, first, 0, State.READY),
            Act(0.5, Deed.OUT_OF_TURN, _READY, state),
            Act(0.5, pick(source, (Deed.DISPATCHES, Deed.RECONNECT, Deed.RESET, Deed.CLOSE)), source.below(12)),
        ),
    )


def _too_slow(source: Source) -> Scenario:
    """The queue overflows and that is fatal: in a handshake, in a replay, or live; and the server closes meanwhile."""
    state = pick(source, (State.IDENTIFIED, State.RESUMING, State.READY))
    dispatches = [Act(0.0, Deed.OUT_OF_TURN, _DISPATCH) for _ in range(4)]
    acts = [Act(0.5, Deed.ABSENCE, 1, state)]
    if source.below(2):
        acts += [Act(0.1, Deed.CHOKE, 0), Act(0.1, Deed.BEAT_REQUEST)]
    if source.below(3) == 0:
        dispatches.append(Act(pick(source, (0.0, 0.5)), Deed.CLOSE, source.below(12)))
        dispatches.append(Act(0.25, Deed.MEND))
    return attrs.evolve(_held_in(state), queue=_FAILING, absent=60.0, acts=(*acts, *dispatches))


# Registrations and metadata -------------------------------------------------------------------------------------------


def _registering(source: Source) -> Scenario:
    """Registrations that hang, fail or cannot be undone, and a user who leaves, or leaves and comes back."""
    how = pick(source, tuple(how for how in Registering if how is not Registering.FINE))
    first = pick(source, (Deed.STOP, Deed.SUSPEND, Deed.PRESENCE))
    acts = [Act(pick(source, (0.0, 0.5)), first, 0, State.REGISTERING)]
    acts += [Act(0.0, pick(source, _VERBS), 0, pick(source, (None, State.DRAINING))) for _ in range(2)]
    acts.append(Act(0.0, Deed.CONNECT, 0, State.SUSPENDED))
    acts.append(Act(pick(source, (0.0, 6.0)), pick(source, (Deed.STOP, Deed.SUSPEND, Deed.PRESENCE))))
    return Scenario(registering=how, acts=(*acts, Act(10.0, Deed.PRESENCE)))


def _late_metadata(source: Source) -> Scenario:
    """A metadata request that was given up is answered all the same: some seconds, or minutes, later."""
    state = pick(source, (*_SOCKET, State.AWAITING_HELLO))
    wait = pick(source, (0.25, 3.0, 20.0))
    late = tuple(Late(6.0 + wait, bool(source.below(2))) for _ in range(1 + source.below(2)))
    acts: list[Act] = []
    match source.below(4):
        case 0:
            acts = [
                Act(1.0, Deed.SUSPEND, 0, State.FETCHING_METADATA),
                Act(0.5, pick(source, (Deed.CONNECT, Deed.STOP))),
            ]
        case 1:
            acts = [Act(1.0, Deed.STOP, 0, State.FETCHING_METADATA), Act(30.0, Deed.CONNECT)]
        case 2:
            acts = [
                Act(wait - 0.25, Deed.CHOKE, 0, pick(source, _SOCKET[:3])),
                Act(0.0, pick(source, (Deed.OP_7, Deed.OP_9, Deed.SUSPEND, Deed.STOP, Deed.BAN, Deed.OP_9))),
                Act(30.0, Deed.MEND),
            ]
        case _:
            acts = [Act(30.0, Deed.MEND)]
    return attrs.evolve(_held_in(state), metadata=late, acts=tuple(acts))


def _woken(source: Source) -> Scenario:
    """No metadata are to be had, the fallback does not serve, and the user wakes the back-off."""
    metadata = ("metadata_503",) * 6
    acts = (
        Act(0.0, Deed.REFUSE, 3),
        Act(pick(source, (0.0, 0.1)), pick(source, _VERBS), 0, State.BACKING_OFF),
        Act(pick(source, (0.0, 0.1)), pick(source, _VERBS), 0, State.BACKING_OFF),
    )
    return Scenario(metadata=metadata, acts=acts, session=imported() if source.below(2) else None)


# The gate -------------------------------------------------------------------------------------------------------------


def _late_gate(source: Source) -> Scenario:
    """A gate that takes no notice of being cancelled answers when the shard has gone on."""
    gate = pick(source, (Gate.LATE_GRANT, Gate.LATE_REFUSAL, Gate.LATE_ESTIMATE))
    where = pick(source, tuple(_AFTER_THE_GATE))
    acts: list[Act] = list(_AFTER_THE_GATE[where])
    fails = ("metadata_503",) * 40 if where is State.FETCHING_METADATA else ()
    settings = _BRIEF if where is State.STALLED else Settings()
    return Scenario(gates=(gate,), settings=settings, metadata=fails, acts=(*acts, Act(8.0, Deed.MEND)))


_SLOT: Final = State.AWAITING_IDENTIFY_SLOT
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


# Leaving, and what happens in the same instant ------------------------------------------------------------------------


def _stuck_leaving(source: Source) -> Scenario:
    """The close frame cannot leave, so leaving takes its whole time: for verbs, closes, and all that is said."""
    state = pick(source, _SOCKET)
    leave = pick(source, (Deed.OP_7, Deed.RECONNECT, Deed.SUSPEND, Deed.STOP, None))
    first = (Act(0.5, Deed.CHOKE, 0, state), Act(0.0, Deed.BEAT_REQUEST))
    during = State.DRAINING
    settings, queue = Settings(), Queue()
    if source.below(4) == 0 and state in {State.AWAITING_HELLO, State.AWAITING_IDENTIFY_SLOT}:
        # Left because a deadline passes, so that it is in `stalled`.
        settings, during = Settings(hello_timeout=2.5, slot_timeout=2.5), State.STALLED
        acts = [*first]
    elif leave is None:
        queue, state = _FAILING, State.READY
        acts = [*first, Act(0.0, Deed.ABSENCE, 1), *(Act(0.0, Deed.OUT_OF_TURN, _DISPATCH) for _ in range(3))]
    else:
        acts = [*first, Act(pick(source, (0.5, 6.0)), leave)]
    match source.below(4):
        case 0:
            acts.append(Act(0.0, Deed.STREAM, source.below(110), during))
            acts.append(Act(0.0, pick(source, (*_VERBS[:3], Deed.MEND)), 0, State.BACKING_OFF))
        case 1:
            acts.append(Act(pick(source, (0.0, 0.25)), pick(source, _VERBS), 0, during))
            acts.append(Act(pick(source, (0.0, 0.25)), pick(source, _VERBS)))
        case 2:
            acts.append(Act(0.25, pick(source, (Deed.CLOSE, Deed.CLOSE, Deed.BAN)), source.below(12), during))
            acts.append(Act(0.25, Deed.MEND))
        case _:
            acts.append(Act(pick(source, (1.0, 1.0, 0.5, 5.0)), Deed.MEND, 0, during))
            acts.append(Act(0.0, pick(source, (*_VERBS[:3], Deed.MEND)), 0, State.BACKING_OFF))
    held = _held_in(state)
    if during is State.STALLED and state is State.AWAITING_IDENTIFY_SLOT:
        held = attrs.evolve(held, gates=(Gate.LATE_GRANT,))
    metadata = ("metadata_503",) * 40 if source.below(3) == 0 else ()
    return attrs.evolve(held, settings=settings, queue=queue, metadata=metadata, absent=0.0, acts=tuple(acts))


def _closed_while_leaving(source: Source) -> Scenario:
    """The server closes in the instant in which the shard decides to leave."""
    leave = pick(source, (Deed.OP_7, Deed.RECONNECT, Deed.SUSPEND, Deed.STOP, Deed.FORCE_IDENTIFY, None))
    close = Act(0.0, pick(source, (Deed.CLOSE, Deed.CLOSE, Deed.BAN)), source.below(12))
    if leave is None:
        acts = [
            Act(1.0, Deed.ABSENCE, 1, State.READY),
            *(Act(0.0, Deed.OUT_OF_TURN, _DISPATCH) for _ in range(3)),
            close,
        ]
    else:
        acts = [Act(1.0, leave, 0, State.READY), close]
        if source.below(2):
            acts = [attrs.evolve(close, after=1.0, during=State.READY), Act(0.0, leave)]
    return Scenario(queue=_FAILING if leave is None else Queue(), acts=tuple(acts))


def _opened_in_the_end(source: Source) -> Scenario:
    """The handshake ends in the instant in which it is given up."""
    seconds = pick(source, (1.0, 20.0))
    acts = (Act(seconds, pick(source, _LEAVING_VERBS), 0, State.CONNECTING),) if seconds < 20.0 else ()
    session = imported() if source.below(2) else None
    return Scenario(connections=(Connection(accept=Delay(seconds)),), acts=acts, session=session)


THEMES: Final[tuple[Theme, ...]] = (
    _said_in_a_state, _asked_in_a_state, _stuck_in_a_state, _silent_hellos, _held_back, _too_slow, _registering,
    _late_metadata, _woken, _late_gate, _stuck_leaving, _stuck_leaving, _stuck_leaving, _closed_while_leaving,
    _opened_in_the_end,
)  # fmt: skip
"""Every theme; the more there is to a theme, the more often."""


def themed(source: Source) -> Scenario:
    """A scenario of some theme, on a network in which nothing takes time; the scheduler is the caller's to seed."""
    return pick(source, THEMES)(source)
