"""Numbers, spread over processes in portions."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar, cast

_T = TypeVar("_T")
_worker: Callable[[range], object] | None = None


def _begin(make: Callable[[], Callable[[range], object]]) -> None:
    global _worker  # noqa: PLW0603 - one a process, made when the process begins
    _worker = make()


def _work(numbers: range) -> object:
    assert _worker is not None
    return _worker(numbers)


def spread(
    make: Callable[[], Callable[[range], _T]], first: int, count: int, jobs: int, *, portion: int
) -> Iterator[_T]:
    """What a worker makes of the numbers from `first` on, a portion at a time, in order.

    Args:
        make: makes a worker; called once in each process.
        first: the first number.
        count: how many numbers.
        jobs: how many processes; with 1, it is done here.
        portion: how many numbers a worker is given at once.
    """
    end = first + count
    portions = [range(start, min(start + portion, end)) for start in range(first, end, portion)]
    if jobs == 1:
        for done, found in enumerate(map(make(), portions), 1):
            _tell(done, len(portions))
            yield found
        return
    with ProcessPoolExecutor(
        jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_begin, initargs=(make,)
    ) as pool:
        for done, result in enumerate(pool.map(_work, portions), 1):
            _tell(done, len(portions))
            yield cast("_T", result)


def _tell(done: int, of: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {of} portions", end="" if done < of else "\r\x1b[K", file=sys.stderr, flush=True)
