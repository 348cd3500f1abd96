"""Plain JSONata paths such as `$states.input.order.id`, followed here instead of in the JSONata library.

Most expressions of real definitions are of this kind, and the value is handed on by reference: nothing is converted
into the library and out of it, which at 20 KB is 10 times faster. It is also closer to the service: the library's
numbers are doubles, while the service hands on an integer of 64 bits as it came. A number that is whole loses its `.0`
when the path ends at it (as at the service); inside of a document that is handed on it keeps it: no comparison
can tell.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.jsonvalue import Json

# `true`, `false` and `null` are no names in JSONata, not even behind a dot.
_PLAIN = re.compile(r"\$([A-Za-z_]\w*)((?:\.(?!(?:true|false|null)\b)[A-Za-z_]\w*)*)", re.ASCII)

# Where JSONata's reference implementation begins to write exponents; below, a whole number has all its digits.
_WHOLE_MAX = 1e21


class Nothing(Enum):
    """What an expression can give that is no JSON."""

    UNDEFINED = "undefined"
    FUNCTION = "function"


UNDEFINED: Final = Nothing.UNDEFINED


class PlainPath(NamedTuple):
    """A variable and the names of members below it. For `$states` the first of the names stands in `member`."""

    variable: str
    member: str | None
    names: tuple[str, ...]


def plain_path(source: str) -> PlainPath | None:
    """The path, when the expression is nothing else; `$states` alone is not: it is put together in the library."""
    found = _PLAIN.fullmatch(source)
    if found is None:
        return None
    variable, names = found[1], tuple(found[2].split(".")[1:])
    if variable != "states":
        return PlainPath(variable, None, names)
    return PlainPath(variable, names[0], names[1:]) if names else None


def follow(value: Json, names: Sequence[str]) -> Json | Nothing:
    """Where the path leads: through objects by name, through arrays by collecting what is found in each item.

    A sequence of one item stands for the item; an array that is found once is itself. These are the rules of the
    reference implementation's `evaluatePath` and `lookup`.
    """
    for at, name in enumerate(names):
        if isinstance(value, list):
            return _mapped(value, names[at:])
        if not isinstance(value, dict) or name not in value:
            return UNDEFINED
        value = value[name]
    return whole(value)


def whole(value: Json) -> Json:
    """A number without fraction as an integer; every other value as it is."""
    if type(value) is float and value.is_integer() and abs(value) < _WHOLE_MAX:
        return int(value)
    return value


def _mapped(items: list[Json], names: Sequence[str]) -> Json | Nothing:
    found: list[Json] = []
    for at, name in enumerate(names):
        looked_up = (item.get(name, UNDEFINED) if isinstance(item, dict) else _looked_up(item, name) for item in items)
        found = [value for value in looked_up if not isinstance(value, Nothing)]
        if at == len(names) - 1 and len(found) == 1 and isinstance(found[0], list):
            return found[0]
        items = [item for value in found for item in (value if isinstance(value, list) else [value])]
    if not items:
        return UNDEFINED
    return whole(items[0]) if len(items) == 1 else [whole(item) for item in items]


def _looked_up(item: Json, name: str) -> Json | Nothing:
    if not isinstance(item, list):
        return UNDEFINED
    # Arrays in arrays, as deep as they go; from the innermost outwards, each level flattens what it found.
    found: list[Json] = []
    waiting: list[Json] = [*reversed(item)]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, list):
            waiting += reversed(inner)
        elif isinstance(inner, dict) and name in inner:
            value = inner[name]
            if isinstance(value, list):
                found += value
            else:
                found.append(value)
    return UNDEFINED if not found else found[0] if len(found) == 1 else found
