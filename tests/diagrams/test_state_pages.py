"""The page of states has every row of the table once, with what it does, and every link on it leads somewhere."""

import re
from collections import Counter

import pytest

from gatewright.diagrams.references_page import render_references
from gatewright.diagrams.state_pages import render_states
from gatewright.spec.effects import EFFECTS
from gatewright.spec.events import EVENTS, Event
from gatewright.spec.references import REFERENCES
from gatewright.spec.rows import RowKind
from gatewright.spec.states import STATES, State
from gatewright.spec.table import CELLS, TABLE
from gatewright.spec.updates import UPDATES

PAGE = render_states(TABLE)


def section(state: State) -> str:
    """What the page says of one state."""
    return re.split(r"^##+ ", PAGE.partition(f"\n### {state}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def line_of(row_id: str) -> str:
    return next(line for line in PAGE.splitlines() if f'<a id="{row_id}"></a>' in line)


def test_every_row_of_the_table_is_there_once() -> None:
    ids = Counter(re.findall(r"`([a-z_]+\.[a-z_.]+)`", PAGE))
    assert [row.id for row in TABLE if ids[row.id] != 1] == []


@pytest.mark.parametrize("state", State)
def test_every_row_is_in_the_section_of_its_state(state: State) -> None:
    assert [row.id for row in TABLE if row.source is state and f"`{row.id}`" not in section(state)] == []


def test_every_row_and_every_cell_has_one_anchor() -> None:
    anchors = Counter(re.findall(r'<a id="([^"]+)"></a>', PAGE))
    wanted = {row.id for row in TABLE} | {f"{state}.{event.name}" for state, event in CELLS}
    assert {anchor for anchor in anchors if "." in anchor and not anchor.startswith(("update.", "effect."))} == wanted
    assert [anchor for anchor, count in anchors.items() if count > 1] == []


def test_every_link_leads_somewhere() -> None:
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    here = {*re.findall(r'<a id="([^"]+)"></a>', PAGE), *(each.lower().replace(" ", "-") for each in headings)}
    there = set(re.findall(r'<a id="([^"]+)"></a>', render_references()))
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= here
    assert set(re.findall(r"\]\(references\.md#([^)]+)\)", PAGE)) <= there & REFERENCES.keys()


def test_a_row_says_all_that_the_table_does() -> None:
    row = next(row for row in TABLE if row.id == "resuming.session_invalidated.final")
    line = line_of(row.id)
    assert row.why in line
    assert "d is false" in line
    assert "[draining](#draining)" in line
    assert [name for name in row.updates if f"[{name}](#update.{name})" not in line] == []
    assert [effect.name for effect in row.effects if f"[{effect.name}](#effect.{effect.name})" not in line] == []
    assert [each for each in row.ref.split() if f"[{each}](references.md#{each})" not in line] == []


def test_every_row_has_its_reason_and_its_references_on_its_line() -> None:
    assert [row.id for row in TABLE if row.why.replace("|", "\\|") not in line_of(row.id)] == []
    assert [row.id for row in TABLE for each in row.ref.split() if f"#{each})" not in line_of(row.id)] == []


@pytest.mark.parametrize("kind", [RowKind.TAKE, RowKind.UNEXPECTED, RowKind.IGNORE])
def test_every_row_has_its_updates_and_effects_on_its_line(kind: RowKind) -> None:
    rows = [row for row in TABLE if row.kind is kind]
    assert rows
    assert [row.id for row in rows for name in row.updates if f"#update.{name})" not in line_of(row.id)] == []
    assert [row.id for row in rows for each in row.effects if f"#effect.{each.name})" not in line_of(row.id)] == []


def test_rows_that_differ_only_in_their_event_share_a_line() -> None:
    assert line_of("ready.slot_queued") == line_of("ready.slot_unavailable")
    assert line_of("suspended.hello") == line_of("suspended.ready")
    assert line_of("stopped.connect") != line_of("stopped.suspend")


def test_a_late_grant_is_not_hidden_among_rows_without_an_effect() -> None:
    assert "#effect.return_slot)" in line_of("ready.slot_granted")
    assert "#effect.return_slot)" not in line_of("ready.slot_queued")


@pytest.mark.parametrize("state", State)
def test_a_state_says_what_is_true_in_it_and_how_long_it_lasts(state: State) -> None:
    assert STATES[state].meaning in section(state)
    assert "- Lasts: " in section(state)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (State.READY, "as long as nothing happens"),
        (State.STOPPED, "for ever"),
        (State.AWAITING_HELLO, "30 s (`hello_timeout`)"),
        (State.RESUMING, "120 s (`resume_timeout`); re-armed to 10 min (`resume_wait_max`) at most"),
        (State.AWAITING_IDENTIFY_SLOT, "re-armed to 6 h (`slot_wait_max`) at most"),
        (State.DRAINING, "1 s (`close_timeout`)"),
        (State.BACKING_OFF, "Seconds to wait in `backing_off`"),
    ],
)
def test_deadlines_are_given_with_their_defaults(state: State, text: str) -> None:
    assert text in section(state)


@pytest.mark.parametrize("state", State)
def test_events_without_a_row_are_named(state: State) -> None:
    named = re.findall(r"`([a-z_]+)`", section(state).partition("it cannot happen, for: ")[2])
    assert named == [event.name for event in _in_order() if (state, event) not in CELLS]


def _in_order() -> list[type[Event]]:
    names = re.findall(r"^\| <sub>([a-z_]+)</sub> \|", PAGE, re.MULTILINE)
    by_name = {event.name: event for event in EVENTS}
    return [by_name[name] for name in names]


def test_no_text_breaks_the_table_that_it_stands_in() -> None:
    width = 0
    for line in PAGE.splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert cells in {0, width} or not width, line
        width = cells


def test_every_update_and_effect_is_explained() -> None:
    assert [name for name in UPDATES if f'<a id="update.{name}"></a>' not in PAGE] == []
    assert [each.name for each in EFFECTS if f'<a id="effect.{each.name}"></a>' not in PAGE] == []


def test_github_still_draws_the_page() -> None:
    # GitHub shows larger files as they are written, without tables and drawings.
    assert len(PAGE.encode()) < 400_000
