"""The dispatch that a consumer gets: lazy, cached, and short to print."""

import pytest

from gatewright.transport.dispatch import Dispatch, Origin, UndecodableData
from tests.support.conforms import conforms


def test_the_data_is_decoded_once() -> None:
    dispatch = Dispatch("X", 1, b'{"id":"175928847299117063"}')
    assert dispatch.data == {"id": "175928847299117063"}
    assert dispatch.data is dispatch.data


def test_the_raw_data_are_bytes_that_stay_valid() -> None:
    assert Dispatch("X", 1, b"[1]").raw == b"[1]"
    assert isinstance(Dispatch("X", 1, b"[1]").raw, bytes)


@pytest.mark.parametrize(
    "raw", [b'"\\ud800"', b"1e999", b"[" * 100_000 + b"]" * 100_000, b'"\xff"', b"1" + b"0" * 5000]
)
def test_data_that_cannot_be_decoded_is_a_typed_error_that_names_the_event(raw: bytes) -> None:
    dispatch = Dispatch("MESSAGE_CREATE", 12, raw)
    for _ in range(2):
        with pytest.raises(UndecodableData, match=r"MESSAGE_CREATE.*12"):
            _ = dispatch.data


def test_the_data_of_an_event_that_nobody_reads_is_never_decoded() -> None:
    dispatch = Dispatch("X", 1, b"not json")
    assert dispatch.raw == b"not json"
    assert "X" in repr(dispatch)


def test_the_repr_is_short_and_shows_no_payload() -> None:
    dispatch = Dispatch("MESSAGE_CREATE", 5, b'{"content":"hunter2"}', Origin("s3ss10n", replayed=True))
    assert dispatch.data["content"] == "hunter2"
    assert repr(dispatch) == "<Dispatch MESSAGE_CREATE seq=5 replayed>"


@conforms("P43")
def test_a_dispatch_knows_the_pair_that_makes_it_unique() -> None:
    dispatch = Dispatch("X", 5, b"1")
    assert (dispatch.session_id, dispatch.replayed) == ("", False)
    dispatch.origin = Origin("s", replayed=True)
    assert (dispatch.session_id, dispatch.seq, dispatch.replayed) == ("s", 5, True)


def test_a_dispatch_has_no_room_for_anything_else() -> None:
    with pytest.raises(AttributeError):
        Dispatch("X", 1, b"1").other = 1  # type: ignore[attr-defined]  # that is the point
