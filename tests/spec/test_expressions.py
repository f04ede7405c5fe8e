"""The table's small language: what it can say, and that it can say nothing else."""

from typing import cast

import pytest

from gatewright.spec.context import Context
from gatewright.spec.errors import TableError
from gatewright.spec.events import Closed, Dispatched, Event
from gatewright.spec.expressions import compile_predicate, compile_value, names_read, parse, source_of
from gatewright.spec.states import State

NOTHING = cast("Event", None)

REFUSED = {
    "a lambda": "(lambda: 1)",
    "a comprehension": "[attempts for attempts in (1, 2)]",
    "a list": "[attempts]",
    "a dictionary": "{attempts: 1}",
    "a set": "{attempts}",
    "an index": "settings[0]",
    "a slice": "settings[0:1]",
    "an f-string": "f'{attempts}'",
    "a walrus": "(attempts := 1)",
    "an await": "await attempts",
    "a yield": "(yield attempts)",
    "a starred value": "(*settings, 1)",
    "a division": "attempts / 2",
    "a power": "attempts ** 2",
    "a modulo": "attempts % 2",
    "a bit operation": "attempts | 2",
    "an inversion": "~attempts",
    "a method": "session.without_url()",
    "a call of what a call gave": "min(1, 2)(3)",
    "a keyword": "min(1, default=2)",
    "a builtin": "open('secrets')",
    "an import": "__import__('os')",
    "an evaluation": "eval('1')",
    "an unknown name": "token",
    "a field that does not exist": "no_such_field",
    "a statement": "attempts = 1",
    "nothing": "",
    "two expressions": "attempts; attempts",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_outside_of_the_language_is_refused(text: str) -> None:
    with pytest.raises(TableError):
        parse(text)


@pytest.mark.parametrize("text", [text for text in REFUSED.values() if text])
def test_a_refusal_quotes_the_expression(text: str) -> None:
    with pytest.raises(TableError) as refusal:
        parse(text)
    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize("text", ["session.__class__", "settings.__init__", "event.__dict__"])
def test_no_expression_looks_behind_underscores(text: str) -> None:
    with pytest.raises(TableError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("attempts + 1", 4),
        ("attempts - 1 if registered else 0", 2),
        ("-attempts", -3),
        ("2 * attempts", 6),
        ("max(attempts, 5)", 5),
        ("state == State.READY and not paused", True),
        ("state in (State.IDLE, State.READY)", True),
        ("state not in (State.IDLE, State.READY)", False),
        ("session is None or attempts > 100", True),
        ("settings.shard_count", 1),
        ("event.seq", 9),
    ],
)
def test_what_is_in_the_language_means_what_it_says(text: str, value: object) -> None:
    context = Context(state=State.READY, attempts=3, registered=True)
    assert compile_value(text)(context, Dispatched(1, seq=9)) == value


def test_a_predicate_is_a_real_boolean_whatever_the_expression_gives() -> None:
    assert compile_predicate("attempts")(Context(attempts=3), NOTHING) is True
    assert compile_predicate("session")(Context(), NOTHING) is False


def test_the_fields_that_are_read_are_known() -> None:
    assert names_read("session is None and event.gen != gen or settings.shard_id > 0") == {
        "session",
        "event.gen",
        "gen",
        "settings",
    }


def test_the_source_is_over_the_context_and_the_event() -> None:
    assert source_of("attempts + 1 if event.close == CloseKind.FATAL else max(attempts, 0)") == (
        "(c.attempts + 1 if e.close == CloseKind.FATAL else max(c.attempts, 0))"
    )


def test_an_expression_sees_the_event_that_it_is_given() -> None:
    fatal = compile_predicate("event.close == CloseKind.FATAL")
    assert fatal(Context(), Closed(1, 4004))
    assert not fatal(Context(), Closed(1, 4000))
