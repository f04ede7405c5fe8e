"""What cannot be exported is refused, with what to do."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from examples.door_lock import door
from gatewright.harness.explore import Action, Bounds, Environment, Table
from gatewright.harness.export import promela, tla
from gatewright.spec.errors import TableError

EXPORTS: tuple[Callable[[Table, Environment, Bounds], object], ...] = (promela, tla)


def without(environment: Environment, action: str) -> Environment:
    return attrs.evolve(environment, actions=tuple(each for each in environment.actions if each.name != action))


def with_payload(value: object) -> Environment:
    odd = Action(name="odd code", event=door.Code, payload={"right": value}, hostile=True)
    return attrs.evolve(door.ENVIRONMENT, actions=(*door.ENVIRONMENT.actions, odd))


@pytest.mark.parametrize("export", EXPORTS, ids=["promela", "tla"])
@pytest.mark.parametrize(
    ("environment", "bounds", "said"),
    [
        (
            without(door.ENVIRONMENT, "push"),
            {},
            "event push: no action of environment 'people' feeds it; write one, or",
        ),
        (attrs.evolve(door.ENVIRONMENT, reactions={}), {}, "has no reaction to it; {} says: none"),
        (door.ENVIRONMENT, {"tires": 1}, "bound tires: there is no such variable; there are bolted, tries, wrong"),
        (door.ENVIRONMENT, {"tries": 9}, "bound tries=9: its values are 0 to 3"),
        (with_payload("red"), {}, "is no number, no truth and no member of an enumeration"),
    ],
    ids=["unheard", "no reaction", "no such bound", "bound too large", "payload"],
)
def test_what_cannot_be_said_is_refused(
    export: Callable[[Table, Environment, Bounds], object], environment: Environment, bounds: dict[str, int], said: str
) -> None:
    with pytest.raises(TableError) as caught:
        export(door.table(), environment, Bounds(values=bounds))
    assert said in str(caught.value)


@pytest.mark.parametrize("export", EXPORTS, ids=["promela", "tla"])
def test_what_is_no_table_is_refused(export: Callable[[Table, Environment, Bounds], object]) -> None:
    with pytest.raises(TableError, match="a Table is wanted, and this is a function; call it"):
        export(door.table, door.ENVIRONMENT, Bounds())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(TableError, match="an Environment is wanted, and this is a Table"):
        export(door.table(), door.table(), Bounds())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
