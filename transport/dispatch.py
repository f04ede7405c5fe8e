"""What a consumer of a shard receives: one dispatch, its data decoded on first use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import attrs
import msgspec

from gatewright.spec.errors import GatewrightError
from gatewright.transport.payloads import Payload, decode_payload

_decode = msgspec.json.Decoder().decode


class UndecodableData(GatewrightError, ValueError):
    """The data of a dispatch is not usable JSON. Its envelope was, so only this event is lost."""


class Keeper(Protocol):
    """Who remembers what was handled."""

    def handle(self, dispatch: Dispatch) -> None:
        """It was handled."""
        ...


@attrs.frozen
class Origin:
    """What many dispatches have in common: where they come from. One object for all of them, so it costs one write.

    `session_id` is the session they belong to, `replayed` whether they came in answer to a RESUME, and `keeper` gives
    who is told that they were handled.
    """

    session_id: str = ""
    replayed: bool = False
    keeper: Callable[[], Keeper | None] | None = None


_NOWHERE: Final = Origin()

# First what fields of a dispatch hold, then what they are decoded from. Of the last type is nothing that a message may
# hold, so that no message can set them.
if TYPE_CHECKING:
    _Raw: TypeAlias = msgspec.Raw | bytes
    _Origin: TypeAlias = Origin
    _Late: TypeAlias = Any
else:
    _Raw, _Origin, _Late = msgspec.Raw, msgspec.UnsetType, msgspec.UnsetType


# Without the collector, which would look at each of the thousands that wait: a dispatch owns nothing that owns it.
class Dispatch(msgspec.Struct, eq=False, gc=False, rename={"type": "t", "seq": "s", "_raw": "d"}):
    """One event of the gateway (opcode 0).

    Attributes:
        type: the event name, for example ``MESSAGE_CREATE``. Names that nobody documented come through as well (P78).
        seq: its sequence number. It orders the dispatches of one session.
        origin: what it has in common with others. The driver fills it in before delivery.
    """

    type: str
    seq: int
    _raw: _Raw
    origin: _Origin = _NOWHERE
    _data: _Late = msgspec.UNSET

    @property
    def session_id(self) -> str:
        """The session it belongs to.

        ``(session_id, seq)`` names a dispatch for good: a consumer that stores the pair handles each at most once,
        whatever is replayed (P43).
        """
        return self.origin.session_id

    @property
    def replayed(self) -> bool:
        """Whether it came in answer to a RESUME."""
        return self.origin.replayed

    @property
    def size(self) -> int:
        """How many bytes the data has, as it came."""
        return len(self._raw)

    def ack(self) -> None:
        """Says that it was handled, in any order; again, or after its session was replaced, it does no harm (I17).

        Needed with ``Shard(ack="manual")``. Otherwise asking for the next one says it, and this says it earlier. Call
        it in trio's thread.
        """
        keeper = self.origin.keeper
        if keeper is not None and (found := keeper()) is not None:
            found.handle(self)

    @property
    def raw(self) -> bytes:
        """The data as it came: JSON text in UTF-8, copied out of the message on every access."""
        return bytes(self._raw)

    @property
    def view(self) -> memoryview:
        """The data as it came, without a copy of it; for those who look at a part, or at its length."""
        return memoryview(self._raw)

    # Any: the documentation promises no schema (of a presence only the user's id, P82; and the same may be said twice,
    # P95); `raw` is for those who decode into types of their own.
    @property
    def data(self) -> Any:
        """The data, decoded into dicts, lists and scalars on first use and kept. Snowflakes are strings (P79).

        Raises:
            UndecodableData: if it cannot be decoded: a lone surrogate, a number out of range, nesting without end.
        """
        if self._data is not msgspec.UNSET:
            return self._data
        try:
            self._data = _decode(self._raw)
        except (ValueError, RecursionError):
            # The decoder's message may quote what it stumbled over.
            raise UndecodableData(f"the data of {self.type} (sequence {self.seq}) is not usable JSON") from None
        return self._data

    def typed(self) -> Payload | None:
        """The data as a class of :mod:`gatewright.transport.payloads`; ``None`` for a type that has none there.

        Raises:
            UndecodableData: if they are not what the documentation says; :attr:`data` may have them all the same.
        """
        try:
            return decode_payload(self.type, self._raw)
        except (ValueError, RecursionError):
            raise UndecodableData(
                f"the data of {self.type} (sequence {self.seq}) do not have the form that is documented"
            ) from None

    def __repr__(self) -> str:
        return f"<Dispatch {self.type} seq={self.seq}{' replayed' if self.replayed else ''}>"
