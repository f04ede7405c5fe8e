"""Shards on asyncio for tests: at a fake gateway in a thread, and what they hear."""

from __future__ import annotations

from functools import partial
from typing import Any

from gatewright.embed.shard import AsyncioShard
from gatewright.spec.session import Metadata
from gatewright.transport.metadata import StaticMetadataSource
from tests.support.shards import INTENTS, TOKEN
from tests.support.threads import Elsewhere


def shard_at(there: Elsewhere, **options: Any) -> AsyncioShard:
    """A shard that connects to a gateway in another thread, without asking for metadata."""
    defaults: dict[str, Any] = {"intents": INTENTS, "metadata": StaticMetadataSource(Metadata(url=there.url))}
    return AsyncioShard(options.pop("token", TOKEN), **{**defaults, **options})


def say(there: Elsewhere, *contents: object, event: str = "MESSAGE_CREATE") -> None:
    """Has the gateway dispatch a message each, or another event with a content."""
    for content in contents:
        there.do(partial(there.fake.dispatch, event, {"content": content}))


async def contents(shard: AsyncioShard, count: int, event: str = "MESSAGE_CREATE") -> list[Any]:
    """The contents of the next `count` messages, or events of another type, without asking for one more."""
    found: list[Any] = []
    while len(found) < count:
        dispatch = await anext(shard)
        if dispatch.type == event:
            found.append(dispatch.data["content"])
    return found
