"""The gateway intents that Discord documents, as one flag. Source: GW › List of Intents (P83)."""

from __future__ import annotations

import enum


class Intents(enum.IntFlag):
    """Which dispatches a session receives. Bits that Discord does not document are left out: they risk 4013."""

    GUILDS = 1 << 0
    GUILD_MEMBERS = 1 << 1
    GUILD_MODERATION = 1 << 2
    GUILD_EXPRESSIONS = 1 << 3
    GUILD_INTEGRATIONS = 1 << 4
    GUILD_WEBHOOKS = 1 << 5
    GUILD_INVITES = 1 << 6
    GUILD_VOICE_STATES = 1 << 7
    GUILD_PRESENCES = 1 << 8
    GUILD_MESSAGES = 1 << 9
    GUILD_MESSAGE_REACTIONS = 1 << 10
    GUILD_MESSAGE_TYPING = 1 << 11
    DIRECT_MESSAGES = 1 << 12
    DIRECT_MESSAGE_REACTIONS = 1 << 13
    DIRECT_MESSAGE_TYPING = 1 << 14
    MESSAGE_CONTENT = 1 << 15
    GUILD_SCHEDULED_EVENTS = 1 << 16
    AUTO_MODERATION_CONFIGURATION = 1 << 20
    AUTO_MODERATION_EXECUTION = 1 << 21
    GUILD_MESSAGE_POLLS = 1 << 24
    DIRECT_MESSAGE_POLLS = 1 << 25

    @classmethod
    def none(cls) -> Intents:
        """No intents: a valid value, and not the same as leaving the field out (P24)."""
        return cls(0)

    @classmethod
    def all(cls) -> Intents:
        """Every documented intent, the privileged ones included."""
        return cls(53_608_447)

    @classmethod
    def privileged(cls) -> Intents:
        """The intents that must be enabled for the application in the Developer Portal (P84)."""
        return cls.GUILD_MEMBERS | cls.GUILD_PRESENCES | cls.MESSAGE_CONTENT

    @classmethod
    def unprivileged(cls) -> Intents:
        """Every documented intent that needs no approval."""
        return cls.all() & ~cls.privileged()
