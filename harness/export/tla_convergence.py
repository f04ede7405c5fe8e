"""What must come to pass in TLA+: whoever goes on eagerly, fairly and in time gets there again and again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gatewright.harness.explore.environment import Action
from gatewright.harness.explore.properties import Shape
from gatewright.harness.explore.terms import names_in
from gatewright.harness.export.plan import Plan
from gatewright.harness.export.tla_language import TLA, union
from gatewright.harness.export.tla_names import Names, members


def convergence(plan: Plan, names: Names) -> Iterator[str]:
    """The definitions, of which `Converges` is the property; none where nothing must come to pass.

    It says of behaviours in which faults and commands have ceased for good (``<>[][Eager]_vars``) that they reach each
    goal again and again. `Eager` allows what is fair, and a timer where nothing else that is fair changes anything;
    each of these is weakly fair. `Timely` excuses a behaviour that stays in one state with a deadline which never
    begins anew: it would have fired, if anything could still happen.
    """
    goals = plan.shaped(Shape.EVENTUALLY)
    if not goals:
        return
    table = plan.table
    prompt = [names.actions[each.name] for each in plan.environment.actions if each.fair and not each.timer]
    timers = {each.name: names.new(f"{each.name} when due") for each in plan.environment.actions if each.timer}
    yield ""
    yield "\\* What must come to pass, once faults and commands have ceased."
    for item in goals:
        yield f"\\* {item.name}"
        yield f"{names.properties[item.name]} == {names.truth(item.expression)}"
    yield f"Prompt =={_possible(prompt)}"
    for name, word in timers.items():
        yield f"{word} == (~Prompt) /\\ {names.actions[name]}"
    eager = [*prompt, *timers.values()]
    yield "Eager ==" + ("".join(f"\n  \\/ {each}" for each in eager) or f" {TLA.false}")
    yield "EagerFairness ==" + ("".join(f"\n  /\\ WF_vars({each})" for each in eager) or f" {TLA.true}")
    premise = "<>[][Eager]_vars /\\ EagerFairness"
    if table.timed:
        steps = [f"{names.actions[name]}_steps(Now)" for name in timers]
        steps += [f"{each}_steps(Now)" for each in prompt]
        rows = members(row.number for row in plan.rows if row.row.target is not None or table.rearms in row.assigned)
        yield f"Due =={_possible(names.actions[name] for name in timers)}"
        yield "\\* A deadline begins anew with a row that enters a state or arms it, and where it has passed."
        yield f"Anew ==\n  \\/ \\E k \\in {union(steps) or '{}'} : (k.t = Now') /\\ (k.row \\in {rows})" + "".join(
            f"\n  \\/ {timers[each.name]}" for each in plan.environment.actions if _is_deadline(plan, each)
        )
        states = members(names.state(state) for state in table.timed)
        yield "Stuck == (~Prompt) /\\ ~Due"
        yield f"Timely == []<>(~({names.variables['state']} \\in {states})) \\/ []<><<Anew>>_vars \\/ []<>Stuck"
        premise += " /\\ Timely"
    reached = " /\\ ".join(f"[]<>{names.properties[item.name]}" for item in goals)
    yield f"Converges == ({premise}) => ({reached})"


def _possible(actions: Iterable[str]) -> str:
    """That one of them would change something."""
    asked = "".join(f"\n  \\/ \\E k \\in {each}_steps(Now) : k.t # Now" for each in actions)
    return asked or f" {TLA.false}"


def _is_deadline(plan: Plan, action: Action) -> bool:
    rearms = plan.table.rearms
    return action.timer and (not rearms or rearms in names_in(action.guard))
