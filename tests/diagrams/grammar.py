"""The part of Mermaid's grammar that our drawings keep to, so that a corrupted one is seen without rendering it.

It is stricter than Mermaid: what it accepts was rendered by several of its versions and came out as it was meant.
"""

import re

LABEL = r"(?:[\w ,./()'!?=·→–…×-]|#\d+;|<br/>)+"
ID = r"[A-Za-z][A-Za-z0-9_]*"

STATE_STATEMENTS = {
    "title": r"accTitle: [\w ,-]+",
    "direction": r"direction TB",
    "class definition": rf"classDef {ID} [a-z0-9#:,]+",
    "class": rf"class {ID}(?:,{ID})* {ID}",
    "frame": rf'state "{LABEL}" as (?P<frame>{ID}) \{{',
    "end of frame": r"\}",
    "pseudo-state": rf"state (?P<pseudo>{ID}) <<(?:join|choice)>>",
    "named state": rf'state "{LABEL}" as (?P<named>{ID})',
    "edge": rf"(?P<source>{ID}|\[\*\]) --> (?P<target>{ID})(?:: (?P<label>{LABEL}))?",
    "state": rf"(?P<state>{ID})",
    "note": rf"note (?:left|right) of (?P<noted>{ID})",
    "end of note": r"end note",
}
SEQUENCE_STATEMENTS = {
    "participant": rf"participant (?P<participant>{ID})",
    "message": rf"(?P<source>{ID})(?:->>|--x)(?P<target>{ID}): {LABEL}",
    "note": rf"Note over (?P<noted>{ID}): {LABEL}",
}


def statements(drawing: str) -> list[tuple[str, dict[str, str]]]:
    """The statements of a drawing: the kind of each, and what it names.

    Raises:
        AssertionError: at the first line that is none, or when frames or notes are not closed.
    """
    kind, *lines = drawing.removesuffix("\n").split("\n")
    grammar = {"stateDiagram-v2": STATE_STATEMENTS, "sequenceDiagram": SEQUENCE_STATEMENTS}[kind]
    found: list[tuple[str, dict[str, str]]] = []
    frames, in_note = 0, False
    for line in map(str.strip, lines):
        if in_note and line != "end note":
            assert re.fullmatch(LABEL, line), f"not the text of a note: {line!r}"
            continue
        matches = {name: match for name, pattern in grammar.items() if (match := re.fullmatch(pattern, line))}
        # "direction TB" and the like are keywords before they could be anything else, and so stand first.
        assert matches, f"not a statement: {line!r}"
        name, match = next(iter(matches.items()))
        found.append((name, {key: value for key, value in match.groupdict().items() if value}))
        in_note = kind == "stateDiagram-v2" and name == "note"
        frames += (name == "frame") - (name == "end of frame")
        assert frames >= 0, f"closes a frame that was not opened: {line!r}"
    assert frames == 0, "a frame is not closed"
    assert not in_note, "a note is not closed"
    return found


def edges(drawing: str) -> dict[tuple[str, str], str]:
    """The edges of a state diagram, with their labels as they are drawn."""
    found = [names for name, names in statements(drawing) if name == "edge"]
    drawn = {(each["source"], each["target"]): unescaped(each.get("label", "")) for each in found}
    assert len(drawn) == len(found), "two edges have the same ends"
    return drawn


def unescaped(label: str) -> str:
    """A label as it is drawn: lines and entities as what they stand for."""
    return re.sub(r"#(\d+);", lambda match: chr(int(match[1])), label.replace("<br/>", "\n"))
