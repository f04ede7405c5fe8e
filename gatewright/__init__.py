"""Gatewright: an explicit state-machine engine for the Discord gateway.

Every phase of a connection is a declared state and every move is a row of one table; a call or a message that has no
row raises, is recorded and changes nothing.

    async with Shard(token, intents=Intents.GUILDS) as shard:
        async for event in shard:
            print(event.type)

The names below load their modules on first use (PEP 562), so that `import gatewright` costs next to nothing and a
program that only reads the table never loads a network stack.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from gatewright._version import __version__

if TYPE_CHECKING:
    # What type checkers and editors see. A test compares it with the table below, which is what runs.
    from gatewright.fsm.errors import IllegalTransition
    from gatewright.spec.intents import Intents
    from gatewright.spec.session import Session
    from gatewright.spec.states import State
    from gatewright.transport.commands import UpdatePresence
    from gatewright.transport.shard import Shard

_EXPORTS = {
    "IllegalTransition": "gatewright.fsm.errors",
    "Intents": "gatewright.spec.intents",
    "Session": "gatewright.spec.session",
    "Shard": "gatewright.transport.shard",
    "State": "gatewright.spec.states",
    "UpdatePresence": "gatewright.transport.commands",
}

__all__ = [
    "IllegalTransition",
    "Intents",
    "Session",
    "Shard",
    "State",
    "UpdatePresence",
    "__version__",
]


if not TYPE_CHECKING:  # else every misspelt name would pass as an object

    def __getattr__(name: str) -> object:
        """Load a public name from the room that holds it, once."""
        try:
            module = _EXPORTS[name]
        except KeyError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
        value = getattr(import_module(module), name)
        globals()[name] = value  # the next access finds it without coming here
        return value


def __dir__() -> list[str]:
    """The public names, whether or not they were loaded yet."""
    return sorted({*globals(), *__all__})
