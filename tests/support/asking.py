"""The server's side of requests, by hand: what came in, and the dispatches that answer it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import trio

from gatewright.harness.fake import FakeGateway, Received
from gatewright.spec.protocol import Opcode
from tests.support.shards import payloads

T = TypeVar("T")
GUILD = "41771983423143937"


async def asked(fake: FakeGateway, op: Opcode, count: int = 1) -> dict[str, Any]:
    """Waits for the `count`-th message with this opcode, and returns its data."""
    await fake.wait_until(lambda log: sum(seen.op == op for seen in log.of(Received)) >= count)
    return payloads(fake, op)[count - 1]


def member(number: int) -> dict[str, Any]:
    """A member, as small as one can be."""
    return {"user": {"id": str(number)}, "roles": []}


def chunk(nonce: str | None, index: int, count: int, *numbers: int, guild: str = GUILD, **more: Any) -> dict[str, Any]:
    """The data of a GUILD_MEMBERS_CHUNK."""
    data = {
        "guild_id": guild,
        "members": [member(number) for number in numbers],
        "chunk_index": index,
        "chunk_count": count,
        **more,
    }
    return data if nonce is None else {**data, "nonce": nonce}


async def answer(fake: FakeGateway, *chunks: dict[str, Any]) -> None:
    """Sends chunks."""
    for data in chunks:
        await fake.dispatch("GUILD_MEMBERS_CHUNK", data)


def numbers(members: tuple[dict[str, Any], ...]) -> list[int]:
    """The members' ids."""
    return [int(found["user"]["id"]) for found in members]


class Asking:
    """A call that runs in a nursery, and what became of it."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.result: Any = None
        self.error: Exception | None = None
        self.ended_at: float | None = None

    async def __call__(self, call: Callable[[], Any]) -> None:
        with self.scope:
            try:
                self.result = await call()
            except Exception as error:  # noqa: BLE001 - kept for the test to look at
                self.error = error
        self.ended_at = trio.current_time()

    @property
    def over(self) -> bool:
        """Whether it ended, in whatever way."""
        return self.ended_at is not None


def begin(nursery: trio.Nursery, call: Callable[[], Any]) -> Asking:
    """Starts a call in the background."""
    asking = Asking()
    nursery.start_soon(asking, call)
    return asking
