"""The yardstick itself: what counts as equal, what does not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.conformance.__main__ import with_section
from tests.conformance.compare import ABSENT, Comparison, Difference, outside


def paths(expected: Any, got: Any, *, in_text: tuple[str, ...] = (), whole: tuple[str, ...] = ()) -> list[str]:
    return [found.path for found in Comparison(in_text, whole).compare(("r",), expected, got)]


def test_a_string_is_opened_where_an_object_is_expected() -> None:
    assert paths({"input": {"a": 1}}, {"input": '{"a": 1}'}) == []
    assert paths({"input": {"a": 1}}, {"input": '{"a": 2}'}) == ["$.r.input.a"]


def test_a_string_inside_an_opened_string_stays_a_string() -> None:
    assert paths({"input": {"a": "{}"}}, {"input": '{"a": "{}"}'}) == []
    assert paths({"input": {"a": {}}}, {"input": '{"a": "{}"}'}) == ["$.r.input.a"]


def test_a_string_that_holds_a_list_is_compared_as_text() -> None:
    assert paths("[1,2]", "[1, 2]") == ["$.r"]


def test_missing_and_extra_members_and_items_are_told_apart() -> None:
    found = Comparison((), ()).compare((), {"a": 1, "l": [1, 2]}, {"b": 1, "l": [1]})
    assert {(d.path, d.expected is ABSENT, d.got is ABSENT) for d in found} == {
        ("$.a", False, True),
        ("$.b", True, False),
        ("$.l[1]", False, True),
    }


@pytest.mark.parametrize(("expected", "got", "same"), [(1, 1.0, True), (1, True, False), (None, ABSENT, False)])
def test_numbers_are_equal_as_numbers_and_nothing_else_is(expected: Any, got: Any, same: bool) -> None:
    assert (paths(expected, got) == []) is same


def test_of_response_metadata_only_the_status_code_counts() -> None:
    expected = {"ResponseMetadata": {"HTTPHeaders": {}, "HTTPStatusCode": 200}}
    assert paths(expected, {"ResponseMetadata": {"HTTPStatusCode": 200, "RequestId": "x"}}) == []
    assert paths(expected, {"ResponseMetadata": {"HTTPStatusCode": 400}}) == ["$.r.ResponseMetadata.HTTPStatusCode"]


def test_a_placeholder_inside_a_text_stands_for_anything_but_the_rest_must_be_equal() -> None:
    assert paths("arn:<p>:x", "arn:aws:x", in_text=("<p>",)) == []
    assert paths("arn:<p>:x", "arn:aws:y", in_text=("<p>",)) == ["$.r"]
    assert paths("arn:<p>:x", "arn::x", in_text=("<p>",)) == ["$.r"]


def test_a_placeholder_stands_for_the_same_text_in_the_whole_case_unless_it_is_a_date() -> None:
    comparison = Comparison(("<u>", "date"), ())
    assert comparison.compare((), ["<u>", "on date", "<u>/<u>"], ["1", "on a", "1/1"]) == []
    assert comparison.compare((), ["<u>", "on date"], ["2", "on b"]) == [Difference((0,), "<u>", "2")]


def test_a_placeholder_may_be_a_key() -> None:
    assert paths({"<k>": 1}, {"abc": 1}, in_text=("<k>",)) == []


def test_a_time_must_be_a_time_unless_it_stands_in_a_payload() -> None:
    assert paths({"timestamp": "timestamp"}, {"timestamp": datetime.now(UTC)}, whole=("timestamp",)) == []
    assert paths({"timestamp": "timestamp"}, {"timestamp": "soon"}, whole=("timestamp",)) == ["$.r.timestamp"]
    assert paths({"input": {"t": "timestamp"}}, {"input": '{"t": "soon"}'}, whole=("timestamp",)) == []


def test_where_order_does_not_count_lists_are_compared_as_sets() -> None:
    comparison = Comparison((), (), ["$..refs.*"])
    assert comparison.compare((), {"refs": {"A": ["x", "y"]}}, {"refs": {"A": ["y", "x"]}}) == []


@pytest.mark.parametrize(
    ("pattern", "place", "named"),
    [
        ("$..cause", ("k", "events", 4, "cause"), True),
        ("$..cause", ("k", "events", 4, "causes"), False),
        ("$..events[4].previousEventId", ("k", "events", 4, "previousEventId"), True),
        ("$..events[4].previousEventId", ("k", "events", 14, "previousEventId"), False),
        ("$..events..previousEventId", ("k", "events", 1, "previousEventId"), True),
        ("$..output.Cause", ("k", "output", "Cause", "deeper"), True),
        ("$.k", ("other", "k"), False),
        ("*", ("anything",), True),
    ],
)
def test_paths_name_places_and_all_that_is_below_them(pattern: str, place: tuple[Any, ...], named: bool) -> None:
    assert (outside([Difference(place, 1, 2)], [pattern]) == []) is named


def test_only_the_marked_section_of_a_document_is_rewritten() -> None:
    document = "# A\n<!-- conformance -->old<!-- /conformance -->\n# B\n"
    assert with_section(document, "new") == "# A\n<!-- conformance -->\n\nnew\n<!-- /conformance -->\n# B\n"
    with pytest.raises(ValueError, match="markers"):
        with_section("# A\n", "new")
