"""The bare limit: receive through trio, find frames, inflate, decode the envelope with msgspec, and nothing else."""

from __future__ import annotations

import base64
import json
import os
import zlib

import msgspec
import trio

from benchmarks.payloads import END
from benchmarks.task import TOKEN, Meter, Task
from gatewright.transport.arrivals import PORTION, TlsRecords


class Envelope(msgspec.Struct, gc=False):
    op: int
    s: int | None = None
    t: str | None = None
    d: msgspec.Raw = msgspec.Raw(b"null")


async def run(task: Task) -> dict[str, float]:
    stream: trio.abc.Stream = await trio.open_tcp_stream("127.0.0.1", task.port)
    context = task.ssl_context()
    receive = stream.receive_some
    if context is not None:
        tls = trio.SSLStream(stream, context, server_hostname="127.0.0.1")
        await tls.do_handshake()
        records = TlsRecords.of(tls)
        assert records is not None
        stream, receive = tls, lambda _: records.receive()
    key = base64.b64encode(os.urandom(16)).decode()
    await stream.send_all(
        f"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    data = b""
    while b"\r\n\r\n" not in data:
        data += await receive(PORTION)
    data = data.partition(b"\r\n\r\n")[2]
    identify = json.dumps({"op": 2, "d": {"token": TOKEN}}).encode()
    await stream.send_all(bytes([0x81, 0x80 | len(identify)]) + bytes(4) + identify)
    inflate = zlib.decompressobj().decompress if task.compress == "zlib-stream" else None
    decode = msgspec.json.Decoder(Envelope).decode
    decode_data = msgspec.json.Decoder().decode
    meter, seen = Meter(), 0
    while True:
        data += await receive(PORTION)
        position, end = 0, len(data)
        while end - position >= 2:
            length, start = data[position + 1], position + 2
            if length == 126:
                if end - position < 4:
                    break
                length, start = data[position + 2] << 8 | data[position + 3], position + 4
            stop = start + length
            if stop > end:
                break
            payload = data[start:stop]
            position = stop
            envelope = decode(payload if inflate is None else inflate(payload))
            if envelope.op:
                continue
            if task.decode:
                decode_data(envelope.d)
            seen += 1
            if envelope.t == "READY":
                meter.start()
            elif envelope.t == END:
                meter.stop()
                return meter.result(seen)
        data = data[position:]


def main(task: Task) -> dict[str, float]:
    return trio.run(run, task)
