"""Runs a program as it stands, on a machine where Discord is the fake gateway: pointed.py API_URL PROGRAM [ARGUMENT...]

Nothing of the program is changed. What is changed are the addresses that the libraries have built in.
"""

from __future__ import annotations

import runpy
import sys

from gatewright.transport.metadata import HttpMetadataSource


def aim_gatewright(api: str) -> None:
    defaults = HttpMetadataSource.__init__.__kwdefaults__
    assert defaults is not None
    assert "base_url" in defaults
    defaults["base_url"] = api


def aim_hikari(api: str) -> None:
    from hikari import urls
    from hikari.internal import ux

    async def checks_for_no_updates(*_: object) -> None:
        """It would ask a package index."""

    setattr(urls, "REST_API_URL", api)  # noqa: B010 - it is final, for hikari
    setattr(ux, "check_for_updates", checks_for_no_updates)  # noqa: B010


def aim_discordpy(api: str) -> None:
    from discord.http import Route

    Route.BASE = api


def main() -> None:
    api, *sys.argv = sys.argv[1:]
    aim_gatewright(api)
    if "hikari" in sys.argv[0]:
        aim_hikari(api)
    if "discordpy" in sys.argv[0]:
        aim_discordpy(api)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
