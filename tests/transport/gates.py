"""What the tests of the identify gate share."""

import trio

from gatewright.spec.session import Metadata
from gatewright.transport.gate import InMemoryIdentifyGate

URL = "wss://gateway.discord.gg/"


def metadata(**changes: float) -> Metadata:
    return Metadata(url=URL, **changes)  # type: ignore[arg-type]  # numbers by name


def new_gate(**options: object) -> InMemoryIdentifyGate:
    arguments: dict[str, object] = {"random": lambda: 0.0, **options}
    return InMemoryIdentifyGate(**arguments)  # type: ignore[arg-type]  # numbers by name


def ignore(eta: float) -> None:
    pass


async def identify(gate: InMemoryIdentifyGate, shard_id: int = 0) -> float:
    """Take a slot, use it in the same step, and say when."""
    gate.sent(await gate.acquire(shard_id=shard_id, on_queued=ignore))
    return trio.current_time()
