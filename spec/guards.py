"""Every guard, defined once.

A row's `guard` combines these names with ``and``, ``or`` and ``not``. From the one definition come the predicate that
runs, the label in the drawings, the exported models and the mutants.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import attrs

from gatewright.spec.errors import TableError


@attrs.frozen
class Guard:
    """A named predicate: `expression` in the table's language, `label` for drawings, in plain words."""

    name: str
    expression: str
    label: str


_GUARDS: Final = (
    # Generations (P53, I06).
    Guard("stale", "event.gen != gen", "of an older generation"),
    Guard("late_answer", "event.request != request", "answer to an older request"),
    # Plans.
    Guard("has_session", "session is not None and received is not None", "a session is held"),
    Guard(
        "needs_metadata",
        "(session is None or session.resume_url is None) and "
        "(metadata is None or fallback or connect_failures >= settings.connect_failures_to_forget_url)",
        "the main URL is wanted, and it is unknown, the fallback, or failing",
    ),
    Guard(
        "main_url_unknown",
        "metadata is None or fallback or connect_failures >= settings.connect_failures_to_forget_url",
        "the main URL is unknown, the fallback, or failing",
    ),
    Guard("budget_refused", "cause == Cause.BUDGET", "IDENTIFY was over the budget"),
    Guard(
        "attempts_spent",
        "settings.max_attempts is not None and attempts >= settings.max_attempts",
        "the attempt cap that was asked for is reached",
    ),
    Guard("registered", "registered", "registrations were applied"),
    # Metadata.
    Guard("metadata_refused", "event.error == MetadataError.FATAL", "401 or 403"),
    # Connecting and HELLO.
    Guard(
        "resume_url_failing",
        "session is not None and session.resume_url is not None and "
        "connect_failures + 1 >= settings.connect_failures_to_forget_url",
        "the resume URL failed repeatedly",
    ),
    Guard("hello_first_stall", "stalls + 1 < settings.hello_stalls_to_forget_url", "first HELLO stall"),
    Guard(
        "hello_last_stall",
        "stalls + 1 >= settings.hello_stalls_to_drop_session",
        "HELLO stalled too often for the session",
    ),
    # The identify gate.
    Guard("over_budget", "event.refusal == SlotRefusal.BUDGET", "IDENTIFY is over the budget"),
    # Closes.
    Guard("close_resumable", "event.close == CloseKind.RESUMABLE", "the session survives"),
    Guard("close_rate_limited", "event.close == CloseKind.RATE_LIMITED", "4008"),
    Guard("close_new_session", "event.close == CloseKind.NEW_SESSION", "4003, 4006, 4007, 4009"),
    Guard("close_fatal", "event.close == CloseKind.FATAL", "4004, 4010 to 4014"),
    # INVALID_SESSION.
    Guard("resumable", "event.resumable", "d is true"),
    # Sequences.
    Guard("advances", "received is None or event.seq > received", "the sequence advances"),
    # Waiting for READY.
    Guard(
        "patient",
        "acked_at is not None and interval is not None and now - acked_at <= 2 * interval "
        "and cap is not None and now < cap and (been_ready or not settings.strict_startup)",
        "heartbeats are acknowledged and there is time left",
    ),
    Guard("paused", "paused", "reading is paused"),
    Guard("paused_within_cap", "paused and cap is not None and now < cap", "reading is paused and there is time left"),
    # The heartbeat region.
    Guard("beat_missed", "not acked and not paused_since_beat", "no ACK for the last beat, and reading was not paused"),
    Guard("paused_too_long", "paused and paused_beats >= settings.max_paused_beats", "reading was paused for too long"),
    Guard("proves", "not acked and proving", "it answers a scheduled heartbeat issued in ready"),
    # Leaving.
    Guard("then_retry", "then == Then.RETRY", "then retry"),
    Guard("then_suspend", "then == Then.SUSPEND", "then suspend"),
    Guard("then_stop", "then == Then.STOP", "then stop"),
    Guard("then_fail", "then == Then.FAIL", "then fail"),
)

GUARDS: Final[Mapping[str, Guard]] = MappingProxyType({guard.name: guard for guard in _GUARDS})


class _Inline(ast.NodeTransformer):
    def __init__(self, text: str, guards: Mapping[str, Guard]) -> None:
        self.text = text
        self.guards = guards

    def visit_Name(self, node: ast.Name) -> ast.expr:
        guard = self.guards.get(node.id)
        if guard is None:
            raise TableError(f"unknown guard {node.id!r} in {self.text!r}; define it in gatewright.spec.guards")
        return ast.parse(guard.expression, mode="eval").body


@functools.cache
def guard_names(text: str) -> tuple[str, ...]:
    """The names of the guards that a combination uses, in order, each once."""
    tree = ast.parse(text, mode="eval")
    return tuple(dict.fromkeys(node.id for node in ast.walk(tree) if isinstance(node, ast.Name)))


_COMBINING: Final = (ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.Name, ast.Load)


def expression_of(text: str | None, guards: Mapping[str, Guard] = GUARDS) -> str:
    """The expression that a row's guard stands for; ``"True"`` for none.

    Args:
        text: the guard as the row has it.
        guards: what its names stand for; others than the shipped ones are those of a table that is wrong on purpose.

    Raises:
        TableError: for a name that no guard has, or anything but names, ``and``, ``or``, ``not``.
    """
    return _shipped_expression(text) if guards is GUARDS else _expression(text, guards)


@functools.cache
def _shipped_expression(text: str | None) -> str:
    return _expression(text, GUARDS)


def _expression(text: str | None, guards: Mapping[str, Guard]) -> str:
    if text is None:
        return "True"
    tree = ast.parse(text, mode="eval")
    for node in ast.walk(tree):
        if not isinstance(node, _COMBINING):
            raise TableError(f"a guard combines names with and, or, not; this does not: {text!r}")
    return ast.unparse(ast.fix_missing_locations(_Inline(text, guards).visit(tree)))


def label_of(text: str | None) -> str:
    """The guard in plain words, for drawings and documents."""
    if text is None:
        return ""
    tokens = text.replace("(", " ( ").replace(")", " ) ").split()
    words = [GUARDS[token].label if token in GUARDS else token for token in tokens]
    return " ".join(words).replace("( ", "(").replace(" )", ")")
