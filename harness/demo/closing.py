"""What stays on the screen when the demonstration is over: each promise, the race in numbers, and a last word."""

from __future__ import annotations

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gatewright.harness.demo.picture import MARKS
from gatewright.harness.demo.promises import BY_ID, PROMISES, naive_state, refusals
from gatewright.harness.demo.stage import Stage, Verdict

_NOTES = {Verdict.KEPT: "", Verdict.BROKEN: "  (not seen)", Verdict.PENDING: "  (not reached)"}


def closing(stage: Stage) -> RenderableType:
    """The promises with their marks, the numbers of the three servers, and a last word."""
    return Group(Text(), _promises(stage), Text(), _numbers(stage), Text(), _last_word(stage))


def _promises(stage: Stage) -> Table:
    table = Table.grid(padding=(0, 1))
    for promise in PROMISES:
        verdict = stage.verdicts[promise.id]
        glyph, style = MARKS[verdict]
        said = Text(promise.text + _NOTES[verdict], style="" if verdict is Verdict.KEPT else style)
        table.add_row(Text(glyph, style=style), said)
    return table


def _numbers(stage: Stage) -> Table:
    table = Table(
        title="in the servers' own logs", title_style="dim", title_justify="left", border_style="dim", box=ROUNDED
    )
    for heading in ("", "naive client,\nprompt metadata", "naive client,\nslow metadata", "gatewright,\nslow metadata"):
        table.add_column(heading)
    prompt, slow, engine = stage.prompt.fake.log, stage.slow.fake.log, stage.engine.fake.log
    naive = _state(naive_state(prompt)), _state(naive_state(slow))
    ready = BY_ID["one-identify"].seen(stage.evidence)
    end = stage.engine.shard.state

    def numbers(of_prompt: int, of_slow: int, of_engine: int, note: str) -> tuple[str, str, str]:
        return str(of_prompt), str(of_slow), f"{of_engine}  ({note})" if stage.kept_all else str(of_engine)

    table.add_row("after the race", *naive, _state("ready" if ready else "not ready"))
    table.add_row("after the tour", *naive, "failed, by close code 4004" if stage.kept_all else end)
    table.add_row("IDENTIFYs", *numbers(prompt.identifies, slow.identifies, engine.identifies, "acts 1 and 4"))
    table.add_row("RESUMEs", *numbers(prompt.resumes, slow.resumes, engine.resumes, "acts 3 and 5"))
    table.add_row("sockets", *numbers(prompt.connections, slow.connections, engine.connections, "one at a time"))
    table.add_row("connect() refused", "", "", str(len(refusals(stage.engine.records))))
    return table


def _state(name: str) -> Text:
    return Text(name, style="green" if name == "ready" else "bold red")


def _last_word(stage: Stage) -> Text:
    failure = stage.engine.failure
    if not stage.kept_all:
        return Text("Not everything that was promised was seen.", style="bold red")
    word = Text("Everything that was promised was seen.", style="bold green")
    if failure is not None:
        word.append(f"\nThe engine ended as it should: {failure}", style="not bold default")
    return word
