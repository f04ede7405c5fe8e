"""Event loops to run the tests of the bridge on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import pytest
import uvloop

T = TypeVar("T")

LOOPS: Final = ("asyncio", "uvloop")


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes a loop of the kind `name`."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}[name]


def run(main: Coroutine[Any, Any, T], loop: str = "asyncio") -> T:
    """As ``asyncio.run``, in debug mode, on a loop of the kind `loop`."""
    with asyncio.Runner(debug=True, loop_factory=loop_factory(loop)) as runner:
        return runner.run(main)


async def until(condition: Callable[[], object]) -> None:
    """Waits for what tells nobody that it has come."""
    while not condition():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)


on_each_loop = pytest.mark.parametrize("loop", LOOPS)
