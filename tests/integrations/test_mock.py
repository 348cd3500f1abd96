"""Answers that are known beforehand."""

from __future__ import annotations

import pytest

import engine
from tests.definitions import catch, invoke, machine, task

pytestmark = pytest.mark.anyio

ECHO = {"Type": "Pass"}


async def test_a_mock_is_the_tasks_raw_result_without_an_envelope():
    handlers = {"work": 'mock:{"Payload": 5}'}
    assert await engine.run(machine(task()), handlers=handlers) == {"Payload": 5}
    assert await engine.run(machine(invoke()), handlers=handlers) == {"Payload": 5}


@pytest.mark.parametrize(
    ("spec", "output"),
    [
        ("fail:Oh.No:it broke: badly", {"Error": "Oh.No", "Cause": "it broke: badly"}),
        ("fail:Oh.No:", {"Error": "Oh.No", "Cause": ""}),
        ("fail:Oh.No", {"Error": "Oh.No", "Cause": None}),
        ("fail:States.Timeout", {"Error": "States.Timeout", "Cause": ""}),
    ],
)
async def test_fail_gives_error_and_cause(spec, output):
    caught = await engine.run(machine(task(Catch=catch("B")), ECHO), handlers={"work": spec})
    assert caught == output


@pytest.mark.parametrize("suffix", ["", ".waitForTaskToken"])
async def test_a_mock_ends_a_task_that_waits_for_a_token_at_once(suffix):
    async with engine.Engine.in_memory({"work": "mock:7"}) as one:
        execution = await one.start_execution(machine(invoke(suffix=suffix)))
        assert await execution.result() == 7
        types = [event["type"] for event in await execution.history()]
    assert types.count("TaskSubmitted") == (1 if suffix else 0)
    assert types.index("TaskSucceeded") == 4 + types.count("TaskSubmitted")


async def test_a_mock_ends_an_activity():
    arn = "arn:aws:states:us-east-1:123456789012:activity:paint"
    async with engine.Engine.in_memory({"paint": "mock:7"}) as one:
        execution = await one.start_execution(machine({"Type": "Task", "Resource": arn}))
        assert await execution.result() == 7
        types = [event["type"] for event in await execution.history()]
    assert types[2:5] == ["ActivityScheduled", "ActivityStarted", "ActivitySucceeded"]


@pytest.mark.parametrize(
    "spec",
    ["mock:", "mock:{", "mock:nothing", "fail:", "fail::cause", "sundial", "no.such.module:f", "json:no_such"],
)
async def test_a_text_that_says_nothing_is_refused(spec):
    with pytest.raises(engine.InvalidHandler, match="handler for 'work'"):
        engine.Handlers({"work": spec})
