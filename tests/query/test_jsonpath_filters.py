from __future__ import annotations

import pytest

from engine.query.jsonpath import InvalidPath, PathError, compile_path
from tests.query.fixed_scope import FixedScope


def accepted(condition, *items):
    """Which of the items a filter accepts. Every expectation in this file was recorded from Jayway 2.10."""
    return compile_path(f"$[?({condition})]").evaluate(list(items), FixedScope())


def accepts(condition, item):
    return accepted(condition, item) == [item]


def test_a_bare_path_asks_whether_something_is_there():
    assert accepted("@.a", {"a": None}, {"a": 1}, {"b": 1}, 5) == [{"a": None}, {"a": 1}]
    assert accepted("!@.a", {"a": None}, {"b": 1}) == [{"b": 1}]
    assert accepted("!!@.a", {"a": None}, {"b": 1}) == [{"a": None}]


def test_an_indefinite_path_is_always_there_but_a_union_needs_all_names():
    assert accepts("@..nope", {"a": 1})
    assert accepts("@[*].nope", {})
    assert accepted("@['a','b']", {"a": 1}, {"a": 1, "b": 2}) == [{"a": 1, "b": 2}]


def test_a_dollar_path_alone_is_looked_for_in_the_item():
    assert compile_path("$.l[?($.flag)]").evaluate({"flag": True, "l": [{}, {"flag": 1}]}, FixedScope()) == [
        {"flag": 1}
    ]


def test_a_dollar_path_in_a_comparison_reads_the_document():
    document = {"limit": 2, "l": [{"n": 1}, {"n": 3}]}
    assert compile_path("$.l[?(@.n < $.limit)].n").evaluate(document, FixedScope()) == [1]


@pytest.mark.parametrize(
    ("condition", "yes", "no"),
    [
        ("@.a == 1 || @.b == 1 && @.c == 1", {"a": 1}, {"b": 1}),
        ("@.a == 1 && @.b == 1 || @.c == 1", {"c": 1}, {"a": 1}),
        ("!(@.a == 1 || @.a == 2)", {"a": 3}, {"a": 2}),
        ("((@.a))", {"a": 1}, {}),
        ("@.a==1&&@.b==2", {"a": 1, "b": 2}, {"a": 1}),
    ],
)
def test_logic(condition, yes, no):
    assert accepts(condition, yes)
    assert not accepts(condition, no)


@pytest.mark.parametrize(
    "condition",
    [
        "@.n == 1",
        "@.n == 1.0",
        "@.n == '1'",
        "1 == @.n",
        "@.n === 1",
        "@.n !== '1'",
        "@.n != null",
        "@.s == '1'",
        "@.s == 1",
        "@.s === '1'",
        "@.t == true",
        "@.t != 1",
        "@.z == null",
        "@.gone != null",
        "@.gone != 5",
        "@.l == [1,2]",
        "@.l == [ 1 , 2 ]",
        '@.o == {"k":"v"}',
        "@.o == {'k':'v'}",
        "@.o == {k:v}",
        "@.e == 10000000",
        "@.e == '1.0E+7'",
    ],
)
def test_equality_holds(condition):
    assert accepts(condition, {"n": 1, "s": "1", "t": True, "z": None, "l": [1, 2], "o": {"k": "v"}, "e": 1e7})


@pytest.mark.parametrize(
    "condition",
    [
        "@.n == true",
        "@.n === '1'",
        "@.gone == null",
        "@.z == false",
        "@.s == 1.0",
        "@.l == [1.0,2]",
        "[1,2] == @.l",
        "@.n != 1",
    ],
)
def test_equality_does_not_hold(condition):
    assert not accepts(condition, {"n": 1, "s": "1", "t": True, "z": None, "l": [1, 2]})


def test_order_is_for_two_numbers_or_two_texts():
    assert accepted("@ < 2", 1, 2, 1.5, "1", None, True) == [1, 1.5]
    assert accepted("@ >= 'b'", "a", "b", "c", 5) == ["b", "c"]
    assert accepted("@ <= 0.1", 0.1, 0.2) == [0.1]
    assert accepted("@ > '\uffff'", "\U0001f600") == [], "compared by UTF-16 units"


def test_in_and_nin():
    assert accepted("@ in ['a',1,null]", "a", "1", 1, 1.0, None, "b") == ["a", "1", 1, 1.0, None]
    assert accepted("@ nin ['a']", "a", "b", None) == ["b", None]
    assert accepted("@ IN [p1, p 2]", "p1", "p 2", "p") == ["p1", "p 2"]


def test_an_operator_that_cannot_work_with_its_operand_drops_the_item_whatever_else_is_said():
    assert accepted("@.a in 5 || @.a", {"a": 5}) == []
    assert accepted("!(@.a nin 5)", {"a": 5}) == []
    assert accepted("@.a || @.a in 5", {"a": 5}) == [{"a": 5}], "what is decided before counts"


def test_sets():
    assert accepted("@ subsetof ['a','b']", ["a"], [], ["c"], "a") == [["a"], []]
    assert accepted("@ anyof ['a','b']", ["a", "x"], ["x"], []) == [["a", "x"]]
    assert accepted("@ noneof ['a']", ["a"], ["x"], []) == [["x"], []]
    assert accepted("@ contains 'a'", ["a"], "cab", "x", {"a": 1}) == [["a"], "cab"]
    assert accepts("'a' in @.l", {"l": ["a"]})


def test_sizes_and_emptiness():
    assert accepted("@ size 2", [1, 2], "ab", {"a": 1, "b": 2}, 2) == [[1, 2], "ab"]
    assert accepts("@.s size 2", {"s": "\U0001f600"}), "UTF-16 units"
    assert accepted("@ empty true", [], "", [1], None) == [[], ""]
    with pytest.raises(PathError, match="cannot be cast"):
        accepted("@ empty true", {})


def test_lists_within_lists_end_the_evaluation():
    with pytest.raises(PathError, match="Could not determine value type"):
        accepted("@ in [['a']]", "a")


def test_strings_in_lists_that_read_as_paths_equal_nothing():
    assert accepted("@.a in ['$.a']", {"a": "$.a"}) == []
    assert accepted("@.a in ['$a']", {"a": "$a"}) == [{"a": "$a"}]


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("/b.*/", "bolt"),
        ("/BOLT/i", "bolt"),
        ("/(?i)BOLT/", "bolt"),
        ("/a.c/s", "a\nc"),
        (r"/\d{3}-[a-z]+/", "123-abc"),
        ("/a b # comment/x", "ab"),
        (r"/a\/b/", "a/b"),
        ("/1.0E.7/", 1e7),
        ("/true/", True),
        ("/.*/", None),
        ("/b/", ["a", "b"]),
        ("/É/iu", "é"),
    ],
)
def test_a_pattern_matches(pattern, text):
    assert accepts(f"@ =~ {pattern}", text)
    assert accepts(f"{pattern} =~ @", text)


@pytest.mark.parametrize(("pattern", "text"), [("/bol/", "bolt"), ("/a.c/", "a\nc"), ("/É/i", "é"), ("'bolt'", "bolt")])
def test_a_pattern_must_match_the_whole_text(pattern, text):
    assert not accepts(f"@ =~ {pattern}", text)


@pytest.mark.parametrize(
    "condition",
    [
        "", "== 2", "@.a ==", "@.a = 1", "@.a == 2)", "(@.a", "true", "1", "@.a is 1", "@.a == 'x", "@.a and @.b",
        "not @.a", "@.a =~ /[/", "@.a =~ x/", "@.a == tru", "- 1 < 0", "@ .a == 1", "@.a == +1",
        "@.a[", "length(@.a) > 1",
    ],
)  # fmt: skip
def test_what_is_no_filter_is_refused(condition):
    with pytest.raises(InvalidPath):
        compile_path(f"$[?({condition})]")


def test_functions_work_inside_filters():
    assert accepted("@.l.length() == 2", {"l": [1, 2]}, {"l": [1]}, {}) == [{"l": [1, 2]}]
    assert accepted("@.foo()", {"foo": 1}) == []


def test_a_filter_on_an_object_asks_the_object_itself():
    path = compile_path("$.o[?(@.a > 1)]")
    assert path.evaluate({"o": {"a": 2}}, FixedScope()) == [{"a": 2}]
    assert path.evaluate({"o": {"a": 1}}, FixedScope()) == []


def test_a_filter_on_a_plain_value_is_an_error():
    with pytest.raises(PathError, match=r"Filter: \[\?\] can not be applied to primitives. Current context is: text"):
        compile_path("$.o[?(@.a)]").evaluate({"o": "text"}, FixedScope())
