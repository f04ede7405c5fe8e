"""Every numbered fact is there, is one plain sentence and is found by its id, and the page of them is not stale."""

import re
from collections import Counter

import attrs
import pytest

from gatewright.diagrams.references_page import render_references
from gatewright.spec import references_protocol, references_races
from gatewright.spec.errors import GatewrightError
from gatewright.spec.references import KINDS, LEVELS, PAGES, REFERENCES, Reference, UnknownReference, resolve
from tests.support.checkout import ROOT

PAGE = ROOT / "docs" / "references.md"


def numbered(letter: str, last: int, *, without: frozenset[int] = frozenset()) -> list[str]:
    return [f"{letter}{number:02}" for number in range(1, last + 1) if number not in without]


EXPECTED = [
    *numbered("P", 98),
    *numbered("A", 27),
    *numbered("I", 23),
    *numbered("R", 36),
    *numbered("F", 45),
    *numbered("S", 83, without=frozenset({82})),
]

ALL = tuple(REFERENCES.values())
DEMANDS = tuple(reference for reference in ALL if reference.id.startswith("P"))


def pages_of(reference: Reference) -> set[str]:
    return {section.split()[0] for section in reference.source.split(";") if section}


def test_every_id_has_its_fact_in_the_order_of_kinds_and_numbers() -> None:
    assert list(REFERENCES) == EXPECTED


def test_no_id_is_given_to_two_facts() -> None:
    # Counted in the data: in the mapping the second fact has replaced the first without a word.
    ids = [
        *(row[0] for row in references_protocol.PROTOCOL),
        *(row[0] for row in references_protocol.OPEN_POINTS),
        *(row[0] for row in references_races.BEHAVIOURS),
        *(row[0] for row in references_races.RACES),
        *(row[0] for row in references_races.FEATURES),
        *(row[0] for row in references_races.INVARIANTS),
    ]
    assert Counter(ids) == Counter(EXPECTED)


def test_a_reference_is_found_under_its_own_id() -> None:
    assert [reference.id for reference in ALL] == list(REFERENCES)


def test_every_kind_has_facts_and_every_fact_a_kind() -> None:
    assert list(dict.fromkeys(reference.id[0] for reference in ALL)) == list(KINDS)


def test_no_two_facts_have_the_same_text() -> None:
    assert [text for text, count in Counter(reference.text for reference in ALL).items() if count > 1] == []


def test_every_text_is_one_line_of_a_sentence_s_length() -> None:
    assert [each.id for each in ALL if each.text != " ".join(each.text.split())] == []
    assert [each.id for each in ALL if not 20 <= len(each.text) <= 160] == []


def test_every_text_begins_and_ends_as_a_sentence() -> None:
    sentence = re.compile(r"[A-Z0-9`].*\.")
    assert [each.id for each in ALL if not sentence.fullmatch(each.text)] == []


def test_code_in_a_text_is_closed() -> None:
    assert [each.id for each in ALL if each.text.count("`") % 2] == []


def test_every_demand_of_the_gateway_has_a_level_of_the_closed_set() -> None:
    assert {each.level for each in DEMANDS} == set(LEVELS)


def test_only_a_demand_of_the_gateway_has_a_level_or_a_source() -> None:
    assert {each.id[0] for each in ALL if each.level or each.source} == {"P"}


def test_every_source_begins_with_a_page_that_is_spelled_out() -> None:
    assert set[str]().union(*map(pages_of, DEMANDS)) == set(PAGES)


def test_the_facts_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        REFERENCES["P01"] = REFERENCES["P02"]  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        REFERENCES["P01"].text = "Something else."  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_resolving_gives_one_reference_for_each_id_in_the_order_cited() -> None:
    assert resolve("P35 I02 P10") == (REFERENCES["P35"], REFERENCES["I02"], REFERENCES["P10"])


def test_resolving_takes_any_white_space_between_ids() -> None:
    assert resolve("  P35\n\tP37 ") == (REFERENCES["P35"], REFERENCES["P37"])


def test_an_empty_ref_cites_nothing() -> None:
    assert resolve("") == ()


@pytest.mark.parametrize(
    ("ref", "unknown", "nearest"),
    [
        pytest.param("P35 S82 P99", "S82", ("S81", "S83", "S80"), id="a number that no fact has"),
        pytest.param("P99", "P99", ("P98", "P97", "P96"), id="a number past the last"),
        pytest.param("P5", "P5", ("P05", "P04", "P06"), id="one digit"),
        pytest.param("i02", "i02", ("I02", "I01", "I03"), id="a small letter"),
        pytest.param("P35,P37", "P35,P37", ("P35", "P34", "P36"), id="ids with a comma between them"),
        pytest.param("X12", "X12", ("P12", "A12", "I12", "R12", "F12", "S12"), id="a letter that no kind has"),
        pytest.param("P", "P", ("P01", "P02", "P03"), id="no number"),
        pytest.param("P²", "P²", ("P01", "P02", "P03"), id="a digit that is no decimal"),
    ],
)
def test_an_unknown_id_is_named_with_the_nearest_known_ones(ref: str, unknown: str, nearest: tuple[str, ...]) -> None:
    with pytest.raises(UnknownReference) as caught:
        resolve(ref)
    assert (caught.value.unknown, caught.value.nearest) == (unknown, nearest)
    assert repr(unknown) in str(caught.value)
    assert ", ".join(nearest) in str(caught.value)


def test_an_unknown_id_is_an_error_of_ours_and_a_failed_lookup() -> None:
    assert issubclass(UnknownReference, GatewrightError)
    assert issubclass(UnknownReference, LookupError)


def test_the_page_in_docs_is_not_stale() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_references(), (
        "write it again: python -m gatewright.diagrams.references_page > docs/references.md"
    )


def test_the_page_has_one_anchor_for_each_id() -> None:
    page = render_references()
    assert [each.id for each in ALL if page.count(f'<a id="{each.id}"></a>') != 1] == []


def test_no_text_breaks_the_table_that_it_stands_in() -> None:
    rows = [line for line in render_references().splitlines() if line.startswith('| <a id="')]
    assert {(line[len('| <a id="')] == "P", line.count("|")) for line in rows} == {(True, 5), (False, 3)}
    assert len(rows) == len(ALL)
