"""A counterexample as a Mermaid sequence diagram, for any machine, and for several of them."""

from __future__ import annotations

from collections.abc import Iterator

from gatewright.diagrams.mermaid_text import escape, finish, identifier
from gatewright.harness.explore.counterexample import Counterexample, Moment

_MACHINE = "Machine"


def mermaid(counterexample: Counterexample) -> str:
    """The steps as messages between the machine and whoever surrounds it, and what is broken in the end.

    Each machine of a product is a participant; a lane with the name of a machine is that machine.

    Returns:
        Mermaid text, ending in a newline.
    """
    steps = [step for step in counterexample.steps if step.action]
    machines = counterexample.machines or (_MACHINE,)
    lanes = dict.fromkeys((*machines, *(step.lane for step in (*steps, *counterexample.cycle))))
    lines = ["sequenceDiagram", *(f"    {_participant(lane)}" for lane in lanes)]
    for step in steps:
        lines += [f"    {line}" for line in _step(step)]
    if counterexample.cycle:
        lines.append("    loop for ever")
        for step in counterexample.cycle:
            lines += [f"        {line}" for line in _step(step)]
        lines.append("    end")
    over = ",".join(dict.fromkeys(identifier(machine) for machine in (machines[0], machines[-1])))
    broken = f"broken: {counterexample.property}"
    if ": " not in counterexample.property:  # no property of the environment's, which would say it all
        broken += f" ({counterexample.detail})"
    lines.append(f"    Note over {over}: {escape(broken)}")
    return finish(lines, edges=0)


def _participant(lane: str) -> str:
    name = identifier(lane)
    return f"participant {name}" if name == lane else f"participant {name} as {escape(lane)}"


def _step(step: Moment) -> Iterator[str]:
    lane = identifier(step.lane)
    if not step.event:
        yield f"Note over {lane}: {escape(step.action)}"
        return
    machine = identifier(step.machine or _MACHINE)
    payload = ", ".join(f"{name} {value}" for name, value in step.payload)
    yield f"{lane}->>{machine}: {escape(step.action + (f' ({payload})' if payload else ''))}"
    if not step.row:
        yield f"Note over {machine}: {escape(f'no row for {step.event} in {step.source}')}"
    elif step.source != step.state:
        yield f"Note over {machine}: {escape(f'{step.source} → {step.state} ({step.row})')}"
    else:
        yield f"Note over {machine}: {escape(f'{step.row}')}"
    for effect in step.effects:
        yield f"{machine}->>{machine}: {escape(effect)}"
