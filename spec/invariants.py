"""What must hold in every run, as data: I01 to I23, and what must come to pass in the end.

Three shapes, by what is needed to judge them:

* of one context: an expression of the table's language that is true between any two steps;
* of one step: a pure function of what was before, the event, the row, the effects and what is after
  (:mod:`gatewright.spec.step_rules`);
* of a history: what needs memory beside the context (sockets, sessions, delays) is judged by
  :mod:`gatewright.harness.monitor`, which keeps that memory itself and believes no counter of the context.

`where` names the layers that prove an invariant. None of this is evaluated in production.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

import attrs

from gatewright.spec.references import REFERENCES
from gatewright.spec.states import HEARTBEAT_STATES, STATES, State
from gatewright.spec.step_rules import (
    LIVE,
    OVER,
    Rule,
    a_grant_is_used_or_returned,
    an_absence_lasts_until_a_proof,
    beats_are_scheduled_by_beats,
    connect_wakes_or_comes_back,
    deadlines_move_only_where_declared,
    dispatches_are_delivered,
    effects_stay_in_their_generation,
    fatal_codes_fail,
    handshakes_follow_hello_or_a_grant,
    late_answers_act_on_nothing,
    late_events_act_on_nothing,
    no_request_is_dropped,
    only_ends_are_closed_with_1000,
    only_ready_begins_a_session,
    only_success_forgives,
    opens_only_without_a_socket,
    paused_readers_are_no_zombies,
    requested_beats_judge_nothing,
    sessions_end_only_when_they_must,
    sessions_end_when_they_must,
    the_end_is_the_end,
    the_first_failure_stays,
    the_sequence_never_goes_back,
)


class Layer(enum.StrEnum):
    """Where an invariant is proved."""

    LINT = "lint"  # at import, of the table as text
    CORE = "core"  # after every step of the sans-I/O core
    DRIVER = "driver"  # tests of the trio driver on the fake gateway
    FLEET = "fleet"  # tests of many shards and processes


@attrs.frozen(kw_only=True)
class Invariant:
    """One sentence that holds in every run.

    `contexts` are expressions over one context, `steps` rules over one step, and `history` says what the monitor
    remembers in order to judge the rest; empty when nothing more is needed there.
    """

    id: str
    where: tuple[Layer, ...]
    contexts: tuple[str, ...] = ()
    steps: tuple[Rule, ...] = ()
    history: str = ""

    @property
    def text(self) -> str:
        """The sentence, as every document has it."""
        return REFERENCES[self.id].text


def _in(states: Iterable[State]) -> str:
    return f"state in ({''.join(f'State.{state.name}, ' for state in states)})"


_STEADY: Final = tuple(state for state, spec in STATES.items() if spec.deadline is None)
_TIMED: Final = tuple(state for state, spec in STATES.items() if spec.deadline is not None)
_CAPPED: Final = tuple(state for state, spec in STATES.items() if spec.cap is not None)

_CORE: Final = (Layer.CORE,)

_INVARIANTS: Final = (
    Invariant(
        id="I01",
        where=(Layer.CORE, Layer.DRIVER),
        steps=(opens_only_without_a_socket,),
        history="the socket that was opened and not yet closed or aborted",
    ),
    Invariant(
        id="I02",
        where=_CORE,
        contexts=(f"gen > 0 or not ({_in(LIVE)})",),
        steps=(handshakes_follow_hello_or_a_grant,),
        history="which generations had their HELLO, and what was sent on each",
    ),
    Invariant(id="I03", where=(Layer.LINT, Layer.CORE), contexts=(f"deadline is not None or {_in(_STEADY)}",)),
    Invariant(
        id="I04",
        where=(Layer.CORE, Layer.DRIVER),
        contexts=(f"(deadline is None and beat_at is None and cap is None) or not ({_in(OVER)})",),
        steps=(the_end_is_the_end,),
        history="sockets that are still there, and when `stop` was asked for",
    ),
    Invariant(
        id="I05",
        where=(Layer.CORE, Layer.DRIVER),
        contexts=(
            f"registered or not ({_in((State.CONNECTING, *LIVE, State.STALLED))})",
            f"registered or not ({_in((State.FETCHING_METADATA, State.BACKING_OFF))})",
        ),
        history="how often registrations were asked for, applied and undone",
    ),
    Invariant(
        id="I06",
        where=_CORE,
        steps=(late_events_act_on_nothing, late_answers_act_on_nothing, effects_stay_in_their_generation),
    ),
    Invariant(id="I07", where=(Layer.CORE, Layer.DRIVER), history="whether the socket is being closed"),
    Invariant(id="I08", where=_CORE, steps=(fatal_codes_fail,)),
    Invariant(
        id="I09",
        where=(Layer.CORE, Layer.DRIVER),
        contexts=(
            f"failure is not None or not ({_in((State.FAILED,))})",
            f"failure is None or {_in((State.FAILED, State.DRAINING))}",
        ),
        steps=(the_first_failure_stays,),
    ),
    Invariant(
        id="I10",
        where=_CORE,
        contexts=(
            "(session is None) == (received is None)",
            f"session is not None or not ({_in((State.RESUMING, State.READY))})",
            f"session is None or not ({_in((State.AWAITING_IDENTIFY_SLOT, State.IDENTIFIED, State.STOPPED))})",
        ),
        steps=(sessions_end_when_they_must, sessions_end_only_when_they_must, only_ready_begins_a_session),
        history="the session, its failed resumes and the HELLO stalls, counted again from the events",
    ),
    Invariant(
        id="I11",
        where=_CORE,
        steps=(only_success_forgives, an_absence_lasts_until_a_proof),
        history="the proof of each session",
    ),
    Invariant(
        id="I12",
        where=(Layer.CORE, Layer.FLEET),
        steps=(a_grant_is_used_or_returned,),
        history="slots asked for, granted and taken back",
    ),
    Invariant(
        id="I13",
        where=(Layer.CORE, Layer.DRIVER),
        contexts=(
            f"(deadline is not None) == ({_in(_TIMED)})",
            f"(cap is not None) == ({_in(_CAPPED)})",
            f"(beat_at is not None) == ({_in(HEARTBEAT_STATES)})",
        ),
        steps=(deadlines_move_only_where_declared, beats_are_scheduled_by_beats),
    ),
    Invariant(id="I14", where=(Layer.CORE, Layer.DRIVER), history="registrations that are begun and not undone"),
    Invariant(id="I15", where=_CORE, steps=(no_request_is_dropped, connect_wakes_or_comes_back)),
    Invariant(id="I16", where=(Layer.DRIVER,)),
    Invariant(
        id="I17",
        where=(Layer.CORE, Layer.DRIVER),
        steps=(the_sequence_never_goes_back, dispatches_are_delivered),
    ),
    Invariant(id="I18", where=_CORE, history="attempts, causes and when each wait began"),
    Invariant(id="I19", where=(Layer.FLEET,)),
    Invariant(
        id="I20", where=_CORE, steps=(requested_beats_judge_nothing,), history="the scheduled beat that has no ACK"
    ),
    Invariant(id="I21", where=(Layer.CORE, Layer.DRIVER), steps=(only_ends_are_closed_with_1000,)),
    Invariant(id="I22", where=(Layer.DRIVER,)),
    Invariant(
        id="I23",
        where=(Layer.CORE, Layer.DRIVER),
        contexts=("paused_since_beat or not paused",),
        steps=(paused_readers_are_no_zombies,),
        history="when reading was paused since the last beat",
    ),
)

INVARIANTS: Final[Mapping[str, Invariant]] = MappingProxyType({invariant.id: invariant for invariant in _INVARIANTS})
"""Every invariant by its id."""

LIVENESS: Final = (
    "Once faults stop and the peer behaves, every run ends in `ready`, `suspended`, `stopped` or `failed`."
)
LIVENESS_GOALS: Final = frozenset({State.READY, State.SUSPENDED, State.STOPPED, State.FAILED})
"""Where every run ends, once faults stop (see :data:`LIVENESS`)."""
