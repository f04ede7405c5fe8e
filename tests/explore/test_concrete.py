"""L4: the real core, on ways of the exploration and with concrete payloads, stands where the exploration says."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.harness.explore.concrete import STEPS, ConcreteWalk, WentAstray, said, wander_by
from gatewright.harness.explore.gateway import QUICK, compiler
from gatewright.harness.explore.gateway_environment import gateway_environment
from gatewright.harness.explore.gateway_table import SMALL, gateway_table
from gatewright.harness.explore.payloads import GARBAGE, SECONDS, Plain
from gatewright.harness.explore.replay import context_of
from gatewright.harness.explore.search import Bounds, search
from gatewright.harness.explore.ways import Ways
from gatewright.harness.explore.wire import Wire
from gatewright.harness.monitor import InvariantViolated
from gatewright.spec import events
from gatewright.spec.effects import SendResume
from gatewright.spec.states import State
from gatewright.transport.inflate import Compression, CorruptCompression
from tests.support.tables import SHIPPED, Weakened

REFUSED = "awaiting_identify_slot.slot_unavailable"
STREAMS = (Compression.NONE, Compression.ZLIB_STREAM, Compression.ZSTD_STREAM)


@pytest.fixture(scope="module")
def ways() -> Ways:
    found, broken = search(gateway_table(settings=SMALL), gateway_environment(), QUICK, compiler())
    assert broken is None
    return Ways(found)


@attrs.frozen
class Drawn:
    """Payloads that Hypothesis draws."""

    data: st.DataObject

    def code(self, codes: Sequence[int]) -> int:
        return self.data.draw(st.sampled_from(codes))

    def interval(self) -> float:
        return self.data.draw(st.sampled_from((41_250, 0.5, 1, 1e6)) | st.floats(1.0, 1e6))

    def text(self) -> str:
        return self.data.draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))

    def more(self) -> int:
        return self.data.draw(st.integers(1, 2**40))

    def garbage(self) -> bytes:
        return self.data.draw(st.sampled_from(GARBAGE))

    def seconds(self) -> float:
        return self.data.draw(st.sampled_from(SECONDS) | st.floats(0.0, 1e6))

    def elapsed(self) -> float:
        return self.data.draw(st.floats(0.0, 1.0))

    def lateness(self) -> float:
        return self.data.draw(st.floats(0.0, 5.0))

    def roll(self) -> float:
        return self.data.draw(st.floats(0.0, 1.0, exclude_max=True))

    def cuts(self) -> tuple[int, ...]:
        return tuple(sorted(self.data.draw(st.lists(st.integers(0, 80), max_size=3))))


def walk(ways: Ways, data: st.DataObject, table: Weakened = SHIPPED) -> ConcreteWalk:
    number = data.draw(st.integers(0, len(ways.graph.packed) - 1), label="state")
    compress = data.draw(st.sampled_from(STREAMS), label="compression")
    found = ConcreteWalk(ways, number, Drawn(data), rows=table.rows, compress=compress)
    for _ in range(data.draw(st.integers(0, STEPS), label="steps")):
        changing, idle = found.steps()
        steps = [*changing, *idle]
        found.take(steps[data.draw(st.integers(0, len(steps) - 1))][0])
    return found


def wander(ways: Ways, row: str, seed: int, table: Weakened = SHIPPED) -> ConcreteWalk:
    return wander_by(ways, row, seed, rows=table.rows, streams=STREAMS)


@given(data=st.data())
def test_the_core_goes_the_ways_of_the_exploration(ways: Ways, data: st.DataObject) -> None:
    walk(ways, data)


def test_the_core_goes_by_every_row_that_is_explored(ways: Ways) -> None:
    taken: set[str] = set()
    for seed in range(3):
        for row in sorted(set(ways.rows) - taken):
            taken.update(wander(ways, row, seed).rows)
    assert taken >= set(ways.rows)


def test_a_walk_of_a_seed_is_always_the_same(ways: Ways) -> None:
    row = ways.rows[100]
    assert wander(ways, row, 7).told == wander(ways, row, 7).told != wander(ways, row, 8).told


def test_a_refusal_of_the_gate_is_walked_whichever_way_the_count_goes() -> None:
    bounds = Bounds(
        values={"faults": 2, "commands": 0, "strict": 0, "capped": 0, "session": 0, "received": 0, "kept": 0}
    )
    found, _ = search(gateway_table(settings=SMALL), gateway_environment(), bounds, compiler())
    ways, left = Ways(found), set[int]()
    for seed in range(40):
        source = random.Random(seed)
        label, number = ways.draw(REFUSED, source)
        taken = ConcreteWalk(ways, number, Plain())
        if taken.number == number:
            taken.take(label)
            left.add(context_of(taken.core).attempts)
    # The exploration counts to one, so that it cannot tell whether one is left: the core had one attempt, or more.
    assert left >= {0, 1}


@pytest.mark.parametrize(
    "weaker",
    [
        pytest.param(SHIPPED.without_update("drop_session", "ready.stop"), id="a session that is kept"),
        pytest.param(SHIPPED.without_update("start_heartbeat", "awaiting_hello.hello.resume"), id="no heartbeat"),
        pytest.param(SHIPPED.without_effect(SendResume, "awaiting_hello.hello.resume"), id="no RESUME"),
        pytest.param(
            SHIPPED.without_update("refund_attempt", "awaiting_identify_slot.slot_unavailable"), id="no refund"
        ),
        pytest.param(SHIPPED.retargeted(State.STOPPED, "ready.heartbeat_requested"), id="a step that changes nothing"),
        pytest.param(SHIPPED.guarded("paused", "resuming.deadline_passed"), id="no guard holds"),
    ],
)
def test_a_core_on_another_table_goes_astray(ways: Ways, weaker: Weakened) -> None:
    changed = [row.id for row, new in zip(SHIPPED.rows, weaker.rows, strict=True) if row != new]
    with pytest.raises((WentAstray, InvariantViolated)):
        list(map(functools.partial(wander, ways, changed[0], table=weaker), range(20)))


@pytest.mark.parametrize("kind", STREAMS)
@given(data=st.data())
def test_a_message_comes_out_as_it_went_in(kind: Compression, data: st.DataObject) -> None:
    wire, payloads = Wire(kind), Drawn(data)
    for _ in range(data.draw(st.integers(1, 4))):
        text = data.draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1)) * data.draw(
            st.sampled_from((1, 200, 40_000))
        )
        carried = wire.carry(text.encode(), payloads.cuts)
        assert (carried if isinstance(carried, str) else carried.decode()) == text


def test_damage_on_the_way_is_a_violation() -> None:
    wire = Wire(Compression.ZLIB_STREAM)
    with pytest.raises(CorruptCompression):
        wire.carry(b"{}", Plain().cuts, corrupt=True)
    violation = events.ProtocolViolation(3, events.ViolationKind.NOT_JSON)
    for number in range(len(GARBAGE)):
        for kind in STREAMS:
            payloads = _Says(GARBAGE[number])
            assert isinstance(said(violation, payloads, received=0, wire=Wire(kind)), events.ProtocolViolation)


class _Says(Plain):
    def __init__(self, garbage: bytes) -> None:
        self._garbage = garbage

    def garbage(self) -> bytes:
        return self._garbage
