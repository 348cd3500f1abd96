"""Payload templates: JSON in which a key that ends in `.$` holds a JSONPath or an intrinsic function (asl.md 4.3).

    {"total.$": "States.MathAdd($.net, $.tax)", "order": {"id.$": "$.id", "kind": "order"}}

gives, for `{"net": 10, "tax": 2, "id": "A-1"}`,

    {"total": 12, "order": {"id": "A-1", "kind": "order"}}

Values are shared, never copied: a part without `.$` keys is the definition's own, a path gives the part it selects.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from engine.errors import StatesError
from engine.jsonvalue import encode, text
from engine.query.evaluation import LEVEL_BYTES, Evaluate, Expression, Growth, constant_growth
from engine.query.intrinsic_functions import FUNCTIONS
from engine.query.intrinsics import Intrinsic, InvalidIntrinsic, compile_intrinsic, empty_when_missing
from engine.query.jsonpath import InvalidPath, PathError, compile_path

if TYPE_CHECKING:
    from engine.jsonvalue import Json
    from engine.query.evaluation import Scope
    from engine.query.jsonpath import Path

DEPTH_MAX = 200
"""Objects and arrays inside one another in a template. One more level costs a Python call when it is filled in."""

Place: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template(Expression):
    """A compiled payload template. `constant` tells that it has no `.$` key, so that its value is always the same."""

    constant: bool


@dataclass(frozen=True, slots=True)
class TemplateProblem:
    """Something in a template that is refused when the state machine is created.

    Attributes:
        place: Keys and indexes that lead to the object which holds the key; empty for the template itself.
        key: The key at fault, as written.
        message: AWS's text where it is recorded (asl.md 2.3).
        hint: What exactly is wrong, where the message does not tell.
    """

    place: Place
    key: str
    message: str
    hint: str | None = None


def compile_template(value: Json) -> tuple[Template, tuple[TemplateProblem, ...]]:
    """Compiles a payload template. With problems the Template leaves out the keys at fault and is not to be run.

    The template raises StatesErrors with `located` set:
        States.Runtime: A path selects nothing. An index past the end of an array is none: it gives null (asl.md 5.2).
        States.IntrinsicFailure: See `compile_intrinsic`.
    """
    source = text(value)
    problems: list[TemplateProblem] = []
    # No other place of the text can hold this: in a string the quote would be escaped.
    part = _compile(value, (), problems) if '.$":' in source else None
    if part is None:
        growth = constant_growth(value)
        return Template(source=source, evaluate=lambda data, scope: value, growth=growth, constant=True), tuple(
            problems
        )
    template = Template(
        source=source,
        evaluate=part.evaluate,
        growth=part.growth,
        variables=part.variables,
        reads_context=part.reads_context,
        constant=False,
    )
    return template, tuple(problems)


def compile_value_expression(source: str) -> Expression:
    """Compiles what a field such as ErrorPath or CausePath holds: a path, or an intrinsic function that gives a string.

    The expression of a path raises PathError, which `path_not_found` words; that of a function see `compile_intrinsic`.

    Raises:
        InvalidPath: It begins with `$` and is no path.
        InvalidIntrinsic: It is no call, or of a function whose value is never a string (asl.md 11, AWS's list).
    """
    expression = compile_path(source) if source.startswith("$") else compile_intrinsic(source)
    if isinstance(expression, Intrinsic) and not FUNCTIONS[expression.function].gives_string:
        names = ", ".join(name for name, function in FUNCTIONS.items() if function.gives_string)
        raise InvalidIntrinsic(f"{expression.function} never gives a string as {names} can", 0)
    return expression


def path_not_found(error: PathError, field: str) -> StatesError:
    """The failure of a path, worded as in a template field, ErrorPath and CausePath (asl.md 5.3).

    Args:
        error: What the path raised; a path into the Context Object was searched there, and that is quoted then.
        field: The field as it is written, `.$` included.
    """
    if error.searched is None:
        cause = error.reason  # a null input has a text without path and field
    elif error.missing:
        not_there = f"could not be found in the input '{text(error.searched)}'"
        cause = f"The JSONPath '{error.path}' specified for the field '{field}' {not_there}"
    else:
        cause = f"Invalid path '{error.path}' : {error.reason}"
    return StatesError("States.Runtime", cause, located=True)


# ── Compiling ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _compile(value: Json, place: Place, problems: list[TemplateProblem]) -> Expression | None:
    """The expression for one part of a template, or None when it is constant: then the part itself is the value."""
    if not isinstance(value, dict | list):
        return None
    if len(place) >= DEPTH_MAX:
        problems.append(
            TemplateProblem(place[:-1], str(place[-1]), f"The template is more than {DEPTH_MAX} levels deep")
        )
        return None
    return (
        _compile_object(value, place, problems) if isinstance(value, dict) else _compile_array(value, place, problems)
    )


def _compile_object(value: dict[str, Json], place: Place, problems: list[TemplateProblem]) -> Expression | None:
    members: dict[str, Json] = {}
    dynamic: list[tuple[str, Expression]] = []
    growth = Growth(LEVEL_BYTES)
    for key, item in value.items():
        name = key.removesuffix(".$")
        if name in members:
            message = f"The field '{name}' is given twice: with and without '.$'"
            problems.append(TemplateProblem(place, key, message))
            continue
        part: Expression | None
        if name == key:
            part = _compile(item, (*place, key), problems)
        else:
            try:
                part = _compile_field(item)
            except (InvalidPath, InvalidIntrinsic) as error:
                message = f"The value for the field '{key}' must be a valid JSONPath or a valid intrinsic function call"
                problems.append(TemplateProblem(place, key, message, error.reason))
                continue
        growth = growth.plus(Growth(len(encode(name)) + 2)).plus(constant_growth(item) if part is None else part.growth)
        members[name] = item
        if part is not None:
            dynamic.append((name, part))
    if not dynamic:
        return None
    fields = [(name, part.evaluate) for name, part in dynamic]
    return _expression(value, _fill_object(members, fields), growth, [part for _, part in dynamic])


def _compile_array(value: list[Json], place: Place, problems: list[TemplateProblem]) -> Expression | None:
    parts = [_compile(item, (*place, index), problems) for index, item in enumerate(value)]
    dynamic = [(index, part) for index, part in enumerate(parts) if part is not None]
    if not dynamic:
        return None
    growth = Growth(LEVEL_BYTES)
    for item, part in zip(value, parts, strict=True):
        growth = growth.plus(constant_growth(item) if part is None else part.growth.plus(Growth(1)))
    items = [(index, part.evaluate) for index, part in dynamic]
    return _expression(value, _fill_array(value, items), growth, [part for _, part in dynamic])


def _compile_field(source: Json) -> Expression:
    """The expression of a `.$` field; raises InvalidPath or InvalidIntrinsic."""
    if not isinstance(source, str):
        raise InvalidIntrinsic("expected a string", 0)
    if not source.startswith("$"):
        return compile_intrinsic(source)
    path = empty_when_missing(compile_path(source))
    if path.definite and "[" in source:
        return replace(path, evaluate=_null_past_the_end(path), growth=path.growth.plus(Growth(len("null"))))
    return path


def _expression(value: Json, evaluate: Evaluate, growth: Growth, parts: list[Expression]) -> Expression:
    return Expression(
        source=text(value),
        evaluate=evaluate,
        growth=growth,
        variables=frozenset().union(*(part.variables for part in parts)),
        reads_context=any(part.reads_context for part in parts),
    )


# ── Closures ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _fill_object(members: dict[str, Json], fields: list[tuple[str, Evaluate]]) -> Evaluate:
    def fill(data: Json, scope: Scope) -> Json:
        filled = members.copy()
        name = ""
        try:
            for name, evaluate in fields:
                filled[name] = evaluate(data, scope)
        except PathError as error:
            raise path_not_found(error, f"{name}.$") from None
        return filled

    return fill


def _fill_array(members: list[Json], items: list[tuple[int, Evaluate]]) -> Evaluate:
    def fill(data: Json, scope: Scope) -> Json:
        filled = members.copy()
        for index, evaluate in items:
            filled[index] = evaluate(data, scope)
        return filled

    return fill


def _null_past_the_end(path: Path) -> Evaluate:
    read = path.evaluate

    def evaluate(data: Json, scope: Scope) -> Json:
        try:
            return read(data, scope)
        except PathError as error:
            if error.out_of_range:
                return None
            raise

    return evaluate
