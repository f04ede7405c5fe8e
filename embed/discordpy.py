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

import weakref
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, cast

from gatewright.embed.discordws import EngineWebSocket
from gatewright.embed.family import Library
from gatewright.embed.options import EngineOptions
from gatewright.embed.recall import REFILL
from gatewright.embed.shard import AsyncioShard
from gatewright.embed.sharing import BotEngine
from gatewright.spec.errors import ConfigurationError
from gatewright.transport.token import Token

__all__ = ["Attachment", "EngineOptions", "attach"]


class Attachment:
    """What :func:`attach` leaves with a client. It does not keep the client alive."""

    def __init__(self, library: Library, options: EngineOptions, refill: int) -> None:
        self._library = library
        self._options = options
        self._refill = refill
        self._shared: BotEngine | None = None
        self._sockets: dict[int, EngineWebSocket] = {}

    @property
    def shards(self) -> Mapping[int, AsyncioShard]:
        """The shards that are there now, by number, for their states, metrics and verbs."""
        return MappingProxyType({number: socket.engine for number, socket in self._sockets.items() if socket.open})

    async def open(self, client: Any, *, shard_id: int | None, initial: bool) -> EngineWebSocket:
        """Called by the library: a websocket for one of the client's shards."""
        if self._shared is None:
            self._shared = BotEngine(
                Token(client.http.token), lambda: self._library.metadata(client), on_unused=self._forget
            )
        socket = EngineWebSocket(
            client, self._library, self._options, shard_id=shard_id, initial=initial, refill=self._refill
        )
        await socket.start(self._shared)
        self._sockets[socket.engine.shard_id] = socket
        return socket

    def _forget(self) -> None:
        self._shared = None


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
    if client in _ATTACHED:
        raise ConfigurationError("attach() was called for this client already; call it once, with all options")
    for module in (library.client, library.shard):
        _replace(module)
    attachment = Attachment(library, EngineOptions() if engine is None else engine, refill)
    _ATTACHED[client] = attachment
    return attachment


_ATTACHED: Final = weakref.WeakKeyDictionary[object, Attachment]()


def _replace(module: Any) -> None:
    original: type[Any] = module.DiscordWebSocket
    if "from_client" in vars(original) and getattr(original, "gatewright", False):
        return

    async def from_client(cls: type[Any], client: object, **options: Any) -> object:
        attachment = _ATTACHED.get(client)
        if attachment is None:
            # The bound method of the class that was replaced: this one adds nothing to the sockets of others.
            return await original.from_client(client, **options)
        return await attachment.open(client, shard_id=options.get("shard_id"), initial=options.get("initial", False))

    members = {"from_client": classmethod(cast("Any", from_client)), "gatewright": True}
    module.DiscordWebSocket = type(original.__name__, (original,), members)
