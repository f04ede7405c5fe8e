"""The token: cleaned, checked, and shown to nobody."""

import base64
import copy
import json
import logging
import pickle

import pytest

from gatewright.spec.errors import ConfigurationError
from gatewright.transport.token import Token
from tests.support.conforms import conforms

ID = "1234567890123456789"
SECRET = base64.b64encode(ID.encode()).decode().rstrip("=") + ".GhIjKl.abcdefghijklmnopqrstuvwxyz0123456789_-"


@pytest.mark.parametrize("text", [SECRET, f"  {SECRET}\n", f"Bot {SECRET}", f"bot  {SECRET}", f"\tBot\t{SECRET} "])
@conforms("P33")
def test_spaces_around_and_the_http_prefix_are_removed(text: str) -> None:
    assert Token(text).reveal() == SECRET


def test_a_token_that_merely_begins_with_the_letters_bot_keeps_them() -> None:
    assert Token("Bottle.x.y").reveal() == "Bottle.x.y"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "Bot",
        "Bot ",
        None,
        7,
        b"x.y.z",
        "a b",
        "a\nb",
        "a\x00b",
        "a\x7f",
        "Bearer abc",
        "t\u00f6ken",
        "x" * 513,
    ],
)
def test_what_cannot_be_a_token_is_refused(text: object) -> None:
    with pytest.raises(ConfigurationError):
        Token(text)  # type: ignore[arg-type]  # what a program passes that is not type-checked


@pytest.mark.parametrize("text", ["hunter2 x", "'hunter2'", "hunter2\u00e9", "hunter2" * 100])
def test_a_refusal_does_not_repeat_the_text(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Token(text)
    assert "hunter2" not in f"{refused.value!r} {refused.value.__cause__!r} {refused.value.__context__!r}"


def test_no_ordinary_way_of_looking_at_a_token_shows_it(caplog: pytest.LogCaptureFixture) -> None:
    token = Token(SECRET)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").info("%s %r %s", token, token, {"token": token})
    seen = [repr(token), str(token), f"{token}", f"{token:>40}", f"{token!r:.8}", repr([token]), caplog.text]
    assert all(SECRET[:8] not in text for text in seen)
    assert str(token) == "Token(***)"
    with pytest.raises(TypeError):
        json.dumps(token)
    with pytest.raises(TypeError):
        vars(token)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_token_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Token(SECRET), protocol)


def test_copies_of_a_configuration_share_the_token() -> None:
    token = Token(SECRET)
    assert copy.copy(token) is token
    assert copy.deepcopy({"token": token})["token"] is token


def test_tokens_are_equal_by_what_they_hold() -> None:
    assert Token(SECRET) == Token(f"Bot {SECRET}")
    assert hash(Token(SECRET)) == hash(Token(f"Bot {SECRET}"))
    assert Token(SECRET) != Token(SECRET + "x")
    assert Token(SECRET) != SECRET


@pytest.mark.parametrize("identity", ["1", "80351110224678912", ID, "18446744073709551615"])
def test_the_bot_id_is_read_from_the_first_part(identity: str) -> None:
    first = base64.urlsafe_b64encode(identity.encode()).decode().rstrip("=")
    assert Token(f"{first}.a.b").bot_id == identity


@pytest.mark.parametrize("text", ["x", "!!!.a.b", "aGVsbG8.a.b", ".a.b", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAx.a.b", "M.a.b"])
def test_a_token_that_tells_no_bot_id_has_none(text: str) -> None:
    assert Token(text).bot_id == ""
