"""Two shards of one bucket in front of one gate: what holds of both, and what a weaker gate or shard breaks."""

from __future__ import annotations

import attrs
import pytest

from gatewright.harness.explore import Environment, Report, sometimes
from gatewright.harness.explore.gateway_bucket import DEFAULT, KEPT, QUICK, SHARDS, bucket, check, gate
from gatewright.harness.explore.gateway_environment import gateway_environment
from gatewright.harness.explore.properties import Shape
from gatewright.harness.explore.sequence import mermaid
from gatewright.spec.effects import ReturnSlot, SendIdentify
from gatewright.spec.table import TABLE
from tests.support.tables import SHIPPED

OVER = tuple(
    sometimes("I19", f"{one} is ready although {other} {said}", f"{one}.state == State.READY and {how}")
    for one, other in (SHARDS, SHARDS[::-1])
    for said, how in (
        ("has failed", f"{other}.state == State.FAILED and not {other}.been_ready"),
        ("went dark when it had identified", f"{other}.state == State.STALLED and {other}.link == Link.DARK"),
    )
)
"""What takes a fault."""


def with_gate(name: str, **changes: object) -> Environment:
    found = gate()
    assert any(action.name == name for action in found.actions)
    actions = tuple(
        attrs.evolve(each, **changes) if each.name == name else each  # type: ignore[arg-type]
        for each in found.actions
    )
    return attrs.evolve(found, actions=actions)


def only(found: Environment, shape: Shape) -> Environment:
    return attrs.evolve(found, properties=tuple(each for each in found.properties if each.shape is shape))


@pytest.fixture(scope="module")
def shipped() -> Report:
    return check(DEFAULT, properties=OVER)


def test_two_shards_share_a_gate_wherever_one_of_them_fails(shipped: Report) -> None:
    shipped.assert_ok()
    assert set(shipped.properties.values()) == {"holds"}


def test_the_exploration_is_not_small(shipped: Report) -> None:
    assert shipped.states > 500_000
    taken = {name.partition(".")[2] for name in shipped.taken}
    assert shipped.taken == {f"{shard}.{row}" for shard in SHARDS for row in taken}  # both do whatever one does
    assert {row.id for row in TABLE if SendIdentify in row.effects} <= taken
    assert {row.id.partition(".")[0] for row in TABLE if ReturnSlot in row.effects and row.id in taken} >= {
        "connecting", "awaiting_hello", "awaiting_identify_slot", "stalled", "draining", "backing_off",
    }  # fmt: skip


def test_what_happens_to_a_shard_here_is_of_its_own_environment() -> None:
    assert {action.name for action in gateway_environment().actions} >= KEPT
    assert set(bucket().machines) == set(SHARDS)


def test_a_gate_that_gives_a_second_slot_is_seen() -> None:
    report = check(QUICK, environment=with_gate("the slot goes to right", guard="turn == Turn.ASKED"))
    assert report.verdict == "safety"
    with pytest.raises(AssertionError, match="I12: a slot that was given is on its way to one shard"):
        report.assert_ok()


def test_a_gate_without_spacing_is_seen_and_drawn_with_both_shards() -> None:
    early = with_gate("the slot goes to right", guard="turn == Turn.ASKED and gate != Gate.HELD")
    report = check(QUICK, environment=early)
    assert report.counterexample is not None
    assert report.counterexample.property == "I12: no two IDENTIFYs of a bucket without the spacing between"
    identified = [step.machine for step in report.counterexample.steps if "send_identify" in step.effects]
    assert identified == ["left", "right"]
    drawn = mermaid(report.counterexample)
    assert "participant id_left as left" in drawn
    assert "participant id_right as right" in drawn


KEEPS = SHIPPED.without_effect(ReturnSlot, "stalled.slot_granted")


def test_a_shard_that_keeps_its_slot_is_seen() -> None:
    report = check(QUICK, rows=KEEPS.rows)
    assert (report.verdict, report.counterexample is not None) == ("safety", True)
    with pytest.raises(AssertionError, match=r"row stalled\.slot_granted"):
        report.assert_ok()


def test_a_shard_that_keeps_its_slot_blocks_the_other_for_good() -> None:
    report = check(QUICK, rows=KEEPS.rows, environment=only(gate(), Shape.EVENTUALLY))
    assert report.verdict == "liveness"
    assert report.counterexample is not None
    assert report.counterexample.property.startswith("I19: ")


def test_a_gate_that_never_ends_its_spacing_blocks_the_second_shard() -> None:
    deaf = only(with_gate("the spacing is over", guard="gate == Gate.SPACING and identifies > 1"), Shape.EVENTUALLY)
    report = check(QUICK, environment=deaf)
    assert report.verdict in {"liveness", "deadlock"}
