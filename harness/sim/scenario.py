"""A scenario: everything that one simulated life of a shard is made of, as one value that prints, compares and shrinks.

A shard with its configuration; what goes wrong on which connection, named as in the fault tour; what the user, the
server and the network do beside that, and when; how the consumer behaves; and the numbers of network and scheduler.
"""

from __future__ import annotations

import enum
from typing import Final

import attrs

from gatewright.harness.fake.faults import FAULTS, Phase
from gatewright.harness.sim.choices import SeedSource, Source, pick
from gatewright.spec.session import Session
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.transport.inflate import Compression
from gatewright.transport.queue import Queue, QueuePolicy

FEWEST_FAULTS: Final = 3


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
    # The server.
    DISPATCHES = "dispatches"
    LARGE = "large"
    BEAT_REQUEST = "beat_request"
    OP_7 = "op_7"
    OP_9 = "op_9"
    CLOSE = "close"
    DROP = "drop"
    FORGET = "forget"
    GARBAGE = "garbage"
    OUT_OF_TURN = "out_of_turn"
    SILENCE = "silence"
    # The network.
    RESET = "reset"
    CUT = "cut"
    MEND = "mend"
    CHOKE = "choke"
    SLOW = "slow"
    REFUSE = "refuse"
    HANG = "hang"


HARMLESS: Final = frozenset(
    {
        Deed.CONNECT, Deed.RECONNECT, Deed.FORCE_IDENTIFY, Deed.SUSPEND, Deed.STOP, Deed.PRESENCE, Deed.MEMBERS,
        Deed.CHUNKS, Deed.SOUNDS, Deed.CHANNELS, Deed.VOICE, Deed.DISPATCHES, Deed.LARGE, Deed.BEAT_REQUEST, Deed.MEND,
    }
)  # fmt: skip
"""Deeds that are no fault."""

CODES: Final = (4000, 1000, 1001, 4003, 4007, 4008, 4009, 4001, 4999, 4004, 4014)
"""Close codes of the server; the last two end a shard for good."""
FATAL: Final = frozenset({4004, 4010, 4011, 4012, 4013, 4014})


class Gate(enum.StrEnum):
    """How the identify gate answers a request."""

    FREE = "free"
    SLOW = "slow"
    OUTAGE = "outage"
    BUDGET = "budget"
    SILENT = "silent"
    STUBBORN = "stubborn"  # takes no notice of being cancelled, and grants


class Registering(enum.StrEnum):
    """How the registrations of a shard behave."""

    FINE = "fine"
    SLOW = "slow"
    FAILS = "fails"
    HANGS = "hangs"
    UNDO_HANGS = "undo_hangs"
    UNDO_FAILS = "undo_fails"


_RARELY: Final = 24
"""One scenario in so many has a registration that harms, since most of those end before they have begun."""


@attrs.frozen
class Act:
    """`after` seconds after the one before it, somebody does something; `number` says which, how much or how long."""

    after: float
    deed: Deed
    number: int = 0
    during: State | None = None
    """Waits for this state of the shard first, for some time."""

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
    stored: bool = False
    """Whether the session is kept in a store."""
    http: bool = False
    """Whether metadata come over HTTP and the simulated network."""
    registering: Registering = Registering.FINE
    gates: tuple[Gate, ...] = ()
    """How the first requests for a slot are answered; those after them are granted."""
    metadata: tuple[str, ...] = ()
    """Faults of the first metadata requests."""
    connections: tuple[tuple[str, Phase], ...] = ()
    """Faults of the first connections, each in a phase of the client's life."""
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
            len(self.connections)
            + len(self.metadata)
            + sum(act.is_fault for act in self.acts)
            + sum(gate is not Gate.FREE for gate in self.gates)
            + (self.registering is not Registering.FINE)
        )

    @classmethod
    def of(cls, seed: int) -> Scenario:
        """The scenario of a seed."""
        return drawn(SeedSource(seed), seeds=True)


_PAIRS: Final = tuple(
    (fault.name, phase)
    for fault in FAULTS.values()
    for phase in fault.phases
    if phase is not Phase.FETCHING_METADATA and fault.fails_with is None
)
_LETHAL: Final = tuple(
    (fault.name, phase)
    for fault in FAULTS.values()
    for phase in fault.phases
    if phase is not Phase.FETCHING_METADATA and fault.fails_with is not None
)
_METADATA: Final = tuple(
    fault.name for fault in FAULTS.values() if Phase.FETCHING_METADATA in fault.phases and fault.fails_with is None
)
_SECONDS: Final = (0.0, 0.0, 0.5, 1.0, 3.0, 10.0, 45.0, 130.0)
_SMALL: Final = {
    "max_failed_resumes": 1,
    "hello_stalls_to_forget_url": 1,
    "hello_stalls_to_drop_session": 2,
    "connect_failures_to_forget_url": 1,
    "max_paused_beats": 1,
}
_STATES: Final = tuple(state for state in State if state not in {State.IDLE, State.STOPPED, State.FAILED})
_DEEDS: Final = tuple(deed for deed in Deed if deed is not Deed.STOP)


def drawn(source: Source, *, seeds: bool = False) -> Scenario:
    """A scenario with at least three faults; with `seeds` its network and scheduler have one each."""
    compress = pick(source, (Compression.NONE, Compression.NONE, Compression.ZLIB_STREAM, Compression.PAYLOAD))
    connections = tuple(
        pick(source, _LETHAL) if source.below(25) == 24 else pick(source, _PAIRS) for _ in range(source.below(4))
    )
    acts = [_act(source) for _ in range(source.below(7))]
    if source.below(12) == 11:
        acts.append(Act(pick(source, _SECONDS), Deed.STOP))
    metadata = tuple(pick(source, _METADATA) for _ in range(max(source.below(4) - 1, 0)))
    gates = tuple(pick(source, tuple(Gate)) for _ in range(max(source.below(4) - 1, 0)))
    if source.below(40) == 39:
        metadata = (*metadata, "metadata_401")
    scenario = Scenario(
        settings=_settings(source),
        session=_session(source),
        compress=compress,
        queue=_queue(source),
        manual=source.below(6) == 5,
        stored=source.below(6) == 5,
        http=source.below(8) == 7,
        registering=pick(source, tuple(Registering)) if source.below(_RARELY) == _RARELY - 1 else Registering.FINE,
        gates=gates,
        metadata=metadata,
        connections=connections,
        acts=tuple(acts),
        absent=pick(source, (0.0,) * 9 + (30.0, 200.0, 1000.0)),
        network_seed=source.below(2**32) if seeds else None,
        schedule_seed=source.below(2**32) if seeds else None,
    )
    if scenario.session is not None and scenario.stored:
        scenario = attrs.evolve(scenario, stored=False)
    more: list[Act] = []
    while scenario.faults + len(more) < FEWEST_FAULTS:
        more.append(Act(pick(source, _SECONDS), pick(source, (Deed.DROP, Deed.RESET, Deed.CUT, Deed.CLOSE))))
    return attrs.evolve(scenario, acts=(*scenario.acts, *more))


def _act(source: Source) -> Act:
    during = pick(source, _STATES) if source.below(3) else None
    after = 0.0 if during is not None and source.below(2) else pick(source, _SECONDS)
    return Act(after, pick(source, _DEEDS), source.below(12), during)


def _settings(source: Source) -> Settings:
    strict = source.below(8) == 7
    capped = source.below(8) == 7
    small = source.below(2) == 1
    return Settings(
        strict_startup=strict,
        max_attempts=1 + source.below(3) if capped else None,
        **(_SMALL if small else {}),  # type: ignore[arg-type]  # counts, by name
    )


def _session(source: Source) -> Session | None:
    which = source.below(8)
    if which < 6:
        return None
    return Session(id="imported", resume_url="wss://resume.gateway.invalid" if which == 7 else None, seq=7)


def _queue(source: Source) -> Queue:
    which = source.below(8)
    events = (1000, 1000, 1000, 10, 2, 1, 10, 2)[which]
    policy = (*[QueuePolicy.PAUSE] * 6, QueuePolicy.DROP_OLDEST, QueuePolicy.FAIL)[which]
    return Queue(events=events, policy=policy)
