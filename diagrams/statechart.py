"""What all state diagrams of the table share: which states belong together, their colours, frames and edges."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Iterator
from typing import Final

import attrs

from gatewright.diagrams.mermaid_text import escape, identifier
from gatewright.spec.states import State


@attrs.frozen
class Part:
    """States that belong together: the class that colours them, and how a frame around them is called."""

    name: str
    title: str
    style: str
    states: tuple[State, ...]


# The order of the states matters: Mermaid arranges what it draws by the order in which it comes, and in this one hardly
# any labels lie upon each other. A class has a colour of text as well, for light pages and for dark ones.
PARTS: Final = (
    Part(
        "start_up",
        "start-up",
        "fill:#ddf4ff,stroke:#0969da,color:#0a3069",
        (State.IDLE, State.REGISTERING, State.FETCHING_METADATA),
    ),
    Part(
        "handshake",
        "handshake",
        "fill:#fff8c5,stroke:#9a6700,color:#4d2d00",
        (State.CONNECTING, State.AWAITING_HELLO, State.RESUMING, State.AWAITING_IDENTIFY_SLOT, State.IDENTIFIED),
    ),
    Part("session", "session", "fill:#dafbe1,stroke:#1a7f37,color:#033a16", (State.READY,)),
    Part(
        "leaving",
        "leaving",
        "fill:#fff1e5,stroke:#bc4c00,color:#5c2200",
        (State.STALLED, State.DRAINING, State.BACKING_OFF),
    ),
    Part(
        "rest",
        "at rest, or over",
        "fill:#eaeef2,stroke:#57606a,color:#24292f",
        (State.SUSPENDED, State.STOPPED, State.FAILED),
    ),
)
START_UP, HANDSHAKE, SESSION, LEAVING, REST = PARTS

CONNECTION: Final = (*HANDSHAKE.states, *SESSION.states)
"""The states of a connection that is not being left."""

BAR: Final = "bar"
"""The id of the bar from which the edges leave that the states in its frame have in common."""

BAR_STATEMENT: Final = f"state {BAR} <<join>>"


@attrs.frozen
class Edge:
    """An edge between two ids; its label is escaped already."""

    source: str
    target: str
    label: str = ""

    def __str__(self) -> str:
        """The statement."""
        return f"{self.source} --> {self.target}{': ' if self.label else ''}{self.label}"


def state_id(state: State) -> str:
    """The id of a state in a drawing."""
    return identifier(state.value)


def styles(states: Collection[State]) -> Iterator[str]:
    """The statements that colour `states`."""
    for part in PARTS:
        drawn = [state_id(state) for state in part.states if state in states]
        if drawn:
            yield f"classDef {part.name} {part.style}"
            yield f"class {','.join(drawn)} {part.name}"


def frame(name: str, title: str, content: Iterable[str]) -> Iterator[str]:
    """A composite state around statements; `name` is the prefix of its id, since a class may have the same name."""
    yield f'state "{escape(title)}" as {name}_frame {{'
    yield from indented(content)
    yield "}"


def indented(lines: Iterable[str]) -> Iterator[str]:
    """The lines, one step further to the right."""
    return (f"    {line}" for line in lines)


_WIDTH: Final = 26
"""Characters of a line in a label. Mermaid breaks lines at 200 pixels, which would be in the middle of a phrase."""


def side_by_side(phrases: Iterable[str], *more: str) -> str:
    """A label: the phrases with dots between them, as many in a line as fit, and `more` on lines of their own."""
    lines: list[str] = []
    for phrase in phrases:
        if lines and len(lines[-1]) + len(phrase) + 3 <= _WIDTH:
            lines[-1] += f" · {phrase}"
        else:
            lines.append(phrase)
    return escape("\n".join([*lines, *more]))


def one_by_one(entries: Iterable[str]) -> str:
    """A label: each entry begins on a line of its own."""
    return escape("\n".join(line for entry in entries for line in textwrap.wrap(entry, _WIDTH, break_long_words=False)))
