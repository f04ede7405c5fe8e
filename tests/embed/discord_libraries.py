"""discord.py and the libraries that descend from it, by the names that they are imported by."""

from __future__ import annotations

import pytest

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
