"""A failing scenario made small: what can be left out without the failure going away, is.

Hypothesis shrinks what it has drawn itself; a seed of a long run is made smaller here, on the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs

from gatewright.harness.sim.scenario import Scenario
from gatewright.harness.sim.simulation import Attempt, attempt

_LISTS: Final = ("connections", "acts", "metadata", "gates")
_NUMBERS: Final = ("schedule", "network")


def shrink(scenario: Scenario, *, tries: int = 400, play: Callable[[Scenario], Attempt] = attempt) -> Attempt:
    """The smallest failure of the same kind that was found within `tries` attempts.

    Raises:
        ValueError: if `scenario` does not fail.
    """
    best = play(scenario)
    if best.error is None:
        raise ValueError("this scenario does not fail")
    return _Shrinking(best, tries, play).run()


class _Shrinking:
    """The best failure so far, and how many attempts are left."""

    def __init__(self, best: Attempt, tries: int, play: Callable[[Scenario], Attempt]) -> None:
        self._best = best
        self._tries = tries
        self._play = play

    def run(self) -> Attempt:
        before = None
        while before != _size(self._best.scenario):
            before = _size(self._best.scenario)
            self._forget()
            self._calm("schedule")
            self._calm("network")
        return self._best

    def _try(self, smaller: Scenario) -> bool:
        if self._tries <= 0:
            return False
        self._tries -= 1
        tried = self._play(smaller)
        if tried.signature != self._best.signature or _size(tried.scenario) >= _size(self._best.scenario):
            return False
        self._best = tried
        return True

    def _forget(self) -> None:
        """Leaves out whatever can be left out whole."""
        default = Scenario()
        for name in _plain():
            if getattr(self._best.scenario, name) != getattr(default, name):
                self._try(_with(self._best.scenario, name, getattr(default, name)))
        for name in _LISTS:
            place = 0
            while place < len(items := getattr(self._best.scenario, name)):
                if not self._try(_with(self._best.scenario, name, items[:place] + items[place + 1 :])):
                    place += 1

    def _calm(self, name: str) -> None:
        """Zeroes numbers: all of them, then halves, down to parts of a thirty-second; then each that is left."""
        size = part = len(getattr(self._best.scenario, name))
        while part >= 1 and part * 32 >= size:
            for start in range(0, size, part):
                numbers = getattr(self._best.scenario, name)
                if any(numbers[start : start + part]):
                    zeros = (0,) * len(numbers[start : start + part])
                    self._try(_with(self._best.scenario, name, numbers[:start] + zeros + numbers[start + part :]))
            part //= 2
        for place, number in enumerate(getattr(self._best.scenario, name)):
            numbers = getattr(self._best.scenario, name)
            if number and place < len(numbers):
                self._try(_with(self._best.scenario, name, (*numbers[:place], 0, *numbers[place + 1 :])))


def _size(scenario: Scenario) -> tuple[int, int, int]:
    """What there is to read first, then the numbers."""
    default = Scenario()
    changed = sum(getattr(scenario, name) != getattr(default, name) for name in _plain())
    return (
        changed + sum(len(getattr(scenario, name)) for name in _LISTS),
        sum(number != 0 for number in (*scenario.schedule, *scenario.network)),
        len(scenario.schedule) + len(scenario.network),
    )


def _plain() -> Iterator[str]:
    for field in attrs.fields(Scenario):
        if field.name not in (*_LISTS, *_NUMBERS) and not field.name.endswith("_seed"):
            yield field.name


def _with(scenario: Scenario, name: str, value: Any) -> Scenario:
    return attrs.evolve(scenario, **{name: value})
