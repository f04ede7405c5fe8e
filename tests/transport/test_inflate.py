"""Inflating: whatever a server compresses comes out as it was, and whatever else it sends has one of two names."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gatewright.spec.errors import ConfigurationError
from gatewright.spec.events import ViolationKind
from gatewright.transport.inflate import (
    MAX_MESSAGE_BYTES,
    PIECE,
    STEP,
    Compression,
    CompressionName,
    CorruptCompression,
    InflateError,
    Inflater,
    TooLarge,
    compression,
    inflate_many,
    inflater,
)
from tests.support.compression import ALL, COMPRESSED, PAYLOAD, STREAMS, ZLIB, ZSTD_LIBRARY, deflater, needs_zstd
from tests.support.conforms import conforms

FLUSHED = b"\x00\x00\xff\xff"
MIB = 1024 * 1024


def feed_all(inflating: Inflater, frames: Sequence[bytes]) -> list[str | bytes]:
    return [whole for frame in frames if (whole := inflating.feed(frame)) is not None]


# -- what was compressed comes out -------------------------------------------------------------------------------------


@ALL
@given(messages=st.lists(st.binary(min_size=1), max_size=8), level=st.integers(0, 9))
@conforms("P74", "P75", "P76")
def test_messages_come_out_as_they_went_in(kind: Compression, messages: list[bytes], level: int) -> None:
    deflate = deflater(kind, level)
    assert feed_all(inflater(kind), [deflate(message) for message in messages]) == messages


@COMPRESSED
@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, STEP - 1, STEP, STEP + 1, 2 * STEP, 3 * STEP + 7])
def test_a_large_message_comes_out_as_it_went_in(kind: Compression, size: int, noise: bool) -> None:
    message = random.Random(size).randbytes(size) if noise else bytes(size)
    deflate, inflating = deflater(kind), inflater(kind)
    assert inflating.feed(deflate(message)) == message
    assert inflating.feed(deflate(b"and the next")) == b"and the next"


@given(messages=st.lists(st.binary(min_size=1), min_size=1, max_size=5), level=st.integers(0, 9), data=st.data())
@conforms("P75")
def test_a_zlib_stream_gives_the_same_messages_however_it_is_cut_into_frames(
    messages: list[bytes], level: int, data: st.DataObject
) -> None:
    deflate, inflating = deflater(ZLIB, level), inflater(ZLIB)
    for message in messages:
        compressed = deflate(message)
        cuts = data.draw(st.lists(st.integers(0, len(compressed)), max_size=6).map(sorted))
        # Four such bytes inside a message are its end to every reader, if a frame ends there (P75).
        assume(not any(compressed[:cut].endswith(FLUSHED) for cut in cuts if cut < len(compressed)))
        edges = [0, *(cut for cut in cuts if cut < len(compressed)), len(compressed)]
        frames = [compressed[start:end] for start, end in itertools.pairwise(edges)]
        assert [inflating.feed(frame) for frame in frames] == [*[None] * (len(frames) - 1), message]


@pytest.mark.parametrize("at", [1, 2, 3])
@conforms("P75")
def test_a_flush_that_is_split_over_two_frames_does_not_glue_messages(at: int) -> None:
    """The documentation's own sample looks at the last frame's tail, and glues them (P75)."""
    deflate, inflating = deflater(ZLIB), inflater(ZLIB)
    first, second, third = deflate(b"first"), deflate(b"second"), deflate(b"third")
    assert inflating.feed(first) == b"first"
    assert inflating.feed(second[:-at]) is None
    assert inflating.feed(second[-at:]) == b"second"
    assert inflating.feed(third) == b"third"


@needs_zstd
@given(messages=st.lists(st.binary(min_size=1), min_size=1, max_size=5), data=st.data())
def test_a_zstd_stream_that_is_cut_against_the_rules_still_invents_and_loses_nothing(
    messages: list[bytes], data: st.DataObject
) -> None:
    kind = Compression.ZSTD_STREAM
    deflate, inflating = deflater(kind), inflater(kind)
    stream = b"".join(deflate(message) for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    frames = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    parts = feed_all(inflating, frames)
    assert b"" not in parts
    assert b"".join(part for part in parts if isinstance(part, bytes)) == b"".join(messages)


@ALL
@conforms("P74")
def test_a_text_message_was_not_compressed_and_passes_as_it_is(kind: Compression) -> None:
    deflate, inflating = deflater(kind), inflater(kind)
    assert inflating.feed('{"op":10}') == '{"op":10}'
    assert inflating.feed(deflate(b"compressed")) == b"compressed"
    assert inflating.feed('{"op":11}') == '{"op":11}'


@STREAMS
def test_an_empty_frame_changes_nothing(kind: Compression) -> None:
    deflate, inflating = deflater(kind), inflater(kind)
    assert inflating.feed(b"") is None
    assert inflating.feed(deflate(b"one")) == b"one"
    assert inflating.feed(b"") is None
    assert inflating.feed(deflate(b"two")) == b"two"


def test_a_flush_without_content_is_no_message() -> None:
    deflate, inflating = deflater(ZLIB), inflater(ZLIB)
    assert inflating.feed(deflate(b"one")) == b"one"
    assert inflating.feed(b"\x00" + FLUSHED) is None  # an empty stored block
    assert inflating.feed(deflate(b"two")) == b"two"


# -- a connection has its own context ----------------------------------------------------------------------------------


@STREAMS
@conforms("P77")
def test_every_inflater_has_a_context_of_its_own(kind: Compression) -> None:
    before, after = deflater(kind), deflater(kind)
    old, new = inflater(kind), inflater(kind)
    assert old.feed(before(b"on the old connection")) == b"on the old connection"
    first = after(b"on the new connection")
    assert new.feed(first) == b"on the new connection"
    with pytest.raises(CorruptCompression):
        old.feed(first)


# -- what is no compression --------------------------------------------------------------------------------------------


@STREAMS
@conforms("P77")
def test_an_error_poisons_a_stream_for_good(kind: Compression) -> None:
    deflate, inflating = deflater(kind), inflater(kind)
    assert inflating.feed(deflate(b"one")) == b"one"
    with pytest.raises(CorruptCompression, match="damaged"):
        inflating.feed(b"\xff" * 64)
    with pytest.raises(CorruptCompression, match="given up"):
        inflating.feed(deflate(b"two"))


@conforms("P74")
def test_an_error_in_one_payload_is_not_the_next_ones() -> None:
    inflating = inflater(PAYLOAD)
    with pytest.raises(CorruptCompression, match="damaged"):
        inflating.feed(b"garbage")
    assert inflating.feed(zlib.compress(b"fine")) == b"fine"


@COMPRESSED
@given(messages=st.lists(st.binary(min_size=1), min_size=1, max_size=4), data=st.data())
def test_damaged_bytes_have_declared_outcomes_only(
    kind: Compression, messages: list[bytes], data: st.DataObject
) -> None:
    deflate, inflating = deflater(kind), inflater(kind, limit=4096)
    poisoned = False
    for message in messages:
        frame = bytearray(deflate(message))
        for position in data.draw(st.lists(st.integers(0, len(frame) - 1), max_size=3)):
            frame[position] ^= data.draw(st.integers(1, 255))
        damaged = bytes(frame[: data.draw(st.integers(0, len(frame)))]) + data.draw(st.binary(max_size=8))
        if poisoned and kind is not PAYLOAD:
            with pytest.raises(CorruptCompression, match="given up"):
                inflating.feed(damaged)
            continue
        try:
            whole = inflating.feed(damaged)
        except InflateError:
            poisoned = True
        else:
            assert whole is None or (isinstance(whole, bytes) and len(whole) <= 4096)


@ALL
@given(frames=st.lists(st.binary(max_size=64) | st.text(max_size=8), max_size=6))
@example(frames=[b"\x78\x9c", b"\x28\xb5\x2f\xfd"])
def test_any_bytes_have_declared_outcomes_only(kind: Compression, frames: list[str | bytes]) -> None:
    inflating = inflater(kind)
    for frame in frames:
        try:
            whole = inflating.feed(frame)
        except CorruptCompression:
            continue
        assert whole is None or type(whole) in {str, bytes}


def test_a_zlib_stream_that_ends_is_refused_in_the_frame_that_ends_it() -> None:
    stream = zlib.compressobj()
    frames = [stream.compress(b"one") + stream.flush(zlib.Z_SYNC_FLUSH), stream.compress(b"two") + stream.flush()]
    inflating = inflater(ZLIB)
    assert inflating.feed(frames[0]) == b"one"
    with pytest.raises(CorruptCompression, match="ended before its connection"):
        inflating.feed(frames[1])


@needs_zstd
def test_a_zstd_stream_that_ends_is_refused_in_the_frame_that_ends_it() -> None:
    from gatewright.transport.zstd_stream import zstd

    stream = zstd.ZstdCompressor()
    frames = [stream.compress(b"one", stream.FLUSH_BLOCK), stream.compress(b"two", stream.FLUSH_FRAME)]
    inflating = inflater(Compression.ZSTD_STREAM)
    assert inflating.feed(frames[0]) == b"one"
    with pytest.raises(CorruptCompression, match="ended before its connection"):
        inflating.feed(frames[1])


def test_a_damaged_flush_is_refused_in_the_frame_that_has_it() -> None:
    """And does not wait for the next message, with which it would be glued."""
    deflate, inflating = deflater(ZLIB), inflater(ZLIB)
    assert inflating.feed(deflate(b"one")) == b"one"
    with pytest.raises(CorruptCompression, match="damaged"):
        inflating.feed(deflate(b"two")[:-1] + b"\x00")


def test_a_text_message_in_the_middle_of_a_compressed_one_is_refused() -> None:
    deflate, inflating = deflater(ZLIB), inflater(ZLIB)
    assert inflating.feed(deflate(b"one")[:-2]) is None
    with pytest.raises(CorruptCompression, match="in the middle"):
        inflating.feed("{}")


@pytest.mark.parametrize("garbage", [b"!", bytes(2 * PIECE)])
def test_a_payload_with_more_behind_it_is_refused(garbage: bytes) -> None:
    with pytest.raises(CorruptCompression, match="follow the end"):
        inflater(PAYLOAD).feed(zlib.compress(b"{}") + garbage)


@pytest.mark.parametrize("missing", [1, 4, 8])
def test_a_payload_that_is_cut_short_is_refused(missing: int) -> None:
    with pytest.raises(CorruptCompression, match="cut short"):
        inflater(PAYLOAD).feed(zlib.compress(b"{}")[:-missing])


def test_an_empty_payload_is_refused() -> None:
    with pytest.raises(CorruptCompression, match="cut short"):
        inflater(PAYLOAD).feed(b"")


def test_no_error_repeats_what_was_sent() -> None:
    for kind in (ZLIB, PAYLOAD):
        with pytest.raises(CorruptCompression) as caught:
            inflater(kind).feed(b"x secret x" * 10)
        assert "secret" not in str(caught.value)


# -- bounds ------------------------------------------------------------------------------------------------------------


@COMPRESSED
@given(limit=st.sampled_from([1, 100, PIECE, STEP, STEP + 1]), over=st.integers(-1, 2))
def test_a_message_may_have_the_limit_and_not_a_byte_more(kind: Compression, limit: int, over: int) -> None:
    message = bytes(limit + over)
    assume(message)
    deflate, inflating = deflater(kind), inflater(kind, limit=limit)
    compressed = deflate(message)
    if over <= 0:
        assert inflating.feed(compressed) == message
        return
    with pytest.raises(TooLarge, match=f"more than {limit} bytes") as caught:
        inflating.feed(compressed)
    assert caught.value.violation is ViolationKind.TOO_LARGE


def test_the_limit_is_for_all_frames_of_a_message_together() -> None:
    deflate, inflating = deflater(ZLIB, 0), inflater(ZLIB, limit=100)
    compressed = deflate(bytes(101))
    assert [inflating.feed(compressed[at : at + 20]) for at in range(0, 100, 20)] == [None] * 5
    with pytest.raises(TooLarge):
        inflating.feed(compressed[100:])


def test_the_limit_is_for_each_message_anew() -> None:
    deflate, inflating = deflater(ZLIB, 0), inflater(ZLIB, limit=100)
    for _ in range(3):
        compressed = deflate(bytes(100))
        assert inflating.feed(compressed[:50]) is None
        assert inflating.feed(compressed[50:]) == bytes(100)


@needs_zstd
@pytest.mark.parametrize("over", [0, 1])
def test_a_zstd_stream_may_not_ask_for_a_window_of_more_than_8_mib(over: int) -> None:
    from gatewright.transport.zstd_stream import MAX_WINDOW_LOG, zstd

    assert 2**MAX_WINDOW_LOG == 8 * MIB
    stream = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: MAX_WINDOW_LOG + over})
    frame = stream.compress(b"small", stream.FLUSH_BLOCK)
    if over:
        with pytest.raises(CorruptCompression, match="memory"):
            inflater(Compression.ZSTD_STREAM).feed(frame)
    else:
        assert inflater(Compression.ZSTD_STREAM).feed(frame) == b"small"


BOMB = """
import sys, zlib
from gatewright.transport.inflate import Compression, TooLarge, inflater

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

kind, megabyte = Compression(sys.argv[1]), bytes(2**20)
if kind is Compression.ZSTD_STREAM:
    from gatewright.transport.zstd_stream import zstd
    stream = zstd.ZstdCompressor()
    bomb = b"".join([*(stream.compress(megabyte) for _ in range(1024)), stream.flush(stream.FLUSH_BLOCK)])
else:
    stream = zlib.compressobj()
    head = stream.compress(megabyte) + stream.flush(zlib.Z_FULL_FLUSH)
    # After a full flush the same input gives the same bytes: no need to compress it a thousand times.
    bomb = head + 1023 * (stream.compress(megabyte) + stream.flush(zlib.Z_FULL_FLUSH))
inflating = inflater(kind)
before = peak()
try:
    inflating.feed(bomb)
except TooLarge:
    print(peak() - before)
"""


@COMPRESSED
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from Linux's /proc")
def test_a_bomb_of_a_gibibyte_costs_no_more_memory_than_the_limit(kind: Compression) -> None:
    run = subprocess.run([sys.executable, "-c", BOMB, kind.value], capture_output=True, text=True, check=True)
    mebibytes = int(run.stdout) / 1024
    limit = MAX_MESSAGE_BYTES / MIB
    assert limit / 2 < mebibytes < limit + 8 < 64  # below that, the bomb was none


# -- what a user asks for ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["zlib", "ZLIB-STREAM", "", None, True])
def test_a_compression_that_does_not_exist_is_refused_with_those_that_do(name: CompressionName) -> None:
    with pytest.raises(ConfigurationError, match="'none', 'zlib-stream', 'zstd-stream', 'payload'"):
        compression(name)


def test_zstd_without_a_library_for_it_is_refused_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gatewright.transport.zstd_stream", raising=False)
    monkeypatch.setitem(sys.modules, ZSTD_LIBRARY.partition(".")[0], None)
    with pytest.raises(ConfigurationError, match=r"pip install 'gatewright\[zstd\]'"):
        compression("zstd-stream")
    assert compression("zlib-stream") is ZLIB


@conforms("P73")
def test_only_a_stream_is_asked_for_in_the_url() -> None:
    """Payload compression is asked for in IDENTIFY, and the query would disable it (P73)."""
    assert {kind.value: kind.query for kind in Compression} == {
        "none": None,
        "zlib-stream": "zlib-stream",
        "zstd-stream": "zstd-stream",
        "payload": None,
    }


# -- many at once ------------------------------------------------------------------------------------------------------


def one_by_one(inflating: Inflater, frames: Sequence[str | bytes]) -> list[object]:
    found: list[object] = []
    for frame in frames:
        try:
            whole = inflating.feed(frame)
        except InflateError as error:
            found.append((type(error), str(error)))
        else:
            if whole is not None:
                found.append(whole)
    return found


def in_bursts(inflating: Inflater, frames: Sequence[str | bytes], enough: int) -> list[object]:
    found: list[object] = []
    rest = iter(frames)
    while True:
        whole: list[str | bytes] = []
        try:
            inflate_many(inflating, rest, whole, enough)
        except InflateError as error:
            found += [*whole, (type(error), str(error))]
            continue
        found += whole
        if sum(map(len, whole)) < enough:
            return found


@ALL
@given(
    messages=st.lists(st.binary(min_size=1, max_size=200), max_size=8),
    cuts=st.lists(st.integers(1, 40), max_size=8),
    strange=st.lists(
        st.tuples(st.integers(0, 12), st.sampled_from(["text", "", b"", b"\x00" * 9, FLUSHED])), max_size=2
    ),
    enough=st.integers(1, 300),
)
@example(messages=[bytes(2 * STEP), b"after"], cuts=[], strange=[], enough=1 << 30)
@example(messages=[b"a", b"b", b"c"], cuts=[], strange=[(1, b"damage" + FLUSHED)], enough=1 << 30)
def test_many_at_once_are_what_each_would_be_by_itself(
    kind: Compression, messages: list[bytes], cuts: list[int], strange: list[tuple[int, str | bytes]], enough: int
) -> None:
    """Whole, cut into several frames, among text and damage; an error comes where it would, and so what follows."""
    deflate = deflater(kind)
    frames: list[str | bytes] = [deflate(message) for message in messages]
    for place, cut in enumerate(cuts[: len(frames)]):
        frame = frames[2 * place]
        frames[2 * place : 2 * place + 1] = [frame[:cut], frame[cut:]] if kind in _CUT else [frame, ""]
    for place, what in strange:
        frames.insert(place, what)
    assert in_bursts(inflater(kind), frames, enough) == one_by_one(inflater(kind), frames)


_CUT = frozenset({Compression.ZLIB_STREAM, Compression.ZSTD_STREAM})
