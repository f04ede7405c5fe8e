"""discord.py and its family on the engine: a client whose shards are ours, and everything else is the library's own.

::

    import gatewright.embed.discordpy

    gatewright.embed.discordpy.attach(bot)  # before bot.run()

Handlers, cache, REST, voice and commands stay as they are. What changes: a handler that blocks stops no heartbeat, each
phase of a connection is a declared state (``bot.ws.engine.state``), and IDENTIFYs share one gate and one budget.

One name of the library is replaced: the class `DiscordWebSocket` that its client and its shards make their websockets
from. For a client that is attached it makes the engine's; for every other it is what it was. The same serves
discord.py, disnake, nextcord and py-cord.
"""

from __future__ import annotations

from typing import Any, Final, cast

from gatewright.embed import attaching
from gatewright.embed.discordws import EngineWebSocket
from gatewright.embed.family import Library
from gatewright.embed.options import EngineOptions
from gatewright.embed.recall import REFILL

__all__ = ["Attachment", "EngineOptions", "attach"]


class Attachment(attaching.Attachment[EngineWebSocket]):
    """What :func:`attach` leaves with a client. It does not keep the client alive."""

    def __init__(self, library: Library, options: EngineOptions | None, refill: int) -> None:
        super().__init__(options, refill)
        self._library = library

    async def open(self, client: Any, *, shard_id: int | None, initial: bool) -> EngineWebSocket:
        """Called by the library: a websocket for one of the client's shards."""
        shared = self._share(client, self._library.metadata)
        socket = EngineWebSocket(
            client, self._library, self._options, shard_id=shard_id, initial=initial, refill=self._refill
        )
        await socket.start(shared)
        self._connections[socket.engine.shard_id] = socket
        return socket


def attach(client: object, *, engine: EngineOptions | None = None, refill: int = REFILL) -> Attachment:
    """Has `client` make its connections with the engine. Call it once, before the client connects.

    Args:
        client: a ``Client``, an ``AutoShardedClient`` or a ``Bot`` of discord.py, disnake, nextcord or py-cord.
        engine: what the engine is told beside what the client says: where sessions are kept, deadlines, bounds.
        refill: for how many guilds a shard that resumes a stored session asks the REST API, so that the library's
            cache is what it would be after a start (:mod:`gatewright.embed.recall`).

    Raises:
        ConfigurationError: for anything else, and for a client that is attached already.
        UnsupportedFramework: for a version of the library that was not tested; the message says what to do.
    """
    library = Library.of(client)
    attachment = _ATTACHED.add(client, Attachment(library, engine, refill))
    for module in (library.client, library.shard):
        _replace(module)
    return attachment


_ATTACHED: Final = attaching.Attachments[Attachment]()


def _replace(module: Any) -> None:
    original: type[Any] = module.DiscordWebSocket
    if "from_client" in vars(original) and getattr(original, "gatewright", False):
        return

    async def from_client(cls: type[Any], client: object, **options: Any) -> object:
        attachment = _ATTACHED.of(client)
        if attachment is None:
            # The bound method of the class that was replaced: this one adds nothing to the sockets of others.
            return await original.from_client(client, **options)
        return await attachment.open(client, shard_id=options.get("shard_id"), initial=options.get("initial", False))

    members = {"from_client": classmethod(cast("Any", from_client)), "gatewright": True}
    module.DiscordWebSocket = type(original.__name__, (original,), members)
