"""The page of conformance: every MUST is proved or has its reason, and the page says what the tests say."""

from __future__ import annotations

import re

import pytest

from gatewright.spec.references import REFERENCES
from gatewright.spec.references_protocol import INFERRED
from tests.conformance.page import COMMAND, PATH, count, demands, modules_by_id, open_points, render, rows_by_id
from tests.conformance.scope import DECIDED, OUT_OF_SCOPE
from tests.support.checkout import ROOT
from tests.support.conforms import marked, proofs

IN_SCOPE = [each for each in demands() if each.id not in OUT_OF_SCOPE]


@pytest.mark.parametrize("demand", [each.id for each in IN_SCOPE if each.level == "MUST"])
def test_a_must_has_a_test(demand: str) -> None:
    assert proofs().get(demand), (
        f"{demand} is a MUST and no test is marked with it: {REFERENCES[demand].text}\n"
        f'  Mark the test that proves it with @conforms("{demand}"), or give the reason in tests/conformance/scope.py.'
    )


@pytest.mark.parametrize("demand", [each.id for each in IN_SCOPE])
def test_a_demand_in_scope_is_met_somewhere(demand: str) -> None:
    assert rows_by_id().get(demand) or modules_by_id().get(demand), f"no row and no module cites {demand}"


@pytest.mark.parametrize("point", [each.id for each in open_points()])
def test_an_open_point_is_decided_by_a_test(point: str) -> None:
    assert proofs().get(point), f"no test is marked with {point}: {REFERENCES[point].text}"


def test_a_demand_that_is_out_of_scope_says_why() -> None:
    assert set(OUT_OF_SCOPE) <= {each.id for each in demands()}
    assert [each for each, reason in OUT_OF_SCOPE.items() if not re.fullmatch(r"[A-Z].{40,}\.", reason)] == []


def test_no_test_proves_what_is_out_of_scope() -> None:
    assert set(OUT_OF_SCOPE) & set(proofs()) == set()


def test_a_remark_belongs_to_an_open_point_and_an_inference_to_a_demand() -> None:
    assert set(DECIDED) <= {each.id for each in open_points()}
    assert set(INFERRED) <= {each.id for each in demands()}


def test_the_count_is_that_of_the_rows() -> None:
    counted = count()
    assert counted.must == sum(each.level == "MUST" for each in IN_SCOPE)
    assert counted.tests == sum(any(each.startswith("P") for each in ids) for ids in marked().values())
    assert f"{counted.proved} of {counted.must} MUST rows" in str(counted)


def test_the_page_is_not_stale() -> None:
    assert PATH.read_text(encoding="utf-8") == render(), f"write it again: {COMMAND}"


def test_the_page_has_a_line_for_every_demand_and_every_open_point() -> None:
    page = render()
    listed = re.findall(r'^\| <a id="([PA]\d\d)"></a>', page, re.MULTILINE)
    assert listed == [each.id for each in (*demands(), *open_points())]


def test_every_link_of_the_page_leads_to_a_file() -> None:
    links = set(re.findall(r"\]\(\.\./([^)#]+)\)", render()))
    assert [link for link in sorted(links) if not (ROOT / link).is_file()] == []


def test_no_cell_breaks_the_table_that_it_stands_in() -> None:
    rows = [line for line in render().splitlines() if line.startswith('| <a id="')]
    assert {(line[len('| <a id="')], line.replace("\\|", "").count("|")) for line in rows} == {("P", 6), ("A", 5)}
