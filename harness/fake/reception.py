"""A stream comes in: is it a metadata request or a websocket? One port, as one look at the first request decides."""

from __future__ import annotations

import contextlib

import h11
import trio
from wsproto.events import RejectConnection
from wsproto.utilities import RemoteProtocolError

from gatewright.harness.fake import metadata
from gatewright.harness.fake.conversation import Conversation
from gatewright.harness.fake.http import header, read_request, response
from gatewright.harness.fake.log import Opened
from gatewright.harness.fake.metadata import MetadataRequest
from gatewright.harness.fake.script import Answer, Connection, Drop
from gatewright.harness.fake.wire import Wire, cut
from gatewright.harness.fake.world import World


async def receive(stream: trio.abc.Stream, world: World) -> None:
    """Serve `stream` until it is gone. The caller closes it."""
    request_and_rest = await read_request(stream)
    if request_and_rest is None:
        return
    request, rest = request_and_rest
    if (header(request, b"upgrade") or "").lower() == "websocket":
        await _converse(stream, request, rest, world)
    else:
        await _answer(stream, request, world)


async def _converse(stream: trio.abc.Stream, request: h11.Request, rest: bytes, world: World) -> None:
    wire = Wire(stream)
    try:
        wire.propose(list(request.headers), request.target, rest)
    except RemoteProtocolError as error:
        hint = error.event_hint
        await _send(stream, response(Answer(hint.status_code if isinstance(hint, RejectConnection) else 400)))
        return
    number = world.log.connections + 1
    target = request.target.decode("ascii", "replace").replace(world.token, "<token>")
    host = header(request, b"host") or ""
    world.note(Opened(time=trio.current_time(), connection=number, host=host, target=target))
    plan = world.script.next() or Connection()
    conversation = Conversation(world=world, number=number, plan=plan, wire=wire, target=target)
    world.conversations[number] = conversation
    try:
        await conversation.run()
    finally:
        del world.conversations[number]


async def _answer(stream: trio.abc.Stream, request: h11.Request, world: World) -> None:
    path = request.target.decode("ascii", "replace").partition("?")[0]
    asked = MetadataRequest(request.method.decode("ascii"), path, header(request, b"authorization"))

    async def send_raw(data: bytes) -> None:
        await _send(stream, data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_when_gone, stream, nursery.cancel_scope)
        end = await metadata.play(asked, world=world, send_raw=send_raw)
        if isinstance(end, Drop):
            await cut(stream, reset=end.reset)
        else:
            await send_raw(response(end))
        nursery.cancel_scope.cancel()


async def _send(stream: trio.abc.Stream, data: bytes) -> None:
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # who asked may have gone
        await stream.send_all(data)


async def _cancel_when_gone(stream: trio.abc.Stream, scope: trio.CancelScope) -> None:
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while await stream.receive_some(65_536):
            pass
    scope.cancel()
