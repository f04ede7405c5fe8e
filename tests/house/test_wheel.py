"""What is published is what is in the tree, and it works away from the tree."""

import configparser
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import attrs
import pytest

import gatewright
from tests.support.checkout import ROOMS, copy_to, files, run, shipped_modules

pytestmark = pytest.mark.slow

# Imports every module of the wheel that is unpacked at argv[1], with the dependencies at argv[2]. It runs with -I and
# -S, so that neither the checkout nor an editable installation of it can lend what the wheel lacks.
IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path[:0] = sys.argv[1:]
import gatewright
names = [found.name for found in pkgutil.walk_packages(gatewright.__path__, "gatewright.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
ours = [module for name, module in sys.modules.items() if name.partition(".")[0] == "gatewright"]
strays = [module.__file__ for module in ours if not module.__file__.startswith(sys.argv[1])]
assert not strays, strays
print(*sorted(["gatewright", *names]))
"""


@attrs.frozen
class Distribution:
    """A wheel and the sdist that it was built from, if it was."""

    wheel: Path
    sdist: Path | None = None

    def names(self) -> set[str]:
        """The files of the wheel, without its metadata."""
        with zipfile.ZipFile(self.wheel) as archive:
            return {name for name in archive.namelist() if ".dist-info/" not in name}

    def metadata(self, name: str) -> str:
        with zipfile.ZipFile(self.wheel) as archive:
            found = next(entry for entry in archive.namelist() if entry.endswith(f".dist-info/{name}"))
            return archive.read(found).decode()


def build(source: Path, *what: str) -> Distribution:
    run(sys.executable, "-m", "build", "--no-isolation", *what, cwd=source)
    products = source / "dist"
    return Distribution(next(products.glob("*.whl")), next(products.glob("*.tar.gz"), None))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    """The sdist of the checkout, and the wheel of that sdist."""
    return build(copy_to(tmp_path_factory.mktemp("published") / "checkout"))


@pytest.fixture(scope="module")
def without_links(tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    """The wheel of a checkout where links are not to be had, as on most Windows machines."""
    return build(copy_to(tmp_path_factory.mktemp("without") / "checkout", links=False), "--wheel")


def data_files() -> Iterator[str]:
    yield "gatewright/py.typed"
    for path in files():
        if path.parts[0] == "diagrams" and (path.suffix == ".html" or path.parts[1] == "generated"):
            yield f"gatewright/{path}"
        if path.parts[:2] == ("harness", "explore") and path.suffix in {".json", ".toml"}:
            yield f"gatewright/{path}"


def test_the_wheel_holds_the_modules_and_the_data_and_nothing_else(published: Distribution) -> None:
    assert published.names() == {*shipped_modules(), *data_files()}


def test_the_wheel_claims_no_other_top_level_name(published: Distribution) -> None:
    assert published.metadata("top_level.txt").split() == ["gatewright"]
    assert {PurePosixPath(name).parts[0] for name in published.names()} == {"gatewright"}


def test_a_checkout_without_links_builds_the_same_wheel(published: Distribution, without_links: Distribution) -> None:
    assert without_links.names() == published.names()


@pytest.mark.parametrize("kind", ["published", "without_links"])
def test_every_module_of_the_wheel_is_imported_outside_of_the_checkout(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    distribution: Distribution = request.getfixturevalue(kind)
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(distribution.wheel) as archive:
        archive.extractall(unpacked)
    dependencies = sysconfig.get_path("purelib")
    printed = run(sys.executable, "-I", "-S", "-c", IMPORT_ALL, unpacked, dependencies, cwd=tmp_path)
    modules = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in shipped_modules()}
    assert set(printed.split()) == modules


def test_the_wheel_has_the_command_and_the_licence(published: Distribution) -> None:
    entries = configparser.ConfigParser()
    entries.read_string(published.metadata("entry_points.txt"))
    assert dict(entries["console_scripts"]) == {"gatewright": "gatewright.cli:main"}
    assert "License-Expression: MIT" in published.metadata("METADATA")
    assert published.metadata("licenses/LICENSE").startswith("MIT License")
    assert f"Version: {gatewright.__version__}\n" in published.metadata("METADATA")


def test_the_sdist_has_what_a_packager_needs_and_no_module_twice(published: Distribution) -> None:
    assert published.sdist is not None
    with tarfile.open(published.sdist) as archive:
        members = {PurePosixPath(*PurePosixPath(name).parts[1:]) for name in archive.getnames()}
    wanted = {path for path in files() if path.parts[0] in {"tests", "docs", "examples"} and path.suffix != ".pyc"}
    assert wanted <= members
    assert PurePosixPath("constraints.txt") in members
    assert not [path for path in members if path.parts[:1] == ("gatewright",) and set(path.parts[1:]) & set(ROOMS)]
