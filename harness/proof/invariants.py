"""Where each invariant is stated, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from gatewright.harness.explore.gateway_bucket import gate
from gatewright.harness.explore.gateway_environment import gateway_environment
from gatewright.harness.explore.properties import Shape
from gatewright.spec.invariants import INVARIANTS, Invariant, Layer

BEYOND: Final[Mapping[str, str]] = MappingProxyType(
    {
        "I16": "above the machine: `tests/transport/test_outbox.py`, and every simulated life (L5)",
        "I22": "the abstraction holds no text: `tests/transport/test_shard_secrets.py`, `tests/transport/test_logs.py`",
    }
)
"""Those that no exploration states, because they live below or above what is explored."""

PARTLY: Final[Mapping[str, str]] = MappingProxyType(
    {
        "I12": "the seconds of the spacing and the budget belong to the gate: `tests/transport/test_gate.py`",
        "I18": "the delays in seconds are computed again by the monitor",
        "I19": "what shards share beside the gate, and for how long: `tests/transport/test_gate.py`",
    }
)
"""What of an invariant the exploration leaves to others."""

_SHAPES: Final = {Shape.ALWAYS: "of states", Shape.EDGE: "of steps"}
_SHAPES_OF_TWO: Final = {**_SHAPES, Shape.EVENTUALLY: "of runs"}


def invariants() -> Iterator[str]:
    """A line for each, with how many properties state it, and what judges it on the real core."""
    stated = Counter((item.id, item.shape) for item in gateway_environment().properties)
    of_two = Counter((item.id, item.shape) for item in gate().properties)
    yield "| | invariant | explored (L1–L3) | on the real core (L4, L5) | elsewhere |"
    yield "|---|---|---|---|---|"
    for name, invariant in INVARIANTS.items():
        explored = _counted(name, stated, _SHAPES)
        if two := _counted(name, of_two, _SHAPES_OF_TWO):
            explored = f"{explored}; of two shards: {two}".removeprefix("; ")
        text = invariant.text.replace("|", "\\|")
        yield f"| {name} | {text} | {explored or '–'} | {_core(invariant)} | {_elsewhere(invariant)} |"


def _counted(name: str, stated: Mapping[tuple[str, Shape], int], shapes: Mapping[Shape, str]) -> str:
    return ", ".join(f"{stated[name, shape]} {said}" for shape, said in shapes.items() if stated.get((name, shape)))


def _core(invariant: Invariant) -> str:
    if Layer.CORE not in invariant.where:
        return "–"
    parts = {"contexts": len(invariant.contexts), "steps": len(invariant.steps)}
    said = [f"{count} of {what}" for what, count in parts.items() if count]
    return ", ".join([*said, *(["the history"] if invariant.history else [])])


def _elsewhere(invariant: Invariant) -> str:
    said = [BEYOND.get(invariant.id) or PARTLY.get(invariant.id)]
    said += ["lint"] if Layer.LINT in invariant.where else []
    said += ["tests of the driver"] if Layer.DRIVER in invariant.where and invariant.id not in BEYOND else []
    return "; ".join(filter(None, said)) or "–"
