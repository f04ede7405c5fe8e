"""The simulated network below trio's sockets, so that real TCP streams, TLS, tunnels and their proxies run on it.

trio lets a program bring its own sockets and its own name look-up (:func:`trio.socket.set_custom_socket_factory`). Here
they lead to the same pipes as in other simulated lives. TLS is drawn from the system's chance, and its parts differ
in length by a few bytes, so nothing is cut in these pipes, and a life stays the same in every process.
"""

from __future__ import annotations

import errno
import functools
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NoReturn

import attrs
import trio

from gatewright.harness.sim.network import Network, Stream

Serve = Callable[[trio.abc.Stream], Awaitable[object]]

GATEWAYS: Final = ("gateway.invalid", "resume.gateway.invalid")
PROXY: Final = "proxy.invalid"
USER, PASSWORD = "alice", "sim"
"""Of the proxy."""

_HOSTS: Final = (*GATEWAYS, PROXY)
_STEP: Final = 3
"""One of so many connections does not go well, each time in another way."""


class SimulatedSocket(trio.socket.SocketType):
    """A TCP socket of a client."""

    def __init__(self, doors: Doors, family: int) -> None:
        super().__init__()
        self._doors = doors
        self._family = family
        self._stream: Stream | None = None
        self._closed = False

    @property
    def family(self) -> socket.AddressFamily:
        """See :class:`socket.socket`."""
        return socket.AddressFamily(self._family)

    @property
    def type(self) -> socket.SocketKind:
        """See :class:`socket.socket`."""
        return socket.SOCK_STREAM

    @property
    def did_shutdown_SHUT_WR(self) -> bool:  # noqa: N802 - trio's
        """See :class:`trio.socket.SocketType`."""
        return False

    def fileno(self) -> int:
        """Any number but -1 while it is open."""
        return -1 if self._closed else 3

    def setsockopt(self, level: int, optname: int, value: Any, optlen: int | None = None) -> None:
        """Changes nothing."""

    async def connect(self, address: Any) -> None:
        """Connects as the network and the address have it."""
        if self._family == socket.AF_INET6:
            await trio.sleep(0.01)
            _fail(errno.ENETUNREACH)
        self._stream = await self._doors.connect(address[0])

    async def send(self, data: Any, flags: int = 0) -> int:
        """Sends all of it."""
        stream = self._opened()
        try:
            await stream.send_all(data)
        except trio.BrokenResourceError:
            _fail(errno.EPIPE)
        except trio.ClosedResourceError:
            _fail(errno.EBADF)
        return len(data)

    async def recv(self, size: int, flags: int = 0) -> bytes:
        """What has come."""
        stream = self._opened()
        try:
            return await stream.receive_some(size)
        except trio.BrokenResourceError:
            _fail(errno.ECONNRESET)
        except trio.ClosedResourceError:
            _fail(errno.EBADF)

    async def wait_writable(self) -> None:
        """Waits for room."""
        await self._opened().wait_send_all_might_not_block()

    def close(self) -> None:
        """Closes; idempotent."""
        self._closed = True
        if self._stream is not None:
            self._stream.close()

    def _opened(self) -> Stream:
        if self._stream is None or self._closed:
            _fail(errno.EBADF)
        return self._stream


def _fail(number: int) -> NoReturn:
    raise OSError(number, os.strerror(number))


class Doors(trio.abc.SocketFactory, trio.abc.HostnameResolver):
    """Every host that there is: the gateway under two names, behind TLS, and a proxy.

    Args:
        network: what carries the bytes.
        serve: what the gateway does with a stream.
        proxy: what the proxy does with one, given a way to serve the host that it leads to.
    """

    def __init__(
        self, network: Network, serve: Serve, proxy: Callable[[trio.abc.Stream, Doors], Awaitable[None]]
    ) -> None:
        self._network = network
        self._serve = serve
        self._proxy = proxy
        self._connections = 0

    def install(self) -> None:
        """For the `trio.run` that runs now."""
        trio.socket.set_custom_socket_factory(self)
        trio.socket.set_custom_hostname_resolver(self)

    # -- what trio asks for ----------------------------------------------------------------------------------------

    def socket(self, family: Any = socket.AF_INET, type: Any = socket.SOCK_STREAM, proto: int = 0) -> SimulatedSocket:  # noqa: A002
        """See :class:`trio.abc.SocketFactory`."""
        return SimulatedSocket(self, family)

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        family: int = 0,
        type: int = 0,  # noqa: A002 - trio's
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        """See :class:`trio.abc.HostnameResolver`: an address that leads nowhere, and one that does."""
        await trio.lowlevel.checkpoint()
        name = host.decode() if isinstance(host, bytes) else host
        if name not in _HOSTS:
            raise socket.gaierror(socket.EAI_NONAME, "the name is not known")
        number = 1 + _HOSTS.index(name)
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"203.0.113.{number}", port))]
        if family in {0, socket.AF_INET6}:
            found.append((socket.AF_INET6, socket.SOCK_STREAM, 6, "", (f"2001:db8::{number}", port, 0, 0)))  # type: ignore[arg-type]  # an address of this family has four parts
        return found

    async def getnameinfo(self, sockaddr: Any, flags: int) -> NoReturn:
        """See :class:`trio.abc.HostnameResolver`."""
        raise NotImplementedError

    # -- what is there ---------------------------------------------------------------------------------------------

    async def connect(self, address: str) -> Stream:
        """Connects to the host with this address."""
        host = self.host_of(address)
        assert host is not None, "an address is one of those that were given out"
        return await self._network.connect(functools.partial(self._at, host), whole=True)

    def host_of(self, address: str) -> str | None:
        """The name of the host with this address, or with this name; ``None`` if there is none."""
        number = address.rpartition(".")[2]
        return _HOSTS[int(number) - 1] if number.isdecimal() else address if address in _HOSTS else None

    def trouble(self, kinds: int) -> int | None:
        """In which of so many ways the connection that has just come goes wrong, if it does."""
        self._connections += 1
        if self._network.healed or self._connections % _STEP:
            return None
        self._network.troubles += 1
        return self._network.chance.below(kinds)

    async def _at(self, host: str, stream: trio.abc.Stream) -> None:
        if host == PROXY:
            await self._proxy(stream, self)
        else:
            await self.gateway(host, stream)

    async def gateway(self, host: str, stream: trio.abc.Stream) -> None:
        """The gateway behind TLS, with a certificate for `host`, or with one that is for another."""
        trouble = self.trouble(3)
        if trouble == 0:
            await stream.send_all(b"HTTP/1.1 400 this port speaks no TLS\r\n\r\n")
        if trouble in {0, 1}:
            await trio.aclose_forcefully(stream)
            return
        certified = trio.SSLStream(
            stream, server_context(PROXY if trouble == 2 else host), server_side=True, https_compatible=True
        )
        try:
            await certified.do_handshake()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await trio.aclose_forcefully(stream)
            return
        await self._serve(certified)


@attrs.frozen
class _Authority:
    client: ssl.SSLContext
    servers: Mapping[str, ssl.SSLContext]


@functools.cache
def _authority() -> _Authority:
    import trustme

    authority = trustme.CA()
    client = ssl.create_default_context()
    authority.configure_trust(client)  # type: ignore[arg-type,unused-ignore]  # its types name pyOpenSSL as well
    servers: dict[str, ssl.SSLContext] = {}
    for host in _HOSTS:
        servers[host] = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(host).configure_cert(servers[host])  # pyright: ignore[reportUnknownMemberType] # its types name pyOpenSSL
    return _Authority(client, servers)


def client_context() -> ssl.SSLContext:
    """Trusts the simulated hosts. Made once in a process, out of the system's chance."""
    return _authority().client


def server_context(host: str) -> ssl.SSLContext:
    """With a certificate for `host`."""
    return _authority().servers[host]
