"""`import gatewright` is light, and its public names are what it says they are."""

import ast
import sys
from importlib import import_module

import pytest

import gatewright
from tests.support.checkout import ROOT, run

EXPORTS = gatewright._EXPORTS

# What a program pays for when it imports something of ours, beyond the interpreter's own start.
LOADED = """
import sys
before = set(sys.modules)
{statement}
print(*sorted(set(sys.modules) - before))
"""


def loaded_by(statement: str) -> set[str]:
    return set(run(sys.executable, "-c", LOADED.format(statement=statement)).split())


def test_importing_the_face_loads_nothing_but_the_face() -> None:
    loaded = loaded_by("import gatewright")
    foreign = {name for name in loaded if name.partition(".")[0] not in sys.stdlib_module_names}
    assert foreign == {"gatewright", "gatewright._version"}
    assert not loaded & {
        "asyncio",
        "email",
        "http",
        "inspect",
        "json",
        "logging",
        "socket",
        "ssl",
        "subprocess",
        "urllib",
    }


def test_a_table_is_read_without_a_network_stack() -> None:
    top = {name.partition(".")[0] for name in loaded_by("from gatewright import State")}
    assert "gatewright" in top
    assert not top & {"asyncio", "httpx2", "hypothesis", "pytest", "rich", "socket", "ssl", "trio", "trio_websocket"}


@pytest.mark.parametrize("name", EXPORTS)
def test_no_public_name_loads_what_is_only_needed_on_use(name: str) -> None:
    loaded = loaded_by(f"from gatewright import {name}")
    top = {module.partition(".")[0] for module in loaded}
    assert not top & {"httpx2", "hypothesis", "pytest", "rich"}
    assert "transitions.extensions" not in loaded


@pytest.mark.parametrize(("name", "module"), EXPORTS.items())
def test_a_public_name_is_the_thing_that_its_room_defines(name: str, module: str) -> None:
    assert getattr(gatewright, name) is getattr(import_module(module), name)


def test_type_checkers_see_the_names_that_run() -> None:
    tree = ast.parse((ROOT / "gatewright" / "__init__.py").read_text(encoding="utf-8"))
    blocks = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.name: node.module for node in imports for alias in node.names}
    assert seen == EXPORTS


def test_the_public_names_are_listed() -> None:
    assert set(gatewright.__all__) == {*EXPORTS, "__version__"}
    assert set(gatewright.__all__) <= set(dir(gatewright))


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'gatewright' has no attribute 'Shart'"):
        _ = gatewright.Shart  # type: ignore[attr-defined]  # that is the point
