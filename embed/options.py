"""What every adapter lets its users say to the engine, beside what their framework says."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict

import attrs

from gatewright.spec.settings import Settings
from gatewright.transport.queue import Queue
from gatewright.transport.seams import IdentifyGate, MetadataSource, Observer, SessionStore, StreamOpener
from gatewright.transport.session_file import FileSessionStore


class EngineOptions(TypedDict, total=False):
    """What may be said to the engine beside what the framework says.

    `sessions` is a folder, in which each shard keeps its session in a file, or a function from a shard's number to its
    :class:`~gatewright.transport.seams.SessionStore`. A bot that is closed with it leaves its sessions open, and one
    that is started with it resumes them. The others are those of :class:`gatewright.Shard`.
    """

    sessions: str | os.PathLike[str] | Callable[[int], SessionStore]
    settings: Settings
    queue: Queue | int
    observers: Sequence[Observer]
    gate: IdentifyGate
    metadata: MetadataSource
    opener: StreamOpener
    watch_loop: bool


def shard_options(options: EngineOptions, *, shard_id: int, shard_count: int) -> dict[str, Any]:
    """The options of one shard, for :class:`~gatewright.embed.shard.AsyncioShard`."""
    given: dict[str, Any] = {**options}
    given["settings"] = attrs.evolve(given.get("settings", Settings()), shard_id=shard_id, shard_count=shard_count)
    sessions = given.pop("sessions", None)
    if sessions is not None:
        file = f"shard-{shard_id}-of-{shard_count}.json"
        given["store"] = sessions(shard_id) if callable(sessions) else FileSessionStore(Path(sessions) / file)
    return given
