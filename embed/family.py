"""The four libraries that descend from discord.py, as far as they differ or are needed here by name."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, Final

import attrs

from gatewright.embed.versions import require
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.events import MetadataError
from gatewright.spec.session import Metadata
from gatewright.transport.errors import FatalClose, MetadataRefused, ShardFailed
from gatewright.transport.proxy import Proxy
from gatewright.transport.seams import MetadataUnavailable

_DISTRIBUTIONS: Final = {
    "discord": "discord.py",
    "pycord": "py-cord",
    "disnake": "disnake",
    "nextcord": "nextcord",
}
"""By the title that a library's package gives itself: discord.py and py-cord are both imported as `discord`."""

_OFFICIAL: Final = "gateway.discord.gg"


# Any: the libraries have no stubs that all four share, and one of them is installed at most.
@attrs.frozen
class Library:
    """One of the four, as it is installed."""

    name: str
    client: ModuleType
    shard: ModuleType
    gateway: ModuleType
    http: ModuleType
    errors: ModuleType

    @classmethod
    def of(cls, client: object) -> Library:
        """The library of a client.

        Raises:
            ConfigurationError: if it is no client of any of them.
            UnsupportedFramework: if its version was not tested.
        """
        for base in type(client).__mro__:
            package, _, module = base.__module__.partition(".")
            if base.__name__ == "Client" and module == "client":
                title = getattr(importlib.import_module(package), "__title__", None)
                if title in _DISTRIBUTIONS:
                    require(_DISTRIBUTIONS[title])
                    modules = ("client", "shard", "gateway", "http", "errors")
                    return cls(_DISTRIBUTIONS[title], *(importlib.import_module(f"{package}.{one}") for one in modules))
        raise ConfigurationError(
            "attach() takes a Client, an AutoShardedClient or a Bot of discord.py, disnake, nextcord or py-cord, "
            f"not {type(client).__name__}"
        )

    def has_identify_hook(self, client: Any) -> bool:
        """Whether the user has a `before_identify_hook`. The library's own only spaces IDENTIFYs, as the gate does."""
        hook = getattr(client.before_identify_hook, "__func__", None)
        return hook is not self.client.Client.before_identify_hook

    async def metadata(self, client: Any) -> Metadata:
        """What ``GET /gateway/bot`` says, by the library's own HTTP client.

        Raises:
            MetadataUnavailable: it says nothing.
        """
        try:
            answer = await client.http.request(self.http.Route("GET", "/gateway/bot"))
        except self.errors.HTTPException as error:
            fatal = error.status in {401, 403}
            kind = MetadataError.FATAL if fatal else MetadataError.TRANSIENT
            raise MetadataUnavailable(kind, f"status {error.status}") from None
        except Exception as error:  # noqa: BLE001 - aiohttp's errors are many, and none of them is the shard's end
            raise MetadataUnavailable(MetadataError.TRANSIENT, type(error).__name__) from None
        return metadata_of(answer, url=self._own_gateway())

    def _own_gateway(self) -> str | None:
        """Where the program sends discord.py instead of to Discord, such as to a proxy for gateways."""
        url = getattr(self.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", None)
        return None if url is None or url.host == _OFFICIAL else str(url)

    def closed(self, shard_id: int | None, code: int) -> Exception:
        """What the library raises when the gateway has closed for good, and it has not been told otherwise."""
        error: Exception = self.errors.ConnectionClosed(_Socket(code), shard_id=shard_id, code=code)
        return error

    def failed(self, failure: ShardFailed, shard_id: int | None) -> Exception:
        """The library's word for the failure of a shard. Of 4014 its client makes `PrivilegedIntentsRequired`."""
        code = failure.failure.code
        if isinstance(failure, FatalClose) and code is not None:
            return self.closed(shard_id, code)
        if isinstance(failure, MetadataRefused):
            return self._error("LoginFailure", str(failure))
        return self.refused(str(failure))

    def refused(self, message: str) -> Exception:
        """What is raised to a caller whose command was not sent."""
        return self._error("ClientException", message)

    def _error(self, name: str, message: str) -> Exception:
        error: Exception = getattr(self.errors, name)(message)
        return error


@attrs.frozen
class _Socket:
    """All that a `ConnectionClosed` asks of the socket that was closed."""

    close_code: int


def metadata_of(answer: Any, *, url: str | None = None) -> Metadata:
    """What an answer to ``GET /gateway/bot`` says, as JSON; `url` in place of its own.

    Raises:
        MetadataUnavailable: it is not what is documented.
    """
    try:
        limit = answer["session_start_limit"]
        return Metadata(
            url=url or answer["url"],
            shards=answer["shards"],
            total=limit["total"],
            remaining=limit["remaining"],
            reset_after=limit["reset_after"] / 1000,
            max_concurrency=limit["max_concurrency"],
        )
    except (KeyError, TypeError):
        raise MetadataUnavailable(MetadataError.MALFORMED, "the answer lacks what is documented") from None


def proxy_of(client: Any) -> Proxy | None:
    """The proxy that a client was given."""
    return None if client.http.proxy is None else proxy_with(client.http.proxy, client.http.proxy_auth)


def proxy_with(url: str, auth: Any) -> Proxy:
    """A proxy with aiohttp's `BasicAuth`, or without any."""
    return Proxy(url) if auth is None else Proxy(url, username=auth.login, password=auth.password)
