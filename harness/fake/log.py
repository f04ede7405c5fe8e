"""What the fake gateway saw and did: an ordered list of records, with the counts that tests ask for.

The token is in none of them; whether it matched is. Times are trio's (``trio.current_time()``, seconds), so that they
can be laid beside a client's own journal.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, cast, overload

import attrs
import trio

from gatewright.spec.protocol import Opcode


class Side(enum.StrEnum):
    """Who ended something."""

    CLIENT = "client"
    SERVER = "server"


@attrs.frozen(kw_only=True)
class Record:
    """One entry. `connection` counts websocket connections from 1, in the order in which their requests were read."""

    time: float
    connection: int


@attrs.frozen(kw_only=True)
class Opened(Record):
    """A websocket request was read (the 101 may still be withheld). `target` is its path and query."""

    host: str
    target: str


@attrs.frozen(kw_only=True)
class Received(Record):
    """A message of the client. `op` is ``None`` and `data` empty when it could not be decoded; `size` is in bytes."""

    op: int | None
    data: object
    size: int
    token_matched: bool | None = None
    """For IDENTIFY and RESUME: whether the token was the right one."""


@attrs.frozen(kw_only=True)
class Sent(Record):
    """A message of the server, on its way to the client."""

    op: int | None
    data: object
    seq: int | None = None
    event: str | None = None
    """The dispatch's name, such as ``READY``; ``None`` for other opcodes."""


@attrs.frozen(kw_only=True)
class CloseFrame(Record):
    """A close frame passed. `code` is ``None`` when it had none."""

    by: Side
    code: int | None
    reason: str = ""


@attrs.frozen(kw_only=True)
class Closed(Record):
    """The socket is gone. `by` and `code` are those of the first close frame; a drop has no code."""

    by: Side
    code: int | None


@attrs.frozen(kw_only=True)
class Acted(Record):
    """A fault was played: the action of a script or of a live control, and at which step."""

    action: object
    step: str | None = None


@attrs.frozen(kw_only=True)
class MetadataRequested(Record):
    """A request over HTTP, or through ``metadata()``; `connection` is 0. `token_matched` is ``None`` without one."""

    method: str
    path: str
    token_matched: bool | None


@attrs.frozen(kw_only=True)
class MetadataAnswered(Record):
    """How the request ended; `status` is ``None`` when no HTTP answer was given."""

    path: str
    status: int | None


R = TypeVar("R", bound=Record)


class Log(Sequence[Record]):
    """The records in order. Read it as a list; ask `of` for one kind, and the properties for counts."""

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._received: Counter[int | None] = Counter()
        self._metadata_requests = 0
        self._connections = 0
        self._open: set[int] = set()
        self._most_open = 0
        self._grown = trio.Event()

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        return self._records[index]

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def __repr__(self) -> str:
        return f"<Log of {len(self)} records>"

    def add(self, record: Record) -> None:
        """Append `record` and wake those who wait for one."""
        self._records.append(record)
        match record:
            case Received(op=op):
                self._received[op] += 1
            case Opened(connection=number):
                self._connections += 1
                self._open.add(number)
                self._most_open = max(self._most_open, len(self._open))
            case Closed(connection=number):
                self._open.discard(number)
            case MetadataRequested():
                self._metadata_requests += 1
            case _:
                pass
        self._grown.set()
        self._grown = trio.Event()

    def of(self, kind: type[R], *, connection: int | None = None) -> list[R]:
        """The records of one `kind`, of one connection if given, in order."""
        return [
            record
            for record in self._records
            if isinstance(record, kind) and (connection is None or record.connection == connection)
        ]

    def received(self, op: int) -> int:
        """How many messages with `op` were received."""
        return self._received[op]

    def sent(self, event: str | None = None, *, op: int | None = None) -> int:
        """How many messages were sent: of a dispatch's name, of an opcode, or of both."""
        return sum(
            (event is None or record.event == event) and (op is None or record.op == op) for record in self.of(Sent)
        )

    @property
    def identifies(self) -> int:
        """IDENTIFYs received, accepted or not."""
        return self._received[Opcode.IDENTIFY]

    @property
    def resumes(self) -> int:
        """RESUMEs received, accepted or not."""
        return self._received[Opcode.RESUME]

    @property
    def heartbeats(self) -> int:
        """Heartbeats received."""
        return self._received[Opcode.HEARTBEAT]

    @property
    def connections(self) -> int:
        """Websocket connections whose request was read."""
        return self._connections

    @property
    def open_connections(self) -> int:
        """Websocket connections whose socket is not gone yet."""
        return len(self._open)

    def is_open(self, connection: int) -> bool:
        """Whether this connection's socket is not gone yet."""
        return connection in self._open

    @property
    def max_open_connections(self) -> int:
        """The most that were open at one time."""
        return self._most_open

    @property
    def metadata_requests(self) -> int:
        """Requests for metadata, over HTTP or through ``metadata()``."""
        return self._metadata_requests

    async def wait_until(self, predicate: Callable[[Log], bool]) -> None:
        """Return as soon as `predicate` holds; it is asked now and after each record, and must read the log only."""
        while not predicate(self):
            await self._grown.wait()
        await trio.lowlevel.checkpoint()


def without_token(content: object, token: str) -> object:
    """A copy of decoded JSON in which every string that holds `token` says so instead."""
    if isinstance(content, str):
        return content.replace(token, "<token>")
    if isinstance(content, bytes):
        return content.replace(token.encode(), b"<token>")
    if isinstance(content, dict):
        fields = cast("dict[object, object]", content)
        return {without_token(key, token): without_token(value, token) for key, value in fields.items()}
    if isinstance(content, (list, tuple)):
        return [without_token(value, token) for value in cast("Sequence[object]", content)]
    return content
