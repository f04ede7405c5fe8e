"""What must be seen, since otherwise what always holds might hold of nothing; and where every run ends."""

from __future__ import annotations

from typing import Final

from gatewright.harness.explore.properties import Property, eventually, sometimes
from gatewright.spec.states import State

COVERAGE: Final[tuple[Property, ...]] = (
    *(sometimes("seen", f"`{state.value}` is reached", f"state == State.{state.name}") for state in State),
    sometimes("seen", "a resume that moved", "progressed and state == State.RESUMING"),
    sometimes("seen", "the server forgets a session that we hold",
             "not kept and session == 2 and state == State.RESUMING"),
    sometimes("seen", "a half-open connection looks ready", "state == State.READY and link == Link.DARK"),
    sometimes("seen", "a zombie is possible", "state == State.READY and not acked and link == Link.DARK"),
    sometimes("seen", "a reader is held back over a beat", "paused_beats > 0 and held"),
    sometimes("seen", "the fallback URL serves", "fallback and state == State.READY"),
    sometimes("seen", "a session without a URL lives", "session == 1 and state == State.READY"),
    sometimes("seen", "a withdrawn slot may still be granted", "slot == Slot.WITHDRAWN and state == State.BACKING_OFF"),
    sometimes("seen", "a second connection is ready", "gen > 1 and state == State.READY"),
    eventually("live", "every run ends in ready, suspended, stopped or failed, once faults stop",
               "state in (State.READY, State.SUSPENDED, State.STOPPED, State.FAILED) or (state == State.IDLE)"),
)  # fmt: skip
