"""A counterexample as a Mermaid sequence diagram, for any machine."""

from __future__ import annotations

from collections.abc import Iterator

from gatewright.diagrams.mermaid_text import escape, finish
from gatewright.harness.explore.counterexample import Counterexample, Moment

_MACHINE = "Machine"


def mermaid(counterexample: Counterexample) -> str:
    """The steps as messages between the machine and whoever surrounds it, and what is broken in the end.

    Returns:
        Mermaid text, ending in a newline.
    """
    steps = [step for step in counterexample.steps if step.action]
    lanes = dict.fromkeys(step.lane for step in (*steps, *counterexample.cycle))
    lines = ["sequenceDiagram", f"    participant {_MACHINE}", *(f"    participant {lane}" for lane in lanes)]
    for step in steps:
        lines += [f"    {line}" for line in _step(step)]
    if counterexample.cycle:
        lines.append("    loop for ever")
        for step in counterexample.cycle:
            lines += [f"        {line}" for line in _step(step)]
        lines.append("    end")
    lines.append(f"    Note over {_MACHINE}: {escape(f'broken: {counterexample.property}')}")
    return finish(lines, edges=0)


def _step(step: Moment) -> Iterator[str]:
    if not step.event:
        yield f"Note over {step.lane}: {escape(step.action)}"
        return
    payload = ", ".join(f"{name} {value}" for name, value in step.payload)
    yield f"{step.lane}->>{_MACHINE}: {escape(step.action + (f' ({payload})' if payload else ''))}"
    if not step.row:
        yield f"Note over {_MACHINE}: {escape(f'no row for {step.event} in {step.source}')}"
    elif step.source != step.state:
        yield f"Note over {_MACHINE}: {escape(f'{step.source} → {step.state} ({step.row})')}"
    else:
        yield f"Note over {_MACHINE}: {escape(f'{step.row}')}"
    for effect in step.effects:
        yield f"{_MACHINE}->>{_MACHINE}: {escape(effect)}"
