"""The fake gateway on loopback: HTTP and websocket on one port, resets, and a shutdown that leaves the port free."""

from __future__ import annotations

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from gatewright.harness.fake import Answer, Connection, Dark, Delay, Drop, FakeGateway, Raw, Withhold
from tests.harness.client import TOKEN, Forwarding, connected, open_tcp
from tests.support.ports import free_port
from tests.support.threads import PATIENCE

pytestmark = pytest.mark.sockets


async def get(fake: FakeGateway, path: str, *, token: str | None = TOKEN, method: str = "GET") -> tuple[int, bytes]:
    """A request by hand; the status and the body, which must be as long as it says."""
    authorization = "" if token is None else f"Authorization: Bot {token}\r\n"
    answer = await exchange(fake, f"{method} {path} HTTP/1.1\r\nHost: x\r\n{authorization}\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    return int(head.split()[1]), body


async def exchange(fake: FakeGateway, request: bytes) -> bytes:
    """Send `request` and read until the end."""
    answer = b""
    async with await open_tcp(fake) as stream:
        await stream.send_all(request)
        while data := await stream.receive_some():
            answer += data
    return answer


async def test_http_and_websocket_share_one_port() -> None:
    with trio.fail_after(PATIENCE):
        async with FakeGateway(token=TOKEN) as fake:
            status, body = await get(fake, "/api/v10/gateway/bot")
            assert status == 200
            url = msgspec.json.decode(body)["url"]
            assert url == fake.url
            async with connected(fake, stream=await open_tcp(fake)) as client:
                ready = await client.start_session()
            assert ready["resume_gateway_url"] + "/" == url
            assert fake.metadata_url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("path", "token", "method", "status"),
    [
        ("/api/v10/gateway", None, "GET", 200),
        ("/api/v10/gateway?x=1", None, "GET", 200),
        ("/api/v10/gateway/bot", None, "GET", 401),
        ("/api/v10/gateway/bot", "wrong", "GET", 401),
        ("/api/v10/gateway/bot", TOKEN, "POST", 405),
        ("/api/v10/users/@me", TOKEN, "GET", 200),
        ("/api/v10/users/@me", "wrong", "GET", 401),
        ("/api/v10/applications/@me", TOKEN, "GET", 200),
        ("/api/v10/oauth2/applications/@me", TOKEN, "GET", 200),
        ("/api/v10/channels/1/messages", TOKEN, "GET", 404),
    ],
)
async def test_http_answers_with_the_status_that_fits(path: str, token: str | None, method: str, status: int) -> None:
    with trio.fail_after(PATIENCE):
        async with FakeGateway(token=TOKEN) as fake:
            assert (await get(fake, path, token=token, method=method))[0] == status


async def test_a_huge_body_arrives_whole() -> None:
    with trio.fail_after(PATIENCE):
        async with FakeGateway(token=TOKEN, metadata_script=[Answer(200, b"x" * 5_000_000)]) as fake:
            assert len((await get(fake, "/api/v10/gateway/bot"))[1]) == 5_000_000


async def test_metadata_can_break_off_in_the_middle() -> None:
    part = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"
    with trio.fail_after(PATIENCE):
        async with FakeGateway(token=TOKEN, metadata_script=[(Raw(part), Drop())]) as fake:
            assert await exchange(fake, b"GET /api/v10/gateway HTTP/1.1\r\nHost: x\r\n\r\n") == part


async def test_metadata_can_be_reset() -> None:
    with trio.fail_after(PATIENCE):
        async with FakeGateway(token=TOKEN, metadata_script=[Drop(reset=True)]) as fake:
            with pytest.raises(trio.BrokenResourceError):
                await exchange(fake, b"GET /api/v10/gateway HTTP/1.1\r\nHost: x\r\n\r\n")


async def test_withheld_metadata_are_forgotten_when_the_client_goes() -> None:
    with trio.fail_after(PATIENCE):
        async with FakeGateway(token=TOKEN, metadata_script=[Withhold()]) as fake:
            await wait_all_tasks_blocked()
            before = trio.lowlevel.current_statistics().tasks_living
            async with await open_tcp(fake) as stream:
                await stream.send_all(b"GET /api/v10/gateway HTTP/1.1\r\nHost: x\r\n\r\n")
                await fake.wait_until(lambda log: log.metadata_requests == 1)
                assert trio.lowlevel.current_statistics().tasks_living > before
            while trio.lowlevel.current_statistics().tasks_living != before:  # noqa: ASYNC110 - nobody tells
                await trio.sleep(0.01)


@pytest.mark.parametrize("reset", [False, True])
async def test_a_websocket_can_be_dropped_with_fin_or_with_rst(reset: bool) -> None:
    with trio.fail_after(PATIENCE):
        async with FakeGateway() as fake:
            stream = await open_tcp(fake)
            seen: list[str] = []
            async with connected(fake, stream=Watched(stream, seen)) as client:
                await client.start_session()
                fake.drop(reset=reset)
                assert await client.close_code() == 1006
            assert seen == (["reset"] if reset else ["end"])


class Watched(Forwarding):
    """A stream that notes how it ends."""

    def __init__(self, stream: trio.abc.Stream, seen: list[str]) -> None:
        super().__init__(stream)
        self._seen = seen

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            data = await super().receive_some(max_bytes)
        except trio.BrokenResourceError:
            self._seen.append("reset")
            raise
        if not data:
            self._seen.append("end")
        return data


async def test_a_client_that_does_not_read_is_dropped_all_the_same() -> None:
    with trio.fail_after(PATIENCE):
        async with FakeGateway(guilds=0) as fake:
            stream = await open_tcp(fake)
            async with connected(fake, stream=stream) as client:
                await client.start_session()
                for _ in range(200):
                    await fake.dispatch("MESSAGE_CREATE", {"content": "x" * 100_000})  # more than the buffers hold
                fake.drop()
                await fake.wait_until(lambda log: log.open_connections == 0)


async def test_in_the_dark_a_client_that_writes_blocks_if_nobody_reads() -> None:
    with trio.fail_after(PATIENCE):
        async with FakeGateway() as fake:
            stream = await open_tcp(fake)
            async with connected(fake, stream=stream) as client:
                await client.start_session()
                fake.go_dark(reading=False)
                with trio.move_on_after(1) as patience:
                    for _ in range(200):
                        await stream.send_all(b"x" * 100_000)
                assert patience.cancelled_caught


async def test_bytes_that_come_with_the_upgrade_request_are_not_lost() -> None:
    heartbeat = b'{"op":1,"d":null}'
    frame = bytes([0x81, 0x80 | len(heartbeat), 0, 0, 0, 0]) + heartbeat  # masked with zeros
    with trio.fail_after(PATIENCE):
        async with FakeGateway(script=[Connection(accept=Delay(0.05))]) as fake:
            head = b"GET /?v=10 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            head += b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n\r\n"
            async with await open_tcp(fake) as stream:
                await stream.send_all(head + frame)
                await fake.wait_until(lambda log: log.heartbeats == 1)


async def test_leaving_frees_the_port_and_hangs_on_nobody() -> None:
    with trio.fail_after(PATIENCE):
        async with FakeGateway(port=free_port(), script=[Connection(hello=Dark())]) as fake:
            url, idle = fake.url, await open_tcp(fake)
            async with connected(fake, stream=await open_tcp(fake)):
                pass
        async with idle:
            assert await idle.receive_some() == b""
        async with FakeGateway(port=int(url.removesuffix("/").rpartition(":")[2])) as again:
            assert again.url == url
