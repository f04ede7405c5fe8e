"""What pyproject.toml lists is what the tree has: a package that is missing there vanishes from the wheel silently."""

from pathlib import PurePosixPath
from typing import Any

import pytest

from tests.support.checkout import ROOMS, ROOT, files, project, shipped_modules


def listing() -> Any:
    return project()["tool"]["setuptools"]


def folder_of(package: str) -> PurePosixPath:
    """Where the checkout has a package: a room lies at the top, and what is inside it lies inside it."""
    room, _, inner = package.removeprefix("gatewright.").partition(".")
    return (
        PurePosixPath("gatewright") if package == "gatewright" else PurePosixPath(room, *filter(None, inner.split(".")))
    )


def test_the_listed_packages_are_the_packages_of_the_tree() -> None:
    in_tree = {name.removesuffix("/__init__.py").replace("/", ".") for name in shipped_modules() if "__init__" in name}
    assert sorted(in_tree) == listing()["packages"]


def test_every_module_lies_in_a_package() -> None:
    folders = {path.parent for path in shipped_modules().values()}
    assert folders == {folder_of(package) for package in listing()["packages"]}


def test_each_room_says_where_it_lies() -> None:
    assert listing()["package-dir"] == {f"gatewright.{room}": room for room in ROOMS}


def test_the_rooms_are_the_top_level_packages() -> None:
    assert {path.parts[0] for path in shipped_modules().values()} == {*ROOMS, "gatewright"}


@pytest.mark.parametrize("room", ROOMS)
def test_the_face_has_a_relative_link_to_each_room(room: str) -> None:
    link = ROOT / "gatewright" / room
    if not link.is_symlink():
        # An sdist has none; git, where it may not make links, writes files that hold their targets.
        assert not link.exists() or link.read_text(encoding="utf-8") == f"../{room}"
        pytest.skip("this checkout has no symbolic links")
    assert link.readlink().as_posix() == f"../{room}"


def test_the_face_has_no_other_link() -> None:
    assert {path.name for path in files() if (ROOT / path).is_symlink()} <= set(ROOMS)
