"""Texts that hardly are definitions: reading them gives diagnostics, never an exception and never a hang."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.asl.json_text import DEPTH_MAX
from engine.asl.parser import Parsed, parse
from tests.fuzz.budget import RANDOMS, cases, no_hang
from tests.fuzz.machines import Machine, changed

if TYPE_CHECKING:
    from random import Random

Syntax = Literal["JSON", "YAML"]

_SIGNS = '{}[]":,\\ \n\t0-1.eE+tfnul<A/*#&!%@`|>?\ud800\U0001f600é\x00\x7f\ufeff~'
_WHOLE = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}


def check(parsed: Parsed) -> None:
    errors = [diagnostic for diagnostic in parsed.diagnostics if diagnostic.severity == "ERROR"]
    assert (parsed.program is None) == bool(errors)
    for diagnostic in parsed.diagnostics:
        assert diagnostic.code
        assert diagnostic.message
        diagnostic.message.encode("utf-8", "surrogatepass")


def read(text: str | bytes) -> None:
    syntaxes: tuple[Syntax, ...] = ("JSON", "YAML")
    for syntax in syntaxes:
        with no_hang(lambda: text[:2_000]):
            check(parse(text, syntax=syntax))


@cases(250)
@given(st.text(alphabet=_SIGNS, max_size=60) | st.text(max_size=30))
def test_random_characters(text: str) -> None:
    read(text)
    read(text.encode("utf-8", "surrogatepass"))


@cases(150)
@given(st.binary(max_size=40))
def test_random_bytes(data: bytes) -> None:
    read(data)
    read(b'{"StartAt": "' + data + b'"}')


@cases(250)
@given(RANDOMS)
def test_a_definition_with_damaged_text(draw: Random) -> None:
    definition = changed(draw) if draw.random() < 0.5 else Machine(draw).definition
    text = json.dumps(definition, indent=draw.choice((None, 1)), ensure_ascii=draw.random() < 0.5)
    for _ in range(draw.randint(0, 3)):
        start = draw.randint(0, len(text))
        end = min(len(text), start + draw.choice((0, 1, 5, 100)))
        middle = draw.choice(
            ("", text[start:end] * 2, "".join(draw.choice(_SIGNS) for _ in range(3)), "1" * 5_000, "\\ud800")
        )
        text = text[:start] + middle + text[end:]
    read(text[: draw.choice((len(text), draw.randint(0, len(text))))])


@cases(100)
@given(RANDOMS)
def test_a_definition_whose_keys_are_doubled(draw: Random) -> None:
    text = json.dumps(changed(draw))
    keys = [place for place in range(len(text)) if text[place] == '"' and text[place - 2 : place] in (", ", "{")]
    for place in sorted(draw.sample(keys, min(2, len(keys))), reverse=True):
        text = f'{text[:place]}"Type": {draw.choice(("1", "null", "{}"))}, "States": [], {text[place:]}'
    read(text)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"States":', "- ", "{a: ", "[{", "&a [*a, ", "? "])
@pytest.mark.parametrize("levels", [DEPTH_MAX - 1, DEPTH_MAX + 1, 999, 100_000])
def test_text_that_is_nested_deeply(opening: str, levels: int) -> None:
    read(opening * levels)
    closing = {"[": "]", "{": "}"}
    text = opening * levels + "1"
    read(text + "".join(closing[sign] for sign in reversed(text) if sign in closing))
    value: Any = 1
    for _ in range(min(levels, 5_000)):
        value = {"Not": value}
    check(parse({"StartAt": "A", "States": value}))


@pytest.mark.parametrize(
    "value",
    [
        "1" * 4_299,
        "1" * 4_301,
        "-" + "9" * 400,
        "1e308",
        "1e309",
        "-1e400",
        "1e-400",
        "0.1" + "0" * 400,
        "1e99999",
        "true",
        '"\\ud83d"',
        "NaN",
    ],
)
@pytest.mark.parametrize(
    "field",
    [
        "TimeoutSeconds",
        "BackoffRate",
        "MaxConcurrency",
        "Seconds",
        "NumericEquals",
        "ToleratedFailurePercentage",
        "Result",
    ],
)
def test_numbers_that_are_hard_to_hold(field: str, value: str) -> None:
    states = {
        "A": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sns:publish",
            "Retry": [{"ErrorEquals": ["E"]}],
            "Next": "M",
        },
        "M": {
            "Type": "Map",
            "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Wait", "End": True}}},
            "Next": "C",
        },
        "C": {"Type": "Choice", "Choices": [{"Variable": "$.n", "Next": "P"}], "Default": "P"},
        "P": {"Type": "Pass", "End": True},
    }
    texts = [json.dumps({"StartAt": "A", "States": states})]
    for start in (
        '"Type": "Task"',
        '"ErrorEquals": ["E"]',
        '"Type": "Map"',
        '"Type": "Wait"',
        '"Variable": "$.n"',
        '"Type": "Pass"',
    ):
        texts += [texts[0].replace(start, f'{start}, "{field}": {value}')]
    for text in texts:
        read(text)


@pytest.mark.parametrize("width", [1, 3, 9])
def test_aliases_of_aliases_do_not_fill_the_memory(width: int) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]" for level in range(1, 9)]
    read("\n".join(lines))
    read("\n".join(f"{line}\n  <<: *a0" for line in lines))
