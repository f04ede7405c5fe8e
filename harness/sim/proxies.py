"""A simulated proxy: HTTP CONNECT, plain or under TLS, and SOCKS5, with credentials, and with bad days."""

from __future__ import annotations

import base64
from typing import Final

import trio

from gatewright.harness.sim.sockets import PASSWORD, PROXY, USER, Doors, server_context

_ANSWERS: Final = (
    b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"HTTP/1.1 403 Forbidden\r\n\r\n",
    b"HTTP/1.1 502 Bad Gateway\r\n\r\n", b"HTTP/1.1 301 Moved\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nand more", b"SSH-2.0",
    b"nonsense\r\n\r\n", b"",
)  # fmt: skip
"""What it says when it does not open the way; then it hangs up."""
_NO_SUCH_HOST: Final = (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", b"\x05\x04\x00\x01\x00\x00\x00\x00\x00\x00")
_REPLIES: Final = (
    b"\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00", b"\x05\x01\x00\x01\x00\x00\x00\x00\x00\x00", b"\x04",
    b"\x05\x00\x00\x09", b"",
)  # fmt: skip


class _HungUp(Exception):
    pass


async def http_proxy(stream: trio.abc.Stream, doors: Doors) -> None:
    """Reads a CONNECT, and leads to the host that it names."""
    try:
        head = await _until_blank(stream)
        target = head.split(b" ", 2)[1].rpartition(b":")[0].decode()
        credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode())
        trouble = doors.trouble(len(_ANSWERS))
        if trouble is not None or credentials not in head:
            await _say_and_leave(stream, _ANSWERS[trouble or 0])
            return
        host = doors.host_of(target)
        if host is None:
            await _say_and_leave(stream, _NO_SUCH_HOST[0])
            return
        await stream.send_all(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Connection established\r\n\r\n")
    except (_HungUp, trio.BrokenResourceError, trio.ClosedResourceError):
        await trio.aclose_forcefully(stream)
        return
    await doors.gateway(host, stream)


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
    try:
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
        trouble = doors.trouble(len(_REPLIES))
        if trouble is not None:
            await _say_and_leave(stream, _REPLIES[trouble])
            return
        host = doors.host_of(target)
        if host is None:
            await _say_and_leave(stream, _NO_SUCH_HOST[1])
            return
        await stream.send_all(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
    except (_HungUp, trio.BrokenResourceError, trio.ClosedResourceError):
        await trio.aclose_forcefully(stream)
        return
    await doors.gateway(host, stream)


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
