"""Inside other programs: the engine thread for asyncio programs and the adapters for hikari and the discord.py family.

This is the only room that may import asyncio, and it may import `gatewright.fleet` and what
is below it.
"""

if __name__ != "gatewright.embed":
    raise ImportError(
        f"'{__name__}' is a room of gatewright and not a package of its own: import gatewright.embed instead",
        name=__name__,
    )

from gatewright.embed.errors import EngineStopped
from gatewright.embed.shard import AsyncioShard
from gatewright.embed.thread import EngineThread

__all__ = ["AsyncioShard", "EngineStopped", "EngineThread"]
