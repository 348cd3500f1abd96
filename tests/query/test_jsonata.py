from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import PayloadTooLarge, StatesError
from engine.jsonvalue import encode
from engine.query.evaluation import UNKNOWN
from engine.query.jsonata import Bundle, compile_template, is_expression, unexpected_type
from tests.query.fixed_scope import FixedScope

if TYPE_CHECKING:
    import random

    from engine.jsonvalue import Json
    from engine.query.jsonata import JsonataTemplate, Problem

RESULT = frozenset(("result",))
ERROR_OUTPUT = frozenset(("errorOutput",))


def problems(value: Json, allows: frozenset[str] = frozenset()) -> list[tuple[str, str]]:
    return [(problem.code, problem.message) for problem in compile_template("Output", value, allows=allows)[1]]


def template(value: Json, field: str = "Output", allows: frozenset[str] = RESULT) -> JsonataTemplate:
    compiled, found = compile_template(field, value, allows=allows)
    assert found == ()
    return compiled


def evaluated(value: Json, states: dict[str, Json] | None = None, **scope: Any) -> Json:
    return Bundle([template(value)]).evaluate(FixedScope(**scope), states or {"input": None})[0]


def failure(*templates: JsonataTemplate, states: dict[str, Json] | None = None, **scope: Any) -> StatesError:
    with pytest.raises(StatesError) as caught:
        Bundle(templates).evaluate(FixedScope(**scope), states or {"input": None})
    return caught.value


# What is an expression


@pytest.mark.parametrize("value", ["{% 1 %}", "{%%}", "{%1%}", "{%\n1\n%}"])
def test_delimiters_at_both_ends_make_an_expression(value: str) -> None:
    assert is_expression(value)


@pytest.mark.parametrize("value", [" {% 1 %} ", "Hello {% $x %}", "{% 1 %} tail", "{%}", "", "x", 1, None, ["{% 1 %}"]])
def test_anything_outside_the_delimiters_makes_a_literal(value: Json) -> None:
    assert not is_expression(value)


@pytest.mark.parametrize("value", [" {% phone %} ", "Hello {% phone %}", "{% phone %} tail", "about {% and %} signs"])
def test_literals_are_handed_on_as_they_are(value: str) -> None:
    assert problems(value) == []
    assert evaluated({"a": [value]}) == {"a": [value]}


@pytest.mark.parametrize("value", ["{% $states.input", "$states.input %}", "{%", "%}", "{%}"])
def test_one_delimiter_alone_is_a_problem(value: str) -> None:
    assert [code for code, _ in problems({"a": value})] == ["INVALID_JSONATA_EXPRESSION"]


def test_keys_are_never_evaluated() -> None:
    assert evaluated({"{% 1 %}": "{% 2 %}", "a.$": "$.x"}) == {"{% 1 %}": 2, "a.$": "$.x"}


# Problems at create time (spec 2.3, 8.2)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a[1,2)", 'Expected "]", got ","'),
        ('"unterminated', "String literal must be terminated by a matching quote"),
        ("1 +", "Unexpected end of expression"),
        ('{"a":}', 'The symbol "}" cannot be used as a unary operator'),
        ("$x :=", "Unexpected end of expression"),
        ('$match("a", /abc', "No terminating / in regular expression"),
        ("phone %.other", 'The symbol "." cannot be used as a unary operator'),
        ("", "Unexpected end of expression"),
        ("1) + (2", 'Syntax error: ")"'),
        ('1}, {"x": 2', 'Syntax error: "}"'),
        ("1 2", "Syntax error: 2"),
        ("1 /* open", "Comment has no closing tag"),
    ],
)
def test_what_does_not_parse_says_so_in_the_words_of_the_service(source: str, message: str) -> None:
    assert problems("{% " + source + " %}") == [("INVALID_JSONATA_EXPRESSION", message)]


@pytest.mark.parametrize("levels", [200, 900, 5000])
def test_deep_nesting_is_a_problem_and_nothing_worse(levels: int) -> None:
    found = problems("{% " + "(" * levels + "1" + ")" * levels + " %}")
    assert [code for code, _ in found] == ["INVALID_JSONATA_EXPRESSION"]
    assert "nested too deeply" in found[0][1]


@pytest.mark.parametrize(
    ("source", "messages"),
    [
        ("phone", ["Reference to 'phone' at the top level is not supported."]),
        ("$.phone", ["Reference to '$' at the top level is not supported."]),
        ("$$", ["Reference to '$$' is not supported."]),
        (
            "aaa + bbb",
            [
                "Reference to 'aaa' at the top level is not supported.",
                "Reference to 'bbb' at the top level is not supported.",
            ],
        ),
        ("$states.result", ["Field '$states.result' does not exist."]),
        ("$states.result.a & 'x'", ["Field '$states.result' does not exist."]),
        ("$states.errorOutput.Cause", ["Field '$states.errorOutput' does not exist."]),
        ("($s := $states; $s.result)", ["Field '$states.result' does not exist."]),
        ("$map([1], function($v) { $states.result })", ["Field '$states.result' does not exist."]),
        ("($states := 1; $states)", ["The variable '$states' is reserved and cannot be assigned."]),
    ],
)
def test_what_the_service_does_not_support(source: str, messages: list[str]) -> None:
    assert problems("{% " + source + " %}") == [("UNSUPPORTED_JSONATA_EXPRESSION", message) for message in messages]


@pytest.mark.parametrize(
    ("source", "allows"),
    [
        ("$states.result", RESULT),
        ("$states.result.a & 'x'", RESULT),
        ("$states.errorOutput", ERROR_OUTPUT),
        ("$states.context.Execution.Id", frozenset()),
        ("$states.input.items[price > 3].name", frozenset()),
        ("$map($states.input.items, function($v) { $v.price })", frozenset()),
        ("$states.input.result", frozenset()),
        ("$eval('1')", frozenset()),
        ("$unassigned", frozenset()),
    ],
)
def test_what_the_service_supports(source: str, allows: frozenset[str]) -> None:
    assert problems("{% " + source + " %}", allows) == []


def test_problems_name_place_and_offset() -> None:
    value: Json = {"a": {"b": [1, "{% 1 + phone %}"]}}
    (problem,) = compile_template("Output", value, allows=frozenset())[1]
    assert problem.place == ("a", "b", 1)
    assert problem.offset == 4


def test_operators_of_later_versions_are_told_but_evaluate() -> None:
    compiled, found = compile_template("Output", "{% $x ?: 2 %}", allows=frozenset())
    assert [problem.code for problem in found] == ["JSONATA_2_1_OPERATOR"]
    assert Bundle([compiled]).evaluate(FixedScope(), {"input": None}) == [2]


# What a template tells


def test_leaves_have_the_fields_the_service_prints() -> None:
    compiled = template({"a": {"b": ["{% 1 %}", "x", ["{% $y %}"]]}, "c": "{% $z %}"}, field="Choices[1]/Output")
    assert [(leaf.field, leaf.source, leaf.place) for leaf in compiled.leaves] == [
        ("Choices[1]/Output/a/b[0]", "1", ("a", "b", 0)),
        ("Choices[1]/Output/a/b[2][0]", "$y", ("a", "b", 2, 0)),
        ("Choices[1]/Output/c", "$z", ("c",)),
    ]
    assert compiled.variables == {"y", "z"}
    assert [leaf.field for leaf in template("{% 1 %}", field="Condition").leaves] == ["Condition"]


def test_variables_are_those_of_the_workflow_only() -> None:
    source = "{% ($own := $other; $sum($items.price) + $own + $map($more, function($v) { $v })[0]) %}"
    assert template(source).variables == {"other", "items", "more"}


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("{% $states.context.State.Name %}", True),
        ("{% $states.context.State.Name & 'x' %}", True),
        ("{% $string($states) %}", True),
        ("{% $states.input %}", False),
        ("{% $string($states.input) %}", False),
    ],
)
def test_the_context_object_is_built_only_when_it_is_read(source: str, reads: bool) -> None:
    scope = FixedScope(context_object={"State": {"Name": "S"}})
    compiled = template(source)
    Bundle([compiled]).evaluate(scope, {"input": 1})
    assert compiled.reads_context is reads
    assert (scope.contexts_built > 0) is reads


# Values


def test_templates_of_a_bundle_give_their_values_in_order() -> None:
    bundle = Bundle(
        [
            template({"sum": "{% $states.input.a + $b %}", "same": "{% $states.input %}", "fixed": [1]}),
            template("{% $count($states.input.list) %}"),
            template({"fixed": 1}),
            template(["{% $states.result.x %}", {"deep": ["{% $b > 1 %}"]}], field="Assign"),
        ]
    )
    states: dict[str, Json] = {"input": {"a": 1, "list": [7, 8]}, "result": {"x": None}}
    assert bundle.evaluate(FixedScope(variables={"b": 2}), states) == [
        {"sum": 3, "same": states["input"], "fixed": [1]},
        2,
        {"fixed": 1},
        [None, {"deep": [True]}],
    ]


def test_members_keep_the_order_of_the_template() -> None:
    assert json.dumps(evaluated({"z": "{% 1 %}", "a": 2, "m": "{% 3 %}"})) == '{"z": 1, "a": 2, "m": 3}'


def test_evaluating_changes_neither_template_nor_input() -> None:
    value: Json = {"a": {"b": ["{% $append($states.input, 4) %}"]}}
    states: dict[str, Json] = {"input": [1, 2, 3]}
    assert evaluated(value, states) == {"a": {"b": [[1, 2, 3, 4]]}}
    assert value == {"a": {"b": ["{% $append($states.input, 4) %}"]}}
    assert states == {"input": [1, 2, 3]}


def test_what_holds_no_expression_is_shared() -> None:
    constant: Json = {"large": [1, 2, 3]}
    value: Json = {"constant": constant, "x": "{% 1 %}"}
    result = evaluated(value)
    assert isinstance(result, dict)
    assert result["constant"] is constant
    assert evaluated(constant) is constant


def test_templates_can_be_as_deep_as_json_can() -> None:
    value: Json = "{% 1 + 1 %}"
    for _ in range(5000):
        value = [value]
    result = evaluated(value)
    for _ in range(5000):
        assert isinstance(result, list)
        result = result[0]
    assert result == 2


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("$states.input.items.n", [1, 2]),
        ("$states.input.items[n = 1].n", 1),
        ("[$states.input.items[n = 1].n]", [1]),
        ("$states.input.none", None),
        ("$type($states.input.none)", "null"),
        ("$exists($states.input.none)", True),
        ('{"a": $nothing}', {}),
        ("$states", {"input": {"items": [{"n": 1}, {"n": 2}], "none": None}, "context": {}}),
        ("'single' & \"double\"", "singledouble"),
        ('$contains("hello$world", /^HELLO\\$/i)', True),
        ("/* comment */ 1 /* comment */", 1),
        ("/l+/ ~> $type()", "function"),
    ],
)
def test_values_of_expressions(source: str, value: Json) -> None:
    states: dict[str, Json] = {"input": {"items": [{"n": 1}, {"n": 2}], "none": None}}
    assert evaluated("{% " + source + " %}", states) == value


def test_expressions_of_a_bundle_do_not_see_each_others_variables() -> None:
    bundle = Bundle([template("{% ($x := 1; $x) %}"), template("{% $y := 5 %}"), template("{% [$x, $y] %}")])
    assert bundle.evaluate(FixedScope(), {"input": None}) == [1, 5, []]


def test_time_stands_still_while_a_bundle_is_evaluated() -> None:
    value: Json = {"now": "{% $now() %}", "millis": "{% $millis() %}"}
    assert evaluated(value, now=1_704_164_645_678) == {"now": "2024-01-02T03:04:05.678Z", "millis": 1_704_164_645_678}


def test_workflow_variables_shadow_functions() -> None:
    shadowed = Bundle([template({"a": "{% $count %}", "b": "{% $count + 1 %}", "c": "{% $hash & '' %}"})])
    variables: dict[str, Json] = {"count": 5, "hash": "h"}
    assert shadowed.evaluate(FixedScope(variables=variables), {"input": None}) == [{"a": 5, "b": 6, "c": "h"}]
    called = Bundle([template("{% $count([1, 2]) %}")])
    assert called.evaluate(FixedScope(), {"input": None}) == [2]
    with pytest.raises(StatesError, match="T1006: Attempted to invoke a non-function"):
        called.evaluate(FixedScope(variables=variables), {"input": None})
    assert called.evaluate(FixedScope(), {"input": None}) == [2]


@pytest.mark.parametrize("source", ["$uppercase()", "$states.input.a.($$.states.input)", "$string($keys())"])
def test_the_context_item_is_undefined(source: str) -> None:
    cause = failure(template("{% " + source + " %}"), states={"input": {"a": 1}}).cause
    assert cause is not None
    assert cause.endswith("returned nothing (undefined).")


# Failures (spec 8.5)


def test_what_is_undefined_names_expression_and_field() -> None:
    error = failure(template({"result": "{%  $doesNotExist  %}"}, field="Assign"))
    assert error.error == "States.QueryEvaluationError"
    assert error.cause == (
        "The JSONata expression '$doesNotExist' specified for the field 'Assign/result' returned nothing (undefined)."
    )
    assert error.location == "Assign/result"
    assert error.located


def test_a_coded_error_follows_a_full_stop_and_a_limit_a_colon() -> None:
    coded = failure(template("{% $sum(['a']) %}"))
    assert coded.cause == (
        "The JSONata expression '$sum(['a'])' specified for the field 'Output' threw an error during evaluation. "
        'T0412: Argument 1 of function "sum" must be an array of "numbers"'
    )
    limited = failure(template("{% $sum([1..900000]) %}"))
    assert limited.cause == (
        "The JSONata expression '$sum([1..900000])' specified for the field 'Output' threw an error during evaluation: "
        "Expression evaluation memory limit exceeded: Check for excessive memory usage"
    )


def test_the_first_expression_that_fails_is_named() -> None:
    fine, undefined = template("{% 1 + 1 %}"), template({"b": "{% $b + 1 %}", "c": "{% $c %}"})
    thrown = template("{% 'x' + 1 %}", field="Assign")
    assert failure(fine, undefined, thrown).location == "Output/b"
    assert failure(fine, thrown, undefined).location == "Assign"
    assert failure(thrown, fine).location == "Assign"


def test_functions_are_no_values() -> None:
    for source in ("function($x) { $x }", "$fn := function($x) { $x }", "$sum", "/a/", "$uuid"):
        error = failure(template("{% " + source + " %}", field="Items"))
        assert error.cause == (
            f"The JSONata expression '{source}' specified for the field 'Items' returned an unsupported result type."
        )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1, "'number' for value: 1"),
        ("a", "'string' for value: \"a\""),
        (None, "'null' for value: null"),
        ({"foo": "bar"}, '\'object\' for value: {"foo":"bar"}'),
        (True, "'boolean' for value: true"),
    ],
)
def test_a_value_of_the_wrong_type_is_quoted_as_json(value: Json, said: str) -> None:
    error = unexpected_type(template("{% $x %}", field="Items"), "array", value)
    assert error.cause == (
        "The JSONata expression '$x' specified for the field 'Items' returned an unexpected result type. "
        f"Expected 'array', but was {said}"
    )
    assert error.location == "Items"


# Limits


@pytest.mark.parametrize(
    ("fits", "exceeds"),
    [
        ("+".join(["1"] * 100), "+".join(["1"] * 101)),
        ("(" * 99 + "1" + ")" * 99, "(" * 100 + "1" + ")" * 100),
        ("[" * 99 + "1" + "]" * 99, "[" * 100 + "1" + "]" * 100),
        ("'a'" + " ~> $string()" * 99, "'a'" + " ~> $string()" * 100),
        ("($f := function($n) { $n = 0 ? 0 : 1 + $f($n - 1) }; $f(31))",) * 2,
    ],
)
def test_evaluation_is_as_deep_as_at_the_service(fits: str, exceeds: str) -> None:
    assert evaluated("{% " + fits + " %}") is not None
    error = failure(template("{% " + exceeds.replace("$f(31)", "$f(32)") + " %}"))
    assert error.cause is not None
    assert error.cause.endswith(
        "threw an error during evaluation: Stack overflow error: Check for non-terminating recursive function.  "
        "Consider rewriting as tail-recursive"
    )


@pytest.mark.parametrize(
    ("fits", "exceeds"),
    [
        ("$count([1..873782])", "$count([1..873783])"),
        (
            "($p := function($s, $n) { $n = 0 ? $s : $p($s & $s, $n - 1) }; $length($p('x', 22)))",
            "($p := function($s, $n) { $n = 0 ? $s : $p($s & $s, $n - 1) }; $length($p('x', 23)))",
        ),
    ],
)
def test_memory_is_as_large_as_at_the_service(fits: str, exceeds: str) -> None:
    assert evaluated("{% " + fits + " %}") in (873_782, 1 << 22)
    assert "memory limit exceeded" in str(failure(template("{% " + exceeds + " %}")).cause)


@pytest.mark.parametrize(
    "source",
    [
        "($f := function($x) { $f($x + 1) }; $f(1))",
        "$match('" + "a" * 40 + "', /(a+)+b/)",
        "$sort([1..800000], function($l, $r) { $l < $r })",
    ],
)
def test_runaways_are_stopped_after_a_second(source: str) -> None:
    began = time.monotonic()
    error = failure(template("{% " + source + " %}"))
    assert time.monotonic() - began < 5
    assert error.cause is not None
    assert error.cause.endswith(
        "threw an error during evaluation: Expression evaluation timeout: Check for infinite loop"
    )


def test_a_result_may_be_as_large_as_the_payload_limit() -> None:
    fits = "{% $pad('x', 98, '-') %}"
    assert len(encode(evaluated(fits, payload_bytes_max=100))) == 100
    values: list[Json] = ["{% $pad('x', 99, '-') %}", {"a": "{% 1 + 1 %}", "b": "{% $pad('x', 99, '-') %}"}]
    for value in values:
        assert isinstance(failure(template(value), payload_bytes_max=100), PayloadTooLarge)
    assert evaluated("{% $length($pad('x', 300000)) %}") == 300_000
    assert len(str(evaluated("{% $pad('x', 300000) %}", payload_bytes_max=0))) == 300_000


def test_input_that_is_too_deep_for_the_library_is_a_failure_of_the_expression() -> None:
    deep: Json = 1
    for _ in range(3000):
        deep = [deep]
    assert evaluated("{% $states.input %}", {"input": deep}) is deep
    assert failure(template("{% $string($states.input) %}"), states={"input": deep}).error == (
        "States.QueryEvaluationError"
    )


def test_growth_bounds_what_plain_paths_can_give() -> None:
    states: dict[str, Json] = {"input": {"list": [{"a": "x" * 50}, {"a": 1.0}]}, "result": ["y" * 99]}
    bundle = Bundle(
        [template({"a": "{% $states.input.list.a %}", "b": "{% $states.input %}"}), template("{% $states.result %}")]
    )
    size = sum(len(encode(value)) for value in states.values())
    values = bundle.evaluate(FixedScope(), states)
    assert sum(len(encode(value)) for value in values) <= bundle.growth.fixed + bundle.growth.of_input * size
    for source in ("{% $x %}", "{% 1 + 1 %}", "{% $states.context %}"):
        assert Bundle([template(source)]).growth == UNKNOWN


# Whatever is written, only problems and failures come of it

PIECES = (
    *("$states.input.a", "$states", "$x", "$$", "$", "a", "`b c`", "1", "0", "-1", "1e300", '"s"', "'t'", "null"),
    *("true", "/a+/", "*", "**", "%", "+", "-", "/", "&", "=", "!=", "<", "in", "and", "or", ".", "..", "[", "]"),
    *("(", ")", "{", "}", ":", ";", ",", ":=", "~>", "?", "?:", "??", "^(", "@$v", "#$i", "|", "/* c */"),
    *("$sum(", "$map(", "$eval(", "$parse(", "$range(", "$partition(", "$uppercase(", "$string(", "$uuid()"),
    *("$random(", "$parseInteger(", "$base64decode(", "$now()", "function($v){", "λ($v){", "\\", '"', "`", "é", "\0"),
)
FRAGMENTS = st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join) | st.text(max_size=20)


@settings(max_examples=1200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(FRAGMENTS, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_no_expression_does_anything_but_give_fail_or_be_refused(sources: list[str], chance: random.Random) -> None:
    compiled: JsonataTemplate
    found: tuple[Problem, ...]
    compiled, found = compile_template("Output", ["{%" + source + "%}" for source in sources], allows=RESULT)
    if any(problem.code != "JSONATA_2_1_OPERATOR" for problem in found):
        return
    scope = FixedScope(variables={"x": {"a": [1, "s"]}}, chance=chance)
    try:
        values = Bundle([compiled]).evaluate(scope, {"input": {"a": [1, {"b": None}]}, "result": 1})
    except StatesError:
        return
    encode(values)


# Sizes


@pytest.mark.parametrize(
    "value",
    [
        {"n": "{% $states.input.n + 1 %}", "p": "{% $states.input.p %}"},
        {"t": "{% $string($states.input.n) & '\\u0000' %}", "b": "{% true %}", "z": "{% null %}"},
        {"all": "{% $states.input %}", "list": "{% [$states.input.p, 1] %}"},
        ["{% $states.input.n / 3 %}", {"deep": {"er": "{% $states.input.n * -1e300 %}"}}],
        "{% $states.input.p %}",
        {"constant": [1, 2, 3]},
    ],
)
def test_the_bound_that_comes_with_values_is_never_below_their_size(value: Json) -> None:
    states: dict[str, Json] = {"input": {"n": 12345678.25, "p": {"text": "é\u0001" * 50, "list": [1, 2]}}}
    bundle = Bundle([template(value)])
    values, bound = bundle.evaluate_sized(FixedScope(), states, len(encode(states["input"])))
    assert values == bundle.evaluate(FixedScope(), states)
    assert sum(len(encode(one)) for one in values) <= bound


def test_computed_numbers_and_texts_need_no_measuring() -> None:
    bundle = Bundle([template({"n": "{% $states.input.n + 1 %}", "t": "{% 'abc' %}"})])
    assert bundle.evaluate_sized(FixedScope(), {"input": {"n": 1}}, 7)[1] < 1_000
