"""HTTP requests over the streams that a shard opens: one stream a request, and every byte of it through one seam.

httpx2 would open connections by itself, with proxies, certificates and errors of its own. Behind this transport it
keeps to requests and answers, and a metadata request goes the way that the websocket goes.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import cast

import httpcore2
import httpx2
import trio

from gatewright.transport.seams import StreamOpener
from gatewright.transport.urls import GatewayUrl


class OpenedTransport(httpx2.AsyncBaseTransport):
    """HTTP/1.1 for httpx2, over streams of `opener`. It sets no time limits; whoever asks does."""

    def __init__(self, opener: StreamOpener) -> None:
        self._opener = opener

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request on a stream of its own, which is closed with the answer.

        Raises:
            ConnectionUnavailable: the stream could not be opened.
            httpcore2.NetworkError, httpcore2.ProtocolError: it broke, or what came is no HTTP.
        """
        url = request.url
        port = url.port or (443 if url.scheme == "https" else 80)
        raw = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=port, target=url.raw_path)
        path, _, query = url.raw_path.decode("ascii").partition("?")
        stream = await self._opener(GatewayUrl(url.scheme, url.host, port, path, query))
        try:
            connection = httpcore2.AsyncHTTP11Connection(raw.origin, _NetworkStream(stream))
            asked = httpcore2.Request(request.method, raw, headers=request.headers.raw, content=await request.aread())
            answer = await connection.handle_async_request(asked)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        body = cast("AsyncIterable[bytes]", answer.stream)
        return httpx2.Response(answer.status, headers=answer.headers, stream=_Body(stream, body))


class _Body(httpx2.AsyncByteStream):
    def __init__(self, stream: trio.abc.Stream, body: AsyncIterable[bytes]) -> None:
        self._stream = stream
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            yield chunk

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self._stream)


class _NetworkStream(httpcore2.AsyncNetworkStream):
    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - the library's
        try:
            return bytes(await self._stream.receive_some(max_bytes))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore2.ReadError from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the library's
        try:
            await self._stream.send_all(buffer)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore2.WriteError from error

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self._stream)
