"""Gateway URLs: parsed once, checked once, and carried as a value from then on.

A URL reaches us from configuration, from ``GET /gateway/bot`` and from READY, and the token is sent to wherever it
points. So nothing but TLS is accepted, except towards this machine itself, where tests and proxies live. The URL of the
HTTP API is checked by the same rules.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs

from gatewright.spec.errors import ConfigurationError
from gatewright.spec.protocol import API_VERSION

_DEFAULT_PORTS: Final = {"wss": 443, "ws": 80, "https": 443, "http": 80}
_MAX_LENGTH: Final = 2048
_MAX_HOST: Final = 253
_LOOPBACK: Final = {4: ipaddress.ip_network("127.0.0.0/8"), 6: ipaddress.ip_network("::1/128")}
_NEGOTIATED: Final = frozenset({"v", "encoding", "compress"})

# What RFC 3986 lets stand in a URL. urlsplit() drops tabs and line ends without a word and lets most else through, and
# the path ends up in a request line: so everything else is refused before it looks.
_ALLOWED: Final = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOSTNAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")


class UnusableUrl(ConfigurationError):
    """A gateway URL that is refused; the message says why and what to give instead. It never shows credentials."""


@attrs.frozen
class GatewayUrl:
    """A websocket URL that was checked. Make one with :func:`parse_gateway_url`.

    `scheme` is ``wss``, or ``ws`` towards this machine; a metadata request opens its stream for
    ``https`` and ``http``. `host` is in lower case and an IPv6 address stands without its brackets.
    `path` begins with ``/``; `query` is without its question mark and may be empty.
    """

    scheme: str
    host: str
    port: int
    path: str = "/"
    query: str = ""

    @property
    def secure(self) -> bool:
        """Whether the connection is under TLS."""
        return self.scheme in {"wss", "https"}

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL and in a ``Host`` header: the scheme's own port is left out."""
        return authority_of(self.host, None if self.port == _DEFAULT_PORTS[self.scheme] else self.port)

    @property
    def target(self) -> str:
        """Path and query as they stand in the request line of the upgrade."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def with_query(self, *, v: int = API_VERSION, encoding: str = "json", compress: str | None = None) -> GatewayUrl:
        """The same URL with what every connection has to negotiate; other parameters of the query are kept.

        Args:
            v: the API version. Left out, the server would take 6.
            encoding: ``json``; Gatewright reads nothing else.
            compress: ``zlib-stream``, ``zstd-stream``, or ``None``, which also removes one that the URL came with: a
                server must not compress for a client that is not prepared to inflate.

        Source: P04, P05, P06, P36.
        """
        kept = [pair for pair in parse_qsl(self.query, keep_blank_values=True) if pair[0] not in _NEGOTIATED]
        negotiated = [("v", str(v)), ("encoding", encoding)]
        if compress is not None:
            negotiated.append(("compress", compress))
        return attrs.evolve(self, query=urlencode(kept + negotiated))

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_gateway_url(text: object) -> GatewayUrl:
    """Check a gateway URL and take it apart.

    Args:
        text: anything, since it may come out of somebody's JSON. Usable is a string ``wss://host[:port][/path][?query]``,
            or the same with ``ws://`` when the host is this machine: ``localhost``, ``127.0.0.0/8`` or ``[::1]``.

    Raises:
        UnusableUrl: for everything else: other schemes, user names, fragments, white space, bad hosts and ports.

    Source: P06, P07, R20.
    """
    return _parse(text, what="gateway URL", example="wss://gateway.discord.gg/", secure="wss", clear="ws")


def parse_api_url(text: object) -> str:
    """Check the base URL of the HTTP API by the same rules, with ``https`` and ``http``; it comes without a last slash.

    Raises:
        UnusableUrl: as for :func:`parse_gateway_url`, and for a query, since paths are added behind.
    """
    url = _parse(text, what="API URL", example="https://discord.com/api/v10", secure="https", clear="http")
    if url.query:
        raise UnusableUrl("the API URL has a query, and paths are added behind it; remove the query")
    return str(url).rstrip("/")


def usable_resume_url(text: object) -> str | None:
    """The resume URL of a READY in its normal form, or ``None`` when it cannot be used.

    A READY with a bad one is still a READY: such a session resumes through the main URL (R20, P35).
    """
    try:
        return str(parse_gateway_url(text))
    except UnusableUrl:
        return None


def _parse(text: object, *, what: str, example: str, secure: str, clear: str) -> GatewayUrl:
    # No message repeats the text: it may hold credentials, or be a token in the wrong place.
    if not isinstance(text, str):
        raise UnusableUrl(f"the {what} must be a string such as {example!r}, not {type(text).__name__}")
    if len(text) > _MAX_LENGTH:
        raise UnusableUrl(f"a {what} of {len(text)} characters is refused; the bound is {_MAX_LENGTH}")
    if not _ALLOWED.fullmatch(text):
        raise UnusableUrl(
            f"the {what} is empty or holds white space or characters that a URL must escape; "
            "remove them or write them as %XX"
        )
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # its own text quotes the URL
        raise UnusableUrl(
            f"the {what} has a port or an address in brackets that cannot be read; a port is 1 to 65535"
        ) from None
    scheme, host = parts.scheme, parts.hostname or ""
    if scheme not in {secure, clear}:
        raise UnusableUrl(f"the {what} must begin with '{secure}://', for example {example!r}")
    if "@" in parts.netloc:
        raise UnusableUrl(f"the {what} holds a user name or a password; remove them, they are not used")
    if "#" in text:
        raise UnusableUrl(f"the {what} has a fragment, which means nothing to a server; remove it")
    if port == 0:
        raise UnusableUrl(f"the {what} has port 0; give a port from 1 to 65535, or none")
    address = _address(host)
    if not is_host(host):
        raise UnusableUrl(f"the {what} has no host, or one that is neither a name nor an address")
    here = host == "localhost" or (address is not None and address in _LOOPBACK[address.version])
    if scheme == clear and not here:
        raise UnusableUrl(
            f"the {what} leads to {host!r} without TLS, and the token would be sent in clear; use '{secure}://'. "
            f"'{clear}://' is for this machine only: localhost, 127.0.0.0/8, [::1]"
        )
    return GatewayUrl(scheme, host, _DEFAULT_PORTS[scheme] if port is None else port, parts.path or "/", parts.query)


def is_host(host: str) -> bool:
    """Whether `host`, in lower case and without brackets, is a name or an address."""
    return _address(host) is not None or (len(host) <= _MAX_HOST and _HOSTNAME.fullmatch(host) is not None)


def authority_of(host: str, port: int | None) -> str:
    """`host` and, if there is one, `port` as they stand in a URL."""
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port is None else f"{bracketed}:{port}"


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """`host` as an address, without a scope: ``%`` has another meaning in a URL."""
    if "%" in host:
        return None
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
