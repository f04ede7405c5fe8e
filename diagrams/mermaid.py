"""The table as Mermaid state diagrams: an overview for README, and a drawing of each part in detail.

The overview is one drawing of all states that is understood at a glance, so it merges, by these rules:

* all rows from one state to another are one edge, labelled with their reasons;
* an edge that the states of a connection have in common leaves their frame once, from the bar at its foot; where one
  of them does not have it, the label says so;
* the next attempt, after a wait or a rest, is one diamond;
* rows that stay in their state are left out, and so are the verbs that end or rest a shard outside of a connection.

A detail shows every row that leaves a state of its part; a label lists the events, with their guards in plain words
where the guard decides where the event leads. Nothing is written by hand but the words
(:mod:`gatewright.diagrams.phrases`) and which states belong together (:mod:`gatewright.diagrams.statechart`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, get_args

from gatewright.diagrams.mermaid_text import escape, finish
from gatewright.diagrams.phrases import EVENT_WORDS, brief_words, literals, phrases_of
from gatewright.diagrams.statechart import (
    BAR,
    BAR_STATEMENT,
    CONNECTION,
    HANDSHAKE,
    LEAVING,
    PARTS,
    REST,
    SESSION,
    START_UP,
    Edge,
    frame,
    indented,
    one_by_one,
    side_by_side,
    state_id,
    styles,
)
from gatewright.spec.events import EVENTS, Event, Stop, Suspend
from gatewright.spec.rows import Row, RowKind
from gatewright.spec.states import State

# The overview ---------------------------------------------------------------------------------------------------------

_QUIET_VERBS: Final[tuple[type[Event], ...]] = (Stop, Suspend)

_DIAMOND: Final = "next_attempt"
_WAITING: Final = (State.BACKING_OFF, State.SUSPENDED)
"""States from which a next attempt begins."""
_BEGINNINGS: Final = (*START_UP.states, State.CONNECTING)
"""States in which it begins."""

_BEGIN_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "needs_metadata": "main URL wanted",
        "main_url_unknown": "main URL wanted",
        "not registered": "not registered yet",
    }
)
"""What a guard's literal says about where the next attempt begins."""

_LEGEND: Final = ("not shown are stop() and", "suspend() outside of a", "connection, and what", "stays in its state")
"""The frames say what the colours mean. The lines are short enough for Mermaid not to break them again."""

_TO_THE_BAR: Final = escape("this, or any state above")

_Moves: TypeAlias = dict[tuple[State, State], list[Row]]


def overview(table: Iterable[Row]) -> str:
    """All states in one drawing, with merged edges.

    Args:
        table: the rows; the same rows give the same text.

    Returns:
        Mermaid text, ending in a newline.

    Raises:
        DrawingTooLarge: when Mermaid would not draw it.
    """
    moves: _Moves = {}
    for row in table:
        if row.kind is RowKind.TAKE and row.target is not None and not _is_quiet(row):
            moves.setdefault((row.source, row.target), []).append(row)
    merged = [*_from_the_bar(moves), *_through_the_diamond(moves)]
    inside, outside = [Edge(state_id(State.READY), BAR, _TO_THE_BAR)], list[Edge]()
    for (source, target), rows in moves.items():
        edges = inside if source in CONNECTION and target in CONNECTION else outside
        edges.append(Edge(state_id(source), state_id(target), side_by_side(phrases_of(rows))))
    statements = [
        "accTitle: The states of a shard, and how it moves between them",
        "direction TB",
        *styles([*State]),
        *(
            line
            for part in (START_UP, LEAVING, REST)
            for line in frame(part.name, part.title, map(state_id, part.states))
        ),
        f"[*] --> {state_id(State.IDLE)}",
        *frame("connection", "a connection", [*map(state_id, CONNECTION), BAR_STATEMENT, *map(str, inside)]),
        f"state {_DIAMOND} <<choice>>",
        *map(str, [*outside, *merged]),
        f"note left of {state_id(State.SUSPENDED)}",
        *indented(map(escape, _LEGEND)),
        "end note",
    ]
    return finish(["stateDiagram-v2", *indented(statements)], edges=len([*inside, *outside, *merged]) + 1)


def _is_quiet(row: Row) -> bool:
    return row.event in _QUIET_VERBS and row.source not in CONNECTION


def _from_the_bar(moves: _Moves) -> Iterator[Edge]:
    """Takes the edges that the states of a connection have in common out of `moves`, all but one at most."""
    for target in State:
        sources = [source for source in CONNECTION if (source, target) in moves]
        missing = [source for source in CONNECTION if source not in sources]
        if target in CONNECTION or len(missing) > 1:
            continue
        rows = [row for source in sources for row in moves.pop((source, target))]
        yield Edge(BAR, state_id(target), side_by_side(phrases_of(rows), *(f"not in {each}" for each in missing)))


def _through_the_diamond(moves: _Moves) -> Iterator[Edge]:
    """Takes the edges with which an attempt begins again out of `moves`."""
    taken = [
        row
        for move in [(source, target) for source in _WAITING for target in _BEGINNINGS]
        for row in moves.pop(move, ())
    ]
    for waiting in _WAITING:
        rows = [row for row in taken if row.source is waiting]
        if rows:
            yield Edge(state_id(waiting), _DIAMOND, side_by_side(phrases_of(rows)))
    for beginning in _BEGINNINGS:
        rows = [row for row in taken if row.target is beginning]
        if rows:
            yield Edge(_DIAMOND, state_id(beginning), side_by_side(_conditions(rows)))


def _conditions(rows: list[Row]) -> list[str]:
    """What leads here from the diamond; nothing where it is simply the rest."""
    found = [_BEGIN_WORDS.keys() & literals(row.guard) for row in rows]
    return sorted({_BEGIN_WORDS[name] for names in found for name in names}) if all(found) else []


# Details --------------------------------------------------------------------------------------------------------------

Focus: TypeAlias = Literal["start-up", "handshake", "session", "leaving"]
"""What a detail shows: the rows that leave the states of one part."""

FOCUSES: Final[tuple[Focus, ...]] = get_args(Focus)

_SOURCES: Final[Mapping[Focus, tuple[State, ...]]] = MappingProxyType(
    {
        "start-up": START_UP.states,
        "handshake": HANDSHAKE.states,
        "session": SESSION.states,
        "leaving": (*LEAVING.states, State.SUSPENDED),
    }
)

_OPEN: Final = tuple(state for state in HANDSHAKE.states if state is not State.CONNECTING)
"""States of the handshake with an open socket: what they have in common leaves from the bar."""

_Reason: TypeAlias = tuple[str, tuple[str, ...]]
"""An event, and the conditions under which it leads where it leads."""


def detail(table: Iterable[Row], focus: Focus) -> str:
    """Every row that leaves a state of one part, with its guard in plain words.

    Args:
        table: the rows; the same rows give the same text.
        focus: the part, one of `FOCUSES`.

    Returns:
        Mermaid text, ending in a newline.

    Raises:
        DrawingTooLarge: when Mermaid would not draw it.
    """
    rows = [row for row in table if row.source in _SOURCES[focus]]
    moves = _reasons(rows)
    if focus == "handshake":
        _share(moves)
    drawn = {*_SOURCES[focus], *(row.target for row in rows if row.target is not None)}
    order = [*(state_id(state) for part in PARTS for state in part.states), BAR]
    edges = [
        Edge(source, target, one_by_one(_entries(moves[source, target])))
        for source, target in sorted(moves, key=lambda move: (order.index(move[0]), order.index(move[1])))
    ]
    if focus == "handshake":
        # From the states that lead to no other in the frame, so that the bar is drawn below them all.
        last = [state_id(state) for state in _OPEN if not any((state_id(state), state_id(to)) in moves for to in _OPEN)]
        edges += [Edge(source, BAR, _TO_THE_BAR) for source in last]
    begin = [f"[*] --> {state_id(State.IDLE)}"] if focus == "start-up" else list[str]()
    note = [*_note_of_what_stays(rows)] if focus == "session" else list[str]()
    statements = [
        f"accTitle: The states of a shard in detail, {focus}",
        "direction TB",
        *styles(drawn),
        *begin,
        *_framed(focus),
        *map(str, edges),
        *note,
    ]
    return finish(["stateDiagram-v2", *indented(statements)], edges=len(edges) + len(begin) + len(note[:1]))


def _framed(focus: Focus) -> Iterator[str]:
    match focus:
        case "handshake":
            yield from frame("part", "with an open socket", [*map(state_id, _OPEN), BAR_STATEMENT])
        case "start-up":
            yield from frame("part", focus, map(state_id, START_UP.states))
        case "leaving":
            yield from frame("part", focus, map(state_id, LEAVING.states))
        case "session":  # one state needs no frame, and Mermaid 10 draws none around a state with a note
            yield state_id(State.READY)


def _reasons(rows: list[Row]) -> dict[tuple[str, str], list[_Reason]]:
    """The reasons of each edge, each once, in the order of the alphabet."""
    outcomes: defaultdict[tuple[State, type[Event]], set[tuple[State | None, RowKind]]] = defaultdict(set)
    for row in rows:
        if not {"stale", "late_answer"} & literals(row.guard):
            outcomes[row.source, row.event].add((row.target, row.kind))
    moves: defaultdict[tuple[str, str], dict[_Reason, None]] = defaultdict(dict)
    for row in sorted(rows, key=lambda row: EVENTS.index(row.event)):
        if row.kind is RowKind.TAKE and row.target is not None:
            decides = len(outcomes[row.source, row.event]) > 1
            reason = (EVENT_WORDS[row.event], brief_words(row.guard) if decides else ())
            moves[state_id(row.source), state_id(row.target)][reason] = None
    return {move: [*reasons] for move, reasons in moves.items()}


def _note_of_what_stays(rows: list[Row]) -> Iterator[str]:
    """Where there is only one state, there is room to say what happens in it without leaving it."""
    staying = dict.fromkeys(EVENT_WORDS[row.event] for row in rows if row.kind is RowKind.TAKE and row.target is None)
    yield f"note right of {state_id(State.READY)}"
    yield from indented(map(escape, ["stays on", *staying]))
    yield "end note"


def _share(moves: dict[tuple[str, str], list[_Reason]]) -> None:
    """Lets the bar have the reasons that the states with an open socket have in common, all but one at most."""
    for target in map(state_id, State):
        have = {source: moves.get((state_id(source), target), []) for source in _OPEN}
        shared: dict[_Reason, None] = {}
        for event, conditions in dict.fromkeys(reason for reasons in have.values() for reason in reasons):
            missing = [source for source in _OPEN if (event, conditions) not in have[source]]
            if len(missing) <= 1:
                shared[event, (*conditions, *(f"not in {each}" for each in missing))] = None
                for reasons in have.values():
                    reasons[:] = [reason for reason in reasons if reason != (event, conditions)]
        if shared:
            moves[BAR, target] = [*shared]
    for move in [move for move, reasons in moves.items() if not reasons]:
        del moves[move]


def _entries(reasons: list[_Reason]) -> Iterator[str]:
    """The reasons of one edge as entries: what all ask for once at the head, then events under the same conditions."""
    first, *others = [conditions for _, conditions in reasons]
    asked = [each for each in first if others and all(each in conditions for conditions in others)]
    if asked:
        yield f"{', '.join(asked)}:"
    alternatives: dict[str, list[str]] = {}
    for event, conditions in reasons:
        alternatives.setdefault(event, []).append(", ".join(each for each in conditions if each not in asked))
    events: dict[str, list[str]] = {}
    for event, found in alternatives.items():
        certain = "" in found or any(f"not {each}" in found for each in found)
        events.setdefault("" if certain else "; ".join(found), []).append(event)
    for words, named in events.items():
        # Lines end at a dot and nowhere else: neither within the words of an event, nor before the dot.
        yield "\N{NO-BREAK SPACE}· ".join(each.replace(" ", "\N{NO-BREAK SPACE}") for each in named) + (
            f" ({words})" if words else ""
        )
