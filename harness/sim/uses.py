"""What else a program does with a shard: looks at all of a dispatch, asks from several tasks at once, asks again."""

from __future__ import annotations

import contextlib
import copy
import pickle
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import trio

from gatewright.spec.errors import GatewrightError
from gatewright.transport.dispatch import Dispatch
from gatewright.transport.proxy import Proxy
from gatewright.transport.push import Sink
from gatewright.transport.shard import Shard
from gatewright.transport.token import Token

_BRIEFLY: Final = 0.5
"""Seconds for which somebody tries to take dispatches beside the consumer."""
_PATIENCE: Final = 20.0
"""Seconds for which somebody waits or watches: less than the time in which every call has to end."""


def examine(dispatch: Dispatch) -> None:
    """Looks at everything that there is of a dispatch; what cannot be decoded is refused as declared."""
    text = bytes(dispatch.view)
    assert text == dispatch.raw
    assert len(text) == dispatch.size
    with contextlib.suppress(GatewrightError):
        str(dispatch.data)
    with contextlib.suppress(GatewrightError):
        str(dispatch.typed())
    str(dispatch)
    for _ in range(2):  # once is enough, and twice does no harm (I17)
        dispatch.ack()


async def rivals(shard: Shard, sink: Sink, hold: Callable[[Dispatch], None]) -> None:
    """Others want dispatches too: one gets none, or some, and no other way to take them is open meanwhile.

    Args:
        shard: whose dispatches.
        sink: where one of them has them pushed.
        hold: is given what the others take.
    """
    for take in (
        lambda: shard.push(sink),
        lambda: shard.push(sink, {"MESSAGE_CREATE"}),
        lambda: anext(shard),
        lambda: anext(shard.events({"TYPING_START"})),
        lambda: _beside(shard, sink, hold),
    ):
        await _briefly(cast("Callable[[], Awaitable[object]]", take), hold)


async def _beside(shard: Shard, sink: Sink, hold: Callable[[Dispatch], None]) -> None:
    """Two streams of some types, of different ones, and what is pushed beside them."""
    stream = shard.events({"TYPING_START"})
    async with trio.open_nursery() as nursery:
        for take in (
            lambda: anext(stream), lambda: anext(stream), lambda: anext(shard.events({"OTHER"})),
            lambda: shard.push(sink), lambda: anext(shard.events()),
        ):  # fmt: skip
            nursery.start_soon(_briefly, take, hold)
    stream.close()
    await _briefly(lambda: anext(stream), hold)


async def _briefly(take: Callable[[], Awaitable[object]], hold: Callable[[Dispatch], None]) -> None:
    with trio.move_on_after(_BRIEFLY), contextlib.suppress(GatewrightError, StopAsyncIteration, SinkBroke):
        taken = await take()
        if isinstance(taken, Dispatch):
            hold(taken)


class FailingSink:
    """A sink that breaks at its first burst.

    Args:
        hold: is given what was in it.
    """

    def __init__(self, hold: Callable[[Dispatch], None]) -> None:
        self._hold = hold

    def take(self, dispatches: list[Dispatch]) -> bool:
        """See :class:`~gatewright.transport.push.Sink`."""
        for dispatch in dispatches:
            self._hold(dispatch)
        raise SinkBroke(f"{len(dispatches)} dispatches were too many")

    async def room(self) -> None:
        """See :class:`~gatewright.transport.push.Sink`."""
        await trio.lowlevel.checkpoint()


class SinkBroke(Exception):
    """What a program's sink raises."""


async def until_it_is_back(shard: Shard) -> None:
    """Waits for `ready`, and no longer than the first attempt."""
    with trio.move_on_after(_PATIENCE):
        await shard.wait_for("ready", fail_on=("backing_off", "suspended"))


async def only_watch(shard: Shard) -> None:
    """Watches the states, and is slow at it."""
    with trio.move_on_after(_PATIENCE):
        async for _ in shard.transitions():
            await trio.sleep(5.0)


def keep_secrets(token: Token, proxy: Proxy) -> None:
    """Secrets compare, copy, hash and print, and neither show what they hold nor can be written into a file."""
    for secret, hidden in ((token, token.reveal()), (proxy, str(proxy.reveal_credentials()))):
        other = cast("Any", secret)
        assert other == other
        assert other != hidden
        assert len({other, other}) == 1
        assert hidden not in f"{other} {other!r}"
        with contextlib.suppress(TypeError):
            raise AssertionError(pickle.dumps(other))
    assert copy.copy(token) == copy.deepcopy(token) == token
