"""Trio in a thread of its own beside asyncio: calls, cancellation, exceptions, and every way in which it may end."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import sniffio
import trio

from gatewright.embed.errors import EngineStopped
from gatewright.embed.thread import EngineThread
from gatewright.spec.errors import ConfigurationError
from tests.embed.loops import loop_factory, on_each_loop, run
from tests.support.threads import PATIENCE

_NAME: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")


def engines() -> list[threading.Thread]:
    """The threads of engines that are alive."""
    return [thread for thread in threading.enumerate() if thread.name == "gatewright"]


@asynccontextmanager
async def no_loop_error() -> AsyncGenerator[None]:
    """Fails when a callback of the loop raised, or an exception was never looked at."""
    seen: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: seen.append(context))
    yield
    gc.collect()
    await asyncio.sleep(0)
    assert seen == []


async def forever() -> None:
    await trio.sleep_forever()


# -- calls -------------------------------------------------------------------------------------------------------------


@on_each_loop
def test_a_call_runs_under_trio_in_another_thread_and_returns_its_result(loop: str) -> None:
    async def where(number: int) -> tuple[int, str, int]:
        await trio.lowlevel.checkpoint()
        return number + 1, sniffio.current_async_library(), threading.get_ident()

    async def main() -> None:
        async with no_loop_error(), EngineThread() as engine:
            result, library, thread = await engine.call(where, 41)
            assert (result, library) == (42, "trio")
            assert thread != threading.get_ident()
            assert sniffio.current_async_library() == "asyncio"

    run(main(), loop)


@on_each_loop
def test_an_exception_crosses_with_the_traceback_of_where_it_was_raised(loop: str) -> None:
    async def fails() -> None:
        await trio.lowlevel.checkpoint()
        raise LookupError("gone")

    async def main() -> None:
        async with no_loop_error(), EngineThread() as engine:
            with pytest.raises(LookupError, match="gone") as caught:
                await engine.call(fails)
        frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert frames[0] == "main"
        assert frames[-1] == "fails"

    run(main(), loop)


def test_a_group_of_exceptions_crosses_as_it_is() -> None:
    async def fails() -> None:
        raise ExceptionGroup("two", [ValueError(1), KeyError(2)])

    async def main() -> None:
        async with EngineThread() as engine:
            with pytest.raises(ExceptionGroup, match="two"):
                await engine.call(fails)

    run(main())


def test_the_end_of_an_iterator_crosses_as_any_exception() -> None:
    async def ends() -> None:
        raise StopAsyncIteration("over")

    async def main() -> None:
        async with EngineThread() as engine:
            with pytest.raises(StopAsyncIteration):
                await engine.call(ends)

    run(main())


@on_each_loop
def test_functions_begin_in_the_order_in_which_they_were_started(loop: str) -> None:
    begun: list[int] = []

    async def note(number: int) -> None:
        begun.append(number)

    async def main() -> None:
        async with EngineThread() as engine:
            calls = [engine.start(note, number) for number in range(500)]
            for call in calls:
                await call.wait()

    run(main(), loop)
    # Tasks that are runnable in the same pass run in any order; what was started in an earlier pass was begun earlier.
    assert sorted(begun) == list(range(500))


def test_callbacks_arrive_in_the_order_in_which_they_were_posted_and_leave_the_loop_its_turn() -> None:
    async def main() -> None:
        arrived: list[int] = []
        turns = 0
        ended = asyncio.Event()

        async def post(engine: EngineThread) -> None:
            for number in range(5000):
                engine.post(arrived.append, number)
            engine.post(ended.set)

        async with EngineThread() as engine:
            call = engine.start(post, engine)
            while not ended.is_set():
                await asyncio.sleep(0)
                turns += 1
            await call.wait()
        assert arrived == list(range(5000))
        assert turns >= 5000 // 256

    run(main())


def test_a_callback_that_fails_is_reported_to_the_loop_and_holds_up_nobody() -> None:
    async def main() -> None:
        reported: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))

        def fails() -> None:
            raise ValueError("mine")

        async def post(engine: EngineThread) -> None:
            engine.post(fails)

        async with EngineThread() as engine:
            await engine.call(post, engine)
        assert [str(error) for error in reported] == ["mine"]

    run(main())


def test_the_caller_s_context_variables_are_seen_and_changes_stay_on_the_other_side() -> None:
    async def swap() -> str:
        before = _NAME.get()
        _NAME.set("engine")
        await trio.lowlevel.checkpoint()
        return before

    async def main() -> None:
        async with EngineThread() as engine:
            _NAME.set("caller")
            assert await engine.call(swap) == "caller"
            assert _NAME.get() == "caller"
            assert await engine.call(swap) == "caller"

    run(main())


def test_a_callback_does_not_run_in_the_context_of_the_engine_s_task() -> None:
    async def main() -> None:
        seen: list[str] = []

        async def post(engine: EngineThread) -> None:
            _NAME.set("engine")
            engine.post(lambda: seen.append(_NAME.get()))

        _NAME.set("opener")
        async with EngineThread() as engine:
            await engine.call(post, engine)
        assert seen == ["opener"]

    run(main())


# -- the other way -----------------------------------------------------------------------------------------------------


@on_each_loop
def test_the_engine_asks_the_loop_and_gets_results_and_exceptions(loop: str) -> None:
    async def answer(number: int) -> tuple[int, str]:
        await asyncio.sleep(0)
        if number < 0:
            raise LookupError(number)
        return number, sniffio.current_async_library()

    async def main() -> None:
        async with no_loop_error(), EngineThread() as engine:
            assert await engine.call(engine.on_loop, answer, 3) == (3, "asyncio")
            with pytest.raises(LookupError):
                await engine.call(engine.on_loop, answer, -1)

    run(main(), loop)


def test_a_question_to_the_loop_that_is_cancelled_is_cancelled_there() -> None:
    async def main() -> None:
        ended = asyncio.Event()

        async def slow(engine: EngineThread, scope: trio.CancelScope) -> None:
            engine.soon(scope.cancel)
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        async def ask(engine: EngineThread) -> None:
            with trio.CancelScope() as scope:
                await engine.on_loop(slow, engine, scope)

        async with no_loop_error(), EngineThread() as engine:
            await engine.call(ask, engine)
            await ended.wait()

    run(main())


def test_a_loop_that_is_blocked_holds_up_no_question_that_is_given_up() -> None:
    async def main() -> None:
        async def slow() -> None:
            await asyncio.sleep(60)

        async def ask(engine: EngineThread) -> None:
            with trio.move_on_after(0.01):
                await engine.on_loop(slow)
            given_up.set()

        given_up = threading.Event()
        async with no_loop_error(), EngineThread() as engine:
            call = engine.start(ask, engine)
            assert given_up.wait(PATIENCE)  # while the loop does nothing else
            await call.wait()

    run(main())


# -- cancellation ------------------------------------------------------------------------------------------------------


@on_each_loop
def test_cancelling_the_caller_cancels_the_function_and_waits_for_it(loop: str) -> None:
    steps: list[str] = []

    async def slow_to_end(engine: EngineThread, begun: asyncio.Event) -> None:
        steps.append("begun")
        engine.post(begun.set)
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.02)
            steps.append("ended")

    async def main() -> None:
        async with no_loop_error(), EngineThread() as engine:
            begun = asyncio.Event()
            task = asyncio.create_task(engine.call(slow_to_end, engine, begun))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert steps == ["begun", "ended"]

    run(main(), loop)


def test_a_storm_of_cancellations_neither_leaves_the_function_alone_nor_loses_its_end() -> None:
    ended: list[int] = []

    async def slow_to_end(number: int) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.01)
            ended.append(number)

    async def main() -> None:
        async with no_loop_error(), EngineThread() as engine:
            tasks = [asyncio.create_task(engine.call(slow_to_end, number)) for number in range(50)]
            await asyncio.sleep(0.02)
            while not all(task.done() for task in tasks):
                for task in tasks:
                    task.cancel()
                await asyncio.sleep(0)
            assert sorted(ended) == list(range(50))
            await engine.call(trio.lowlevel.checkpoint)  # still there

    run(main())


def test_a_caller_that_is_cancelled_before_the_function_begins_still_waits_for_its_end() -> None:
    async def main() -> None:
        ended: list[bool] = []

        async def sleeps() -> None:
            try:
                await trio.sleep_forever()
            finally:
                ended.append(True)

        async with EngineThread() as engine:
            task = asyncio.create_task(engine.call(sleeps))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert ended == [True]

    run(main())


def test_a_time_limit_of_asyncio_bounds_a_call() -> None:
    async def main() -> None:
        async with EngineThread() as engine:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await engine.call(forever)

    run(main())


def test_a_function_that_was_told_to_end_is_told_apart_from_one_that_ended_by_itself() -> None:
    async def main() -> None:
        async with EngineThread() as engine:
            call = engine.start(forever)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call.wait()
            assert call.done

    run(main())


# -- the end -----------------------------------------------------------------------------------------------------------


@on_each_loop
def test_leaving_the_block_ends_what_runs_and_joins_the_thread(loop: str) -> None:
    ended: list[bool] = []

    async def slow_to_end() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.02)
            ended.append(True)

    async def main() -> None:
        async with no_loop_error():
            async with EngineThread() as engine:
                call = engine.start(slow_to_end)
                await engine.call(trio.lowlevel.checkpoint)
            assert ended == [True]
            assert engines() == []
            with pytest.raises(EngineStopped):
                await call.wait()
            with pytest.raises(EngineStopped, match="ended"):
                await engine.call(forever)
            assert not engine.running

    run(main(), loop)


def test_an_exception_in_the_block_passes_and_the_thread_ends() -> None:
    async def main() -> None:
        async def block() -> None:
            async with EngineThread() as engine:
                engine.start(forever)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await block()
        assert engines() == []

    run(main())


def test_leaving_that_is_cancelled_still_waits_for_the_thread() -> None:
    async def main() -> None:
        let_go = threading.Event()
        leaving = asyncio.Event()

        async def stubborn() -> None:
            with trio.CancelScope(shield=True):
                while not let_go.is_set():  # noqa: ASYNC110 - it is set by another thread
                    await trio.sleep(0.01)

        async def block() -> None:
            async with EngineThread() as engine:
                engine.start(stubborn)
                await engine.call(trio.lowlevel.checkpoint)
                leaving.set()

        task = asyncio.create_task(block())
        await leaving.wait()
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        let_go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert engines() == []

    run(main())


@pytest.mark.parametrize("passes", range(6))
def test_entering_that_is_cancelled_leaves_no_thread(passes: int) -> None:
    async def main() -> None:
        async def block() -> None:
            async with EngineThread():
                await asyncio.sleep(60)

        task = asyncio.create_task(block())
        for _ in range(passes):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert engines() == []

    run(main())


def test_an_engine_that_breaks_tells_everybody_and_the_block() -> None:
    async def main() -> None:
        async def breaks() -> None:
            raise MemoryError

        async def block() -> None:
            async with EngineThread() as engine:
                call = engine.start(forever)
                await engine.call(trio.lowlevel.checkpoint)
                assert engine._nursery is not None
                engine.soon(engine._nursery.start_soon, breaks)
                with pytest.raises(EngineStopped):
                    await call.wait()

        with pytest.raises(EngineStopped, match="defect") as caught:
            await block()
        assert "MemoryError" in "".join(traceback.format_exception(caught.value))

    run(main())


@on_each_loop
def test_a_loop_that_is_closed_without_leaving_the_block_stops_the_engine(loop: str) -> None:
    ended = threading.Event()

    async def waits() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async def enter() -> EngineThread:
        engine = await EngineThread().__aenter__()
        engine.start(waits)
        await engine.call(trio.lowlevel.checkpoint)
        return engine

    abandoned = loop_factory(loop)()
    engine = abandoned.run_until_complete(enter())
    abandoned.close()
    assert ended.wait(PATIENCE)
    assert engine._thread is not None
    engine._thread.join(PATIENCE)
    assert not engine._thread.is_alive()


def test_two_engines_serve_one_loop() -> None:
    async def main() -> None:
        async with EngineThread() as one, EngineThread() as two:
            first, second = await asyncio.gather(one.call(_ident), two.call(_ident))
            assert first != second

    run(main())


async def _ident() -> int:
    return threading.get_ident()


def test_an_engine_belongs_to_one_loop_and_is_used_once() -> None:
    async def main() -> None:
        engine = EngineThread()
        with pytest.raises(EngineStopped, match="async with"):
            await engine.call(forever)
        async with engine:
            with pytest.raises(ConfigurationError, match="used once"):
                await engine.__aenter__()

            def elsewhere() -> None:
                async def call() -> None:
                    with pytest.raises(ConfigurationError, match="another event loop"):
                        await engine.call(forever)

                asyncio.run(call())

            await asyncio.to_thread(elsewhere)

    run(main())


def test_a_blocked_loop_does_not_hold_up_the_engine() -> None:
    passes: list[float] = []

    async def tick() -> None:
        while True:
            passes.append(trio.current_time())
            await trio.sleep(0.005)

    async def main() -> None:
        async with EngineThread() as engine:
            engine.start(tick)
            await engine.call(trio.lowlevel.checkpoint)
            awaited, latest = len(passes) + 10, time.monotonic() + PATIENCE
            while len(passes) < awaited and time.monotonic() < latest:
                time.sleep(0.01)  # noqa: ASYNC251 - a handler that blocks
            assert len(passes) >= awaited

    run(main())


# -- the process -------------------------------------------------------------------------------------------------------


def _program(body: str) -> list[str]:
    head = """
        import asyncio, os, signal, sys, threading, time
        import trio
        from gatewright.embed.thread import EngineThread

        async def tidy():
            try:
                await trio.sleep_forever()
            finally:
                print("tidied", flush=True)
    """
    return [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(body)]


def test_a_forgotten_engine_ends_with_the_interpreter() -> None:
    program = _program(
        """
        async def main():
            engine = await EngineThread().__aenter__()
            engine.start(tidy)
            await engine.call(trio.lowlevel.checkpoint)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        print("over", flush=True)
        """
    )
    ended = subprocess.run(program, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "over\ntidied\n", "")


def test_ctrl_c_ends_the_program_in_order() -> None:
    program = _program(
        """
        signal.signal(signal.SIGINT, signal.default_int_handler)

        async def main():
            async with EngineThread() as engine:
                call = engine.start(tidy)
                await engine.call(trio.lowlevel.checkpoint)
                print("up", flush=True)
                await call.wait()

        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("interrupted", [t.name for t in threading.enumerate()], flush=True)
        """
    )
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "tidied\ninterrupted ['MainThread']\n", "")
