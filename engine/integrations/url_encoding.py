"""Query strings and form bodies of HTTP Tasks (integrations.md 5.11). No IO here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import quote

from engine.jsonvalue import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.jsonvalue import Json

ArrayFormat: TypeAlias = Literal["INDICES", "REPEAT", "COMMAS", "BRACKETS"]

_UNRESERVED: Final = "-_.~"


def pairs(value: dict[str, Json], array_format: ArrayFormat) -> Iterator[tuple[str, str]]:
    """Names and values of an object, percent-encoded: objects in it as `a[b]=c`, arrays as the format says.

    With COMMAS the commas between elements stay as they are; those in elements are encoded.
    """
    for key, member in value.items():
        yield from _flat(quoted(key), member, array_format)


def _flat(name: str, value: Json, array_format: ArrayFormat) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _flat(f"{name}{quoted(f'[{key}]')}", member, array_format)
    elif isinstance(value, list):
        if array_format == "COMMAS":
            if value:
                yield name, ",".join(quoted(scalar_text(element)) for element in value)
            return
        for index, element in enumerate(value):
            mark = {"INDICES": f"[{index}]", "BRACKETS": "[]", "REPEAT": ""}[array_format]
            yield from _flat(f"{name}{quoted(mark)}", element, array_format)
    else:
        yield name, quoted(scalar_text(value))


def scalar_text(value: Json) -> str:
    """A value as text: null is empty, and what is no text is its JSON."""
    return value if isinstance(value, str) else "" if value is None else text(value)


def joined(encoded: Iterable[tuple[str, str]]) -> str:
    """`a=b&c=d` of what is encoded already."""
    return "&".join(f"{name}={value}" for name, value in encoded)


def quoted(given: str) -> str:
    """Percent-encoded, a blank as `%20` (documented)."""
    return quote(given, safe=_UNRESERVED)
