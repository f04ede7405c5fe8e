"""docs/operating.md is what the code does: verbs, numbers and fields."""

from __future__ import annotations

import re

import attrs
import pytest
from trio.testing import MockClock

from gatewright.cli import main
from gatewright.fsm.errors import IllegalTransition
from gatewright.fsm.metrics import Metrics
from gatewright.run import Status
from gatewright.spec.events import Connect, Event, ForceIdentify, Reconnect, Stop, Suspend
from gatewright.spec.rows import RowKind
from gatewright.spec.states import Cause, State
from gatewright.spec.table import CELLS
from tests.support.checkout import ROOT
from tests.support.stages import BEGUN, stage

PATH = ROOT / "docs/operating.md"
PAGE = PATH.read_text(encoding="utf-8")
VERBS: dict[str, type[Event]] = {
    "connect": Connect,
    "reconnect": Reconnect,
    "force_identify": ForceIdentify,
    "suspend": Suspend,
    "stop": Stop,
}


def mark(state: State, verb: type[Event]) -> str:
    """What the table says of a verb in a state."""
    kinds = {row.kind for row in CELLS[state, verb]}
    marks = {RowKind.TAKE: "●", RowKind.IGNORE: "○", RowKind.REFUSE: "–"}
    return "/".join(mark for kind, mark in marks.items() if kind in kinds)


def verbs() -> str:
    """The table of the page, made from the table that runs."""
    head = "| state | " + " | ".join(f"`{verb}()`" for verb in VERBS) + " |\n|---|" + "---|" * len(VERBS) + "\n"
    return head + "".join(
        f"| `{state}` | " + " | ".join(mark(state, verb) for verb in VERBS.values()) + " |\n" for state in State
    )


def test_the_verbs_are_those_of_the_table() -> None:
    found = PAGE.split("<!-- verbs:begin -->\n")[1].split("<!-- verbs:end -->")[0]
    assert found == verbs(), "put this there:\n" + verbs()


@pytest.mark.parametrize("state", BEGUN)
@pytest.mark.parametrize("verb", ["connect", "reconnect", "force_identify"])
async def test_a_verb_is_possible_exactly_where_the_table_says(
    autojump_clock: MockClock, state: State, verb: str
) -> None:
    """On the real shard; `suspend` and `stop` have their own tests, because they wait."""
    said = mark(state, VERBS[verb])
    async with stage(state) as at:
        before = at.shard.metrics().illegal_commands
        refused = False
        try:
            getattr(at.shard, verb)()
        except IllegalTransition:
            refused = True
        assert ("–" in said) if refused else (said != "–")
        assert at.shard.metrics().illegal_commands == before + refused
        assert not refused or at.shard.state is state
        at.shard._failure_seen = True


@pytest.mark.parametrize("state", BEGUN)
@pytest.mark.parametrize(("verb", "end"), [("suspend", State.SUSPENDED), ("stop", State.STOPPED)])
async def test_leaving_is_possible_exactly_where_the_table_says(
    autojump_clock: MockClock, state: State, verb: str, end: State
) -> None:
    said = mark(state, VERBS[verb])
    async with stage(state) as at:
        try:
            await getattr(at.shard, verb)()
        except IllegalTransition:
            assert "–" in said
            assert at.shard.state is state
        else:
            assert said != "–"
            assert at.shard.state in {end, State.FAILED if state is State.FAILED else end}
        at.shard._failure_seen = True


def _names(section: str) -> set[str]:
    text = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    return {name for row in re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}


def test_every_number_is_explained() -> None:
    assert _names("Numbers") == {field.name for field in attrs.fields(Metrics)}


def test_every_cause_that_leads_to_another_attempt_is_named() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE.split("| `reconnects` |")[1].split("\n")[0]))
    assert named == {cause.value for cause in Cause} - {Cause.REGISTRATION.value, Cause.QUEUE_OVERFLOWED.value}


def test_every_field_of_the_log_is_explained() -> None:
    fields = {
        "shard", "time", "gen", "state", "event", "to", "detail", "row", "kind", "effects", "cause", "attempts",
        "retry_in", "not_ready_for", "failure",
    }  # fmt: skip
    assert fields <= _names("The log")


def test_every_exit_status_of_run_is_explained() -> None:
    text = PAGE.split("| exit status | |")[1].split("\n\n")[0]
    assert [int(found) for found in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)] == sorted({1, *map(int, Status)})


def test_every_option_of_run_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    offered = set(re.findall(r"^  (--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    explained = set(re.findall(r"^\| `(--[a-z-]+)", PAGE, re.MULTILINE))
    assert explained == offered
