"""How the clients of the demonstration reach their servers: over real sockets on this machine."""

from __future__ import annotations

from typing import Protocol

import httpx2

from gatewright.harness.fake import FakeGateway
from gatewright.harness.naive import FetchMetadata, OpenStream, open_tcp
from gatewright.transport.metadata import HttpMetadataSource
from gatewright.transport.seams import MetadataSource, StreamOpener
from gatewright.transport.streams import TcpStreamOpener
from gatewright.transport.token import Token


class Network(Protocol):
    """What lies between a client and its server. A test may put one here that has neither sockets nor a clock."""

    listens: bool
    """Whether servers open a port."""

    def metadata(self, fake: FakeGateway, token: str) -> MetadataSource:
        """For the engine: where it asks for metadata."""
        ...

    def opener(self, fake: FakeGateway) -> StreamOpener:
        """For the engine: how it opens streams."""
        ...

    def naive_metadata(self, fake: FakeGateway, token: str) -> FetchMetadata:
        """The same for the naive client."""
        ...

    def naive_opener(self, fake: FakeGateway) -> OpenStream:
        """The same for the naive client."""
        ...


class Loopback:
    """HTTP and TCP on this machine. Proxies are left alone: they could not find it."""

    listens = True

    def metadata(self, fake: FakeGateway, token: str) -> MetadataSource:
        """The engine's own source, with a bound that the state's deadline undercuts."""
        return HttpMetadataSource(Token(token), base_url=fake.metadata_url, timeout=60.0)

    def opener(self, fake: FakeGateway) -> StreamOpener:
        """The engine's own opener."""
        return TcpStreamOpener()

    def naive_metadata(self, fake: FakeGateway, token: str) -> FetchMetadata:
        """One request, without any bound, as in the original."""

        async def fetch() -> tuple[int, tuple[tuple[str, str], ...], bytes]:
            async with httpx2.AsyncClient(timeout=None, trust_env=False) as client:
                answer = await client.get(f"{fake.metadata_url}/gateway/bot", headers={"authorization": f"Bot {token}"})
                return answer.status_code, tuple(answer.headers.items()), answer.content

        return fetch

    def naive_opener(self, fake: FakeGateway) -> OpenStream:
        """TCP."""
        return open_tcp
