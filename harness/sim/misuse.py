"""What people get wrong in the middle of a shard's life: each is refused by a typed error, and changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from gatewright.spec.errors import GatewrightError
from gatewright.spec.session import Metadata, Session
from gatewright.spec.settings import Settings
from gatewright.transport.commands import (
    Activity,
    RequestChannelInfo,
    RequestGuildMembers,
    RequestSoundboardSounds,
    UpdatePresence,
    UpdateVoiceState,
)
from gatewright.transport.consumer import wanted_types
from gatewright.transport.exchange import CommandLimits
from gatewright.transport.gate import InMemoryIdentifyGate
from gatewright.transport.metadata import CachedMetadataSource, HttpMetadataSource, StaticMetadataSource
from gatewright.transport.proxy import Proxy, choose_proxy
from gatewright.transport.queue import Queue
from gatewright.transport.session_file import FileSessionStore
from gatewright.transport.shard import Shard
from gatewright.transport.streams import TcpStreamOpener
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
    lambda: Shard("token", intents=-1),
    lambda: Shard("token", intents=0, shard_id=3, shard_count=2),
    lambda: Shard("token", intents=0, shard_id=1, shard_count=2, settings=Settings(shard_count=3)),
    lambda: Shard("token", intents=0, capabilities=-1),
    lambda: Shard("token", intents=0, observers=_WRONG),
    lambda: Shard("token", intents=0, observers=[_WRONG]),
    lambda: Shard("token", intents=0, gate=_WRONG),
    lambda: Shard("token", intents=0, limits=_WRONG),
    lambda: Shard("token", intents=0, ack="manual", ack_window=0),
    lambda: Shard("token", intents=0, session=Session(id="", resume_url=None, seq=-1)),
    lambda: Shard(
        "token", intents=0, session=Session(id="s", resume_url=None, seq=1), store=FileSessionStore("s.json")
    ),
    lambda: Shard("token", intents=0, store=FileSessionStore("s.json"), store_interval=0),
    lambda: Shard("token", intents=0, opener=TcpStreamOpener(), proxy="http://proxy.invalid"),
    lambda: Shard("token", intents=0, presence=UpdatePresence(activities=(Activity("x" * 5000),))),
    lambda: CommandLimits(commands=0),
    lambda: InMemoryIdentifyGate(total=0),
    lambda: CachedMetadataSource(HttpMetadataSource(Token("token")), limit_ttl=9.0, url_ttl=1.0),
    lambda: HttpMetadataSource(Token("token"), timeout=0),
    lambda: StaticMetadataSource(Metadata(url="http://elsewhere")),
    lambda: wanted_types("READY"),
    lambda: wanted_types(()),
    lambda: wanted_types(_WRONG),
    lambda: UpdatePresence(activities=_WRONG),
    lambda: UpdatePresence(since=-1),
    lambda: UpdatePresence(since=_WRONG),
    lambda: RequestGuildMembers(1, query="", nonce="x" * 33),
    lambda: RequestChannelInfo(1, ["colour"]),
    lambda: RequestSoundboardSounds(_WRONG),
    lambda: CommandLimits(answer_bytes=True),
    lambda: parse_gateway_url("wss://[::1"),
    lambda: Proxy("http://[::1"),
    lambda: Proxy("http://h", username="a:b"),
    lambda: Proxy("http://h", password="a\0b"),  # noqa: S106 - it opens nothing
    lambda: Token("Bot "),
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
    lambda shard: shard.join_voice("1", cast("str", None)),
    lambda shard: shard.request_members("1", query="a", presences=True),
    lambda shard: shard.update_presence(_WRONG),
    lambda shard: shard.update_presence(cast("UpdatePresence", UpdateVoiceState(1, None))),
    lambda shard: shard.update_presence(UpdatePresence(activities=(Activity("x" * 5000),))),
    lambda shard: shard.push(_WRONG),
    lambda shard: shard.push(_WRONG, "READY"),
    lambda shard: anext(shard.member_chunks("1", query="a")),
    lambda shard: shard.__aenter__(),
    lambda shard: Shard("token", intents=0).update_presence(UpdatePresence()),
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
