from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from engine.asl.parser import parse_state
from engine.errors import StatesError
from engine.interpreter.messages import ScheduleTask, StartTimer, TaskDone, TimerDue
from engine.interpreter.snapshot import Execution
from engine.interpreter.trial import Mock, Trial
from engine.jsonvalue import encode

if TYPE_CHECKING:
    from engine.jsonvalue import Json

NOW = 1_700_000_000_000
LAMBDA = "arn:aws:states:::lambda:invoke"
BUSY = StatesError("Busy", "later")


def task(**fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": LAMBDA, "End": True, **fields}


def map_state(**fields: Any) -> dict[str, Any]:
    flow = {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}}
    return {"Type": "Map", "ItemProcessor": flow, "End": True, **fields}


def made(definition: dict[str, Any], given: Json = None, mock: Mock | None = None, **options: Any) -> Trial:
    parsed = parse_state(definition)
    assert parsed.program is not None, parsed.diagnostics
    execution = Execution(
        arn="arn:aws:states:us-east-1:123456789012:express:m:e",
        name="e",
        type="EXPRESS",
        role_arn="role",
        state_machine_arn="arn:aws:states:us-east-1:123456789012:stateMachine:m",
        state_machine_name="m",
        input={} if given is None else given,
        input_bytes=len(encode(given)),
        start_time=NOW,
        payload_bytes_max=options.pop("payload_bytes_max", 0),
        history_events_max=0,
        region="us-east-1",
        sync=True,
    )
    options = {"context": {"State": {"Name": "S"}}, "variables": {}, **options}
    return Trial(parsed.program.states["StateName"], execution=execution, mock=mock, chance=random.Random(1), **options)


def trial(definition: dict[str, Any], given: Json = None, mock: Mock | None = None, **options: Any) -> Trial:
    one = made(definition, given, mock, **options)
    one.enter(NOW)
    return one


def tried(definition: dict[str, Any], given: Json = None, mock: Mock | None = None, **options: Any) -> Any:
    outcome = trial(definition, given, mock, **options).outcome
    assert outcome is not None
    return outcome


def stages(definition: dict[str, Any], given: Json = None, mock: Mock | None = None) -> dict[str, Json]:
    return trial(definition, given, mock).seen.stages


def test_what_follows_is_named_and_not_run() -> None:
    outcome = tried({"Type": "Pass", "Next": "Other"}, {"a": 1})
    assert (outcome.status, outcome.output, outcome.next_state) == ("SUCCEEDED", {"a": 1}, "Other")


def test_a_state_that_follows_itself_is_entered_once() -> None:
    outcome = tried({"Type": "Pass", "Parameters": {"n.$": "$"}, "Next": "StateName"}, 1)
    assert (outcome.output, outcome.next_state) == ({"n": 1}, "StateName")


def test_a_succeed_state_goes_nowhere() -> None:
    assert tried({"Type": "Succeed"}, 1).next_state is None


def test_every_stage_of_a_task_is_told() -> None:
    definition = task(
        InputPath="$.in",
        Parameters={"p.$": "$.x"},
        ResultSelector={"s.$": "$.r"},
        ResultPath="$.out",
        OutputPath="$.out",
    )
    given: Json = {"in": {"x": 1}}
    assert stages(definition, given, Mock(result={"r": 2})) == {
        "afterInputPath": {"x": 1},
        "afterParameters": {"p": 1},
        "result": {"r": 2},
        "afterResultSelector": {"s": 2},
        "afterResultPath": {"in": {"x": 1}, "out": {"s": 2}},
    }


def test_the_stages_before_a_failure_are_told() -> None:
    seen = trial(task(InputPath="$.in", Parameters={"p.$": "$.missing"}), {"in": {"x": 1}}, Mock(result=1)).seen
    assert seen.stages == {"afterInputPath": {"x": 1}}


def test_arguments_and_result_of_jsonata_are_told() -> None:
    definition = task(
        QueryLanguage="JSONata", Arguments={"p": "{% $states.input %}"}, Output="{% $states.result + 1 %}"
    )
    assert stages(definition, 5, Mock(result=7)) == {"afterArguments": {"p": 5}, "result": 7}


@pytest.mark.parametrize("assigns", [False, True])
def test_stages_of_a_pass_state_are_told_with_and_without_assign(assigns: bool) -> None:
    definition = {"Type": "Pass", "Parameters": {"p.$": "$"}, "ResultPath": "$.r", "OutputPath": "$.r", "End": True}
    seen = stages({**definition, **({"Assign": {"v.$": "$"}} if assigns else {})}, {"a": 1})
    assert seen["afterParameters"] == {"p": {"a": 1}}
    assert seen["afterResultPath"] == {"a": 1, "r": {"p": {"a": 1}}}


def test_a_retry_is_told_and_not_waited_for() -> None:
    retry = [{"ErrorEquals": ["Other"]}, {"ErrorEquals": ["Busy"], "IntervalSeconds": 3, "MaxAttempts": 2}]
    one = trial(task(Retry=retry), mock=Mock(error=BUSY), retries=1)
    assert one.outcome is not None
    assert one.outcome.error is not None
    assert (one.outcome.status, one.outcome.error.error, one.outcome.output) == ("RETRIABLE", "Busy", None)
    assert (one.seen.retrier, one.seen.back_off_seconds) == (1, 6.0)


def test_an_exhausted_retrier_leaves_the_error_to_the_catchers() -> None:
    retry = [{"ErrorEquals": ["Busy"], "MaxAttempts": 2}]
    catch = [{"ErrorEquals": ["Other"], "Next": "A"}, {"ErrorEquals": ["Busy"], "ResultPath": "$.e", "Next": "B"}]
    one = trial(task(Retry=retry, Catch=catch), {"a": 1}, Mock(error=BUSY), retries=2)
    assert one.outcome is not None
    assert (one.outcome.status, one.outcome.next_state) == ("CAUGHT_ERROR", "B")
    assert one.outcome.output == {"a": 1, "e": {"Error": "Busy", "Cause": "later"}}
    assert (one.seen.retrier, one.seen.catcher, one.seen.back_off_seconds) == (0, 1, None)


def test_a_catcher_whose_output_fails_fails_the_state() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Output": "{% 1 + 'x' %}", "Next": "A"}]
    one = trial(task(QueryLanguage="JSONata", Catch=catch), mock=Mock(error=BUSY))
    assert one.outcome is not None
    assert one.outcome.status == "FAILED"
    assert one.outcome.error is not None
    assert one.outcome.error.error == "States.QueryEvaluationError"
    assert one.seen.catcher is None


def test_a_cause_does_not_tell_where_the_execution_was() -> None:
    outcome = tried({"Type": "Pass", "InputPath": "$.missing", "End": True}, {})
    assert outcome.error.error == "States.Runtime"
    assert "An error occurred" not in outcome.error.cause


def test_variables_are_read_and_assigned() -> None:
    definition = {"Type": "Pass", "Parameters": {"x.$": "$v"}, "Assign": {"v": 2, "w.$": "$.x"}, "End": True}
    outcome = tried(definition, variables={"v": 1, "u": 0})
    assert outcome.output == {"x": 1}
    assert outcome.variables == {"v": 2, "u": 0, "w": 1}


def test_the_context_object_is_the_given_one() -> None:
    definition = {"Type": "Pass", "Parameters": {"c.$": "$$"}, "End": True}
    assert tried(definition, context={"Execution": {"Id": "x"}}).output == {"c": {"Execution": {"Id": "x"}}}


def test_a_state_of_a_map_has_its_input_as_item() -> None:
    definition = {"Type": "Pass", "Parameters": {"i.$": "$$.Map.Item"}, "End": True}
    assert tried(definition, "red", is_in_map=True).output == {"i": {"Index": 0, "Value": "red"}}


def test_a_task_without_a_mock_is_asked_for_and_answered() -> None:
    definition = task(Parameters={"FunctionName": "f"}, ResultPath="$.r", TimeoutSeconds=60)
    one = made(definition, {"a": 1})
    schedule, timer = one.enter(NOW)
    assert isinstance(schedule, ScheduleTask)
    assert isinstance(timer, StartTimer)
    assert (schedule.arguments, timer.due) == ({"FunctionName": "f"}, NOW + 60_000)
    assert one.outcome is None
    one.answer(TaskDone(schedule.task_id, 5, 1), NOW + 1)
    assert one.outcome is not None
    assert one.outcome.output == {"a": 1, "r": 5}


def test_a_task_that_takes_too_long_times_out() -> None:
    one = made(task(TimeoutSeconds=60, Catch=[{"ErrorEquals": ["States.Timeout"], "Next": "A"}]))
    _, timer = one.enter(NOW)
    assert isinstance(timer, StartTimer)
    one.answer(TimerDue(timer.timer_id), timer.due)
    assert one.outcome is not None
    assert (one.outcome.status, one.outcome.next_state) == ("CAUGHT_ERROR", "A")


def test_a_result_beyond_the_payload_limit_fails() -> None:
    outcome = tried(task(), mock=Mock(result="x" * 100), payload_bytes_max=50)
    assert outcome.error.error == "States.DataLimitExceeded"


def test_a_map_shows_what_its_iterations_would_get() -> None:
    definition = map_state(ItemsPath="$.all", ItemSelector={"v.$": "$$.Map.Item.Value", "k.$": "$.k"}, MaxConcurrency=3)
    given: Json = {"all": [1, 2], "k": "x"}
    one = trial(definition, given, Mock(result=["a", "b"]))
    assert one.outcome is not None
    assert one.outcome.output == ["a", "b"]
    assert one.seen.stages["afterItemsPath"] == [1, 2]
    assert one.seen.stages["afterItemSelector"] == [{"v": 1, "k": "x"}, {"v": 2, "k": "x"}]
    assert (one.seen.counts, one.seen.iterations) == ({"maxConcurrency": 3}, 2)


DISTRIBUTED: dict[str, Json] = {
    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
    "StartAt": "I",
    "States": {"I": {"Type": "Pass", "End": True}},
}


def test_a_distributed_map_of_an_object_shows_its_pairs() -> None:
    batched = map_state(ItemProcessor=DISTRIBUTED, ItemBatcher={"MaxItemsPerBatch": 2})
    one = trial(batched, {"a": 1}, Mock(result=[5]))
    assert one.outcome is not None
    assert one.outcome.output == [5]
    assert one.seen.stages["afterItemBatcher"] == [{"Items": [{"Key": "a", "Value": 1}]}]
    selecting = map_state(ItemProcessor=DISTRIBUTED, ItemSelector={"item.$": "$$.Map.Item"})
    items = trial(selecting, {"a": 1}, Mock(result=[5])).seen.stages["afterItemSelector"]
    assert items == [{"item": {"Index": 0, "Key": "a", "Value": 1, "Source": "STATE_DATA"}}]


def test_items_that_were_read_have_the_source_they_would_come_from() -> None:
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON", "MaxItems": 1},
        "Parameters": {"Bucket.$": "$.b", "Key": "k"},
    }
    selector = {"item.$": "$$.Map.Item"}
    definition = map_state(ItemProcessor=DISTRIBUTED, ItemReader=reader, ItemSelector=selector)
    one = trial(definition, {"b": "data"}, Mock(result=[], items={"a": 1, "b": 2}))
    shown = {"Index": 0, "Key": "a", "Value": 1, "Source": "S3://data/k"}
    assert one.seen.stages["afterItemSelector"] == [{"item": shown}]


def test_an_inline_map_with_a_reader_fails_when_it_is_tried_as_when_it_runs() -> None:
    definition = map_state(ItemBatcher={"MaxItemsPerBatch": 2})
    one = trial(definition, [1], Mock(result=[]))
    assert one.outcome is not None
    assert "not supported for INLINE maps" in (one.outcome.error.cause or "")


def test_a_map_shows_its_batches() -> None:
    definition = map_state(
        ItemProcessor=DISTRIBUTED, ItemBatcher={"MaxItemsPerBatch": 2, "BatchInput": {"b.$": "$[0]"}}
    )
    one = trial(definition, [1, 2, 3], Mock(result=[]))
    assert one.seen.stages["afterItemBatcher"] == [
        {"BatchInput": {"b": 1}, "Items": [1, 2]},
        {"BatchInput": {"b": 1}, "Items": [3]},
    ]
    assert one.seen.iterations == 2


@pytest.mark.parametrize(
    ("fields", "failures", "status"),
    [
        ({}, 2, "SUCCEEDED"),
        ({"ToleratedFailureCount": 2}, 2, "SUCCEEDED"),
        ({"ToleratedFailureCount": 1}, 2, "FAILED"),
        ({"ToleratedFailurePercentage": 50}, 2, "SUCCEEDED"),
        ({"ToleratedFailurePercentage": 49.5}, 2, "FAILED"),
        ({"ToleratedFailureCountPath": "$[0]"}, 2, "FAILED"),
    ],
)
def test_failures_of_iterations_count_against_the_threshold(fields: dict[str, Any], failures: int, status: str) -> None:
    assert tried(map_state(**fields), [1, 2, 3, 4], Mock(result=[], failures=failures)).status == status


def test_an_error_of_a_parallel_goes_to_its_catchers() -> None:
    branch = {"StartAt": "B", "States": {"B": {"Type": "Pass", "End": True}}}
    definition = {
        "Type": "Parallel",
        "Branches": [branch],
        "Catch": [{"ErrorEquals": ["Busy"], "Next": "A"}],
        "End": True,
    }
    outcome = tried(definition, mock=Mock(error=BUSY))
    assert (outcome.status, outcome.next_state) == ("CAUGHT_ERROR", "A")
