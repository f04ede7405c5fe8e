"""Gatewright: an explicit state-machine engine for the Discord gateway.

Every phase of a connection is a declared state and every move is a row of one table; a call or a message that has no
row raises, is recorded and changes nothing.

    async with Shard(token, intents=Intents.GUILDS) as shard:
        async for event in shard:
            print(event.type)

The names below load their modules on first use (PEP 562), so that `import gatewright` costs next to nothing and a
program that only reads the table never loads a network stack.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from gatewright._version import __version__

if TYPE_CHECKING:
    # What type checkers and editors see. A test compares it with the table below, which is what runs.
    from gatewright.fsm.errors import IllegalTransition
    from gatewright.fsm.journal import Record
    from gatewright.fsm.metrics import Beat, Metrics
    from gatewright.spec.errors import ConfigurationError, GatewrightError
    from gatewright.spec.intents import Intents
    from gatewright.spec.session import Session, SessionInvalid, SessionRefusal, SessionRefused
    from gatewright.spec.settings import Settings
    from gatewright.spec.sharding import least_shard_count, shard_of
    from gatewright.spec.states import State
    from gatewright.transport.answers import (
        ChannelInfo,
        GuildMembers,
        MembersChunk,
        PresenceOutcome,
        VoiceServer,
        VoiceState,
    )
    from gatewright.transport.codec import PayloadTooLarge
    from gatewright.transport.commands import (
        Activity,
        ActivityType,
        RequestChannelInfo,
        RequestGuildMembers,
        RequestSoundboardSounds,
        UpdatePresence,
        UpdateVoiceState,
    )
    from gatewright.transport.consumer import EventStream
    from gatewright.transport.dispatch import Dispatch, UndecodableData
    from gatewright.transport.errors import (
        AnswerTooLarge,
        AttemptsExhausted,
        AuthenticationFailed,
        ConnectionLost,
        ConsumerTooSlow,
        DisallowedIntents,
        FatalClose,
        InvalidApiVersion,
        InvalidIntents,
        InvalidShard,
        MetadataRefused,
        NotReady,
        RegistrationError,
        RequestFailed,
        RequestLost,
        RequestRateLimited,
        RequestSuperseded,
        RequestTimedOut,
        SendRefused,
        ShardFailed,
        ShardingRequired,
        ShardStopped,
        TooManyCommands,
        WaitFailed,
    )
    from gatewright.transport.exchange import CommandLimits
    from gatewright.transport.gate import InMemoryIdentifyGate
    from gatewright.transport.mailbox import ConsumerBusy
    from gatewright.transport.proxy import Proxy as Proxy
    from gatewright.transport.queue import Queue
    from gatewright.transport.registrar import Registrar
    from gatewright.transport.session_file import FileSessionStore
    from gatewright.transport.shard import Shard

_EXPORTS = {
    "Activity": "gatewright.transport.commands",
    "ActivityType": "gatewright.transport.commands",
    "AnswerTooLarge": "gatewright.transport.errors",
    "AttemptsExhausted": "gatewright.transport.errors",
    "AuthenticationFailed": "gatewright.transport.errors",
    "Beat": "gatewright.fsm.metrics",
    "ChannelInfo": "gatewright.transport.answers",
    "CommandLimits": "gatewright.transport.exchange",
    "ConfigurationError": "gatewright.spec.errors",
    "ConnectionLost": "gatewright.transport.errors",
    "ConsumerBusy": "gatewright.transport.mailbox",
    "ConsumerTooSlow": "gatewright.transport.errors",
    "DisallowedIntents": "gatewright.transport.errors",
    "Dispatch": "gatewright.transport.dispatch",
    "EventStream": "gatewright.transport.consumer",
    "FatalClose": "gatewright.transport.errors",
    "FileSessionStore": "gatewright.transport.session_file",
    "GatewrightError": "gatewright.spec.errors",
    "GuildMembers": "gatewright.transport.answers",
    "IllegalTransition": "gatewright.fsm.errors",
    "InMemoryIdentifyGate": "gatewright.transport.gate",
    "Intents": "gatewright.spec.intents",
    "InvalidApiVersion": "gatewright.transport.errors",
    "InvalidIntents": "gatewright.transport.errors",
    "InvalidShard": "gatewright.transport.errors",
    "MembersChunk": "gatewright.transport.answers",
    "MetadataRefused": "gatewright.transport.errors",
    "Metrics": "gatewright.fsm.metrics",
    "NotReady": "gatewright.transport.errors",
    "PayloadTooLarge": "gatewright.transport.codec",
    "Proxy": "gatewright.transport.proxy",
    "PresenceOutcome": "gatewright.transport.answers",
    "Queue": "gatewright.transport.queue",
    "Record": "gatewright.fsm.journal",
    "Registrar": "gatewright.transport.registrar",
    "RegistrationError": "gatewright.transport.errors",
    "RequestChannelInfo": "gatewright.transport.commands",
    "RequestFailed": "gatewright.transport.errors",
    "RequestGuildMembers": "gatewright.transport.commands",
    "RequestLost": "gatewright.transport.errors",
    "RequestRateLimited": "gatewright.transport.errors",
    "RequestSoundboardSounds": "gatewright.transport.commands",
    "RequestSuperseded": "gatewright.transport.errors",
    "RequestTimedOut": "gatewright.transport.errors",
    "SendRefused": "gatewright.transport.errors",
    "Session": "gatewright.spec.session",
    "SessionInvalid": "gatewright.spec.session",
    "SessionRefusal": "gatewright.spec.session",
    "SessionRefused": "gatewright.spec.session",
    "Settings": "gatewright.spec.settings",
    "Shard": "gatewright.transport.shard",
    "ShardFailed": "gatewright.transport.errors",
    "ShardStopped": "gatewright.transport.errors",
    "ShardingRequired": "gatewright.transport.errors",
    "State": "gatewright.spec.states",
    "TooManyCommands": "gatewright.transport.errors",
    "UndecodableData": "gatewright.transport.dispatch",
    "UpdatePresence": "gatewright.transport.commands",
    "UpdateVoiceState": "gatewright.transport.commands",
    "VoiceServer": "gatewright.transport.answers",
    "VoiceState": "gatewright.transport.answers",
    "WaitFailed": "gatewright.transport.errors",
    "least_shard_count": "gatewright.spec.sharding",
    "shard_of": "gatewright.spec.sharding",
}

__all__ = [
    "Activity",
    "ActivityType",
    "AnswerTooLarge",
    "AttemptsExhausted",
    "AuthenticationFailed",
    "Beat",
    "ChannelInfo",
    "CommandLimits",
    "ConfigurationError",
    "ConnectionLost",
    "ConsumerBusy",
    "ConsumerTooSlow",
    "DisallowedIntents",
    "Dispatch",
    "EventStream",
    "FatalClose",
    "FileSessionStore",
    "GatewrightError",
    "GuildMembers",
    "IllegalTransition",
    "InMemoryIdentifyGate",
    "Intents",
    "InvalidApiVersion",
    "InvalidIntents",
    "InvalidShard",
    "MembersChunk",
    "MetadataRefused",
    "Metrics",
    "NotReady",
    "PayloadTooLarge",
    "PresenceOutcome",
    "Proxy",
    "Queue",
    "Record",
    "Registrar",
    "RegistrationError",
    "RequestChannelInfo",
    "RequestFailed",
    "RequestGuildMembers",
    "RequestLost",
    "RequestRateLimited",
    "RequestSoundboardSounds",
    "RequestSuperseded",
    "RequestTimedOut",
    "SendRefused",
    "Session",
    "SessionInvalid",
    "SessionRefusal",
    "SessionRefused",
    "Settings",
    "Shard",
    "ShardFailed",
    "ShardStopped",
    "ShardingRequired",
    "State",
    "TooManyCommands",
    "UndecodableData",
    "UpdatePresence",
    "UpdateVoiceState",
    "VoiceServer",
    "VoiceState",
    "WaitFailed",
    "__version__",
    "least_shard_count",
    "shard_of",
]


if not TYPE_CHECKING:  # else every misspelt name would pass as an object

    def __getattr__(name: str) -> object:
        """Load a public name from the room that holds it, once."""
        try:
            module = _EXPORTS[name]
        except KeyError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
        value = getattr(import_module(module), name)
        globals()[name] = value  # the next access finds it without coming here
        return value


def __dir__() -> list[str]:
    """The public names, whether or not they were loaded yet."""
    return sorted({*globals(), *__all__})
