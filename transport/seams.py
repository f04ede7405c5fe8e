"""What a shard needs from outside, as Protocols.

Each is a parameter of the shard, so that a test or a host program can replace it. Nothing here does anything.
Implementations that keep everything in this process stand beside it (`metadata`, `streams`, `gate`); a fleet has more.

Rules that hold for all of them: durations are seconds; a call that was cancelled leaves nothing behind; the exceptions
named here are answers that the machine has rows for, and any other exception is a bug that ends the shard.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

import attrs

from gatewright.spec.errors import GatewrightError
from gatewright.spec.events import ConnectError, MetadataError, SlotRefusal
from gatewright.spec.session import Metadata, Session

if TYPE_CHECKING:
    import trio

    from gatewright.fsm.journal import Record
    from gatewright.transport.urls import GatewayUrl

Clock: TypeAlias = Callable[[], float]
"""Seconds that never go back, for example ``trio.current_time`` (R21). Where it starts means nothing."""

RandomSource: TypeAlias = Callable[[], float]
"""A uniform number in [0, 1), for example ``random.random``."""


# -- metadata ----------------------------------------------------------------------------------------------------------


class MetadataUnavailable(GatewrightError):
    """A request for metadata gave none.

    Args:
        error: whether to ask again (``TRANSIENT``), to go on without (``MALFORMED``) or to give up (``FATAL``).
        reason: one line for people, without secrets.
        retry_after: seconds that the server asked us to wait; 0 when it asked for nothing.
    """

    def __init__(self, error: MetadataError, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(f"no gateway metadata ({error}): {reason}")
        self.error = error
        self.reason = reason
        self.retry_after = retry_after


class MetadataSource(Protocol):
    """Where the main URL, the recommended number of shards and the identify budget come from."""

    async def fetch(self) -> Metadata:
        """Ask once; retries are the machine's business.

        Returns:
            Metadata whose `url` can be used as it is (see :func:`gatewright.transport.urls.parse_gateway_url`).

        Raises:
            MetadataUnavailable: if there is none.

        Cancellation ends the request; other callers that share its answer are not affected.
        """
        ...


# -- streams -----------------------------------------------------------------------------------------------------------


class ConnectionUnavailable(GatewrightError):
    """A stream could not be opened, and nothing of it is left. `reason` is one line for people, without secrets."""

    def __init__(self, error: ConnectError, reason: str) -> None:
        super().__init__(f"no connection ({error}): {reason}")
        self.error = error
        self.reason = reason


class StreamOpener(Protocol):
    """How a byte stream to the gateway is opened: directly, through a proxy, or to a simulated network."""

    async def __call__(self, url: GatewayUrl) -> trio.abc.Stream:
        """Connect to `url`'s host and port.

        Returns:
            A connected stream. For ``wss`` its TLS handshake is done and the certificate was checked for the host. The
            caller owns it from here.

        Raises:
            ConnectionUnavailable: if that failed.

        It sets no time limit of its own: the state `connecting` has one, and cancels. When cancelled, it closes
        whatever it had opened.
        """
        ...


# -- identify slots ----------------------------------------------------------------------------------------------------


@attrs.frozen
class Slot:
    """The right to send one IDENTIFY, now. `ticket` names it to the gate that granted it, and means nothing else."""

    shard_id: int
    bucket: int
    ticket: str


class GateUnavailable(GatewrightError):
    """The gate gives no slot for the next `retry_after` seconds: it cannot be reached, or the day's budget is spent."""

    def __init__(self, refusal: SlotRefusal, retry_after: float) -> None:
        super().__init__(f"no identify slot ({refusal}); asking again makes sense in {retry_after:.1f} s")
        self.refusal = refusal
        self.retry_after = retry_after


class IdentifyGate(Protocol):
    """Who may IDENTIFY, and when: one per bucket every 5 s, and never more a day than the bot has (I12, P27, P29).

    One gate serves every shard of a bot, in this process or in all of them. It is a plain object: nothing runs in it
    between calls.
    """

    async def acquire(self, *, shard_id: int, on_queued: Callable[[float], None]) -> Slot:
        """Wait for a slot.

        Args:
            shard_id: of the shard that asks; its bucket is ``shard_id % max_concurrency``.
            on_queued: called at once, from this task, with the estimated wait in seconds when there is one, and again
                when the estimate has grown much. Not called when a slot is free.

        Returns:
            The slot. There is no checkpoint between taking it and returning, so a caller that goes on without one sends
            its IDENTIFY in the same step, and a cancelled call holds nothing.

        Raises:
            GateUnavailable: if there will be none for a while.

        Every slot is settled by one of :meth:`sent` and :meth:`give_back`.
        """
        ...

    def sent(self, slot: Slot) -> None:
        """The IDENTIFY was handed to the socket: the bucket's spacing counts from here and the budget is charged."""
        ...

    def answered(self, slot: Slot) -> None:
        """READY has come for the IDENTIFY of this slot, which was sent: the server has counted it by now (A11)."""
        ...

    def give_back(self, slot: Slot) -> None:
        """The slot was not used; the next in line may have it. Idempotent, and without effect after :meth:`sent`."""
        ...

    def learn(self, metadata: Metadata) -> None:
        """Take over what the server says of budget and buckets.

        Called with every answer of the metadata source. One that comes out of a cache is the same object again and must
        not renew the budget.
        """
        ...


# -- sessions ----------------------------------------------------------------------------------------------------------


class SessionStore(Protocol):
    """Where the session of one shard survives its process."""

    async def load(self) -> Session | None:
        """The session that was saved last, or ``None``. Called once, before anything else is done.

        Raises:
            SessionInvalid: if what is there is no session; a new one begins. Anything else ends the start.
        """
        ...

    async def save(self, session: Session | None) -> None:
        """Keep this session in place of the one before; ``None``: there is none any more.

        Called one at a time. What it raises is logged, and it is tried again with the next change.
        """
        ...


# -- the rest ----------------------------------------------------------------------------------------------------------


class Observer(Protocol):
    """Somebody who watches: a log, metrics, an inspector."""

    def observe(self, record: Record) -> None:
        """Take one journal record.

        Called in the shard's own task after the transition: it must be quick, must not block and must not call back
        into the shard.
        """
        ...


class Registration(Protocol):
    """A side effect that belongs to being registered: binding listeners, setting attributes of a client (F03, I05)."""

    async def apply(self, client: object) -> None:
        """Set up; applied exactly once, in the order of the list. An exception fails the registration."""
        ...

    async def undo(self, client: object) -> None:
        """Take down what :meth:`apply` set up, also when that was cancelled half-way.

        Called in reverse order, shielded from cancellation, under a deadline.
        """
        ...
