"""Random JSON documents over a small vocabulary, so that random paths find something in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

KEYS = ("a", "b", "n", "s", "flag", "items", "t", "list", "a.b", "x y", "", "é", "Error", "length", "@", "$", "'", "0")
STRINGS = (
    "", " ", "a", "abc", "a,b;c", "10", "true", "null", "$.a", "{}", "{% 1 %}", "[1,2]", '{"a":1}', "é😀", "\u2028",
    "\\", "2024-01-01T00:00:00Z", "2024-02-30T00:00:00Z", "9999-12-31T23:59:59.999999999+14:00", "aGVsbG8=", "*", "'",
    '"', "\n", "States.ALL", "MD5", "SHA-256", "arn:aws:iam::123456789012:role/r", "x" * 300, "]][[", "{}{}",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 3, 10, 40, 255, 2**31 - 1, -(2**31), 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**64, 10**30, 10**400,
    0.0, -0.0, 0.5, 1.0, -1.5, 1.5, 2.5, 1e-300, 1e21, 1e300, 1.7976931348623157e308, 5e-324,
)  # fmt: skip


def document(draw: Random, depth: int = 3) -> Any:
    """Any JSON value."""
    kind = draw.random()
    if depth > 0 and kind < 0.45:
        return record(draw, depth)
    if depth > 0 and kind < 0.65:
        return [document(draw, depth - 1) for _ in range(draw.choice((0, 1, 2, 3, 3, 5)))]
    return scalar(draw)


def record(draw: Random, depth: int = 3) -> dict[str, Any]:
    """An object; its members often have the type that their names promise."""
    found: dict[str, Any] = {"n": 2, "items": [1, {"n": 1}], "t": "2024-01-01T00:00:00Z"} if draw.random() < 0.5 else {}
    for key in draw.sample(KEYS[:9], draw.randint(0, 6)) if draw.random() < 0.9 else draw.sample(KEYS, 5):
        found[key] = member(draw, key, depth - 1) if draw.random() < 0.8 else document(draw, depth - 1)
    return found


def member(draw: Random, key: str, depth: int) -> Any:
    """A value as other parts of a machine expect it below this name."""
    match key:
        case "n":
            return draw.choice((0, 1, 2, 3, 5, 1.5, -1))
        case "s":
            return draw.choice(STRINGS)
        case "flag":
            return draw.random() < 0.5
        case "items":
            return [record(draw, 1) if draw.random() < 0.5 else scalar(draw) for _ in range(draw.randint(0, 4))]
        case "list":
            return draw.choice(([], [1], [3, 1, 2], ["a", "b", "a"], [[1], [2]], [None, True, 1, 1.0, "1"]))
        case "t":
            return draw.choice(("2024-01-01T00:00:00Z", "2023-11-14T22:13:21+00:00", "2016-13-05T21:29:29Z"))
        case _:
            return document(draw, depth)


def scalar(draw: Random) -> Any:
    """A string, number, boolean or null."""
    kind = draw.random()
    if kind < 0.4:
        return draw.choice(STRINGS)
    if kind < 0.8:
        return draw.choice(NUMBERS)
    return draw.choice((True, False, None))


def nested(levels: int, draw: Random) -> Any:
    """A value inside so many arrays and objects."""
    value: Any = 1
    for _ in range(levels):
        value = [value] if draw.random() < 0.5 else {"a": value}
    return value
