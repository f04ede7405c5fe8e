"""How every simulated life ends: the shard is ready for good or is over, its user is answered, and nothing is left."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import attrs
import trio
import trio.testing

from gatewright.harness.fake import FakeGateway
from gatewright.harness.sim.network import Network
from gatewright.spec.states import State
from gatewright.transport.errors import ShardFailed, ShardStopped
from gatewright.transport.shard import Shard

HEALED_WITHIN: Final = 2 * 3600.0
"""Virtual seconds after the last fault in which a shard is ready for good, or failed. The longest patience of a shard
is an hour: for a READY that an overloaded server does not send."""
KEPT: Final = 100.0
"""Virtual seconds for which `ready` must last to count: two heartbeats."""
LEFT_WITHIN: Final = 30.0
"""Virtual seconds in which a block is left."""
ENDS: Final = frozenset({State.STOPPED, State.FAILED})

MOST_PASSES: Final = 1_000_000
"""More than any simulation takes; one that never rests would hang otherwise."""

_Violation = Callable[[str], AssertionError]


class Violation(AssertionError):
    """A simulated shard did what it must not. `told` holds the last steps."""

    def __init__(self, what: str, told: tuple[str, ...] = ()) -> None:
        super().__init__(what if not told else what + "\n  " + "\n  ".join(told))
        self.what = what


@attrs.define
class Whole:
    """The bounds of a life: it takes no more than so many passes of the scheduler, and nothing outlasts it."""

    most_passes: int = MOST_PASSES
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    def before_pass(self, number: int) -> None:
        """Called before each pass."""
        if number >= self.most_passes:
            self.scope.cancel()

    async def live(self, life: Callable[[], Awaitable[None]], violation: _Violation) -> None:
        """Lives it.

        Raises:
            AssertionError: made by `violation`; it never rests, or a task or a timer is left.
        """
        tasks = trio.lowlevel.current_statistics().tasks_living
        with self.scope:
            await life()
        if self.scope.cancelled_caught:
            raise violation(f"{self.most_passes} passes were not enough: something never rests")
        await trio.testing.wait_all_tasks_blocked()
        left = trio.lowlevel.current_statistics()
        if left.tasks_living > tasks:
            raise violation(f"{left.tasks_living - tasks} tasks are left")
        if left.seconds_to_next_deadline != math.inf:
            raise violation("a timer is left")


async def until_nobody_is_connected(fake: FakeGateway) -> None:
    """Returns when the server has noticed that all connections are gone: it waits for a while before it believes it."""
    with trio.move_on_after(60.0):
        await fake.log.wait_until(lambda log: not log.open_connections)


class Calls(Protocol):
    """Calls of the user's: how many began, and how many ended."""

    asked: int
    answered: int


class Gate(Protocol):
    """A gate that counts the slots whose holders still owe it an answer."""

    unsettled: int


class Registration(Protocol):
    """A registration that knows whether it is applied."""

    applied: bool


async def recover(shard: Shard, violation: _Violation) -> None:
    """Returns when the shard is ready for good, or over.

    Raises:
        AssertionError: made by `violation`; it is neither within `HEALED_WITHIN`.
    """
    until = trio.current_time() + HEALED_WITHIN
    while shard.state not in ENDS:
        if trio.current_time() > until:
            raise violation(f"{HEALED_WITHIN:g} s after the last fault it is in {shard.state}")
        if shard.state is State.SUSPENDED:
            shard.connect()
        elif shard.state is not State.READY:
            with trio.move_on_at(until + 1.0), contextlib.suppress(ShardFailed, ShardStopped):
                await shard.wait_for(State.READY, State.SUSPENDED, *ENDS)
        else:
            with trio.move_on_after(KEPT) as kept:
                async for _ in shard.transitions():
                    break
            if kept.cancelled_caught:
                return


async def check_answers(calls: Calls, violation: _Violation) -> None:
    """Every call of the user's has ended (I16).

    Raises:
        AssertionError: made by `violation`; some have not, `LEFT_WITHIN` after the block was left.
    """
    with trio.move_on_after(LEFT_WITHIN) as patience:
        while calls.answered < calls.asked:  # noqa: ASYNC110 - nobody tells
            await trio.sleep(1.0)
    if patience.cancelled_caught:
        raise violation(f"I16: {calls.asked - calls.answered} calls of the user's never end")


def check_leaks(
    shard: Shard, network: Network, gate: Gate, registration: Registration, violation: _Violation, *, beside: bool
) -> None:
    """Nothing of the shard is left.

    Args:
        shard: the shard, whose block was left.
        network: what it was connected by.
        gate: what it asked for slots.
        registration: what it registered.
        violation: makes what is raised.
        beside: other connections, such as those for metadata, may have been open beside the websocket.

    Raises:
        AssertionError: made by `violation`; a stream, slot, registration or timer is left, or two sockets were open.
    """
    # `idle`: the block was never entered, because its store was still being read.
    if shard.state not in {State.IDLE, State.SUSPENDED, *ENDS}:
        raise violation(f"I04: the block was left, and the shard is in {shard.state}")
    if network.open:
        raise violation(f"{network.open} streams are left open")
    if gate.unsettled:
        raise violation(f"{gate.unsettled} slots were neither used nor given back")
    if registration.applied:
        raise violation("I14: a registration was not taken back")
    if shard._core.next_deadline() is not None:
        raise violation("I13: a timer of the core is still armed")
    if network.most_open > 1 and not beside:
        raise violation("I01: two sockets were open together")
