from __future__ import annotations

import pytest

from engine.query.jsonpath import PathError, compile_path
from tests.query.fixed_scope import FixedScope

DOCUMENT = {
    "n": [3, -1, 2.5],
    "s": ["a", "b"],
    "o": {"k": [1, 2], "m": None},
    "one": [7],
    "none": [],
    "word": "abc",
    "deep": [{"v": 1}, {"v": 3}],
    "huge": [10**400],
}


def select(path):
    return compile_path(path).evaluate(DOCUMENT, FixedScope())


# Expectations recorded from Jayway 2.10.
@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("$.n.sum()", 4.5),
        ("$.n.min()", -1.0),
        ("$.n.max()", 3.0),
        ("$.n.avg()", 1.5),
        ("$.one.stddev()", 0.0),
        ("$.sum($.n, 5)", 9.5),
        ("$.min(-9)", -9.0),
        ("$..v.sum()", 4.0),
        ("$.n.length()", 3),
        ("$.o.size()", 2),
        ("$.word.length()", None),
        ("$.length($..k)", 2),
        ("$.o.keys()", ["k", "m"]),
        ("$.n.keys()", None),
        ("$.s.concat()", "ab"),
        ("$.s.concat($.word, 1)", "ababc1"),
        ("$.concat($.o)", "{k=[1,2], m=null}"),
        ("$.s.append(1,$.one)", ["a", "b", 1, [7]]),
        ("$.s.append('x')", ["a", "b"]),
        ("$.n.first()", 3),
        ("$.n.last()", 2.5),
        ("$.n.index(1)", -1),
        ("$.n.index(4294967296)", 3),
        ("$[*].length()", [3, 2, 2, 1, 0, None, 2, 1]),
        ("$.deep.first(0).v", 1),
    ],
)
def test_functions_answer_as_recorded(path, answer):
    value = select(path)
    assert value == answer
    assert type(value) is type(answer)


def test_max_starts_from_the_smallest_positive_double():
    assert compile_path("$.max(-5)").evaluate({}, FixedScope()) == 5e-324


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("$.word.sum()", "Aggregation function attempted to calculate value using empty array"),
        ("$.none.avg()", "Aggregation function attempted to calculate value using empty array"),
        ("$.none.first()", "Index 0 out of bounds for length 0"),
        ("$.n.index(9)", "Index 9 out of bounds for length 3"),
        ("$.one.last()", "Target index:-1 larger than object count:1"),
        ("$.n.reverse()", "Function with name: reverse does not exist."),
        ("$.gone.length()", "Missing property in path $['gone']"),
        ("$.n.sum($.gone)", "No results for path: $['gone']"),
        ("$.huge.sum()", "The function sum() gives a number that JSON cannot hold"),
    ],
)
def test_functions_fail_as_recorded(path, reason):
    with pytest.raises(PathError) as raised:
        select(path)
    assert raised.value.reason == reason


def test_append_leaves_the_document_alone():
    before = list(DOCUMENT["s"])
    select("$.s.append(1)")
    assert DOCUMENT["s"] == before


def test_a_function_makes_a_path_definite_unless_something_else_does_not():
    assert compile_path("$.n.sum()").definite
    assert compile_path("$..v.sum()").definite
    assert not compile_path("$.deep[*].length()").definite


def test_elements_that_a_function_finds_empty_are_skipped():
    assert compile_path("$[*].first()").evaluate([[1], [], [2]], FixedScope()) == [1, 2]
    with pytest.raises(PathError, match="No results for path"):
        compile_path("$[1].first()").evaluate([[1], []], FixedScope())
