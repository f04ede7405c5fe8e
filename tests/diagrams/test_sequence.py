"""A journal as a sequence diagram: who said what to whom, and what became of it."""

from collections.abc import Iterable

import attrs
import pytest

from gatewright.diagrams.mermaid_text import MAX_CHARACTERS
from gatewright.diagrams.sequence import EFFECT_LANES, EVENT_LANES, sequence
from gatewright.fsm.core import ShardCore
from gatewright.fsm.errors import IllegalTransition
from gatewright.fsm.journal import Record
from gatewright.spec.effects import EFFECTS
from gatewright.spec.events import (
    EVENTS,
    Closed,
    Connect,
    Dispatched,
    HeartbeatRequested,
    Hello,
    MetadataFetched,
    Opened,
    Ready,
    Register,
    Registered,
    SlotGranted,
)
from tests.diagrams.grammar import statements, unescaped


def core_in_ready(*, journal_size: int = 64) -> ShardCore:
    core = ShardCore(journal_size=journal_size)
    core.feed(Register(), 0.0)
    core.feed(Registered(), 0.25)
    with pytest.raises(IllegalTransition):
        core.feed(Connect(), 0.3)
    core.feed(MetadataFetched(1, "wss://gateway.example/"), 0.5)
    core.feed(Opened(1), 1.0)
    core.feed(Hello(1, 41.25), 1.25)
    core.feed(SlotGranted(1), 1.5)
    core.feed(Ready(1, 1, 'a;b#c"d'), 2.0)
    return core


def drawn(records: Iterable[Record]) -> list[str]:
    """The lines of the drawing, as they are shown; lines within one label are joined by a bar."""
    text = sequence(records)
    assert statements(text)
    return [unescaped(line.strip().replace("<br/>", " | ")) for line in text.splitlines()]


def test_the_story_of_a_start() -> None:
    assert drawn(core_in_ready().journal) == [
        "sequenceDiagram",
        "participant Client",
        "participant Engine",
        "participant Gateway",
        "Note over Engine: idle",
        "Client->>Engine: 0.000 s | register",
        "Note over Engine: idle → registering, generation 0 | idle.register",
        "Engine->>Client: apply_registrations",
        "Client->>Engine: 0.250 s | registered",
        "Note over Engine: registering → fetching_metadata, generation 0 | registering.registered.fresh",
        "Engine->>Gateway: fetch_metadata",
        "Client->>Engine: 0.300 s | connect",
        "Engine--xClient: refused in fetching_metadata | fetching_metadata.connect",
        "Gateway->>Engine: 0.500 s | metadata_fetched (request=1, url='wss://gateway.example/', shards=1, …)",
        "Note over Engine: fetching_metadata → connecting, generation 1 | fetching_metadata.metadata_fetched",
        "Engine->>Gateway: open_socket",
        "Gateway->>Engine: 1.000 s | opened",
        "Note over Engine: connecting → awaiting_hello, generation 1 | connecting.opened",
        "Gateway->>Engine: 1.250 s | hello (interval=41.25)",
        "Note over Engine: awaiting_hello → awaiting_identify_slot, generation 1 | awaiting_hello.hello.identify",
        "Engine->>Engine: request_slot",
        "Engine->>Engine: 1.500 s | slot_granted",
        "Note over Engine: awaiting_identify_slot → identified, generation 1 | awaiting_identify_slot.slot_granted",
        "Engine->>Gateway: send_identify",
        "Gateway->>Engine: 2.000 s | ready (seq=1, session_id='a;b#c\"d', resume_url=None, bot_id='', …)",
        "Note over Engine: identified → ready, generation 1 | identified.ready",
        "Engine->>Client: deliver",
    ]


def test_a_late_event_is_shown_as_lost_and_an_unexpected_one_as_counted() -> None:
    core = core_in_ready()
    core.feed(Closed(0, 4000), 3.0)
    core.feed(Hello(1, 1.0), 4.0)
    assert drawn(core.journal)[-4:] == [
        "Gateway--xEngine: 3.000 s | closed (code=4000, reason='')",
        "Note over Engine: ignored, counted in ready | ready.closed.stale",
        "Gateway->>Engine: 4.000 s | hello (interval=1.0)",
        "Note over Engine: unexpected, counted in ready | ready.hello",
    ]


def test_the_same_row_over_and_over_is_drawn_once_with_its_number() -> None:
    core = core_in_ready()
    for number in range(5):
        core.feed(Dispatched(1, 2 + number, "TYPING_START"), 3.0 + number)
    assert drawn(core.journal.last(5)) == [
        "sequenceDiagram",
        "participant Client",
        "participant Engine",
        "participant Gateway",
        "Note over Engine: ready",
        "Gateway->>Engine: 3.000 s × 5, until 7.000 s | dispatched (seq=2, type='TYPING_START')",
        "Engine->>Client: deliver",
    ]


def test_steps_that_move_are_never_drawn_as_one() -> None:
    (record,) = core_in_ready().journal.last()
    assert drawn([record, record]).count("Engine->>Client: deliver") == 2


def test_a_journal_that_is_too_long_loses_its_beginning_and_says_so() -> None:
    core = core_in_ready(journal_size=5_000)
    for number in range(1_500):
        core.feed(Dispatched(1, 2 + number, "A"), 3.0 + number)
        core.feed(HeartbeatRequested(1), 3.5 + number)
    text = sequence(core.journal)
    assert MAX_CHARACTERS - 1_000 < len(text) <= MAX_CHARACTERS
    left_out, begins = drawn(core.journal)[4:6]
    assert begins == "Note over Engine: ready"
    steps = sum("->>Engine:" in line for line in text.splitlines())
    assert left_out == f"Note over Engine: {len(core.journal) - steps} earlier steps are left out"
    assert text.endswith(": send_heartbeat\n")


def test_nothing_at_all_is_still_a_drawing() -> None:
    assert len(drawn([])) == 4


def test_words_of_another_table_stay_with_the_engine() -> None:
    (record,) = core_in_ready().journal.last()
    strange = attrs.evolve(record, event="door_locked", effects=("ring; the #bell",))
    assert drawn([strange])[5].startswith("Engine->>Engine: 2.000 s | door_locked")
    assert drawn([strange])[-1] == "Engine->>Engine: ring; the #bell"


def test_every_event_and_every_effect_has_a_lane() -> None:
    assert EVENT_LANES.keys() == {event.name for event in EVENTS}
    assert EFFECT_LANES.keys() == {effect.name for effect in EFFECTS}
