"""The races of real systems as counterexamples: what the exploration finds when the row that guards is weakened.

``python -m tests.explore.races`` writes docs/counterexamples.md again.
"""

import functools
from pathlib import Path

import attrs

from gatewright.harness.explore import Counterexample
from gatewright.harness.explore.gateway import QUICK, check
from gatewright.harness.explore.sequence import mermaid
from gatewright.spec.effects import CloseEndingSession, RequestSlot
from gatewright.spec.events import Connect, MetadataFetched
from gatewright.spec.references import REFERENCES
from gatewright.spec.states import State
from tests.support.tables import SHIPPED, Weakened, opening

PAGE = Path(__file__).parents[2] / "docs" / "counterexamples.md"

_HEAD = """# Counterexamples

What exploration finds when a row that rules out a race of a real system is weakened: the shortest way to the first
promise that breaks. Written by `python -m tests.explore.races`; a test compares it.
"""


@attrs.frozen
class Weakening:
    """A race, what is done to the table to let it happen, and the invariant that then breaks."""

    race: str
    what: str
    table: Weakened
    breaks: str


WEAKENINGS = (
    Weakening("R01", "`connect()` opens a socket while the metadata are pending",
              opening(State.FETCHING_METADATA, Connect), "I15"),
    Weakening("R01", "HELLO without a session asks for no slot, so that IDENTIFY is never sent",
              SHIPPED.without_effect(RequestSlot, "awaiting_hello.hello.identify"), "I02"),
    Weakening("R03", "metadata that come after `stop()` open a socket",
              opening(State.STOPPED, MetadataFetched), "I04"),
    Weakening("R04", "`connect()` opens a second socket while the first is being opened",
              opening(State.CONNECTING, Connect), "I01"),
    Weakening("R12", "`stop()` on a dark connection is forgotten",
              SHIPPED.without_update("leave_to_stop", "stalled.stop"), "I15"),
    Weakening("R13", "the socket that opcode 7 asks us to leave is closed with 1000, and its session kept for a RESUME",
              SHIPPED.with_effects((CloseEndingSession,), "ready.reconnect_requested"), "I21"),
)  # fmt: skip


@functools.cache
def counterexample(weakening: Weakening) -> Counterexample:
    """What the exploration finds."""
    found = check(QUICK, rows=weakening.table.rows).counterexample
    assert found is not None, f"{weakening.race}: nothing is found when {weakening.what}"
    return found


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    for weakening in WEAKENINGS:
        found = counterexample(weakening)
        parts.append(
            f"## {weakening.race}: {weakening.what}\n\n{REFERENCES[weakening.race].text}\n\n"
            f"```text\n{found}\n```\n\n```mermaid\n{mermaid(found)}```\n"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
