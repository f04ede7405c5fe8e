"""Splitting frames: whatever comes and however it is cut, the outcome is that of wsproto, which parses everything."""

import pytest
from hypothesis import example, given
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from gatewright.transport.frames import FrameSplitter, Received
from gatewright.transport.inflate import TooLarge
from tests.support.frames import BINARY, CLOSE, CONTINUATION, PING, TEXT, cut, frame, places, streams

LIMIT = 1 << 26


class Reference:
    """wsproto's own reading of a stream, message by message."""

    def __init__(self) -> None:
        self.protocol = Connection(ConnectionType.CLIENT)
        self.messages: list[str | bytes] = []
        self.controls: list[tuple[str, bytes]] = []
        self.close: int | None = None
        self._parts: list[str] | list[bytes] = []

    def feed(self, data: bytes) -> None:
        if self.close is None:
            self.protocol.receive_data(data)
            for event in self.protocol.events():
                self._take(event)

    def _take(self, event: object) -> None:
        match event:
            case TextMessage(data=data) | BytesMessage(data=data):
                self._parts.append(data)  # type: ignore[arg-type]
                if event.message_finished:
                    self.messages.append(type(data)().join(self._parts))  # type: ignore[arg-type]
                    self._parts = []
            case Ping(payload=payload) | Pong(payload=payload):
                self.controls.append((type(event).__name__, bytes(payload)))
            case CloseConnection(code=code):
                self.close = int(code)
            case _:
                raise AssertionError(event)


class Tapped:
    """The same reading with the splitter in front."""

    def __init__(self, limit: int = LIMIT, *, encoded: bool = False) -> None:
        self.splitter = FrameSplitter(limit, encoded=encoded)
        self.behind = Reference()
        self.found: list[Received] = []

    def feed(self, data: bytes) -> None:
        self.behind.feed(self.splitter.feed(data, self.found))


def read(data: bytes, limit: int = LIMIT) -> Tapped:
    tapped = Tapped(limit)
    tapped.feed(data)
    return tapped


@given(data=streams, places=places)
@example(frame(TEXT, b"a") + frame(CLOSE, b"\x0f\xa0bye") + frame(TEXT, b"late"), [])
@example(frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), [])
@example(frame(TEXT, "é".encode()[:1], fin=False) + frame(PING) + frame(CONTINUATION, "é".encode()[1:]), [])
def test_the_outcome_is_that_of_the_full_parser(data: bytes, places: list[int]) -> None:
    reference, tapped = Reference(), Tapped()
    for piece in cut(data, places):
        reference.feed(piece)
        tapped.feed(piece)
        assert tapped.behind.messages == []
        assert tapped.found == reference.messages
        assert tapped.behind.controls == reference.controls
    if reference.close == 1007 and tapped.behind.close is None:
        # It looks into a text before that is whole; the splitter when it is, and here it never was.
        assert tapped.splitter._parts
        return
    if reference.close is None and tapped.behind.close == 1002:
        reference.feed(b"x")  # it wants to see the first byte of a frame that must not be there
    assert tapped.behind.close == reference.close


@given(data=streams, places=places)
def test_pieces_change_nothing(data: bytes, places: list[int]) -> None:
    whole, pieces = read(data), Tapped()
    for piece in cut(data, places):
        pieces.feed(piece)
    assert (pieces.found, pieces.behind.controls, pieces.behind.close) == (
        whole.found,
        whole.behind.controls,
        whole.behind.close,
    )


def encoded(found: list[Received]) -> list[bytes | TooLarge]:
    return [message.encode() if isinstance(message, str) else message for message in found]


@given(data=streams, places=places)
@example(frame(TEXT, b"a" * 130) + frame(TEXT, "é".encode() * 70) + frame(TEXT, b"\xff" * 130) + frame(TEXT, b"b"), [])
@example(frame(TEXT, b"a") + frame(TEXT, b"\xc3") + frame(TEXT, b"\xa9"), [])
@example(frame(TEXT, b"a") + frame(BINARY, b"\xff") + frame(TEXT, b"b"), [2])
def test_texts_that_are_left_encoded_are_the_same_texts(data: bytes, places: list[int]) -> None:
    texts, left = Tapped(), Tapped(encoded=True)
    for piece in cut(data, places):
        texts.feed(piece)
        left.feed(piece)
        assert encoded(left.found) == encoded(texts.found)
        assert (left.behind.controls, left.behind.close) == (texts.behind.controls, texts.behind.close)
        assert left.splitter.over == texts.splitter.over
        assert left.splitter.binary == texts.splitter.binary
        if not left.splitter.binary:  # then what is found as bytes is UTF-8
            assert not any(isinstance(message, bytes) for message in texts.found)
            b"\n".join(message for message in left.found if isinstance(message, bytes)).decode()


@pytest.mark.parametrize("text", [b"a", b"a" * 125, b"a" * 126, b"a" * 65_535, b"a" * 65_536, "é€𝄞".encode() * 99])
def test_a_text_in_one_frame_is_left_as_it_is(text: bytes) -> None:
    tapped = Tapped(encoded=True)
    tapped.feed(frame(TEXT, text))
    assert tapped.found == [text]
    assert isinstance(tapped.found[0], bytes)


def test_a_stream_may_be_cut_at_every_place() -> None:
    data = b"".join(
        [
            frame(TEXT, "aä€𝄞".encode()),
            frame(BINARY, b"x" * 200),
            frame(TEXT, b"b", fin=False) + frame(PING, b"?") + frame(CONTINUATION, "ä".encode(), fin=True),
            frame(BINARY, b""),
            frame(BINARY, b"y" * 70_000)[:300],
        ]
    )
    whole = read(data)
    assert whole.found == ["aä€𝄞", b"x" * 200, "bä", b""]
    for place in range(1, len(data)):
        pieces = Tapped()
        for piece in cut(data, [place]):
            pieces.feed(piece)
        assert (pieces.found, pieces.behind.controls) == (whole.found, whole.behind.controls)


def test_a_stream_may_come_byte_by_byte() -> None:
    data = frame(TEXT, b"a" * 130, fin=False) + frame(PING, b"?") + frame(CONTINUATION, b"b") + frame(CLOSE)
    pieces = Tapped()
    for byte in data:
        pieces.feed(bytes([byte]))
    assert (pieces.found, pieces.behind.controls, pieces.behind.close) == (["a" * 130 + "b"], [("Ping", b"?")], 1005)


@pytest.mark.parametrize("piece", [1 << 10, 1 << 16])
def test_a_large_message_in_small_pieces_is_joined_once(piece: int) -> None:
    data = frame(BINARY, bytes(range(256)) * (1 << 14))
    tapped = Tapped()
    for start in range(0, len(data), piece):
        tapped.feed(data[start : start + piece])
    assert tapped.found == [bytes(range(256)) * (1 << 14)]


# -- what is malformed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"a", masked=True), 1002),
        (frame(TEXT, b"a" * 200, masked=True), 1002),
        (frame(TEXT, b"a", rsv=4), 1002),
        (frame(BINARY, b"a", rsv=1), 1002),
        (frame(0x3, b"a"), 1002),
        (frame(0xF, b"a"), 1002),
        (frame(TEXT, b"a", width=2), 1002),
        (frame(TEXT, b"a" * 200, width=8), 1002),
        (b"\x82\x7f\xff" + bytes(7), 1002),
        (frame(PING, b"a" * 126), 1002),
        (frame(PING, fin=False), 1002),
        (frame(CONTINUATION, b"a"), 1002),
        (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
        (frame(TEXT, b"a", fin=False) + frame(BINARY, b"b", fin=False), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, b"\x03\xed"), 1002),
        (frame(CLOSE, b"\x0f\xa0\xff"), 1007),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"\xc3", fin=False) + frame(CONTINUATION, b"\x28"), 1007),
        (frame(TEXT, b"\xed\xa0\x80"), 1007),
    ],
)
def test_what_is_malformed_ends_the_reading(data: bytes, code: int) -> None:
    reference, tapped = Reference(), Tapped()
    for reader in (reference, tapped):
        reader.feed(frame(TEXT, b"before") + data + frame(TEXT, b"behind"))
    assert (reference.close, reference.messages) == (code, ["before"])
    assert (tapped.behind.close, tapped.found) == (code, ["before"])
    assert tapped.splitter.over


# -- close frames ------------------------------------------------------------------------------------------------------


def test_nothing_is_a_message_after_a_close() -> None:
    tapped = read(frame(TEXT, b"a") + frame(CLOSE, b"\x0f\xa0") + frame(TEXT, b"b"))
    tapped.feed(frame(TEXT, b"c"))
    assert (tapped.found, tapped.behind.close) == (["a"], 4000)


@pytest.mark.parametrize("fin", [True, False])
def test_after_our_close_messages_are_thrown_away_and_control_frames_pass(fin: bool) -> None:
    tapped = read(frame(TEXT, b"a") + frame(TEXT, b"b" * 300)[:10])
    tapped.splitter.void()
    tapped.feed(frame(TEXT, b"b" * 300)[10:])
    tapped.feed(frame(BINARY, b"c" * 100_000, fin=fin)[:5])
    tapped.feed(frame(BINARY, b"c" * 100_000, fin=fin)[5:] + (b"" if fin else frame(CONTINUATION, b"d")))
    tapped.feed(frame(PING, b"?") + frame(CLOSE, b"\x03\xe8"))
    assert (tapped.found, tapped.behind.controls, tapped.behind.close) == (["a"], [("Ping", b"?")], 1000)


# -- size --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [99, 100])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_may_be_as_large_as_the_limit(opcode: int, size: int) -> None:
    assert len(read(frame(opcode, b"x" * size), limit=100).found) == 1
    parts = frame(opcode, b"x" * (size - 9), fin=False) + frame(CONTINUATION, b"x" * 9)
    assert [len(message) for message in read(parts, limit=100).found if not isinstance(message, TooLarge)] == [size]


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, b"x" * 101),
        frame(BINARY, b"x" * 70_000),
        frame(BINARY, b"x" * 60, fin=False) + frame(CONTINUATION, b"x" * 41),
        frame(BINARY, b"x" * 101, fin=False) + frame(CONTINUATION, b"x", fin=False) + frame(CONTINUATION),
    ],
)
@pytest.mark.parametrize("piece", [1, 7, 100_000])
def test_one_that_is_larger_is_named_and_skipped_and_the_frames_behind_it_keep_their_sense(
    data: bytes, piece: int
) -> None:
    tapped = Tapped(limit=100)
    for part in cut(
        frame(TEXT, b"before") + data + frame(TEXT, b"behind") + frame(PING, b"?") + frame(CLOSE, b"\x03\xe8"),
        range(0, 80_000, piece),
    ):
        tapped.feed(part)
    before, fault = tapped.found
    assert (before, type(fault), str(fault)) == ("before", TooLarge, "a message has more than 100 bytes")
    assert (tapped.behind.controls, tapped.behind.close) == ([("Ping", b"?")], 1000)


def test_a_length_beyond_all_memory_is_too_large_as_soon_as_it_is_read() -> None:
    tapped = read(b"\x82\x7f\x7f" + b"\xff" * 7)
    assert [type(fault) for fault in tapped.found] == [TooLarge]
    tapped.feed(b"x" * 100_000)
    assert tapped.splitter._parts == []
