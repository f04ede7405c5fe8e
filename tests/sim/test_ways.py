"""Lives below the opener: real TCP streams, TLS, tunnels and files, on the simulated network."""

import attrs
import pytest

from gatewright.harness.fake.faults import Phase
from gatewright.harness.sim import Act, Deed, Scenario, simulate
from gatewright.harness.sim.scenario import Consumer, Way
from gatewright.spec.states import State
from tests.sim.processes import printed

LIFE = Scenario(http=True, logged=True, connections=(("fin", Phase.READY), ("op_7", Phase.READY)))


@pytest.mark.parametrize("way", Way)
def test_a_shard_gets_through_on_every_way(way: Way) -> None:
    life = simulate(attrs.evolve(LIFE, way=way, network_seed=3, schedule_seed=5))
    assert life.end is State.READY
    assert "awaiting_hello.hello.resume" in life.rows


@pytest.mark.parametrize("way", Way)
def test_a_resume_url_that_leads_nowhere_is_given_up_on_every_way(way: Way) -> None:
    life = simulate(Scenario(way=way, connections=(("dead_resume_url", Phase.BACKING_OFF),)))
    assert life.end is State.READY
    assert any(row.startswith("connecting.connect_failed") for row in life.rows)


def test_a_life_under_tls_is_the_same_in_every_process() -> None:
    code = (
        "import attrs; from gatewright.harness.sim import *; from gatewright.harness.sim.scenario import Way\n"
        "for way in Way:\n"
        "    for seed in (1, 2, 5): print(simulate(attrs.evolve(Scenario.of(seed), way=way)).digest)"
    )
    found = printed(code)
    assert len(found) == 1


@pytest.mark.parametrize("text", ["", "nonsense"])
def test_a_session_in_a_file_survives_a_suspension(text: str) -> None:
    acts = (Act(12.0, Deed.SUSPEND, 0, State.READY), Act(8.0, Deed.CONNECT, 0, State.SUSPENDED))
    life = simulate(Scenario(file=text, consumer=Consumer.SINK, acts=acts))
    assert life.end is State.READY
    assert "awaiting_hello.hello.resume" in life.rows


def test_what_is_got_wrong_in_the_middle_of_a_life_changes_nothing() -> None:
    acts = (
        Act(2.0, Deed.DROP, 0, State.READY),
        Act(2.0, Deed.DROP, 0, State.READY),
        Act(2.0, Deed.DROP, 0, State.READY),
    )
    plain = simulate(Scenario(acts=(*acts, Act(50.0, Deed.MEND))))
    wrong = simulate(Scenario(acts=(*acts, Act(40.0, Deed.MISUSE), Act(0.0, Deed.INSPECT), Act(10.0, Deed.MEND))))
    assert wrong.story == plain.story
