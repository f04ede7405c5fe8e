"""What ``attach()`` leaves with a client, whatever its library: its shards, and what they share."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

from gatewright.embed.options import EngineOptions
from gatewright.embed.shard import AsyncioShard
from gatewright.embed.sharing import BotEngine
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.session import Metadata
from gatewright.transport.token import Token


class Connection(Protocol):
    """What a library takes for a connection of its own."""

    @property
    def engine(self) -> AsyncioShard:
        """The shard."""
        ...

    @property
    def open(self) -> bool:
        """Whether it was not closed."""
        ...


ConnectionT = TypeVar("ConnectionT", bound=Connection)


class Attachment(Generic[ConnectionT]):
    """What ``attach()`` leaves with a client. It does not keep the client alive."""

    def __init__(self, options: EngineOptions | None, refill: int) -> None:
        self._options = EngineOptions() if options is None else options
        self._refill = refill
        self._shared: BotEngine | None = None
        self._connections: dict[int, ConnectionT] = {}

    @property
    def shards(self) -> Mapping[int, AsyncioShard]:
        """The shards that are there now, by number, for their states, metrics and verbs."""
        return MappingProxyType({number: one.engine for number, one in self._connections.items() if one.open})

    # Any: the libraries' clients have nothing in common but what is used here.
    def _share(self, client: Any, metadata: Callable[[Any], Coroutine[Any, Any, Metadata]]) -> BotEngine:
        """What the client's shards share, from the first to the last of them; `metadata` asks as the library does."""
        if self._shared is None:
            self._shared = BotEngine(Token(client.http.token), lambda: metadata(client), on_unused=self._forget)
        return self._shared

    def _forget(self) -> None:
        self._shared = None


AttachmentT = TypeVar("AttachmentT")


class Attachments(Generic[AttachmentT]):
    """The clients of a library that are attached, for as long as they live."""

    def __init__(self) -> None:
        self._of = weakref.WeakKeyDictionary[object, AttachmentT]()

    def of(self, client: object) -> AttachmentT | None:
        """What was left with this client."""
        return self._of.get(client)

    def add(self, client: object, attachment: AttachmentT) -> AttachmentT:
        """Leaves `attachment` with a client, and returns it.

        Raises:
            ConfigurationError: if there is one already.
        """
        if client in self._of:
            raise ConfigurationError("attach() was called for this client already; call it once, with all options")
        self._of[client] = attachment
        return attachment
