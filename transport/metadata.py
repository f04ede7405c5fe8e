"""Gateway metadata: the main URL and the identify budget, asked for over HTTP, given, or remembered for others."""

from __future__ import annotations

import contextlib
import importlib.metadata
import math
from typing import TYPE_CHECKING, Annotated, Final

import attrs
import msgspec
import trio

from gatewright._version import __version__
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.events import MetadataError
from gatewright.spec.protocol import DAY
from gatewright.spec.session import Metadata
from gatewright.transport.seams import Clock, ConnectionUnavailable, MetadataSource, MetadataUnavailable, StreamOpener
from gatewright.transport.streams import TcpStreamOpener
from gatewright.transport.token import Token
from gatewright.transport.urls import UnusableUrl, parse_api_url, parse_gateway_url

if TYPE_CHECKING:
    import httpx2

API_URL: Final = "https://discord.com/api/v10"

MAX_BODY: Final = 64 * 1024
"""Bytes. The real answer has about 200."""

PROJECT_URL: Final = "https://github.com/gatewright/gatewright"


# -- over HTTP ---------------------------------------------------------------------------------------------------------


class _Limit(msgspec.Struct):
    total: Annotated[int, msgspec.Meta(ge=0, le=2**31)]
    remaining: Annotated[int, msgspec.Meta(ge=0, le=2**31)]
    reset_after: Annotated[float, msgspec.Meta(ge=0)]
    max_concurrency: Annotated[int, msgspec.Meta(ge=1, le=100_000)]


class _Answer(msgspec.Struct):
    url: str
    shards: Annotated[int, msgspec.Meta(ge=1, le=100_000)]
    session_start_limit: _Limit


class _RateLimited(msgspec.Struct):
    retry_after: float = 0.0


_decode_answer: Final = msgspec.json.Decoder(_Answer).decode
_decode_rate_limited: Final = msgspec.json.Decoder(_RateLimited).decode


@attrs.frozen
class _Response:
    """What came back. `fault` says why the body cannot be used; a status of trouble counts all the same."""

    status: int
    retry_after: str
    body: bytes
    fault: str = ""


class HttpMetadataSource:
    """Asks ``GET /gateway/bot`` of Discord's HTTP API, once per call of :meth:`fetch`. Redirects are not followed.

    Args:
        token: the bot token; it is put into one header, and into nothing else.
        base_url: of the API; ``http://`` only towards this machine.
        timeout: seconds for the whole request; the state that waits for it has 6.
        opener: how a stream to the API is opened. By default directly; a shard gives its own here, and with it its
            proxy and its TLS.

    Raises:
        UnusableUrl: if `base_url` cannot be used.
        ConfigurationError: if `timeout` is not positive.

    Source: P01, P08, section 1.4 of the protocol, A22, F05.
    """

    def __init__(
        self,
        token: Token,
        *,
        base_url: str = API_URL,
        timeout: float = 4.0,
        opener: StreamOpener | None = None,
    ) -> None:
        if not timeout > 0:
            raise ConfigurationError(f"the timeout of a metadata request must be positive, not {timeout!r} s")
        self._token = token
        self._url = f"{parse_api_url(base_url)}/gateway/bot"
        self._timeout = timeout
        self._opener = TcpStreamOpener() if opener is None else opener

    async def fetch(self) -> Metadata:
        """Ask once; see :class:`~gatewright.transport.seams.MetadataSource`.

        Raises:
            MetadataUnavailable: ``FATAL`` for 401 and 403; ``TRANSIENT`` for 408, 429, 5xx, time-outs and network
                errors, with what the server asked us to wait; ``MALFORMED`` for any answer that cannot be used.
        """
        response: _Response | MetadataUnavailable = _transient(f"no answer within {self._timeout} s")
        with trio.move_on_after(self._timeout):
            response = await self._request()
        if isinstance(response, MetadataUnavailable):
            raise response
        return _interpret(response)

    async def _request(self) -> _Response | MetadataUnavailable:
        # The failure is returned and raised by the caller, outside of the handler: httpx2's exceptions hold the request
        # and its headers, and must not hang on ours.
        import httpcore2
        import httpx2

        from gatewright.transport.http import OpenedTransport

        try:
            async with httpx2.AsyncClient(
                transport=OpenedTransport(self._opener), timeout=None, follow_redirects=False, trust_env=False
            ) as client:
                request = client.build_request("GET", self._url, headers={"User-Agent": user_agent()})
                request.headers["Authorization"] = f"Bot {self._token.reveal()}"  # shown as [secure] by its repr
                # What is not compressed cannot be small on the wire and large in memory.
                request.headers["Accept-Encoding"] = "identity"
                response = await client.send(request, stream=True)
                try:
                    return await _read(response)
                finally:
                    await response.aclose()
        except ConnectionUnavailable as unavailable:
            return _transient(unavailable.reason)
        except (
            httpx2.RequestError,
            httpx2.InvalidURL,
            httpx2.StreamError,
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            OSError,
        ) as error:
            # The class says what happened; the text may quote what the peer sent.
            return _transient(type(error).__name__)


async def _read(response: httpx2.Response) -> _Response:
    status, retry_after = response.status_code, response.headers.get("Retry-After", "")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        return _Response(status, retry_after, b"", "the answer is compressed although that was not asked for")
    body = bytearray()
    size = 0
    try:
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > MAX_BODY:
                # Closed and not left: the next read fails and so ends each of the generators that httpx2 stacks here.
                await response.aclose()
            else:
                body += chunk
    except Exception:
        if size <= MAX_BODY:
            raise
    fault = f"the answer has more than {MAX_BODY} bytes" if size > MAX_BODY else ""
    return _Response(status, retry_after, bytes(body), fault)


def _interpret(response: _Response) -> Metadata:
    status = response.status
    if status in {401, 403}:
        raise MetadataUnavailable(MetadataError.FATAL, f"HTTP {status}: the token was refused")
    if status in {408, 429} or status >= 500:
        raise _transient(f"HTTP {status}", _retry_after(response))
    if status != 200:
        raise _malformed(f"HTTP {status} where 200 was expected")
    if response.fault:
        raise _malformed(response.fault)
    metadata = _parse(response.body)
    if isinstance(metadata, MetadataUnavailable):
        raise metadata
    return metadata


def _parse(body: bytes) -> Metadata | MetadataUnavailable:
    try:
        answer = _decode_answer(body)
        url = str(parse_gateway_url(answer.url))
    except UnusableUrl as error:
        return _malformed(str(error))
    except (ValueError, RecursionError):  # their texts may quote the body
        return _malformed("the answer is not JSON of the documented shape")
    limit = answer.session_start_limit
    return Metadata(
        url=url,
        shards=answer.shards,
        total=limit.total,
        remaining=limit.remaining,
        reset_after=min(limit.reset_after / 1000, DAY),  # the only milliseconds of this answer
        max_concurrency=limit.max_concurrency,
    )


def _retry_after(response: _Response) -> float:
    """Seconds that the server asked us to wait, by header or body, whichever is longer; at most a day."""
    wishes = [0.0]
    with contextlib.suppress(ValueError):  # missing, or a date, which Discord does not send
        wishes.append(float(response.retry_after))
    with contextlib.suppress(ValueError, RecursionError):  # a proxy in between answers with a page of HTML
        wishes.append(_decode_rate_limited(response.body).retry_after)
    return min(max(wish for wish in wishes if math.isfinite(wish)), DAY)


def _transient(reason: str, retry_after: float = 0.0) -> MetadataUnavailable:
    return MetadataUnavailable(MetadataError.TRANSIENT, reason, retry_after)


def _malformed(reason: str) -> MetadataUnavailable:
    return MetadataUnavailable(MetadataError.MALFORMED, reason)


def user_agent() -> str:
    """What HTTP requests call themselves, in the form that Discord demands (P08), with the packaged address."""
    url = PROJECT_URL
    try:
        addresses = importlib.metadata.metadata("gatewright").get_all("Project-URL") or []
    except importlib.metadata.PackageNotFoundError:  # a checkout that was not installed
        addresses = []
    if addresses:
        url = addresses[0].partition(",")[2].strip() or url  # "label, address"
    return f"DiscordBot ({url}, {__version__})"


# -- given, or remembered ----------------------------------------------------------------------------------------------


class StaticMetadataSource:
    """Always the same metadata: for tests, for a gateway of one's own, and where somebody else asks for it.

    Raises:
        UnusableUrl: if the metadata's URL cannot be used.
    """

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = attrs.evolve(metadata, url=str(parse_gateway_url(metadata.url)))

    async def fetch(self) -> Metadata:
        """The metadata."""
        await trio.lowlevel.checkpoint()
        return self._metadata


class _Flight:
    """One request that several callers wait for. `outcome` stays ``None`` when the caller who made it was cancelled."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.outcome: Metadata | MetadataUnavailable | None = None


class CachedMetadataSource:
    """Remembers another source's answer, and asks it once for many shards that ask at the same time.

    The same answer is the same object, so that a gate that learns from it twice can tell.

    Args:
        inner: the source to ask.
        url_ttl: seconds for which an old answer still serves when no new one can be had: its URL is good for long.
        limit_ttl: seconds for which an answer serves without asking again: its identify budget changes.
        clock: seconds that never go back.

    Source: P02, P03.
    """

    def __init__(
        self,
        inner: MetadataSource,
        *,
        url_ttl: float = DAY,
        limit_ttl: float = 30.0,
        clock: Clock = trio.current_time,
    ) -> None:
        if not 0 <= limit_ttl <= url_ttl:
            raise ConfigurationError(
                f"limit_ttl ({limit_ttl} s) must be between 0 and url_ttl ({url_ttl} s): the URL outlives the budget"
            )
        self._inner = inner
        self._url_ttl = url_ttl
        self._limit_ttl = limit_ttl
        self._clock = clock
        self._flight: _Flight | None = None
        self._answer: Metadata | None = None
        self._answered = 0.0
        self._refusal: MetadataUnavailable | None = None
        self._refused_until = 0.0

    async def fetch(self) -> Metadata:
        """The remembered answer, or a new one; see :class:`~gatewright.transport.seams.MetadataSource`.

        A caller that is cancelled takes nothing from the others: if it was the one that asked, the next one asks.

        Raises:
            MetadataUnavailable: as `inner` says, unless an old answer still serves. What it refused is not asked again
                before its `retry_after` is over, and a refused token not for `limit_ttl` seconds.
        """
        await trio.lowlevel.checkpoint()
        while True:
            now = self._clock()
            if self._answer is not None and now < self._answered + self._limit_ttl:
                return self._answer
            if self._refusal is not None and now < self._refused_until:
                return self._settle(self._refusal)
            if self._flight is None:
                return self._settle(await self._ask())
            flight = self._flight
            await flight.done.wait()
            if flight.outcome is not None:
                return self._settle(flight.outcome)

    async def _ask(self) -> Metadata | MetadataUnavailable:
        flight = self._flight = _Flight()
        try:
            flight.outcome = self._answer = await self._inner.fetch()
            self._answered = self._clock()
            self._refusal = None
        except MetadataUnavailable as refusal:
            flight.outcome = self._refusal = refusal
            hold = self._limit_ttl if refusal.error is MetadataError.FATAL else refusal.retry_after
            self._refused_until = self._clock() + hold
        finally:
            self._flight = None
            flight.done.set()
        return flight.outcome

    def _settle(self, outcome: Metadata | MetadataUnavailable) -> Metadata:
        if isinstance(outcome, Metadata):
            return outcome
        now = self._clock()
        fatal = outcome.error is MetadataError.FATAL
        if not fatal and self._answer is not None and now < self._answered + self._url_ttl:
            return self._answer
        # A new exception for each caller: one that is raised in several tasks collects the frames of all of them.
        raise MetadataUnavailable(outcome.error, outcome.reason, max(0.0, self._refused_until - now))
