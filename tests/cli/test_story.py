"""The demonstration's story, in virtual time: it shows what it promises, and a broken engine makes it fail."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
from rich.console import Console
from trio.testing import MockClock

from gatewright.fsm import core
from gatewright.fsm.journal import Record
from gatewright.harness.demo import sabotage as sabotages
from gatewright.harness.demo.clients import TOKEN
from gatewright.harness.demo.closing import closing
from gatewright.harness.demo.lines import LinesView
from gatewright.harness.demo.live import LiveView
from gatewright.harness.demo.network import Network
from gatewright.harness.demo.picture import picture
from gatewright.harness.demo.plain import PlainView
from gatewright.harness.demo.program import report
from gatewright.harness.demo.promises import PROMISES, Promise, summary
from gatewright.harness.demo.stage import Stage, Verdict, View
from gatewright.harness.demo.story import EACH_WAIT, play
from gatewright.harness.fake import FakeGateway
from gatewright.spec.errors import ConfigurationError, GatewrightError
from gatewright.spec.table import TABLE
from gatewright.transport.seams import StreamOpener
from gatewright.transport.urls import GatewayUrl
from tests.cli.memory import Memory

SIZES = ((80, 24), (100, 30), (129, 33), (130, 34), (200, 60))


class Watcher:
    """A view that shows nothing; it asks `look` ten times a second."""

    pause = 0.0

    def __init__(self, look: Callable[[Stage], object] = lambda stage: None) -> None:
        self._look = look
        self.summary: dict[str, Any] = {}
        self.took = 0.0

    async def run(self, stage: Stage) -> None:
        while True:
            self._look(stage)
            await trio.sleep(0.1)

    def on_act(self, stage: Stage) -> None: ...

    def on_record(self, stage: Stage, record: Record) -> None: ...

    def on_verdict(self, stage: Stage, promise: Promise) -> None: ...

    def on_end(self, stage: Stage) -> None:
        self._look(stage)
        self.summary = summary(stage.evidence)
        self.took = trio.current_time() - stage.began


def played(view: View, *, sabotage: str | None = None, network: Network | None = None) -> Stage:
    """The whole story in memory; a run of its own, because the clock of a test must not outlive it."""

    async def run() -> Stage:
        return await play(view, sabotage=sabotage, network=network or Memory())

    return trio.run(run, clock=MockClock(autojump_threshold=0))


def drawn(stage: Stage, width: int, height: int, *, now: float) -> list[str]:
    """One picture as lines of text."""
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, force_terminal=True, color_system=None)
    console.print(picture(stage, console, now=now), end="")
    return out.getvalue().splitlines()


def test_everything_that_is_promised_is_seen() -> None:
    view = Watcher()
    stage = played(view)
    assert stage.trouble == ""
    assert set(stage.verdicts.values()) == {Verdict.KEPT}
    assert view.summary == {
        "summary": {
            "engine": {"state": "failed", "identifies": 2, "resumes": 2, "illegal_refused": 1},
            "naive": {"state": "stuck", "identifies": 0},
        }
    }


def test_it_takes_less_than_twenty_seconds_without_its_pauses() -> None:
    view = Watcher()
    played(view)
    assert view.took < 20


def test_it_takes_less_than_half_a_minute_where_it_is_watched() -> None:
    view = Watcher()
    view.pause = LiveView.pause
    played(view)
    assert 15 < view.took < 30


@pytest.mark.parametrize("name", sabotages.SABOTAGES)
def test_a_sabotaged_engine_breaks_its_promise_and_no_earlier_one(name: str) -> None:
    view = Watcher()
    stage = played(view, sabotage=name)
    broken = [id_ for id_, verdict in stage.verdicts.items() if verdict is Verdict.BROKEN]
    assert broken == [sabotages.SABOTAGES[name].breaks]
    assert not stage.kept_all
    assert f"[{broken[0]}]" in report(stage)
    assert view.took < 20 + EACH_WAIT


def test_an_engine_that_crashes_fails_the_act_and_not_the_program() -> None:
    class Broken(Memory):
        def opener(self, fake: FakeGateway) -> StreamOpener:
            async def crash(url: GatewayUrl) -> trio.abc.Stream:
                raise GatewrightError("the opener is broken")

            return crash

    stage = played(Watcher(), network=Broken())
    assert stage.verdicts["refused"] is Verdict.KEPT
    assert stage.verdicts["one-identify"] is Verdict.BROKEN
    assert "stopped in act 1" in stage.trouble
    assert "crashed with GatewrightError: the opener is broken" in stage.trouble


def test_a_sabotage_changes_one_row_and_is_gone_afterwards() -> None:
    shipped = core.shipped_machine()
    for name, sabotage in sabotages.SABOTAGES.items():
        changed = [
            before.id for before, after in zip(TABLE, sabotages.sabotaged_table(name), strict=True) if before != after
        ]
        assert changed == [sabotage.row]
        with sabotages.sabotaged(name):
            pass
    assert core.shipped_machine() is shipped


def test_a_sabotage_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(ConfigurationError, match=r"'no-such'.*skip-resume"):
        sabotages.sabotaged_table("no-such")


def test_every_promise_belongs_to_one_act() -> None:
    from gatewright.harness.demo.acts import ACTS

    assert sorted(id_ for act in ACTS for id_ in act.promises) == sorted(promise.id for promise in PROMISES)


# Ways to watch.


def test_the_lines_are_the_journal_and_then_the_summary() -> None:
    out = io.StringIO()
    stage = played(LinesView(out))
    *lines, last = map(json.loads, out.getvalue().splitlines())
    assert [line["row"] for line in lines] == [record.row for record in stage.engine.records]
    assert list(last) == ["summary"]


def test_the_plain_view_tells_every_act_and_every_promise() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    played(PlainView(out))
    out.seek(0)
    text = out.read()
    for number in range(1, 7):
        assert f"Act {number} of 6: " in text
    for promise in PROMISES:
        assert f"✓ {promise.text}\n" in text
    assert "connect() is not possible in 'fetching_metadata'" in text
    assert "10 of 10 promises were seen." in text


def test_the_plain_view_needs_no_more_than_ascii() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    played(PlainView(out))
    out.seek(0)
    assert "-> IDENTIFY" in out.read()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_picture_fills_its_terminal_and_no_more(width: int, height: int) -> None:
    sizes: set[tuple[int, bool]] = set()

    def look(stage: Stage) -> None:
        lines = drawn(stage, width, height, now=trio.current_time())
        sizes.add((len(lines), all(len(line) <= width for line in lines)))

    played(Watcher(look))
    assert sizes == {(height, True)}


def test_a_picture_of_the_race_shows_who_hangs_who_refuses_and_why() -> None:
    pictures: list[str] = []

    def look(stage: Stage) -> None:
        if stage.engine.refusal and stage.act.race:
            pictures.append("\n".join(drawn(stage, 120, 40, now=trio.current_time())))

    played(Watcher(look))
    assert " stuck " in pictures[-1]
    assert " 0 IDENTIFYs; HELLO " in pictures[-1]
    assert "connect() is refused" in pictures[-1]
    assert "The metadata request decides the URL" in pictures[-1]


def test_a_picture_marks_the_present_state_without_colours() -> None:
    marked: set[str] = set()

    def look(stage: Stage) -> None:
        if not stage.act.race:
            lines = drawn(stage, 80, 24, now=trio.current_time())
            assert sum(f"▶ {stage.engine.shard.state} " in line for line in lines) == 1
            marked.add(stage.engine.shard.state)

    played(Watcher(look))
    assert {"ready", "connecting", "resuming", "backing_off", "stalled", "failed"} <= marked


@pytest.mark.parametrize("sabotage", [None, "skip-resume"])
def test_the_closing_words_say_how_each_promise_stands(sabotage: str | None) -> None:
    out = io.StringIO()
    stage = played(Watcher(), sabotage=sabotage)
    Console(file=out, width=120).print(closing(stage))
    text = out.getvalue()
    assert ("Everything that was promised was seen." in text) is (sabotage is None)
    assert ("(not seen)" in text, "(not reached)" in text) == (sabotage is not None,) * 2


def test_the_token_is_shown_nowhere() -> None:
    shown: list[str] = []

    def look(stage: Stage) -> None:
        shown.extend(drawn(stage, 130, 40, now=trio.current_time()))

    lines, plain = io.StringIO(), io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    played(Watcher(look))
    played(LinesView(lines))
    played(PlainView(plain))
    plain.seek(0)
    everything = "\n".join([*shown, lines.getvalue(), plain.read()])
    assert "IDENTIFY" in everything  # it does show what the token is in
    assert TOKEN not in everything
    assert TOKEN.split(".")[-1] not in everything
