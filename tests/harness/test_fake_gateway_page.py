"""The page about the fake gateway says what is so: its example runs, and its tables name every step and action."""

from __future__ import annotations

import functools
import re

import attrs
import msgspec
import pytest
import trio

from gatewright.harness.fake import Connection, script
from gatewright.harness.fake.scriptfile import parse
from tests.support.checkout import ROOT
from tests.support.threads import PATIENCE

PAGE = (ROOT / "docs" / "fake-gateway.md").read_text(encoding="utf-8")


@pytest.mark.sockets
async def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    mains: list[functools.partial[object]] = []
    monkeypatch.setattr(trio, "run", mains.append)
    exec(compile(example, "fake-gateway.md", "exec"), {})
    with trio.fail_after(PATIENCE):
        await mains[0]()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    assert "event='READY'" in capsys.readouterr().out


def test_the_table_has_every_step_in_order() -> None:
    steps = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", PAGE, re.MULTILINE)
    assert steps == [field.name for field in attrs.fields(Connection)]


def test_the_table_has_every_action() -> None:
    named = set(re.findall(r"\b([A-Z][A-Za-z]+)\(", PAGE))
    words = {
        name for name, kind in vars(script).items() if isinstance(kind, type) and kind.__module__ == script.__name__
    }
    assert words - {"Playlist"} <= named


def test_the_script_on_disk_is_one() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    found = parse(msgspec.json.decode(example))
    assert (found.guilds, len(found.connections), len(found.metadata)) == (2, 6, 2)
