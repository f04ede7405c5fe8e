"""A scenario: everything that one simulated life of a shard is made of, as one value that prints, compares and shrinks.

A shard with its configuration; what goes wrong on which connection, named as in the fault tour; what the user, the
server and the network do beside that, and when; how the consumer behaves; and the numbers of network and scheduler.
"""

from __future__ import annotations

import enum
from typing import Final

import attrs

from gatewright.harness.fake.faults import FAULTS, Phase, connections_of
from gatewright.harness.fake.script import Amend, Connection, Delay, MetadataPlan
from gatewright.harness.sim.choices import SeedSource
from gatewright.spec.intents import Intents
from gatewright.spec.session import Session
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.transport.inflate import Compression
from gatewright.transport.queue import Queue

FEWEST_FAULTS: Final = 3

INTENTS: Final = Intents.GUILDS | Intents.GUILD_MEMBERS | Intents.GUILD_VOICE_STATES
"""Of every simulated shard."""


class Actor(enum.StrEnum):
    """Who does something."""

    USER = "user"
    SERVER = "server"
    NETWORK = "network"


class Deed(enum.StrEnum):
    """What can be done at some moment, beside what a script has the server do at a step."""

    # The user's verbs, possible or not, and requests.
    CONNECT = "connect"
    RECONNECT = "reconnect"
    FORCE_IDENTIFY = "force_identify"
    SUSPEND = "suspend"
    STOP = "stop"
    PRESENCE = "presence"
    MEMBERS = "members"
    CHUNKS = "chunks"
    SOUNDS = "sounds"
    CHANNELS = "channels"
    VOICE = "voice"
    FLOOD = "flood"
    ABSENCE = "absence"
    RIVALS = "rivals"
    AGAIN = "again"
    # The server.
    DISPATCHES = "dispatches"
    LARGE = "large"
    STREAM = "stream"
    BEAT_REQUEST = "beat_request"
    OP_7 = "op_7"
    OP_9 = "op_9"
    CLOSE = "close"
    BAN = "ban"
    DROP = "drop"
    FORGET = "forget"
    GARBAGE = "garbage"
    OUT_OF_TURN = "out_of_turn"
    SILENCE = "silence"
    ANSWERS = "answers"
    SPOIL = "spoil"
    WIRE = "wire"
    # The network.
    RESET = "reset"
    CUT = "cut"
    MEND = "mend"
    INSPECT = "inspect"
    MISUSE = "misuse"
    PRUNE = "prune"
    CHOKE = "choke"
    LINGER = "linger"
    SLOW = "slow"
    REFUSE = "refuse"
    HANG = "hang"
    BALK = "balk"
    CLING = "cling"


HARMLESS: Final = frozenset(
    {
        Deed.CONNECT, Deed.RECONNECT, Deed.FORCE_IDENTIFY, Deed.SUSPEND, Deed.STOP, Deed.PRESENCE, Deed.MEMBERS,
        Deed.CHUNKS, Deed.SOUNDS, Deed.CHANNELS, Deed.VOICE, Deed.DISPATCHES, Deed.LARGE, Deed.BEAT_REQUEST, Deed.MEND,
        Deed.INSPECT, Deed.MISUSE, Deed.PRUNE, Deed.RIVALS, Deed.AGAIN,
    }
)  # fmt: skip
"""Deeds that are no fault."""

CODES: Final = (4000, 1000, 1001, 4003, 4007, 4008, 4009, 4001, 4999)
"""Close codes of the server after which a shard comes back."""
FATAL_CODES: Final = (4004, 4014)
"""Close codes that end a shard for good."""
FATAL: Final = frozenset({4004, 4010, 4011, 4012, 4013, 4014})


class Gate(enum.StrEnum):
    """How the identify gate answers a request."""

    FREE = "free"
    SLOW = "slow"
    OUTAGE = "outage"
    BUDGET = "budget"
    SILENT = "silent"
    STUBBORN = "stubborn"  # takes no notice of being cancelled, and grants
    LATE_GRANT = "late_grant"  # the same, and says nothing before
    LATE_REFUSAL = "late_refusal"
    LATE_ESTIMATE = "late_estimate"


class Way(enum.StrEnum):
    """How the shard reaches the gateway."""

    MEMORY = "memory"
    TLS = "tls"
    HTTP_PROXY = "http_proxy"
    HTTPS_PROXY = "https_proxy"
    SOCKS = "socks"
    SOCKS_BY_NAME = "socks_by_name"


class Consumer(enum.StrEnum):
    """Who takes the dispatches."""

    ALL = "all"
    SOME = "some"  # those of some types
    SINK = "sink"  # a sink, that they are pushed to
    CURIOUS = "curious"  # those of all types, and looks at everything


class Registering(enum.StrEnum):
    """How the registrations of a shard behave."""

    FINE = "fine"
    SLOW = "slow"
    FAILS = "fails"
    HANGS = "hangs"
    STUBBORN = "stubborn"  # takes no notice of being cancelled, and comes to its end
    STUBBORN_FAILS = "stubborn_fails"
    UNDO_HANGS = "undo_hangs"
    UNDO_FAILS = "undo_fails"
    UNDO_STUBBORN = "undo_stubborn"  # takes no notice of being cancelled, and comes to its end
    HANGS_TWICE = "hangs_twice"  # applying hangs, and undoing is stubborn


UNREGISTERED: Final = frozenset(
    {Registering.FAILS, Registering.HANGS, Registering.STUBBORN, Registering.STUBBORN_FAILS}
)
"""Registrations that may end a shard."""


@attrs.frozen
class Late:
    """A metadata request that takes no notice of being cancelled, as one in a thread, and ends after `seconds`."""

    seconds: float
    fails: bool = False


@attrs.frozen
class Limit:
    """A metadata request that is answered, with what is left of the identify budget and in how many buckets."""

    remaining: int
    reset_after: float = 0.0
    """Seconds; 0 if the server does not say."""
    buckets: int = 1


@attrs.frozen
class Act:
    """`after` seconds after the one before it, somebody does something; `number` says which, how much or how long."""

    after: float
    deed: Deed
    number: int = 0
    during: State | None = None
    """Waits for this state of the shard first, for some time."""
    passes: int = 0
    """Passes of the loop by which it is late, in the same instant."""

    @property
    def is_fault(self) -> bool:
        """Whether something goes wrong by it."""
        return self.deed not in HARMLESS


@attrs.frozen(kw_only=True)
class Scenario:
    """One simulated life. Without arguments: a shard that starts, lives for a while and is left."""

    settings: Settings = attrs.field(factory=Settings)
    session: Session | None = None
    compress: Compression = Compression.NONE
    queue: Queue = attrs.field(factory=Queue)
    manual: bool = False
    """Whether dispatches are acknowledged one by one."""
    window: int = 1000
    """How many dispatches may be taken and not acknowledged, if that is `manual`."""
    narrow: bool = False
    """Whether next to nothing may be asked for at a time."""
    stored: bool = False
    """Whether the session is kept in a store."""
    file: str | None = None
    """What is in a file at first in which the session is kept; it is there for ``None`` only if it is `stored`."""
    http: bool = False
    """Whether metadata come over HTTP and the simulated network."""
    cached: bool = False
    """Whether metadata are remembered."""
    way: Way = Way.MEMORY
    consumer: Consumer = Consumer.ALL
    logged: bool = False
    """Whether somebody reads the log."""
    registering: Registering = Registering.FINE
    gates: tuple[Gate, ...] = ()
    """How the first requests for a slot are answered; those after them are granted."""
    metadata: tuple[str | Late | Limit, ...] = ()
    """Faults of the first metadata requests, or what they are told."""
    connections: tuple[tuple[str, Phase] | Connection, ...] = ()
    """Faults of the first connections, each in a phase of the client's life; or what else the server does on them."""
    acts: tuple[Act, ...] = ()
    absent: float = 0.0
    """Virtual seconds for which the consumer takes nothing at first."""
    network: tuple[int, ...] = ()
    """The network's numbers: latencies, cuts and merges."""
    network_seed: int | None = None
    schedule: tuple[int, ...] = ()
    """The scheduler's numbers: who runs next."""
    schedule_seed: int | None = None
    cancel_at: int | None = None
    """At which pass of the scheduler the user's block is cancelled."""

    @property
    def faults(self) -> int:
        """How many faults there are."""
        return (
            self.faulty()
            + len(self.metadata)
            + sum(act.is_fault for act in self.acts)
            + sum(gate is not Gate.FREE for gate in self.gates)
            + (self.registering is not Registering.FINE)
        )

    def faulty(self, most: int | None = None) -> int:
        """How many of the planned connections, or of the first `most`, do not go well."""
        return sum(planned != Connection() for planned in self.connections[:most])

    @property
    def script(self) -> tuple[Connection, ...]:
        """What the server does on its connections; the last plan repeats."""
        plans: list[Connection] = []
        for planned in self.connections:
            plans += [planned] if isinstance(planned, Connection) else connections_of(FAULTS[planned[0]], planned[1])
        return (*plans, Connection()) if plans else ()

    @property
    def metadata_script(self) -> tuple[MetadataPlan, ...]:
        """What the server does about requests for metadata, where those come to it."""
        return (
            *map(_metadata_plan, self.metadata),
            (),
        )

    @classmethod
    def of(cls, seed: int) -> Scenario:
        """The scenario of a seed."""
        from gatewright.harness.sim.drawing import drawn

        return drawn(SeedSource(seed), seeds=True)


def _metadata_plan(planned: str | Late | Limit) -> MetadataPlan:
    match planned:
        case Late():
            return Delay(planned.seconds)
        case Limit():
            limit = {
                "total": 1000,
                "remaining": planned.remaining,
                "reset_after": int(planned.reset_after * 1000),
                "max_concurrency": planned.buckets,
            }
            return Amend({"session_start_limit": limit})
        case _:
            return FAULTS[planned].metadata(Phase.FETCHING_METADATA)[0]
