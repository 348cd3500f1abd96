from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine import Engine
from engine.errors import InvalidToken
from engine.operations.paging import TOKEN_MS, page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.operations.service import Service

pytestmark = pytest.mark.anyio

ITEMS = [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5)]


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Engine.in_memory(clock="virtual") as engine:
        yield engine.service


def one_page(service: Service, token: str | None, *, size: int | None = 2, of: str = "x"):
    asked = page(service, "ListThings", tuple[str, int], max_results=size, next_token=token, of=of)
    found = [item for item in ITEMS if asked.after is None or item > asked.after][: asked.most + 1]
    return asked.shown(found, lambda item: item)


async def test_pages_follow_one_another_and_the_last_has_no_token(service):
    seen, token, calls = [], None, 0
    while True:
        items, rest = one_page(service, token)
        seen, token, calls = [*seen, *items], rest.get("next_token"), calls + 1
        if token is None:
            break
    assert (seen, calls) == (ITEMS, 3)


@pytest.mark.parametrize("size", [None, 0])
async def test_without_a_size_a_page_has_a_hundred_items(service, size):
    assert page(service, "ListThings", str, max_results=size, next_token=None).most == 100


async def test_a_full_last_page_has_no_token(service):
    assert one_page(service, None, size=5) == (ITEMS, {})


async def test_a_token_fits_only_the_arguments_that_it_was_made_for(service):
    _, rest = one_page(service, None)
    with pytest.raises(InvalidToken, match=r"^Invalid Token: 'Invalid token'$"):
        one_page(service, rest["next_token"], of="y")
    with pytest.raises(InvalidToken):
        one_page(service.of("999999999999"), rest["next_token"])
    assert one_page(service, rest["next_token"], size=3)[0] == ITEMS[2:]


@pytest.mark.parametrize("token", ["x", "xxxx", "x" * 1024, "AAAA====", "ä", "e30=", "AAAAAAAAAAAAAAAAe30="])
async def test_what_is_no_token_of_ours_is_refused(service, token):
    with pytest.raises(InvalidToken):
        one_page(service, token)


async def test_a_token_is_good_for_a_day(service, monkeypatch):
    now = service.now()
    monkeypatch.setattr(service.clock, "now", lambda: now)
    _, rest = one_page(service, None)
    now += TOKEN_MS
    assert one_page(service, rest["next_token"])[0] == ITEMS[2:4]
    now += 1
    with pytest.raises(InvalidToken):
        one_page(service, rest["next_token"])
