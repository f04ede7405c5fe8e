"""The acts in words: what happens in each, what to look for, and which promises it keeps."""

from __future__ import annotations

from typing import Final

import attrs


@attrs.frozen(kw_only=True)
class Act:
    """One act. `race` acts show three clients side by side; with `beats` the heartbeats are shown as well."""

    number: int
    title: str
    what: str
    look: str
    promises: tuple[str, ...]
    race: bool = False
    beats: bool = False


RACE: Final = Act(
    number=1,
    title="The race",
    what="GET /gateway/bot gets no answer. After a second, somebody calls connect().",
    look="the naive client sees HELLO on its new socket and is silent for ever; "
    "the engine refuses, waits, and sends one IDENTIFY.",
    promises=("refused", "one-identify", "naive-ready", "naive-stuck"),
    race=True,
)
DISPATCHES: Final = Act(
    number=2,
    title="A live session",
    what="The server dispatches five messages.",
    look="they come out in order; RESUME will ask for what is after the last.",
    promises=("in-order",),
)
DROP: Final = Act(
    number=3,
    title="The socket drops",
    what="The server cuts the socket, and three messages happen while the bot is away.",
    look="RESUME, not IDENTIFY, on the new socket; all three come, in order.",
    promises=("resumed",),
)
INVALID: Final = Act(
    number=4,
    title="The session is gone",
    what="The server sends opcode 9: this session cannot be resumed.",
    look="a wait of 1 to 5 s, metadata (this time they come), IDENTIFY.",
    promises=("fresh",),
)
ZOMBIE: Final = Act(
    number=5,
    title="A zombie",
    what="The server goes dark: the socket stays open, and nothing passes any more.",
    look="a heartbeat without ACK when the next is due; then a RESUME.",
    promises=("zombie",),
    beats=True,
)
FATAL: Final = Act(
    number=6,
    title="A fatal close",
    what="The token is reset: the server closes with 4004.",
    look="failed, with a remedy, and no reconnect: it would happen again.",
    promises=("fatal", "one-socket"),
)

ACTS: Final = (RACE, DISPATCHES, DROP, INVALID, ZOMBIE, FATAL)
