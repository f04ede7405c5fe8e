"""One picture of the stage: a headline, the ladder of states, what happens now, and how the promises stand."""

from __future__ import annotations

import textwrap
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.text import Text

from gatewright.harness.demo import ladder, panels
from gatewright.harness.demo.acts import ACTS
from gatewright.harness.demo.promises import PROMISES
from gatewright.harness.demo.stage import Stage, Verdict

MIN_WIDTH: Final = 80
MIN_HEIGHT: Final = 24
_MOST_WIDTH: Final = 150
_MOST_HEIGHT: Final = 44
"""What is larger is mostly empty."""
_WIDE: Final = 130
"""From here on the ladder stands beside the race as well, and the promises have their names."""
_TALL: Final = 34
"""From here on the ladder has its headings, and the facts below it."""

MARKS: Final = {
    Verdict.PENDING: ("·", "dim"),
    Verdict.KEPT: ("✓", "bold green"),
    Verdict.BROKEN: ("✗", "bold red"),
}


def picture(stage: Stage, console: Console, *, now: float) -> RenderableType:
    """The whole of it, in the size of `console`, at time `now`."""
    width, height = min(console.width, _MOST_WIDTH), min(console.height, _MOST_HEIGHT)
    tall = height >= _TALL
    head = _headline(stage, width, now)
    foot = [] if stage.act.race else [panels.reminder(stage, now)]
    foot.append(_promises(stage, named=width >= _WIDE))
    body = height - len(head) - len(foot)
    side = ladder.WIDTH if not stage.act.race or width >= _WIDE else 0

    whole = Layout()
    middle = Layout(size=body)
    whole.split_column(Layout(Group(*head), size=len(head)), middle, Layout(Group(*foot), size=len(foot)))
    scene = _scene(stage, width - side, body, now, with_facts=not tall)
    if side:
        middle.split_row(Layout(ladder.ladder(stage, now, tall=tall), size=side), scene)
    else:
        middle.split_row(scene)
    return _top_left(whole, width, height)


def _top_left(whole: Layout, width: int, height: int) -> Layout:
    """A layout fills its screen; this one leaves the rest of it empty."""
    row, page = Layout(size=height), Layout()
    row.split_row(Layout(whole, size=width), Layout(Text(" ")))
    page.split_column(row, Layout(Text(" ")))
    return page


def _scene(stage: Stage, width: int, height: int, now: float, *, with_facts: bool) -> Layout:
    above: list[Layout] = []
    below: list[Layout] = []
    if with_facts and not stage.act.race:
        told = ladder.facts(stage, now)
        above.append(Layout(Group(*told), size=len(told)))
        height -= len(told)
    said = panels.notice(stage, width)
    if said is not None:
        below.append(Layout(said.panel, size=said.height))
        height -= said.height
    drawn = panels.race(stage, width, height, now) if stage.act.race else panels.timeline(stage, width, height)
    scene = Layout()
    scene.split_column(*above, Layout(drawn, size=height), *below)
    return scene


def _headline(stage: Stage, width: int, now: float) -> list[Text]:
    act = stage.act
    title = Text.assemble(
        (" gatewright demo ", "bold reverse"), f"  act {act.number} of {len(ACTS)}: ", (act.title, "bold"), no_wrap=True
    )
    clock = f"{now - stage.began:.1f} s "
    title.append(clock.rjust(max(0, width - title.cell_len)), style="dim")
    lines = [title]
    for label, text, style in (("", act.what, ""), ("Look for: ", act.look, "cyan")):
        wrapped = textwrap.wrap(label + text, width - 2)
        lines += [Text(f" {line}", style=style, no_wrap=True) for line in wrapped]
    return lines


def _promises(stage: Stage, *, named: bool) -> Text:
    marks = Text(" ", no_wrap=True, overflow="ellipsis")
    for promise in PROMISES:
        verdict = stage.verdicts[promise.id]
        glyph, style = MARKS[verdict]
        marks.append(f"{glyph} ", style=style)
        if named:
            marks.append(f"{promise.label}  ", style="dim" if verdict is Verdict.PENDING else "")
    if not named:
        kept = sum(verdict is Verdict.KEPT for verdict in stage.verdicts.values())
        marks.append(f" {kept} of {len(PROMISES)} promises seen so far", style="dim")
    return marks
