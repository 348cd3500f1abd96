"""Reads the fields that hold expressions: paths, payload templates, JSONata templates, and numbers that may be either.

Which names a JSONata field may read besides `$states.input` and `$states.context` is decided here (asl.md 8.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.query.intrinsics import InvalidIntrinsic
from engine.query.jsonata import compile_template as compile_jsonata
from engine.query.jsonata import is_expression
from engine.query.jsonpath import InvalidPath, compile_path, compile_result_path
from engine.query.templates import compile_template, compile_value_expression

if TYPE_CHECKING:
    from engine.asl.diagnostics import Place
    from engine.asl.fields import Fields
    from engine.asl.program import Fill
    from engine.jsonvalue import Json
    from engine.query.evaluation import Expression
    from engine.query.jsonata import JsonataTemplate
    from engine.query.jsonpath import Path, ResultPath
    from engine.query.templates import Template

NOTHING: Final = frozenset[str]()
RESULT: Final = frozenset({"result"})
ERROR_OUTPUT: Final = frozenset({"errorOutput"})

ROOT: Final = compile_path("$")
ROOT_RESULT: Final = compile_result_path("$")

_NO_JSONPATH = "Value must be a valid JSONPath."
_NO_REFERENCE_PATH = "Value is not a Reference Path"


def filter_path(fields: Fields, name: str) -> Path | None:
    """InputPath or OutputPath: any path. `$` when absent; None for null, which gives `{}`, and in JSONata."""
    if fields.language == "JSONata" or (fields.has(name) and fields.get(name) is None):
        return None
    return any_path(fields, name) or ROOT


def any_path(fields: Fields, name: str) -> Path | None:
    """Any path."""
    source = fields.string(name)
    if source is None:
        return None
    try:
        return compile_path(source)
    except InvalidPath as error:
        fields.report.error("invalid-path", _NO_JSONPATH, fields.at(name), hint=error.reason)
        return None


def reference_path(fields: Fields, name: str, *, context: bool = True) -> Path | None:
    """A path that selects exactly one node (asl.md 4.4); `context` says whether it may be rooted at `$$`."""
    source = fields.string(name)
    if source is None:
        return None
    if not source.startswith("$"):
        fields.report.error("not-a-path", _NO_JSONPATH, fields.at(name))
        return None
    return _reference(fields, name, source, context=context)


def choice_path(fields: Fields, name: str) -> Path | None:
    """`Variable` or the operand of a comparison with a path: a Reference Path with a message of its own [R]."""
    source = fields.string(name)
    if source is None:
        return None
    if not source.startswith("$"):
        message = f"{_NO_REFERENCE_PATH}: Reference path didn't start with '$'"
        fields.report.error("not-a-path", message, fields.at(name))
        return None
    return _reference(fields, name, source, context=True)


def _reference(fields: Fields, name: str, source: str, *, context: bool) -> Path | None:
    try:
        path = compile_path(source)
    except InvalidPath as error:
        fields.report.error("not-a-reference-path", _NO_REFERENCE_PATH, fields.at(name), hint=error.reason)
        return None
    hint = None
    if not path.is_reference:
        hint = "it may select more than one node; only `.name`, `['name']` and `[0]` may follow the root"
    elif path.root == "$$" and not context:
        hint = "the Context Object cannot be read here; a variable can"
    if hint is None:
        return path
    fields.report.error("not-a-reference-path", _NO_REFERENCE_PATH, fields.at(name), hint=hint)
    return None


def result_path(fields: Fields) -> ResultPath | None:
    """`ResultPath`: `$` when absent; None for null, which discards the result, and in JSONata (asl.md 4.1, 4.2)."""
    name = "ResultPath"
    if fields.language == "JSONata" or (fields.has(name) and fields.get(name) is None):
        return None
    source = fields.string(name)
    if source is None:
        return ROOT_RESULT
    try:
        return compile_result_path(source)
    except InvalidPath as error:
        starts = source.startswith("$")
        rule, message = ("not-a-reference-path", _NO_REFERENCE_PATH) if starts else ("not-a-path", _NO_JSONPATH)
        fields.report.error(rule, message, fields.at(name), hint=error.reason)
        return ROOT_RESULT


def value_expression(fields: Fields, name: str) -> Expression | None:
    """ErrorPath or CausePath: a path, or an intrinsic function that gives a string (asl.md 11)."""
    source = fields.string(name)
    if source is None:
        return None
    try:
        return compile_value_expression(source)
    except (InvalidPath, InvalidIntrinsic) as error:
        fields.report.error("invalid-path", _NO_JSONPATH, fields.at(name), hint=error.reason)
        return None


def template(fields: Fields, name: str) -> Template | None:
    """A payload template (asl.md 4.3): any JSON, of which objects may have `.$` keys."""
    if not fields.has(name):
        return None
    compiled, problems = compile_template(fields.get(name))
    for problem in problems:
        # AWS names the object around the key [R].
        place = (*fields.at(name), *problem.place)
        at = (*place, problem.key)
        hint = _reason(_inside(fields.get(name), (*problem.place, problem.key)))
        fields.report.error("invalid-template-field", problem.message, place, at=at, hint=hint)
    return compiled


def _reason(source: Json) -> str | None:
    """What exactly is wrong with the value of a `.$` field."""
    if not isinstance(source, str):
        return "the value has to be a string"
    try:
        compile_value_expression(source)
    except (InvalidPath, InvalidIntrinsic) as error:
        return error.reason
    return None


def _inside(value: Json, place: Place) -> Json:
    for part in place:
        match value, part:
            case dict(), str():
                value = value[part]
            case list(), int():
                value = value[part]
            case _:
                return None
    return value


def jsonata(fields: Fields, name: str, allows: frozenset[str] = NOTHING) -> JsonataTemplate | None:
    """Any JSON in which strings may be `{% %}` expressions."""
    if not fields.has(name):
        return None
    compiled, problems = compile_jsonata(fields.field_name(name), fields.get(name), allows=allows)
    for problem in problems:
        place = (*fields.at(name), *problem.place)
        if problem.code == "JSONATA_2_1_OPERATOR":
            fields.report.warning("jsonata-2.1-operator", problem.message, place)
        elif not is_expression(_inside(fields.get(name), problem.place)):
            message = "JSONata string must start with {% and end with %}"
            fields.report.error("jsonata-delimiters", message, place)
        else:
            rule = "invalid-jsonata" if problem.code == "INVALID_JSONATA_EXPRESSION" else "unsupported-jsonata"
            fields.report.error(rule, problem.message, place, code=problem.code)
    return compiled


def fill(fields: Fields, name: str, allows: frozenset[str] = NOTHING) -> Fill | None:
    """A template in whichever language holds here."""
    return template(fields, name) if fields.language == "JSONPath" else jsonata(fields, name, allows)


def assign(fields: Fields, allows: frozenset[str] = NOTHING) -> Fill | None:
    """`Assign`: an object of variables (asl.md 9.1)."""
    return fill(fields, "Assign", allows) if fields.object("Assign") is not None else None


def string_or_jsonata(fields: Fields, name: str) -> str | JsonataTemplate | None:
    """A string, which in JSONata may be an expression."""
    if fields.language == "JSONata" and may_be_expression(fields.get(name)):
        return jsonata(fields, name)
    return fields.string(name)


def integer_or_jsonata(
    fields: Fields, name: str, *, minimum: int, maximum: int | None = None
) -> int | JsonataTemplate | None:
    """A whole number; in JSONata also an expression."""
    if fields.language == "JSONata" and may_be_expression(fields.get(name)):
        return jsonata(fields, name)
    return fields.integer(name, minimum=minimum, maximum=maximum)


def number_or_jsonata(
    fields: Fields, name: str, *, minimum: float, maximum: float | None = None
) -> float | JsonataTemplate | None:
    """A number; in JSONata also an expression."""
    if fields.language == "JSONata" and may_be_expression(fields.get(name)):
        return jsonata(fields, name)
    return fields.number(name, minimum=minimum, maximum=maximum)


def may_be_expression(value: Json) -> bool:
    """An expression, or something that a person meant to be one and that is reported as such."""
    return is_expression(value) or (isinstance(value, str) and (value.startswith("{%") or value.endswith("%}")))
