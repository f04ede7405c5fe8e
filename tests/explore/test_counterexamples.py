"""What a counterexample is worth: the core goes the same way, and it can be drawn, pasted and kept."""

import json
import random

import pytest

from gatewright.harness.explore import Counterexample, Report
from gatewright.harness.explore.gateway import QUICK, check
from gatewright.harness.explore.replay import as_example, as_pytest, differences, replay
from gatewright.harness.explore.search import moments
from gatewright.harness.explore.sequence import mermaid
from gatewright.harness.monitor import InvariantViolated
from gatewright.harness.walks import Feed, Order, Walk
from gatewright.spec import events
from gatewright.spec.session import Session
from gatewright.spec.settings import Settings
from tests.support.tables import SHIPPED, Weakened

WEAK = SHIPPED.without_update("drop_session", "ready.session_invalidated.final")
"""R32: the server ended the session, and the shard goes on holding it."""


@pytest.fixture(scope="module")
def shipped() -> Report:
    return check(QUICK, coverage=False)


def counterexample(weaker: Weakened = WEAK) -> Counterexample:
    found = check(QUICK, rows=weaker.rows).counterexample
    assert found is not None
    return found


def test_the_real_core_goes_every_way_that_was_explored(shipped: Report) -> None:
    """Drawn states of the exploration, reached on the core: the same state, and the same value of every variable."""
    graph = shipped.graph
    compared = 0
    for place in random.Random(3).sample(range(len(graph.packed)), 250):
        way = tuple(moments(graph, graph.path(place)))
        if any(step.event == "slot_unavailable" for step in way):
            continue  # going back from a count that stopped at its bound is tried both ways, and the core has one
        replayed = replay(way)
        assert not replayed.went_astray
        assert not differences(replayed.core, dict(way[-1].numbers))
        compared += 1
    assert compared > 150


def test_it_is_the_shortest_way() -> None:
    # An old session is resumed, so that READY need not come.
    assert [step.event for step in counterexample().steps[1:]] == [
        "register", "registered", "opened", "hello", "resumed", "session_invalidated",
    ]  # fmt: skip


def test_it_reads_as_one_line_a_step() -> None:
    lines = str(counterexample()).splitlines()
    assert lines[0].startswith("I10: what ends a session drops it")
    assert len(lines) == 7
    assert "idle → registering" in lines[1]


def test_the_core_breaks_the_same_promise() -> None:
    replayed = replay(counterexample().steps, rows=WEAK.rows)
    assert not replayed.went_astray
    assert replayed.core.session is not None


def test_it_is_drawn() -> None:
    drawn = mermaid(counterexample())
    assert drawn.startswith("sequenceDiagram\n")
    assert "Discord->>Machine: HELLO" in drawn
    assert "broken" in drawn.splitlines()[-1]


def test_what_repeats_for_ever_is_drawn_as_a_loop() -> None:
    found = counterexample()
    drawn = mermaid(Counterexample(found.property, found.detail, found.steps, found.steps[-1:]))
    assert "loop for ever" in drawn


def test_it_is_a_test_to_paste() -> None:
    text = as_pytest(counterexample(), rows=WEAK.rows, name="the_session_is_kept")
    namespace: dict[str, object] = {}
    exec(text, namespace)
    test = namespace["test_the_session_is_kept"]
    assert callable(test)
    test()  # the shipped table keeps its promise
    with pytest.raises(InvariantViolated, match="I10"):
        test(WEAK.rows)


def test_a_test_to_paste_fails_where_the_monitor_of_the_core_notices_nothing() -> None:
    """A cause that nobody wrote is a fault of the table that no invariant of the running core is about."""
    weaker = SHIPPED.without_update("cause_reconnect", "awaiting_identify_slot.reconnect_requested")
    text = as_pytest(counterexample(weaker), rows=weaker.rows)
    assert "core.feed" not in text
    namespace: dict[str, object] = {}
    exec(text, namespace)
    test = namespace["test_counterexample"]
    assert callable(test)
    test()
    with pytest.raises(AssertionError, match="cause means something in draining, and nobody wrote it"):
        test(weaker.rows)


def test_it_is_an_example_for_hypothesis() -> None:
    text = as_example(counterexample(), rows=WEAK.rows)

    def example(walk: Walk, moves: list[Feed | Order]) -> Walk:
        walk.take(moves)
        return walk

    names = {"example": example, "Walk": Walk, "Feed": Feed, "Order": Order, "events": events, "Settings": Settings,
             "Session": Session}  # fmt: skip
    walk = eval(text.removeprefix("@"), names)
    assert walk.state == "draining"
    assert walk.core.session is None


def test_it_is_a_journal() -> None:
    lines = [json.loads(line) for line in replay(counterexample().steps, rows=WEAK.rows).journal.splitlines()]
    assert [line["event"] for line in lines][-1] == "session_invalidated"
    assert lines[-1]["row"] == "ready.session_invalidated.final"


def test_it_is_plain_data() -> None:
    told = json.loads(json.dumps(counterexample().as_dict()))
    assert told["steps"][-1]["effects"] == ["close_keeping_session"]
