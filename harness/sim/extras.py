"""What some simulated lives need that an installation may lack. They are lived without it then, and the run says so."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Final

from gatewright.harness.sim.scenario import Way
from gatewright.spec.errors import ConfigurationError
from gatewright.transport.inflate import Compression, compression

HOW: Final = "pip install 'gatewright[sim]'"

_SOCKS: Final = frozenset({Way.SOCKS, Way.SOCKS_BY_NAME})


def _is_here(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _or_zlib(kind: Compression) -> Compression:
    try:
        return compression(kind)
    except ConfigurationError:
        return Compression.ZLIB_STREAM


def lacking(way: Way) -> str | None:
    """The package that this way needs and that is not installed, if there is one."""
    if way is not Way.MEMORY and not _is_here("trustme"):
        return "trustme"
    if way in _SOCKS and not _is_here("python_socks"):
        return "python-socks"
    return None


COMPRESSIONS: Final = (Compression.ZLIB_STREAM, _or_zlib(Compression.ZSTD_STREAM), Compression.PAYLOAD)
"""What may be drawn; as many, whatever is installed, so that all else of a seed stays the same."""
WAYS: Final = tuple(Way.MEMORY if lacking(way) else way for way in Way if way is not Way.MEMORY)
"""The same of the ways other than in memory."""


def notices() -> Iterator[str]:
    """What is left out, and how to get it; nothing where everything is installed."""
    if COMPRESSIONS[1] is not Compression.ZSTD_STREAM:
        yield f"no library for zstd is here: its lives have zlib instead; {HOW} brings one"
    missing = {way.value: package for way in Way if (package := lacking(way)) is not None}
    for package in dict.fromkeys(missing.values()):
        ways = ", ".join(way for way, needed in missing.items() if needed == package)
        yield f"{package} is not here: no life goes by {ways}, but in memory instead; {HOW} brings it"


def check(way: Way) -> None:
    """Refuses a way for which something is not installed.

    Raises:
        ConfigurationError: it says what, and how to get it.
    """
    package = lacking(way)
    if package is not None:
        raise ConfigurationError(f"a life by way of {way.value} needs {package}: {HOW}")
