"""Those who play: the engine with its consumer, and the naive client with its supervisor; each has its own server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
import trio

from gatewright.fsm.journal import Record
from gatewright.harness.demo.network import Network
from gatewright.harness.fake import FakeGateway
from gatewright.harness.naive import NaiveClient, NaiveGateway, Note
from gatewright.harness.naive_lifecycle import NaiveLifecycle, StartUpFailed
from gatewright.spec.intents import Intents
from gatewright.spec.settings import Settings
from gatewright.transport.dispatch import Dispatch
from gatewright.transport.errors import ShardFailed
from gatewright.transport.shard import Shard

TOKEN: Final = "demo.token.that-opens-nothing-but-this-demonstration"  # noqa: S105
"""What the clients show and the servers want. It must not appear in anything that is printed."""

HEARTBEAT_INTERVAL: Final = 1.0
SUPERVISOR_PATIENCE: Final = 1.0
"""Seconds without READY after which a supervisor connects by itself; 15 in the original (S01)."""
METADATA_DEADLINE: Final = 3.0
"""Seconds after which the engine goes on without metadata; 6 by default."""

_ROLL: Final = 0.1
"""Every draw of the engine's dice, so that each run of the demonstration takes the same time."""


@attrs.frozen
class Heard:
    """A dispatch that a consumer was given, and when on trio's clock."""

    time: float
    event: Dispatch


class EngineRun:
    """The engine as it ships, and a consumer that keeps what it hears.

    Args:
        fake: its server.
        network: how to get there.
        on_record: called with each journal record, as it is written.
    """

    def __init__(self, fake: FakeGateway, network: Network, *, on_record: Callable[[Record], None]) -> None:
        self.fake = fake
        self.records: list[Record] = []
        self.heard: list[Heard] = []
        self.refusal = ""
        """What the premature connect() raised, in full."""
        self.failure: ShardFailed | None = None
        """What ended the consumer's loop."""
        self._on_record = on_record
        self._bell = trio.Event()
        self._read = 0
        self.shard = Shard(
            TOKEN,
            intents=Intents.GUILDS | Intents.GUILD_MESSAGES,
            settings=Settings(
                metadata_timeout=METADATA_DEADLINE,
                fallback_url=fake.url,
                close_timeout=0.5,
                final_close_timeout=1.0,
                retry_base=0.5,
            ),
            metadata=network.metadata(fake, TOKEN),
            opener=network.opener(fake),
            random=lambda: _ROLL,
            observers=[self],
        )

    @property
    def events(self) -> list[Dispatch]:
        """What the consumer was given, in order."""
        return [heard.event for heard in self.heard]

    def observe(self, record: Record) -> None:
        """A step was made."""
        self.catch_up()

    def catch_up(self) -> None:
        """Take over what the journal has more, pass it on, and wake whoever waits."""
        journal = self.shard.journal
        fresh, self._read = journal.written - self._read, journal.written
        for record in journal.last(fresh):
            self.records.append(record)
            self._on_record(record)
        self._ring()

    async def consume(self) -> None:
        """Hear every dispatch until the shard is over, as a bot would."""
        try:
            async for event in self.shard:
                self.heard.append(Heard(trio.current_time(), event))
                self._ring()
        except ShardFailed as failure:
            self.failure = failure
        finally:
            self._ring()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when `condition` holds; it is asked after each record and each event."""
        while not condition():
            await self._bell.wait()

    def _ring(self) -> None:
        self._bell.set()
        self._bell = trio.Event()


class NaiveRun:
    """The naive client under its supervisor, which waits for READY, reconnects once, and gives up."""

    def __init__(self, fake: FakeGateway, network: Network) -> None:
        self.fake = fake
        self.gave_up = ""
        """Why its supervisor gave up, which leaves the socket open (R05)."""
        self._network = network
        self._gateway: NaiveGateway | None = None

    def start(self, nursery: trio.Nursery) -> None:
        """Begin to run in `nursery`, which has to be cancelled: nothing in it ends by itself."""
        self._gateway = NaiveGateway(
            token=TOKEN,
            nursery=nursery,
            fetch_metadata=self._network.naive_metadata(self.fake, TOKEN),
            open_stream=self._network.naive_opener(self.fake),
            fallback_url=self.fake.url,
        )
        NaiveClient(self._gateway)
        nursery.start_soon(self._supervise, NaiveLifecycle(self._gateway, ready_timeout=SUPERVISOR_PATIENCE))

    @property
    def notes(self) -> list[Note]:
        """What it says of itself."""
        return [] if self._gateway is None else self._gateway.notes

    @property
    def phase(self) -> str:
        """What an onlooker would call its state."""
        return "not started" if self._gateway is None else self._gateway.phase.value

    async def _supervise(self, lifecycle: NaiveLifecycle) -> None:
        try:
            await lifecycle.run()
        except StartUpFailed as failure:
            self.gave_up = str(failure)
