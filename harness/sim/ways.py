"""The ways by which a simulated shard reaches its gateway: in memory, or through trio's sockets, TLS and proxies."""

from __future__ import annotations

from typing import Final

from gatewright.harness.fake import FakeGateway
from gatewright.harness.sim.extras import check
from gatewright.harness.sim.network import Network
from gatewright.harness.sim.proxies import http_proxy, https_proxy, socks_proxy
from gatewright.harness.sim.scenario import Way
from gatewright.harness.sim.sockets import PASSWORD, PROXY, USER, Doors, client_context
from gatewright.transport.proxy import Proxy
from gatewright.transport.seams import StreamOpener
from gatewright.transport.streams import TcpStreamOpener

_SERVERS: Final = {
    Way.HTTP_PROXY: http_proxy, Way.HTTPS_PROXY: https_proxy, Way.SOCKS: socks_proxy, Way.SOCKS_BY_NAME: socks_proxy,
}  # fmt: skip
_SCHEMES: Final = {
    Way.HTTP_PROXY: "http", Way.HTTPS_PROXY: "https", Way.SOCKS: "socks5", Way.SOCKS_BY_NAME: "socks5h",
}  # fmt: skip


def opener_of(way: Way, network: Network, fake: FakeGateway) -> StreamOpener:
    """How streams are opened on this way, in the `trio.run` that runs now; but in memory by the shipped opener.

    Raises:
        ConfigurationError: something that this way needs is not installed; it says how to get it.
    """
    if way is Way.MEMORY:
        return network
    check(way)
    Doors(network, fake.serve_stream, _SERVERS.get(way, http_proxy)).install()
    scheme = _SCHEMES.get(way)
    proxy = None if scheme is None else Proxy(f"{scheme}://{PROXY}", username=USER, password=PASSWORD)
    return TcpStreamOpener(proxy=proxy, ssl_context=client_context())
