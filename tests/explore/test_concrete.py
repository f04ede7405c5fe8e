"""L4: the real core, on ways of the exploration and with concrete payloads, stands where the exploration says."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import attrs
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from gatewright.harness.explore.concrete import ConcreteWalk, OtherBranch, WentAstray
from gatewright.harness.explore.gateway import QUICK, compiler
from gatewright.harness.explore.gateway_environment import gateway_environment
from gatewright.harness.explore.gateway_table import SMALL, gateway_table
from gatewright.harness.explore.search import Graph, search
from tests.support.tables import SHIPPED, Weakened

_STEPS = 20


@pytest.fixture(scope="module")
def graph() -> Graph:
    found, broken = search(gateway_table(settings=SMALL), gateway_environment(), QUICK, compiler())
    assert broken is None
    return found


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
        return self.data.draw(st.sampled_from((b"", b"[]", b"{", b"\xff", b"null", b'{"op":"x"}', b'{"d":1}')))


def walk(graph: Graph, data: st.DataObject, table: Weakened = SHIPPED) -> ConcreteWalk:
    number = data.draw(st.integers(0, len(graph.packed) - 1), label="state")
    found = ConcreteWalk(graph, number, rows=table.rows)
    for _ in range(data.draw(st.integers(0, _STEPS), label="steps")):
        steps = found.steps()
        if not steps:
            break
        label, target = steps[data.draw(st.integers(0, len(steps) - 1))]
        found.take(label, target, Drawn(data))
    return found


@given(data=st.data())
def test_the_core_goes_the_ways_of_the_exploration(graph: Graph, data: st.DataObject) -> None:
    try:
        walk(graph, data)
    except OtherBranch:
        reject()


@pytest.mark.parametrize(
    "weaker",
    [
        pytest.param(SHIPPED.without_update("drop_session", "ready.stop"), id="a session that is kept"),
        pytest.param(SHIPPED.without_update("start_heartbeat", "awaiting_hello.hello.resume"), id="no heartbeat"),
    ],
)
def test_a_core_on_another_table_goes_astray(graph: Graph, weaker: Weakened) -> None:
    changed = {row.id for row in SHIPPED.rows} - {row.id for row in weaker.rows}
    changed |= {new.id for old, new in zip(SHIPPED.rows, weaker.rows, strict=False) if old.id == new.id and old != new}
    states = (number for number in range(len(graph.packed)) if _last_row(graph, number) in changed)
    with pytest.raises(WentAstray):
        _visit(graph, itertools.islice(states, 50), weaker)


def _visit(graph: Graph, states: Iterable[int], table: Weakened) -> None:
    for number in states:
        ConcreteWalk(graph, number, rows=table.rows)


def _last_row(graph: Graph, number: int) -> str:
    label, _ = graph.path(number)[-1]
    return "" if label is None or label.row is None else label.row.id
