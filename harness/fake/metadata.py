"""HTTP: the metadata end points, and what a script does to them. No script touches the rest of the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import attrs
import trio

from gatewright.harness.fake import payloads, rest
from gatewright.harness.fake.log import Acted, MetadataAnswered, MetadataRequested
from gatewright.harness.fake.script import (
    Amend,
    Answer,
    Dark,
    Delay,
    Drop,
    Raw,
    Withhold,
)
from gatewright.harness.fake.world import World
from gatewright.spec.protocol import API_VERSION

PREFIX = f"/api/v{API_VERSION}"

_UNVERSIONED = "/api"
"""Discord answers without a version as well; which one it is then, says its documentation, is deprecated."""


class MetadataAnswer(NamedTuple):
    """An HTTP answer as it would arrive."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@attrs.frozen
class MetadataRequest:
    """A request as it was read. `path` has no query."""

    method: str
    path: str
    authorization: str | None = attrs.field(default=None, repr=False)


def _end_point(path: str) -> str:
    return path.removeprefix(PREFIX).removeprefix(_UNVERSIONED)


async def play(
    request: MetadataRequest,
    *,
    world: World,
    send_raw: Callable[[bytes], Awaitable[None]],
) -> Answer | Drop:
    """Play the next plan of the script on `request`, then say how it ends. A withheld answer never returns."""
    path = request.path.replace(world.token, "<token>")
    matched = None
    if request.authorization is not None:
        matched = request.authorization.startswith("Bot ") and world.matches(request.authorization)
    world.log.add(
        MetadataRequested(
            time=trio.current_time(),
            connection=0,
            method=request.method,
            path=path,
            token_matched=matched,
        )
    )
    amends: list[Amend] = []
    told = rest.about(_end_point(request.path), world)
    if told is not None:
        return _noted(_tell(request, bool(matched), told), path, world)
    for action in world.metadata_script.next() or ():
        world.log.add(Acted(time=trio.current_time(), connection=0, action=action, step="metadata"))
        match action:
            case Delay(seconds):
                await trio.sleep(seconds)
            case Withhold() | Dark():
                await trio.sleep_forever()
            case Raw(data):
                await send_raw(data)
            case Amend():
                amends.append(action)
            case Drop() | Answer():
                return _noted(action, path, world)
    return _noted(_judge(request, bool(matched), tuple(amends), world=world), path, world)


def _noted(end: Answer | Drop, path: str, world: World) -> Answer | Drop:
    status = end.status if isinstance(end, Answer) else None
    world.log.add(MetadataAnswered(time=trio.current_time(), connection=0, path=path, status=status))
    return end


def _tell(request: MetadataRequest, matched: bool, told: object) -> Answer:
    if request.method != "GET":
        return Answer(405)
    return Answer(200, told) if matched else Answer(401)


def _judge(request: MetadataRequest, matched: bool, amends: tuple[Amend, ...], *, world: World) -> Answer:
    if request.method != "GET":
        return Answer(405)
    match _end_point(request.path):
        case "/gateway":
            content: dict[str, object] = {"url": world.url}
        case "/gateway/bot":
            if not matched:
                return Answer(401)
            content = payloads.gateway_bot(
                world.url,
                shards=world.rules.shards,
                total=world.rules.identify_total,
                remaining=world.desk.remaining,
                reset_after=world.desk.reset_after,
                max_concurrency=world.rules.max_concurrency,
            )
        case _:
            return Answer(404)
    for amend in amends:
        content = amend(content)
    return Answer(200, content)
