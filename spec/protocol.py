"""Numbers and names of the Discord gateway, API v10: opcodes, close codes, limits. Data only.

Source: ids P.. of :mod:`gatewright.spec.references`; the close code actions are protocol section 3.1 (P51, F34).
"""

from __future__ import annotations

import enum
from typing import Final

API_VERSION: Final = 10
"""The version sent as ``v`` in every connection's query string (P05)."""

FALLBACK_URL: Final = "wss://gateway.discord.gg/"
"""Where to connect when the metadata end point does not answer and nothing is cached (F05)."""

MAX_PAYLOAD_BYTES: Final = 4096
"""Largest payload that the server accepts from a client, in bytes of UTF-8 (P54)."""

MAX_SESSION_ID: Final = 512
"""Characters. A longer session id could not be sent back in a RESUME of 4096 bytes, so it is no session id."""

SEND_LIMIT: Final = 120
SEND_WINDOW: Final = 60.0
"""At most :data:`SEND_LIMIT` payloads in :data:`SEND_WINDOW` seconds on one connection, heartbeats included (P55)."""

IDENTIFY_SPACING: Final = 5.0
"""Seconds between two IDENTIFYs of one bucket, ``shard_id % max_concurrency`` (P27)."""

DAY: Final = 86_400.0
"""Seconds over which the identify budget is counted (P29)."""

DEFAULT_IDENTIFY_TOTAL: Final = 1000
"""IDENTIFYs a day that a bot has when the server has not told otherwise (P29)."""


class Opcode(enum.IntEnum):
    """Gateway opcodes; directions in the comments. Source: OP › Gateway Opcodes."""

    DISPATCH = 0  # received
    HEARTBEAT = 1  # both ways
    IDENTIFY = 2  # sent
    PRESENCE_UPDATE = 3  # sent
    VOICE_STATE_UPDATE = 4  # sent
    RESUME = 6  # sent
    RECONNECT = 7  # received
    REQUEST_GUILD_MEMBERS = 8  # sent
    INVALID_SESSION = 9  # received
    HELLO = 10  # received
    HEARTBEAT_ACK = 11  # received
    REQUEST_SOUNDBOARD_SOUNDS = 31  # sent
    REQUEST_CHANNEL_INFO = 43  # sent


class CloseCode(enum.IntEnum):
    """Close codes that the gateway documents, and one that it once sent. Source: OP › Gateway Close Event Codes."""

    UNKNOWN_ERROR = 4000
    UNKNOWN_OPCODE = 4001
    DECODE_ERROR = 4002
    NOT_AUTHENTICATED = 4003
    AUTHENTICATION_FAILED = 4004
    ALREADY_AUTHENTICATED = 4005
    SESSION_NO_LONGER_VALID = 4006  # removed from the documentation, still treated as it was meant
    INVALID_SEQ = 4007
    RATE_LIMITED = 4008
    SESSION_TIMED_OUT = 4009
    INVALID_SHARD = 4010
    SHARDING_REQUIRED = 4011
    INVALID_API_VERSION = 4012
    INVALID_INTENTS = 4013
    DISALLOWED_INTENTS = 4014


class CloseKind(enum.StrEnum):
    """What a close by the peer asks of the client."""

    RESUMABLE = "resumable"  # the session survives: RESUME, at once the first time
    RATE_LIMITED = "rate_limited"  # the session survives; wait for the rest of the send window
    NEW_SESSION = "new_session"  # the session is gone: IDENTIFY
    FATAL = "fatal"  # never reconnect


_KINDS: Final[dict[int, CloseKind]] = {
    CloseCode.NOT_AUTHENTICATED: CloseKind.NEW_SESSION,
    CloseCode.AUTHENTICATION_FAILED: CloseKind.FATAL,
    CloseCode.SESSION_NO_LONGER_VALID: CloseKind.NEW_SESSION,
    CloseCode.INVALID_SEQ: CloseKind.NEW_SESSION,
    CloseCode.RATE_LIMITED: CloseKind.RATE_LIMITED,
    CloseCode.SESSION_TIMED_OUT: CloseKind.NEW_SESSION,
    CloseCode.INVALID_SHARD: CloseKind.FATAL,
    CloseCode.SHARDING_REQUIRED: CloseKind.FATAL,
    CloseCode.INVALID_API_VERSION: CloseKind.FATAL,
    CloseCode.INVALID_INTENTS: CloseKind.FATAL,
    CloseCode.DISALLOWED_INTENTS: CloseKind.FATAL,
}

FATAL_CLOSE_CODES: Final = frozenset(code for code, kind in _KINDS.items() if kind is CloseKind.FATAL)
"""4004 and 4010 to 4014 (P51)."""


def close_kind(code: int | None) -> CloseKind:
    """What a close with `code` asks of the client; ``None`` is a drop without a close frame (1005, 1006).

    Codes that the documentation does not name resume: a refused RESUME costs one round trip and no identify budget.
    Source: protocol section 3.1, P34, P51, A05, A06.
    """
    return CloseKind.RESUMABLE if code is None else _KINDS.get(code, CloseKind.RESUMABLE)


KEEP_SESSION_CODE: Final = 4900
"""Sent by us when we leave a socket but want the session back; any code but 1000 and 1001 keeps it (P50, A03)."""

END_SESSION_CODE: Final = 1000
"""Sent by us when the session is meant to die; the bot shows as offline at once (P49)."""
