"""The token leaves in IDENTIFY, in RESUME and in one HTTP header, and shows up nowhere else (I22)."""

import json
import logging
import traceback
from collections.abc import Callable
from contextlib import suppress

import pytest
import trio

from gatewright.spec.protocol import Opcode
from gatewright.transport import codec
from gatewright.transport.codec import PayloadTooLarge, encode_identify, encode_resume
from gatewright.transport.commands import Activity, UpdatePresence
from gatewright.transport.metadata import CachedMetadataSource, HttpMetadataSource
from gatewright.transport.seams import MetadataUnavailable
from gatewright.transport.token import Token
from tests.transport.loopback import serve

SECRET = "MTIz.abc.hunter2"


def everything_about(error: BaseException) -> str:
    """What the most talkative of tracebacks shows: each cause and context, and what the names in each frame hold."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_name.startswith("test_"):
        trace = trace.tb_next  # the test has the secret in its own names
    lines = traceback.TracebackException(type(error), error, trace, capture_locals=True).format()
    return "".join(line for part in lines for line in part.splitlines(True) if "SECRET" not in line)


def test_the_most_talkative_traceback_would_show_a_secret() -> None:
    def careless() -> None:
        text = Token(SECRET).reveal()
        raise ValueError(len(text))

    with pytest.raises(ValueError) as raised:  # noqa: PT011  # any will do
        careless()
    assert "hunter2" in everything_about(raised.value)


def too_large() -> object:
    presence = UpdatePresence(activities=[Activity("x" * 5000)])
    return encode_identify(token=Token(SECRET), intents=1, presence=presence)


def not_unicode() -> object:
    return encode_identify(token=Token(SECRET), intents=1, properties={"os": "\ud800"})


def out_of_range() -> object:
    return encode_identify(token=Token(SECRET), intents=1, shard=(3, 2))


def no_json() -> object:
    return codec.encode_payload(Opcode.IDENTIFY, {"token": Token(SECRET), "x": object()})


def endless_session() -> object:
    return encode_resume(token=Token(SECRET), session_id="x" * 5000, seq=1)


@pytest.mark.parametrize("fail", [too_large, not_unicode, out_of_range, no_json, endless_session])
def test_a_payload_that_cannot_be_made_does_not_show_its_token(fail: Callable[[], object]) -> None:
    with pytest.raises((ValueError, PayloadTooLarge)) as raised:
        fail()
    assert "hunter2" not in everything_about(raised.value)


def test_the_token_is_in_the_payloads_that_need_it() -> None:
    assert json.loads(encode_identify(token=Token(SECRET), intents=1))["d"]["token"] == SECRET
    assert json.loads(encode_resume(token=Token(SECRET), session_id="x", seq=1))["d"]["token"] == SECRET


REPLIES = {
    "fine": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "refused": b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
    "busy": b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n",
    "garbage": b"\x00\x01\x02\r\n\r\n",
    "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
    "gone": b"",
}


@pytest.mark.sockets
@pytest.mark.parametrize("name", REPLIES)
async def test_a_metadata_request_leaves_its_token_in_no_log_and_no_error(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    heard = b""

    async def handler(stream: trio.SocketStream) -> None:
        nonlocal heard
        heard = bytes(await stream.receive_some())
        with suppress(trio.BrokenResourceError):
            await stream.send_all(REPLIES[name])

    with caplog.at_level(logging.DEBUG):
        async with serve(handler) as port:
            source = CachedMetadataSource(HttpMetadataSource(Token(SECRET), base_url=f"http://127.0.0.1:{port}"))
            with pytest.raises(MetadataUnavailable) as raised:
                await source.fetch()
    assert b"hunter2" in heard  # it was sent, so it could have leaked
    assert "hunter2" not in everything_about(raised.value)
    assert "hunter2" not in f"{source!r} {vars(source)!r}"
    assert "hunter2" not in caplog.text
