"""Every kind of finding is found where it is planted, and the shipped table has none."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs
import pytest

from gatewright.spec import lint
from gatewright.spec.effects import EFFECTS, Deliver, Effect, FetchMetadata, SendResume, value_of
from gatewright.spec.errors import TableError
from gatewright.spec.events import Closed, DeadlinePassed, Event, Hello, ReconnectRequested, Stop
from gatewright.spec.guards import GUARDS, Guard
from gatewright.spec.lint import check, findings
from gatewright.spec.rows import Row, RowKind
from gatewright.spec.states import STATES, State
from gatewright.spec.table import CELLS, TABLE
from gatewright.spec.updates import UPDATES, Update
from tests.support.tables import SHIPPED


class Unheard(Event):
    """An event that is not in the alphabet."""

    name = "unheard"


class Undeclared(Effect):
    """An effect that is not in the list."""

    name = "undeclared"


def row(source: State, event: type[Event], **fields: Any) -> Row:
    planted = Row(id="planted", source=source, event=event, why="It is planted.", ref="I06")
    return attrs.evolve(planted, **fields)


def having(*rows: Row) -> tuple[Row, ...]:
    return (*TABLE, *rows)


def changing(name: str, **fields: Any) -> tuple[Row, ...]:
    return SHIPPED.changed(name, change=lambda found: attrs.evolve(found, **fields)).rows


def found_in(rows: tuple[Row, ...]) -> str:
    return "\n".join(findings(rows))


PLANTED: Mapping[str, tuple[tuple[Row, ...], str]] = MappingProxyType(
    {
        "two rows with one id": (
            changing("ready.stop", id="ready.suspend"),
            "ready.suspend: two rows have this id",
        ),
        "an event outside of the alphabet": (
            having(row(State.READY, Unheard)),
            "planted: Unheard is not in the alphabet",
        ),
        "an ignored row that moves": (
            changing("stopped.stop", kind=RowKind.IGNORE, target=State.IDLE),
            "stopped.stop: a row of kind ignore may not move the shard",
        ),
        "an ignored row that writes": (
            changing("stopped.stop", updates=("drop_session",)),
            "stopped.stop: a row of kind ignore changes nothing",
        ),
        "a refusal with effects": (
            changing("idle.connect", effects=(Deliver,)),
            "idle.connect: only commands and outcomes are refused, and a refusal has no effects",
        ),
        "a message that is refused": (
            changing("idle.hello", kind=RowKind.REFUSE),
            "idle.hello: only commands and outcomes are refused",
        ),
        "a way out of the end": (
            changing("stopped.stop", kind=RowKind.TAKE, target=State.IDLE),
            "stopped.stop: stopped is absorbing",
        ),
        "a why that is no sentence": (
            changing("idle.stop", why="Nothing was begun"),
            "idle.stop: `why` must be one line",
        ),
        "a why of two lines": (changing("idle.stop", why="Nothing\nwas begun."), "idle.stop: `why` must be one line"),
        "an update that nobody defined": (
            changing("idle.stop", updates=("drop_everything",)),
            "idle.stop: unknown update 'drop_everything'",
        ),
        "an effect that nobody declared": (
            changing("idle.stop", effects=(Undeclared,)),
            "idle.stop: Undeclared is not in gatewright.spec.effects.EFFECTS",
        ),
        "a row without a reference": (changing("idle.stop", ref=""), "idle.stop: a row cites at least one reference"),
        "a reference that names no fact": (changing("idle.stop", ref="R99"), "idle.stop: unknown reference 'R99'"),
        "a guard that nobody defined": (
            changing("idle.stop", guard="not todays_weather"),
            "unknown guard 'todays_weather'",
        ),
        "a guard that is more than names": (
            changing("idle.stop", guard="registered == True"),
            "a guard combines names with and, or, not",
        ),
        "a gap between guards": (
            SHIPPED.without("resuming.session_invalidated.final").rows,
            "resuming.session_invalidated: no row is taken when",
        ),
        "guards that overlap": (
            changing("awaiting_hello.hello.identify", guard="not stale"),
            "awaiting_hello.hello: rows overlap",
        ),
        "a row without a guard beside others": (
            changing("awaiting_hello.hello.identify", guard=None),
            "awaiting_hello.hello: a row without a guard stands beside others",
        ),
        "a row that is never taken": (
            having(row(State.READY, Closed, guard="registered and not registered")),
            "ready.closed: never taken: registered and not registered",
        ),
        "a deadline that leads nowhere": (
            SHIPPED.without("awaiting_identify_slot.deadline_passed").rows,
            "awaiting_identify_slot: has a deadline and no row for it",
        ),
        "a deadline row where there is no deadline": (
            having(row(State.READY, DeadlinePassed)),
            "ready: has a row for a deadline that it does not have",
        ),
        "a heartbeat timer without a row": (
            SHIPPED.without("ready.heartbeat_due.").rows,
            "ready: the heartbeat timer and its row must come together",
        ),
        "a command without a row": (
            SHIPPED.without("idle.stop").rows,
            "idle.stop: a command or message needs a row",
        ),
        "a message without a row": (
            SHIPPED.without("ready.unknown_message", "ready.unknown_message.stale").rows,
            "ready.unknown_message: a command or message needs a row",
        ),
        "a state that nothing leads to": (
            SHIPPED.changed(
                *[found.id for found in TABLE if found.target is State.SUSPENDED],
                change=lambda found: attrs.evolve(found, target=State.STOPPED),
            ).rows,
            "suspended: no row leads there",
        ),
        "an answer that has no row where it is awaited": (
            SHIPPED.without("fetching_metadata.metadata_failed.").rows,
            "effect FetchMetadata: its answer metadata_failed has no row in fetching_metadata",
        ),
        "an effect that is awaited somewhere else": (
            changing("idle.stop", effects=(FetchMetadata,)),
            "idle.stop: FetchMetadata is awaited in fetching_metadata, not in stopped",
        ),
        "an effect that no row asks for": (
            SHIPPED.without_effect(SendResume, "awaiting_hello.hello.resume").rows,
            "effect SendResume is used by no row",
        ),
        "a guard that no row uses": (
            SHIPPED.unguarded("ready.heartbeat_acked").rows,
            "guard 'proves' is used by no row",
        ),
        "an update that no row uses": (
            SHIPPED.without_update("prove_session", "ready.heartbeat_acked.proves").rows,
            "update 'prove_session' is used by no row",
        ),
    }
)


def test_the_shipped_table_has_no_finding() -> None:
    assert list(findings(TABLE)) == []


@pytest.mark.parametrize(("rows", "finding"), PLANTED.values(), ids=PLANTED.keys())
def test_a_fault_is_found_where_it_is_planted(rows: tuple[Row, ...], finding: str) -> None:
    assert finding in found_in(rows)


def test_a_table_with_a_finding_is_refused_with_every_finding() -> None:
    rows = having(row(State.READY, DeadlinePassed), row(State.IDLE, Hello, why="no sentence"))
    with pytest.raises(TableError, match=r"(?s)does not hold together.*planted.*ready: has a row for a deadline"):
        check(rows)


# -- faults outside of the rows: what the rows are made of -------------------------------------------------------------


def with_guard(monkeypatch: pytest.MonkeyPatch, name: str, expression: str) -> None:
    """Puts another definition of a guard in the place of its own, everywhere where lint looks it up."""
    guards = {**GUARDS, name: Guard(name, expression, "planted")}
    monkeypatch.setattr(lint, "GUARDS", guards)

    def expression_of(text: str | None) -> str:
        return "True" if text is None else guards[text].expression

    monkeypatch.setattr(lint, "expression_of", expression_of)


def test_a_guard_outside_of_the_language_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lint, "GUARDS", {**GUARDS, "registered": Guard("registered", "[registered]", "planted")})
    assert "guard registered: List is not in the table's language" in found_in(TABLE)


def test_a_guard_over_a_field_without_a_domain_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with_guard(monkeypatch, "registered", "latency is None")
    rows = (row(State.READY, Stop, guard="registered"),)
    assert "ready.stop: no domain for latency" in found_in(rows)


def test_guards_over_too_many_fields_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with_guard(
        monkeypatch,
        "registered",
        "session is None or metadata is None or attempts > 1 or stalls > 1 or connect_failures > 1 "
        "or paused_beats > 1 or cap is None or now > 1 or then == Then.STOP or acked or paused or proving or fallback",
    )
    rows = (row(State.READY, Stop, guard="registered"),)
    assert "valuations are too many to check" in found_in(rows)


def test_an_update_that_writes_what_only_the_runtimes_write_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in ("state", "now", "entered_at", "settings", "no_such_field"):
        updates = {**UPDATES, "drop_session": Update("drop_session", ((field, "None"),), "planted")}
        monkeypatch.setattr(lint, "UPDATES", updates)
        assert f"update drop_session: {field!r} is not a field that an update may write" in found_in(TABLE)


def test_an_update_outside_of_the_language_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    updates = {**UPDATES, "drop_session": Update("drop_session", (("session", "nothing"),), "planted")}
    monkeypatch.setattr(lint, "UPDATES", updates)
    assert "update drop_session.session: 'nothing' is neither a field of the context nor a known name" in found_in(
        TABLE
    )


def test_a_deadline_outside_of_the_language_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    states = {**STATES, State.CONNECTING: attrs.evolve(STATES[State.CONNECTING], deadline="soon")}
    monkeypatch.setattr(lint, "STATES", states)
    assert "state connecting deadline: 'soon' is neither a field of the context" in found_in(TABLE)


def test_a_state_that_may_last_for_ever_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    states = {**STATES, State.CONNECTING: attrs.evolve(STATES[State.CONNECTING], deadline=None)}
    monkeypatch.setattr(lint, "STATES", states)
    assert "connecting: is not steady and needs a deadline" in found_in(TABLE)


def test_an_effect_that_is_awaited_where_nothing_ends_the_wait_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SendResume, "covered_by", (State.SUSPENDED,))
    assert "effect SendResume: suspended has no deadline that could cover it" in found_in(TABLE)


def test_an_effect_with_answers_that_nothing_waits_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SendResume, "covered_by", ())
    assert "effect SendResume: name both its answers and the states" in found_in(TABLE)


def test_a_guard_over_a_field_that_the_event_does_not_have_is_found() -> None:
    rows = SHIPPED.guarded("not stale and resumable", "ready.reconnect_requested").rows
    other = row(State.READY, ReconnectRequested, guard="not stale and not resumable")
    assert "resumable" in found_in((*rows, other))


def test_an_effect_outside_of_the_language_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    @attrs.frozen
    class Planted(Effect):
        name = "planted"
        gen: int = value_of("generation", int)

    monkeypatch.setattr(lint, "EFFECTS", (*EFFECTS, Planted))
    assert "generation" in found_in(changing("idle.stop", effects=(Planted,)))


def test_a_fault_that_is_not_planted_is_not_found() -> None:
    # The positive control of the whole module: lint does not simply say everything.
    everything = found_in(TABLE)
    assert not [finding for _, finding in PLANTED.values() if finding in everything]


def test_lint_looks_at_every_cell_and_every_effect() -> None:
    assert {(found.source, found.event) for found in TABLE} == set(CELLS)
    assert {effect for found in TABLE for effect in found.effects} == set(EFFECTS)
