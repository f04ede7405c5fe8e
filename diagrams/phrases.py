"""The words of the drawings: what an event and a guard are called where there is room for two or three words.

The table's own words (guard labels, the `why` of a row) are for documents; a label on an edge is shorter. A test holds
that every event has its words and every guard that is negated somewhere its opposite, so that nothing new goes unnamed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

import attrs

from gatewright.spec import events
from gatewright.spec.events import Event, EventKind
from gatewright.spec.guards import GUARDS
from gatewright.spec.rows import Row
from gatewright.spec.states import State

EVENT_WORDS: Final[Mapping[type[Event], str]] = MappingProxyType(
    {
        **{command: f"{command.name}()" for command in events.COMMANDS},
        events.Registered: "registered",
        events.RegistrationFailed: "registration failed",
        events.RegistrationUndone: "registration undone",
        events.MetadataFetched: "metadata fetched",
        events.MetadataFailed: "metadata failed",
        events.Opened: "opened",
        events.ConnectFailed: "connect failed",
        events.Closed: "closed",
        events.CloseFlushed: "close frame sent",
        events.Aborted: "aborted",
        events.WriteBlocked: "write blocked",
        events.ReadingPaused: "reading paused",
        events.QueueOverflowed: "overflow",
        events.ReadingResumed: "reading resumed",
        events.SlotQueued: "slot queued",
        events.SlotGranted: "slot granted",
        events.SlotUnavailable: "no slot",
        events.Hello: "HELLO",
        events.HeartbeatRequested: "heartbeat requested",
        events.HeartbeatAcked: "heartbeat ACK",
        events.ReconnectRequested: "op 7",
        events.SessionInvalidated: "op 9",
        events.Ready: "READY",
        events.Resumed: "RESUMED",
        events.Dispatched: "dispatch",
        events.UnknownMessage: "unknown message",
        events.ProtocolViolation: "violation",
        events.DeadlinePassed: "deadline",
        events.HeartbeatDue: "heartbeat due",
    }
)
"""What an event is called on an edge."""


@attrs.frozen(kw_only=True)
class Phrase:
    """A better phrase for some rows than the words of their event.

    ``None`` fits every row; `literal` is a guard's name, or ``not`` and its name, that the row's guard must contain.
    """

    text: str
    source: State | None = None
    event: type[Event] | None = None
    literal: str | None = None

    def fits(self, row: Row) -> bool:
        """Whether the row is one of those."""
        return (
            self.source in {None, row.source}
            and self.event in {None, row.event}
            and (self.literal is None or self.literal in literals(row.guard))
        )


PHRASES: Final = (
    Phrase(text="then retry", literal="then_retry"),
    Phrase(text="then suspend", literal="then_suspend"),
    Phrase(text="then stop", literal="then_stop"),
    Phrase(text="then fail", literal="then_fail"),
    Phrase(text="then fail", literal="not then_stop"),
    Phrase(text="fatal close code", literal="close_fatal"),
    Phrase(text="registration failed", source=State.REGISTERING, event=events.DeadlinePassed),
    Phrase(text="session brought along", source=State.REGISTERING, event=events.Registered, literal="has_session"),
    Phrase(text="401 or 403", event=events.MetadataFailed, literal="metadata_refused"),
    Phrase(text="HELLO, session held", event=events.Hello, literal="has_session"),
    Phrase(text="HELLO, no session", event=events.Hello, literal="not has_session"),
    Phrase(text="no ACK", event=events.HeartbeatDue, literal="beat_missed"),
    Phrase(text="reader paused", event=events.HeartbeatDue, literal="paused_too_long"),
    Phrase(text="reader paused", event=events.DeadlinePassed, literal="paused"),
    Phrase(text="attempt cap", literal="attempts_spent"),
    Phrase(text="delay over", source=State.BACKING_OFF, event=events.DeadlinePassed),
    *(
        Phrase(text="socket gone", source=State.STALLED, event=event)
        for event in (events.Closed, events.Aborted, events.ConnectFailed, events.DeadlinePassed)
    ),
)
"""Phrases of the overview; the first that fits is taken."""

_MANY_COMMANDS: Final = 3


def phrases_of(rows: Iterable[Row]) -> list[str]:
    """What makes the shard take one of `rows`, each reason once, in the alphabet's order; many commands as one."""
    commands: dict[str, None] = {}
    others: dict[str, None] = {}
    for row in sorted(rows, key=lambda row: events.EVENTS.index(row.event)):
        named = next((phrase.text for phrase in PHRASES if phrase.fits(row)), None)
        is_command = named is None and row.event.kind is EventKind.COMMAND
        (commands if is_command else others)[named or EVENT_WORDS[row.event]] = None
    return [*(["a command"] if len(commands) >= _MANY_COMMANDS else commands), *others]


# Guards ---------------------------------------------------------------------------------------------------------------

OPPOSITES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "advances": "the sequence does not advance",
        "attempts_spent": "attempts are left",
        "beat_missed": "no ACK is missing",
        "budget_refused": "no IDENTIFY was over the budget",
        "close_fatal": "any code but 4004, 4010 to 4014",
        "has_session": "no session is held",
        "hello_first_stall": "not the first HELLO stall",
        "hello_last_stall": "not too often for the session",
        "late_answer": "answer to this request",
        "main_url_unknown": "the main URL is known and works",
        "metadata_refused": "any other failure",
        "needs_metadata": "the URL is known",
        "over_budget": "the gate is out",
        "paused": "reading is not paused",
        "patient": "heartbeats are not acknowledged, or the time is up",
        "paused_too_long": "reading was not paused for too long",
        "paused_within_cap": "reading is not paused, or the time is up",
        "proves": "it proves nothing new",
        "registered": "registrations were not applied",
        "resumable": "d is false",
        "resume_url_failing": "the resume URL did not fail repeatedly",
        "stale": "of this generation",
        "then_fail": "then not fail",
        "then_retry": "then not retry",
        "then_stop": "then not stop",
        "then_suspend": "then not suspend",
    }
)
"""What it is called when a guard does not hold. A test holds that each guard that is negated somewhere is here."""

UNDERSTOOD: Final = frozenset({"not stale", "not late_answer"})
"""Left out of the words of a guard: every row but the one for late events has it."""

BRIEF: Final[Mapping[str, str]] = MappingProxyType(
    {
        "attempts_spent": "attempt cap reached",
        "not attempts_spent": "",
        "beat_missed": "no ACK",
        "not beat_missed": "",
        "budget_refused": "over budget",
        "not budget_refused": "",
        "close_fatal": "fatal code",
        "not close_fatal": "any other code",
        "close_new_session": "session lost",
        "close_resumable": "session survives",
        "hello_first_stall": "",
        "not hello_first_stall": "",
        "hello_last_stall": "",
        "not hello_last_stall": "",
        "has_session": "session held",
        "not has_session": "no session",
        "main_url_unknown": "main URL unknown",
        "not main_url_unknown": "main URL known",
        "needs_metadata": "main URL wanted",
        "not needs_metadata": "URL known",
        "not patient": "no patience left",
        "paused": "reading paused",
        "not paused": "reading on",
        "not paused_within_cap": "time is up",
        "paused_too_long": "reading paused too long",
        "not then_stop": "not stop",
        "not then_suspend": "not suspend",
        "registered": "registered",
        "not registered": "not registered",
    }
)
"""What a literal is called on an edge, where that is shorter.

It is empty where the edge beside it says it already, or where it decides something else than where the event leads.
"""


def guard_words(guard: str | None) -> str:
    """The guard in plain words, without what is understood; empty when nothing else is asked."""
    return "; ".join(_conjuncts(guard, {}))


def brief_words(guard: str | None) -> tuple[str, ...]:
    """The conditions that a guard joins with ``and``, each as short as an edge wants it."""
    return tuple(_conjuncts(guard, BRIEF))


def literals(guard: str | None) -> frozenset[str]:
    """The names in a guard, each with ``not`` before it where it is negated."""
    return frozenset() if guard is None else frozenset(_literals(_parsed(guard)))


def _parsed(guard: str) -> ast.expr:
    return ast.parse(guard, mode="eval").body


def _literals(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Name(name):
            yield name
        case ast.UnaryOp(ast.Not(), ast.Name(name)):
            yield f"not {name}"
        case _:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    yield from _literals(child)


def _conjuncts(guard: str | None, brief: Mapping[str, str]) -> Iterator[str]:
    if guard is not None:
        yield from filter(None, _split(_parsed(guard), brief))


def _split(node: ast.expr, brief: Mapping[str, str]) -> Iterator[str]:
    match node:
        case ast.BoolOp(ast.And(), values):
            for value in values:
                yield from _split(value, brief)
        case _:
            yield _words(node, brief)


def _words(node: ast.expr, brief: Mapping[str, str]) -> str:
    match node:
        case ast.Name(name):
            return brief.get(name, GUARDS[name].label)
        case ast.UnaryOp(ast.Not(), ast.Name(name)):
            literal = f"not {name}"
            if literal in UNDERSTOOD:
                return ""
            return brief.get(literal, OPPOSITES.get(name, f"not: {GUARDS[name].label}"))
        case ast.BoolOp(operator, values):
            joined = (" and " if isinstance(operator, ast.And) else " or ").join(_words(each, brief) for each in values)
            return f"({joined})" if isinstance(operator, ast.And) else joined
        case ast.UnaryOp(ast.Not(), inner):
            return f"not ({_words(inner, brief)})"
        case _:
            return ast.unparse(node)
