"""The engine's own thread: trio beside asyncio, so that a handler that blocks cannot stop a heartbeat."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Final, Generic, Self, TypeVar, TypeVarTuple, cast

import trio

from gatewright.embed.crossing import Crossing
from gatewright.embed.errors import EngineStopped
from gatewright.embed.pace import Pace
from gatewright.spec.errors import ConfigurationError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_WATCH: Final = 0.5
"""Seconds between two looks at whether the loop still exists."""


class EngineThread:
    """Runs trio in a thread of its own for as long as the block lasts; made for one event loop.

    ::

        async with EngineThread() as engine:
            answer = await engine.call(function, argument)

    Leaving the block cancels what still runs there, waits for it, and joins the thread. A loop that goes away without
    leaving the block, or an interpreter that ends, stops the engine as well. Several engines may serve one loop.

    Args:
        name: of the thread.

    Attributes:
        pace: is told in the engine when dispatches have come.
    """

    def __init__(self, *, name: str = "gatewright") -> None:
        self.pace = Pace()
        self._name = name
        self._thread: threading.Thread | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery | None = None
        self._failure: BaseException | None = None
        self._finished: asyncio.Future[None]
        self._crossing: Crossing
        self._loop: asyncio.AbstractEventLoop

    # -- the block -------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Starts the thread, and returns when trio runs in it."""
        if self._thread is not None:
            raise ConfigurationError("an EngineThread is used once; make a new one")
        self._loop = asyncio.get_running_loop()
        self._crossing = Crossing(self._loop, on_gone=self._cancel_everything)
        self._finished = self._loop.create_future()
        started = self._loop.create_future()
        # Not a daemon: it would be frozen in the middle of a close when the interpreter ends.
        self._thread = threading.Thread(target=self._run, args=(started,), name=self._name)
        self._thread.start()
        cancelled = await _patiently(started, self._finished)
        if cancelled is not None or not started.done():
            await self._end()
        if cancelled is not None:
            raise cancelled
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancels what runs in the engine, waits for it, also when cancelled meanwhile, and joins the thread."""
        await self._end()

    async def _end(self) -> None:
        assert self._thread is not None
        self._soon(self._cancel_everything)
        cancelled = await _patiently(self._finished)
        self._thread.join()  # its last act was to say so
        if cancelled is not None:
            raise cancelled
        if self._failure is not None:
            raise EngineStopped("the engine's thread ended by a defect") from self._failure

    # -- calls -----------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether calls are possible."""
        return self._thread is not None and self._token is not None and not self._finished.done()

    async def call(self, function: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
        """Runs ``await function(*args)`` in the engine, with the caller's context variables; returns what it returns.

        Cancelling the caller cancels the function, and waits for it to end.

        Raises:
            EngineStopped: the engine has ended, or ended meanwhile.
            BaseException: what the function raised, with its traceback.
        """
        return await self.start(function, *args).wait()

    def start(self, function: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> Running[T]:
        """As :meth:`call`, without waiting. Functions begin in the order in which they were started.

        Raises:
            EngineStopped: the engine has ended, or was never entered.
        """
        self._check_loop()
        context = contextvars.copy_context()
        running: Running[T] = Running(self, self._loop.create_future())
        if not self._soon(self._begin, running, context, function, args):
            raise self._stopped()
        return running

    def soon(self, function: Callable[[*Ts], object], *args: *Ts) -> None:
        """Has a short synchronous function called in the engine, and forgets it. After the engine's end, nothing."""
        self._soon(function, *args)

    def post(self, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """From the engine: has `callback` called in the loop's thread, after everything posted before."""
        self._crossing.post(callback, *args)

    async def on_loop(self, function: Callable[[*Ts], Coroutine[object, object, T]], *args: *Ts) -> T:
        """From the engine: runs ``await function(*args)`` in a task of the loop, and returns what it returns.

        Cancelling it cancels the task, and does not wait for it: a loop that is blocked holds nobody up here.
        """
        ended = trio.Event()
        tasks: list[asyncio.Task[T]] = []

        def begin() -> None:
            task = self._loop.create_task(function(*args))
            tasks.append(task)
            task.add_done_callback(end)

        def end(task: asyncio.Task[T]) -> None:
            if not task.cancelled():
                task.exception()  # it was looked at, also when nobody waits any more
            self.soon(ended.set)

        def cancel() -> None:
            tasks[0].cancel()

        self.post(begin)
        try:
            await ended.wait()
        except trio.Cancelled:
            self.post(cancel)
            raise
        return tasks[0].result()

    def _check_loop(self) -> None:
        if self._thread is None:
            raise EngineStopped("the engine is not running; use it as: async with EngineThread() as engine")
        if asyncio.get_running_loop() is not self._loop:
            raise ConfigurationError("this engine belongs to another event loop; each loop needs an engine of its own")

    def _soon(self, function: Callable[[*Ts], object], *args: *Ts) -> bool:
        if self._token is None:
            return False
        try:
            self._token.run_sync_soon(function, *args)
        except trio.RunFinishedError:
            return False
        self.pace.wake()
        return True

    def _stopped(self) -> EngineStopped:
        error = EngineStopped("the engine has ended; nothing can be asked of it any more")
        error.__cause__ = self._failure
        return error

    # -- in the engine's thread ------------------------------------------------------------------------------------

    def _run(self, started: asyncio.Future[None]) -> None:
        try:
            trio.run(self._main, started, instruments=[self.pace])
        except BaseException as failure:  # noqa: BLE001 - a thread has nobody above it; the block raises it
            self._failure = failure
        self._crossing.post(_settle, self._finished)

    async def _main(self, started: asyncio.Future[None]) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._token = trio.lowlevel.current_trio_token()
            self._crossing.post(_settle, started)
            main = threading.main_thread()
            while main.is_alive() and not self._loop.is_closed():  # noqa: ASYNC110 - neither says when it ends
                await trio.sleep(_WATCH)
            nursery.cancel_scope.cancel()

    def _cancel_everything(self) -> None:
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    def _begin(
        self,
        running: Running[T],
        context: contextvars.Context,
        function: Callable[[*Ts], Awaitable[T]],
        args: tuple[*Ts],
    ) -> None:
        assert self._nursery is not None
        running.scope = trio.CancelScope()
        try:
            # The new task copies the context in which it is spawned.
            context.run(self._nursery.start_soon, self._perform, running, function, args)
        except RuntimeError:  # the nursery has ended in this very moment
            self.post(running.fail, self._stopped())

    async def _perform(self, running: Running[T], function: Callable[[*Ts], Awaitable[T]], args: tuple[*Ts]) -> None:
        failure: BaseException | None = None
        result: list[T] = []
        try:
            with running.scope:
                result.append(await function(*args))
        except trio.Cancelled:
            failure = self._stopped()
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the caller's
            failure = error
        finally:
            if result:
                self.post(running.succeed, result[0])
            else:
                self.post(running.fail, asyncio.CancelledError() if failure is None else failure)


class Running(Generic[T]):
    """A function that runs in the engine."""

    __slots__ = ("_engine", "_future", "_outcome", "scope")

    def __init__(self, engine: EngineThread, future: asyncio.Future[None]) -> None:
        self._engine = engine
        self._future = future
        self._outcome: tuple[T | None, BaseException | None] | None = None
        self.scope: trio.CancelScope
        """What the function runs in; belongs to the engine's thread."""

    @property
    def done(self) -> bool:
        """Whether the function has ended."""
        return self._outcome is not None

    def cancel(self) -> None:
        """Cancels the function; it may still end by itself."""
        self._engine.soon(self._cancel_scope)

    async def wait(self) -> T:
        """What the function returns. Cancelling the wait cancels the function, and waits for its end.

        Raises:
            EngineStopped: the engine ended meanwhile.
            BaseException: what the function raised.
        """
        cancelled: asyncio.CancelledError | None = None
        while self._outcome is None:
            try:
                await self._future
            except asyncio.CancelledError as error:
                if self._outcome is None:
                    self._future = asyncio.get_running_loop().create_future()
                    self.cancel()
                cancelled = error
        if cancelled is not None:
            raise cancelled
        result, failure = self._outcome
        if failure is not None:
            raise failure
        return cast("T", result)

    def succeed(self, result: T) -> None:
        """In the loop's thread: the function returned."""
        self._settle(result, None)

    def fail(self, error: BaseException) -> None:
        """In the loop's thread: the function raised."""
        self._settle(None, error)

    def _settle(self, result: T | None, error: BaseException | None) -> None:
        self._outcome = (result, error)
        _settle(self._future)

    def _cancel_scope(self) -> None:
        self.scope.cancel()


async def _patiently(*futures: asyncio.Future[None]) -> asyncio.CancelledError | None:
    """Waits until one of `futures` is done, whoever cancels meanwhile; the last cancellation is returned."""
    cancelled: asyncio.CancelledError | None = None
    while not any(future.done() for future in futures):
        try:
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
