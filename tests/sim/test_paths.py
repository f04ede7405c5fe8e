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
        ({"state": State.READY}, "the one before it ended in connecting"),
        ({"row": "connecting.deadline_passed"}, "is not about opened"),
        ({"kind": RowKind.IGNORE}, "is not about opened"),
        ({"to": State.READY}, "does not lead to ready"),
        ({"effects": ("send_identify",)}, "other effects"),
        ({"gen": 5}, "generation 5 follows 1"),
        ({"time": 0.5}, "time goes back"),
    ],
)
def test_a_record_that_does_not_fit_is_named(change: dict[str, object], said: str) -> None:
    *before, last = journal()
    assert said in fault([*before, attrs.evolve(last, **change)])  # type: ignore[arg-type]  # fields by name


def test_a_step_that_is_missing_is_seen() -> None:
    first, _, *rest = journal()
    assert "the one before it ended in registering" in fault([first, *rest])
