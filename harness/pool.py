"""Long work, spread over processes in portions, and ended in good order when somebody presses Ctrl-C."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from types import FrameType
from typing import Any, Final, TypeVar, cast

INTERRUPTED: Final = 130
"""The exit status of what was ended by Ctrl-C, with nothing found until then."""

_T = TypeVar("_T")
_P = TypeVar("_P")
_worker: Callable[[Any], object] | None = None


def portions(first: int, count: int, portion: int) -> list[range]:
    """The numbers from `first` on, `portion` at a time."""
    end = first + count
    return [range(start, min(start + portion, end)) for start in range(first, end, portion)]


def spread(make: Callable[[], Callable[[_P], _T]], given: Sequence[_P], jobs: int) -> Generator[_T]:
    """What a worker makes of each of `given`, in order. Who stops asking ends it, after what is under way.

    Args:
        make: makes a worker; called once in each process.
        given: what there is to do, in portions.
        jobs: how many processes; with 1, it is done here.
    """
    if jobs == 1:
        yield from map(make(), given)
        return
    pool = ProcessPoolExecutor(
        jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_begin, initargs=(make,)
    )
    try:
        for result in pool.map(_work, given):
            yield cast("_T", result)
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(make: Callable[[], Callable[[Any], object]]) -> None:
    global _worker  # noqa: PLW0603 - one a process, made when the process begins
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells all of them; the first process decides
    _worker = make()


def _work(given: object) -> object:
    assert _worker is not None
    return _worker(given)


@contextlib.contextmanager
def ended_by_request() -> Generator[Callable[[], bool]]:
    """Gives a function that says whether Ctrl-C was pressed in this block. Pressed again, it does what it always does.

    In another thread than the first it never was: signals are not told there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked, before = False, signal.getsignal(signal.SIGINT)

    def ask(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, before)
        print("ending after what is under way; press Ctrl-C again to end at once", file=sys.stderr, flush=True)

    signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
