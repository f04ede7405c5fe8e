"""A simulated proxy: HTTP CONNECT, plain or under TLS, and SOCKS5, with credentials, and with bad days."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import trio

from gatewright.harness.sim.sockets import PASSWORD, PROXY, USER, Doors, server_context


class _HungUp(Exception):
    pass


@attrs.frozen
class _Protocol:
    """How a proxy is asked for the way to a host, and what it says."""

    asked: Callable[[trio.abc.Stream], Awaitable[str | None]]
    """Reads what the client wants: the host, or ``None`` with the wrong credentials."""
    troubles: tuple[bytes, ...]
    """When it does not open the way; the first is for credentials. Then it hangs up."""
    no_such_host: bytes
    opened: bytes


async def _lead(protocol: _Protocol, stream: trio.abc.Stream, doors: Doors) -> None:
    try:
        target = await protocol.asked(stream)
        trouble = doors.trouble(len(protocol.troubles))
        if trouble is not None or target is None:
            await _say_and_leave(stream, protocol.troubles[trouble or 0])
            return
        host = doors.host_of(target)
        if host is None:
            await _say_and_leave(stream, protocol.no_such_host)
            return
        await stream.send_all(protocol.opened)
    except (_HungUp, trio.BrokenResourceError, trio.ClosedResourceError):
        await trio.aclose_forcefully(stream)
        return
    await doors.gateway(host, stream)


async def http_proxy(stream: trio.abc.Stream, doors: Doors) -> None:
    """Reads a CONNECT, and leads to the host that it names."""
    await _lead(_HTTP, stream, doors)


async def https_proxy(stream: trio.abc.Stream, doors: Doors) -> None:
    """The same, under TLS."""
    certified = trio.SSLStream(stream, server_context(PROXY), server_side=True, https_compatible=True)
    try:
        await certified.do_handshake()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        await trio.aclose_forcefully(stream)
        return
    await http_proxy(certified, doors)


async def socks_proxy(stream: trio.abc.Stream, doors: Doors) -> None:
    """Reads a greeting, credentials and a request, and leads to the host that it names or whose address it has."""
    await _lead(_SOCKS, stream, doors)


async def _asked_by_connect(stream: trio.abc.Stream) -> str | None:
    head = await _until_blank(stream)
    credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode())
    return head.split(b" ", 2)[1].rpartition(b":")[0].decode() if credentials in head else None


async def _asked_by_socks(stream: trio.abc.Stream) -> str:
    _, methods = await _exactly(stream, 2)
    await _exactly(stream, methods)
    await stream.send_all(b"\x05\x02")
    _, size = await _exactly(stream, 2)
    await _exactly(stream, size)
    await _exactly(stream, (await _exactly(stream, 1))[0])
    await stream.send_all(b"\x01\x00")
    kind = (await _exactly(stream, 4))[3]
    if kind == 3:
        target = (await _exactly(stream, (await _exactly(stream, 1))[0])).decode()
    else:
        target = ".".join(map(str, await _exactly(stream, 4 if kind == 1 else 16)))
    await _exactly(stream, 2)
    return target


async def _say_and_leave(stream: trio.abc.Stream, answer: bytes) -> None:
    if answer:
        await stream.send_all(answer)
    await trio.aclose_forcefully(stream)


async def _until_blank(stream: trio.abc.Stream) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += bytes(await _some(stream, 4096))
    return head


async def _exactly(stream: trio.abc.Stream, size: int) -> bytes:
    found = b""
    while len(found) < size:
        found += bytes(await _some(stream, size - len(found)))
    return found


async def _some(stream: trio.abc.Stream, most: int) -> bytes:
    data = await stream.receive_some(most)
    if not data:
        raise _HungUp
    return bytes(data)


_HTTP: Final = _Protocol(
    asked=_asked_by_connect,
    troubles=(
        b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"HTTP/1.1 403 Forbidden\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n", b"HTTP/1.1 301 Moved\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nand more",
        b"SSH-2.0", b"nonsense\r\n\r\n", b"",
    ),
    no_such_host=b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
    opened=b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Connection established\r\n\r\n",
)  # fmt: skip
_SOCKS: Final = _Protocol(
    asked=_asked_by_socks,
    troubles=(
        b"\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00", b"\x05\x01\x00\x01\x00\x00\x00\x00\x00\x00", b"\x04",
        b"\x05\x00\x00\x09", b"",
    ),
    no_such_host=b"\x05\x04\x00\x01\x00\x00\x00\x00\x00\x00",
    opened=b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00",
)  # fmt: skip
