"""The broken ordering, as an exhibit: a client that races its own registration, and loses.

This is a small, faithful model of what a real system did (a gateway plugin, and a lifecycle that supervises it), kept
so that the same script can be played against it and against the engine. It runs and it reaches READY when metadata are
prompt. **Never build on it.** What it does wrong, it does on purpose, and each place says which observation it models:

- a client's constructor starts the registration and awaits it nowhere; the registration awaits metadata *before* it
  sets the client that `identify` needs, and `identify` without a client returns in silence (R01, S71);
- whoever wants to may open the socket: the registration, the lifecycle, a close handler, a timer (R04, R11, R12);
- `connect` returns in silence while an attempt is under way, whatever it was asked (R18, R35);
- a handler of a socket acts on whatever socket there is now (R11);
- leaving with 1000 ends the session that the next RESUME asks for (R13);
- what is known of the session is three loose fields, replaced one by one (R32);
- stopping is a trick with the reconnect options, and so the late registration brings the bot back (R03);
- readiness is polled (R31), and a start-up that failed leaves its socket open (R05).

It runs on trio because the fake gateway does. Where the original had event handlers and promises that nobody awaited,
this has methods that return at once and tasks in a nursery that outlives everybody.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias, cast
from urllib.parse import urlsplit

import attrs
import msgspec
import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_client_stream

from gatewright.spec.protocol import FATAL_CLOSE_CODES, Opcode

FetchMetadata: TypeAlias = Callable[[], Awaitable[tuple[int, tuple[tuple[str, str], ...], bytes]]]
"""Asks ``GET /gateway/bot``; returns ``(status, headers, body)``. ``FakeGateway.metadata`` is one."""

OpenStream: TypeAlias = Callable[[str], Awaitable[trio.abc.Stream]]
"""Opens a stream to a websocket URL. ``FakeGateway.open_stream`` and :func:`open_tcp` are two."""

_QUERY = "/?v=10&encoding=json"
_NO_CLOSE_FRAME = 1006
_ENDS_SESSION = frozenset({4003, 4005, 4007, 4009})
"""Close codes after which the first system identified anew (F34)."""


async def open_tcp(url: str) -> trio.abc.Stream:
    """A TCP stream to the host and port of `url`."""
    parts = urlsplit(url)
    return await trio.open_tcp_stream(parts.hostname or "", parts.port or 80)


class Phase(enum.StrEnum):
    """What an onlooker would say about it. The original had no such value, and that is why nobody saw the hang."""

    REGISTERING = "registering"
    CONNECTING = "connecting"
    AWAITING_HELLO = "awaiting HELLO"
    STUCK = "stuck"  # HELLO was seen on an open socket, nothing was sent, and nothing ever will be
    AWAITING_READY = "awaiting READY"
    READY = "ready"
    WITHOUT_SOCKET = "without socket"


@attrs.frozen
class Note:
    """A line of the exhibit's own journal; `time` is trio's."""

    time: float
    text: str


class Watcher(Protocol):
    """Somebody who listens to the gateway's debug lines, as the original's watchdogs did (R07)."""

    def line(self, text: str) -> None:
        """One line was written."""
        ...


class NaiveSocket:
    """A websocket with event handlers: `close` returns at once, and the close handler runs whenever it runs."""

    def __init__(self, gateway: NaiveGateway, url: str) -> None:
        self._gateway = gateway
        self._url = url
        self._ws: WebSocketConnection | None = None
        self._scope = trio.CancelScope()
        self._closed = trio.Event()
        self.detached = False
        self.hello_seen = False
        self.handshake_sent = False

    async def run(self) -> None:
        """Connect and call the gateway's handlers until the socket is gone. No time limit anywhere (R18)."""
        code = _NO_CLOSE_FRAME
        try:
            with self._scope:
                async with await self._gateway.open_stream(self._url) as stream:
                    code = await self._converse(stream)
        except* (HandshakeError, ConnectionClosed, OSError, trio.BrokenResourceError):
            pass  # an `error` event, and the `close` event that follows it
        if not self.detached:
            self._gateway.on_close(self, code)

    def close(self, code: int) -> None:
        """Begin to close; an attempt that is still connecting is given up."""
        if self._ws is None:
            self._scope.cancel()
        else:
            self._gateway.nursery.start_soon(self._close, self._ws, code)

    def send(self, op: Opcode, data: object) -> None:
        """Send one payload; if the socket is closing it is lost."""
        if self._ws is not None:
            message = msgspec.json.encode({"op": op, "d": data}).decode()
            self._gateway.nursery.start_soon(_send_or_lose, self._ws, message)

    @property
    def open(self) -> bool:
        """Whether the handshake is done and no close has begun."""
        return self._ws is not None and self._ws.closed is None

    async def _converse(self, stream: trio.abc.Stream) -> int:
        async with trio.open_nursery() as nursery:
            ws = await wrap_client_stream(
                nursery,
                cast("trio.SocketStream", stream),  # the annotation is narrower than what it takes
                urlsplit(self._url).hostname or "",
                _QUERY,
            )
            self._ws = ws
            self._gateway.on_open()
            try:
                while True:
                    payload = msgspec.json.decode(await ws.get_message(), type=dict[str, object])
                    if not self.detached:
                        self._gateway.on_message(self, payload)
            except ConnectionClosed as error:
                if error.reason is not None and error.reason.code == 1000:
                    await self._closed.wait()  # our own: over when the peer has answered
                nursery.cancel_scope.cancel()
                return error.reason.code if error.reason is not None else _NO_CLOSE_FRAME
        raise AssertionError("the loop above ends by an exception only")

    async def _close(self, ws: WebSocketConnection, code: int) -> None:
        await ws.aclose(code)
        self._closed.set()


async def _send_or_lose(ws: WebSocketConnection, message: str) -> None:
    try:
        await ws.send_message(message)
    except ConnectionClosed:
        return


class NaiveGateway:
    """The plugin: one gateway connection, and everything that it knows as attributes that anybody may set.

    Args:
        token: for IDENTIFY and RESUME.
        nursery: must outlive the run; sockets, timers and the registration live there and nobody awaits them.
        fetch_metadata: see :data:`FetchMetadata`.
        open_stream: see :data:`OpenStream`.
        fallback_url: where to connect before metadata are there (R33).
        intents: for IDENTIFY.
        blind_to_sockets: whether close handlers act on whatever socket there is, as the original's did (R11). Off, so
            that the other races are seen by themselves.
    """

    def __init__(
        self,
        *,
        token: str,
        nursery: trio.Nursery,
        fetch_metadata: FetchMetadata,
        open_stream: OpenStream,
        fallback_url: str = "wss://gateway.invalid/",
        intents: int = 513,
        blind_to_sockets: bool = False,
    ) -> None:
        self.nursery = nursery
        self.open_stream = open_stream
        self.client: NaiveClient | None = None
        self.socket: NaiveSocket | None = None
        self.is_connecting = False
        self.is_connected = False
        self.should_reconnect = False
        self.max_attempts = 50
        self.session_id: str | None = None
        self.resume_url: str | None = None
        self.seq: int | None = None
        self.events: list[str] = []
        self.unhandled: list[str] = []
        self.notes: list[Note] = []
        self.watchers: list[Watcher] = []
        self._token = token
        self._intents = intents
        self._blind = blind_to_sockets
        self._url = fallback_url
        self._fetch_metadata = fetch_metadata
        self._resume = False
        self._attempts = 0
        self._beating = trio.CancelScope()

    @property
    def phase(self) -> Phase:
        """What an onlooker would call this."""
        socket = self.socket
        if self.is_connected:
            return Phase.READY
        if self.is_connecting:
            return Phase.CONNECTING
        if socket is None or not socket.open:
            return Phase.REGISTERING if self.client is None and not self.unhandled else Phase.WITHOUT_SOCKET
        if not socket.hello_seen:
            return Phase.AWAITING_HELLO
        return Phase.AWAITING_READY if socket.handshake_sent else Phase.STUCK

    async def register_client(self, client: NaiveClient) -> None:
        """Ask for metadata, *then* set the client, then connect: the order of S71. Nobody awaits this (R03, R04)."""
        self._say("registration: asking for metadata")
        status, _headers, body = await self._fetch_metadata()
        if status != 200:
            raise RuntimeError(f"metadata: HTTP {status}")
        self._url = str(msgspec.json.decode(body, type=dict[str, object])["url"])
        self._say("registration: metadata are there, the client is set")
        self.client = client
        self.connect(resume=False)

    def connect(self, *, resume: bool) -> None:
        """Open a socket, if nobody else is at it; if somebody is, return without a word (R18, R35)."""
        if self.is_connecting:
            self._say("connect: already connecting, ignored")
            return
        self.should_reconnect = True
        if self.socket is not None:
            self.socket.detached = True
            self.socket.close(1000)
        self.is_connecting = True
        self._resume = resume
        self.socket = NaiveSocket(self, self.resume_url if resume and self.resume_url else self._url)
        self._say(f"connect: opening a socket to {'resume' if resume else 'identify'}")
        self.nursery.start_soon(self.socket.run)

    def disconnect(self) -> None:
        """Leave with 1000, which ends the session (R13), and forget the socket before it has gone (R11)."""
        self._say("disconnect")
        self.should_reconnect = False
        self.is_connected = False
        self._attempts = 0  # whoever forces a reconnect defeats the back-off (R25)
        if self.socket is not None:
            self.socket.close(1000)
        self.socket = None

    def identify(self, socket: NaiveSocket) -> None:
        """Send IDENTIFY. Without a client: return without a word. This is the line that made the bot hang (R01)."""
        if self.client is None:
            return
        socket.handshake_sent = True
        properties = {"os": "linux", "browser": "naive", "device": "naive"}
        socket.send(Opcode.IDENTIFY, {"token": self._token, "intents": self._intents, "properties": properties})
        self._say("IDENTIFY sent")

    # Handlers.

    def on_open(self) -> None:
        """The socket is open."""
        self.is_connecting = False
        self._say("WebSocket connection opened")

    def on_message(self, socket: NaiveSocket, payload: dict[str, object]) -> None:
        """A payload was read. The sequence is taken before the opcode is looked at, and outlives its session (R32)."""
        if isinstance(payload.get("s"), int):
            self.seq = cast("int", payload["s"])
        data = payload.get("d")
        match payload.get("op"):
            case Opcode.HELLO:
                self._on_hello(socket, cast("dict[str, float]", data)["heartbeat_interval"] / 1000)
            case Opcode.HEARTBEAT:
                socket.send(Opcode.HEARTBEAT, self.seq)
            case Opcode.RECONNECT:
                socket.close(4000)
            case Opcode.INVALID_SESSION:
                if data is not True:
                    self.session_id = self.resume_url = None
                self.nursery.start_soon(self._reconnect_after, 2.5)
            case Opcode.DISPATCH:
                self._on_dispatch(str(payload.get("t")), data)
            case _:
                pass

    def on_close(self, socket: NaiveSocket, code: int) -> None:
        """A socket closed. The original did not ask which: what it does, it does to the present one (R11)."""
        if not self._blind and self.socket is not None and self.socket is not socket:
            return
        self.is_connecting = self.is_connected = False
        self._beating.cancel()
        self._say(f"WebSocket connection closed with code {code}")
        if code in FATAL_CLOSE_CODES:
            self.should_reconnect = False
        if code in _ENDS_SESSION:
            self.session_id = self.resume_url = None  # and not the sequence (R32)
        if self.should_reconnect and self._attempts < self.max_attempts:
            self._attempts += 1
            self.nursery.start_soon(self._reconnect_after, min(30.0, 2.0 ** (self._attempts - 1)))

    async def _reconnect_after(self, delay: float) -> None:
        await trio.sleep(delay)
        if self.should_reconnect:
            self.connect(resume=self.session_id is not None)

    def _on_hello(self, socket: NaiveSocket, interval: float) -> None:
        socket.hello_seen = True
        self._say("HELLO")
        self._beating.cancel()
        self._beating = trio.CancelScope()
        self.nursery.start_soon(self._beat, socket, interval, self._beating)
        if self._resume and self.session_id is not None:
            socket.handshake_sent = True
            socket.send(Opcode.RESUME, {"token": self._token, "session_id": self.session_id, "seq": self.seq})
            self._say("RESUME sent")
        else:
            self.identify(socket)

    def _on_dispatch(self, event: str, data: object) -> None:
        if event == "READY":
            ready = cast("dict[str, str]", data)
            self.session_id, self.resume_url = ready["session_id"], ready["resume_gateway_url"]
        if event in {"READY", "RESUMED"}:
            self.is_connected, self._attempts = True, 0
            self._say(event)
        self.events.append(event)

    async def _beat(self, socket: NaiveSocket, interval: float, beating: trio.CancelScope) -> None:
        with beating:
            while True:
                await trio.sleep(interval)
                socket.send(Opcode.HEARTBEAT, self.seq)

    def _say(self, text: str) -> None:
        self.notes.append(Note(trio.current_time(), text))
        for watcher in tuple(self.watchers):
            watcher.line(text)


class NaiveClient:
    """The client. Its constructor starts the registration and returns; what becomes of it, nobody asks (R01, R03)."""

    def __init__(self, gateway: NaiveGateway) -> None:
        self._gateway = gateway
        gateway.nursery.start_soon(self._register)

    async def _register(self) -> None:
        try:
            await self._gateway.register_client(self)
        except (RuntimeError, OSError, trio.BrokenResourceError, msgspec.MsgspecError, KeyError) as error:
            self._gateway.unhandled.append(str(error))  # an unhandled rejection: printed by the runtime, if at all
