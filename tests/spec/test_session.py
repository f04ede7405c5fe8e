"""A session as JSON: what was written comes back equal, and nothing else is read."""

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.spec.protocol import DAY, MAX_SESSION_ID
from gatewright.spec.session import MAX_SESSION_AGE, Session, SessionInvalid, SessionRefusal
from tests.support.conforms import conforms

SESSION = Session(
    id="0123456789abcdef",
    resume_url="wss://gateway-us-east1-b.discord.gg/",
    seq=1337,
    shard=1,
    shard_count=4,
    intents=513,
    bot_id="1000000000000000001",
    created=1_700_000_000.25,
)
NOW = SESSION.created + 60


@st.composite
def any_session(draw: st.DrawFn) -> Session:
    text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=MAX_SESSION_ID)
    count = draw(st.integers(1, 2**40))
    return Session(
        id=draw(text),
        resume_url=draw(st.none() | text),
        seq=draw(st.integers(0, 2**63 - 1)),
        shard=draw(st.integers(0, count - 1)),
        shard_count=count,
        intents=draw(st.integers(0, 2**53)),
        bot_id=draw(st.from_regex(r"[0-9]{0,20}", fullmatch=True)),
        api_version=draw(st.integers(1, 99)),
        created=draw(st.floats(0, 2**40)),
    )


@given(any_session())
def test_what_was_written_comes_back_equal(session: Session) -> None:
    text = session.to_json()
    assert Session.from_json(text) == session
    assert Session.from_json(text.encode()) == session
    assert "\n" not in text


def test_the_format_is_named_and_versioned_and_stays_readable() -> None:
    """A file of an earlier Gatewright: whoever changes the format changes its version."""
    text = (
        '{"format":"gatewright-session","version":1,"id":"0123456789abcdef",'
        '"resume_url":"wss://gateway-us-east1-b.discord.gg/","seq":1337,"shard":1,"shard_count":4,"intents":513,'
        '"bot_id":"1000000000000000001","api_version":10,"created":1700000000.25}'
    )
    assert Session.from_json(text) == SESSION
    assert SESSION.to_json() == text


def test_every_field_of_a_session_is_written() -> None:
    assert set(json.loads(SESSION.to_json())) == {"format", "version", *(f.name for f in attrs.fields(Session))}


def altered(**changes: object) -> str:
    return json.dumps({**json.loads(SESSION.to_json()), **changes})


def without(field: str) -> str:
    document = json.loads(SESSION.to_json())
    del document[field]
    return json.dumps(document)


@pytest.mark.parametrize("field", [*(f.name for f in attrs.fields(Session)), "format", "version"])
def test_a_field_that_is_missing_is_refused(field: str) -> None:
    with pytest.raises(SessionInvalid, match=field):
        Session.from_json(without(field))


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"id": "x" * (MAX_SESSION_ID + 1)},
        {"id": 5},
        {"id": None},
        {"resume_url": 5},
        {"seq": -1},
        {"seq": 2**63},
        {"seq": "5"},
        {"seq": 5.5},
        {"seq": None},
        {"shard": 4},
        {"shard": -1},
        {"shard_count": 0},
        {"intents": -1},
        {"intents": True},
        {"bot_id": "me"},
        {"bot_id": "١"},
        {"api_version": 0},
        {"created": -1.0},
        {"created": "now"},
        {"token": "secret"},
        {"format": "something-else"},
    ],
)
def test_a_value_that_no_session_has_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(SessionInvalid):
        Session.from_json(altered(**change))


@pytest.mark.parametrize("version", [0, 2, 99])
def test_another_version_is_named(version: int) -> None:
    with pytest.raises(SessionInvalid, match=rf"version {version} .*reads version 1"):
        Session.from_json(altered(version=version, something="new"))


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{}", "nonsense", b"\xff\xfe", '{"id":', "[" * 100_000, " " * 100_000, '"\\ud800"', "1e999"],
)
def test_garbage_is_refused_with_a_type_of_its_own(text: str | bytes) -> None:
    with pytest.raises(SessionInvalid):
        Session.from_json(text)


@pytest.mark.parametrize("thing", [None, 5, {}, SESSION, bytearray(b"{}")])
def test_what_is_no_text_is_refused(thing: Any) -> None:
    with pytest.raises(SessionInvalid, match=type(thing).__name__):
        Session.from_json(thing)


@given(st.text() | st.binary())
def test_no_text_raises_anything_else(text: str | bytes) -> None:
    with pytest.raises(SessionInvalid):
        Session.from_json(text)


@pytest.mark.parametrize("change", [{"seq": -1}, {"id": "\ud800"}, {"created": float("nan")}, {"shard": "0"}])
def test_a_session_made_by_hand_that_could_not_be_read_back_is_not_written(change: dict[str, Any]) -> None:
    with pytest.raises(SessionInvalid):
        attrs.evolve(SESSION, **change).to_json()


@pytest.mark.parametrize("text", ['{"format":"gatewright-session","version":1,"id":"hunter2"}', '"hunter2"', "hunter2"])
def test_errors_repeat_nothing_of_the_text(text: str) -> None:
    with pytest.raises(SessionInvalid) as caught:
        Session.from_json(text)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


# -- whether it can be resumed here ------------------------------------------------------------------------------------


def reason(session: Session = SESSION, **changes: Any) -> SessionRefusal | None:
    here: dict[str, Any] = {
        "shard": 1,
        "shard_count": 4,
        "intents": 513,
        "bot_id": "1000000000000000001",
        "api_version": 10,
        "now": NOW,
    }
    refused = session.refused(**{**here, **changes})
    return None if refused is None else refused.reason


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"shard": 0}, SessionRefusal.SHARD),
        ({"shard_count": 5}, SessionRefusal.SHARD),
        ({"intents": 512}, SessionRefusal.INTENTS),
        ({"bot_id": "1000000000000000002"}, SessionRefusal.BOT),
        ({"bot_id": ""}, None),
        ({"api_version": 11}, SessionRefusal.API_VERSION),
        ({"now": SESSION.created + MAX_SESSION_AGE}, None),
        ({"now": SESSION.created + MAX_SESSION_AGE + 1}, SessionRefusal.AGE),
        ({"now": SESSION.created + 11, "max_age": 10.0}, SessionRefusal.AGE),
        ({"now": SESSION.created + 1000 * DAY, "max_age": None}, None),
        ({"now": SESSION.created - DAY}, None),
    ],
)
@conforms("P44", "P92")
def test_it_is_refused_where_it_cannot_be_resumed(changes: dict[str, Any], expected: SessionRefusal | None) -> None:
    """P44, P92."""
    assert reason(**changes) is expected


def test_a_session_of_unknown_age_or_bot_passes() -> None:
    assert reason(attrs.evolve(SESSION, created=0.0, bot_id="")) is None
