"""A network for the demonstration that has neither sockets nor a clock of its own: everything in memory."""

from __future__ import annotations

import msgspec

from gatewright.harness.fake import FakeGateway
from gatewright.harness.naive import FetchMetadata, OpenStream
from gatewright.spec.session import Metadata
from gatewright.transport.seams import MetadataSource, StreamOpener


class Memory:
    listens = False

    def metadata(self, fake: FakeGateway, token: str) -> MetadataSource:
        return _Source(fake)

    def opener(self, fake: FakeGateway) -> StreamOpener:
        return fake.open_stream

    def naive_metadata(self, fake: FakeGateway, token: str) -> FetchMetadata:
        return fake.metadata

    def naive_opener(self, fake: FakeGateway) -> OpenStream:
        return fake.open_stream


class _Source:
    def __init__(self, fake: FakeGateway) -> None:
        self._fake = fake

    async def fetch(self) -> Metadata:
        answer = await self._fake.metadata()
        assert answer.status == 200
        return Metadata(url=msgspec.json.decode(answer.body, type=dict[str, object])["url"])  # type: ignore[arg-type]  # a string, as the fake answers
