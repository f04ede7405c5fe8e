"""How much may wait for a consumer, and what happens when it is too slow."""

from __future__ import annotations

import enum
from typing import Final, Literal, TypeAlias

import attrs

from gatewright.spec.errors import ConfigurationError

DEFAULT_EVENTS: Final = 1000
DEFAULT_BYTES: Final = 64 * 1024 * 1024
"""As much as one message may have; a large bot's guilds come in tens of megabytes when it starts."""


class QueuePolicy(enum.StrEnum):
    """What happens when the queue is full."""

    PAUSE = "pause"
    DROP_OLDEST = "drop_oldest"
    FAIL = "fail"


QueuePolicyName: TypeAlias = Literal["pause", "drop_oldest", "fail"]


def _policy(value: QueuePolicy | QueuePolicyName) -> QueuePolicy:
    try:
        return QueuePolicy(value)
    except ValueError:
        known = ", ".join(map(repr, QueuePolicy))
        raise ConfigurationError(f"there is no queue policy {value!r}; choose one of {known}") from None


def _at_least_one(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{attribute.name} of a queue must be a whole number of at least 1, not {value!r}")


@attrs.frozen(kw_only=True)
class Queue:
    """The bounds of a shard's queue of dispatches.

    Attributes:
        events: how many dispatches may wait.
        bytes: how many bytes of their data, as JSON. One dispatch always fits, whatever its size.
        policy: ``pause`` stops reading until half of the queue is free, so that TCP holds the server back; heartbeats
            go on, and after `Settings.max_paused_beats` of them the connection is left with the session kept.
            ``drop_oldest`` lets the oldest go and counts it (``shard.dropped``); it counts as handled, and is not
            replayed after a restart. ``fail`` ends the shard with ``ConsumerTooSlow``, its session kept.

    Raises:
        ConfigurationError: for a bound below 1, and a policy that there is not.
    """

    events: int = attrs.field(default=DEFAULT_EVENTS, validator=_at_least_one)
    bytes: int = attrs.field(default=DEFAULT_BYTES, validator=_at_least_one)
    policy: QueuePolicy = attrs.field(default=QueuePolicy.PAUSE, converter=_policy)


def queue_of(value: Queue | int) -> Queue:
    """A queue, also from the number of its events alone.

    Raises:
        ConfigurationError: for anything else.
    """
    if isinstance(value, Queue):
        return value
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"queue must be a gatewright.Queue, or a number of at least 1 dispatch, not {value!r}")
    return Queue(events=value)
