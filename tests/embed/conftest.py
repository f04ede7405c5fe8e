"""What holds for each test in which the engine runs beside asyncio."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from gatewright.embed import sharing


@pytest.fixture(autouse=True)
def gates_remember_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate knows for as long as the process when a token identified; each test has a gateway of its own."""
    monkeypatch.setattr(sharing, "_GATES", {})


@pytest.fixture(autouse=True)
def no_engine_is_left() -> Iterator[None]:
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name == "gatewright"] == []
