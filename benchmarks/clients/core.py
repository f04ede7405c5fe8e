"""What one step of the core costs, without a network: a dispatch in `ready`, and any other transition."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.task import Task
from gatewright.fsm.core import ShardCore, shipped_compiled
from gatewright.spec.events import (
    HeartbeatAcked,
    HeartbeatDue,
    Hello,
    MetadataFetched,
    Opened,
    Ready,
    Register,
    Registered,
    SlotGranted,
)
from gatewright.spec.states import State

_DISPATCHES = 200_000
_BEATS = 20_000
_URL = "wss://gateway.discord.gg/"


def ready_core() -> ShardCore:
    core = ShardCore()
    for event in (
        Register(None),
        Registered(),
        MetadataFetched(1, _URL, 1, 1000, 1000, 0.0, 1),
        Opened(1),
        Hello(1, 41.25),
        SlotGranted(1),
        Ready(1, 1, "session", _URL),
    ):
        core.feed(event, 0.0)
    assert core.state is State.READY
    return core


def dispatches() -> Callable[[], None]:
    core = ready_core()
    feed = core.feed_dispatch

    def run() -> None:
        for seq in range(2, _DISPATCHES + 2):
            feed(1, seq, "MESSAGE_CREATE", 1.0)

    return run


def rows() -> Callable[[], None]:
    core = ready_core()
    step, context = shipped_compiled().step_dispatch, core._context

    def run() -> None:
        for seq in range(2, _DISPATCHES + 2):
            step(context, 1, seq, "MESSAGE_CREATE")

    return run


def transitions() -> Callable[[], None]:
    """Heartbeats and their acknowledgements: they happen in every state with a connection."""
    core = ready_core()

    def run() -> None:
        due, ack = HeartbeatDue(), HeartbeatAcked(1)
        for number in range(_BEATS // 2):
            core.feed(due, float(number))
            core.feed(ack, float(number))

    return run


def main(task: Task) -> dict[str, float]:
    run, steps = {
        "row": (rows, _DISPATCHES),
        "dispatch": (dispatches, _DISPATCHES),
        "transition": (transitions, _BEATS),
    }[task.scenario]
    work = run()
    work()  # warm
    began = time.process_time()
    work()
    return {"us": (time.process_time() - began) / steps * 1e6}
