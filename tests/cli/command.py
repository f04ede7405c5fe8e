"""The real command, in a process of its own."""

from __future__ import annotations

import os
import pty
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import attrs
import trio

from tests.support.checkout import ROOT

PROGRAM = Path(sys.executable).parent / "gatewright"
BOUND = 90.0
"""Seconds after which a command counts as hanging; the longest needs about 20."""


@attrs.frozen
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def everything(self) -> str:
        return self.out + self.err


def environment(**more: str) -> dict[str, str]:
    """What a command is given: no colours asked for or forbidden, no size, and proxies that lead nowhere."""
    dropped = {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    nowhere = "http://127.0.0.1:9"
    return {**kept, "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere, "ALL_PROXY": nowhere, **more}


def gatewright(*arguments: str, bound: float = BOUND, memory: int | None = None) -> Ended:
    """Run it to its end, with pipes for its output; in `bound` seconds and, if it is said, so many bytes of memory."""

    def limit() -> None:
        most = resource.RLIM_INFINITY if memory is None else memory
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    done = subprocess.run(
        [PROGRAM, *arguments],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=bound,
        check=False,
        preexec_fn=None if memory is None else limit,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def heed_signals() -> None:
    """For `preexec_fn`: in the background of a shell signals are ignored, and a process inherits that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def started(*arguments: str) -> Generator[subprocess.Popen[str]]:
    """While it runs; it is ended with the block, whatever happened."""
    with subprocess.Popen(
        [PROGRAM, *arguments],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        preexec_fn=heed_signals,  # noqa: PLW1509 - it sets two signals, and nothing that a thread might hold
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@asynccontextmanager
async def process(*command: str | Path, env: dict[str, str], cwd: Path = ROOT) -> AsyncGenerator[trio.Process]:
    """As :func:`started`, for trio and within `BOUND`."""
    with trio.fail_after(BOUND):
        running = await trio.lowlevel.open_process(
            list(map(str, command)),
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=heed_signals,
        )
        try:
            yield running
        finally:
            running.kill()
            with trio.CancelScope(shield=True):
                await running.wait()


def in_terminal(*arguments: str, columns: int, lines: int, **more: str) -> Ended:
    """Run it to its end in a terminal of that size; what it wrote is in `out`, with every control sequence."""
    began = time.monotonic()
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [PROGRAM, *arguments],
        cwd=ROOT,
        env=environment(TERM="xterm-256color", COLUMNS=str(columns), LINES=str(lines), **more),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        written = bytearray()
        try:
            while chunk := _read(ours):
                written += chunk
                assert time.monotonic() - began < BOUND, "it does not end"
            status = process.wait(BOUND)
        finally:
            process.kill()
            os.close(ours)
    return Ended(status, written.decode("utf-8"), "")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # how Linux says that nobody has the other end open any more
        return b""


def interrupt(process: subprocess.Popen[str]) -> None:
    """Ctrl-C, as far as a process can tell."""
    process.send_signal(signal.SIGINT)
