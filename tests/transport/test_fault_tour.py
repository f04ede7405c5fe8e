"""Each fault in each phase where it can occur: the shard is ready again or has failed for it, in time, with no leak."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from gatewright.harness.fake.faults import FAULTS, Fault, Faults, Phase
from gatewright.harness.fault_tour import PAGE, page
from gatewright.spec.states import State
from tests.support.checkout import ROOT
from tests.support.conforms import conforms
from tests.support.shards import Streams, gateway, shard_on
from tests.support.tour import Outcome, visit

STOPS = [pytest.param(fault, phase, id=f"{fault.name}-{phase}") for fault in FAULTS.values() for phase in fault.phases]


@conforms("P34", "P51")
@pytest.mark.parametrize(("fault", "phase"), STOPS)
async def test_a_shard_gets_over_a_fault_or_fails_for_it_in_time(
    autojump_clock: MockClock, fault: Fault, phase: Phase
) -> None:
    outcome = await visit(fault, phase)
    if phase is Phase.BACKING_OFF:  # the fault is prepared before, and found after
        assert State.BACKING_OFF in outcome.states_after
    else:
        assert phase.value in outcome.states_at_fault
    assert outcome.final is (State.READY if fault.fails_with is None else State.FAILED)
    assert outcome.recovered_in <= fault.within
    assert outcome.status == fault.fails_with
    if fault.harmless:
        assert outcome.connections == (2 if phase is Phase.RESUMING else 1)
    assert outcome.most_sockets <= 1
    assert outcome.left == Outcome.NOTHING


@pytest.mark.parametrize("seed", range(12))
async def test_a_random_plan_of_faults_ends_in_a_ready_shard(autojump_clock: MockClock, seed: int) -> None:
    faults = Faults(seed=seed)
    async with gateway(script=faults.script) as fake:
        streams = Streams(fake)
        async with shard_on(fake, opener=streams, compress="zlib-stream", watch_loop=False) as shard:
            with trio.fail_after(24 * 3600):
                await fake.wait_until(lambda log: log.connections >= len(faults.script))
                await shard.wait_for("ready")
        assert (shard.state, streams.most_open, streams.open) == (State.STOPPED, 1, 0)


def test_a_seed_brings_its_plan_back() -> None:
    assert Faults(seed=7).script == Faults(seed=7).script
    assert Faults(seed=7).script != Faults(seed=8).script
    assert repr(Faults(seed=7)).startswith("<Faults of seed 7: ")
    assert not Faults(seed=1, rate=0.0).chosen
    assert all(fault.fails_with is None for fault, _ in Faults(seed=1, rate=1.0, connections=200).chosen)
    lethal = Faults(seed=1, rate=1.0, connections=400, lethal=True)
    assert any(fault.fails_with is not None for fault, _ in lethal.chosen)


def test_a_rate_that_is_no_share_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        Faults(seed=1, rate=70)


def test_a_fault_is_refused_in_a_phase_where_it_cannot_occur() -> None:
    with pytest.raises(ValueError, match=r"op_9 cannot occur in connecting; it can in: awaiting_hello"):
        FAULTS["op_9"].script(Phase.CONNECTING)


def test_the_page_shows_the_tour() -> None:
    assert (ROOT / PAGE).read_text(encoding="utf-8") == page(), "run: python -m gatewright.harness.fault_tour"
