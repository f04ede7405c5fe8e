"""A proxy as a value: what can be one, what it shows of itself, and what the environment says."""

import copy
import pickle
from typing import Any

import pytest

from gatewright.transport import proxy as proxy_module
from gatewright.transport.proxy import Proxy, UnusableProxy, choose_proxy
from gatewright.transport.urls import GatewayUrl

DISCORD = GatewayUrl("wss", "gateway.discord.gg", 443)
API = GatewayUrl("https", "discord.com", 443)
HERE = GatewayUrl("ws", "127.0.0.1", 4000)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("http://proxy.example:3128", ("http", "proxy.example", 3128, None)),
        ("HTTP://Proxy.Example/", ("http", "proxy.example", 80, None)),
        ("https://proxy.example", ("https", "proxy.example", 443, None)),
        ("socks5://10.0.0.1", ("socks5", "10.0.0.1", 1080, None)),
        ("socks5h://[::1]:9050", ("socks5h", "::1", 9050, None)),
        ("http://user:pa%20ss%40@h", ("http", "h", 80, ("user", "pa ss@"))),
        ("http://user@h", ("http", "h", 80, ("user", ""))),
        ("socks5h://u:p@h:1", ("socks5h", "h", 1, ("u", "p"))),
    ],
)
def test_a_url_is_taken_apart(text: str, parts: tuple[object, ...]) -> None:
    proxy = Proxy(text)
    assert (proxy.scheme, proxy.host, proxy.port, proxy.reveal_credentials()) == parts


def test_credentials_may_stand_beside_the_url_as_they_are() -> None:
    assert Proxy("http://h", username="u", password="p%40:/").reveal_credentials() == ("u", "p%40:/")
    assert Proxy("http://h", username="u", password="p") == Proxy("http://u:p@h:80")
    with pytest.raises(UnusableProxy, match="give them once"):
        Proxy("http://u:p@h", username="u")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "begin with one of"),
        ("hunter2", "begin with one of"),
        ("proxy.example:3128", "begin with one of"),
        ("socks4://h:1", "begin with one of"),
        ("http://", "no usable host"),
        ("http://:hunter2@", "no usable host"),
        ("http://h:0", "no usable host or port"),
        ("http://h:hunter2", "cannot be read"),
        ("http://u:hunter2/x@h:1", "cannot be read"),
        ("http://[::1:80", "cannot be read"),
        ("http://h/hunter2", "more than host and port"),
        ("http://h?hunter2", "more than host and port"),
        ("http://u:hunter 2@h", "must escape"),
        ("http://h\n.x", "must escape"),
        ("http://\u00fc:hunter2@h", "must escape"),
        ("http://" + "x" * 3000, "must escape"),
        ("http://a%3Ab:hunter2@h", "colon"),
        ("socks5://hunter2@h", "1 to 255"),
        ("socks5://:hunter2@h", "1 to 255"),
        ("socks5://u:" + "x" * 256 + "@h", "1 to 255"),
        ("socks5h://u:%C3%BChunter2@h", "1 to 255"),
        ("http://u:hunter2%00@h", "control characters"),
        ("http://u%0D%0A:hunter2@h", "control characters"),
        ("socks5h://u:hunter2%7F@h", "control characters"),
        (8080, "not int"),
    ],
)
def test_what_cannot_be_a_proxy_is_refused_without_being_shown(text: object, words: str) -> None:
    with pytest.raises(UnusableProxy, match=words) as refused:
        Proxy(text)  # type: ignore[arg-type] # on purpose
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h"])
@pytest.mark.parametrize(
    ("password", "words"), [("hunter2\0", "control"), ("hunter2\n", "may end with one"), (b"hunter2", "must be text")]
)
def test_credentials_that_no_proxy_takes_are_refused_without_being_shown(
    scheme: str, password: Any, words: str
) -> None:
    with pytest.raises(UnusableProxy, match=words) as refused:
        Proxy(f"{scheme}://h", username="u", password=password)
    assert "hunter2" not in str(refused.value)


def test_a_proxy_shows_its_credentials_to_nobody() -> None:
    proxy = Proxy("socks5h://alice:hunter2@proxy.example:1080")
    assert repr(proxy) == str(proxy) == f"{proxy}" == "Proxy('socks5h://***@proxy.example:1080')"
    assert repr(Proxy("http://[::1]:80")) == "Proxy('http://[::1]:80')"
    for take in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            take(proxy)


def test_proxies_are_values() -> None:
    assert Proxy("http://u:p@h") == Proxy("http://u:p@h:80")
    assert len({Proxy("http://u:p@h"), Proxy("http://u:p@h:80"), Proxy("http://u:q@h")}) == 2
    assert Proxy("http://h") != "http://h"


def test_socks_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_module.importlib.util, "find_spec", lambda name: None)  # type: ignore[attr-defined] # of another module
    with pytest.raises(UnusableProxy, match=r"pip install 'gatewright\[socks\]'"):
        Proxy("socks5h://h")
    assert not Proxy("http://h").is_socks  # needs nothing


def test_what_is_neither_a_proxy_nor_a_url_is_refused() -> None:
    with pytest.raises(UnusableProxy, match="'env' or None"):
        choose_proxy(8080)  # type: ignore[arg-type] # on purpose


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for variable in ("http", "https", "all", "no", "ws", "wss"):
        monkeypatch.delenv(f"{variable}_proxy", raising=False)
        monkeypatch.delenv(f"{variable}_PROXY".upper(), raising=False)
    return monkeypatch


def test_the_environment_is_looked_at_on_demand_only(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HTTPS_PROXY", "http://p:1")
    assert choose_proxy(None)(DISCORD) is None
    assert choose_proxy("http://q:1")(DISCORD) == Proxy("http://q:1")
    assert choose_proxy("env")(DISCORD) == Proxy("http://p:1")


def test_what_is_under_tls_goes_by_https_proxy_and_all_the_rest_by_all_proxy(environment: pytest.MonkeyPatch) -> None:
    assert choose_proxy("env")(DISCORD) is None
    environment.setenv("ALL_PROXY", "socks5h://a")
    environment.setenv("https_proxy", "u:p@s:1")  # the scheme is often left out
    choose = choose_proxy("env")
    assert [choose(url) for url in (DISCORD, API, HERE)] == [
        Proxy("http://u:p@s:1"),
        Proxy("http://u:p@s:1"),
        Proxy("socks5h://a"),
    ]


def test_no_proxy_leads_past_them(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ALL_PROXY", "http://p")
    environment.setenv("NO_PROXY", "127.0.0.1,.discord.gg")
    choose = choose_proxy("env")
    assert [choose(url) for url in (DISCORD, API, HERE)] == [None, Proxy("http://p"), None]


def test_an_environment_that_cannot_be_used_is_refused_by_name(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HTTPS_PROXY", "ftp://u:hunter2@h")
    with pytest.raises(UnusableProxy, match="HTTPS_PROXY") as refused:
        choose_proxy("env")
    assert "hunter2" not in str(refused.value)
