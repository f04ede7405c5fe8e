"""Proxies: which one a connection goes through, as a value that shows its credentials to nobody.

A proxy carries everything that leads to Discord, metadata and websocket alike. It sees a host and a port; what passes
is under TLS from here to Discord, and the certificate is checked for Discord's name.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import Final, NoReturn, TypeAlias
from urllib.parse import unquote, urlsplit

from gatewright.spec.errors import ConfigurationError
from gatewright.transport.urls import GatewayUrl, authority_of, is_host

_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_MAX_LENGTH: Final = 2048
_MAX_SOCKS_FIELD: Final = 255
"""Bytes of a user name or a password (RFC 1929, 2)."""
_EXAMPLE: Final = "'http://user:password@host:port' or 'socks5h://host:port'"

ENVIRONMENT: Final = "env"
"""In place of a proxy: the one that the environment names."""


class UnusableProxy(ConfigurationError):
    """A proxy that is refused, before any I/O; the message says why and shows no part of it."""


class Proxy:
    """A proxy, with or without credentials.

    Args:
        url: ``scheme://[user:password@]host[:port]``. Credentials in it are percent-decoded.

            =========== =============================================== ======
            scheme      what is spoken to the proxy                     port
            =========== =============================================== ======
            ``http``    CONNECT (RFC 9110, 9.3.6)                       80
            ``https``   the same, under TLS: the credentials are hidden 443
            ``socks5h`` SOCKS5 (RFC 1928); the proxy looks names up     1080
            ``socks5``  the same; names are looked up here              1080
            =========== =============================================== ======

            The SOCKS schemes need the extra ``gatewright[socks]``.
        username, password: the credentials as they are, instead of those in `url`.

    Raises:
        UnusableProxy: if it cannot be used.

    It compares by value, and neither its ``repr`` nor any error or log shows the credentials.
    """

    __slots__ = ("_credentials", "host", "port", "scheme")

    def __init__(self, url: str, *, username: str | None = None, password: str | None = None) -> None:
        self.scheme, self.host, self.port, self._credentials = _parse(url)
        """`host` is in lower case; an IPv6 address stands without brackets."""
        if username is not None or password is not None:
            if self._credentials is not None:
                raise UnusableProxy("the proxy has credentials in its URL and beside it; give them once")
            self._credentials = (username or "", password or "")
        _check_credentials(self.scheme, self._credentials)
        if self.is_socks and importlib.util.find_spec("python_socks") is None:
            raise UnusableProxy("a SOCKS proxy needs one more package: pip install 'gatewright[socks]'")

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS5; otherwise HTTP CONNECT."""
        return self.scheme in {"socks5", "socks5h"}

    @property
    def authority(self) -> str:
        """Host and port, for people."""
        return authority_of(self.host, self.port)

    @property
    def has_credentials(self) -> bool:
        """Whether a user name or a password was given."""
        return self._credentials is not None

    def reveal_credentials(self) -> tuple[str, str] | None:
        """User name and password. Call it where they leave for the proxy, and nowhere else."""
        return self._credentials

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Proxy):
            return NotImplemented
        return self._value() == other._value()

    def __hash__(self) -> int:
        return hash(self._value())

    def __repr__(self) -> str:
        return f"Proxy('{self.scheme}://{'***@' if self.has_credentials else ''}{self.authority}')"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Proxy is not pickled, so that its credentials cannot leak into a file; hand them over anew")

    def _value(self) -> tuple[str, str, int, tuple[str, str] | None]:
        return self.scheme, self.host, self.port, self._credentials


ProxyChoice: TypeAlias = Callable[[GatewayUrl], Proxy | None]
"""Which proxy leads to a URL; ``None`` for none."""


def choose_proxy(proxy: Proxy | str | None) -> ProxyChoice:
    """What the parameter `proxy` means: a proxy for everything, none, or with ``"env"`` what the environment says.

    Raises:
        UnusableProxy: if it, or what the environment names now, cannot be used.
    """
    if proxy == ENVIRONMENT:
        return _from_environment()
    chosen = Proxy(proxy) if isinstance(proxy, str) else proxy
    if chosen is not None and not isinstance(chosen, Proxy):  # pyright: ignore[reportUnnecessaryIsInstance] # not all use a type checker
        raise UnusableProxy(f"the proxy must be a URL such as {_EXAMPLE}, a Proxy, 'env' or None")
    return lambda _url: chosen


def _from_environment() -> ProxyChoice:
    """`https_proxy`, `http_proxy` (towards this machine only, where there is no TLS), `all_proxy`, `no_proxy`."""
    from urllib.request import getproxies_environment, proxy_bypass

    named: Mapping[str, str] = getproxies_environment()
    proxies: dict[str, Proxy] = {}
    for variable in ("https", "http", "all"):
        text = named.get(variable, "")
        if text:
            try:
                proxies[variable] = Proxy(text if "://" in text else f"http://{text}")
            except UnusableProxy as error:
                raise UnusableProxy(f"of the environment's {variable.upper()}_PROXY: {error}") from None

    def choose(url: GatewayUrl) -> Proxy | None:
        if proxy_bypass(url.host):
            return None
        return proxies.get("https" if url.secure else "http") or proxies.get("all")

    return choose


def _parse(text: object) -> tuple[str, str, int, tuple[str, str] | None]:
    # No message repeats the text: it may hold credentials.
    if not isinstance(text, str):
        raise UnusableProxy(f"the proxy must be a URL such as {_EXAMPLE}, not {type(text).__name__}")
    if len(text) > _MAX_LENGTH or not text.isascii() or not text.isprintable() or " " in text:
        raise UnusableProxy(
            f"the proxy's URL has more than {_MAX_LENGTH} characters, or some that a URL must escape; write them as %XX"
        )
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # its own text quotes the URL
        raise UnusableProxy(
            "the proxy's URL has a port or an address in brackets that cannot be read; escape '/', '?', '#' and '@' "
            "in credentials as %XX, or give them as username= and password="
        ) from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise UnusableProxy(f"the proxy must begin with one of {', '.join(_DEFAULT_PORTS)}, as in {_EXAMPLE}")
    host = parts.hostname or ""
    if not is_host(host) or port == 0:
        raise UnusableProxy(f"the proxy's URL has no usable host or port; it should look like {_EXAMPLE}")
    if parts.path.rstrip("/") or parts.query or parts.fragment:
        raise UnusableProxy(
            "the proxy's URL has more than host and port; remove the rest, or escape '/', '?' and '#' in credentials"
        )
    credentials = None
    if parts.username is not None:
        credentials = (unquote(parts.username), unquote(parts.password or ""))
    return parts.scheme, host, _DEFAULT_PORTS[parts.scheme] if port is None else port, credentials


def _check_credentials(scheme: str, credentials: tuple[str, str] | None) -> None:
    if credentials is None:
        return
    if not all(isinstance(field, str) for field in credentials):  # pyright: ignore[reportUnnecessaryIsInstance] # not all use a type checker
        raise UnusableProxy("the proxy's user name and password must be text")
    if any(character < " " or character == "\x7f" for field in credentials for character in field):
        raise UnusableProxy(
            "the proxy's user name and password must not hold control characters, such as a line feed or a NUL "
            "(RFC 7617, 2); a file that one was read from may end with one"
        )
    if scheme in {"socks5", "socks5h"}:
        if not all(field.isascii() and 0 < len(field) <= _MAX_SOCKS_FIELD for field in credentials):
            raise UnusableProxy(
                "SOCKS5 takes a user name and a password, each of 1 to 255 ASCII characters, or neither of them"
            )
    elif ":" in credentials[0]:
        raise UnusableProxy("the user name for an HTTP proxy must not hold a colon (RFC 7617, 2)")
