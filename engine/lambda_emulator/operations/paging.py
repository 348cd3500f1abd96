"""Pages of lists: `Marker` and `MaxItems`."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any, TypeVar

from engine.lambda_emulator.errors import InvalidParameterValueException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

T = TypeVar("T")

NAME = r"[a-zA-Z0-9$_.-]+"
NUMBER = r"\d{1,9}"
"""Forms of positions."""

PAGE_DEFAULT = 50
"""Items of a page when `MaxItems` is absent."""

PAGE_MAX = 50
"""More than these come on no page, whatever is asked."""


def position(marker: str | None, form: str = NAME) -> str:
    """The position after which a page begins; "" for the first.

    Args:
        form: Regular expression of this list's positions.

    Raises:
        InvalidParameterValueException: A marker that this list never gave.
    """
    if marker is None:
        return ""
    try:
        found = base64.b64decode(marker.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        found = ""
    if re.fullmatch(form, found) is None:
        raise InvalidParameterValueException("Invalid marker: give the NextMarker of the page before.")
    return found


def page_size(max_items: int | None) -> int:
    """How many items a page has."""
    return min(max_items or PAGE_DEFAULT, PAGE_MAX)


def page_by_name(
    name: str, found: Iterable[str], *, marker: str | None, max_items: int | None, show: Callable[[str], Any]
) -> dict[str, Any]:
    """One page of items that have names, in their order; `show` gets a name. Raises InvalidParameterValueException."""
    after = position(marker)
    left = [one for one in sorted(found) if one > after]
    return page(name, left, max_items=max_items, position_of=lambda one: one, show=show)


def page(
    name: str, found: Sequence[T], *, max_items: int | None, position_of: Callable[[T], str], show: Callable[[T], Any]
) -> dict[str, Any]:
    """One page.

    Args:
        name: Of the member with the items.
        found: What comes after the marker, at least one more than fits on the page if there are so many.
        position_of: Of an item, for the marker.
    """
    most = page_size(max_items)
    shown: dict[str, Any] = {name: [show(one) for one in found[:most]]}
    if len(found) > most:
        shown["NextMarker"] = base64.urlsafe_b64encode(position_of(found[most - 1]).encode()).decode()
    return shown
