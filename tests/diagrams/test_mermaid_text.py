"""What Mermaid's grammar would break or silently change is escaped, and what it would refuse is not written."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.diagrams.mermaid_text import MAX_CHARACTERS, MAX_EDGES, DrawingTooLarge, escape, finish, identifier
from gatewright.spec.errors import GatewrightError
from tests.diagrams.grammar import LABEL, unescaped


@pytest.mark.parametrize(
    ("text", "label"),
    [
        pytest.param("a; b", "a#59; b", id="a semicolon ends the statement"),
        pytest.param("a::b", "a#58;#58;b", id="two colons open a class"),
        pytest.param("op:10", "op#58;10", id="some versions refuse one colon"),
        pytest.param("close #4004", "close #35;4004", id="a hash begins an entity"),
        pytest.param("#35;", "#35;35#59;", id="a text that looks like an entity"),
        pytest.param('say "hi"', "say #34;hi#34;", id="quotes end the name of a state"),
        pytest.param("seq < 10 > 2", "seq #60; 10 #62; 2", id="angle brackets are tags"),
        pytest.param("<b>x</b>", "#60;b#62;x#60;/b#62;", id="a tag"),
        pytest.param("&lt;", "#38;lt#59;", id="an entity of HTML"),
        pytest.param("a -- b", "a #45;#45; b", id="two hyphens separate regions"),
        pytest.param("a --> b", "a #45;#45;#62; b", id="an arrow"),
        pytest.param("- a", "#45; a", id="a list"),
        pytest.param("1. a", "1#46; a", id="a numbered list"),
        pytest.param("2) a", "2#41; a", id="another numbered list"),
        pytest.param("4014.", "4014#46;", id="a number with nothing behind its point"),
        pytest.param("*a* _b_ `c`", "#42;a#42; #95;b#95; #96;c#96;", id="emphasis"),
        pytest.param("$$x$$", "#36;#36;x#36;#36;", id="a formula"),
        pytest.param("%% a", "#37;#37; a", id="a comment"),
        pytest.param("{a} [b]", "#123;a#125; #91;b#93;", id="brackets"),
        pytest.param(r"a\nb", "a#92;nb", id="a backslash"),
        pytest.param("www.example.org", "www#46;example.org", id="a link"),
        pytest.param("the end note", "the #101;nd note", id="the end of a note"),
        pytest.param("the END  NOTE", "the #69;ND NOTE", id="the end of a note, shouted"),
        pytest.param("ﬂ°1¶ß", "fl#176;1#182; ß", id="what Mermaid itself writes for an entity"),
        pytest.param("a\nb\r\nc", "a<br/>b<br/>c", id="lines"),
        pytest.param("  a \t b ", "a b", id="white space"),
        pytest.param("a\x00b\u200bc\ud800", "a#65533;b#65533;c#65533;", id="what has no glyph"),
    ],
)
def test_a_trap_is_escaped(text: str, label: str) -> None:
    assert escape(text) == label


@pytest.mark.parametrize(
    "text",
    [
        "awaiting_identify_slot",
        "HELLO (no session), then READY",
        "re-armed",
        "stop() · suspend()",
        "41.25",
        "d'accord!",
        "a → b – 3 × 4 …",
        "the ending noted",
        "é日本",
    ],
)
def test_plain_text_stays_readable_in_the_source(text: str) -> None:
    assert escape(text) == text


@given(st.text())
def test_any_text_becomes_a_label_that_cannot_break_a_drawing(text: str) -> None:
    label = escape(text)
    assert label == "" or re.fullmatch(LABEL, label)
    assert not re.search("end note", label, re.IGNORECASE)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126)))
def test_what_is_drawn_is_what_was_meant(text: str) -> None:
    assert unescaped(escape(text)) == text


@pytest.mark.parametrize("name", ["idle", "awaiting_hello", "s1", "notes", "state_x", "Ready"])
def test_a_name_that_mermaid_takes_is_its_own_id(name: str) -> None:
    assert identifier(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "state", "note", "end", "End", "class", "classDef", "style", "default", "click", "root", "constructor",
        "Wait-For-Hello", "A B", "left of", "a.b", "1a", "_a", "é", "", "id_a", "::", "[*]", "__proto__", "participant",
    ],
)  # fmt: skip
def test_any_other_name_gets_an_id_that_mermaid_takes(name: str) -> None:
    assert re.fullmatch(r"id_[A-Za-z0-9_]*", identifier(name))


@given(st.lists(st.text(), unique=True))
def test_no_two_names_have_the_same_id(names: list[str]) -> None:
    assert len({identifier(name) for name in names}) == len(names)


def test_a_drawing_within_the_limits_is_its_lines() -> None:
    assert finish(["stateDiagram-v2", "    a --> b"], edges=MAX_EDGES) == "stateDiagram-v2\n    a --> b\n"
    assert len(finish(["x" * (MAX_CHARACTERS - 1)], edges=0)) == MAX_CHARACTERS


@pytest.mark.parametrize(
    ("line", "edges", "says"),
    [
        pytest.param("", MAX_EDGES + 1, "501 edges, and Mermaid draws at most 500", id="edges"),
        pytest.param("x" * MAX_CHARACTERS, 0, "50001 characters, and Mermaid draws at most 50000", id="characters"),
    ],
)
def test_a_drawing_that_mermaid_would_refuse_is_refused_here_with_both_numbers(
    line: str, edges: int, says: str
) -> None:
    with pytest.raises(DrawingTooLarge, match=says) as caught:
        finish([line], edges=edges)
    assert isinstance(caught.value, GatewrightError)
