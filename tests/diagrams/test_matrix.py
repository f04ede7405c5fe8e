"""The matrix has a cell for every state and event, and each is what the rows of the table make it."""

import re

import pytest

from gatewright.diagrams.matrix import SECTIONS, SHORT, Cell, cell, cells_of, matrix
from gatewright.spec.events import (
    EVENTS,
    Aborted,
    Closed,
    Connect,
    DeadlinePassed,
    Dispatched,
    Event,
    ForceIdentify,
    HeartbeatDue,
    Hello,
    Register,
    Registered,
    Stop,
    Suspend,
)
from gatewright.spec.states import State
from gatewright.spec.table import TABLE

CELLS = cells_of(TABLE)


def shown(state: State, event: type[Event]) -> Cell:
    return cell(CELLS.get((state, event), ()))


@pytest.mark.parametrize(
    ("state", "event", "expected"),
    [
        pytest.param(State.IDLE, Register, Cell(targets=(State.REGISTERING,)), id="moves"),
        pytest.param(
            State.AWAITING_HELLO,
            Hello,
            Cell(targets=(State.AWAITING_IDENTIFY_SLOT, State.RESUMING)),
            id="guards decide where",
        ),
        pytest.param(State.FETCHING_METADATA, ForceIdentify, Cell(stays=True), id="stays"),
        pytest.param(State.READY, Dispatched, Cell(stays=True, unexpected=True), id="stays, or is unexpected"),
        pytest.param(State.READY, Hello, Cell(unexpected=True), id="unexpected"),
        pytest.param(State.STOPPED, Stop, Cell(ignored=True), id="ignored"),
        pytest.param(State.BACKING_OFF, Closed, Cell(ignored=True), id="too late"),
        pytest.param(State.FETCHING_METADATA, Connect, Cell(refused=True), id="refused"),
        pytest.param(State.DRAINING, Suspend, Cell(stays=True, ignored=True, refused=True), id="guards decide whether"),
        pytest.param(
            State.READY, HeartbeatDue, Cell(targets=(State.STALLED, State.DRAINING), stays=True), id="a timer"
        ),
        pytest.param(State.READY, DeadlinePassed, Cell(), id="impossible: no deadline"),
        pytest.param(State.IDLE, HeartbeatDue, Cell(), id="impossible: no heartbeat"),
        pytest.param(State.IDLE, Registered, Cell(), id="impossible: no registration"),
    ],
)
def test_a_cell_is_what_its_rows_make_it(state: State, event: type[Event], expected: Cell) -> None:
    assert shown(state, event) == expected


def test_the_row_for_an_older_generation_does_not_make_a_cell_ignored() -> None:
    assert any(row.id == "stalled.aborted.stale" for row in CELLS[State.STALLED, Aborted])
    assert not shown(State.STALLED, Aborted).ignored


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (Cell(), ""),
        (Cell(targets=(State.STALLED, State.FAILED)), "<sub>stall</sub><br><sub>fail</sub>"),
        (Cell(targets=(State.READY,), stays=True), "<sub>ready</sub><br>•"),
        (Cell(stays=True, unexpected=True, ignored=True, refused=True), "•<br>?<br>–<br>✗"),
    ],
)
def test_a_cell_shows_where_it_leads_and_what_else_it_is(shown: Cell, text: str) -> None:
    assert str(shown) == text


def test_every_event_is_listed_once() -> None:
    assert [event for events in SECTIONS.values() for event in events if event not in EVENTS] == []
    assert sorted(event.name for events in SECTIONS.values() for event in events) == sorted(e.name for e in EVENTS)


def test_every_state_has_a_short_name_of_its_own() -> None:
    assert [*SHORT] == [*State]
    assert len(set(SHORT.values())) == len(State)
    assert [name for name in SHORT.values() if len(name) > 5] == []


def test_every_row_of_the_matrix_has_a_cell_for_every_state() -> None:
    lines = [line for line in matrix(TABLE).splitlines() if line.startswith("| <sub>")]
    assert len(lines) == len(EVENTS)
    assert {line.count("|") for line in lines} == {len(State) + 2}


def test_a_cell_links_to_its_rows_unless_it_is_impossible() -> None:
    links = re.findall(r"\]\(#([a-z_]+\.[a-z_]+)\)", matrix(TABLE))
    assert sorted(links) == sorted(f"{state}.{event.name}" for state, event in CELLS)


def test_without_links_the_matrix_is_text() -> None:
    assert "](" not in matrix(TABLE, link=lambda text, _: text)
