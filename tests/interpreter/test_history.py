"""What a segment writes once, and shows wherever it belongs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.interpreter.advance import advance_together
from engine.interpreter.messages import TaskError
from tests.definitions import FUNCTION, machine, task
from tests.driver import Drive, done

RESULT = {"text": "written once"}
SERVICE = "arn:aws:states:::sns:publish"


def shown(drive: Drive, kind: str, member: str) -> list[Any]:
    return [
        details[member]
        for event in drive.events()
        if event["type"] == kind
        for key, details in event.items()
        if key.endswith("EventDetails")
    ]


def written(drive: Drive, text: str) -> list[int]:
    """How often each segment has a text."""
    return [msgspec.json.encode(segment).count(text.encode()) for segment in drive.segments]


@pytest.mark.parametrize(
    ("resource", "kind", "member"),
    [
        (FUNCTION + "work", "LambdaFunction", "input"),
        (SERVICE, "Task", "parameters"),
        ("arn:aws:states:us-east-1:123456789012:activity:a", "Activity", "input"),
    ],
)
def test_a_result_that_goes_on_as_it_is_is_written_once(resource: str, kind: str, member: str) -> None:
    drive = Drive(
        machine({"Type": "Task", "Resource": resource}, {"Type": "Task", "Resource": resource}),
        {},
        answer=lambda one: done(one, RESULT),
    )
    drive.run()
    text = '{"text":"written once"}'
    assert written(drive, "written once") == [0, 1, 1]
    assert shown(drive, f"{kind}Succeeded", "output") == [text, text]
    assert shown(drive, "TaskStateExited", "output") == [text, text]
    assert shown(drive, "TaskStateEntered", "input") == ["{}", text]
    assert shown(drive, f"{kind}Scheduled", member) == ["{}", text]
    assert shown(drive, "ExecutionSucceeded", "output") == [text]


def test_what_another_state_gives_shows_though_it_is_a_result_that_was_written_before() -> None:
    each = machine(task(Name="Each"))
    mapped = {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": each, "OutputPath": "$[0]"}
    drive = Drive(machine(mapped), {"items": [1]}, answer=lambda one: done(one, RESULT))
    drive.run()
    assert shown(drive, "MapStateExited", "output") == ['{"text":"written once"}']


def test_an_attempt_shows_its_input_though_the_state_was_entered_long_ago() -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1}]
    answers = iter([lambda one: TaskError(one.task_id, "Busy", None), lambda one: done(one, RESULT)])
    drive = Drive(machine(task(Retry=retry)), {"n": 1}, answer=lambda one: next(answers)(one))
    drive.run()
    assert shown(drive, "LambdaFunctionScheduled", "input") == ['{"n":1}', '{"n":1}']


def test_answers_of_a_wide_map_go_together() -> None:
    mapped = {"Type": "Map", "MaxConcurrency": 40, "ItemProcessor": machine(task(Name="Each"))}
    drive = Drive(machine(mapped), [{"n": n, "text": "x" * 50} for n in range(3_000)], answer=lambda one: None)
    drive.start()
    answers = [done(one, {}) for one in drive.tasks.values()]
    taken = advance_together(drive.plan, drive.snapshot, answers, now=drive.now, chance=drive.chance)[1]
    assert taken == len(answers) == 40


def test_a_part_of_a_result_is_no_result() -> None:
    drive = Drive(machine(task(OutputPath="$.a")), {}, answer=lambda one: done(one, {"a": None}))
    drive.run()
    assert shown(drive, "TaskStateExited", "output") == ["null"]
