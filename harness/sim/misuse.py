"""What people get wrong in the middle of a shard's life: each is refused by a typed error, and changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from gatewright.spec.errors import GatewrightError
from gatewright.transport.commands import Activity, UpdatePresence, UpdateVoiceState
from gatewright.transport.proxy import Proxy, choose_proxy
from gatewright.transport.queue import Queue
from gatewright.transport.shard import Shard
from gatewright.transport.token import Token
from gatewright.transport.urls import parse_api_url, parse_gateway_url

_WRONG: Final[Any] = object()

VALUES: Final[tuple[Callable[[], object], ...]] = (
    *(lambda text=text: Token(text) for text in ("", "a b", "'quoted'", "x" * 600, _WRONG)),
    *(
        lambda url=url: Proxy(url)
        for url in (
            "",
            "ftp://host",
            "http://host:0",
            "http://:80",
            "http://host/path",
            "http://ho st",
            "x" * 3000,
            _WRONG,
        )
    ),
    lambda: Proxy("http://a:b@host", username="c"),
    lambda: Proxy("socks5://host", username="u" * 300, password=""),
    lambda: Proxy(_WRONG),
    lambda: choose_proxy(_WRONG),
    lambda: parse_gateway_url(_WRONG),
    *(
        lambda url=url: parse_gateway_url(url)
        for url in (
            "",
            "http://host",
            "wss://u:p@host",
            "wss://host#part",
            "wss://host:0",
            "wss://",
            "x" * 3000,
            _WRONG,
        )
    ),
    lambda: parse_api_url("https://host/api?query"),
    lambda: parse_api_url("http://elsewhere/api"),
    lambda: Queue(events=0),
    lambda: Queue(policy=_WRONG),
    lambda: UpdateVoiceState("no id", None),
    lambda: UpdateVoiceState(1, None, self_mute=_WRONG),
    lambda: UpdatePresence(status="busy"),
    lambda: UpdatePresence(activities=(_WRONG,)),
    lambda: Activity("x", type=_WRONG),
    lambda: Shard("token", intents=_WRONG),
    lambda: Shard("token", intents=0, session=_WRONG),
    lambda: Shard("token", intents=0, session_max_age=-1),
    lambda: Shard("token", intents=0, compress=_WRONG),
    lambda: Shard("token", intents=0, ack=_WRONG),
    lambda: Shard("token", intents=0, queue=0),
    lambda: Shard("token", intents=0, capabilities=_WRONG),
    lambda: Shard("token", intents=0, large_threshold=1),
    lambda: Shard("token", intents=0, properties={"x": _WRONG}),
)
"""Values that there are not."""

CALLS: Final[tuple[Callable[[Shard], Awaitable[object]], ...]] = (
    lambda shard: shard.wait_for(),
    lambda shard: shard.wait_for("ready", fail_on="ready"),
    lambda shard: shard.wait_for("no state"),
    lambda shard: shard.send(_WRONG),
    lambda shard: shard.request_members("1", query="a", user_ids=["1"]),
    lambda shard: shard.request_members("1"),
    lambda shard: shard.request_members("1", user_ids=[]),
    lambda shard: shard.request_members("1", user_ids="12"),
    lambda shard: shard.request_members("1", query="a", limit=-1),
    lambda shard: shard.request_members("1", query="a", timeout=-1),
    lambda shard: shard.request_soundboard_sounds([]),
    lambda shard: shard.join_voice("1", _WRONG),
)
"""Calls that cannot be meant."""


def refused(make: Callable[[], object]) -> bool:
    """Whether this raises what is declared."""
    try:
        make()
    except (GatewrightError, ValueError):
        return True
    return False


async def refused_call(call: Callable[[Shard], Awaitable[object]], shard: Shard) -> bool:
    """The same of a call."""
    try:
        await call(shard)
    except (GatewrightError, ValueError, TypeError):
        return True
    return False
