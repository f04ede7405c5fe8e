"""The state diagrams show what the table says: every state, every move, merged by the rules and no other way."""

import collections

import pytest

from gatewright.diagrams.mermaid import FOCUSES, Focus, detail, overview
from gatewright.diagrams.mermaid_text import DrawingTooLarge
from gatewright.diagrams.phrases import BRIEF, EVENT_WORDS, OPPOSITES, PHRASES, brief_words, guard_words, literals
from gatewright.diagrams.statechart import CONNECTION, PARTS
from gatewright.spec.events import (
    EVENTS,
    Closed,
    DeadlinePassed,
    Hello,
    ReadingPaused,
    Register,
    Stop,
    Suspend,
)
from gatewright.spec.guards import GUARDS
from gatewright.spec.rows import RowKind
from gatewright.spec.states import State
from gatewright.spec.table import TABLE
from tests.diagrams.grammar import edges, statements

MOVES = tuple(row for row in TABLE if row.kind is RowKind.TAKE and row.target is not None)


def named(drawing: str) -> set[str]:
    """Everything that a drawing's statements name."""
    return {name for _, names in statements(drawing) for key, name in names.items() if key != "label"}


def reach(drawing: str, source: State) -> set[str]:
    """Where one move leads from a state, the bar and the diamond passed through."""
    drawn = edges(drawing)
    pseudo = {names["pseudo"] for kind, names in statements(drawing) if kind == "pseudo-state"}
    found, frontier = set[str](), [source.value]
    if "bar" in pseudo and source in CONNECTION:
        frontier.append("bar")
    while frontier:
        here = frontier.pop()
        for start, to in drawn:
            if start == here and to in pseudo:
                frontier.append(to)
            elif start == here:
                found.add(to)
    return found


# The overview ---------------------------------------------------------------------------------------------------------


def test_the_overview_keeps_to_the_grammar_and_draws_the_same_twice() -> None:
    assert statements(overview(TABLE))
    assert overview(TABLE) == overview(iter(TABLE))


def test_every_state_is_in_the_overview_inside_one_frame() -> None:
    framed = collections.Counter(names["state"] for kind, names in statements(overview(TABLE)) if kind == "state")
    assert framed == collections.Counter(state.value for state in State)


def test_the_overview_names_nothing_else() -> None:
    frames = {names["frame"] for kind, names in statements(overview(TABLE)) if kind == "frame"}
    assert named(overview(TABLE)) == {*map(str, State), *frames, "bar", "next_attempt", "[*]"}


def test_the_overview_is_for_the_eye() -> None:
    drawn = edges(overview(TABLE))
    assert len(drawn) <= 40
    assert [label for label in drawn.values() if label.count("\n") > 2] == []
    # Mermaid breaks lines of more than 200 pixels by itself.
    assert [line for label in drawn.values() for line in label.split("\n") if len(line) > 28] == []


@pytest.mark.parametrize("source", State)
def test_every_move_of_the_table_is_in_the_overview(source: State) -> None:
    quiet = () if source in CONNECTION else (Stop, Suspend)
    wanted = {row.target.value for row in MOVES if row.source is source and row.target and row.event not in quiet}
    assert wanted - reach(overview(TABLE), source) == set()


@pytest.mark.parametrize("source", [state for state in State if state not in CONNECTION])
def test_the_overview_has_no_move_that_the_table_has_not(source: State) -> None:
    possible = {str(row.target) for row in MOVES if row.source is source}
    # One diamond serves two states; only one of them may have to register again.
    shared = {"registering"} if source is State.BACKING_OFF else set[str]()
    assert reach(overview(TABLE), source) <= possible | shared


def test_the_bar_has_what_all_states_of_a_connection_have_or_names_the_one_that_has_not() -> None:
    drawn = {to: label for (source, to), label in edges(overview(TABLE)).items() if source == "bar"}
    assert drawn.keys() == {"draining", "stalled", "backing_off", "failed"}
    for target, label in drawn.items():
        missing = [state for state in CONNECTION if not any(r.source is state and r.target == target for r in MOVES)]
        assert [line for line in label.split("\n") if line.startswith("not in")] == [f"not in {s}" for s in missing]


def test_verbs_that_end_or_rest_a_shard_are_drawn_for_connections_only() -> None:
    assert ("idle", "stopped") not in edges(overview(TABLE))
    assert "a command" in edges(overview(TABLE))["bar", "draining"]


def test_an_edge_is_there_when_its_row_is_and_gone_when_it_is_not() -> None:
    without = [row for row in TABLE if row.event is not Register]
    assert edges(overview(TABLE))["idle", "registering"] == "register()"
    assert ("idle", "registering") not in edges(overview(without))


def test_an_edge_that_two_states_of_a_connection_lack_is_drawn_one_by_one() -> None:
    lacking = {(State.CONNECTING, State.BACKING_OFF), (State.READY, State.BACKING_OFF)}
    drawn = edges(overview(row for row in TABLE if (row.source, row.target) not in lacking))
    assert ("bar", "backing_off") not in drawn
    assert drawn["resuming", "backing_off"] == "closed"


def test_rows_that_stay_are_refused_or_are_ignored_are_not_in_the_overview() -> None:
    assert overview(MOVES) == overview(TABLE)
    assert ReadingPaused in {row.event for row in TABLE}
    assert EVENT_WORDS[ReadingPaused] not in overview(TABLE)


def test_a_drawing_that_mermaid_would_not_draw_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatewright.diagrams.mermaid_text.MAX_EDGES", 10)
    with pytest.raises(DrawingTooLarge, match="edges"):
        overview(TABLE)
    with pytest.raises(DrawingTooLarge, match="edges"):
        detail(TABLE, "handshake")


# Details --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("focus", FOCUSES)
def test_a_detail_keeps_to_the_grammar_and_draws_the_same_twice(focus: Focus) -> None:
    assert statements(detail(TABLE, focus))
    assert detail(TABLE, focus) == detail(iter(TABLE), focus)


@pytest.mark.parametrize("focus", FOCUSES)
def test_every_row_that_moves_is_in_the_detail_of_its_state(focus: Focus) -> None:
    drawn = edges(detail(TABLE, focus))
    absent = [
        row.id
        for row in MOVES
        if _focus_of(row.source) == focus
        and not any(
            EVENT_WORDS[row.event] in " ".join(drawn.get((source, str(row.target)), "").split())
            for source in (row.source.value, "bar")
        )
    ]
    assert absent == []


@pytest.mark.parametrize("focus", FOCUSES)
def test_a_detail_has_no_move_that_the_table_has_not(focus: Focus) -> None:
    possible = {(row.source.value, str(row.target)) for row in MOVES if _focus_of(row.source) == focus}
    drawn = edges(detail(TABLE, focus)).keys()
    assert {(source, to) for source, to in drawn if "bar" not in (source, to)} - {("[*]", "idle")} <= possible


def _focus_of(source: State) -> str:
    return next("leaving" if part.name == "rest" else part.title for part in PARTS if source in part.states)


def test_a_guard_is_named_where_it_decides_where_the_event_leads() -> None:
    drawn = edges(detail(TABLE, "handshake"))
    assert drawn["awaiting_hello", "resuming"] == "HELLO (session held)"
    assert drawn["awaiting_hello", "awaiting_identify_slot"] == "HELLO (no session)"


def test_a_guard_is_not_named_where_every_way_leads_to_the_same_state() -> None:
    stalls = [row for row in MOVES if row.source is State.CONNECTING and row.event is DeadlinePassed]
    assert len(stalls) > 1
    assert {row.target for row in stalls} == {State.STALLED}
    assert edges(detail(TABLE, "handshake"))["connecting", "stalled"] == "deadline"


def test_conditions_that_all_events_of_an_edge_share_stand_at_its_head() -> None:
    label = edges(detail(TABLE, "leaving"))["draining", "suspended"]
    assert label.startswith("then suspend:\n")
    assert label.count("then suspend") == 1


def test_the_session_in_detail_says_what_it_stays_on() -> None:
    assert "        dispatch\n" in detail(TABLE, "session")


# Words ----------------------------------------------------------------------------------------------------------------


def test_every_state_has_a_part() -> None:
    assert sorted(state for part in PARTS for state in part.states) == sorted(State)


def test_every_event_has_words() -> None:
    assert EVENT_WORDS.keys() == set(EVENTS)
    assert len(set(EVENT_WORDS.values())) == len(EVENTS)


def test_every_guard_that_is_negated_somewhere_has_an_opposite() -> None:
    negated = {name.removeprefix("not ") for row in TABLE for name in literals(row.guard) if name.startswith("not ")}
    assert OPPOSITES.keys() == negated, "name it, or remove it, in gatewright.diagrams.phrases"


def test_no_phrase_is_left_over() -> None:
    assert [phrase.text for phrase in PHRASES if not any(phrase.fits(row) for row in TABLE)] == []
    assert {name.removeprefix("not ") for name in BRIEF} <= GUARDS.keys()


@pytest.mark.parametrize(
    ("guard", "long", "brief"),
    [
        (None, "", ()),
        ("stale", "of an older generation", ("of an older generation",)),
        ("not stale", "", ()),
        ("not stale and (has_session)", "a session is held", ("session held",)),
        ("not stale and (not has_session)", "no session is held", ("no session",)),
        ("registered and then_stop", "registrations were applied; then stop", ("registered", "then stop")),
        ("then_stop or then_fail", "then stop or then fail", ("then stop or then fail",)),
        ("not (then_stop or then_fail)", "not (then stop or then fail)", ("not (then stop or then fail)",)),
        ("resumable or (registered and paused_too_long)", "d is true or (registrations were applied and reading was "
         "paused for too long)", ("d is true or (registered and reading paused too long)",)),
    ],
)  # fmt: skip
def test_a_guard_in_plain_words(guard: str | None, long: str, brief: tuple[str, ...]) -> None:
    assert guard_words(guard) == long
    assert brief_words(guard) == brief


def test_a_guard_without_an_opposite_is_negated_plainly() -> None:
    assert "proving" not in OPPOSITES
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gatewright.diagrams.phrases.OPPOSITES", {})
        assert guard_words("not resumable") == "not: d is true"


def test_the_sampled_rows_are_there() -> None:
    # The positive control of the tests above: were the table empty, most would say nothing.
    assert {(State.AWAITING_HELLO, Hello), (State.READY, Closed)} <= {(row.source, row.event) for row in MOVES}
