"""The demonstration as lines of text: for a pipe, a log, a small terminal, or whoever prefers them."""

from __future__ import annotations

import textwrap
from itertools import islice
from operator import itemgetter
from typing import Final, TextIO

import trio

from gatewright.fsm.journal import Record
from gatewright.harness.demo.acts import ACTS
from gatewright.harness.demo.clients import EngineRun, NaiveRun
from gatewright.harness.demo.promises import PROMISES, Promise
from gatewright.harness.demo.stage import Stage, Verdict
from gatewright.harness.demo.words import Line, sources

_WIDTH: Final = 100
_EVERY: Final = 0.1
"""Seconds between two looks at what has happened."""
_MARKS: Final = {Verdict.PENDING: "·", Verdict.KEPT: "✓", Verdict.BROKEN: "✗"}
_ASCII: Final = str.maketrans({"→": "->", "←": "<-", "▸": ">", "“": '"', "”": '"', "·": ".", "✓": "+", "✗": "x"})


class PlainView:
    """Prints what happens, each line with its time and whom it is about."""

    pause = 0.0

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._table = None if _can_say("".join(map(chr, _ASCII)), out.encoding) else _ASCII
        self._said: dict[tuple[str, int], int] = {}

    async def run(self, stage: Stage) -> None:
        """Print what has happened, a little later."""
        while True:
            self._catch_up(stage)
            await trio.sleep(_EVERY)

    def on_act(self, stage: Stage) -> None:
        """Its title, what happens, and what to look for."""
        self._catch_up(stage)
        act = stage.act
        self._print(f"\nAct {act.number} of {len(ACTS)}: {act.title}")
        for text in (act.what, f"Look for: {act.look}"):
            self._print(textwrap.fill(text, _WIDTH, initial_indent="  ", subsequent_indent="  "))

    def on_record(self, stage: Stage, record: Record) -> None:
        """Printed by `run`: a reader that has gone must end that, and not the engine's step."""

    def on_verdict(self, stage: Stage, promise: Promise) -> None:
        """Kept, or not."""
        self._catch_up(stage)
        if promise.id == "refused" and stage.engine.refusal:
            self._print(textwrap.indent(stage.engine.refusal, " " * 10))
        verdict = stage.verdicts[promise.id]
        self._print(f"  {_MARKS[verdict]} {'not seen: ' if verdict is Verdict.BROKEN else ''}{promise.text}")

    def on_end(self, stage: Stage) -> None:
        """How it ended."""
        kept = sum(verdict is Verdict.KEPT for verdict in stage.verdicts.values())
        if stage.engine.failure is not None:
            self._print(f"\nThe engine's last word: {stage.engine.failure}")
        self._print(f"\n{kept} of {len(PROMISES)} promises were seen.")

    def _catch_up(self, stage: Stage) -> None:
        fresh: list[tuple[float, str, Line]] = []
        runs: tuple[tuple[str, EngineRun | NaiveRun], ...] = (
            ("naive, prompt", stage.prompt),
            ("naive, slow", stage.slow),
            ("engine", stage.engine),
        )
        for name, run in runs:
            for index, (entries, say) in enumerate(sources(run)):
                said = self._said.get((name, index), 0)
                self._said[name, index] = len(entries)
                for entry in islice(entries, said, None):
                    line = say(entry)
                    if line is not None and not line.beat:
                        fresh.append((line.time, name, line))
        for time, name, line in sorted(fresh, key=itemgetter(0)):
            who = f"{name}: server" if line.server else name
            self._print(f"  {time - stage.began:6.2f}  {who:<21} {line.text}")

    def _print(self, text: str) -> None:
        print(text if self._table is None else text.translate(self._table), file=self._out, flush=True)


def _can_say(characters: str, encoding: str | None) -> bool:
    try:
        characters.encode(encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
