from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from engine import Engine
from engine.errors import InvalidToken
from engine.operations.activities import list_activities
from engine.operations.aliases import list_state_machine_aliases
from engine.operations.executions import list_executions, start_execution
from engine.operations.history import get_execution_history
from engine.operations.map_runs import list_map_runs
from engine.operations.paging import TOKEN_MS, page
from engine.operations.state_machines import create_state_machine, list_state_machines
from engine.operations.versions import list_state_machine_versions
from tests.operations.conftest import ACCOUNT
from tests.store.conftest import cluster, url, url_with_tables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.operations.service import Service

pytestmark = pytest.mark.anyio

__all__ = ["cluster", "url", "url_with_tables"]

MACHINE = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:m"
EXECUTION = f"arn:aws:states:us-east-1:{ACCOUNT}:execution:m:e"
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


@pytest.mark.parametrize(
    "position", ["a\0b", ["a", 1 << 48], ["a", -1], ["\0", 1], ["a", 1 << 70], ["a", 1.0], 5, {"a": 1}]
)
async def test_a_position_that_no_page_ended_with_is_refused(service, position):
    forged = page(service, "ListThings", tuple[str, int], max_results=2, next_token=None, of="x").token(position)
    with pytest.raises(InvalidToken):
        one_page(service, forged)


NUMBERS = [0, -(1 << 63), 1 << 47, 1 << 62, 1 << 70]
TEXTS = ["a\0b", "\U0010ffff" * 80]
MOMENTS = [[number, "00000000-0000-0000-0000-000000000000"] for number in NUMBERS]
HISTORY = {"execution_arn": EXECUTION, "include_execution_data": True}
OF_MACHINE = {"state_machine_arn": MACHINE}
LISTS: list[tuple[Any, str, Any, list[Any], dict[str, Any]]] = [
    (list_state_machines, "ListStateMachines", str, TEXTS, {}),
    (list_activities, "ListActivities", str, TEXTS, {}),
    (list_state_machine_versions, "ListStateMachineVersions", int, NUMBERS, OF_MACHINE),
    (list_state_machine_aliases, "ListStateMachineAliases", str, TEXTS, OF_MACHINE),
    (
        list_executions,
        "ListExecutions",
        tuple[int, UUID],
        MOMENTS,
        {**OF_MACHINE, "status_filter": None, "redrive_filter": None},
    ),
    (list_map_runs, "ListMapRuns", tuple[int, UUID], MOMENTS, {"execution_arn": EXECUTION}),
    (get_execution_history, "GetExecutionHistory", int, NUMBERS, {**HISTORY, "reverse_order": True}),
    (get_execution_history, "GetExecutionHistory", int, NUMBERS, {**HISTORY, "reverse_order": False}),
]


async def test_no_forged_token_makes_postgres_fail(url):
    """Its numbers and texts have bounds of their own; what is beyond must not come to it."""
    async with Engine(url, handlers={}, region="us-east-1", account_id=ACCOUNT) as engine:
        service = engine.service
        definition = '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}'
        role = f"arn:aws:iam::{ACCOUNT}:role/any"
        await create_state_machine(service, name="m", definition=definition, role_arn=role)
        await start_execution(service, state_machine_arn=MACHINE, name="e")
        pages = 0
        for list_, operation, kind, positions, arguments in LISTS:
            for position in positions:
                token = page(service, operation, kind, max_results=2, next_token=None, **arguments).token(position)
                try:
                    await list_(service, next_token=token, **arguments)
                except InvalidToken:
                    continue
                pages += 1
        assert pages >= len(LISTS)  # each list took a position that may be


async def test_a_token_is_good_for_a_day(service, monkeypatch):
    now = service.now()
    monkeypatch.setattr(service.clock, "now", lambda: now)
    _, rest = one_page(service, None)
    now += TOKEN_MS
    assert one_page(service, rest["next_token"])[0] == ITEMS[2:4]
    now += 1
    with pytest.raises(InvalidToken):
        one_page(service, rest["next_token"])


async def test_a_command_line_never_takes_a_token_for_an_option(service):
    asked = page(service, "ListThings", int, max_results=2, next_token=None)
    assert {asked.token(number)[0] for number in range(300)} == {"W"}
