"""Scenarios as Python: what is printed of a failure can be pasted."""

import importlib

import attrs

from gatewright.harness.sim import Act, Deed, Scenario, attempt
from gatewright.harness.sim.choices import Choices
from gatewright.harness.sim.spelling import spelled
from gatewright.spec.settings import Settings
from gatewright.spec.states import State

NAMES = {
    name: value
    for module in (
        "gatewright.harness.fake.faults",
        "gatewright.harness.fake.script",
        "gatewright.harness.sim.scenario",
        "gatewright.spec.session",
        "gatewright.spec.settings",
        "gatewright.spec.states",
        "gatewright.transport.inflate",
        "gatewright.transport.queue",
    )
    for name, value in vars(importlib.import_module(module)).items()
}


def test_what_is_so_by_default_is_left_out() -> None:
    scenario = Scenario(settings=Settings(max_attempts=2), acts=(Act(0.5, Deed.CUT, during=State.READY),))
    said = "Scenario(settings=Settings(max_attempts=2), acts=(Act(after=0.5, deed=Deed.CUT, during=State.READY),))"
    assert spelled(scenario) == said
    assert spelled(Scenario()) == "Scenario()"


def test_every_scenario_can_be_pasted() -> None:
    for seed in range(500):
        scenario = Scenario.of(seed)
        assert eval(spelled(scenario), dict(NAMES)) == scenario


def test_the_numbers_of_a_life_are_written_without_the_zeros_that_follow_from_themselves() -> None:
    choices = Choices((0, 3, 0), None)
    assert [choices.below(4) for _ in range(6)] == [0, 3, 0, 0, 0, 0]
    assert choices.written == (0, 3)
    tried = attempt(Scenario.of(12))
    assert tried.scenario.schedule[-1]
    assert tried.life == attempt(tried.scenario).life
    assert tried.life != attempt(attrs.evolve(tried.scenario, schedule=())).life
