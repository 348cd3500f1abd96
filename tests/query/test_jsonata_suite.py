"""The official JSONata suite, the recorded functions, and the expressions of real definitions."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import StatesError
from engine.query import jsonata_syntax
from engine.query.jsonata import Bundle, compile_template, is_expression, unexpected_type
from engine.query.jsonata_library import JsonataError, Limits, Single, SyntaxFault, reads
from engine.query.jsonata_paths import Nothing
from tests.query.fixed_scope import FixedScope
from tests.shared_data import json_lines, shared

if TYPE_CHECKING:
    from collections.abc import Iterator

# What the library answers otherwise than the reference implementation, version 2.2.2.
DIFFERENT = {
    "function-string/case019": "dividing by zero is D1001 at the division, not D3001 where the result is used",
    "transform/case019": "null cannot be told from having no input; in a state there is never any input",
}

LIMIT_CODES = ("U1001", "D1011", "D1012")


def _in_order(value: Any) -> str:
    """JSON text with whole numbers alike (1 and 1.0) and members in their order, which counts in the suite."""

    def alike(inner: Any) -> Any:
        if isinstance(inner, dict):
            return {key: alike(member) for key, member in inner.items()}
        if isinstance(inner, list):
            return [alike(item) for item in inner]
        return float(f"{inner:.13g}") if isinstance(inner, int | float) and not isinstance(inner, bool) else inner

    return json.dumps(alike(value))


def _outcome(case: dict[str, Any], datasets: dict[str, Any]) -> tuple[str, Any]:
    data = datasets[case["dataset"]] if "dataset" in case else case.get("data")
    limits = Limits(depth=case.get("depth", 500), seconds=case.get("timelimit", 1000) / 1000)
    try:
        reads(case["expr"])  # each is compiled alone before it is put into a block
        mentions = jsonata_syntax.read(case["expr"]).variables
        single = Single(case["expr"], (), mentions, lazily=False, as_service=False, limits=limits)
        value = single.evaluate(data, case["bindings"], FixedScope(payload_bytes_max=0))
    except SyntaxFault:
        return "error", "S"
    except JsonataError as error:
        return "error", error.code
    return ("undefined", None) if isinstance(value, Nothing) else ("result", value)


def _passes(case: dict[str, Any], datasets: dict[str, Any]) -> bool:
    kind, got = _outcome(case, datasets)
    if kind != case["expect"]:
        return False
    if kind == "result":
        if case.get("unordered"):
            return sorted(map(_in_order, got)) == sorted(map(_in_order, case["result"]))
        return _in_order(got) == _in_order(case["result"])
    if kind == "error":
        code = case.get("code") or case["error"]["code"]
        return bool(got == code or (got == "S" and code.startswith("S")) or (got == "" and code in LIMIT_CODES))
    return True


def test_the_official_suite_passes_but_for_listed_exceptions() -> None:
    datasets = json.loads(shared("corpus", "jsonata", "datasets.json").read_text(encoding="utf-8"))
    cases = [case for case in json_lines("corpus", "jsonata", "cases.jsonl") if "states_language" not in case]
    failed = {case["id"] for case in cases if not _passes(case, datasets)}
    assert failed <= DIFFERENT.keys()
    assert len(failed) <= len(cases) / 100


def _recorded_functions() -> list[dict[str, Any]]:
    cases = json_lines("corpus", "intrinsics", "cases.jsonl")
    return [case for case in cases if case["query_language"] == "JSONata"]


@pytest.mark.parametrize("case", _recorded_functions(), ids=lambda case: f"{case['test']}-{case['case']}")
def test_functions_answer_as_recorded(case: dict[str, Any]) -> None:
    (state,) = case["definition"]["States"].values()
    template, problems = compile_template("Output", state["Output"], allows=frozenset())
    assert problems == ()
    (value,) = Bundle([template]).evaluate(FixedScope(), {"input": case["input"]})
    assert case["status"] == "SUCCEEDED"
    if case.get("nondeterministic"):
        assert type(value) is type(case["output"])
    else:
        assert value == case["output"]


def _expressions(value: Any) -> Iterator[str]:
    if is_expression(value):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _expressions(inner)


def test_expressions_of_definitions_that_the_service_accepted_have_no_problems() -> None:
    cases = json_lines("corpus", "validation", "aws-recordings.jsonl")
    seen = {e for case in cases if case["expected"] == "valid" for e in _expressions(case.get("definition"))}
    assert seen
    everything = frozenset(("result", "errorOutput"))
    assert [problem for e in sorted(seen) for problem in compile_template("Output", e, allows=everything)[1]] == []


def test_every_expression_the_library_accepts_can_be_read() -> None:
    sources = [case["expr"] for case in json_lines("corpus", "jsonata", "cases.jsonl")]
    readable = 0
    for source in sources:
        try:
            found = reads(source)
        except SyntaxFault:
            continue
        syntax = jsonata_syntax.read(source)
        readable += 1
        assert found.variables <= syntax.variables
        if syntax.references:
            assert found.context_item, source
    assert readable > len(sources) / 2


def _recorded_causes() -> list[str]:
    found = set()
    for path in sorted(shared("conformance", "sfn").rglob("*.json")):
        text = path.read_text(encoding="utf-8")
        if "The JSONata expression" in text:
            found |= set(_causes(json.loads(text)))
    return sorted(found)


def _causes(value: Any) -> Iterator[str]:
    if isinstance(value, str) and "The JSONata expression" in value:
        yield "The JSONata expression" + value.partition("The JSONata expression")[2]
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _causes(inner)


@pytest.mark.parametrize("cause", _recorded_causes())
def test_causes_are_those_recorded(cause: str) -> None:
    found = re.match(r"The JSONata expression '(.*)' specified for the field '([^']*)' ", cause)
    assert found is not None
    compiled, problems = compile_template(found[2], "{% " + found[1] + " %}", allows=frozenset())
    assert problems == ()
    wrong_type = re.search(r"Expected '(\w+)', but was '\w+' for value: (.*)$", cause)
    if wrong_type is None:
        with pytest.raises(StatesError) as caught:
            Bundle([compiled]).evaluate(FixedScope(), {"input": None})
        assert caught.value.cause == cause
    else:
        value = json.loads(wrong_type[2])
        scope = FixedScope(variables=dict.fromkeys(compiled.variables, value))
        (result,) = Bundle([compiled]).evaluate(scope, {"input": None})
        assert unexpected_type(compiled, wrong_type[1], result).cause == cause
