"""The functions that Step Functions adds to JSONata, and those it answers differently from the reference.

Undefined and JSON null both arrive as None; the signatures, which the library checks before a call, let null through
only where it is told. None as an answer is undefined. Source of the rules: spec 8.4; what it leaves open (which
arguments are undefined and which are errors, and the texts of those) as measured against the service and published.
"""

from __future__ import annotations

import base64
import json
import math
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.jsonvalue import InvalidJson, Json, decode
from engine.query.drawing import ALGORITHMS, DOUBLE_BITS, digest, java_double_bits, spelled_uuid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.query.evaluation import Chance

# The service accepts $range(1, 360145, 1) and refuses one element more.
RANGE_ITEMS_MAX = 360_145

ARITHMETIC = "asl_arithmetic"

_INFINITY: Final = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
_INT64_MAX = (1 << 63) - 1


class JsonataError(Exception):
    """An evaluation failed; or one of our functions refused its arguments, which comes to the same.

    Attributes:
        code: JSONata's error code; empty for a limit, which has none; None for the service's "internal error".
        message: The text behind the code.
    """

    def __init__(self, code: str | None, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


MEMORY_EXCEEDED = "Expression evaluation memory limit exceeded: Check for excessive memory usage"

CHANCE: ContextVar[Chance] = ContextVar("chance")
"""What `$random()` and `$uuid()` draw from: to be set while an expression is evaluated that calls them.

The library takes functions once per expression, not per evaluation, so chance reaches them beside it.
"""


def _signature_error(function: str, argument: int) -> JsonataError:
    return JsonataError("T0410", f'Argument {argument} of function "{function}" does not match function signature')


def partition(array: Json = None, size: float | None = None, /) -> Json:
    """`$partition([1,2,3], 2)` is `[[1,2],[3]]`; without a size one chunk; of nothing, or by 0, undefined."""
    if array is None:
        return None
    if not isinstance(array, list):
        raise JsonataError("T0412", 'Argument 1 of function "partition" must be an array of undefined')
    if not array:
        return None
    if size is None:
        return [array]
    step = int(size)
    if step < 0:
        raise JsonataError("D3137", "Second argument must be zero or greater")
    return [array[i : i + step] for i in range(0, len(array), step)] if step else None


def range_(start: float | None = None, end: float | None = None, step: float | None = None, /) -> Json:
    """`$range(0, 6, 2)` is `[0,2,4,6]`. A single element stands alone; a step that leads away is undefined."""
    if start is None or end is None:
        raise _signature_error("range", 1 if start is None else 2)
    first, last, by = int(start), int(end), int(step or 0)
    if by == 0 or (last - first) * by < 0:
        return None
    count = (last - first) // by + 1
    if count > RANGE_ITEMS_MAX:
        raise JsonataError("", MEMORY_EXCEEDED)
    return first if count == 1 else list(range(first, first + count * by, by))


def hash_(text: str | None = None, algorithm: str | None = None, /) -> Json:
    """`$hash("input", "SHA-1")` in lower-case hexadecimal; without an algorithm undefined."""
    if text is None:
        raise _signature_error("hash", 1)
    if algorithm is None:
        return None
    if algorithm not in ALGORITHMS:
        raise JsonataError(
            "D3137", f"Hash algorithm '{algorithm}' must be one of SHA-1, SHA-384, SHA-256, SHA-512, MD5"
        )
    return digest(text, algorithm)


def random(seed: float | None = None, /) -> Json:
    """`$random()` is uniform in [0, 1); with a seed, the first `nextDouble()` of `java.util.Random`."""
    if seed is None:
        return CHANCE.get().random()
    return java_double_bits(max(-_INT64_MAX - 1, min(_INT64_MAX, int(seed)))) / (1 << DOUBLE_BITS)


def uuid4() -> Json:
    """`$uuid()`: a random UUID, version 4."""
    return spelled_uuid(CHANCE.get().getrandbits(128))


def parse(text: str | None = None, /) -> Json:
    """`$parse("{}")`: the value of JSON text. A member that is written twice is refused, as by the service."""
    if text is None:
        return None
    try:
        value = decode(text)
        json.loads(text, object_pairs_hook=_without_repetition)
    except (InvalidJson, JsonataError, RecursionError):
        raise JsonataError("D3137", "Invalid JSON") from None
    return value


def _without_repetition(members: list[tuple[str, object]]) -> None:
    if len({name for name, _ in members}) != len(members):
        raise JsonataError("D3137", "Invalid JSON")


def base64decode(text: str | None = None, /) -> Json:
    """`$base64decode`: each byte becomes the character of that number, as in the reference implementation.

    What is no base64 is an internal error at the service; the library would answer the empty string.
    """
    if text is None:
        return None
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode("latin-1")
    except ValueError:
        raise JsonataError(None, "not base64") from None


def arithmetic(operator: str, left: Json, right: Json) -> Json:
    """`+ - * / %` on numbers, where infinity and NaN are written as the strings the service prints for them."""
    if left is None or right is None:
        return None
    a, b = _number("T2001", "left", operator, left), _number("T2002", "right", operator, right)
    try:
        match operator:
            case "+":
                result = a + b
            case "-":
                result = a - b
            case "*":
                result = a * b
            case "/":
                result = a / b
            case _:
                result = math.fmod(a, b)
    except (ZeroDivisionError, ValueError):
        result = math.nan if operator == "%" or a == 0 or math.isnan(a) else math.copysign(math.inf, a)
    return result if math.isfinite(result) else _spelled(result)


def _number(code: str, side: str, operator: str, operand: Json) -> float:
    if isinstance(operand, str) and operand in _INFINITY:
        return _INFINITY[operand]
    if isinstance(operand, bool) or not isinstance(operand, int | float):
        raise JsonataError(code, f'The {side} side of the "{operator}" operator must evaluate to a number')
    return float(operand)


def _spelled(number: float) -> str:
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


class HostFunction(NamedTuple):
    """A function of ours: how the library calls it, and the signature the library checks before."""

    call: Callable[..., Json]
    signature: str | None


FUNCTIONS: Mapping[str, HostFunction] = {
    "partition": HostFunction(partition, "<x?n?:x>"),
    "range": HostFunction(range_, "<n?n?n?:x>"),
    "hash": HostFunction(hash_, "<s?s?:x>"),
    "random": HostFunction(random, "<n?:n>"),
    "uuid": HostFunction(uuid4, "<:s>"),
    "parse": HostFunction(parse, "<s?:x>"),
    "base64decode": HostFunction(base64decode, "<s-:s>"),
}
"""By name without `$`: visible to every expression, unless a workflow variable has the name."""

ARITHMETIC_FUNCTIONS: Mapping[str, HostFunction] = {ARITHMETIC: HostFunction(arithmetic, None)}
"""For expressions rewritten by `jsonata_syntax.with_arithmetic_as_calls`."""

DRAWING = frozenset(("random", "uuid"))
"""Those that need `CHANCE`."""
