"""Pages of lists: how many items, where the next page begins, and the opaque text that says so (api.md 3)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from engine.errors import InvalidToken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from engine.operations.service import Service

PAGE_DEFAULT = 100
"""Items of a page when `maxResults` is absent or 0."""

PAGE_MAX = 1_000
"""AWS: of `maxResults`."""

TOKEN_MS = 24 * 3_600 * 1_000
"""How long a token is good for."""

_FORMAT = 1
_NUMBER_MAX = (1 << 48) - 1
"""Of a number in a position: milliseconds in a UUIDv7 have 48 bits, and nothing else that we count is longer."""

_CHECK_BYTES = 12

T = TypeVar("T")
Position = TypeVar("Position")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Position]):
    """What is asked of one list call.

    Attributes:
        most: Items, at most. Ask the store for one more, to know whether there are more.
        after: Position of the last item of the page before; None on the first page.
    """

    most: int
    after: Position | None
    now: int
    asked: bytes

    def shown(self, found: Sequence[T], position: Callable[[T], Position]) -> tuple[Sequence[T], dict[str, str]]:
        """The items of this page, and `{"next_token": ...}` if `found` has more than these.

        Args:
            found: Up to `most` + 1 items.
            position: Of an item: what the next call finds in `after`. Its JSON has at most some 500 characters.
        """
        if len(found) <= self.most:
            return found, {}
        shown = found[: self.most]
        return shown, {"next_token": self.token(position(shown[-1]))}

    def token(self, position: Position) -> str:
        """What `after` of the next call is read from."""
        content = msgspec.json.encode((_FORMAT, self.now, position))
        # What it begins with is always the same, and no hyphen: command lines take that for an option.
        return base64.urlsafe_b64encode(content + _check(content, self.asked)).decode()


async def all_items(
    service: Service, key: str, list_: Callable[..., Awaitable[Mapping[str, Any]]], **arguments: Any
) -> AsyncIterator[Mapping[str, Any]]:
    """The items of all pages of a list operation; `key`: which member of its answers has them."""
    token: str | None = None
    while True:
        answer = await list_(service, next_token=token, max_results=PAGE_MAX, **arguments)
        for item in answer[key]:
            yield item
        token = answer.get("next_token")
        if token is None:
            return


def page(
    service: Service,
    operation: str,
    position_type: type[Position],
    *,
    max_results: int | None,
    next_token: str | None,
    **arguments: Any,
) -> Page[Position]:
    """What a list call asks for.

    Args:
        service: Whose list.
        operation: AWS's name of the action.
        position_type: What positions are: values of JSON, or tuples of such, as msgspec knows types.
        max_results: As given: 0 and None are PAGE_DEFAULT.
        next_token: As given: what the page before had.
        arguments: All else that decides what the list is. A token fits only the same ones.

    Raises:
        InvalidToken: Not a token of ours for these arguments, or older than TOKEN_MS.
    """
    asked = msgspec.json.encode((operation, service.region, service.account_id, sorted(arguments.items())))
    now = service.now()
    after = None if next_token is None else _position(next_token, asked, position_type, now)
    return Page(most=max_results or PAGE_DEFAULT, after=after, now=now, asked=asked)


def _position(token: str, asked: bytes, position_type: type[Position], now: int) -> Position:
    try:
        data = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        content = data[:-_CHECK_BYTES]
        if data[-_CHECK_BYTES:] != _check(content, asked):
            raise InvalidToken
        format_, made, position = msgspec.json.decode(content)
        if format_ != _FORMAT or now - made > TOKEN_MS:
            raise InvalidToken
        if not _is_sound(position):
            raise InvalidToken
        return msgspec.convert(position, position_type)
    except (UnicodeEncodeError, binascii.Error, msgspec.MsgspecError, TypeError, ValueError):
        raise InvalidToken from None


def _is_sound(position: Any) -> bool:
    """Whether a store can look for it: who knows how a token is made can write what no page ended with."""
    if isinstance(position, list):
        return all(map(_is_sound, position))
    if isinstance(position, int):
        return 0 <= position <= _NUMBER_MAX
    return "\0" not in position if isinstance(position, str) else position is None


def _check(content: bytes, asked: bytes) -> bytes:
    """Tells a token of ours for these arguments from all others. No secret: a position gives no rights."""
    return hashlib.sha256(content + b"\0" + asked).digest()[:_CHECK_BYTES]
