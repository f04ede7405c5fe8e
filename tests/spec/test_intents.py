"""The intents are those that Discord documents, and their sums are those of its table."""

import pytest

from gatewright.spec.intents import Intents
from tests.support.conforms import conforms

# Protocol section 4: the bits that have a name, and the sums that were computed from the documentation.
BITS = {*range(17), 20, 21, 24, 25}
ALL, PRIVILEGED, UNPRIVILEGED = 53_608_447, 33_026, 53_575_421


@conforms("P83")
def test_the_documented_bits_have_names_and_no_others_do() -> None:
    assert {intent.value.bit_length() - 1 for intent in Intents} == BITS


def test_each_intent_is_one_bit() -> None:
    assert all(intent.value.bit_count() == 1 for intent in Intents)


@pytest.mark.parametrize(
    ("intents", "total"),
    [
        (Intents.all(), ALL),
        (Intents.privileged(), PRIVILEGED),
        (Intents.unprivileged(), UNPRIVILEGED),
        (Intents.none(), 0),
    ],
)
@conforms("P83")
def test_the_sums_are_those_of_the_documentation(intents: Intents, total: int) -> None:
    assert int(intents) == total


def test_all_is_every_member() -> None:
    assert Intents.all() == Intents(sum(intent.value for intent in Intents))


def test_privileged_and_unprivileged_are_all_and_share_nothing() -> None:
    assert Intents.privileged() | Intents.unprivileged() == Intents.all()
    assert Intents.privileged() & Intents.unprivileged() == Intents.none()
