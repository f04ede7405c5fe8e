"""The shard's exploration without bounds, as far as a shard knows: what its journals are held against.

Faults and commands may be any number here, so nothing is left to be reached by larger bounds; and a count may stand
anywhere on either side of its limit, because a journal does not tell the settings. What that gives is kept in
``gateway_projection.json`` beside this module:

    python -m gatewright.harness.explore.gateway_projection
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from importlib import resources
from pathlib import Path
from typing import Final

import attrs

from gatewright.harness.explore.environment import Environment, Variable
from gatewright.harness.explore.gateway_environment import gateway_environment
from gatewright.harness.explore.gateway_table import SMALL, gateway_table
from gatewright.harness.explore.projection import Beliefs, Projection, project, without
from gatewright.harness.explore.table import Table

FILE: Final = "gateway_projection.json"
REMAKE: Final = "python -m gatewright.harness.explore.gateway_projection"

SHOWN: Final = "gen"
"""What a record shows beside the state, as far as the exploration counts it."""

_COUNTS: Final = ("connect_failures", "stalls", "failed_resumes", "paused_beats", "attempts")
_LIMITS: Final = {
    "connect_failures >= settings.connect_failures_to_forget_url": "event.failing",
    "connect_failures + 1 >= settings.connect_failures_to_forget_url": "event.failing",
    "attempts >= settings.max_attempts": "event.spent",
    "stalls + 1 < settings.hello_stalls_to_forget_url": "event.stall == 0",
    "stalls + 1 >= settings.hello_stalls_to_drop_session": "event.stall == 2",
    "failed_resumes >= settings.max_failed_resumes": "event.refused",
    "paused_beats >= settings.max_paused_beats": "event.paused_long",
}
"""On which side of its limit a count stands is tried with every event, both ways."""
_TRIED: Final[dict[str, tuple[object, ...]]] = {
    "failing": (False, True),
    "spent": (False, True),
    "stall": (0, 1, 2),
    "refused": (False, True),
    "paused_long": (False, True),
}
_BUDGETS: Final = frozenset({"faults", "commands"})
_GHOSTS: Final = frozenset({"greeted", "stopping"})
"""Variables of the environment that only its properties read."""


def table() -> Table:
    """The shipped table, whose counts may stand anywhere."""
    shipped = gateway_table(settings=SMALL)
    rewrites = {text: meaning for text, meaning in shipped.rewrites.items() if "attempts" not in text}
    return attrs.evolve(
        shipped,
        variables=tuple(variable for variable in shipped.variables if variable.name not in _COUNTS),
        rewrites={**rewrites, "settings.max_attempts is not None": "capped", **_LIMITS},
        dropped={**shipped.dropped, **dict.fromkeys(_COUNTS, "a journal does not tell the settings that limit it")},
    )


def environment(*, more: int = 0) -> Environment:
    """The shard's environment, with as many faults and commands as one likes.

    Args:
        more: by how much its counts go further than they do in an exploration; that changes nothing.
    """
    endless = without(gateway_environment(), _GHOSTS)
    return attrs.evolve(
        endless,
        variables=tuple(_endless(variable, more) for variable in endless.variables),
        actions=tuple(
            attrs.evolve(
                action,
                payload={**action.payload, **({} if action.event is None else _TRIED)},
                updates={name: text for name, text in action.updates.items() if name not in _BUDGETS},
            )
            for action in endless.actions
        ),
    )


def _endless(variable: Variable, more: int) -> Variable:
    if variable.name in _BUDGETS:
        return Variable(variable.name, 1, (1,))
    if variable.members is None and variable.most > 1:
        return attrs.evolve(variable, most=variable.most + more)
    return variable


def make(*, more: int = 0) -> Projection:
    """Explores; some 25 s."""
    return project(table(), environment(more=more), shown=SHOWN)


def digest() -> str:
    """Of all that the projection is made from."""
    machine, around = table(), environment()
    rows = [
        (row.id, row.source, row.event.name, row.guard, row.target, row.updates, [each.name for each in row.effects])
        for row in machine.rows
    ]
    entered = [dict(machine.on_entry(state)) for state in machine.states]
    parts = (rows, machine.variables, dict(machine.guards), dict(machine.updates), dict(machine.rewrites), entered)
    actions = [(each.name, each.guard, dict(each.payload), dict(each.updates)) for each in around.actions]
    whole = repr((parts, around.variables, actions, {name: dict(each) for name, each in around.reactions.items()}))
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def kept() -> str:
    """The text of the file."""
    return resources.files("gatewright.harness.explore").joinpath(FILE).read_text(encoding="utf-8")


@functools.cache
def beliefs() -> Beliefs:
    """What is believed of shipped shards; made once, and shared by all that follow journals."""
    return Beliefs(Projection.read(kept()))


def main() -> int:
    """Writes the file again, unless nothing has changed that it is made from."""
    file, made_from = Path(__file__).with_name(FILE), digest()
    if not (file.is_file() and json.loads(kept())["digest"] == made_from):
        file.write_text(make().text({"made by": REMAKE, "digest": made_from}), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
