from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest

from engine.asl.source import InvalidSource, Source, read_source

if TYPE_CHECKING:
    from engine.asl.diagnostics import Span


def refused(source: object, syntax: str = "JSON") -> Any:
    with pytest.raises(InvalidSource) as caught:
        read_source(source, syntax)  # type: ignore[arg-type]
    return caught.value.diagnostic


def found(source: Source, *place: str | int, key: bool = False) -> Span | None:
    return source.find_span(place, key)


TEXT = """{
  "a": {"b": [1, {"c": "x"}]},
  "ü~/": null
}"""


def test_keys_and_values_know_where_they_stand() -> None:
    source = read_source(TEXT)
    assert found(source, "a", "b", 1, "c", key=True) == (2, 19, 2, 22)
    assert found(source, "a", "b", 1, "c") == (2, 24, 2, 27)
    assert found(source, "a", "b") == (2, 14, 2, 29)
    assert found(source, "ü~/", key=True) == (3, 3, 3, 8)
    assert found(source) == (1, 1, 4, 2)


def test_what_is_not_there_is_shown_at_what_is_around_it() -> None:
    source = read_source(TEXT)
    assert found(source, "a", "missing") == found(source, "a", key=True)
    assert found(source, "missing") == found(source)


def test_python_values_have_no_positions() -> None:
    assert found(read_source({"a": 1}), "a") is None


def test_repeated_keys_are_found_and_the_last_one_counts() -> None:
    source = read_source('{"a": {"x": 1, "y": 2, "x": 3}, "b": [{"z": 1, "z": 2}]}')
    assert source.repeated == (("a", "x"), ("b", 0, "z"))
    assert source.value["a"] == {"x": 3, "y": 2}


def test_bytes_are_utf_8_with_or_without_a_mark() -> None:
    assert read_source('\ufeff{"a": "ü"}'.encode()).value == {"a": "ü"}
    diagnostic = refused(b'{"a":\n "\xff"}')
    assert (diagnostic.rule, diagnostic.line, diagnostic.column) == ("not-utf-8", 2, 3)


ANY_VALUE = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"

# What Jackson 2.x says and where it stops reading: its message catalogue, and columns as recorded for one text.
SYNTAX_ERRORS = [
    ('{"a":1 "b":2}', 9, "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries"),
    ("[1 2]", 5, "Unexpected character ('2' (code 50)): was expecting comma to separate Array entries"),
    ("{a:1}", 3, "Unexpected character ('a' (code 97)): was expecting double-quote to start field name"),
    ('{"a" 1}', 7, "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value"),
    ('{"a":01}', 7, "Invalid numeric value: Leading zeroes not allowed"),
    ('{"a": tru}', 10, f"Unrecognized token 'tru': was expecting {ANY_VALUE}"),
    ('{"a":"\\q"}', 9, "Unrecognized character escape 'q' (code 113)"),
    (
        '{"a":"\t"}',
        8,
        "Illegal unquoted character ((CTRL-CHAR, code 9)): "
        "has to be escaped using backslash to be included in string value",
    ),
    ('{"a":“x”}', 7, f"Unexpected character ('“' (code 8220 / 0x201c)): expected a valid value {ANY_VALUE}"),
    ('{"a":"x', 8, "Unexpected end-of-input: was expecting closing quote for a string value"),
    ('{"a', 4, "Unexpected end-of-input in field name"),
    ('{"a":', 6, "Unexpected end-of-input within/between Object entries"),
    (
        '{"a":[1,2}',
        11,
        "Unexpected close marker '}': expected ']' "
        '(for Array starting at [Source: (String)"{"a":[1,2}"; line: 1, column: 6])',
    ),
    (
        "{",
        2,
        "Unexpected end-of-input: expected close marker for Object "
        '(start marker at [Source: (String)"{"; line: 1, column: 1])',
    ),
]


@pytest.mark.parametrize(("text", "column", "reason"), SYNTAX_ERRORS)
@pytest.mark.parametrize("line", [1, 3])
def test_json_errors_are_worded_as_the_service_words_them(text: str, column: int, reason: str, line: int) -> None:
    before = "\n" * (line - 1)
    diagnostic = refused(before + text)
    location = f'[Source: (String)"{before}{text}"; line: {line}, column: {column}]'
    started = reason.replace('(String)"', f'(String)"{before}').replace("line: 1", f"line: {line}")
    assert diagnostic.code == "INVALID_JSON_DESCRIPTION"
    assert diagnostic.message == f"{started}\n at {location}"
    assert diagnostic.location == location


def test_a_long_text_is_quoted_in_part() -> None:
    assert refused("x" + " " * 600).location.endswith('"[truncated 101 chars]; line: 1, column: 2]')


@pytest.mark.parametrize("text", ['{"a": "\\ud800"}', '{"\\udc00": 1}', '{"a": 1e999}', '{"a": -1E+400}'])
def test_what_json_allows_but_nothing_can_hold_is_refused_where_it_stands(text: str) -> None:
    diagnostic = refused(text)
    assert diagnostic.rule == "not-representable"
    assert text[diagnostic.column - 1 : diagnostic.end_column - 1] in text[1:-1]


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 5_000 + "1" + "}" * 5_000, '{"a":' + "[" * 128 + "]" * 128 + "}"]
)
def test_depth_has_a_bound(text: str) -> None:
    assert refused(text).code == "TOO_DEEPLY_NESTED"


def test_depth_up_to_the_bound_is_read() -> None:
    text = '{"a":' + "[" * 127 + "]" * 127 + "}"
    assert read_source(text).value["a"] == read_source(text, "YAML").value["a"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"a": (1, 2)}, "a Python tuple is not a JSON value"),
        ({"a": datetime.date(2024, 1, 1)}, "a Python date is not a JSON value"),
        ({"a": {1: 2}}, "the key 1 is a Python int, not a string"),
        ({"a": float("nan")}, "nan is not a JSON number"),
        ({"a": "\ud800"}, "half a surrogate pair is no text"),
    ],
)
def test_python_values_must_be_json(value: object, reason: str) -> None:
    diagnostic = refused(value)
    assert diagnostic.message.endswith(reason)
    assert diagnostic.pointer == "/a"


def test_a_value_that_holds_itself_is_too_deep() -> None:
    value: dict[str, object] = {}
    value["a"] = [value]
    assert refused(value).code == "TOO_DEEPLY_NESTED"


@pytest.mark.parametrize("source", [None, 1, "", "[]", '"x"', "null", [], "# nothing"])
def test_a_definition_is_an_object(source: object) -> None:
    message = "Definition must be a valid JSON object"
    syntax = "YAML" if isinstance(source, str) and source.startswith("#") else "JSON"
    diagnostic = refused(source, syntax)
    assert (diagnostic.code, diagnostic.message, diagnostic.location) == ("SCHEMA_VALIDATION_FAILED", message, None)


# ── YAML ────────────────────────────────────────────────────────────────────────────────────────────────────────────


WORDS = [
    "Yes",
    "no",
    "on",
    "Off",
    "y",
    "2024-01-01",
    "2024-01-01T00:00:00Z",
    "012",
    "0o17",
    "0x1F",
    "1_000",
    "12:30",
    ".5",
    "+1",
    "1.",
    ".inf",
    ".nan",
    "=",
    "nil",
    "$.a[0]",
]


@pytest.mark.parametrize("word", WORDS)
def test_yaml_words_stay_words(word: str) -> None:
    assert read_source(f"{word}: {word}", "YAML").value == {word: word}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-1.5", -1.5),
        ("1.0e+2", 100.0),
        ("1e2", 100.0),
    ],
)
def test_yaml_has_the_constants_of_json(text: str, value: object) -> None:
    assert read_source(f"a: {text}", "YAML").value == {"a": value}
    assert read_source(f"a: '{text}'", "YAML").value == {"a": text}


def test_a_yaml_tag_decides() -> None:
    text = "a: !!str 1e2\nb: &x !!str true\nd: *x\ne: !!int \"1\"\nf: !!bool 'true'\n"
    assert read_source(text, "YAML").value == {"a": "1e2", "b": "true", "d": "true", "e": 1, "f": True}


def test_two_escapes_of_one_character_are_that_character_in_yaml_too() -> None:
    assert read_source(r'{"\ud83d\ude00": "\ud83d\ude00"}', "YAML").value == {"😀": "😀"}


def test_json_is_yaml() -> None:
    assert read_source(TEXT, "YAML").value == read_source(TEXT).value
    assert found(read_source(TEXT, "YAML"), "a", "b", 1, "c") == (2, 24, 2, 27)


def test_yaml_positions_anchors_and_merges() -> None:
    source = read_source("base: &b\n  x: 1\n  y: 2\nmore:\n  <<: *b\n  y: 3\nlist: [*b, {<<: [*b]}]\n", "YAML")
    assert source.value["more"] == {"x": 1, "y": 3}
    assert source.value["list"] == [{"x": 1, "y": 2}, {"x": 1, "y": 2}]
    assert found(source, "more", "y", key=True) == (6, 3, 6, 4)


def test_yaml_keys_written_twice_are_found() -> None:
    assert read_source("a: 1\na: 2\n", "YAML").repeated == (("a",),)


@pytest.mark.parametrize(
    ("text", "reason", "line", "column"),
    [
        ("a: !Sub '${x}'", "the tag !Sub is not supported", 1, 4),
        ("a: !!binary x", "the tag !!binary is not supported", 1, 4),
        ("a: !!set {x}", "the tag !!set is not supported", 1, 4),
        ("a:\n  b: [1", "not YAML: ", 2, 8),
        ("a: 1\n---\nb: 2", "not YAML: ", 2, 1),
        ("? [x]\n: 1", "a key must be a string", 1, 3),
        ("<<: 1", "'<<' takes a mapping or a list of mappings", 1, 5),
        ("a: 1e999", "", 1, 4),
        ("a: \x07", "not YAML: ", 1, 4),
        (r'a: "\ud83d"', "half a surrogate pair is no text", 1, 4),
        (r'"\ude00": 1', "half a surrogate pair is no text", 1, 1),
    ],
)
def test_yaml_that_is_no_definition_is_refused_by_name(text: str, reason: str, line: int, column: int) -> None:
    diagnostic = refused(text, "YAML")
    assert diagnostic.message.startswith(reason)
    assert (diagnostic.rule, diagnostic.line, diagnostic.column) == ("not-yaml", line, column)


def test_yaml_aliases_cannot_blow_up() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "aliases make this more than" in refused("\n".join(lines), "YAML").message
    assert refused("a: &a [*a]", "YAML").code == "TOO_DEEPLY_NESTED"
    assert refused("a: &a {<<: *a}", "YAML").code == "TOO_DEEPLY_NESTED"


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_yaml_that_opens_ever_more_is_refused_at_once(opening: str) -> None:
    assert refused(opening * 100_000, "YAML").code == "TOO_DEEPLY_NESTED"
