"""Where everything that is left to chance comes from: a list of numbers, then a seed, and every number written down.

0 always means the ordinary case, so a list that is shortened or zeroed makes for a simpler run.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Source(Protocol):
    """What a scenario is drawn from: a seed, or Hypothesis."""

    def below(self, bound: int) -> int:
        """A whole number from 0 to `bound` - 1; 0 is the simplest."""
        ...


class SeedSource:
    """Numbers of a seed; the same in any process and on any version of Python."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def below(self, bound: int) -> int:
        """See :class:`Source`."""
        return int(self._random.random() * bound)


def pick(source: Source, values: Sequence[T]) -> T:
    """One of `values`; the first is the simplest."""
    return values[source.below(len(values))]


class Choices:
    """Numbers out of a list and, after its end, of a seed; ``None`` for a seed means 0 from there on.

    Args:
        numbers: the list.
        seed: for what comes after it.
        ordinary: how many of the numbers of a seed are 0 beyond what chance makes of them, from 0 to 1.
    """

    def __init__(self, numbers: Sequence[int], seed: int | None, *, ordinary: float = 0.0) -> None:
        self._numbers = numbers
        self._random = None if seed is None else random.Random(seed)
        self._ordinary = ordinary
        self.used: list[int] = []
        """Every number that was given out, in order."""

    def below(self, bound: int) -> int:
        """A whole number from 0 to `bound` - 1."""
        place = len(self.used)
        if place < len(self._numbers):
            number = self._numbers[place] % bound
        elif self._random is None:
            number = 0
        else:
            draw = self._random.random()
            number = 0 if draw < self._ordinary else int((draw - self._ordinary) / (1 - self._ordinary) * bound)
        self.used.append(number)
        return number

    @property
    def written(self) -> tuple[int, ...]:
        """The list that gives these numbers again: what was given out, without the zeros at its end."""
        end = len(self.used)
        while end and not self.used[end - 1]:
            end -= 1
        return tuple(self.used[:end])
