"""Bots on discord.py and its family for tests: pointed at a fake gateway, and listened to."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Final

import pytest

from gatewright.embed.discordpy import Attachment, attach
from tests.embed import bots
from tests.support.gates import FreeGate
from tests.support.requires import requires
from tests.support.threads import Elsewhere

KINDS: Final = {"client": "Client", "sharded": "AutoShardedClient", "bot": "Bot", "sharded bot": "AutoShardedBot"}
each_kind = pytest.mark.parametrize("kind", KINDS)
one_and_many = pytest.mark.parametrize("kind", ["client", "sharded"])

each_library = pytest.mark.parametrize(
    "library",
    [
        pytest.param("discord", marks=requires("discord.py"), id="discord.py"),
        pytest.param("disnake", marks=requires("disnake")),
        pytest.param("nextcord", marks=requires("nextcord")),
        pytest.param("discord", marks=requires("py-cord"), id="py-cord"),
    ],
)
"""By the names that they are imported by."""

_EVENTS: Final = ("connect", "ready", "resumed", "disconnect", "message")


class Bot(bots.AnyBot):
    """A client of `library` that is attached, unless a test wants it as it is."""

    def __init__(
        self,
        library: str,
        kind: str = "client",
        *,
        attached: bool = True,
        engine: dict[str, Any] | None = None,
        refill: int = 100,
        **options: Any,
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.package: Any = importlib.import_module(library)
            commands: Any = importlib.import_module(f"{library}.ext.commands")
        make = getattr(self.package, KINDS[kind], None) or partial(getattr(commands, KINDS[kind]), "!")
        defaults: dict[str, Any] = {
            "intents": self.package.Intents.all(),
            "guild_ready_timeout": 0.1,
            "chunk_guilds_at_startup": False,
        }
        if library == "disnake" and kind.endswith("bot"):
            defaults["command_sync_flags"] = commands.CommandSyncFlags.none()  # the API here knows no commands
        super().__init__(make(**{**defaults, **options}))
        self.attachment: Attachment | None = None
        if attached:
            chosen: Any = {"gate": FreeGate(), **(engine or {})}
            self.attachment = attach(self.client, engine=chosen, refill=refill)
        for name in (*_EVENTS, *(f"shard_{name}" for name in _EVENTS)):
            self.listen(name)

    def listen(self, name: str) -> None:
        """Hears events of this name as well."""

        async def hear(*args: Any) -> None:
            self.note(name, args[0] if args else None)

        setattr(self.client, f"on_{name}", hear)

    def contents(self) -> list[str]:
        """The messages."""
        return [what.content for what in self.of("message")]


@contextlib.contextmanager
def pointed(library: str, there: Elsewhere) -> Generator[None]:
    """The API that the library knows is the fake gateway's."""
    with pytest.MonkeyPatch.context() as patch:
        route = importlib.import_module(f"{library}.http").Route
        for name in ("BASE", "API_BASE_URL"):
            patch.setattr(route, name, there.fake.metadata_url, raising=False)
        yield


def play(library: str, main: Callable[[Elsewhere], Coroutine[Any, Any, None]], **options: Any) -> Elsewhere:
    """Runs ``main(there)`` beside a gateway that `library` takes for Discord, and returns that for its log."""
    return bots.play(partial(pointed, library), main, **options)
