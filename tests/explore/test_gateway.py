"""The shipped table in its environment: every state within the bounds of tests, and tables that are weaker."""

import attrs
import pytest

from gatewright.harness.explore import Report, explore
from gatewright.harness.explore.gateway import QUICK, check, justified
from gatewright.harness.explore.gateway_environment import gateway_environment
from gatewright.harness.explore.gateway_properties import PROPERTIES, WHERE
from gatewright.harness.explore.gateway_table import SMALL, gateway_table
from gatewright.spec.effects import AbortSocket, SendHeartbeat
from gatewright.spec.errors import TableError
from gatewright.spec.events import Connect, Hello, MetadataFetched
from gatewright.spec.invariants import INVARIANTS
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.spec.table import TABLE
from tests.support.tables import SHIPPED, Weakened, opening


@pytest.fixture(scope="module")
def shipped() -> Report:
    return check(QUICK, coverage=False)


def test_every_property_holds(shipped: Report) -> None:
    shipped.assert_ok()
    assert set(shipped.properties.values()) == {"holds"}


def test_the_exploration_is_not_small(shipped: Report) -> None:
    assert shipped.states > 50_000
    assert len(shipped.taken) > 500


def test_every_invariant_is_stated_or_lives_elsewhere() -> None:
    stated = {item.id for item in PROPERTIES}
    assert not stated & WHERE.keys()
    assert INVARIANTS.keys() <= stated | WHERE.keys()


def test_no_two_properties_have_one_name() -> None:
    names = [item.name for item in PROPERTIES]
    assert len(names) == len(set(names))


def test_reasons_are_given_for_rows_of_the_table_only() -> None:
    assert justified().keys() <= {row.id for row in TABLE}


@pytest.mark.parametrize(
    ("weaker", "verdict", "said"),
    [
        pytest.param(opening(State.REGISTERING, Connect), "edge", "I15|I01", id="R01 connect while registering"),
        pytest.param(opening(State.STOPPED, MetadataFetched), "edge", "I01|I04|I06", id="R03 connect after stop"),
        pytest.param(opening(State.CONNECTING, MetadataFetched), "edge", "I01|I06", id="R04 two sockets for one start"),
        pytest.param(SHIPPED.without("stalled.stop"), "illegal", "stop has no row", id="R12 stop while dark"),
        pytest.param(
            SHIPPED.without_update("drop_session", "ready.stop"), "edge", "I10", id="R13 1000 and then RESUME"
        ),
        pytest.param(SHIPPED.without("awaiting_hello.hello.resume"), "illegal", "hello", id="a guard that has a gap"),
        pytest.param(
            SHIPPED.without_effect(AbortSocket, "stalled.deadline_passed"), "edge", "F28|I01", id="a dark peer is kept"
        ),
        pytest.param(
            SHIPPED.without_effect(SendHeartbeat, "ready.heartbeat_due.beat"), "edge", "I20", id="no heartbeat"
        ),
        pytest.param(SHIPPED.with_row(State.AWAITING_HELLO, Hello), "edge", "I02|I10|I13", id="HELLO is not answered"),
    ],
)
def test_a_weaker_table_is_seen(weaker: Weakened, verdict: str, said: str) -> None:
    report = check(QUICK, rows=weaker.rows)
    assert report.verdict == verdict
    with pytest.raises(AssertionError, match=said):
        report.assert_ok()


def test_every_event_comes_from_the_connection_that_there_is_too() -> None:
    # An old connection may say anything, and that alone would hide that nobody feeds an event for the current one.
    fed = {a.event for a in gateway_environment().actions if a.payload.get("stale") is not True}
    assert {row.event for row in TABLE} <= fed


def test_a_new_event_that_the_environment_does_not_feed_is_refused() -> None:
    environment = gateway_environment()
    deaf = attrs.evolve(environment, actions=tuple(a for a in environment.actions if a.event is not Hello))
    with pytest.raises(TableError, match="event hello: no action of environment 'gateway' feeds it"):
        explore(gateway_table(), deaf)


def test_a_new_field_that_a_row_writes_is_refused_until_it_has_a_meaning() -> None:
    table = gateway_table(settings=SMALL)
    with pytest.raises(TableError, match="the field 'latency' has no variable; add one, or say in `dropped`"):
        explore(attrs.evolve(table, dropped={}, updates={**table.updates, "bind_client": (("latency", "None"),)}),
                gateway_environment())  # fmt: skip


def test_the_settings_of_the_exploration_are_settings() -> None:
    assert isinstance(SMALL, Settings)
