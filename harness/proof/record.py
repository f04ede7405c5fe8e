"""What was measured: one entry for each part of the proof, kept as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import attrs

from gatewright.spec.errors import ConfigurationError

Figures = Mapping[str, Any]
"""What a part found, in the types of JSON. Numbers under ``of`` are what there is in all; the others are counted."""

FIXED: Final = "of"


@attrs.frozen(kw_only=True)
class Measured:
    """One part.

    Attributes:
        figures: what was found.
        seconds: how long it took, on the wall.
        peak: MiB of memory at most, of the largest of its processes.
        command: what repeats it.
        on: the day, as ``2026-01-31``.
        python: the version.
        table: a digest of the table and its environment, so that it is known what the figures are of.
    """

    figures: Figures
    seconds: float
    peak: float
    command: str
    on: str
    python: str
    table: str

    def plus(self, more: Measured) -> Measured:
        """Both together.

        Raises:
            ConfigurationError: they are of different tables.
        """
        if more.table != self.table:
            raise ConfigurationError("the table has changed since this was measured; measure it anew, without --more")
        return attrs.evolve(
            more,
            figures=_sum(self.figures, more.figures),
            seconds=self.seconds + more.seconds,
            peak=max(self.peak, more.peak),
        )


def _sum(one: Figures, other: Figures) -> Figures:
    both = {name: value if name == FIXED else _both(one.get(name), value) for name, value in other.items()}
    return {**one, **both}


def _both(one: Any, other: Any) -> Any:
    if one is None or other is None:
        return one if other is None else other
    if isinstance(other, dict):
        return dict(Counter(cast("dict[str, int]", one)) + Counter(cast("dict[str, int]", other)))
    if isinstance(other, list):
        names: set[str] = set(one).union(cast("list[str]", other))
        return sorted(names)
    return one + other


def read(path: Path) -> dict[str, Measured]:
    """The record in a file; empty if there is none.

    Raises:
        ConfigurationError: the file holds something else.
    """
    if not path.exists():
        return {}
    try:
        return {part: Measured(**entry) for part, entry in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{path} is no record of a proof: {error}") from error


def write(path: Path, record: Mapping[str, Measured]) -> None:
    """Writes a record, parts in the order of their names."""
    entries = {part: attrs.asdict(record[part]) for part in sorted(record)}
    path.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8", newline="\n")
