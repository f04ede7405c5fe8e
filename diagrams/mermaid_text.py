"""Mermaid's grammar, and nothing of ours: text that cannot break a drawing, names that can be ids, the size limits.

Mermaid has no way of quoting. A label with ``;`` ends its statement, ``::`` opens a class, ``#`` begins an entity,
``1.`` begins a list in some versions, a state called ``note`` is a keyword; some of this is an error, some silently
draws something else. So every text and every id of a drawing goes through this module. What is here was checked by
rendering, with versions 10.9 to 12.3: the text that went in is the text that is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gatewright.spec.errors import GatewrightError

MAX_CHARACTERS: Final = 50_000
"""Longer texts are not drawn, with Mermaid's default configuration, which is the one of the sites that embed it."""

MAX_EDGES: Final = 500
"""Drawings with more edges are not drawn, likewise."""

_ENTITY: Final = re.compile(
    r"""
      [^\w ,./()'!?=·→–…×-]     # everything that is not known to be plain text in every kind of label
    | (?<![^\W_])_ | _(?![^\W_])  # an underscore that might open emphasis: any that does not join two words
    | (?<!\w)- | -(?!\w)          # a hyphen likewise: lists, arrows, the separator of regions
    | (?<=\d)[.)](?=\ |$)         # "1." and "1)" begin a list
    | (?<=www)\.                  # begins a link, which some versions refuse to draw
    | e(?=nd\ +note)              # closes a note from inside
    """,
    re.VERBOSE | re.IGNORECASE,
)

_PLACEHOLDERS: Final = (("ﬂ°", "fl°"), ("¶ß", "¶ ß"))
"""How Mermaid itself spells the two ends of an entity while it parses: in a text they would be read as one, however
they are written."""

_PLAIN_ID: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

_KEYWORDS: Final = """
    accdescr acctitle activate actor alt and as autonumber bottom box break choice class classdef click constructor
    create critical deactivate default destroy details direction else end floating fork hasownproperty hide href id_
    isprototypeof join left link links linkstyle loop note of opt option over par participant properties
    propertyisenumerable rect right root scale state statediagram style subgraph title tolocalestring top tostring
    valueof
"""
_RESERVED: Final = frozenset(_KEYWORDS.split())
"""Keywords, in lower case, and the names that every object of JavaScript has already: some versions look ids up in
plain objects and find those."""

_ESCAPED_ID: Final = "id_"


class DrawingTooLarge(GatewrightError, ValueError):
    """A drawing that Mermaid would refuse to draw; the message gives the number and the limit."""


def escape(text: str) -> str:
    """The text as a label, description or message of any Mermaid diagram; it is drawn as it was, white space apart.

    Args:
        text: any text. Its line breaks become line breaks of the drawing, and what has no glyph is shown as ``�``.
    """
    return "<br/>".join(_line(line) for line in text.splitlines())


def _line(text: str) -> str:
    printable = "".join(each if each.isprintable() else "�" for each in " ".join(text.split()))
    for pair, apart in _PLACEHOLDERS:
        printable = printable.replace(pair, apart)
    # Numeric entities are the one notation that every kind of label decodes.
    return _ENTITY.sub(lambda match: f"#{ord(match[0])};", printable)


def identifier(name: str) -> str:
    """An id for `name`: the name itself where Mermaid takes it, else a spelling that no other name has.

    A state whose id is not its name needs ``state "name" as id`` to be labelled with it.
    """
    if _PLAIN_ID.fullmatch(name) and name.lower() not in _RESERVED and not name.startswith(_ESCAPED_ID):
        return name
    return _ESCAPED_ID + "".join(each if each.isascii() and each.isalnum() else f"_{ord(each):x}_" for each in name)


def finish(lines: Iterable[str], *, edges: int) -> str:
    """The lines as the text of a drawing, ending in a newline, if it is one that Mermaid draws.

    Raises:
        DrawingTooLarge: with more than `MAX_EDGES` edges or `MAX_CHARACTERS` characters; Mermaid would show an error
            in its place, so it is split or shortened before it is written.
    """
    text = "\n".join(lines) + "\n"
    for count, limit, what in ((edges, MAX_EDGES, "edges"), (len(text), MAX_CHARACTERS, "characters")):
        if count > limit:
            raise DrawingTooLarge(
                f"the drawing has {count} {what}, and Mermaid draws at most {limit}: draw a part of it, or merge edges"
            )
    return text
