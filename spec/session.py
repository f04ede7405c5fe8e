"""The session: one value, replaced whole and dropped whole (I10, R32)."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Session:
    """What a later connection needs to RESUME.

    `seq` is the sequence that an export was taken at; inside a running shard the received sequence is kept beside the
    session, because it moves with every dispatch. `created` is Unix time in seconds (the only wall-clock value in the
    engine: it has to mean something to another process). `resume_url` is ``None`` when the server gave none that can
    be used; such a session resumes through the main URL (R20).
    """

    id: str
    resume_url: str | None
    seq: int
    shard: int = 0
    shard_count: int = 1
    intents: int = 0
    bot_id: str = ""
    api_version: int = 10
    created: float = 0.0

    def without_url(self) -> Session:
        """The same session, resumed through the main URL from now on (P40)."""
        return attrs.evolve(self, resume_url=None)


@attrs.frozen(kw_only=True)
class Metadata:
    """The answer of ``GET /gateway/bot``.

    `url` is the main websocket URL; `shards` the recommended number of shards; `total`, `remaining` the identify budget
    and `reset_after` seconds (converted from milliseconds) until it is full again; `max_concurrency` the number of
    identify buckets (P01, P27, P30).
    """

    url: str
    shards: int = 1
    total: int = 1000
    remaining: int = 1000
    reset_after: float = 0.0
    max_concurrency: int = 1
