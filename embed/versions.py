"""Which versions of the frameworks an adapter was tested with."""

from __future__ import annotations

from importlib import metadata
from typing import Final

import attrs

from gatewright.spec.errors import GatewrightError


class UnsupportedFramework(GatewrightError, ImportError):
    """A framework is not installed, or in a version that the adapter was not tested with; the message says what to do.

    An adapter uses names that its framework may change in any minor version, so it refuses rather than guesses.
    """


@attrs.frozen
class Support:
    """The minor versions of a framework that CI tests, oldest first, such as ``"2.7"``."""

    distribution: str
    extra: str
    minors: tuple[str, ...]


SUPPORTED: Final = {
    support.distribution: support
    for support in (
        Support("hikari", "hikari", ("2.7",)),
        Support("discord.py", "discordpy", ("2.7",)),
        Support("disnake", "disnake", ("2.12",)),
        Support("nextcord", "nextcord", ("2.6",)),
        Support("py-cord", "py-cord", ("2.8",)),
        Support("discord-py-interactions", "interactions", ("5.16",)),
    )
}


def require(distribution: str) -> str:
    """The installed version of a framework.

    Raises:
        UnsupportedFramework: if it is absent, or not one that was tested.
    """
    support = SUPPORTED[distribution]
    wanted = " or ".join(f"{minor}.*" for minor in support.minors)
    remedy = f"pip install 'gatewright[{support.extra}]'"
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        raise UnsupportedFramework(f"{distribution} is not installed: {remedy}") from None
    if ".".join(version.split(".")[:2]) not in support.minors:
        raise UnsupportedFramework(
            f"this adapter was tested with {distribution} {wanted}, and {version} is installed: {remedy}, or look for "
            "a newer Gatewright"
        )
    return version
