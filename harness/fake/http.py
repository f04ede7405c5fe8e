"""HTTP on the fake gateway's port: one request a connection, and an answer in bytes."""

from __future__ import annotations

from http import HTTPStatus

import h11
import trio

from gatewright.harness.fake.script import Answer

_MAX_HEAD = 65_536


def response(answer: Answer) -> bytes:
    """`answer` as a whole HTTP response, after which the connection ends."""
    body = answer.content()
    try:
        phrase = HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = "Unknown"
    headers = {
        "content-type": "application/json",
        **{name.lower(): value for name, value in answer.headers.items()},
        "content-length": str(len(body)),
        "connection": "close",
    }
    head = f"HTTP/1.1 {answer.status} {phrase}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return head.encode("latin-1") + b"\r\n" + body


async def read_request(stream: trio.abc.Stream) -> tuple[h11.Request, bytes] | None:
    """The first request of `stream` and the bytes that came after its head; ``None`` if there is none.

    Whatever is no HTTP, or ends too early, is none.
    """
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)
    while True:
        try:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                return event, connection.trailing_data[0]
            if event is not h11.NEED_DATA:
                return None
            connection.receive_data(bytes(await stream.receive_some(65_536)))
        except (h11.RemoteProtocolError, trio.BrokenResourceError, trio.ClosedResourceError):
            return None


def header(request: h11.Request, name: bytes) -> str | None:
    """The value of one header of `request`; `name` in lower case."""
    return next((value.decode("latin-1") for key, value in request.headers if key == name), None)
