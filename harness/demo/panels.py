"""What happens now: the race in columns, the engine beside what its server sees, and words said in full."""

from __future__ import annotations

import textwrap
from typing import Final

import attrs
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gatewright.harness.demo.clients import EngineRun, NaiveRun
from gatewright.harness.demo.promises import naive_state
from gatewright.harness.demo.stage import Stage
from gatewright.harness.demo.words import Line, Tone, lines
from gatewright.harness.fake import Log, Sent
from gatewright.spec.protocol import Opcode
from gatewright.spec.states import State

STYLES: Final = {
    Tone.PLAIN: "",
    Tone.GOOD: "green",
    Tone.BAD: "red",
    Tone.WAITING: "yellow",
    Tone.REFUSED: "bold magenta",
    Tone.QUIET: "dim",
}

_THREE: Final = 110
"""Three columns stand beside each other from this width on; below it, the control is told in a line."""
_ROOMY_HEIGHT: Final = 16
"""From here on a column of the race has a line more for its head."""
_FRAME: Final = 4
"""What a panel's border and padding take of its width."""
_CLOCK: Final = 5


@attrs.frozen
class Notice:
    """A panel whose height is known before it is drawn."""

    panel: Panel
    height: int


def notice(stage: Stage, width: int) -> Notice | None:
    """What was said in this act that is worth its own words: the refusal, or the failure with its remedy."""
    if stage.act.race and stage.engine.refusal:
        return _notice("what connect() raised: IllegalTransition", stage.engine.refusal, width, "magenta")
    failure = stage.engine.failure
    if failure is not None:
        return _notice(f"what the bot was told: {type(failure).__name__}", str(failure), width, "red")
    return None


def _notice(title: str, text: str, width: int, style: str) -> Notice:
    wrapped = [
        part for line in text.splitlines() for part in textwrap.wrap(line, width - _FRAME, subsequent_indent="  ")
    ]
    body = Text("\n".join(wrapped), no_wrap=True)
    return Notice(Panel(body, title=title, title_align="left", border_style=style), len(wrapped) + 2)


# The race.


def race(stage: Stage, width: int, height: int, now: float) -> RenderableType:
    """The same ordering of events for each, side by side."""
    prompt = "naive client, prompt metadata"
    columns = [
        _column("naive client, slow metadata", stage.slow, stage, height, now),
        _column("gatewright, slow metadata", stage.engine, stage, height, now),
    ]
    if width >= _THREE:
        columns.insert(0, _column(prompt, stage.prompt, stage, height, now))
        return _side_by_side(columns)
    badge, told = _standing(stage.prompt, now)
    control = Text.assemble(" for comparison, the ", f"{prompt}: ", badge, " ", (told, "dim"), no_wrap=True)
    columns = [
        _column("naive client, slow metadata", stage.slow, stage, height - 1, now),
        _column("gatewright, slow metadata", stage.engine, stage, height - 1, now),
    ]
    return Group(control, _side_by_side(columns))


def _side_by_side(columns: list[Panel]) -> Table:
    grid = Table.grid(expand=True)
    for _ in columns:
        grid.add_column(ratio=1)
    grid.add_row(*columns)
    return grid


def _column(title: str, run: EngineRun | NaiveRun, stage: Stage, height: int, now: float) -> Panel:
    badge, told = _standing(run, now)
    roomy = height >= _ROOMY_HEIGHT
    head = Text.assemble(badge, "\n " if roomy else " ", told, no_wrap=True, overflow="ellipsis")
    room = max(1, height - (5 if roomy else 4))  # the border, the head, and an empty line
    latest = [line for line in lines(run) if not line.beat][-room:]
    table = Table.grid(padding=(0, 1, 0, 0), expand=True)
    table.add_column(width=_CLOCK, justify="right", style="dim")
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for line in latest:
        table.add_row(f"{line.time - stage.began:.2f}", _said(line))
    if isinstance(run, NaiveRun) and run.phase == "stuck" and len(latest) < room:
        table.add_row("…", Text("no client yet: identify() returned", style="red"))
    return Panel(
        Group(head, Text(), table),
        title=title,
        title_align="left",
        border_style="dim",
        height=height,
    )


def _said(line: Line, *, brief: bool = False) -> Text:
    return Text(line.brief if brief else line.text, style=STYLES[line.tone], no_wrap=True, overflow="ellipsis")


def _standing(run: EngineRun | NaiveRun, now: float) -> tuple[Text, str]:
    """A badge with the state, and a few words on what it means."""
    log = run.fake.log
    counted = f"{log.identifies} IDENTIFY{'' if log.identifies == 1 else 's'}"
    if isinstance(run, EngineRun):
        state = run.shard.state
        style = "black on green" if state is State.READY else "black on cyan"
        left = run.shard.snapshot().deadline_in
        return _badge(state, style), counted if left is None else f"{counted}; {left:.1f} s left"
    if naive_state(log) == "stuck" and run.phase == "stuck":
        return _badge("stuck", "white on red"), f"{counted}; HELLO {now - _hello_at(log):.1f} s ago"
    ready = run.phase == "ready"
    return _badge(run.phase, "black on green" if ready else "black on cyan"), counted


def _badge(state: str, style: str) -> Text:
    return Text(f" {state} ", style=f"bold {style}")


def _hello_at(log: Log) -> float:
    return max(sent.time for sent in log.of(Sent) if sent.op == Opcode.HELLO)


def reminder(stage: Stage, now: float) -> Text:
    """While the tour goes on: how the naive client fares."""
    badge, told = _standing(stage.slow, now)
    return Text.assemble(" meanwhile, the naive client: ", badge, f" {told}", no_wrap=True, overflow="ellipsis")


# The tour.


def timeline(stage: Stage, width: int, height: int) -> Panel:
    """The engine on the left, its server on the right, and time downwards."""
    room = max(1, height - 3)
    half = min((width - _FRAME - _CLOCK - 4) // 2, _LONGEST)
    beats = stage.act.beats
    shown = [line for line in lines(stage.engine) if not line.beat or (beats and line.time >= stage.act_began)]
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("", width=_CLOCK, justify="right", style="dim")
    table.add_column("engine", width=half, no_wrap=True, overflow="ellipsis")
    table.add_column(
        "what its server sees" if half >= _ROOMY else "its server", width=half, no_wrap=True, overflow="ellipsis"
    )
    for line in shown[-room:]:
        said = _said(line, brief=half < _ROOMY)
        cells = (Text(), said) if line.server else (said, Text())
        old = line.time < stage.act_began
        table.add_row(f"{line.time - stage.began:.2f}", *cells, style="dim" if old else "")
    return Panel(table, border_style="dim", height=height)


_ROOMY: Final = 40
_LONGEST: Final = 48
"""Characters that most lines need, and all of them."""
