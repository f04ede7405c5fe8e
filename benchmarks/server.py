"""The load server: a process of its own, so that what a client uses of the processor is the client's.

`python -m benchmarks.server '{"mode": "flood", ...}'` prints one line of JSON with its port and serves until its input
ends. Everything that it sends is made before the first connection; over TLS each message is a record of its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import struct
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path

import attrs
import trustme

from benchmarks import payloads

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SETTLE = 0.4
"""Seconds between READY and the flood, so that connecting is not measured."""
_CHUNK = 256 * 1024
_CLOSE = 0x8


@attrs.frozen(kw_only=True)
class Load:
    """What to serve.

    `mode` is ``flood`` (all `events` at once), ``paced`` (`rate` a second, each with the time at which it was sent) or
    ``idle`` (nothing after READY). `compress` is ``none`` or ``zlib-stream``.
    """

    mode: str = "flood"
    events: int = 100_000
    rate: float = 500.0
    tls: bool = False
    compress: str = "none"

    @property
    def name(self) -> str:
        return (("TLS + " if self.tls else "") + self.compress).replace("TLS + none", "TLS").replace("none", "plain")


def frame(payload: bytes, opcode: int) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes([0x80 | opcode, size]) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, size) + payload


class Framer:
    """Frames for one connection: text, or binary out of one zlib stream."""

    def __init__(self, compress: str) -> None:
        self._stream = zlib.compressobj() if compress == "zlib-stream" else None

    def __call__(self, payload: bytes) -> bytes:
        if self._stream is None:
            return frame(payload, 1)
        return frame(self._stream.compress(payload) + self._stream.flush(zlib.Z_SYNC_FLUSH), 2)


class Peer:
    """One connection, over TCP or over TLS that encrypts many frames before it sends once."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        self._sock = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = None if context is None else context.wrap_bio(self._in, self._out, server_side=True)
        if self._tls is not None:
            self._until(self._tls.do_handshake)

    def _until(self, operation):
        while True:
            try:
                result = operation()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._sock.recv(65536)
                if not data:
                    raise ConnectionError from None
                self._in.write(data)
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if self._out.pending:
            self._sock.sendall(self._out.read())

    def receive(self) -> bytes:
        return self._sock.recv(65536) if self._tls is None else self._until(lambda: self._tls.read(65536))

    def send(self, frames: list[bytes]) -> None:
        if self._tls is None:
            self._sock.sendall(b"".join(frames))
            return
        for data in frames:
            self._tls.write(data)
            if self._out.pending > _CHUNK:
                self._flush()
        self._flush()


class Server:
    def __init__(self, load: Load) -> None:
        self.load = load
        self.context: ssl.SSLContext | None = None
        self.authority = ""
        if load.tls:
            authority = trustme.CA()
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(self.context)
            with tempfile.NamedTemporaryFile(suffix=".pem", delete=False) as file:
                file.write(authority.cert_pem.bytes())
                self.authority = file.name
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        framer = Framer(load.compress)
        opening = [payloads.hello(), payloads.ready(self.port, secure=load.tls)]
        self.opening = [framer(payload) for payload in opening]
        flood = [*payloads.events(load.events), payloads.end(load.events + 2)] if load.mode == "flood" else []
        self.flood = [framer(payload) for payload in flood]
        self.bytes = sum(map(len, flood))

    def run(self) -> None:
        while True:
            sock, _ = self.listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            peer = Peer(sock, self.context)
            self._upgrade(peer)
            peer.send(self.opening[:1])
            said = self._await_handshake(peer)
            if said == 6:
                peer.send([Framer(self.load.compress)(payloads.dispatch("RESUMED", 2, {}))])
            else:
                peer.send(self.opening[1:])
            if self.load.mode == "flood":
                time.sleep(_SETTLE)
                peer.send(self.flood)
            elif self.load.mode == "paced":
                time.sleep(_SETTLE)
                self._pace(peer)
            self._answer_close(peer)
        except OSError:
            pass
        finally:
            sock.close()

    def _answer_close(self, peer: Peer) -> None:
        """Reads on until a close frame comes, and echoes it.

        Heartbeats are taken and not answered: no run is long enough to miss an ACK.
        """
        data = b""
        while more := peer.receive():
            data += more
            while (found := _take(data)) is not None:
                if data[0] & 0x0F == _CLOSE:
                    peer.send([frame(found[0], _CLOSE)])
                    return
                data = found[1]

    def _pace(self, peer: Peer) -> None:
        framer = Framer(self.load.compress)
        for payload in (payloads.hello(), payloads.ready(self.port, secure=self.load.tls)):
            framer(payload)
        begin = time.perf_counter()
        for number in range(self.load.events):
            delay = begin + number / self.load.rate - time.perf_counter()
            if delay > 0:
                time.sleep(delay)
            peer.send([framer(payloads.timed_event(number + 2, time.perf_counter_ns()))])
        peer.send([framer(payloads.end(self.load.events + 2))])

    def _upgrade(self, peer: Peer) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            data = peer.receive()
            if not data:
                raise ConnectionError
            request += data
        (key,) = [
            line.split(b":", 1)[1].strip()
            for line in request.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key:")
        ]
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
        answer = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )
        peer.send([answer.encode()])

    def _await_handshake(self, peer: Peer) -> int:
        """Reads until IDENTIFY or RESUME; its opcode."""
        data = b""
        while True:
            more = peer.receive()
            if not more:
                raise ConnectionError
            data += more
            while (found := _take(data)) is not None:
                payload, data = found
                op = json.loads(payload)["op"]
                if op in {2, 6}:
                    return op


def _take(data: bytes) -> tuple[bytes, bytes] | None:
    """The first (masked) frame of a client, and the rest."""
    if len(data) < 2:
        return None
    size, start = data[1] & 0x7F, 2
    if size == 126:
        size, start = int.from_bytes(data[2:4]), 4
    stop = start + 4 + size
    if len(data) < stop:
        return None
    mask = data[start : start + 4]
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(data[start + 4 : stop])), data[stop:]


def main() -> None:
    threading.stack_size(256 * 1024)
    server = Server(Load(**json.loads(sys.argv[1])))
    print(json.dumps({"port": server.port, "authority": server.authority, "bytes": server.bytes}), flush=True)
    threading.Thread(target=server.run, daemon=True).start()
    try:
        sys.stdin.read()
    finally:
        if server.authority:
            Path(server.authority).unlink()


if __name__ == "__main__":
    main()
