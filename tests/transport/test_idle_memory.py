"""What an idle shard does not keep. How much it takes in all is measured: `python -m benchmarks memory`."""

import gc
import weakref

import trio.testing
from trio.testing import MockClock
from trio_websocket import WebSocketConnection
from wsproto import ConnectionType, WSConnection
from wsproto.handshake import H11Handshake

from gatewright.spec.protocol import Opcode
from gatewright.transport.connection import _forget_handshake
from gatewright.transport.limiter import SendLimiter
from gatewright.transport.outbox import Outbox, Outgoing
from gatewright.transport.shard import Shard
from tests.support.shards import gateway, shard_on


async def test_the_libraries_keep_what_the_upgrade_needed_where_it_is_let_go_of() -> None:
    """Else everything works, and each connection takes 2 KiB more; adapt `_forget_handshake`."""
    stream, _ = trio.testing.memory_stream_pair()
    websocket = WebSocketConnection(
        stream,
        WSConnection(ConnectionType.CLIENT),
        host="gateway.invalid",
        path="/",
    )
    handshake = websocket._wsproto.handshake
    assert isinstance(handshake, H11Handshake)
    assert vars(handshake)["_h11_connection"] is not None
    _forget_handshake(websocket)
    assert vars(handshake)["_h11_connection"] is None
    assert list(handshake.events()) == []


async def test_the_upgrade_and_what_was_sent_last_are_not_kept(autojump_clock: MockClock) -> None:
    def living(kind: type[object]) -> int:
        gc.collect()
        return sum(isinstance(found, kind) for found in gc.get_objects())

    async with gateway() as fake:
        before = living(Outgoing)
        async with shard_on(fake) as shard:
            await shard.wait_for("ready")
            await trio.testing.wait_all_tasks_blocked()
            assert living(Outgoing) == before
            outgoing = Outgoing(Opcode.HEARTBEAT, b"")  # the control: one would be found
            assert living(type(outgoing)) == before + 1


async def test_a_watcher_that_is_forgotten_is_gone(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        moves = shard.transitions()
        forgotten = weakref.ref(moves)
        assert shard._watching() == [moves]
        del moves
        gc.collect()
        assert forgotten() is None
        assert shard._watchers == []


def test_a_shard_and_its_queues_have_no_dictionary() -> None:
    assert not hasattr(Outbox(SendLimiter(lambda: 0.0), wake=lambda: None), "__dict__")
    assert "__dict__" not in {name for kind in Shard.__mro__ for name in getattr(kind, "__slots__", ())}
    assert not any("__dict__" in vars(kind) for kind in Shard.__mro__ if kind is not object)
