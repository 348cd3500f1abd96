from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import StatesError
from engine.jsonvalue import encode, equal
from engine.query.intrinsics import InvalidIntrinsic
from engine.query.jsonpath import InvalidPath, PathError
from engine.query.templates import (
    DEPTH_MAX,
    compile_template,
    compile_value_expression,
    path_not_found,
)
from tests.query.fixed_scope import FixedScope
from tests.shared_data import json_lines


def filled(template, data, **scope):
    compiled, problems = compile_template(template)
    assert problems == ()
    return compiled.evaluate(data, FixedScope(**scope))


def failure(template, data, **scope):
    with pytest.raises(StatesError) as raised:
        filled(template, data, **scope)
    assert raised.value.located
    return raised.value.error, raised.value.cause


# ── Recorded ────────────────────────────────────────────────────────────────────────────────────────────────────────

# What the recordings put in the place of names and ARNs; given to the context here, so that it must come out again.
RECORDED_CONTEXT = {
    "Execution": {"Name": "<ExecArnPart_0idx>"},
    "StateMachine": {
        "Id": "arn:<partition>:states:<region>:111111111111:stateMachine:<ArnPart_0idx>",
        "Name": "<ArnPart_0idx>",
    },
}
VERSION_4 = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def recorded_outcome(case):
    """Ours for a recorded execution of one Pass state, in the form of the recording."""
    (state,) = case["definition"]["States"].values()
    template, problems = compile_template(state["Parameters"])
    assert problems == ()
    try:
        value = template.evaluate(case["input"], FixedScope(context_object=RECORDED_CONTEXT))
    except StatesError as error:
        return {"status": "FAILED", "error": error.error, "cause": error.cause}
    result = value["FunctionResult"]
    if "States.MathRandom" in case["call"][0] and type(result) is int:
        value = {"FunctionResult": "RandomNumberGenerated"}
    if case["call"] == ["States.UUID()"] and VERSION_4.fullmatch(result):
        value = {"FunctionResult": "generated-uuid"}
    return {"status": "SUCCEEDED", "output": value}


def test_every_recorded_intrinsic_gives_what_it_gave_on_aws():
    cases = [case for case in json_lines("corpus", "intrinsics", "cases.jsonl") if case["query_language"] == "JSONPath"]
    assert cases
    wrong = []
    for case in cases:
        expected = {key: case[key] for key in ("status", "output", "error", "cause") if key in case}
        if "cause" in expected:
            expected["cause"] = re.sub(r"^An error occurred .*? #\d+\)\. ", "", expected["cause"])
        if not equal(recorded_outcome(case), expected):
            wrong.append(case["id"])
    assert not wrong


# ── Filling in ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_with_the_suffix_loses_it_and_gets_the_value():
    assert filled({"a.$": "$.x", "b": 1, "c.$": "States.MathAdd($.x, 1)"}, {"x": 2}) == {"a": 2, "b": 1, "c": 3}


def test_members_stay_in_their_order():
    template = {"z": 1, "y.$": "$.v", "x": {"w.$": "$.v"}, "a": None}
    assert list(filled(template, {"v": 1})) == ["z", "y", "x", "a"]


def test_objects_and_arrays_are_walked_at_any_depth():
    template = {"a": [{"b.$": "$.x"}, [{"c": {"d.$": "$.x"}}], "$.x"], "e": {"f": {"g.$": "$$.h"}}}
    expected = {"a": [{"b": 1}, [{"c": {"d": 1}}], "$.x"], "e": {"f": {"g": 2}}}
    assert filled(template, {"x": 1}, context_object={"h": 2}) == expected


def test_a_string_under_a_key_without_the_suffix_is_itself_whatever_it_looks_like():
    template = {"a": "$.x", "b": "$$", "c": "$x", "d": "{% $x %}", "e": "States.UUID()", "f": ["$.x", "States.UUID()"]}
    assert filled(template, {}) == template


@pytest.mark.parametrize("template", [None, True, 1, "$.x", "a.$", [], ["$.x"], {}, {"a$": "b", ".$a": 1}], ids=repr)
def test_a_template_without_the_suffix_is_its_own_value(template):
    compiled, problems = compile_template(template)
    assert problems == ()
    assert compiled.constant
    assert compiled.evaluate({"x": 1}, FixedScope()) is template


def test_a_string_that_holds_the_suffix_makes_no_field():
    compiled, _ = compile_template({"a": '"b.$": "$.c"'})
    assert compiled.constant


def test_constant_parts_are_shared_and_nothing_of_the_definition_is_changed():
    template = {"constant": {"deep": [1, 2]}, "a.$": "$.x", "list": [{"b.$": "$.x"}, {"c": 1}]}
    before = json.dumps(template)
    compiled, _ = compile_template(template)
    data = {"x": {"y": 1}}
    first, second = (compiled.evaluate(data, FixedScope()) for _ in range(2))
    assert first["constant"] is second["constant"] is template["constant"]
    assert first["list"][1] is template["list"][1]
    assert first["a"] is data["x"]
    assert first is not second
    assert json.dumps(template) == before
    assert first == {"constant": {"deep": [1, 2]}, "a": {"y": 1}, "list": [{"b": {"y": 1}}, {"c": 1}]}


def test_paths_may_lead_into_the_input_the_context_and_the_variables():
    template = {"a.$": "$", "b.$": "$$", "c.$": "$v", "d.$": "$v.w[1]"}
    expected = {"a": {"x": 1}, "b": {"State": 2}, "c": {"w": [3, 4]}, "d": 4}
    assert filled(template, {"x": 1}, context_object={"State": 2}, variables={"v": {"w": [3, 4]}}) == expected


def test_a_path_of_many_gives_an_array_even_an_empty_one():
    assert filled({"a.$": "$[*]", "b.$": "$.items[1:]", "c.$": "$.items[*].v"}, {}) == {"a": [], "b": [], "c": []}


@pytest.mark.parametrize("data", [{"v": 1}, {"v": None}, {"v": {}}, []], ids=repr)
def test_a_path_of_many_over_something_else_finds_nothing(data):
    assert filled({"a.$": "$.v[1:].w"}, data) == {"a": []}


def test_a_path_of_many_into_an_unassigned_variable_still_fails():
    assert filled({"a.$": "$x.items[*]"}, {}, variables={"x": {}}) == {"a": []}
    assert failure({"a.$": "$y.items[*]"}, {}, variables={"x": {}})[0] == "States.Runtime"


def test_an_index_past_the_end_gives_null():
    assert filled({"a.$": "$.v[3]", "b.$": "$.v[0]", "c.$": "$.v[5].w"}, {"v": [1]})["a"] is None
    assert filled({"b.$": "$.v[0]"}, {"v": [None]}) == {"b": None}


def test_a_null_that_is_there_is_null():
    assert filled({"a.$": "$.x"}, {"x": None}) == {"a": None}


def test_a_template_tells_what_it_reads():
    template, _ = compile_template({"a.$": "$x.y[0]", "b": [{"c.$": "States.Array($y, $$.State)"}], "d.$": "$.z"})
    assert template.variables == {"x", "y"}
    assert template.reads_context
    assert not template.constant
    assert not compile_template({"a.$": "$.x"})[0].reads_context


# ── What goes wrong when it is filled in ────────────────────────────────────────────────────────────────────────────


def test_a_path_that_selects_nothing_fails_the_state_and_quotes_the_input():
    assert failure({"ok": 1, "value.$": "$.no_such"}, {"a": [1, "x"]}) == (
        "States.Runtime",
        "The JSONPath '$.no_such' specified for the field 'value.$' "
        """could not be found in the input '{"a":[1,"x"]}'""",
    )


def test_of_several_fields_the_one_at_fault_is_named():
    template = {"a.$": "$.x", "b": {"c": [{"d.$": "$.nope", "e.$": "$.x"}]}, "f.$": "$.x"}
    assert "specified for the field 'd.$' " in failure(template, {"x": 1})[1]


def test_a_path_into_the_context_quotes_the_context():
    assert failure({"value.$": "$$.Execution.Input.x"}, {"a": 1}, context_object={"Execution": {"Input": {}}}) == (
        "States.Runtime",
        "The JSONPath '$$.Execution.Input.x' specified for the field 'value.$' "
        """could not be found in the input '{"Execution":{"Input":{}}}'""",
    )


def test_an_unassigned_variable_fails_the_state():
    error, cause = failure({"value.$": "$nope"}, {}, variables={"x": 1})
    assert error == "States.Runtime"
    assert cause.startswith("The JSONPath '$nope' specified for the field 'value.$' could not be found in the input '")


def test_a_name_in_what_is_no_object_selects_nothing():
    assert failure({"a.$": "$.x.y[0]"}, {"x": 1})[0] == "States.Runtime"


def test_a_null_input_has_a_text_of_its_own():
    assert failure({"a.$": "$.x"}, None) == (
        "States.Runtime",
        "Unable to apply Path transformation to null or empty input.",
    )


def test_a_fault_of_the_path_itself_is_not_called_missing():
    error, cause = failure({"a.$": "$.v.sum()"}, {"v": []})
    assert error == "States.Runtime"
    assert cause.startswith("Invalid path '$.v.sum()' : ")


def test_a_call_that_fails_keeps_its_own_words():
    error, cause = failure({"a.$": "States.MathAdd($.x, 1)"}, {"x": "1"})
    assert error == "States.IntrinsicFailure"
    assert cause.startswith("The function 'States.MathAdd($.x, 1)' had the following error: ")


# ── What is refused ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        " $.x",
        "$.",
        "$.a[)",
        "States.Nope()",
        "States.Format('a'",
        "  States.UUID()",
        1,
        None,
        True,
        [],
        {"a": 1},
        'States.StringToJson(\'{"text":"An \\"escaped\\" quote"}\')',
    ],
    ids=repr,
)
def test_a_field_that_is_neither_path_nor_call_is_refused_at_its_container(value):
    _, problems = compile_template({"a": [{"ok.$": "$.x", "parsed.$": value}]})
    message = "The value for the field 'parsed.$' must be a valid JSONPath or a valid intrinsic function call"
    assert [(each.place, each.key, each.message) for each in problems] == [(("a", 0), "parsed.$", message)]
    assert problems[0].hint


def test_all_problems_are_found_not_only_the_first():
    _, problems = compile_template({"a.$": 1, "b": {"c.$": "nope"}, "d": [{"e.$": ""}]})
    assert [(problem.place, problem.key) for problem in problems] == [((), "a.$"), (("b",), "c.$"), (("d", 0), "e.$")]


@pytest.mark.parametrize("template", [{"a": 1, "a.$": "$.x"}, {"a.$": "$.x", "a": 1}, {"a": {"b.$": "$"}, "a.$": "$"}])
def test_a_name_given_with_and_without_the_suffix_is_refused(template):
    _, problems = compile_template({"in": template})
    assert [(problem.place, problem.key) for problem in problems] == [(("in",), list(template)[1])]
    assert "'a'" in problems[0].message


def nested(depth):
    template: object = {"a.$": "$.x"}
    for _ in range(depth - 1):
        template = {"a": template}
    return template


def test_a_template_is_at_most_so_deep():
    data = {"x": 1}
    value = filled(nested(DEPTH_MAX), data)
    for _ in range(DEPTH_MAX):
        value = value["a"]
    assert value == 1
    _, problems = compile_template(nested(DEPTH_MAX + 1))
    assert [len(problem.place) for problem in problems] == [DEPTH_MAX - 1]
    assert "levels deep" in problems[0].message
    compiled, problems = compile_template(json.loads('{"a":' * 400 + "1" + "}" * 400))
    assert (compiled.constant, problems) == (True, ())


# ── A lone expression ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lone_expression_is_a_path_or_a_call():
    assert compile_value_expression("$.e").evaluate({"e": "x"}, FixedScope()) == "x"
    assert compile_value_expression("$$.State.Name").reads_context
    assert compile_value_expression("States.Format('{}!', $.e)").evaluate({"e": "x"}, FixedScope()) == "x!"


@pytest.mark.parametrize("source", ["States.UUID()", "States.ArrayGetItem($.a, 0)", "States.Hash($.a, 'MD5')"])
def test_a_lone_call_must_be_able_to_give_a_string(source):
    assert compile_value_expression(source).source == source


@pytest.mark.parametrize("source", ["States.StringToJson($.a)", "States.MathAdd($.value1, $.step)", "States.Array()"])
def test_a_lone_call_that_never_gives_a_string_is_refused(source):
    with pytest.raises(InvalidIntrinsic, match="never gives a string"):
        compile_value_expression(source)


@pytest.mark.parametrize(
    ("source", "error"), [("$.", InvalidPath), ("Error", InvalidIntrinsic), ("", InvalidIntrinsic)]
)
def test_a_lone_expression_that_is_neither_is_refused(source, error):
    with pytest.raises(error):
        compile_value_expression(source)


def test_a_lone_path_that_selects_nothing_is_worded_for_its_field():
    with pytest.raises(PathError) as raised:
        compile_value_expression("$.ErrorX").evaluate({"Error": "E"}, FixedScope())
    error = path_not_found(raised.value, "ErrorPath")
    assert (error.error, error.located) == ("States.Runtime", True)
    assert error.cause == (
        "The JSONPath '$.ErrorX' specified for the field 'ErrorPath' "
        """could not be found in the input '{"Error":"E"}'"""
    )


# ── Anything at all ─────────────────────────────────────────────────────────────────────────────────────────────────

KEYS = st.sampled_from(["a", "b", "a.$", "b.$", "c.$", ".$", "", "$", "é.$"])
FIELDS = st.sampled_from(
    ["$", "$.a", "$.b[0]", "$.b[9]", "$.b[*]", "$.nope", "$.a.b", "$$", "$$.s", "$v", "$v.x", "x", ""]
) | st.sampled_from(
    [
        "States.UUID()",
        "States.Array($, $.a)",
        "States.MathAdd($.a, 1)",
        "States.Format('{}', $)",
        "States.JsonToString($)",
    ]
)
TEMPLATES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | FIELDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=300, deadline=None)
@given(TEMPLATES)
def test_any_json_is_a_template_or_has_problems_and_keeps_its_bound(value):
    template, problems = compile_template(value)
    data = {"a": 1, "b": [{"c": 2}, "x"]}
    try:
        outcome = template.evaluate(data, FixedScope(variables={"v": {"w": 1}}, context_object={"s": "t"}))
    except StatesError as error:
        outcome = error.cause
    else:
        assert problems or len(encode(outcome)) <= template.growth.fixed + template.growth.of_input * len(encode(data))
    assert outcome is not None or value is None
