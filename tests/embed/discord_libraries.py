"""discord.py and the libraries that descend from it, by the names that they are imported by."""

from __future__ import annotations

from typing import Any

import pytest

from tests.embed.loops import until
from tests.support.requires import requires

each_library = pytest.mark.parametrize(
    "library",
    [
        pytest.param("discord", marks=requires("discord.py"), id="discord.py"),
        pytest.param("disnake", marks=requires("disnake")),
        pytest.param("nextcord", marks=requires("nextcord")),
        pytest.param("discord", marks=requires("py-cord"), id="py-cord"),
    ],
)


async def all_guilds(client: Any) -> None:
    """Waits for the guilds that a busy machine brings later than the client's patience, which is short here."""
    await until(lambda: not any(one.unavailable for one in client.guilds))
