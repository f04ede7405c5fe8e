"""A shard in any of its states, in front of a fake gateway in memory and in virtual time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio
import trio.testing

from gatewright.harness.fake import Connection, Drop, FakeGateway, Withhold
from gatewright.spec.events import MetadataError
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.transport.shard import Shard
from tests.support.shards import Answers, Late, Recording, SilentGate, Streams, gateway, shard_on, unavailable

BEGUN = tuple(state for state in State if state is not State.IDLE)
"""Every state that a shard whose block was entered can be in."""

_SCRIPTS = {
    State.CONNECTING: [Connection(accept=Withhold())],
    State.AWAITING_HELLO: [Connection(hello=Withhold())],
    State.IDENTIFIED: [Connection(ready=Withhold())],
    State.RESUMING: [Connection(), Connection(resumed=Withhold())],
    State.DRAINING: [Connection()],
    State.BACKING_OFF: [Connection(hello=Drop())],
}


@attrs.frozen
class Stage:
    """A shard, where it is connected to, and the streams between them."""

    fake: FakeGateway
    shard: Shard
    streams: Streams
    scope: trio.CancelScope
    """Around the shard's block, and not around the gateway."""


def _options(state: State) -> dict[str, Any]:
    match state:
        case State.REGISTERING:
            # Longer than a test takes to look at it.
            settings = Settings(registering_timeout=1000)
            return {"registrations": [Recording("hangs", [], trio.sleep_forever)], "settings": settings}
        case State.FETCHING_METADATA:
            return {"metadata": Answers(Late(None)), "settings": Settings(metadata_timeout=1000)}
        case State.AWAITING_IDENTIFY_SLOT:
            return {"gate": SilentGate()}
        case State.FAILED:
            return {"metadata": Answers(unavailable(MetadataError.FATAL))}
        case _:
            return {}


async def _bring(stage: Stage, state: State) -> None:
    """The way from `ready` for the states that lie behind it."""
    shard, fake, streams = stage.shard, stage.fake, stage.streams
    if state in {State.RESUMING, State.STALLED, State.DRAINING, State.SUSPENDED, State.STOPPED}:
        await shard.wait_for("ready")
    match state:
        case State.RESUMING:
            fake.drop()
        case State.STALLED:
            fake.go_dark()
        case State.DRAINING:
            streams.block()  # so that the close frame cannot leave
            fake.reconnect()
        case State.SUSPENDED:
            await shard.suspend()
        case State.STOPPED:
            await shard.stop()
        case State.BACKING_OFF:
            for _ in range(3):
                await shard.wait_for("connecting")
                await shard.wait_for("backing_off")
        case _:
            pass
    await shard.wait_for(state)


@asynccontextmanager
async def stage(state: State, **options: Any) -> AsyncGenerator[Stage]:
    """Sets up a shard in `state`; the block that it runs in is the one around this."""
    async with gateway(script=_SCRIPTS.get(state, ())) as fake:
        streams = Streams(fake)
        with trio.CancelScope() as scope:
            async with shard_on(fake, opener=streams, **{**_options(state), **options}) as shard:
                found = Stage(fake, shard, streams, scope)
                await _bring(found, state)
                yield found
        await trio.testing.wait_all_tasks_blocked()  # until the gateway has seen the end
