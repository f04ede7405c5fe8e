"""The evidence behind the table: one line for each numbered fact that a row, a comment or a document cites.

A row's `ref` is a string of ids such as `"P35 P37 I02"`. The letter says what kind of fact it is (`KINDS`), and
`resolve` turns the string into the facts themselves; lint resolves every row's. An id is never given to another fact,
so a citation stays true. The sentences are in `references_protocol` and `references_races`; this module is the way in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

import attrs

from gatewright.spec import references_protocol, references_races
from gatewright.spec.errors import GatewrightError


@attrs.frozen
class Reference:
    """One numbered fact: what the gateway demands, what went wrong, what must hold, or what an engine offers."""

    id: str
    """A letter of `KINDS` and two digits, such as `P35`."""

    level: str
    """One of `LEVELS` for what the gateway demands; empty for every other kind."""

    text: str
    """The fact in one sentence that needs no other. Code in it is marked with backticks."""

    source: str
    """The section of Discord's documentation, its page as in `PAGES`; empty where the documentation is silent."""


class UnknownReference(GatewrightError, LookupError):
    """An id that names no fact; the message says which ids come near it."""

    def __init__(self, unknown: str, nearest: tuple[str, ...]) -> None:
        super().__init__(
            f"unknown reference {unknown!r}.\n"
            f"  An id is a letter of {', '.join(KINDS)} and two digits; several are separated by spaces.\n"
            f"  Nearest: {', '.join(nearest)}.   All of them: docs/references.md"
        )
        self.unknown = unknown
        self.nearest = nearest


KINDS: Mapping[str, str] = MappingProxyType(
    {
        "P": "what the Discord gateway demands",
        "A": "what its documentation leaves open, and how we settle it",
        "I": "what must hold in every run",
        "R": "what went wrong in real systems",
        "F": "what an engine for the gateway offers",
        "S": "what the first system did",
    }
)
"""What the letter of an id means, in the order in which the kinds are listed."""

LEVELS: tuple[str, ...] = ("MUST", "SHOULD", "SHOULD NOT", "MAY")
"""How binding a P fact is: MUST where breaking it has a hard consequence, SHOULD where Discord recommends it."""

PAGES: Mapping[str, str] = MappingProxyType(
    {
        "GW": "Gateway",
        "GE": "Gateway Events",
        "OP": "Opcodes and Status Codes",
        "RL": "Rate Limits",
        "REF": "API Reference",
        "CL": "Change Log",
        "VC": "Voice Connections",
        "TH": "Threads",
        "INT": "Receiving and Responding to Interactions",
        "PRIV": "Privileged Intents",
        "docs": "the repository of the documentation itself",
    }
)
"""The pages of Discord's documentation that a source begins with."""


def _collect() -> Mapping[str, Reference]:
    found = [Reference(number, level, text, source) for number, level, source, text in references_protocol.PROTOCOL]
    for facts in (
        references_protocol.OPEN_POINTS,
        references_races.INVARIANTS,
        references_races.RACES,
        references_races.FEATURES,
        references_races.BEHAVIOURS,
    ):
        found += [Reference(number, "", text, "") for number, text in facts]
    return MappingProxyType({reference.id: reference for reference in found})


REFERENCES: Mapping[str, Reference] = _collect()
"""Every fact by its id, kind after kind in the order of `KINDS`, each in the order of its numbers."""


def resolve(ref: str) -> tuple[Reference, ...]:
    """The facts that a `ref` cites.

    Args:
        ref: ids separated by spaces, as in `"P35 P37 I02"`; an empty string cites nothing.

    Returns:
        One reference for each id, in the order in which they stand.

    Raises:
        UnknownReference: if an id names no fact. It carries the first such id and the known ids nearest to it.
    """
    try:
        return tuple([REFERENCES[cited] for cited in ref.split()])
    except KeyError as error:
        unknown = str(error.args[0])
        raise UnknownReference(unknown, _nearest(unknown)) from None


def _nearest(unknown: str) -> tuple[str, ...]:
    """The known ids that may have been meant: three of the same letter or else that number in every kind."""
    letter = unknown[:1].upper()
    digits = re.search("[0-9]{1,4}", unknown)
    number = int(digits[0]) if digits else 0
    candidates = [known for known in REFERENCES if known[0] == letter or letter not in KINDS]
    candidates.sort(key=lambda known: abs(int(known[1:]) - number))
    return tuple(candidates[: 3 if letter in KINDS else len(KINDS)])
