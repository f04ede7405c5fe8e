"""Frames of a server, good and bad, as bytes; and ways to cut a stream of them into pieces."""

import itertools
from collections.abc import Sequence

from hypothesis import strategies as st

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x2, 0x0, 0x8, 0x9, 0xA


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = False, width: int | None = None
) -> bytes:
    """One frame. `width` is how many bytes the length takes (0, 2 or 8); by default as few as it can."""
    size = len(payload)
    if width is None:
        width = 0 if size < 126 else 2 if size <= 0xFFFF else 8
    short = {0: size, 2: 126, 8: 127}[width]
    head = bytes([fin << 7 | rsv << 4 | opcode, masked << 7 | short]) + (size.to_bytes(width) if width else b"")
    return head + (bytes(4) if masked else b"") + payload


def utf8(text: str) -> bytes:
    """As a server writes it."""
    return text.encode()


def of_x(size: int) -> bytes:
    """A payload of this size."""
    return b"x" * size


def close_payload(code: int, reason: bytes) -> bytes:
    """The payload of a close frame."""
    return code.to_bytes(2) + reason


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """`data` in pieces, cut at `places`."""
    marks = sorted({0, len(data), *(place for place in places if place < len(data))})
    return [data[start:stop] for start, stop in itertools.pairwise(marks)]


payloads = st.one_of(
    st.text(max_size=12).map(utf8),
    st.binary(max_size=12),
    # Around the places where a length needs more bytes.
    st.builds(of_x, st.sampled_from([125, 126, 127, 200, 65535, 65536])),
)

closes = st.builds(
    close_payload,
    st.sampled_from([0, 999, 1000, 1001, 1004, 1005, 1006, 1009, 1012, 1015, 2000, 3000, 4000, 4004, 4999, 5000]),
    st.text(max_size=8).map(utf8) | st.binary(max_size=8),
)

messages = st.builds(frame, st.sampled_from([TEXT, BINARY]), payloads)
fragments = st.builds(frame, st.sampled_from([TEXT, BINARY, CONTINUATION, CONTINUATION]), payloads, fin=st.booleans())
controls = st.builds(frame, st.sampled_from([PING, PONG]), st.binary(max_size=125))
odd = st.builds(
    frame,
    st.integers(0, 15),
    payloads,
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 1, 2, 4]),
    masked=st.booleans(),
    width=st.sampled_from([None, 8]),
)
ends = st.builds(frame, st.just(CLOSE), closes | st.binary(max_size=3))


@st.composite
def split_texts(draw: st.DrawFn) -> bytes:
    """A message in fragments, with control frames between them; its text is cut without regard to characters."""
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    body = draw(st.text(min_size=1, max_size=10)).encode()
    parts = cut(body, draw(st.lists(st.integers(1, 20), max_size=3)))
    data = b""
    for number, part in enumerate(parts):
        data += frame(opcode if number == 0 else CONTINUATION, part, fin=number == len(parts) - 1)
        data += draw(st.just(b"") | controls)
    return data


streams = st.lists(st.one_of(messages, split_texts(), controls, fragments, odd, ends), max_size=8).map(b"".join)
"""What a server may send after its 101, in any order, right and wrong."""

places = st.lists(st.integers(1, 400), max_size=12)
