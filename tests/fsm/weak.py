"""Walks over tables that are wrong, and the violation that each must lead to."""

from collections.abc import Generator
from contextlib import contextmanager

import pytest

from gatewright.harness.monitor import InvariantViolated
from gatewright.harness.walks import Walk
from gatewright.spec.states import State
from tests.support.tables import Weakened


def weak(table: Weakened, state: State) -> Walk:
    """A walk over a weaker table that has come to `state`, up to where nothing broke yet."""
    walk = Walk(table=table.rows)
    walk.reach(state)
    return walk


@contextmanager
def caught(invariant: str, what: str) -> Generator[None]:
    """What happens inside breaks this invariant, in this way."""
    with pytest.raises(InvariantViolated) as violation:
        yield
    assert violation.value.id == invariant, violation.value.detail
    assert what in violation.value.detail
