"""What the fake gateway demands of its clients, as one value. The defaults are Discord's own figures."""

from __future__ import annotations

import attrs

from gatewright.harness.fake.script import Close, Invalidate
from gatewright.spec.intents import Intents
from gatewright.spec.protocol import (
    API_VERSION,
    DEFAULT_IDENTIFY_TOTAL,
    IDENTIFY_SPACING,
    MAX_PAYLOAD_BYTES,
    SEND_LIMIT,
    SEND_WINDOW,
    CloseCode,
)

_INVALID_PAYLOAD = Close(CloseCode.UNKNOWN_OPCODE, "Invalid payload.")


@attrs.frozen(kw_only=True)
class Rules:
    """Limits and checks; durations are seconds.

    Attributes:
        api_versions: values of ``v`` that are served; another one, or none, is closed with 4012 (P05).
        shards: the shard count that the metadata recommend.
        required_shards: an IDENTIFY for fewer shards is closed with 4011; with 1, one without ``shard`` is fine (P87).
        max_concurrency: identify buckets, ``shard_id % max_concurrency`` (P27).
        identify_spacing: a second IDENTIFY of a bucket within this time is answered with op 9 ``false`` (P27).
        identify_total: IDENTIFYs a day. The one too many ends every session and voids the token (P29).
        allowed_intents: an intent that exists and is not among them is closed with 4014 (P83).
        required_intents: an IDENTIFY that lacks one is closed with 4013. No rule of Discord's: a test's way to insist.
        session_lifetime: how long a session without a socket can be resumed; after that RESUME is closed with 4009.
            Discord says "a few minutes" (A14).
        replay_limit: dispatches kept for a RESUME; one that would need an older one is answered with op 9 ``false``.
        heartbeat_tolerance: heartbeat intervals that may pass without a heartbeat before the connection is closed with
            4000 (P16; Discord does not say how many); ``None``: never.
        close_timeout: how long after our close frame the socket waits for the client's.
        max_payload: largest message of a client in bytes, else 4002 (P54).
        send_limit: messages of a client in `send_window`, else 4008 (P55).
        send_window: see `send_limit`.
        presence_limit: presences of a session in `presence_window`, else 4008; ``None``: any number. Discord names the
            limit (P58) and not what happens beyond it.
        presence_window: see `presence_limit`.
        whole_list_spacing: a second request for a guild's whole member list within this time is answered with the
            dispatch RATE_LIMITED (P63).
        malformed_command: the answer to a command of another shape. The documentation says 4001; op 9 ``false`` has
            been seen as well (P61).
    """

    api_versions: frozenset[int] = frozenset({API_VERSION})
    shards: int = 1
    required_shards: int = 1
    max_concurrency: int = 1
    identify_spacing: float = IDENTIFY_SPACING
    identify_total: int = DEFAULT_IDENTIFY_TOTAL
    allowed_intents: int = int(Intents.all())
    required_intents: int = 0
    session_lifetime: float = 180.0
    replay_limit: int = 10_000
    heartbeat_tolerance: float | None = 2.0
    close_timeout: float = 5.0
    max_payload: int = MAX_PAYLOAD_BYTES
    send_limit: int = SEND_LIMIT
    send_window: float = SEND_WINDOW
    presence_limit: int | None = 5
    presence_window: float = 20.0
    whole_list_spacing: float = 30.0
    malformed_command: Close | Invalidate = _INVALID_PAYLOAD
