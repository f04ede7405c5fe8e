"""A fake Discord gateway for tests: the protocol by the book, and by script every way of breaking it.

    from gatewright.harness.fake import Close, Connection, Delay, FakeGateway, Withhold

    async with FakeGateway(token="fake.token", script=[Connection(ready=Delay(20)), Connection()]) as fake:
        ...

`script` holds the vocabulary, `rules` the limits, `log` what was seen and done, `server` the gateway itself.
"""

from gatewright.harness.fake.faults import FAULTS, Fault, Faults, Phase
from gatewright.harness.fake.log import (
    Acted,
    Closed,
    CloseFrame,
    Log,
    MetadataAnswered,
    MetadataRequested,
    Opened,
    Received,
    Record,
    Sent,
    Side,
)
from gatewright.harness.fake.metadata import MetadataAnswer
from gatewright.harness.fake.population import Guild, Member, Sound, VoiceChannel, guild, members
from gatewright.harness.fake.rules import Rules
from gatewright.harness.fake.script import (
    After,
    Amend,
    Answer,
    Bomb,
    Close,
    Connection,
    Corrupt,
    Dark,
    Delay,
    Dispatch,
    Drop,
    Forget,
    Fragment,
    Invalidate,
    Raw,
    Reconnect,
    RequestHeartbeat,
    Send,
    Split,
    Withhold,
)
from gatewright.harness.fake.server import FakeGateway
from gatewright.harness.fake.threaded import GatewayThread

__all__ = [
    "FAULTS",
    "Acted",
    "After",
    "Amend",
    "Answer",
    "Bomb",
    "Close",
    "CloseFrame",
    "Closed",
    "Connection",
    "Corrupt",
    "Dark",
    "Delay",
    "Dispatch",
    "Drop",
    "FakeGateway",
    "Fault",
    "Faults",
    "Forget",
    "Fragment",
    "GatewayThread",
    "Guild",
    "Invalidate",
    "Log",
    "Member",
    "MetadataAnswer",
    "MetadataAnswered",
    "MetadataRequested",
    "Opened",
    "Phase",
    "Raw",
    "Received",
    "Reconnect",
    "Record",
    "RequestHeartbeat",
    "Rules",
    "Send",
    "Sent",
    "Side",
    "Sound",
    "Split",
    "VoiceChannel",
    "Withhold",
    "guild",
    "members",
]
