"""What a library is told when a session is older than the process that resumes it.

No READY comes then, and with it none of what fills the caches. Discord's REST API knows most of it: this is READY and
GUILD_CREATE again, made from that. What only the gateway tells is missing: presences, who is in which voice channel,
and all members but the bot itself; they come when they change, or are asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final, Protocol

from gatewright.spec.sharding import shard_of

REFILL: Final = 100
"""Guilds that one shard asks REST for. It takes four requests each, of the fifty a second that a bot has."""

_PAGE: Final = 200
_AT_ONCE: Final = 10
_LARGE: Final = 250


# Any: a route is what the library makes, and an answer is JSON.
class Routes(Protocol):
    """Makes a library's route, as the class of that name in each of them does."""

    def __call__(self, method: str, path: str, /, **names: Any) -> Any:
        """The route of `path`, with `names` filled in."""
        ...


class Recall:
    """Asks REST by the client's own means, for the guilds of one shard.

    Args:
        client: has the library's HTTP client as ``http``.
        route: the library's class ``Route``.
        most: guilds that are asked for; a shard that has more knows them by their ids alone.
    """

    def __init__(self, client: Any, route: Routes, *, shard_id: int, shard_count: int, most: int) -> None:
        self._client = client
        self._route = route
        self._shard = (shard_id, shard_count)
        self._most = most

    async def ready(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The data of READY, and of a GUILD_CREATE for each guild.

        Raises:
            Exception: whatever the library raises when REST does not answer.
        """
        me = await self._get("/users/@me")
        application = await self._get("/oauth2/applications/@me")
        ids = [guild_id async for guild_id in self._guild_ids()]
        guilds: list[dict[str, Any]] = []
        if len(ids) <= self._most:
            turn = asyncio.Semaphore(_AT_ONCE)
            guilds = [*await asyncio.gather(*(self._guild(guild_id, me, turn) for guild_id in ids))]
        ready = {
            "user": me,
            "application": {"id": application["id"], "flags": application.get("flags", 0)},
            "guilds": [{"id": guild_id, "unavailable": True} for guild_id in ids],
            "shard": [*self._shard],
        }
        return ready, guilds

    async def _guild_ids(self) -> AsyncIterator[str]:
        number, count = self._shard
        last = "0"
        while True:
            page = await self._get("/users/@me/guilds", limit=_PAGE, after=last)
            for guild in page:
                if shard_of(guild["id"], count) == number:
                    yield guild["id"]
            if len(page) < _PAGE:
                return
            last = page[-1]["id"]

    async def _guild(self, guild_id: str, me: dict[str, Any], turn: asyncio.Semaphore) -> dict[str, Any]:
        async with turn:
            guild = await self._get("/guilds/{guild_id}", {"guild_id": guild_id}, with_counts="true")
            channels = await self._get("/guilds/{guild_id}/channels", {"guild_id": guild_id})
            threads = await self._get("/guilds/{guild_id}/threads/active", {"guild_id": guild_id})
            member = await self._get(
                "/guilds/{guild_id}/members/{member_id}", {"guild_id": guild_id, "member_id": me["id"]}
            )
        members = guild.get("approximate_member_count", 1)
        return {
            **guild,
            "unavailable": False,
            "joined_at": member.get("joined_at"),
            "member_count": members,
            "large": members >= _LARGE,
            "members": [member],
            "channels": channels,
            "threads": threads["threads"],
            "presences": [],
            "voice_states": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
            "soundboard_sounds": [],
        }

    async def _get(self, path: str, names: dict[str, str] | None = None, **query: object) -> Any:
        return await self._client.http.request(self._route("GET", path, **(names or {})), params=query)
