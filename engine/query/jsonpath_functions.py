"""The functions of JSONPath, `$.a.length()`, as Jayway 2.10 answers: oddities included, since AWS calls that library.

`max` starts from the smallest positive double, so it never answers with a negative number; `last` of a single element
fails; sums and averages are doubles, so `[1, 2]` sums to 3.0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

from engine.query.jsonpath_java import InvalidLiteral, double_value, int_value, java_text, read_literal
from engine.query.jsonpath_steps import Failed, IndexOutside

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.jsonvalue import Json

    Argument: TypeAlias = "Callable[[], Json]"

_NOTHING_TO_COUNT = "Aggregation function attempted to calculate value using empty array"


class KeySet(list):  # type: ignore[type-arg]
    """What `keys()` gives: printed as an array, but no array to the steps and functions after it."""


def is_array(value: Json) -> bool:
    """Whether Jayway takes the value for an array."""
    return isinstance(value, list) and not isinstance(value, KeySet)


def shown(value: Json) -> str:
    """The value as text, as Jayway puts it into messages and `concat` into its answer."""
    return f"[{', '.join(value)}]" if isinstance(value, KeySet) else java_text(value)


def literal(text: str) -> Json:
    """A JSON argument.

    Raises:
        Failed: Not readable as JSON.
    """
    try:
        value = read_literal(text)
    except InvalidLiteral as error:
        raise Failed(str(error)) from None
    if isinstance(value, float) and not math.isfinite(value):
        raise Failed(f"{text}: JSON cannot hold this number")
    return value


def _numbers(model: Json, arguments: list[Argument]) -> list[int | float]:
    candidates = list(model) if isinstance(model, list) and is_array(model) else []
    for argument in arguments:
        value = argument()
        candidates += value if isinstance(value, list) and is_array(value) else [value]
    numbers = [value for value in candidates if isinstance(value, int | float) and not isinstance(value, bool)]
    if not numbers:
        raise Failed(_NOTHING_TO_COUNT)
    return numbers


def _doubles(model: Json, arguments: list[Argument]) -> list[float]:
    return [double_value(number) for number in _numbers(model, arguments)]


def _sum(model: Json, arguments: list[Argument]) -> Json:
    total = 0.0
    for number in _doubles(model, arguments):
        total += number
    return total


def _average(model: Json, arguments: list[Argument]) -> Json:
    numbers = _doubles(model, arguments)
    total = 0.0
    for number in numbers:
        total += number
    return total / len(numbers)


def _minimum(model: Json, arguments: list[Argument]) -> Json:
    return min(_doubles(model, arguments))


def _maximum(model: Json, arguments: list[Argument]) -> Json:
    return max(5e-324, *_doubles(model, arguments))


def _deviation(model: Json, arguments: list[Argument]) -> Json:
    total = squares = 0.0
    numbers = _doubles(model, arguments)
    for number in numbers:
        total += number
        squares += number * number
    variance = squares / len(numbers) - total * total / len(numbers) / len(numbers)
    return math.sqrt(variance) if variance >= 0 else math.nan


def _concatenation(model: Json, arguments: list[Argument]) -> Json:
    pieces = [each for each in model if isinstance(each, str)] if isinstance(model, list) and is_array(model) else []
    for argument in arguments:
        value = argument()
        many = value if isinstance(value, list) and is_array(value) else [value]
        pieces += [shown(each) for each in many if each is not None]
    return "".join(pieces)


def _keys(model: Json, _: list[Argument]) -> Json:
    return KeySet(model) if isinstance(model, dict) else None


def _appended(model: Json, arguments: list[Argument]) -> Json:
    if not isinstance(model, list) or not is_array(model):
        return model
    return [*model, *(argument() for argument in arguments)]


def _element(model: Json, index: int) -> Json:
    if not isinstance(model, list) or not is_array(model):
        raise Failed(_NOTHING_TO_COUNT)
    if index >= len(model):
        raise IndexOutside(f"Index {index} out of bounds for length {len(model)}")
    if index < 0 and len(model) + index <= 0:  # zero as well: the first element cannot be reached from the end
        raise Failed(f"Target index:{index} larger than object count:{len(model)}")
    return model[index]


def _first(model: Json, _: list[Argument]) -> Json:
    return _element(model, 0)


def _last(model: Json, _: list[Argument]) -> Json:
    return _element(model, -1)


def _indexed(model: Json, arguments: list[Argument]) -> Json:
    if not isinstance(model, list) or not is_array(model):
        raise Failed(_NOTHING_TO_COUNT)
    try:
        number = _numbers(None, arguments)[0]
    except Failed:
        raise IndexOutside("Index 0 out of bounds for length 0") from None
    return _element(model, int_value(number))


def length(model: Json) -> Json:
    """How many elements or members; null for anything else, texts included."""
    return len(model) if isinstance(model, list | dict) and not isinstance(model, KeySet) else None


_FUNCTIONS: dict[str, Callable[[Json, list[Argument]], Json]] = {
    "avg": _average,
    "stddev": _deviation,
    "sum": _sum,
    "min": _minimum,
    "max": _maximum,
    "concat": _concatenation,
    "append": _appended,
    "keys": _keys,
    "first": _first,
    "last": _last,
    "index": _indexed,
}

MEASURES = ("length", "size")
"""Two names of the one function whose argument is a path to look at again, from where the function stands."""


def call(name: str, model: Json, arguments: list[Argument]) -> Json:
    """What a function other than those of MEASURES answers.

    Args:
        name: The function.
        model: The value that the function stands behind.
        arguments: Closures, because a JSON literal that nobody asks for may be broken.

    Raises:
        IndexOutside: `first`, `last` or `index` outside the array.
        Failed: The function does not work on these values, or its answer is no finite number.
    """
    value = _FUNCTIONS[name](model, arguments)
    if isinstance(value, float) and not math.isfinite(value):
        raise Failed(f"The function {name}() gives a number that JSON cannot hold")
    return value


def is_function(name: str) -> bool:
    """Whether there is a function of this name."""
    return name in _FUNCTIONS or name in MEASURES
