"""What a dispatch costs between its bytes and its consumer, in things that can be counted on any machine.

Times are measured by `python -m benchmarks` and asserted nowhere. Here the calls that one dispatch takes, of Python
functions and of C functions, are held below a bound, so that nobody makes the path longer without noticing; and so are
the blocks of memory that it holds while it waits. A bound has slack for other versions of Python. Whoever passes it
measures first, and then moves it, up or down.
"""

from __future__ import annotations

import copy
import gc
import sys
from types import FrameType
from typing import Any, cast

import attrs
import trio

from gatewright.fsm.core import ShardCore
from gatewright.harness.walks import Walk
from gatewright.spec.states import State
from gatewright.transport.acks import Ack
from gatewright.transport.consumer import EventStream
from gatewright.transport.driver import Driver
from gatewright.transport.frames import FrameSplitter, Received
from gatewright.transport.mailbox import Mailbox
from gatewright.transport.queue import Queue
from gatewright.transport.token import Token
from tests.support.frames import TEXT, frame
from tests.support.shards import TOKEN

MOST_CALLS_TO_RECEIVE = 4
MOST_CALLS_TO_TAKE = 4
MOST_CALLS_TO_SHARE = 17
MOST_BLOCKS = 5

MANY = 1000
_UNUSED: Any = None


@attrs.frozen(eq=False)
class Path:
    """All of ours between bytes and a consumer, in state `ready`."""

    driver: Driver
    mailbox: Mailbox
    stream: EventStream

    def receive(self, data: bytes) -> None:
        found: list[Received] = []
        FrameSplitter(1 << 26, encoded=True).feed(data, found)
        assert self.driver.receive(self.driver.core.gen, cast("list[str | bytes]", found), checked=True)

    async def take(self, count: int) -> None:
        async for _ in self.stream:
            count -= 1
            if not count:
                break
        self.stream.move_on()


async def path() -> Path:
    walk = Walk()
    walk.reach(State.READY)
    core = ShardCore()
    core._context = copy.copy(walk.core._context)
    mailbox = Mailbox(Queue(events=10 * MANY))
    driver = Driver(
        core,
        token=Token(TOKEN),
        mailbox=mailbox,
        registrar=_UNUSED,
        metadata=_UNUSED,
        opener=_UNUSED,
        gate=_UNUSED,
        clock=trio.current_time,
        identify=_UNUSED,
        on_step=_UNUSED,
    )
    stream = EventStream(mailbox, failure=lambda: None, types=None, ack=Ack.AUTO)
    at = Path(driver, mailbox, stream)
    at.receive(dispatches(2, MANY))  # the journal's ring is full from here on
    await at.take(MANY)
    return at


def dispatches(first: int, count: int) -> bytes:
    """Frames of `count` dispatches of usual size."""
    form = b'{"t":"MESSAGE_CREATE","s":%d,"op":0,"d":{"id":"80351110224678912","content":"' + b"x" * 350 + b'"}}'
    return b"".join(frame(TEXT, form % seq) for seq in range(first, first + count))


class Calls:
    """Counts the calls that are made in its block."""

    def __init__(self) -> None:
        self.count = 0

    def _profile(self, frame: FrameType, event: str, arg: object) -> None:
        self.count += event in {"call", "c_call"}

    def __enter__(self) -> Calls:
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)


async def test_receiving_a_dispatch_takes_few_calls() -> None:
    at = await path()
    data = dispatches(MANY + 2, MANY)
    with Calls() as calls:
        at.receive(data)
    assert len(at.mailbox) == MANY
    assert 0 < calls.count / MANY <= MOST_CALLS_TO_RECEIVE


async def test_taking_a_dispatch_takes_few_calls() -> None:
    at = await path()
    at.receive(dispatches(MANY + 2, MANY))
    with Calls() as calls:
        await at.take(MANY)
    assert 0 < calls.count / MANY <= MOST_CALLS_TO_TAKE


async def test_taking_a_dispatch_that_is_shared_with_others_takes_few_calls() -> None:
    at = await path()
    at.receive(dispatches(MANY + 2, MANY))
    other = EventStream(at.mailbox, failure=lambda: None, types=None, ack=Ack.AUTO)
    await anext(other)  # has one that is not handled
    with Calls() as calls:
        await at.take(MANY - 1)
    assert 0 < calls.count / MANY <= MOST_CALLS_TO_SHARE


async def test_a_dispatch_that_waits_holds_few_blocks_of_memory() -> None:
    at = await path()
    data = dispatches(MANY + 2, MANY)
    gc.collect()
    before = sys.getallocatedblocks()
    at.receive(data)
    gc.collect()
    held = sys.getallocatedblocks() - before
    assert len(at.mailbox) == MANY
    assert 0 < held / MANY <= MOST_BLOCKS


async def test_a_dispatch_that_was_taken_and_forgotten_holds_none() -> None:
    at = await path()
    data = dispatches(MANY + 2, MANY)
    gc.collect()
    before = sys.getallocatedblocks()
    at.receive(data)
    await at.take(MANY)
    gc.collect()
    assert sys.getallocatedblocks() - before < MANY // 10
