"""Gateway URLs: what is accepted, what is refused, and how the query is merged."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.transport.urls import GatewayUrl, UnusableUrl, parse_api_url, parse_gateway_url, usable_resume_url
from tests.support.conforms import conforms


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("wss://gateway.discord.gg", "wss://gateway.discord.gg/"),
        ("wss://gateway.discord.gg/", "wss://gateway.discord.gg/"),
        ("WSS://Gateway.Discord.GG", "wss://gateway.discord.gg/"),
        ("wss://gateway.discord.gg:443/", "wss://gateway.discord.gg/"),
        ("wss://gateway.discord.gg:8443/x?a=b", "wss://gateway.discord.gg:8443/x?a=b"),
        ("wss://gateway-us-east1-b.discord.gg", "wss://gateway-us-east1-b.discord.gg/"),
        ("wss://[2001:db8::1]:444/", "wss://[2001:db8::1]:444/"),
        ("ws://localhost:8080", "ws://localhost:8080/"),
        ("ws://127.0.0.1:8080/", "ws://127.0.0.1:8080/"),
        ("ws://127.255.0.9/", "ws://127.255.0.9/"),
        ("ws://[::1]:80/", "ws://[::1]/"),
    ],
)
@conforms("P06", "P07")
def test_a_url_that_leads_over_tls_or_to_this_machine_is_accepted_in_its_normal_form(text: str, normal: str) -> None:
    assert str(parse_gateway_url(text)) == normal
    assert usable_resume_url(text) == normal


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        b"wss://gateway.discord.gg",
        ["wss://gateway.discord.gg"],
        "",
        "gateway.discord.gg",
        "//gateway.discord.gg",
        "http://gateway.discord.gg",
        "https://gateway.discord.gg",
        "javascript:alert(1)",
        "ws://gateway.discord.gg",
        "ws://128.0.0.1/",
        "ws://localhost.example.com/",
        "ws://[::ffff:127.0.0.1]/",
        "ws://0.0.0.0/",
        "ws://2130706433/",
        "wss://",
        "wss:///path",
        "wss://:443/",
        "wss://user@gateway.discord.gg/",
        "wss://user:secret@gateway.discord.gg/",
        "wss://@gateway.discord.gg/",
        "wss://gateway.discord.gg:0/",
        "wss://gateway.discord.gg:65536/",
        "wss://gateway.discord.gg:-1/",
        "wss://gateway.discord.gg:abc/",
        "wss://gateway.discord.gg/#top",
        "wss://gateway.discord.gg/#",
        " wss://gateway.discord.gg/",
        "wss://gateway.discord.gg/ ",
        "wss://gateway.discord.gg/\r\nX: y",
        "wss://gateway\t.discord.gg/",
        "wss://gateway.discord.gg/\u00e9",
        "wss://g\u00e4teway.discord.gg/",
        "wss://gateway..discord.gg/",
        "wss://-gateway.discord.gg/",
        "wss://[::1",
        "wss://[fe80::1%25eth0]/",
        "wss://a\\b/",
        "wss://" + "a" * 64 + ".com/",
        "wss://" + "a" * 254 + "/",
        "wss://gateway.discord.gg/" + "a" * 3000,
    ],
)
@conforms("P07")
def test_any_other_url_is_refused(text: object) -> None:
    with pytest.raises(UnusableUrl):
        parse_gateway_url(text)
    assert usable_resume_url(text) is None


@pytest.mark.parametrize(
    "text", ["wss://user:hunter2@h/", "wss://h:hunter2/", "wss://[hunter2/", "hunter2://h/x", "hunter2", "wss:hunter2"]
)
def test_a_refusal_does_not_repeat_what_may_be_a_secret(text: str) -> None:
    with pytest.raises(UnusableUrl) as refused:
        parse_gateway_url(text)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_a_refusal_says_what_to_give_instead() -> None:
    with pytest.raises(UnusableUrl, match=r"wss://"):
        parse_gateway_url("http://gateway.discord.gg")


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("wss://h", "v=10&encoding=json"),
        ("wss://h/", "v=10&encoding=json"),
        ("wss://h/?", "v=10&encoding=json"),
        ("wss://h/?v=6&encoding=etf", "v=10&encoding=json"),
        ("wss://h/?region=eu&v=9", "region=eu&v=10&encoding=json"),
        ("wss://h/?flag=", "flag=&v=10&encoding=json"),
        ("wss://h/?a=b%26c", "a=b%26c&v=10&encoding=json"),
    ],
)
@conforms("P04", "P05", "P06")
def test_the_query_is_merged_and_not_glued_on(text: str, query: str) -> None:
    url = parse_gateway_url(text).with_query()
    assert url.query == query
    assert url.target == f"/?{query}"


@conforms("P04")
def test_compression_is_asked_for_only_when_wished() -> None:
    url = parse_gateway_url("wss://h/?compress=zlib-stream")
    assert "compress" not in str(url.with_query())
    assert str(url.with_query(compress="zstd-stream")).count("compress=") == 1
    assert "compress=zstd-stream" in str(url.with_query(compress="zstd-stream"))


@conforms("P06")
def test_negotiating_twice_changes_nothing_more() -> None:
    once = parse_gateway_url("wss://h/p?x=1").with_query(compress="zlib-stream")
    assert once.with_query(compress="zlib-stream") == once


def test_the_authority_leaves_out_the_port_of_its_scheme_only() -> None:
    assert parse_gateway_url("wss://h:80/").authority == "h:80"
    assert parse_gateway_url("ws://localhost:443/").authority == "localhost:443"
    assert parse_gateway_url("wss://h:443/").authority == "h"


@given(st.text(max_size=80) | st.text(alphabet="wsxn:/@#?[]%.:0189 \t", max_size=40).map("wss://".__add__))
def test_whatever_the_text_it_is_either_refused_or_stays_itself(text: str) -> None:
    try:
        url = parse_gateway_url(text)
    except UnusableUrl:
        return
    assert parse_gateway_url(str(url)) == url
    assert urlsplit(str(url)).hostname == url.host
    assert url.target.isascii()
    assert not any(character.isspace() for character in str(url))


@given(st.lists(st.tuples(st.text(min_size=1, max_size=5), st.text(max_size=5)), max_size=4))
@conforms("P06")
def test_other_parameters_of_the_query_survive(pairs: list[tuple[str, str]]) -> None:
    from urllib.parse import urlencode

    url = GatewayUrl("wss", "h", 443, "/", urlencode(pairs)).with_query()
    kept = [pair for pair in pairs if pair[0] not in {"v", "encoding", "compress"}]
    assert parse_qsl(url.query, keep_blank_values=True) == [*kept, ("v", "10"), ("encoding", "json")]


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("https://discord.com/api/v10", "https://discord.com/api/v10"),
        ("https://discord.com/api/v10/", "https://discord.com/api/v10"),
        ("https://discord.com", "https://discord.com"),
        ("http://127.0.0.1:8000/api", "http://127.0.0.1:8000/api"),
    ],
)
def test_an_api_url_is_checked_like_a_gateway_url(text: str, normal: str) -> None:
    assert parse_api_url(text) == normal


@pytest.mark.parametrize(
    "text", ["http://discord.com/api", "wss://discord.com", "https://u:p@discord.com", "https://discord.com/?x=1", None]
)
def test_an_api_url_that_would_send_the_token_in_clear_or_elsewhere_is_refused(text: object) -> None:
    with pytest.raises(UnusableUrl):
        parse_api_url(text)
