from __future__ import annotations

import hashlib
import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import StatesError
from engine.jsonvalue import encode, equal
from engine.query.intrinsic_functions import FUNCTIONS
from engine.query.intrinsics import compile_intrinsic
from tests.query.fixed_scope import FixedScope

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.floats(-1e9, 1e9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


def call(name, *values, scope=None):
    """The function's value for these arguments, each handed over by a path."""
    arguments = ", ".join(f"$.a{index}" for index in range(len(values)))
    data = {f"a{index}": value for index, value in enumerate(values)}
    return compile_intrinsic(f"States.{name}({arguments})").evaluate(data, scope or FixedScope())


def refusal(name, *values):
    """The end of the cause with which the function refuses these arguments."""
    with pytest.raises(StatesError) as raised:
        call(name, *values)
    assert raised.value.error == "States.IntrinsicFailure"
    assert raised.value.located
    start, _, reason = raised.value.cause.partition("' had the following error: ")
    assert start.startswith(f"The function 'States.{name}(")
    return reason


def same(left, right):
    return equal(left, right) and encode(left) == encode(right)


def test_there_are_18_functions():
    assert len(FUNCTIONS) == 18


# ── Arrays ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_array_holds_its_arguments_in_order():
    assert call("Array") == []
    assert call("Array", "a", 1, None, [2], {}) == ["a", 1, None, [2], {}]


def test_array_partition_cuts_and_leaves_a_shorter_rest():
    assert call("ArrayPartition", [0, 1, 2], 2) == [[0, 1], [2]]
    assert call("ArrayPartition", [0, 1, 2], 5) == [[0, 1, 2]]
    assert call("ArrayPartition", [], 2) == []


def test_array_partition_rounds_its_size():
    assert call("ArrayPartition", [0, 1, 2, 3], 1.5) == [[0, 1], [2, 3]]
    assert call("ArrayPartition", [0, 1, 2, 3], 2.49) == [[0, 1], [2, 3]]


@pytest.mark.parametrize("size", [0, -1, 0.4, 2**64])
def test_array_partition_wants_a_positive_size(size):
    assert "argument 2" in refusal("ArrayPartition", [1], size)


def test_array_contains_compares_deeply():
    assert call("ArrayContains", [[1, 2, 3], 2], [1, 2, 3]) is True
    assert call("ArrayContains", [], None) is False
    assert call("ArrayContains", [1, None], None) is True
    assert call("ArrayContains", [{"a": [1]}], {"a": [1.0]}) is True
    assert call("ArrayContains", [[1, 2, 3]], [1, 2]) is False


def test_array_contains_knows_true_from_one():
    assert call("ArrayContains", [1, 0, 1.0], True) is False
    assert call("ArrayContains", [True], 1) is False
    assert call("ArrayContains", [False], False) is True


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((0, 9, 3), [0, 3, 6, 9]),
        ((0, 10, 3), [0, 3, 6, 9]),
        ((1, 9, 9), [1]),
        ((1, 9, 2), [1, 3, 5, 7, 9]),
        ((5, 1, -2), [5, 3, 1]),
        ((5, 0, -2), [5, 3, 1]),
        ((3, 3, 1), [3]),
        ((3, 1, 1), []),
        ((0.5, 2.49, 1), [1, 2]),
        ((-1.5, 1, 1), [-1, 0, 1]),
    ],
)
def test_array_range_includes_its_end(arguments, expected):
    assert call("ArrayRange", *arguments) == expected


def test_array_range_makes_a_thousand_items_and_no_more():
    assert len(call("ArrayRange", 1, 1000, 1)) == 1000
    assert "1000 items" in refusal("ArrayRange", 1, 1001, 1)
    assert "1000 items" in refusal("ArrayRange", 0, -(10**15), -1)


def test_array_range_wants_a_step():
    assert "must not be 0" in refusal("ArrayRange", 1, 2, 0)
    assert "must not be 0" in refusal("ArrayRange", 1, 2, 0.49)


def test_array_get_item_counts_from_zero():
    assert call("ArrayGetItem", ["a", "b"], 0) == "a"
    assert call("ArrayGetItem", ["a", "b"], 1.0) == "b"


@pytest.mark.parametrize("index", [2, -1, 0.5, "0", True, None])
def test_array_get_item_refuses_an_index_that_leads_nowhere(index):
    assert "ind" in refusal("ArrayGetItem", ["a", "b"], index) or "integer" in refusal("ArrayGetItem", ["a"], index)


def test_array_length_counts():
    assert call("ArrayLength", []) == 0
    assert call("ArrayLength", [None, [1, 2]]) == 2


def test_array_unique_keeps_the_first_of_each():
    values = [3, 1, 3, "1", 1.0, [1], [1], {"a": 1, "b": 2}, {"b": 2, "a": 1}]
    assert same(call("ArrayUnique", values), [3, 1, "1", [1], {"a": 1, "b": 2}])


def test_array_unique_knows_true_from_one_and_null_from_absent():
    assert same(call("ArrayUnique", [1, True, 0, False, None, None]), [1, True, 0, False, None])
    assert same(call("ArrayUnique", [[1], [True], {"a": None}, {}]), [[1], [True], {"a": None}, {}])


def test_array_unique_of_a_large_array_is_not_quadratic():
    values = list(range(100_000))
    assert call("ArrayUnique", values + values) == values


@pytest.mark.parametrize("name", ["ArrayLength", "ArrayUnique"])
@pytest.mark.parametrize("value", ["abc", {}, None, 1], ids=repr)
def test_what_works_on_an_array_refuses_everything_else(name, value):
    assert refusal(name, value).startswith("argument 1 must be an array, but is of type ")
    assert refusal("ArrayContains", value, 1).startswith("argument 1 must be an array")
    assert refusal("ArrayGetItem", value, 0).startswith("argument 1 must be an array")
    assert refusal("ArrayPartition", value, 1).startswith("argument 1 must be an array")


@given(st.lists(VALUES, max_size=6))
def test_array_unique_agrees_with_comparing_all_pairs(values):
    expected = []
    for value in values:
        if not any(equal(value, kept) for kept in expected):
            expected.append(value)
    assert same(call("ArrayUnique", values), expected)


# ── Encoding and hashing ────────────────────────────────────────────────────────────────────────────────────────────


def test_base64_is_that_of_utf_8():
    assert call("Base64Encode", "Data to encode") == "RGF0YSB0byBlbmNvZGU="
    assert call("Base64Encode", "") == ""
    assert call("Base64Decode", "") == ""
    assert call("Base64Decode", "w6nwn5iA") == "é😀"


@given(st.text(max_size=50))
def test_base64_decodes_what_it_encodes(text):
    assert call("Base64Decode", call("Base64Encode", text)) == text


@pytest.mark.parametrize("text", ["RGF0", "a", "=", "RGF0YQ", "RG F0", "RGF0\n", "é", "-_-_"])
def test_base64_decode_refuses_what_is_not_base64(text):
    if text == "RGF0":
        assert call("Base64Decode", text) == "Dat"
    else:
        assert refusal("Base64Decode", text) == "argument 1 is not Base64"


def test_base64_decode_refuses_bytes_that_are_no_text():
    assert "no UTF-8" in refusal("Base64Decode", "/w==")


@pytest.mark.parametrize("name", ["Base64Encode", "Base64Decode"])
def test_base64_takes_ten_thousand_characters(name):
    assert len(call(name, "YWJj" * 2_500)) > 0
    assert "10000 characters" in refusal(name, "YWJj" * 2_501)
    assert refusal(name, 1) == "argument 1 must be a string, but is of type number"


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("MD5", "812f45842bc6d66ee14572ce20db8e86"),
        ("SHA-1", "aaff4a450a104cd177d28d18d74485e8cae074b7"),
        ("SHA-256", "b4a697a057313163aee33cd8d40c66e9f0f177e00cac2de32475ffff6169c3e3"),
    ],
)
def test_hash_of_a_string_is_that_of_its_text(algorithm, digest):
    assert call("Hash", "input data", algorithm) == digest


def test_hash_of_another_value_is_that_of_its_json():
    assert call("Hash", {"a": [1, None]}, "SHA-256") == hashlib.sha256(b'{"a":[1,null]}').hexdigest()
    assert call("Hash", None, "SHA-384") == hashlib.sha384(b"null").hexdigest()
    assert call("Hash", "é", "SHA-512") == hashlib.sha512("é".encode()).hexdigest()


def test_hash_takes_ten_thousand_characters():
    call("Hash", "x" * 10_000, "MD5")
    assert "10000 characters" in refusal("Hash", "x" * 10_001, "MD5")
    assert "10000 characters" in refusal("Hash", ["x" * 10_000], "MD5")


@pytest.mark.parametrize("algorithm", ["md5", "SHA256", "", None, 1], ids=repr)
def test_hash_knows_five_algorithms_by_their_exact_names(algorithm):
    assert refusal("Hash", "x", algorithm).startswith("argument 2 must be ")


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        (" ", None),
        ("\t\r\n", None),
        ("null", None),
        ("-0", 0),
        ("1", 1),
        ("1.1", 1.1),
        ("true", True),
        ('"HelloWorld"', "HelloWorld"),
        ('[1, 2, "HelloWorld"]', [1, 2, "HelloWorld"]),
        ('{"Arg1": 1, "Arg2": []}', {"Arg1": 1, "Arg2": []}),
    ],
)
def test_string_to_json_parses(text, value):
    assert same(call("StringToJson", text), value)


@pytest.mark.parametrize("text", ["{", "[1,]", "nul", "1 2", "'a'", "NaN", "\u00a0", "9" * 5_000, "[" * 100_000])
def test_string_to_json_refuses_what_is_not_json(text):
    assert refusal("StringToJson", text).startswith("argument 1 is not JSON: ")


def test_string_to_json_wants_a_string():
    assert refusal("StringToJson", {"a": 1}) == "argument 1 must be a string, but is of type object"


def test_json_to_string_is_compact_and_keeps_the_order():
    assert call("JsonToString", {"b": 1.1, "a": [True, None, "x\n"]}) == '{"b":1.1,"a":[true,null,"x\\n"]}'
    assert call("JsonToString", "HelloWorld") == '"HelloWorld"'
    assert call("JsonToString", None) == "null"


@given(VALUES)
def test_a_value_survives_being_a_string(value):
    assert same(call("StringToJson", call("JsonToString", value)), value)


def test_json_merge_is_shallow_and_the_second_wins():
    left = {"a": {"a1": 1, "a2": 2}, "b": 2, "d": 3}
    right = {"a": {"a3": 1, "a4": 2}, "c": 3, "d": 4}
    assert call("JsonMerge", left, right, False) == {"a": {"a3": 1, "a4": 2}, "b": 2, "c": 3, "d": 4}
    assert left == {"a": {"a1": 1, "a2": 2}, "b": 2, "d": 3}


def test_json_merge_refuses_deep_merging_and_what_is_no_object():
    assert "shallow" in refusal("JsonMerge", {}, {}, True)
    assert "shallow" in refusal("JsonMerge", {}, {}, 0)
    assert refusal("JsonMerge", [], {}, False).startswith("argument 1 must be an object")
    assert refusal("JsonMerge", {}, None, False).startswith("argument 2 must be an object")


# ── Numbers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("left", "right", "total"),
    [
        (-9, 3, -6),
        (1.49, 1.5, 3),
        (1.5, 1.51, 4),
        (-1.49, -1.5, -2),
        (-1.5, -1.51, -3),
        (1.49, -1.49, 0),
        (-0.5, 0.5, 1),
        (-1.49, 0, -1),
        (-1.5, 0, -1),
        (-1.51, 0, -2),
        (0.5, 0, 1),
        (2.5, 0, 3),
        (-0.5, 0, 0),
        (-3.5, 0, -3),
        (0.49999999999999994, 0, 0),
    ],
)
def test_math_add_rounds_each_argument_halves_upwards(left, right, total):
    assert same(call("MathAdd", left, right), total)


def test_math_add_stays_within_32_bits():
    assert call("MathAdd", 2**31 - 2, 1) == 2**31 - 1
    assert call("MathAdd", -(2**31), 0) == -(2**31)
    for left, right in [(2**31 - 1, 1), (2**31, -1), (0, 2**31), (-(2**31), -1), (1e300, 0)]:
        assert "between -2147483648 and 2147483647" in refusal("MathAdd", left, right)


@pytest.mark.parametrize("value", ["1", True, None, [1]], ids=repr)
def test_math_add_wants_numbers(value):
    assert refusal("MathAdd", value, 1).startswith("argument 1 must be a number")
    assert refusal("MathAdd", 1, value).startswith("argument 2 must be a number")


def test_math_random_reaches_its_start_and_not_its_end():
    scope = FixedScope(chance=random.Random(3))
    drawn = {call("MathRandom", 1, 4, scope=scope) for _ in range(200)}
    assert drawn == {1, 2, 3}


def test_math_random_rounds_its_bounds():
    scope = FixedScope(chance=random.Random(3))
    assert {call("MathRandom", 12.5, 14.49, scope=scope) for _ in range(50)} == {13}


def test_math_random_with_a_seed_is_always_the_same():
    # java.util.Random(42).nextDouble() is 0.7275636800328681 (asl.md 8.4).
    assert call("MathRandom", 0, 10**15, 42) == 727_563_680_032_868
    assert call("MathRandom", 0, 999, 3, scope=FixedScope(chance=random.Random(1))) == call("MathRandom", 0, 999, 3)
    assert call("MathRandom", 0, 999, -5) == call("MathRandom", 0, 999, -5.2)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_math_random_never_leaves_its_bounds(one, other, seed):
    if one == other:
        return
    low, high = sorted((one, other))
    assert low <= call("MathRandom", low, high) < high
    assert low <= call("MathRandom", low, high, seed) < high


def test_math_random_wants_something_to_draw_from():
    assert "less than" in refusal("MathRandom", 3, 3)
    assert "less than" in refusal("MathRandom", 4, 3)
    assert "64-bit" in refusal("MathRandom", 0, 2**63)
    assert refusal("MathRandom", 0, 9, "seed").startswith("argument 3 must be a number")


# ── Text ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ("text", "text"),
        ("", ""),
        (1, "1"),
        (1.1, "1.1"),
        (None, "null"),
        (True, "true"),
        (False, "false"),
        ({"Arg1": 1, "Arg2": []}, "{Arg1=1, Arg2=[]}"),
        ([1, "a", None, {"k": [True]}], "[1, a, null, {k=[true]}]"),
        ('{"Arg1": 1}', '{"Arg1": 1}'),
    ],
)
def test_format_prints_a_value_as_recorded(value, printed):
    assert call("Format", "<{}>", value) == f"<{printed}>"


def test_format_fills_in_order_and_never_twice():
    assert call("Format", "{}{}-{}", "{}", "a", 2) == "{}a-2"
    assert call("Format", "nothing") == "nothing"


def test_format_counts_its_arguments():
    assert refusal("Format", "{} {}", 1) == "the template has 2 occurrences of {}, but there are 1 arguments for them"
    assert refusal("Format", "none", 1) == "the template has 0 occurrences of {}, but there are 1 arguments for them"


def test_a_brace_alone_spoils_a_template():
    assert refusal("Format", '{"a": {}}', 1) == "Invalid template in States.Format: matching '}' not found for '{'."
    assert refusal("Format", "{}}", 1) == "Invalid template in States.Format: matching '{' not found for '}'."


def test_braces_in_a_template_that_comes_as_data_can_be_escaped():
    assert call("Format", r"\{{}\} C:\new", 1) == r"{1} C:\new"


def test_format_wants_a_string_for_a_template():
    assert refusal("Format", 1) == "argument 1 must be a string, but is of type number"


@pytest.mark.parametrize(
    ("text", "separators", "pieces"),
    [
        (" ", ",", [" "]),
        (" , ", ",", [" ", " "]),
        (", , ,", ",", [" ", " "]),
        (",,,,", ",", []),
        ("", ",", []),
        ("1,2,3,4,5", ",", ["1", "2", "3", "4", "5"]),
        ("This.is+a,test=string", ".+,=", ["This", "is", "a", "test", "string"]),
        ("split on T and \nnew line", "T\n", ["split on ", " and ", "new line"]),
        ("abc", "", ["abc"]),
        ("", "", []),
        ("a-b]c^d", "]-^", ["a", "b", "c", "d"]),
    ],
)
def test_every_character_of_the_separators_splits(text, separators, pieces):
    assert call("StringSplit", text, separators) == pieces


def test_string_split_wants_two_strings():
    assert refusal("StringSplit", 1, ",").startswith("argument 1 must be a string")
    assert refusal("StringSplit", "a", None).startswith("argument 2 must be a string")


def test_a_uuid_is_of_version_4_and_comes_from_the_scope():
    scope = FixedScope(chance=random.Random(5))
    first, second = call("UUID", scope=scope), call("UUID", scope=scope)
    assert uuid.UUID(first).version == uuid.UUID(second).version == 4
    assert uuid.UUID(first).variant == uuid.RFC_4122
    assert str(uuid.UUID(first)) == first != second
    assert call("UUID", scope=FixedScope(chance=random.Random(5))) == first


# ── Growth ──────────────────────────────────────────────────────────────────────────────────────────────────────────

GROWING = [
    "States.Array($, $.a, 'x')",
    "States.ArrayPartition($.a, 1)",
    "States.ArrayUnique($.a)",
    "States.ArrayGetItem($.a, 0)",
    "States.ArrayContains($.a, $.b)",
    "States.ArrayLength($.a)",
    "States.Base64Encode($.b)",
    "States.Base64Decode($.b)",
    "States.Base64Decode(States.Base64Encode($.b))",
    "States.Format('{}{}', $.a, $)",
    "States.Format($.b)",
    "States.Hash($, 'SHA-512')",
    "States.JsonMerge($, $, false)",
    "States.JsonToString($)",
    "States.JsonToString(States.JsonToString($))",
    "States.StringToJson($.b)",
    "States.StringToJson(States.JsonToString($.a))",
    "States.StringSplit($.b, ',;')",
    "States.MathAdd(-2147483647, -1)",
    "States.MathRandom(-9223372036854775807, -9223372036854775806)",
    "States.ArrayRange(-9223372036854775807, -9223372036854774808, 1)",
    "States.UUID()",
]

TEXTS = st.text(max_size=12) | st.sampled_from(
    ["[1e9,1e9,1e9]", "[1E15,1e15]", ",a,b,c,", "AQEBAQEBAQEB", '"\\"\\"\\""', "\x01\x02", "", "[,]", "1e308"]
)


@given(st.fixed_dictionaries({"a": st.lists(VALUES, max_size=8), "b": TEXTS}), st.sampled_from(GROWING))
def test_no_value_outgrows_the_bound_of_its_expression(data, source):
    expression = compile_intrinsic(source)
    try:
        value = expression.evaluate(data, FixedScope())
    except StatesError:
        return
    assert len(encode(value)) <= expression.growth.fixed + expression.growth.of_input * len(encode(data))


def test_a_bound_is_a_bound_and_not_merely_the_unknown():
    unknown = {source for source in GROWING if compile_intrinsic(source).growth.fixed > 100_000}
    assert not unknown
