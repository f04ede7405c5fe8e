"""The grammar draws what a gateway may send, and what it must not; the same die draws the same."""

from collections import Counter
from random import Random

import pytest
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, TextMessage

from gatewright.harness.fuzz import BytesRandom, FrameGrammar
from gatewright.harness.fuzz.grammar import frame
from gatewright.spec.events import ProtocolViolation, UnknownMessage
from gatewright.transport import codec


def test_the_same_die_draws_the_same_frames() -> None:
    def draw(seed: int) -> list[bytes]:
        grammar = FrameGrammar(Random(seed))
        return [grammar.frames(grammar.message()) + grammar.control() for _ in range(200)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_every_kind_of_message_comes_up_and_most_are_by_the_book() -> None:
    grammar = FrameGrammar(Random(1))
    decoded = [codec.decode(grammar.message(), gen=1, wall_clock=lambda: 0.0)[0] for _ in range(2000)]
    kinds = Counter(type(event).__name__ for event in decoded)
    assert kinds.keys() == {
        "Dispatched",
        "HeartbeatAcked",
        "HeartbeatRequested",
        "Hello",
        "ProtocolViolation",
        "Ready",
        "ReconnectRequested",
        "Resumed",
        "SessionInvalidated",
        "UnknownMessage",
    }
    violations = {event.violation for event in decoded if isinstance(event, ProtocolViolation)}
    assert len(violations) == 3  # those of the decoder: what is no JSON, no envelope, no payload
    assert len({event.op for event in decoded if isinstance(event, UnknownMessage)}) > 10
    assert kinds["ProtocolViolation"] < len(decoded) / 3


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
@pytest.mark.parametrize("opcode", [1, 2])
def test_a_frame_by_the_book_is_read_by_others(opcode: int, size: int) -> None:
    peer = Connection(ConnectionType.CLIENT)
    peer.receive_data(frame(opcode, b"x" * size))
    (event,) = peer.events()
    assert isinstance(event, TextMessage if opcode == 1 else BytesMessage)
    assert len(event.data) == size


def test_bytes_are_a_die_and_when_they_end_it_goes_on() -> None:
    die = BytesRandom(b"\x01\x02\x03\x04")
    assert [die.getrandbits(8) for _ in range(3)] == [1, 2, 3]
    assert die.random() == 4 / 65536
    assert len({die.getrandbits(32) for _ in range(10)}) == 10
    assert [BytesRandom(b"").getrandbits(32)] == [BytesRandom(b"").getrandbits(32)]
