"""docs/proof.md: what lies between ``<!-- name:begin -->`` and ``<!-- name:end -->`` is written from the record."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from gatewright.harness.explore.gateway_projection import digest
from gatewright.harness.proof.invariants import invariants
from gatewright.harness.proof.parts import PARTS
from gatewright.harness.proof.record import Figures, Measured
from gatewright.spec.errors import ConfigurationError

_BLOCK: Final = re.compile(r"(<!-- ([\w-]+):begin -->\n).*?(<!-- \2:end -->)", re.DOTALL)


def filled(text: str, record: Mapping[str, Measured], *, table: str | None = None) -> str:
    """The page with its figures.

    Args:
        text: the page as it is.
        record: what was measured.
        table: a digest of the table and its environment; figures of others are told to be so.

    Raises:
        ConfigurationError: a block has a name that is none.
    """

    def block(match: re.Match[str]) -> str:
        name = match[2]
        if name == "summary":
            lines: Iterable[str] = _summary(record)
        elif name == "invariants":
            lines = invariants()
        elif name in PARTS:
            lines = _part(name, record.get(name), digest() if table is None else table)
        else:
            raise ConfigurationError(f"docs/proof.md has a block {name!r}; there are {', '.join(PARTS)}")
        return match[1] + "".join(f"{line}\n" for line in lines) + match[3]

    return _BLOCK.sub(block, text)


def blocks(text: str) -> list[str]:
    """The names of the blocks of a page, in order."""
    return [match[2] for match in _BLOCK.finditer(text)]


# -- one part ----------------------------------------------------------------------------------------------------------


def _part(name: str, found: Measured | None, table: str) -> Iterator[str]:
    if found is None:
        yield f"Not measured yet; `make proof ARGS='--only {name}'` does it."
        return
    yield from _WRITERS[name](found.figures, found.seconds)
    yield ""
    earlier = "" if found.table == table else ", of an earlier table or environment,"
    yield (
        f"Measured on {found.on}{earlier} with Python {found.python}: {_time(found.seconds)}, {found.peak:.0f} MiB. "
        f"To repeat: `{found.command}`."
    )


def _summary(record: Mapping[str, Measured]) -> Iterator[str]:
    yield "| part | | took | repeated by |"
    yield "|---|---|---|---|"
    for name, part in PARTS.items():
        found = record.get(name)
        took = "not measured yet" if found is None else _time(found.seconds)
        command = f"make proof ARGS='--only {name}'" if found is None else found.command
        yield f"| {name} | {part.title} | {took} | `{command}` |"


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _n(number: float) -> str:
    """With a space between thousands."""
    return f"{number:,.0f}".replace(",", " ")


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"


def _l0(figures: Figures, _: float) -> Iterator[str]:
    milliseconds = 1000 * figures["lint_seconds"]
    yield f"{figures['rows']} rows in {figures['states']} states, no finding; lint takes {milliseconds:.0f} ms."


def _l1(figures: Figures, _: float) -> Iterator[str]:
    yield from _table(
        ("", ""),
        (
            ("states", _n(figures["states"])),
            ("steps", _n(figures["edges"])),
            ("states a second", _n(figures["states_per_second"])),
            ("properties", ", ".join(f"{count} {shape}" for shape, count in sorted(figures["properties"].items()))),
            ("violated", 0),
            ("rows", f"{figures['taken']} taken and {figures['justified']} with a reason, of {figures['rows']}"),
        ),
    )


_VERDICTS: Final = {
    "lint": "fall to lint",
    "safety": "break a property of a state",
    "edge": "break a property of a step",
    "illegal": "meet a cell without a row, or two rows at once",
    "deadlock": "end where nothing can happen",
    "liveness": "need not come to an end",
    "limit": "have no end of states",
    "coverage": "take a row no more",
    "equivalent": "are no other table",
    "survived": "survive, each with its reason",
}


def _l2(figures: Figures, _: float) -> Iterator[str]:
    verdicts, tried, total = figures["verdicts"], figures["tried"], figures["of"]
    said = ((_n(verdicts[each]), what) for each, what in _VERDICTS.items() if each in verdicts)
    yield from _table(("mutants", ""), said)
    different = tried - verdicts.get("equivalent", 0)
    killed = different - verdicts.get("survived", 0)
    which = f"All {_n(total)}" if tried == total else f"{_n(tried)} of {_n(total)}, drawn with a seed"
    yield ""
    yield f"{which}: {killed / different:.2%} of those that are not equivalent are noticed."


def _l3(figures: Figures, _: float) -> Iterator[str]:
    yield from _table(
        ("bounds", "states of both", "to see what comes to pass", "Spin took"),
        (
            (
                ", ".join(f"{name} {value}" for name, value in each["values"].items()),
                _n(each["spin_states"]),
                _n(sum(goal["spin_states"] for goal in each["eventually"])) if "eventually" in each else "–",
                f"{each['seconds'] + sum(goal['seconds'] for goal in each.get('eventually', ())):.0f} s",
            )
            for each in sorted(figures["of"], key=lambda each: int(each["states"]))
        ),
    )
    told = ", ".join(f"{count} {'hold' if name == 'holds' else name}" for name, count in figures["verdicts"].items())
    yield ""
    yield f"Of {figures['mutants']} mutants that reach an explorer both say the same ({told})."
    settled = figures.get("settled")
    if settled is None:  # an earlier record, of the time when Spin was not asked
        return
    yield (
        f"Of {settled['mutants']} mutants of the rows that are taken once all has ceased, {settled.get('liveness', 0)} "
        f"can go round for ever, {settled.get('deadlock', 0)} can stop, and {settled.get('excused', 0)} go round until "
        "a deadline or fairness ends it; both say the same of each."
    )


def _l4(figures: Figures, _: float) -> Iterator[str]:
    yield (
        f"{_n(figures['walks'])} walks, {_n(figures['seeds'])} by each row that is explored; "
        f"{_n(figures['steps'])} steps by {len(figures['rows'])} rows. None went astray, no invariant broke."
    )


def _l5(figures: Figures, seconds: float) -> Iterator[str]:
    lives = figures["lives"]
    yield from _table(
        ("", ""),
        (
            (
                "lives",
                f"{_n(lives)} (seeds 0 to {_n(lives - 1)}), {figures['virtual_seconds'] / 86400:.0f} virtual days",
            ),
            ("violations", 0),
            ("faults a life", f"{figures['faults'] / lives:.1f}, and {figures['fewest_faults']} at least"),
            ("bots started again, after their end before the third fault", _n(figures["started_again"])),
            ("ends", ", ".join(f"{state} {_n(count)}" for state, count in sorted(figures["ends"].items()))),
            (
                "rows",
                f"{len(figures['rows'])} taken of {figures['of']['rows']}; {figures['of']['excused']} have a reason",
            ),
            ("lives a second", f"{lives / figures['cpu_seconds']:.0f} of processor time, {lives / seconds:.0f} in all"),
        ),
    )


def _driven(figures: Figures, _: float) -> Iterator[str]:
    lives, actions, of = figures["lives"], figures["actions"], figures["of"]
    yield (
        f"{_n(lives)} lives with {_n(sum(actions.values()))} actions by {len(figures['rows'])} rows, each of them "
        f"judged and none wrong. Of the {of['deeds']} actions with a deed {len(actions)} are among them; "
        f"{of['own']} are the driver's own answers, and {of['reasons']} have a reason. {_n(figures['whole'])} ways "
        f"were taken to their end, the others as far as the driver could be brought. "
        f"{lives / figures['cpu_seconds']:.0f} lives a second of processor time."
    )


def _journals(figures: Figures, _: float) -> Iterator[str]:
    yield (
        f"{_n(figures['classes'])} classes and {_n(figures['steps'])} steps by {figures['rows']} rows, made anew and "
        "equal to those that are kept, and equal again when what the environment counts goes one further."
    )


def _bucket(figures: Figures, _: float) -> Iterator[str]:
    properties = ", ".join(f"{count} {shape}" for shape, count in sorted(figures["properties"].items()))
    yield (
        f"{_n(figures['states'])} states and {_n(figures['edges'])} steps by {figures['taken']} rows of each shard, "
        f"{_n(figures['states_per_second'])} states a second; {properties}, none of them violated."
    )


def _rate(rate: Mapping[str, Any]) -> str:
    return f"{rate['killed'] / rate['of']:.1%}" if rate["of"] else "–"


def _operators_first(group: tuple[str, object]) -> tuple[bool, bool, str]:
    name, _ = group
    return name == "all", name.startswith("all"), name


def _grades(figures: Figures, _: float) -> Iterator[str]:
    found = figures["of"]
    rates = ("explorer", "walks", "walks_met", "lives", "lives_met", "alone", "alone_met")
    yield from _table(
        ("operator", "mutants", "L0–L2", "L4", "where met", "L5", "where met", "L5 without the table", "where met"),
        (
            (name, each["mutants"], *(_rate(each[which]) for which in rates))
            for name, each in sorted(found["by"].items(), key=_operators_first)
            if each["mutants"]
        ),
    )
    yield ""
    yield (
        f"{_n(found['sample'])} of {_n(found['of'])} mutants, drawn with seed {found['seed']}, "
        f"{found['equivalent']} of them equivalent; {_n(found['walks'])} walks, {_n(found['lives'])} lives"
        + (f" and {_n(found['driven'])} driven ones." if "driven" in found else ".")
    )


_WRITERS: Final[Mapping[str, Callable[[Figures, float], Iterator[str]]]] = {
    "l0": _l0,
    "l1": _l1,
    "bucket": _bucket,
    "l2": _l2,
    "l3": _l3,
    "l4": _l4,
    "l5": _l5,
    "driven": _driven,
    "journals": _journals,
    "grades": _grades,
}
