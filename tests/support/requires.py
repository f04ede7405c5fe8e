"""Parts of the system that some tests need: skipped with a notice where absent, failed where they were promised.

A test says `@requires("spin")`. Where `spin` is not installed, the test is skipped and the notice says how to get it,
so that a contributor without it sees what was left out. A run that is meant to leave nothing out sets
`GATEWRIGHT_REQUIRE=spin,redis`: there the same absence is a failure, and so is a name that no part has.

The module is a pytest plugin; `tests/conftest.py` loads it.
"""

import importlib.util
import os
import shutil
from collections.abc import Iterable

import attrs
import pytest

VARIABLE = "GATEWRIGHT_REQUIRE"


@attrs.frozen
class Part:
    """Something that Gatewright does not depend on. It is present when one of its `programs` is on PATH."""

    name: str
    programs: tuple[str, ...]
    how: str
    module: str | None = None
    """For a Python package that is optional: what is imported of it, and no program is looked for."""

    def find(self) -> str | None:
        """The path of the first of the programs that is on PATH, or where the package is."""
        if self.module is not None:
            try:
                found = importlib.util.find_spec(self.module)
            except ModuleNotFoundError:  # of a package that holds it
                return None
            return None if found is None else found.origin
        return next((path for program in self.programs if (path := shutil.which(program))), None)


PARTS = {
    part.name: part
    for part in (
        Part("cc", ("cc",), "apt install build-essential"),
        Part("chromium", ("chromium", "chromium-browser", "google-chrome"), "apt install chromium"),
        # py-cord is imported as `discord` too, and stands in its place: of each, a module that the other has not.
        Part("discord.py", (), "pip install 'gatewright[discordpy]'", module="discord.app_commands"),
        Part("disnake", (), "make adapters", module="disnake"),
        Part("graphviz", ("dot",), "apt install graphviz"),
        Part("microsocks", ("microsocks",), "apt install microsocks"),
        Part("hikari", (), "pip install 'gatewright[hikari]'", module="hikari"),
        Part("interactions", (), "make adapters", module="interactions"),
        Part("nextcord", (), "make adapters", module="nextcord"),
        Part("py-cord", (), "make adapters", module="discord.cog"),
        Part("redis", ("redis-server",), "apt install redis-server"),
        Part("spin", ("spin",), "apt install spin"),
        Part("tinyproxy", ("tinyproxy",), "apt install tinyproxy-bin"),
    )
}


def requires(name: str) -> pytest.MarkDecorator:
    """Mark a test (or with `pytestmark`, a module) that needs a part of the system.

    Raises:
        KeyError: if no part has this name.
    """
    return pytest.mark.requires(PARTS[name].name)


def program(name: str) -> str:
    """The path of a part's program, for a test that is marked with `requires(name)`."""
    path = PARTS[name].find()
    assert path is not None, f"a test that uses {name} must be marked: @requires({name!r})"
    return path


def required(value: str) -> frozenset[str]:
    """The names in a value of GATEWRIGHT_REQUIRE.

    Raises:
        ValueError: if no part has one of them, since a promise with a slip of the pen would hold nothing.
    """
    names = frozenset(name.strip() for name in value.split(",") if name.strip())
    if unknown := names - PARTS.keys():
        raise ValueError(
            f"{VARIABLE} names {', '.join(sorted(unknown))}, but the parts are: {', '.join(sorted(PARTS))}"
        )
    return names


def verify(names: Iterable[str], promised: frozenset[str]) -> None:
    """Skip the running test, or fail it if the part was promised, when one of its parts is absent."""
    for name in names:
        part = PARTS[name]
        if part.find() is not None:
            continue
        if name in promised:
            pytest.fail(f"{VARIABLE} promises {name}, which is not here ({part.how})", pytrace=False)
        pytest.skip(f"{name} is not here; to run this test: {part.how}")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a promise that cannot be kept, before any test runs."""
    try:
        required(os.environ.get(VARIABLE, ""))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(tryfirst=True)  # before a fixture starts what is not there
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Look for the parts that a test is marked with."""
    marked = (name for mark in item.iter_markers("requires") for name in mark.args)
    verify(marked, required(os.environ.get(VARIABLE, "")))
