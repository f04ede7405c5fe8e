"""A room is a part of gatewright: `import spec` from a checkout must not quietly make a second copy of it."""

import sys

import pytest

from tests.support.checkout import ROOMS, ROOT, attempt, run


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_refuses_its_bare_name_and_says_the_right_one(room: str) -> None:
    status, output = attempt(sys.executable, "-c", f"import {room}", cwd=ROOT)
    assert status == 1
    assert output.splitlines()[-1].startswith("ImportError: ")
    assert f"import gatewright.{room} instead" in output


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_imported_by_its_full_name(room: str) -> None:
    assert run(sys.executable, "-c", f"import gatewright.{room} as r; print(r.__name__)") == f"gatewright.{room}\n"
