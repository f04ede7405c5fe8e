"""The example of a second machine runs as it stands, and is as short as it says."""

import pytest

from examples.door_lock.__main__ import main
from tests.support.checkout import ROOT


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    told = capsys.readouterr().out
    assert "6 of 6 rows taken: all holds" in told
    assert "D1: the bolt is in while the door is locked" in told
    assert "sequenceDiagram" in told


def test_a_machine_of_ones_own_is_short() -> None:
    lines = sum(
        len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "examples/door_lock").glob("*.py")
    )
    assert lines < 150
