"""What a library would put into its websocket, as commands of the engine, which check it."""

from __future__ import annotations

from typing import Any

from gatewright.spec.errors import ConfigurationError
from gatewright.spec.protocol import Opcode
from gatewright.transport.commands import (
    Activity,
    ActivityType,
    RequestChannelInfo,
    RequestGuildMembers,
    RequestSoundboardSounds,
    UpdatePresence,
    UpdateVoiceState,
    UserCommand,
)


# Any: a payload as the libraries make it, from whatever their users gave them.
def command_of(payload: dict[str, Any]) -> UserCommand:
    """The command that a payload is.

    Raises:
        ConfigurationError: for what the gateway would answer by closing the connection, and for what is the engine's
            to send: HEARTBEAT, IDENTIFY, RESUME.
        KeyError: if something is missing.
    """
    op = payload.get("op")
    data: dict[str, Any] = payload.get("d") or {}
    match op:
        case Opcode.PRESENCE_UPDATE:
            return presence_of(data)
        case Opcode.VOICE_STATE_UPDATE:
            return UpdateVoiceState(
                data["guild_id"],
                data["channel_id"],
                self_mute=bool(data.get("self_mute")),
                self_deaf=bool(data.get("self_deaf")),
            )
        case Opcode.REQUEST_GUILD_MEMBERS:
            # A limit means nothing beside ids, and the libraries give one all the same.
            by: dict[str, Any] = (
                {"user_ids": data["user_ids"]}
                if data.get("user_ids")
                else {"query": data.get("query"), "limit": data.get("limit") or 0}
            )
            return RequestGuildMembers(
                data["guild_id"], presences=bool(data.get("presences")), nonce=data.get("nonce"), **by
            )
        case Opcode.REQUEST_SOUNDBOARD_SOUNDS:
            return RequestSoundboardSounds(data["guild_ids"])
        case Opcode.REQUEST_CHANNEL_INFO:
            return RequestChannelInfo(data["guild_id"], data["fields"])
        case _:
            raise ConfigurationError(f"opcode {op!r:.20} is the engine's to send, or not known")


def presence_of(data: dict[str, Any]) -> UpdatePresence:
    """The presence that the data of a PRESENCE_UPDATE are; `since` is in milliseconds there."""
    since = data.get("since")
    return UpdatePresence(
        status=data.get("status") or "online",
        activities=tuple(map(_activity, data.get("activities") or ())),
        since=since / 1000 if since else None,
        afk=bool(data.get("afk")),
    )


def _activity(data: dict[str, Any]) -> Activity:
    return Activity(
        data.get("name") or "", type=ActivityType(data.get("type", 0)), state=data.get("state"), url=data.get("url")
    )
