"""The codec: every message of the peer becomes a declared event, whatever its bytes."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gatewright.spec import events
from gatewright.spec.events import ViolationKind
from gatewright.spec.protocol import MAX_SESSION_ID
from gatewright.transport.codec import (
    Decoded,
    decode,
    decode_run,
    encode_heartbeat,
    encode_resume,
)
from gatewright.transport.dispatch import Dispatch, Origin
from gatewright.transport.token import Token
from tests.support.conforms import conforms

NOW = 1_700_000_000.5
SECRET = "MTIz.abc.hunter2"


def read(message: str | bytes) -> Decoded:
    return decode(message, gen=7, wall_clock=lambda: NOW)


def read_object(**keys: object) -> Decoded:
    return read(json.dumps(keys))


def event_of(message: str | bytes) -> events.Event:
    event, dispatch = read(message)
    assert dispatch is None
    return event


def violation_of(message: str | bytes) -> ViolationKind:
    event = event_of(message)
    assert isinstance(event, events.ProtocolViolation)
    assert event.gen == 7
    assert event.detail
    return event.violation


# -- messages without data ---------------------------------------------------------------------------------------------

WITHOUT_DATA = [
    (1, events.HeartbeatRequested(7)),
    (7, events.ReconnectRequested(7)),
    (11, events.HeartbeatAcked(7)),
]


@pytest.mark.parametrize(("op", "event"), WITHOUT_DATA)
@pytest.mark.parametrize("form", ['{"op":%d}', '{"t":null,"s":null,"op":%d,"d":null}', '{"op":%d,"_trace":["x"]}'])
@pytest.mark.parametrize("encode", [str, str.encode])
@conforms("P78")
def test_keys_may_be_missing_or_null(
    op: int, event: events.Event, form: str, encode: Callable[[str], str | bytes]
) -> None:
    assert event_of(encode(form % op)) == event


@pytest.mark.parametrize("op", [2, 3, 4, 5, 6, 8, 12, 31, 43, 999, -1, 10**18])
@conforms("P78")
def test_an_opcode_that_only_clients_send_or_nobody_knows_is_unknown_and_harmless(op: int) -> None:
    assert read_object(op=op, d={"x": 1}, s=None, t=None) == (events.UnknownMessage(7, op), None)


@pytest.mark.parametrize(
    ("text", "resumable"),
    [
        ("true", True),
        (" true ", True),
        ("false", False),
        ("null", False),
        ("1", False),
        ('"true"', False),
        ("{}", False),
    ],
)
@conforms("P47")
def test_an_invalid_session_is_resumable_only_when_it_says_so(text: str, resumable: bool) -> None:
    assert event_of(f'{{"op":9,"d":{text}}}') == events.SessionInvalidated(7, resumable)


def test_an_invalid_session_without_data_is_not_resumable() -> None:
    assert event_of('{"op":9}') == events.SessionInvalidated(7, resumable=False)


# -- HELLO -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("milliseconds", "seconds"),
    [
        ("41250", 41.25),
        ("45000.5", 45.0005),
        ("1", 0.1),
        ("100", 0.1),
        ("600000", 600.0),
        ("1e9", 600.0),
        ("1e300", 600.0),
    ],
)
@conforms("P14")
def test_hello_gives_the_interval_in_seconds_and_within_bounds(milliseconds: str, seconds: float) -> None:
    event = event_of(f'{{"op":10,"d":{{"heartbeat_interval":{milliseconds},"_trace":["x"]}},"s":null,"t":null}}')
    assert isinstance(event, events.Hello)
    assert event.interval == pytest.approx(seconds)


@pytest.mark.parametrize(
    "data",
    [
        "null",
        "[]",
        "{}",
        "41250",
        '{"heartbeat_interval":null}',
        '{"heartbeat_interval":"41250"}',
        '{"heartbeat_interval":true}',
        '{"heartbeat_interval":0}',
        '{"heartbeat_interval":-1}',
        '{"heartbeat_interval":1e999}',
        '{"heartbeat_interval":[41250]}',
    ],
)
def test_hello_without_a_positive_interval_breaks_the_protocol(data: str) -> None:
    assert violation_of(f'{{"op":10,"d":{data}}}') is ViolationKind.BAD_PAYLOAD


# -- dispatches --------------------------------------------------------------------------------------------------------


@conforms("P42")
def test_a_dispatch_becomes_an_event_for_the_core_and_one_for_the_consumer() -> None:
    event, dispatch = read_object(op=0, s=5, t="MESSAGE_CREATE", d={"id": "1", "content": "h\u00e4"})
    assert event == events.Dispatched(7, 5, "MESSAGE_CREATE")
    assert dispatch is not None
    assert (dispatch.type, dispatch.seq) == ("MESSAGE_CREATE", 5)
    assert dispatch.data == {"id": "1", "content": "h\u00e4"}


@conforms("P78")
def test_a_dispatch_of_a_type_that_nobody_knows_comes_through() -> None:
    event, dispatch = read_object(op=0, s=5, t="SOMETHING_NEW", d=None)
    assert event == events.Dispatched(7, 5, "SOMETHING_NEW")
    assert dispatch is not None
    assert dispatch.data is None


@pytest.mark.parametrize(
    "keys",
    [
        {"t": "X"},
        {"s": None, "t": "X"},
        {"s": 1},
        {"s": 1, "t": None},
        {"s": "1", "t": "X"},
        {"s": 1.5, "t": "X"},
        {"s": True, "t": "X"},
        {"s": -1, "t": "X"},
        {"s": 2**63, "t": "X"},
        {"s": 10**100, "t": "X"},
        {"s": 1, "t": 7},
        {"s": 1, "t": ["X"]},
    ],
)
def test_a_dispatch_without_a_sequence_and_a_type_breaks_the_protocol(keys: dict[str, object]) -> None:
    assert violation_of(json.dumps({"op": 0, "d": {}, **keys})) is ViolationKind.BAD_ENVELOPE


@conforms("P38")
def test_resumed_ends_the_replay_and_is_delivered() -> None:
    event, dispatch = read_object(op=0, s=37448, t="RESUMED", d={"_trace": ["x"]})
    assert event == events.Resumed(7, 37448)
    assert dispatch is not None
    assert dispatch.type == "RESUMED"


# -- READY -------------------------------------------------------------------------------------------------------------

READY: dict[str, Any] = {
    "v": 10,
    "user": {"id": "80351110224678912", "username": "x"},
    "guilds": [{"id": "1", "unavailable": True}],
    "session_id": "abc",
    "resume_gateway_url": "wss://gateway-us-east1-b.discord.gg",
    "shard": [0, 1],
    "application": {"id": "2", "flags": 0},
}


def ready(**changes: object) -> events.Ready:
    event, dispatch = read_object(op=0, s=1, t="READY", d={**READY, **changes})
    assert isinstance(event, events.Ready)
    assert dispatch is not None
    assert dispatch.session_id == event.session_id
    return event


@conforms("P31")
def test_ready_carries_what_a_resume_will_need() -> None:
    assert ready() == events.Ready(
        gen=7,
        seq=1,
        session_id="abc",
        resume_url="wss://gateway-us-east1-b.discord.gg/",
        bot_id="80351110224678912",
        created=NOW,
    )


@pytest.mark.parametrize("url", [None, 7, "", "gateway.discord.gg", "http://x", "ws://gateway.discord.gg", ["wss://x"]])
@conforms("P35")
def test_a_bad_resume_url_leaves_a_ready_without_one(url: object) -> None:
    assert ready(resume_gateway_url=url).resume_url is None


@pytest.mark.parametrize("user", [None, [], "x", {}, {"id": None}, {"id": 5}, {"id": "x"}, {"id": "\u0661"}])
def test_a_user_without_an_id_leaves_a_ready_without_a_bot_id(user: object) -> None:
    assert ready(user=user).bot_id == ""


def test_only_the_session_id_is_demanded_of_a_ready() -> None:
    event, _ = read_object(op=0, s=1, t="READY", d={"session_id": "abc"})
    assert event == events.Ready(7, 1, "abc", None, "", NOW)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "abc",
        {},
        {"session_id": None},
        {"session_id": ""},
        {"session_id": 7},
        {"session_id": "x" * (MAX_SESSION_ID + 1)},
    ],
)
def test_a_ready_without_a_session_id_breaks_the_protocol(data: object) -> None:
    assert violation_of(json.dumps({"op": 0, "s": 1, "t": "READY", "d": data})) is ViolationKind.BAD_PAYLOAD


def test_a_ready_with_bottomless_data_breaks_the_protocol() -> None:
    deep = "[" * 900 + "]" * 900
    message = f'{{"op":0,"s":1,"t":"READY","d":{{"session_id":"a","user":{deep}}}}}'
    event, _ = read(message)
    assert isinstance(event, events.Ready | events.ProtocolViolation)


@pytest.mark.parametrize("id_", ["x" * MAX_SESSION_ID, "\x01" * MAX_SESSION_ID])
def test_every_session_id_that_is_let_through_fits_in_a_resume(id_: str) -> None:
    session_id = ready(session_id=id_).session_id
    encode_resume(token=Token("t" * 512), session_id=session_id, seq=2**63 - 1)


# -- what is no message at all -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b" ",
        b"{",
        b"nonsense",
        b'{"op":11} x',
        b'{"op":11,}',
        b'\xef\xbb\xbf{"op":11}',
        b'{"op":0,"s":1,"t":"X","d":"\xff"}',
        b'{"op":11,"x\xff":1}',
        b'{"op":0,"s":1,"t":"\xff"}',
        b'{"op":0,"s":1,"t":"X","d":NaN}',
        b'{"op":0,"s":1,"t":"X","d":01}',
        b"\x78\x9c\x00\x00\xff\xff",
        '{"op":0,"s":1,"t":"X","d":"\ud800"}',
    ],
)
def test_what_is_not_json_breaks_the_protocol(message: str | bytes) -> None:
    assert violation_of(message) is ViolationKind.NOT_JSON


@pytest.mark.parametrize(
    "message",
    [
        "[]",
        "null",
        "11",
        '"op"',
        "[11]",
        "{}",
        '{"d":1}',
        '{"op":null}',
        '{"op":"11"}',
        '{"op":true}',
        '{"op":1.5}',
        '{"op":1' + "0" * 5000 + "}",
        '{"op":11,"s":"x"}',
        '{"OP":11}',
    ],
)
def test_what_is_not_an_envelope_breaks_the_protocol(message: str) -> None:
    assert violation_of(message) is ViolationKind.BAD_ENVELOPE
    assert violation_of(message.encode()) is ViolationKind.BAD_ENVELOPE


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_bottomless_nesting_breaks_the_protocol_and_nothing_else(opening: str, closing: str) -> None:
    deep = opening * 100_000 + "1" + closing * 100_000
    assert violation_of(f'{{"op":0,"s":1,"t":"X","d":{deep}}}') is ViolationKind.BAD_ENVELOPE
    assert violation_of(f'{{"op":10,"d":{deep}}}') is ViolationKind.BAD_ENVELOPE


def test_of_two_keys_of_one_name_one_counts() -> None:
    assert event_of('{"op":7,"op":11}') == events.HeartbeatAcked(7)


DECLARED = (
    events.Hello,
    events.HeartbeatRequested,
    events.HeartbeatAcked,
    events.ReconnectRequested,
    events.SessionInvalidated,
    events.Ready,
    events.Resumed,
    events.Dispatched,
    events.UnknownMessage,
    events.ProtocolViolation,
)


def assert_declared(message: str | bytes) -> None:
    event, dispatch = read(message)
    assert isinstance(event, DECLARED)
    assert event.gen == 7
    assert (dispatch is not None) == isinstance(event, events.Ready | events.Resumed | events.Dispatched)
    if isinstance(event, events.Ready | events.Resumed | events.Dispatched):
        assert 0 <= event.seq < 2**63
        encode_heartbeat(event.seq)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=200))
@example(b"\xff\xfe{\x00}\x00")
@example(b'{"op":0,"s":1,"t":"READY","d":{"session_id":"\\ud800"}}')
def test_any_bytes_give_a_declared_event(message: bytes) -> None:
    assert_declared(message)


@given(st.text(alphabet=st.characters(), max_size=200))
def test_any_text_gives_a_declared_event(message: str) -> None:
    assert_declared(message)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "op": st.sampled_from([0, 1, 7, 9, 10, 11, 99]) | JSON,
            "s": st.integers(0, 9) | JSON,
            "t": st.sampled_from(["READY", "RESUMED", "X"]) | JSON,
            "d": st.fixed_dictionaries(
                {},
                optional={"session_id": JSON, "resume_gateway_url": JSON, "user": JSON, "heartbeat_interval": JSON},
            )
            | JSON,
        },
    ),
    st.data(),
)
def test_any_object_whole_or_cut_or_spoilt_gives_a_declared_event(
    message: dict[str, object], data: st.DataObject
) -> None:
    text = json.dumps(message).encode()
    assert_declared(text)
    assert_declared(text[: data.draw(st.integers(0, len(text)))])
    at = data.draw(st.integers(0, len(text) - 1))
    assert_declared(text[:at] + data.draw(st.binary(max_size=3)) + text[at + 1 :])


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters='"\\', exclude_categories=["C"])))
@example("")
def test_a_violation_never_quotes_the_payload(noise: str) -> None:
    text = noise + "hunter2"
    spoilt = [
        text,
        f'{{"op":"{text}"}}',
        f'{{"op":0,"s":"{text}","t":1}}',
        f'{{"op":0,"s":1,"{text}":1}}',
        f'{{"op":10,"d":{{"heartbeat_interval":"{text}"}}}}',
        f'{{"op":0,"s":1,"t":"READY","d":{{"session_id":["{text}"],"{text}":1}}}}',
    ]
    for message in spoilt:
        event = event_of(message)
        assert isinstance(event, events.ProtocolViolation)
        assert "hunter2" not in event.detail


def test_the_consumer_gets_the_very_data_that_arrived() -> None:
    _, dispatch = read('{"op":0,"s":1,"t":"X","d": {"a" : [1, 2.50, "\\u00e9"]} }')
    assert isinstance(dispatch, Dispatch)
    assert dispatch.raw == b'{"a" : [1, 2.50, "\\u00e9"]}'


# -- many at once ------------------------------------------------------------------------------------------------------

NO_RUN: list[str | bytes] = [
    '{"t":"READY","s":1,"op":0,"d":{"session_id":"x"}}',
    '{"t":"RESUMED","s":1,"op":0,"d":{}}',
    '{"op":11}',
    '{"op":0,"t":"A","d":1}',
    '{"op":0,"t":"A","s":-1,"d":1}',
    '{"op":0,"t":null,"s":1,"d":1}',
    '{"op":0,"t":"A","s":1,"d":',
    '"\\ud800"',
    "[" * 5000,
    b'{"op":0,"t":"A","s":1,"d":"\xff"}',
    "",
    b"",
]


@st.composite
def bursts(draw: st.DrawFn) -> list[str | bytes]:
    """Ordinary dispatches as text and as bytes, with anything else between them."""
    found: list[str | bytes] = []
    for _ in range(draw(st.integers(0, 12))):
        seq = draw(st.sampled_from([0, 7, 2**63 - 1]))
        ordinary = draw(
            st.sampled_from(['{"t":"A","s":SEQ,"op":0,"d":{"n":"é"}}', '{"op":0,"d":[1, 2],"s":SEQ,"t":"B"}'])
        )
        text = ordinary.replace("SEQ", str(seq))
        found.append(draw(st.sampled_from([text, text, text.encode(), draw(st.sampled_from(NO_RUN))])))
    return found


@given(bursts(), st.integers(1, 15), st.integers(1, 60), st.booleans())
@example(['{"t":"A","s":1,"op":0,"d":{}}'] * 3, 2, 100, True)
@example(['{"t":"A","s":1,"op":0,"d":{}}'] * 3, 5, 3, False)
@example(['{"t":"A","s":1,"op":0,"d":{}}', NO_RUN[0], '{"t":"A","s":1,"op":0,"d":{}}'], 5, 100, True)
def test_a_run_is_what_each_would_be_by_itself(
    messages: list[str | bytes], most: int, most_bytes: int, checked: bool
) -> None:
    origin = Origin("session")
    if checked:  # somebody has looked before, and they were not decoded for that
        messages[:] = [message for message in map(encoded, messages) if is_utf8(message)]
    given_before = list(messages)
    run = decode_run(messages, origin, checked=checked, most=most, most_bytes=most_bytes)
    assert messages == given_before
    expected: list[Dispatch] = []
    for message in messages:
        event, dispatch = read(message)
        enough = len(expected) >= most or sum(each.size for each in expected) >= most_bytes
        if dispatch is None or type(event) is not events.Dispatched or enough:
            break
        expected.append(dispatch)
    found = run.dispatches
    assert [(each.type, each.seq, each.raw) for each in found] == [(each.type, each.seq, each.raw) for each in expected]
    assert all(each.origin is origin for each in found)
    assert (run.seqs, run.types) == ([each.seq for each in found], [each.type for each in found])
    exact = sum(each.size for each in found)
    assert exact <= run.size <= (sum(map(len, messages[: len(found)])) if checked else exact)


def encoded(message: str | bytes) -> bytes:
    return message.encode("utf-8", "surrogatepass") if isinstance(message, str) else message


def is_utf8(message: bytes) -> bool:
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("place", [1, 2])
def test_a_run_is_cut_into_two_runs(place: int) -> None:
    messages: list[str | bytes] = [json.dumps({"t": "A" * n, "s": n, "op": 0, "d": "x" * n}) for n in range(1, 4)]
    run = decode_run(messages, Origin("session"), most=10, most_bytes=1000)
    for part, seqs in zip(run.cut(place), (range(1, place + 1), range(place + 1, 4)), strict=True):
        assert [dispatch.seq for dispatch in part.dispatches] == part.seqs == list(seqs)
        assert part.types == ["A" * seq for seq in seqs]
        assert part.size == sum(seq + 2 for seq in seqs)


def test_more_than_are_taken_at_once_are_for_the_next_time() -> None:
    messages: list[str | bytes] = [json.dumps({"t": "A", "s": seq, "op": 0, "d": {}}) for seq in range(1000)]
    run = decode_run(messages, Origin("session"), most=1000, most_bytes=1 << 30)
    assert 100 < len(run.seqs) < 1000
    assert run.seqs == list(range(len(run.seqs)))
