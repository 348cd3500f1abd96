from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.errors import StatesError
from engine.query.intrinsic_functions import FUNCTIONS
from engine.query.intrinsics import NESTING_MAX, InvalidIntrinsic, compile_intrinsic
from tests.query.fixed_scope import FixedScope


def value(source, data=None, **scope):
    return compile_intrinsic(source).evaluate({} if data is None else data, FixedScope(**scope))


def failure(source, data, **scope):
    with pytest.raises(StatesError) as raised:
        value(source, data, **scope)
    assert raised.value.located
    return raised.value.error, raised.value.cause


# ── What is written ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_arguments_are_strings_numbers_words_paths_and_calls():
    source = "States.Array('a', -1, 2.5, 1e3, true, false, null, $.x, $$.State.Name, $y, States.Array())"
    scope = {"context_object": {"State": {"Name": "S"}}, "variables": {"y": 7}}
    expected = ["a", -1, 2.5, 1000.0, True, False, None, 1, "S", 7, []]
    assert value(source, {"x": 1}, **scope) == expected
    assert [type(item) for item in value(source, {"x": 1}, **scope)] == [type(item) for item in expected]


def test_space_between_arguments_has_no_meaning():
    assert value("States.Array( 1 ,\t$.x ,\n'a b' , States.Array( ) )", {"x": 2}) == [1, 2, "a b", []]


def test_the_four_escapes_give_the_character():
    assert value(r"States.Array('\'', '\{', '\}', '\\', '\\\'')") == ["'", "{", "}", "\\", "\\'"]


def test_a_newline_in_a_string_is_a_newline():
    assert value("States.StringSplit('Hello\nWorld', '\n')") == ["Hello", "World"]


def test_braces_have_a_meaning_only_in_a_template():
    assert value("""States.StringToJson('{"constant_in_literal": "false"}')""") == {"constant_in_literal": "false"}
    assert value(r"""States.Format('\{"key":"{}"\}', $.v)""", {"v": "test123"}) == '{"key":"test123"}'
    assert value(r"States.Format('\\{}', 1)") == "\\1"


def test_a_percent_sign_in_a_template_is_only_that():
    assert value("States.Format('100%s {} %', 1)") == "100%s 1 %"


def test_a_path_ends_where_its_brackets_and_quotes_are_closed():
    data = {"a": [{"b": "x),", "c": 1}], "d),": 2, "e]),": 3}
    assert value("""States.Array($.a[?(@.b == 'x),')].c, $['d),'], $["e]),"])""", data) == [[1], 2, 3]
    assert value("States.Array($['a'][0]['c'],$.a[0].c)", data) == [1, 1]
    assert value(r"States.Array($.a[?(@.b =~ /x[)][),][)]?/)].c, 1)", data) == [[1], 1]


def test_a_call_tells_what_it_reads():
    call = compile_intrinsic("States.Array($x, States.Array($y.a, $$.State.Name), $.z)")
    assert call.variables == {"x", "y"}
    assert call.reads_context
    assert call.function == "States.Array"
    assert call.source == "States.Array($x, States.Array($y.a, $$.State.Name), $.z)"
    assert not compile_intrinsic("States.Array($.x, 'y')").reads_context


def test_the_context_is_built_only_for_calls_that_read_it():
    scope = FixedScope()
    compile_intrinsic("States.Array($.x)").evaluate({"x": 1}, scope)
    assert scope.contexts_built == 0


def nested(depth):
    return "States.Array(" * depth + ")" * depth


def test_calls_nest_ten_deep():
    assert NESTING_MAX == 10
    expected: list[object] = []
    for _ in range(9):
        expected = [expected]
    assert value(nested(10)) == expected
    with pytest.raises(InvalidIntrinsic, match="more than 10 deep"):
        compile_intrinsic(nested(11))


@pytest.mark.parametrize(
    "source",
    [
        "",
        " ",
        "States",
        "States.",
        "States. ",
        "States.Format",
        "States.Format 'a')",
        "States.Format ('a')",
        "States.Format('a'",
        "States.Format('a",
        "States.Format('a\\",
        "States.Format('a'))",
        "States.Format('a') ",
        " States.Format('a')",
        "States.StringSplit('a b', ' ')[0]",
        "States.Format('a').x",
        "States.Nothing()",
        "states.UUID()",
        "States.uuid()",
        "JsonToString($)",
        "something else    ",
        "States.Array(,)",
        "States.Array(1,)",
        "States.Array(,1)",
        "States.Array(1 2)",
        'States.Array("a")',
        "States.Array([1])",
        "States.Array({})",
        "States.Array(True)",
        "States.Array(nullx)",
        "States.Array(01)",
        "States.Array(+1)",
        "States.Array(.5)",
        "States.Array(1.)",
        "States.Array(1e)",
        "States.Array(1-1)",
        "States.Array(1e999)",
        "States.Array(--1)",
        f"States.Array({'9' * 5_000})",
        "States.Array(x)",
        "States.Array($.)",
        "States.Array($.a[)",
        "States.Array($.a b)",
        "States.Array('\ud800')",
        # Recorded as refused, or said to be: backslashes before anything but ' { } \
        'States.StringToJson(\'{"text":"An \\"escaped double quote\\" here"}\')',
        r"States.Format('Hello\n{}', $.name)",
        r"States.Array('\a')",
        r"States.Array('\u0041')",
    ],
)
def test_what_is_no_call_is_refused(source):
    with pytest.raises(InvalidIntrinsic):
        compile_intrinsic(source)


@pytest.mark.parametrize(
    ("source", "offset"),
    [
        ("States.Array(1, x)", 16),
        ("States.Array('abc", 13),
        (r"States.Array('ab\c')", 16),
        ("States.Array(1) ", 15),
        ("States.Array(States.Nope())", 13),
        ("States.Array(1, 1e999)", 16),
        ("States.Array(1 2)", 15),
    ],
)
def test_a_refusal_points_at_the_character(source, offset):
    with pytest.raises(InvalidIntrinsic) as raised:
        compile_intrinsic(source)
    assert raised.value.offset == offset


def test_a_refusal_of_a_path_points_into_the_path():
    with pytest.raises(InvalidIntrinsic) as raised:
        compile_intrinsic("States.Array(1, $.a[)")
    assert 16 <= raised.value.offset <= 20


# ── What goes wrong when it runs ────────────────────────────────────────────────────────────────────────────────────


def test_a_missing_argument_fails_the_state_and_quotes_the_whole_expression():
    assert failure("States.Format('{}', $.nope)", {"a": 1}) == (
        "States.Runtime",
        "The function 'States.Format('{}', $.nope)' had the following error: "
        """The JsonPath argument for the field '$.nope' could not be found in the input '{"a":1}'""",
    )


@pytest.mark.parametrize(
    "source",
    [
        "States.ArrayLength( $.nope )",
        "States.MathAdd(1, $.nope)",
        "States.MathAdd($.nope, 1)",
        "States.Array(1, 2, $.nope)",
        "States.MathRandom(0, $.nope)",
        "States.Format($.nope)",
        "States.Array(States.Array(1, States.JsonToString($.nope)))",
    ],
)
def test_every_form_of_call_words_a_missing_argument_alike(source):
    error, cause = failure(source, {"a": 1})
    assert error == "States.Runtime"
    assert cause == (
        f"The function '{source}' had the following error: "
        """The JsonPath argument for the field '$.nope' could not be found in the input '{"a":1}'"""
    )


def test_a_missing_part_of_the_context_is_named_by_one_dollar_and_the_state_input_is_quoted():
    error, cause = failure("States.Format('{}', $$.A.B)", {"a": 1}, context_object={"State": {"Name": "S"}})
    assert error == "States.Runtime"
    assert cause.endswith("""The JsonPath argument for the field '$.A.B' could not be found in the input '{"a":1}'""")


def test_an_unassigned_variable_fails_the_state():
    error, cause = failure("States.Format('{}', $x)", {})
    assert error == "States.Runtime"
    assert cause.startswith("The function 'States.Format('{}', $x)' had the following error: ")


def test_an_index_past_the_end_of_an_array_is_a_missing_argument():
    error, cause = failure("States.Array($.a[3])", {"a": [1]})
    assert error == "States.Runtime"
    assert "The JsonPath argument for the field '$.a[3]' could not be found" in cause


def test_an_index_into_what_is_no_array_is_worded_by_the_path_engine():
    assert failure("States.Array($.a[0])", {"a": 1}) == (
        "States.Runtime",
        "The function 'States.Array($.a[0])' had the following error: "
        "Filter: [0] can only be applied to arrays. Current context is: 1",
    )


def test_an_explicit_null_is_not_missing():
    assert value("States.Format('{}', $.nul)", {"nul": None}) == "null"


def test_a_path_of_many_that_finds_nothing_is_an_empty_array():
    assert value("States.ArrayLength($.items[*].nope)", {"items": [{"a": 1}]}) == 0


def test_the_template_itself_may_be_a_path():
    assert value("States.Format($.tpl, 1)", {"tpl": "n={}"}) == "n=1"


def test_a_refusal_of_an_inner_call_quotes_the_outer_one():
    source = "States.Array(States.MathAdd($.a, 1))"
    error, cause = failure(source, {"a": "x"})
    assert error == "States.IntrinsicFailure"
    assert cause.startswith(f"The function '{source}' had the following error: argument 1 must be a number")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_number_of_arguments_is_checked_when_it_runs(name):
    function = FUNCTIONS[name]
    counts = [function.arguments_min - 1] if function.arguments_min else []
    if function.arguments_max is not None:
        counts.append(function.arguments_max + 1)
    for count in counts:
        error, cause = failure(f"{name}({', '.join(['1'] * count)})", {})
        assert error == "States.IntrinsicFailure"
        assert f"{name} does not take {count} arguments" in cause


@pytest.mark.parametrize("template", ["'{} {}'", "'no place'", "'{'", "'}'", "'{ }'", r"'\\{ x \\}'"])
def test_a_wrong_template_is_created_and_fails_when_it_runs(template):
    error, _ = failure(f"States.Format({template}, 1)", {})
    assert error == "States.IntrinsicFailure"


def test_a_value_too_deep_to_walk_fails_instead_of_crashing():
    deep: list[object] = []
    for _ in range(5_000):
        deep = [deep]
    assert failure("States.ArrayUnique($.a)", {"a": deep})[0] == "States.IntrinsicFailure"
    assert failure("States.Format('{}', $.a)", {"a": deep})[0] == "States.IntrinsicFailure"


def test_a_long_source_is_read_in_linear_time():
    started = time.perf_counter()
    compile_intrinsic("States.Array(" + ", ".join(["'" + r"\\" * 5_000 + "'"] * 20) + ")")
    for unclosed in ("'" * 100_001, "$" + "['" * 50_000, "$[" + "=~/" * 50_001, "1" * 100_000, "\\" * 100_000):
        with pytest.raises(InvalidIntrinsic):
            compile_intrinsic(f"States.Array({unclosed})")
    assert time.perf_counter() - started < 5


# ── Anything at all ─────────────────────────────────────────────────────────────────────────────────────────────────

PIECES = st.sampled_from(
    [
        "(",
        ")",
        ",",
        " ",
        "'",
        '"',
        "\\",
        "{}",
        "{",
        "}",
        "$",
        "$$",
        "$.a",
        "$x",
        "[",
        "]",
        "[*]",
        "[0]",
        "?(@",
        ".",
        "1",
    ]
    + ["-", "1.5", "e3", "true", "null", "false", "=~", "/", "*", "\n", "é", "\ud800", "'a'", "0", "\x00", *FUNCTIONS]
    + [f"{name}(" for name in FUNCTIONS]
)
ARGUMENTS = st.recursive(
    st.sampled_from(
        ["1", "-2.5", "'a'", "'{}'", "''", "true", "null", "$", "$.a", "$.b[0]", "$.c[*]", "$$.d", "$x", "$.n"]
    )
    | st.sampled_from(["'SHA-1'", "false", "3", "0", "'{\"a\":1}'", "$.b", "1e300", "99999999999999999999"]),
    lambda inner: st.builds(
        lambda name, arguments: f"{name}({', '.join(arguments)})",
        st.sampled_from(list(FUNCTIONS)),
        st.lists(inner, max_size=3),
    ),
    max_leaves=6,
)
DATA = {"a": {"b": 1}, "b": [1, "x", None, [2]], "c": "text,with,commas", "n": None}


def compiled(source):
    try:
        return compile_intrinsic(source)
    except InvalidIntrinsic as refused:
        return refused


def evaluated(expression):
    """The value, or the StatesError; whatever else is raised fails the test."""
    scope = FixedScope(variables={"x": [1, 2]}, context_object={"d": "D"})
    try:
        return expression.evaluate(DATA, scope)
    except StatesError as failed:
        return failed


def is_worded(outcome):
    """Whether a failure has the form of AWS's; a value has."""
    if not isinstance(outcome, StatesError):
        return True
    names = ("States.Runtime", "States.IntrinsicFailure")
    has_form = re.match(r"The function '(?s:.*)' had the following error: (?s:.)", outcome.cause or "")
    return outcome.error in names and outcome.located and has_form is not None


@settings(max_examples=600, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join))
@example("States.Array($.a['")
@example("States.Array($.a\\")
def test_any_text_is_compiled_or_refused(text):
    for source in (text, f"States.Array({text})"):
        outcome = compiled(source)
        if isinstance(outcome, InvalidIntrinsic):
            assert 0 <= outcome.offset <= len(source)
        else:
            assert is_worded(evaluated(outcome))


@settings(max_examples=400, deadline=None)
@given(ARGUMENTS)
def test_any_call_gives_a_value_or_a_states_error(argument):
    outcome = compiled(f"States.Array({argument})")
    if isinstance(outcome, InvalidIntrinsic):
        assert "nested" in outcome.reason
    else:
        assert is_worded(evaluated(outcome))
