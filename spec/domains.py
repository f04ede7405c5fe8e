"""Small finite domains for every field that a guard reads: enough values to take each side of each comparison.

Lint enumerates them to prove that the guards of a cell partition; exploration uses the same values. A field that a
guard reads and that has no domain here is an error of the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gatewright.spec.events import MetadataError, SlotRefusal
from gatewright.spec.protocol import CloseKind
from gatewright.spec.session import Metadata, Session
from gatewright.spec.settings import Settings
from gatewright.spec.states import Cause, Then

_SESSION: Final = Session(id="session", resume_url="wss://resume.example/", seq=1)

DOMAINS: Final[Mapping[str, tuple[object, ...]]] = MappingProxyType(
    {
        "settings": (Settings(), Settings(max_attempts=2), Settings(strict_startup=True)),
        "now": (100.0, 1000.0),
        "cap": (None, 500.0),
        "registered": (False, True),
        "request": (1, 2),
        "metadata": (None, Metadata(url="wss://main.example/")),
        "fallback": (False, True),
        "gen": (1, 2),
        "connect_failures": (0, 1, 2, 3),
        "stalls": (0, 1, 2, 3),
        "session": (None, _SESSION.without_url(), _SESSION),
        "received": (None, 1, 2),
        "been_ready": (False, True),
        "interval": (None, 40.0),
        "acked": (False, True),
        "acked_at": (None, 90.0),
        "proving": (False, True),
        "paused": (False, True),
        "paused_since_beat": (False, True),
        "paused_beats": (0, 3, 4, 5),
        "then": tuple(Then),
        "cause": (None, Cause.GATE, Cause.BUDGET),
        "attempts": (0, 1, 2, 3),
        "event.gen": (1, 2),
        "event.request": (1, 2),
        "event.error": tuple(MetadataError),
        "event.close": tuple(CloseKind),
        "event.resumable": (False, True),
        "event.refusal": tuple(SlotRefusal),
        "event.seq": (1, 2, 3),
    }
)
