"""What a concrete walk draws: close codes, intervals, names, garbage, times, the core's die, where bytes are cut."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

T = TypeVar("T")

INTERVALS: Final = (41_250.0, 0.5, 1.0, 1e6, 30_000.0)
"""Heartbeat intervals in milliseconds: the usual one, tiny ones and a huge one."""
SECONDS: Final = (0.0, 0.001, 1.0, 5.0, 86.4, 700.0, 4000.0, 1e6)
"""What a gate or an HTTP answer may ask for."""
GARBAGE: Final = (b"", b"[]", b"{", b"\xff", b"null", b'{"op":"x"}', b'{"d":1}', b"\x00nonsense", b'{"op":0,"t":"X"}')
"""Bytes that are no payload."""


class Payloads(Protocol):
    """What a payload is drawn from."""

    def code(self, codes: Sequence[int]) -> int:
        """One of these close codes."""
        ...

    def interval(self) -> float:
        """A heartbeat interval in milliseconds."""
        ...

    def text(self) -> str:
        """A name: any text that is not empty."""
        ...

    def more(self) -> int:
        """How far a sequence advances, at least 1."""
        ...

    def garbage(self) -> bytes:
        """Bytes that are no payload."""
        ...

    def seconds(self) -> float:
        """How long somebody asks to wait."""
        ...

    def elapsed(self) -> float:
        """Which part of the time until the next timer passes before something happens, from 0 to 1."""
        ...

    def lateness(self) -> float:
        """By how many seconds a timer is late."""
        ...

    def roll(self) -> float:
        """The core's die, from 0 to below 1."""
        ...

    def cuts(self) -> tuple[int, ...]:
        """Where bytes are cut: places that rise, and may lie beyond their end."""
        ...


class Plain:
    """The simplest of each: payloads as the exploration tells them, at once and in one piece."""

    def code(self, codes: Sequence[int]) -> int:
        """See :class:`Payloads`."""
        return codes[0]

    def interval(self) -> float:
        """See :class:`Payloads`."""
        return 40_000.0

    def text(self) -> str:
        """See :class:`Payloads`."""
        return "x"

    def more(self) -> int:
        """See :class:`Payloads`."""
        return 1

    def garbage(self) -> bytes:
        """See :class:`Payloads`."""
        return GARBAGE[1]

    def seconds(self) -> float:
        """See :class:`Payloads`."""
        return 3.0

    def elapsed(self) -> float:
        """See :class:`Payloads`."""
        return 0.0

    def lateness(self) -> float:
        """See :class:`Payloads`."""
        return 0.0

    def roll(self) -> float:
        """See :class:`Payloads`."""
        return 0.5

    def cuts(self) -> tuple[int, ...]:
        """See :class:`Payloads`."""
        return ()


class Chance:
    """Payloads of a source of chance: the same for the same seed."""

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def _one(self, values: Sequence[T]) -> T:
        return values[int(self._source.random() * len(values))]

    def code(self, codes: Sequence[int]) -> int:
        """See :class:`Payloads`."""
        return self._one(codes)

    def interval(self) -> float:
        """See :class:`Payloads`."""
        return self._one(INTERVALS)

    def text(self) -> str:
        """See :class:`Payloads`."""
        return self._one(("x", "é", "名前", "\U0001f980", "\x00", "a" * 200))

    def more(self) -> int:
        """See :class:`Payloads`."""
        return self._one((1, 1, 2, 2**40))

    def garbage(self) -> bytes:
        """See :class:`Payloads`."""
        return self._one(GARBAGE)

    def seconds(self) -> float:
        """See :class:`Payloads`."""
        return self._one(SECONDS)

    def elapsed(self) -> float:
        """See :class:`Payloads`."""
        return self._one((0.0, self._source.random(), 1.0))

    def lateness(self) -> float:
        """See :class:`Payloads`."""
        return self._one((0.0, 0.0, 0.01, 3.0))

    def roll(self) -> float:
        """See :class:`Payloads`."""
        return self._source.random()

    def cuts(self) -> tuple[int, ...]:
        """See :class:`Payloads`."""
        if self._source.random() < 0.7:
            return ()
        return tuple(sorted(int(self._source.random() * 60) for _ in range(3)))
