"""Whether a journal is a path of the table: positive controls of the judge."""

import attrs
import pytest

from gatewright.fsm.core import ShardCore
from gatewright.fsm.journal import Record
from gatewright.harness.sim.paths import PathOfTheTable
from gatewright.spec.events import MetadataFetched, Opened, Register, Registered
from gatewright.spec.rows import RowKind
from gatewright.spec.states import State
from gatewright.spec.table import TABLE


def journal() -> list[Record]:
    core = ShardCore()
    for number, event in enumerate(
        (Register("client"), Registered(), MetadataFetched(1, "wss://main.example/"), Opened(1))
    ):
        core.feed(event, float(number))
    return list(core.journal)


def fault(records: list[Record]) -> str:
    path = PathOfTheTable(TABLE)
    for record in records:
        path.observe(record)
    return "" if path.fault is None else str(path.fault).splitlines()[0]


def test_a_journal_is_a_path() -> None:
    assert fault(journal()) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"row": "connecting.closed.never"}, "no row"),
        ({"state": State.READY}, "the last step led to 'connecting'"),
        ({"row": "connecting.deadline_passed"}, "the row's event is 'deadline_passed', and not 'opened'"),
        ({"kind": RowKind.IGNORE}, "the row's kind is 'take', and not 'ignore'"),
        ({"to": State.READY}, "the row's to is 'awaiting_hello', and not 'ready'"),
        ({"effects": ("send_identify",)}, "the row's effects is [], and not ['send_identify']"),
        ({"gen": 5}, "the generation went from 1 to 5"),
        ({"time": 0.5}, "is before that of the last step"),
    ],
)
def test_a_record_that_does_not_fit_is_named(change: dict[str, object], said: str) -> None:
    *before, last = journal()
    assert said in fault([*before, attrs.evolve(last, **change)])  # type: ignore[arg-type]  # fields by name


def test_a_step_that_is_missing_is_seen() -> None:
    first, _, *rest = journal()
    assert "the last step led to 'registering'" in fault([first, *rest])
