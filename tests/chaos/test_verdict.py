"""The checker of histories sees what must never be."""

from __future__ import annotations

from typing import Any

import pytest

import engine
from tests.chaos.handlers import work
from tests.chaos.programs import PROGRAMS, given
from tests.histories import fault_of, scheduled_tasks

pytestmark = pytest.mark.anyio


@pytest.fixture
async def history() -> tuple[str, list[str], list[dict[str, Any]]]:
    """Of one with a Task that fails, is retried and succeeds: ARN, the keys that handlers were given, events."""
    keys: list[str] = []

    async def keeping(event: Any, context: Any) -> Any:
        keys.append(context.idempotency_key)
        return await work(event, context)

    async with engine.Engine.in_memory({"*": keeping}, clock="virtual") as here:
        execution = await here.start_execution(PROGRAMS["parallel"], given(1))
        await execution.result()
        return execution.arn, keys, await execution.history()


async def test_the_keys_of_handlers_are_found_in_the_history(history: Any) -> None:
    arn, keys, events = history
    assert fault_of(events) is None
    assert {task.key for task in scheduled_tasks(arn, events)} == set(keys)
    assert len(keys) == 4
    assert all(task.is_answered for task in scheduled_tasks(arn, events))


async def test_a_missing_event_is_seen(history: Any) -> None:
    _, _, events = history
    assert "a gap" in str(fault_of(events[:5] + events[6:]))
    assert "ends at []" in str(fault_of(events[:-1]))
    assert fault_of([]) is not None


async def test_a_second_end_is_seen(history: Any) -> None:
    _, _, events = history
    again = {**events[-1], "id": len(events) + 1, "previousEventId": len(events)}
    assert "ends at" in str(fault_of([*events, again]))


async def test_a_second_answer_is_seen(history: Any) -> None:
    _, _, events = history
    place = next(place for place, event in enumerate(events) if event["type"] == "LambdaFunctionSucceeded")
    scheduled = events[events[place]["previousEventId"] - 1]["previousEventId"]
    other = events[-2]
    twice = [*events[:-2], {**other, "type": "LambdaFunctionFailed", "previousEventId": scheduled}, events[-1]]
    assert "both answer" in str(fault_of(twice))
