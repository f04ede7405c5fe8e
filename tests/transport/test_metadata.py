"""Metadata over HTTP: what is asked, and how each answer and each trouble is classified."""

import importlib.metadata
import json
import logging
import traceback
from contextlib import suppress
from email.message import Message
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from gatewright._version import __version__
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.events import ConnectError, MetadataError
from gatewright.spec.protocol import DAY
from gatewright.spec.session import Metadata
from gatewright.transport.metadata import MAX_BODY, PROJECT_URL, HttpMetadataSource, user_agent
from gatewright.transport.seams import ConnectionUnavailable, MetadataUnavailable, StreamOpener
from gatewright.transport.token import Token
from gatewright.transport.urls import GatewayUrl, UnusableUrl
from tests.support.conforms import conforms
from tests.support.ports import free_port
from tests.support.threads import PATIENCE
from tests.transport.loopback import serve

SECRET = "MTIz.abc.hunter2"

ANSWER: dict[str, Any] = {
    "url": "wss://gateway.discord.gg",
    "shards": 9,
    "session_start_limit": {"total": 1000, "remaining": 999, "reset_after": 14400000, "max_concurrency": 16},
}
METADATA = Metadata(
    url="wss://gateway.discord.gg/", shards=9, total=1000, remaining=999, reset_after=14400.0, max_concurrency=16
)


def response(status: int = 200, body: bytes | str | None = None, **headers: str) -> bytes:
    content = json.dumps(ANSWER) if body is None else body
    data = content.encode() if isinstance(content, str) else content
    lines = [f"HTTP/1.1 {status} Some Reason", f"Content-Length: {len(data)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


async def fetch(reply: bytes, *, requests: list[bytes] | None = None) -> Metadata:
    """What the source makes of `reply`, sent by a server on this machine."""

    async def handler(stream: trio.SocketStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some()
        if requests is not None:
            requests.append(head)
        with suppress(trio.BrokenResourceError):  # the client may have heard enough
            await stream.send_all(reply)

    got: Metadata | MetadataUnavailable
    async with serve(handler) as port:
        try:
            url = f"http://127.0.0.1:{port}/api/v10"
            got = await HttpMetadataSource(Token(SECRET), base_url=url, timeout=PATIENCE).fetch()
        except MetadataUnavailable as refused:
            got = refused
    if isinstance(got, MetadataUnavailable):
        raise got  # not through the server's nursery, which would put it into a group
    return got


async def failure(reply: bytes, *, requests: list[bytes] | None = None) -> MetadataUnavailable:
    with pytest.raises(MetadataUnavailable) as refused:
        await fetch(reply, requests=requests)
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))
    assert refused.value.__context__ is None  # httpx2's exceptions hold the request
    return refused.value


# -- the request -------------------------------------------------------------------------------------------------------


@pytest.mark.sockets
@conforms("P01", "P08")
async def test_the_request_is_the_one_that_discord_demands() -> None:
    requests: list[bytes] = []
    assert await fetch(response(), requests=requests) == METADATA
    head = requests[0].decode()
    assert head.startswith("GET /api/v10/gateway/bot HTTP/1.1\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
    assert headers["authorization"] == f"bot {SECRET}".lower()
    assert f"Bot {SECRET}" in head
    assert headers["user-agent"].startswith("discordbot (https://")
    assert headers["user-agent"].endswith(")")
    assert headers["accept-encoding"] == "identity"


@pytest.mark.sockets
@pytest.mark.parametrize("status", [200, 401, 429, 503])
async def test_the_token_is_in_no_log_whatever_its_level(status: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), suppress(MetadataUnavailable):
        await fetch(response(status))
    assert "gateway/bot" in caplog.text  # it was watched
    assert "hunter2" not in caplog.text
    assert "Bot " not in caplog.text


@pytest.mark.parametrize(
    ("addresses", "url"),
    [
        (
            ["Homepage, https://example.org/gatewright", "Issues, https://example.org/issues"],
            "https://example.org/gatewright",
        ),
        (["without a label"], PROJECT_URL),
        ([], PROJECT_URL),
        (None, PROJECT_URL),
    ],
)
@conforms("P08")
def test_the_user_agent_names_the_project_as_it_was_packaged(
    addresses: list[str] | None, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def packaged(name: str) -> Message:
        assert name == "gatewright"
        if addresses is None:
            raise importlib.metadata.PackageNotFoundError(name)
        message = Message()
        for address in addresses:
            message["Project-URL"] = address
        return message

    monkeypatch.setattr(importlib.metadata, "metadata", packaged)
    assert user_agent() == f"DiscordBot ({url}, {__version__})"


def test_the_source_does_not_show_its_token() -> None:
    source = HttpMetadataSource(Token(SECRET))
    assert "hunter2" not in f"{source!r} {vars(source)!r}"


@pytest.mark.parametrize("url", ["http://discord.com/api/v10", "ftp://discord.com", "https://u:p@discord.com", ""])
def test_a_base_url_that_would_send_the_token_in_clear_is_refused(url: str) -> None:
    with pytest.raises(UnusableUrl):
        HttpMetadataSource(Token(SECRET), base_url=url)


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan")])
def test_a_timeout_that_is_not_positive_is_refused(timeout: float) -> None:
    with pytest.raises(ConfigurationError):
        HttpMetadataSource(Token(SECRET), timeout=timeout)


# -- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.sockets
@pytest.mark.parametrize("status", [401, 403])
@conforms("P08")
async def test_a_refused_token_is_fatal(status: int) -> None:
    refused = await failure(response(status, '{"message": "401: Unauthorized", "code": 0}'))
    assert refused.error is MetadataError.FATAL
    assert str(status) in refused.reason


@pytest.mark.sockets
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 520, 599])
async def test_a_server_in_trouble_is_asked_again(status: int) -> None:
    refused = await failure(response(status, "<html>"))
    assert (refused.error, refused.retry_after) == (MetadataError.TRANSIENT, 0.0)


@pytest.mark.sockets
@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        (response(429, "", Retry_After="65"), 65.0),
        (response(429, '{"retry_after": 64.57, "global": false}'), 64.57),
        (response(429, '{"retry_after": 64.57}', Retry_After="65"), 65.0),
        (response(503, "", Retry_After="1.5"), 1.5),
        (response(429, '{"retry_after": -5}', Retry_After="-3"), 0.0),
        (response(429, '{"retry_after": "soon"}', Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"), 0.0),
        (response(429, '{"retry_after": 1e300}', Retry_After="nan"), DAY),
        (response(429, "[" * 100_000, Retry_After="inf"), 0.0),
    ],
)
@conforms("P08")
async def test_the_wait_that_the_server_asks_for_is_told_in_seconds(reply: bytes, seconds: float) -> None:
    refused = await failure(reply)
    assert refused.error is MetadataError.TRANSIENT
    assert refused.retry_after == pytest.approx(seconds)


def changed(**changes: object) -> str:
    return json.dumps({**ANSWER, **changes})


def limited(**changes: object) -> str:
    return changed(session_start_limit={**ANSWER["session_start_limit"], **changes})


MALFORMED = [
    "",
    "null",
    "[]",
    "{}",
    "<html>hello</html>",
    '{"url": "wss://gateway.discord.gg"}',
    b"\xff\xfe",
    "[" * 60_000,
    changed(url=None),
    changed(url=7),
    changed(url="https://gateway.discord.gg"),
    changed(url="ws://gateway.discord.gg"),
    changed(url="wss://user:hunter2@gateway.discord.gg"),
    changed(shards="9"),
    changed(shards=0),
    changed(shards=10**9),
    changed(session_start_limit=None),
    changed(session_start_limit={}),
    limited(total=-1),
    limited(remaining="999"),
    limited(remaining=-1),
    limited(remaining=1.5),
    limited(reset_after=-1),
    limited(reset_after=None),
    limited(max_concurrency=0),
    limited(max_concurrency=True),
]


@pytest.mark.sockets
@pytest.mark.parametrize("body", MALFORMED)
async def test_an_answer_that_cannot_be_used_is_malformed(body: str | bytes) -> None:
    assert (await failure(response(200, body))).error is MetadataError.MALFORMED


@pytest.mark.sockets
@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 400, 404, 418])
async def test_any_other_status_is_malformed_and_no_redirect_is_followed(status: int) -> None:
    requests: list[bytes] = []
    port = free_port()  # a client that went there would fail otherwise
    refused = await failure(
        response(status, "" if status == 204 else None, Location=f"http://127.0.0.1:{port}/"), requests=requests
    )
    assert refused.error is MetadataError.MALFORMED
    assert len(requests) == 1


@pytest.mark.sockets
@pytest.mark.parametrize(("milliseconds", "seconds"), [(0, 0.0), (1500, 1.5), (2.5, 0.0025), (10**15, DAY)])
@conforms("A22", "P30")
async def test_the_reset_is_told_in_seconds_and_may_be_zero(milliseconds: float, seconds: float) -> None:
    assert (await fetch(response(200, limited(reset_after=milliseconds)))).reset_after == pytest.approx(seconds)


@pytest.mark.sockets
@conforms("P78")
async def test_unknown_fields_are_ignored() -> None:
    assert await fetch(response(200, changed(new_field=[1, {"a": None}]))) == METADATA


@pytest.mark.sockets
async def test_an_answer_as_large_as_the_bound_is_read_and_a_larger_one_is_not() -> None:
    body = json.dumps(ANSWER)
    assert await fetch(response(200, body + " " * (MAX_BODY - len(body)))) == METADATA
    refused = await failure(response(200, body + " " * (MAX_BODY - len(body) + 1)))
    assert refused.error is MetadataError.MALFORMED


@pytest.mark.sockets
async def test_an_endless_answer_is_left_after_the_bound() -> None:
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    refused = await failure(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 200)
    assert refused.error is MetadataError.MALFORMED


@pytest.mark.sockets
async def test_a_compressed_answer_is_refused_unread() -> None:
    refused = await failure(response(200, b"\x1f\x8b" + b"\0" * 50, Content_Encoding="gzip"))
    assert refused.error is MetadataError.MALFORMED


@pytest.mark.sockets
@pytest.mark.parametrize(
    ("status", "error"), [(401, MetadataError.FATAL), (429, MetadataError.TRANSIENT), (502, MetadataError.TRANSIENT)]
)
async def test_a_status_of_trouble_counts_whatever_comes_with_it(status: int, error: MetadataError) -> None:
    assert (await failure(response(status, b"\x1f\x8b", Content_Encoding="gzip"))).error is error
    assert (await failure(response(status, b"x" * 200_000))).error is error


# -- trouble on the way ------------------------------------------------------------------------------------------------


@pytest.mark.sockets
@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"hunter2 is no HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nBad\0Header: hunter2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: hunter2\r\n\r\n",
    ],
)
async def test_an_answer_that_is_not_http_is_transient(reply: bytes) -> None:
    assert (await failure(reply)).error is MetadataError.TRANSIENT


@pytest.mark.sockets
async def test_a_server_that_is_not_there_is_transient() -> None:
    source = HttpMetadataSource(Token(SECRET), base_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(MetadataUnavailable) as refused:
        await source.fetch()
    assert refused.value.error is MetadataError.TRANSIENT


@pytest.mark.sockets
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"])
async def test_a_server_that_falls_silent_is_transient_within_the_timeout(sent: bytes) -> None:
    async def handler(stream: trio.SocketStream) -> None:
        await stream.send_all(sent)
        await trio.sleep_forever()

    async with serve(handler) as port:
        source = HttpMetadataSource(Token(SECRET), base_url=f"http://127.0.0.1:{port}", timeout=0.2)
        with trio.fail_after(PATIENCE), pytest.raises(MetadataUnavailable) as refused:
            await source.fetch()
    assert refused.value.error is MetadataError.TRANSIENT


@pytest.mark.sockets
async def test_a_server_that_drips_is_transient_within_the_timeout() -> None:
    async def handler(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n")
        with suppress(trio.BrokenResourceError):
            while True:
                await stream.send_all(b" ")
                await trio.sleep(0.01)

    async with serve(handler) as port:
        source = HttpMetadataSource(Token(SECRET), base_url=f"http://127.0.0.1:{port}", timeout=0.2)
        with trio.fail_after(PATIENCE), pytest.raises(MetadataUnavailable, match=r"0\.2 s"):
            await source.fetch()


@pytest.mark.sockets
@pytest.mark.parametrize("scheme", ["http", "https"])  # the second never gets beyond its TLS handshake
async def test_a_cancelled_request_is_cancelled_and_closed(scheme: str) -> None:
    closed = trio.Event()

    async def handler(stream: trio.SocketStream) -> None:
        while await stream.receive_some():
            asking.cancel()
        closed.set()

    async with serve(handler) as port:
        with trio.CancelScope() as asking:
            await HttpMetadataSource(Token(SECRET), base_url=f"{scheme}://127.0.0.1:{port}").fetch()
        assert asking.cancelled_caught
        with trio.fail_after(PATIENCE):
            await closed.wait()


def answering(reply: bytes, asked: list[GatewayUrl] | None = None) -> StreamOpener:
    """Opens streams in memory, at whose other end somebody sends `reply` and hangs up."""

    async def opener(url: GatewayUrl) -> trio.abc.Stream:
        if asked is not None:
            asked.append(url)
        ours, theirs = trio.testing.memory_stream_pair()
        await theirs.send_all(reply)
        await theirs.send_eof()
        return ours

    return opener


async def test_a_request_goes_through_the_opener_that_was_given() -> None:
    asked: list[GatewayUrl] = []
    assert await HttpMetadataSource(Token(SECRET), opener=answering(response(), asked)).fetch() == METADATA
    assert asked == [GatewayUrl("https", "discord.com", 443, "/api/v10/gateway/bot")]
    assert asked[0].secure


async def test_what_the_opener_says_is_the_reason() -> None:
    async def refuse(url: GatewayUrl) -> trio.abc.Stream:
        raise ConnectionUnavailable(ConnectError.PROXY, f"{url.authority} is out of reach")

    with pytest.raises(MetadataUnavailable, match=r"^no gateway metadata \(transient\): discord\.com is out of") as no:
        await HttpMetadataSource(Token(SECRET), opener=refuse).fetch()
    assert no.value.__context__ is None


@given(st.binary(max_size=300) | st.builds(json.dumps, st.dictionaries(st.sampled_from(sorted(ANSWER)), st.integers())))
def test_any_body_is_metadata_or_unavailable(body: bytes | str) -> None:
    async def main() -> None:
        data = body.encode() if isinstance(body, str) else body
        source = HttpMetadataSource(Token(SECRET), opener=answering(response(200, data)))
        try:
            await source.fetch()
        except MetadataUnavailable as refused:
            errors.append(refused.error)

    errors: list[MetadataError] = []
    trio.run(main)
    assert set(errors) <= {MetadataError.MALFORMED}
