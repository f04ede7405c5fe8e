"""The fake gateway: Discord's side of the gateway protocol on loopback or in memory, in trio's time alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self, cast

import trio
import trio.testing

from gatewright.harness.fake import metadata, population
from gatewright.harness.fake.faults import UNREACHABLE
from gatewright.harness.fake.log import Log
from gatewright.harness.fake.metadata import MetadataAnswer, MetadataRequest
from gatewright.harness.fake.population import Guild
from gatewright.harness.fake.reception import receive
from gatewright.harness.fake.rules import Rules
from gatewright.harness.fake.script import (
    Close,
    Connection,
    Dark,
    Drop,
    HandshakeAction,
    Invalidate,
    MessageAction,
    MetadataPlan,
    Playlist,
    Reconnect,
    RequestHeartbeat,
    metadata_plan,
)
from gatewright.harness.fake.sessions import Session
from gatewright.harness.fake.world import World
from gatewright.spec.events import ConnectError
from gatewright.transport.seams import ConnectionUnavailable


class FakeGateway:
    """A gateway to test a bot against: it plays by the rules, or by a script that says where it does not.

        async with FakeGateway(token="fake.token", guilds=2) as fake:
            ...                                    # a bot that connects to fake.url
            await fake.wait_for_identify(1)
            await fake.dispatch("MESSAGE_CREATE", {"id": "1", "content": "hello"})
            fake.close(4000)
            await fake.wait_until(lambda log: log.resumes == 1)
            assert fake.max_open_connections == 1

    Args:
        token: the token that IDENTIFY, RESUME and ``/gateway/bot`` must show. It is never in the log.
        guilds: how many guilds the bot is in, or their ids, or :class:`~gatewright.harness.fake.population.Guild`
            values with members, voice channels and sounds.
        heartbeat_interval: seconds, as HELLO gives it (in milliseconds there).
        seed: for session ids. Two fakes with one seed and the same requests answer the same.
        rules: limits, checks and lifetimes; see :class:`~gatewright.harness.fake.rules.Rules`.
        script: plans for websocket connections in the order of their arrival; the last repeats. See
            :mod:`~gatewright.harness.fake.script`.
        metadata_script: plans for metadata requests, in the same way.
        listen: whether a port is opened. Without one, `open_stream` and `serve_stream` connect in memory.
        host: the address to listen on.
        port: 0 for a free one.

    It must be entered once, as an async context manager. Leaving it ends every connection without a close frame.
    """

    def __init__(
        self,
        *,
        token: str = "fake.token",  # noqa: S107  # it opens nothing but this fake
        guilds: int | Sequence[str | Guild] = 1,
        heartbeat_interval: float = 41.25,
        seed: int = 0,
        rules: Rules | None = None,
        script: Sequence[Connection] = (),
        metadata_script: Sequence[MetadataPlan] = (),
        listen: bool = True,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        if not token:
            raise ValueError("a FakeGateway needs a token: any text that is not empty")
        self._listen, self._host, self._port = listen, host, port
        self._world = World(
            token=token,
            guilds=population.guilds(guilds),
            heartbeat_interval=heartbeat_interval,
            rules=rules or Rules(),
            random_source=random.Random(seed),
            url="wss://gateway.invalid/",
            resume_url="wss://resume.gateway.invalid",
        )
        self._metadata_url = "https://gateway.invalid/api/v10"
        self.script = script
        self.metadata_script = metadata_script
        self._manager: AbstractAsyncContextManager[trio.Nursery] | None = None
        self._nursery: trio.Nursery | None = None
        self._serving: set[trio.CancelScope] = set()
        self._idle = trio.Event()

    async def __aenter__(self) -> Self:
        if self._manager is not None:
            raise RuntimeError("a FakeGateway is entered once; make another one")
        listeners: list[trio.SocketListener] = []
        if self._listen:  # before the nursery, which must not stay open when the port is taken
            try:
                listeners = await trio.open_tcp_listeners(self._port, host=self._host)
            except OSError as error:
                where = f"{self._host} port {self._port}"
                raise OSError(
                    error.errno, f"cannot listen on {where}: {error.strerror}; port 0 takes a free one"
                ) from error
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        if listeners:
            self._port = listeners[0].socket.getsockname()[1]
            self._world.url = f"ws://{self._host}:{self._port}/"
            self._world.resume_url = f"ws://{self._host}:{self._port}"
            self._metadata_url = f"http://{self._host}:{self._port}/api/v10"
            self._nursery.start_soon(trio.serve_listeners, self.serve_stream, listeners)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._manager is not None
        assert self._nursery is not None
        for scope in self._serving:
            scope.cancel()  # also those that run in a nursery of the caller's
        self._nursery.cancel_scope.cancel()
        # The block's own error is not the nursery's business: a failed assertion comes out as itself, in no group.
        own = error is not None and True not in _cancellations(error)
        swallowed: bool | None = False
        try:
            if own:
                await self._manager.__aexit__(None, None, None)
            else:
                swallowed = await self._manager.__aexit__(kind, error, trace)
        except BaseException as failure:
            if not own or False in _cancellations(failure):
                raise
        finally:
            with trio.CancelScope(shield=True):  # short: all of them were cancelled, and they wait for nobody
                while self._serving:
                    await self._idle.wait()
        return swallowed

    # Where it is.

    @property
    def url(self) -> str:
        """Where a websocket connects first, with the closing slash; in memory a name that resolves to nothing."""
        return self._world.url

    @property
    def resume_url(self) -> str:
        """What READY gives as ``resume_gateway_url``: the same port, and in memory another name."""
        return self._world.resume_url

    @property
    def metadata_url(self) -> str:
        """The base of the metadata end points: append ``/gateway/bot`` or ``/gateway``."""
        return self._metadata_url

    # How it behaves.

    @property
    def script(self) -> Sequence[Connection]:
        """The plans for connections. Setting it starts anew: its first entry is for the next connection."""
        return self._world.script.entries

    @script.setter
    def script(self, plans: Sequence[Connection]) -> None:
        self._world.script = Playlist(tuple(plans))

    @property
    def metadata_script(self) -> Sequence[MetadataPlan]:
        """The plans for metadata requests. Setting it starts anew, with the next request."""
        return self._world.metadata_script.entries

    @metadata_script.setter
    def metadata_script(self, plans: Sequence[MetadataPlan]) -> None:
        self._world.metadata_script = Playlist(tuple(map(metadata_plan, plans)))

    def perform(self, action: HandshakeAction | MessageAction, *, connection: int | None = None) -> None:
        """Play `action` now, on the open connection with this number or on all of them."""
        for conversation in self._world.chosen(connection):
            conversation.perform(action)

    def go_on(self, step: str, *actions: HandshakeAction | MessageAction, connection: int | None = None) -> bool:
        """End the `Delay` in which a step of this name waits, the longest wait first; whether there was one.

        With ``Connection(ready=Delay(math.inf))`` READY comes when the test says ``fake.go_on("ready")``. `actions` are
        played first, as if they stood behind the delay: ``fake.go_on("ready", Amend(without=("guilds",)))``.
        """
        return any(conversation.go_on(step, actions) for conversation in self._world.chosen(connection))

    def go_dark(self, *, reading: bool = True, connection: int | None = None) -> None:
        """Nothing passes any more, in either direction. See :class:`~gatewright.harness.fake.script.Dark`."""
        self.perform(Dark(reading=reading), connection=connection)

    def light_up(self, *, connection: int | None = None) -> None:
        """End the dark: what was held back passes now, as after a cable is plugged in again."""
        for conversation in self._world.chosen(connection):
            conversation.light_up()

    def drop(self, *, reset: bool = False, connection: int | None = None) -> None:
        """End sockets without a close frame."""
        self.perform(Drop(reset=reset), connection=connection)

    def close(self, code: int, reason: str = "", *, connection: int | None = None) -> None:
        """Send a close frame."""
        self.perform(Close(code, reason), connection=connection)

    def reconnect(self, *, connection: int | None = None) -> None:
        """Send op 7."""
        self.perform(Reconnect(), connection=connection)

    def invalidate(self, *, resumable: bool = False, connection: int | None = None) -> None:
        """Send op 9, and end the session unless `resumable`."""
        self.perform(Invalidate(resumable=resumable), connection=connection)

    def request_heartbeat(self, *, connection: int | None = None) -> None:
        """Send op 1."""
        self.perform(RequestHeartbeat(), connection=connection)

    async def dispatch(self, event: str, data: object, *, session: str | None = None) -> None:
        """Give a dispatch to the sessions whose shard it concerns; without a socket it is kept for the RESUME.

        Those are the shard of the guild that ``guild_id`` in `data` names, and shard 0 without one (P88, P89); or the
        one session with the id `session`, whatever its shard.

        Raises:
            LookupError: if no session with this id is alive.
        """
        if session is None:
            chosen = [live for live in self._world.sessions if live.concerns(event, data)]
        else:
            chosen = [live for live in self._world.sessions if live.id == session]
        if session is not None and not chosen:
            raise LookupError(f"no session {session!r} is alive; alive now: {[live.id for live in self.sessions]}")
        for live in chosen:
            self._world.dispatch(live, event, data)
        await trio.lowlevel.checkpoint()

    def end_sessions(self) -> None:
        """Forget all sessions without a word: the next RESUME is answered with op 9 ``false``."""
        for session in self._world.sessions:
            self._world.sessions.end(session)

    # What it saw.

    @property
    def guilds(self) -> Sequence[Guild]:
        """The guilds that the bot is in, with what is in them."""
        return self._world.guilds

    @property
    def sessions(self) -> Sequence[Session]:
        """The sessions that are alive, with or without a socket; read only."""
        return tuple(self._world.sessions)

    @property
    def log(self) -> Log:
        """Everything that it saw and did, in order."""
        return self._world.log

    @property
    def identifies(self) -> int:
        """See :attr:`Log.identifies`."""
        return self.log.identifies

    @property
    def resumes(self) -> int:
        """See :attr:`Log.resumes`."""
        return self.log.resumes

    @property
    def heartbeats(self) -> int:
        """See :attr:`Log.heartbeats`."""
        return self.log.heartbeats

    @property
    def connections(self) -> int:
        """See :attr:`Log.connections`."""
        return self.log.connections

    @property
    def open_connections(self) -> int:
        """See :attr:`Log.open_connections`."""
        return self.log.open_connections

    @property
    def max_open_connections(self) -> int:
        """See :attr:`Log.max_open_connections`: 1 proves that no two sockets were ever open together."""
        return self.log.max_open_connections

    @property
    def metadata_requests(self) -> int:
        """See :attr:`Log.metadata_requests`."""
        return self.log.metadata_requests

    async def wait_until(self, predicate: Callable[[Log], bool]) -> None:
        """Wait until `predicate` holds for the log. It is asked when the log grows, so it must not read a clock."""
        await self.log.wait_until(predicate)

    async def wait_for_identify(self, count: int = 1) -> None:
        """Wait until `count` IDENTIFYs were received since the fake was made."""
        await self.wait_until(lambda log: log.identifies >= count)

    # How to reach it without a port.

    async def open_stream(self, url: object = None) -> trio.abc.Stream:
        """The client's end of a new in-memory stream; the other end is served until it is gone.

        `url` is there so that this fits where a client wants a way to open streams; whatever it is, it leads here,
        but for :data:`~gatewright.harness.fake.faults.UNREACHABLE`.

        Raises:
            ConnectionUnavailable: if `url` is the one that nothing answers.
        """
        if str(url).startswith(UNREACHABLE):
            raise ConnectionUnavailable(ConnectError.NETWORK, "the host of this URL is gone, as the script says")
        if self._nursery is None:
            raise RuntimeError("enter the FakeGateway first: async with FakeGateway(...) as fake")
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self.serve_stream, ours)
        await trio.lowlevel.checkpoint()
        return theirs

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one stream, HTTP or websocket, until it is gone or the fake is left; it is closed then."""
        with trio.CancelScope() as scope:
            if not self._serving:
                self._idle = trio.Event()
            self._serving.add(scope)
            try:
                await receive(stream, self._world)
            finally:
                self._serving.discard(scope)
                if not self._serving:
                    self._idle.set()
                await trio.aclose_forcefully(stream)

    async def metadata(
        self, *, path: str = "/gateway/bot", authorization: str | None = None, authorized: bool = True
    ) -> MetadataAnswer:
        """Ask for metadata without HTTP, under the same script; `authorization` defaults to the right one.

        Returns:
            ``(status, headers, body)``: an int, pairs of strings, and bytes.

        Raises:
            trio.BrokenResourceError: if the script drops the request, or answers with bytes that are no HTTP.
        """
        if authorization is None and authorized:
            authorization = f"Bot {self._world.token}"
        request = MetadataRequest("GET", path, authorization)
        end = await metadata.play(request, world=self._world, send_raw=_not_http)
        if isinstance(end, Drop):
            raise trio.BrokenResourceError("the fake gateway dropped the metadata request, as its script says")
        headers = {"content-type": "application/json", **end.headers}
        return MetadataAnswer(end.status, tuple(headers.items()), end.content())


async def _not_http(_data: bytes) -> None:
    raise trio.BrokenResourceError("the fake gateway answered with bytes that are no HTTP, as its script says")


def _cancellations(error: BaseException) -> set[bool]:
    """For each error in `error`, whether it is trio's cancellation, which only the scope that caused it may swallow."""
    if isinstance(error, BaseExceptionGroup):
        return set[bool]().union(*map(_cancellations, cast("BaseExceptionGroup[BaseException]", error).exceptions))
    return {isinstance(error, trio.Cancelled)}
