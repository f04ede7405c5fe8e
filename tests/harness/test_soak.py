"""A short soak; `make soak-dispatches` has the long one."""

import mmap
import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio

from gatewright.harness import soak as soaking
from gatewright.harness.memory import MIB, resident
from gatewright.harness.soak import FLAT, Soaked, soak
from tests.support.threads import PATIENCE

pytestmark = pytest.mark.sockets

DISPATCHES = 200_000
DROPS = 5


@pytest.mark.slow
def test_every_sequence_comes_once_and_in_order_across_resumes_and_memory_is_flat(
    record_property: Callable[[str, object], None],
) -> None:
    result = soak(DISPATCHES, drops=DROPS)
    assert (result.dispatches, result.resumes) == (DISPATCHES, DROPS)
    if resident() is not None:
        assert result.drift is not None
        assert result.drift <= FLAT
    record_property("figure", str(result))


class Forgetful(soaking._Gateway):
    """The control: after a reset, the first of the missed dispatches is not replayed."""

    async def _command(
        self, command: dict[str, Any], stream: trio.SocketStream, lock: trio.Lock, nursery: trio.Nursery
    ) -> None:
        if command["op"] == 6:
            command["d"]["seq"] += 1
        await super()._command(command, stream, lock, nursery)


class Port:
    """Takes the port out of the gateway's thread."""

    def __init__(self) -> None:
        self.port: queue.Queue[int] = queue.Queue()

    def send(self, port: int) -> None:
        self.port.put(port)


def test_a_dispatch_that_is_missing_is_found() -> None:
    pipe = Port()
    started: queue.Queue[tuple[trio.lowlevel.TrioToken, trio.CancelScope]] = queue.Queue()

    async def serve() -> None:
        with trio.CancelScope() as scope:
            started.put((trio.lowlevel.current_trio_token(), scope))
            await Forgetful(iter([10_000]), 20_000).serve(pipe)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] # sends the same

    thread = threading.Thread(target=trio.run, args=(serve,), daemon=True)
    thread.start()
    try:
        with pytest.raises(AssertionError, match=r"\d+ came where \d+ was due"):
            trio.run(soaking._soak, pipe.port.get(timeout=PATIENCE), 20_000)
    finally:
        token, scope = started.get(timeout=PATIENCE)
        token.run_sync_soon(scope.cancel)
        thread.join(timeout=PATIENCE)


def test_memory_that_grows_or_shrinks_is_not_flat() -> None:
    assert Soaked(1, 1.0, 0, warm=50.0, lowest=49.0, highest=58.0).drift == 8.0
    assert Soaked(1, 1.0, 0, warm=50.0, lowest=40.0, highest=51.0).drift == 10.0
    assert Soaked(1, 1.0, 0, warm=None, lowest=None, highest=None).drift is None


def test_memory_that_is_held_is_seen() -> None:
    before = resident()
    if before is None:
        pytest.skip("nobody says here how much memory a process has")
    # Pages that are new to the process: an allocation may come out of what it had before.
    with mmap.mmap(-1, 20 * 1024 * 1024) as held:
        held.write(b"x" * len(held))
        after = resident()
        assert after is not None
        assert len(held) / MIB * 0.9 < after - before
