"""Two runtimes, one table: on every context that can be reached, on every event, they do the same."""

import copy
import functools
import os

import attrs

from gatewright.fsm.compiled import CompiledTable
from gatewright.fsm.core import shipped_compiled, shipped_machine
from gatewright.fsm.errors import Refusal
from gatewright.fsm.machine import TableMachine
from gatewright.fsm.runtime import Runtime, Step
from gatewright.spec.context import Context
from gatewright.spec.events import EVENTS, Dispatched, Event, Timer
from gatewright.spec.states import State
from gatewright.spec.table import CELLS, TABLE
from tests.fsm.exploration import at, reachable, same, variants
from tests.support.tables import Weakened

MANY = 40_000 if os.environ.get("GATEWRIGHT_HYPOTHESIS") == "soak" else 3_500


@attrs.define
class Comparison:
    """What was seen where two runtimes took every event in every context."""

    compared: int = 0
    differences: list[str] = attrs.field(factory=list[str])
    taken: set[str] = attrs.field(factory=set[str])
    refused: int = 0
    changed_by_refusal: list[str] = attrs.field(factory=list[str])


def outcome(runtime: Runtime, context: Context, event: Event) -> Step | Refusal:
    """What `runtime` makes of `event`: the step, or the refusal."""
    try:
        return runtime.step(context, event)
    except Refusal as refusal:
        return refusal


def agree(first: Step | Refusal, second: Step | Refusal) -> bool:
    if isinstance(first, Refusal) or isinstance(second, Refusal):
        return isinstance(first, Refusal) and isinstance(second, Refusal) and first.row is second.row
    return first[0] is second[0] and first[1] == second[1]


def compare(one: Runtime, other: Runtime, contexts: tuple[Context, ...]) -> Comparison:
    """Feeds every event to both in every context; stops at the first difference."""
    seen = Comparison()
    for context in contexts:
        a, b = copy.copy(context), copy.copy(context)
        for event in variants(context):
            before = context
            if isinstance(event, Timer):
                at(a, event)
                at(b, event)
                before = copy.copy(a)
            first, second = outcome(one, a, event), outcome(other, b, event)
            seen.compared += 1
            if not agree(first, second) or a != b:
                seen.differences.append(f"{event!r} in {before}: {first!r} and {second!r}; {same(a, b)}")
                return seen
            if isinstance(first, Refusal):
                seen.refused += 1
                if a != before:
                    seen.changed_by_refusal.append(f"{event!r} in {before}: {same(before, a)}")
            row = first.row if isinstance(first, Refusal) else first[0]
            if row is not None:
                seen.taken.add(row.id)
            if a != context:
                a, b = copy.copy(context), copy.copy(context)
    return seen


@functools.cache
def shipped() -> Comparison:
    """Both runtimes of the shipped table."""
    return compare(shipped_machine(), shipped_compiled(), reachable(MANY))


def test_both_runtimes_take_the_same_row_with_the_same_effects_and_the_same_result() -> None:
    assert shipped().differences == []


def test_no_refusal_changes_anything() -> None:
    assert shipped().changed_by_refusal == []
    assert shipped().refused > 0


def test_the_comparison_takes_every_row() -> None:
    assert {row.id for row in TABLE} - shipped().taken == set()


def test_the_comparison_comes_to_every_state() -> None:
    assert {context.state for context in reachable(MANY)} == set(State)


def test_a_runtime_of_another_table_is_told_apart() -> None:
    # The positive control: one update less in one row of hundreds.
    other = Weakened().without_update("note_ack", "ready.heartbeat_acked").rows
    assert compare(shipped_machine(), CompiledTable(other), reachable(MANY)).differences


class Unpacked:
    """The dispatch path of the compiled table, for events that were made after all."""

    def step(self, context: Context, event: Event) -> Step:
        if isinstance(event, Dispatched):
            return shipped_compiled().step_dispatch(context, event.gen, event.seq, event.type)
        return shipped_compiled().step(context, event)


def test_a_dispatch_that_is_no_event_does_what_the_event_does_in_the_machine() -> None:
    seen = compare(shipped_machine(), Unpacked(), reachable(MANY))
    assert seen.differences == []
    assert {row.id for row in TABLE if row.event is Dispatched} <= seen.taken


class InRuns(Unpacked):
    """The way that nearly all dispatches go, for one at a time."""

    def __init__(self) -> None:
        self.repeated: set[str] = set()

    def step(self, context: Context, event: Event) -> Step:
        if isinstance(event, Dispatched):
            _, step = shipped_compiled().step_run(context, event.gen, [event.seq], [event.type])
            if step is not None:
                self.repeated.add(step[0].id)
                return step
        return super().step(context, event)


def test_a_run_does_what_the_events_do_in_the_machine() -> None:
    runtime = InRuns()
    assert compare(shipped_machine(), runtime, reachable(MANY)).differences == []
    assert runtime.repeated == {"ready.dispatched.advances", "resuming.dispatched.advances"}


def test_the_order_of_the_rows_means_nothing() -> None:
    backwards = TableMachine(tuple(reversed(TABLE)))
    for context in reachable(MANY)[:200]:
        for event in variants(context):
            a, b = copy.copy(context), copy.copy(context)
            first, second = outcome(shipped_compiled(), a, event), outcome(backwards, b, event)
            assert agree(first, second)
            assert a == b


def test_a_pair_without_a_row_is_refused_by_no_row() -> None:
    samples = {type(event): event for event in variants(Context())}
    for runtime in (shipped_machine(), shipped_compiled()):
        for state in State:
            for kind in EVENTS:
                if (state, kind) not in CELLS:
                    refusal = outcome(runtime, Context(state=state), samples[kind])
                    assert isinstance(refusal, Refusal)
                    assert refusal.row is None
