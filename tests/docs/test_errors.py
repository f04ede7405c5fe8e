"""docs/errors.md names every error there is, and what each of them is."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator

from gatewright.spec.errors import GatewrightError
from tests.support.checkout import ROOMS, ROOT

PAGE = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|", PAGE, re.MULTILINE))
"""What the page says that each class is."""


def subclasses(of: type[GatewrightError]) -> Iterator[type[GatewrightError]]:
    for found in of.__subclasses__():
        yield found
        yield from subclasses(found)


def errors() -> dict[str, type[GatewrightError]]:
    """Every class of an error that the shipped packages have."""
    for room in ROOMS:
        package = importlib.import_module(f"gatewright.{room}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    return {found.__name__: found for found in subclasses(GatewrightError) if found.__module__.startswith("gatewright")}


def test_the_page_names_every_error_and_no_other() -> None:
    assert sorted(ROWS) == sorted(errors()), "a new error gets a row in docs/errors.md: when, and what to do"


def test_the_page_says_what_each_error_is() -> None:
    bases = {name: ", ".join(f"`{base.__name__}`" for base in found.__bases__) for name, found in errors().items()}
    assert bases == ROWS


def test_every_error_explains_itself() -> None:
    assert [name for name, found in errors().items() if not (found.__doc__ or "").strip()] == []
