"""What each intrinsic function does to values that have already been computed. How they are written: `intrinsics`.

Recorded behaviour is in asl.md 7.2 and 7.3. Where nothing is recorded we refuse rather than guess a value: a workflow
that fails with a text is easier to mend than one that goes on with a value AWS would not give. A boolean is never a
number.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import TypeAlias

from engine.jsonvalue import InvalidJson, Json, decode, equal, json_type, text
from engine.query.drawing import ALGORITHMS, DOUBLE_BITS, digest, java_double_bits, spelled_uuid
from engine.query.evaluation import LEVEL_BYTES, Chance, Growth

CHARACTERS_MAX = 10_000
"""Of the argument of Base64Encode, Base64Decode and Hash: AWS's limit."""

ITEMS_MAX = 1_000
"""Of the array that ArrayRange makes: AWS's limit."""

_INT32_MIN, _INT32_MAX = -(1 << 31), (1 << 31) - 1
_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1


class Refused(Exception):
    """A function cannot work on its arguments: `States.IntrinsicFailure`. The text is the end of the cause."""


def _wrong(place: int, wanted: str, value: Json) -> Refused:
    return Refused(f"argument {place} must be {wanted}, but is of type {json_type(value)}")


def _array(value: Json, place: int) -> list[Json]:
    if not isinstance(value, list):
        raise _wrong(place, "an array", value)
    return value


def _object(value: Json, place: int) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise _wrong(place, "an object", value)
    return value


def _string(value: Json, place: int) -> str:
    if not isinstance(value, str):
        raise _wrong(place, "a string", value)
    return value


def _short(value: str, place: int) -> str:
    if len(value) > CHARACTERS_MAX:
        raise Refused(f"argument {place} must have {CHARACTERS_MAX} characters or fewer, but has {len(value)}")
    return value


def _rounded(value: Json, place: int) -> int:
    """A number to the nearest integer, halves upwards: floor(x + 0.5) without the rounding of that sum."""
    if type(value) is int:
        return value
    if type(value) is not float:
        raise _wrong(place, "a number", value)
    floor = math.floor(value)
    return floor + (value - floor >= 0.5)


def _long(value: Json, place: int) -> int:
    number = _rounded(value, place)
    if not _INT64_MIN <= number <= _INT64_MAX:
        raise Refused(f"argument {place} is beyond a 64-bit integer")
    return number


# ── Arrays ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _make_array(*values: Json) -> Json:
    return list(values)


def _array_partition(array: Json, size: Json) -> Json:
    items, step = _array(array, 1), _long(size, 2)
    if step <= 0:
        raise Refused("argument 2 must be a positive integer")
    return [items[start : start + step] for start in range(0, len(items), step)]


def _array_contains(array: Json, wanted: Json) -> Json:
    return any(equal(item, wanted) for item in _array(array, 1))


def _array_range(first: Json, last: Json, step: Json) -> Json:
    start, end, by = _long(first, 1), _long(last, 2), _long(step, 3)
    if by == 0:
        raise Refused("argument 3 must not be 0")
    if (end - start) // by + 1 > ITEMS_MAX:
        raise Refused(f"the array would have more than {ITEMS_MAX} items")
    return list(range(start, end + (1 if by > 0 else -1), by))


def _array_get_item(array: Json, index: Json) -> Json:
    items = _array(array, 1)
    if type(index) is float and index.is_integer():
        index = int(index)
    if type(index) is not int:
        raise Refused("argument 2 must be an integer")
    if not 0 <= index < len(items):
        raise Refused(f"index {index} is out of bounds for an array of length {len(items)}")
    return items[index]


def _array_length(array: Json) -> Json:
    return len(_array(array, 1))


def _array_unique(array: Json) -> Json:
    first: dict[Hashable, Json] = {}
    for item in _array(array, 1):
        first.setdefault(_identity(item), item)
    return list(first.values())


def _identity(value: Json) -> Hashable:
    """Equal for values that are the same JSON, and only for those: comparing all pairs would be quadratic."""
    if isinstance(value, bool):
        return (bool, value)
    if isinstance(value, list):
        return (list, tuple(map(_identity, value)))
    if isinstance(value, dict):
        return (dict, frozenset((key, _identity(member)) for key, member in value.items()))
    return value


# ── Encoding and hashing ────────────────────────────────────────────────────────────────────────────────────────────


def _base64_encode(value: Json) -> Json:
    return base64.b64encode(_short(_string(value, 1), 1).encode()).decode()


def _base64_decode(value: Json) -> Json:
    source = _short(_string(value, 1), 1)
    try:
        return base64.b64decode(source, validate=True).decode()
    except UnicodeDecodeError:
        raise Refused("argument 1 decodes to bytes that are no UTF-8 text") from None
    except ValueError:
        raise Refused("argument 1 is not Base64") from None


def _hash(data: Json, algorithm: Json) -> Json:
    name = _string(algorithm, 2)
    if name not in ALGORITHMS:
        raise Refused(f"argument 2 must be one of {', '.join(ALGORITHMS)}")
    source = data if isinstance(data, str) else text(data)
    return digest(_short(source, 1), name)


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _string_to_json(value: Json) -> Json:
    source = _string(value, 1)
    if not source.strip(" \t\r\n"):
        return None  # recorded for "" and " "
    try:
        return decode(source)
    except InvalidJson as error:
        raise Refused(f"argument 1 is not JSON: {error}") from None


def _json_to_string(value: Json) -> Json:
    return text(value)


def _json_merge(left: Json, right: Json, deep: Json) -> Json:
    lower, upper = _object(left, 1), _object(right, 2)
    if deep is not False:
        raise Refused("argument 3 must be false: only shallow merging is supported")
    return {**lower, **upper}


# ── Numbers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _math_add(augend: Json, addend: Json) -> Json:
    left = augend if type(augend) is int else _rounded(augend, 1)
    right = addend if type(addend) is int else _rounded(addend, 2)
    total = left + right
    for number in (left, right, total):
        if not _INT32_MIN <= number <= _INT32_MAX:
            raise Refused(f"the arguments and their sum must be between {_INT32_MIN} and {_INT32_MAX}")
    return total


def _math_random(chance: Chance, start: Json, end: Json, *seed: Json) -> Json:
    """An integer from start (included) to end (excluded).

    With a seed it is the first `nextDouble()` of `java.util.Random(seed)`, scaled: the generator that AWS was measured
    to use for a seed in JSONata (asl.md 8.4). What it uses here is not recorded, only that a seed fixes the number.
    """
    low, high = _long(start, 1), _long(end, 2)
    if low >= high:
        raise Refused("argument 1 must be less than argument 2")
    bits = java_double_bits(_long(seed[0], 3)) if seed else chance.getrandbits(DOUBLE_BITS)
    return low + (bits * (high - low) >> DOUBLE_BITS)


# ── Text ────────────────────────────────────────────────────────────────────────────────────────────────────────────

# Braces that come as data can be escaped too, but nothing else: a path such as C:\new must stay what it is.
_BRACES_OF_DATA = re.compile(r"\\([{}])|\{\}|[{}]")
_BRACES_OF_LITERAL = re.compile(r"\\([{}'\\])|\{\}|[{}]")


def template_parts(template: str, *, literal: bool) -> list[str]:
    """The texts before, between and after the `{}` of a template of States.Format, escapes resolved.

    Args:
        template: The text; of a literal what stands between its quotes, escapes still in it.
        literal: Whether it is written in the definition.

    Raises:
        Refused: A brace that is neither escaped nor part of a `{}`. AWS creates such a state machine and words the
            first of the two texts so when it runs (aws-cdk issue 29261).
    """
    parts: list[str] = []
    piece: list[str] = []
    at = 0
    for found in (_BRACES_OF_LITERAL if literal else _BRACES_OF_DATA).finditer(template):
        piece.append(template[at : found.start()])
        at = found.end()
        if found[1]:
            piece.append(found[1])
        elif found[0] == "{}":
            parts.append("".join(piece))
            piece.clear()
        else:
            missing = "}" if found[0] == "{" else "{"
            raise Refused(f"Invalid template in States.Format: matching '{missing}' not found for '{found[0]}'.")
    piece.append(template[at:])
    parts.append("".join(piece))
    return parts


def wrong_count(parts: Sequence[str], values: int) -> Refused:
    """The refusal for a template whose `{}` are more or fewer than the values."""
    return Refused(f"the template has {len(parts) - 1} occurrences of {{}}, but there are {values} arguments for them")


def printed(value: Json) -> str:
    """A value as States.Format prints it: a string raw, containers as Java does, `{Arg1=1, Arg2=[]}` (recorded)."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return f"[{', '.join(map(printed, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}={printed(member)}' for key, member in value.items())}}}"
    return text(value)


def _format(template: Json, *values: Json) -> Json:
    parts = template_parts(_string(template, 1), literal=False)
    if len(parts) != len(values) + 1:
        raise wrong_count(parts, len(values))
    pieces = [parts[0]]
    for value, part in zip(values, parts[1:], strict=True):
        pieces += (printed(value), part)
    return "".join(pieces)


def _string_split(value: Json, separators: Json) -> Json:
    """Every character of the second argument separates; empty pieces are dropped, the others not trimmed (recorded)."""
    source, characters = _string(value, 1), _string(separators, 2)
    if not characters:
        return [source] if source else []
    separator = characters[0]
    if len(characters) > 1:
        source = source.translate(dict.fromkeys(map(ord, characters), separator))
    return [piece for piece in source.split(separator) if piece]


def _uuid(chance: Chance) -> Json:
    return spelled_uuid(chance.getrandbits(128))


# ── The table ───────────────────────────────────────────────────────────────────────────────────────────────────────

Bound: TypeAlias = Callable[[Sequence[Growth]], Growth]
"""From the bounds of the arguments to the bound of the result."""


def _at_most(size: int) -> Bound:
    return lambda arguments: Growth(size)


def _of_first(fixed: int, times: int) -> Bound:
    return lambda arguments: Growth(fixed, times).of(arguments[0])


def _of_all(fixed: int, times: int) -> Bound:
    return lambda arguments: Growth(fixed, times).of(reduce(Growth.plus, arguments, Growth(len(arguments))))


@dataclass(frozen=True, slots=True)
class Function:
    """An intrinsic function.

    Attributes:
        run: From the argument values to the value; raises Refused. With `uses_chance` a Chance comes before them.
        arguments_min: How many arguments it takes at least.
        arguments_max: How many at most; None: any number.
        bound: Its growth. Asked only when the number of arguments is right.
        gives_string: Whether its value can be a string, as ErrorPath and CausePath want (AWS's list).
        uses_chance: Whether its value differs from call to call.
    """

    run: Callable[..., Json]
    arguments_min: int
    arguments_max: int | None
    bound: Bound
    gives_string: bool = False
    uses_chance: bool = False


# The factors of growth. Format: an array of n digits is printed with n spaces. Partition: two brackets round each item.
# Base64Decode: three bytes of four characters, each written as six (U+0001). JsonToString: each quote gets a backslash.
# StringToJson: `1e9,` becomes `1000000000.0,`, and "" null; but two characters can be a level.
# StringSplit: two quotes round each character.
FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        "States.Array": Function(_make_array, 0, None, _of_all(LEVEL_BYTES, 1)),
        "States.ArrayContains": Function(_array_contains, 2, 2, _at_most(6)),
        "States.ArrayGetItem": Function(_array_get_item, 2, 2, _of_first(0, 1), gives_string=True),
        "States.ArrayLength": Function(_array_length, 1, 1, _at_most(12)),
        "States.ArrayPartition": Function(_array_partition, 2, 2, _of_first(2 * LEVEL_BYTES, 2)),
        "States.ArrayRange": Function(_array_range, 3, 3, _at_most(21 * ITEMS_MAX + 2)),
        "States.ArrayUnique": Function(_array_unique, 1, 1, _of_first(0, 1)),
        "States.Base64Decode": Function(_base64_decode, 1, 1, _of_first(2, 5), gives_string=True),
        "States.Base64Encode": Function(_base64_encode, 1, 1, _of_first(6, 2), gives_string=True),
        "States.Format": Function(_format, 1, None, _of_all(2, 2), gives_string=True),
        "States.Hash": Function(_hash, 2, 2, _at_most(131), gives_string=True),
        "States.JsonMerge": Function(_json_merge, 3, 3, _of_all(2, 1)),
        "States.JsonToString": Function(_json_to_string, 1, 1, _of_first(2, 2), gives_string=True),
        "States.MathAdd": Function(_math_add, 2, 2, _at_most(12)),
        "States.MathRandom": Function(_math_random, 2, 3, _at_most(21), uses_chance=True),
        "States.StringSplit": Function(_string_split, 2, 2, _of_first(4, 2)),
        "States.StringToJson": Function(_string_to_json, 1, 1, _of_first(4, LEVEL_BYTES // 2)),
        "States.UUID": Function(_uuid, 0, 0, _at_most(39), gives_string=True, uses_chance=True),
    }
)
"""All of them, by the name that is written."""
