from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.query.jsonata_library import Single
from engine.query.jsonata_paths import UNDEFINED, Nothing, PlainPath, follow, plain_path
from tests.query.fixed_scope import FixedScope

if TYPE_CHECKING:
    from engine.jsonvalue import Json


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("$x", PlainPath("x", None, ())),
        ("$x.a_1.b", PlainPath("x", None, ("a_1", "b"))),
        ("$states.input", PlainPath("states", "input", ())),
        ("$states.result.Payload.in", PlainPath("states", "result", ("Payload", "in"))),
        ("$states", None),
        ("$", None),
        ("$$", None),
        ("x.y", None),
        ("$x[0]", None),
        ("$x.true", None),
        ("$x.trueish", PlainPath("x", None, ("trueish",))),
        ("$x .y", None),
        ("$x.y()", None),
        ("$x.é", None),
    ],
)
def test_which_expressions_are_plain_paths(source: str, path: PlainPath | None) -> None:
    assert plain_path(source) == path


def test_a_number_at_the_end_loses_its_empty_fraction_but_not_its_digits() -> None:
    assert json.dumps(follow({"a": 1.0}, ["a"])) == "1"
    assert json.dumps(follow({"a": [{"b": 2.0}, {"b": 2.5}]}, ["a", "b"])) == "[2, 2.5]"
    assert follow({"a": 9223372036854775807}, ["a"]) == 9223372036854775807


def test_a_document_is_handed_on_by_reference() -> None:
    document: dict[str, Json] = {"a": {"b": [1]}}
    assert follow(document, ["a"]) is document["a"]


def by_the_library(document: Json, names: list[str]) -> Json | Nothing:
    return Single(".".join(("$x", *names)), ("x",), {"x"}, lazily=True).evaluate({"x": document}, None, FixedScope())


@pytest.mark.parametrize(
    ("document", "names", "value"),
    [
        ([{"a": [1]}], ["a"], [1]),
        ([{"a": [1]}, {"a": [2, [3]]}], ["a"], [1, 2, [3]]),
        ({"a": [{"b": 1}, {"c": 2}]}, ["a", "b"], 1),
        ({"a": [{"b": []}]}, ["a", "b"], []),
        ({"a": [[{"b": 1}], [[{"b": [2]}]]]}, ["a", "b"], [1, 2]),
        ({"a": [[1]]}, ["a"], [[1]]),
        ({"a": None}, ["a"], None),
        ({"a": None}, ["a", "b"], UNDEFINED),
        ({"a": "text"}, ["a", "b"], UNDEFINED),
        ([], ["a"], UNDEFINED),
    ],
)
def test_arrays_on_the_way_are_mapped(document: Json, names: list[str], value: Json | Nothing) -> None:
    assert follow(document, names) == value
    assert by_the_library(document, names) == value


NAMES = st.sampled_from("abc")
DOCUMENTS: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.just(0.5) | st.just("s"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=600, deadline=None)
@given(DOCUMENTS, st.lists(NAMES, max_size=4))
def test_paths_lead_where_the_library_leads(document: Json, names: list[str]) -> None:
    expected = by_the_library(document, names)
    found = follow(document, names)
    assert isinstance(found, Nothing) == isinstance(expected, Nothing)
    if not isinstance(found, Nothing):
        assert json.dumps(found) == json.dumps(expected)
    else:
        assert found is UNDEFINED
