"""The demonstration for a program: a JSON object a line, the engine's journal and at last the summary."""

from __future__ import annotations

from typing import TextIO

import msgspec
import trio

from gatewright.fsm.journal import Record
from gatewright.harness.demo.promises import Promise, summary
from gatewright.harness.demo.stage import Stage


class LinesView:
    """Prints each journal record, with its time from the beginning of the demonstration, and at last the summary."""

    pause = 0.0

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._waiting: list[dict[str, object]] = []
        self._bell = trio.Event()

    async def run(self, stage: Stage) -> None:
        """Print what waits. Not in `on_record`: a reader that has gone must end this, and not the engine's step."""
        while True:
            await self._bell.wait()
            self._bell = trio.Event()
            self._print_waiting()

    def on_act(self, stage: Stage) -> None:
        """Acts are for people."""

    def on_record(self, stage: Stage, record: Record) -> None:
        """One line."""
        self._waiting.append({**record.as_dict(), "time": round(record.time - stage.began, 6)})
        self._bell.set()

    def on_verdict(self, stage: Stage, promise: Promise) -> None:
        """The exit status tells, and standard error says which."""

    def on_end(self, stage: Stage) -> None:
        """The last line, whatever was seen."""
        self._waiting.append({**summary(stage.evidence)})
        self._print_waiting()

    def _print_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for content in waiting:
            print(msgspec.json.encode(content).decode(), file=self._out, flush=True)
