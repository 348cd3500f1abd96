"""A redrive runs again what failed or was cancelled, and nothing that succeeded (execution.md 9)."""

from __future__ import annotations

from typing import Any

from engine.interpreter.advance import not_redrivable
from engine.interpreter.messages import RedriveRequested, ScheduleTask, StopRequested, TaskError
from tests.driver import START_TIME, Drive, done, execution_of

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"


def task(name: str, **fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": LAMBDA + name, "End": True, **fields}


class Answers:
    """Fails the Tasks named in `broken`, and keeps what it was asked."""

    def __init__(self, *broken: str) -> None:
        self.broken = set(broken)
        self.asked: list[ScheduleTask] = []

    def __call__(self, command: ScheduleTask) -> Any:
        self.asked.append(command)
        if command.state in self.broken:
            return TaskError(command.task_id, "Broken", None)
        return done(command, command.state.lower())

    def states(self) -> list[str]:
        return [command.state for command in self.asked]


def test_a_failed_task_is_scheduled_again_without_being_entered_again() -> None:
    answers = Answers("B")
    machine = {"StartAt": "A", "States": {"A": task("a", Next="B"), "B": task("b")}}
    del machine["States"]["A"]["End"]
    drive = Drive(machine, answer=answers)
    drive.run()
    assert drive.status == "FAILED"
    answers.broken.clear()
    drive.tell(RedriveRequested())
    assert drive.status == "SUCCEEDED"
    assert answers.states() == ["A", "B", "B"]
    assert drive.trace().split(" 11<")[1] == (
        "10 ExecutionFailed 12<11 ExecutionRedriven 13<12 LambdaFunctionScheduled 14<13 LambdaFunctionStarted "
        "15<14 LambdaFunctionSucceeded 16<15 TaskStateExited 17<16 ExecutionSucceeded"
    )


def test_a_redriven_task_starts_with_fresh_retries_and_an_idempotency_key_of_its_own() -> None:
    answers = Answers("A")
    retry = [{"ErrorEquals": ["Broken"], "MaxAttempts": 1}]
    drive = Drive({"StartAt": "A", "States": {"A": task("a", Retry=retry)}}, answer=answers)
    drive.run()
    drive.tell(RedriveRequested())
    drive.run()
    assert [(command.redrive, command.attempt) for command in answers.asked] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_only_the_failed_and_the_cancelled_branch_run_again() -> None:
    answers = Answers()
    open_tasks: list[ScheduleTask] = []

    def answer(command: ScheduleTask) -> Any:
        if command.state in ("Fails", "Cancelled") and not answers.broken:
            open_tasks.append(command)
            return None
        return answers(command)

    branches = [{"StartAt": name, "States": {name: task(name)}} for name in ("Succeeds", "Fails", "Cancelled")]
    drive = Drive(
        {"StartAt": "P", "States": {"P": {"Type": "Parallel", "Branches": branches, "End": True}}}, answer=answer
    )
    drive.start()
    drive.tell(TaskError(open_tasks[0].task_id, "Broken", None))
    assert drive.status == "FAILED"
    answers.broken = {"nobody"}
    drive.tell(RedriveRequested())
    assert drive.ending is not None
    assert drive.ending.output == ["succeeds", "fails", "cancelled"]
    assert answers.states() == ["Succeeds", "Fails", "Cancelled"]


def test_iterations_that_had_not_begun_run_after_a_redrive() -> None:
    answers = Answers("T")
    inner = {"StartAt": "T", "States": {"T": task("t")}}
    each = {"Type": "Map", "ItemsPath": "$.items", "MaxConcurrency": 1, "ItemProcessor": inner, "End": True}
    drive = Drive({"StartAt": "M", "States": {"M": each}}, {"items": [1, 2, 3]}, answer=answers)
    drive.run()
    assert len(answers.asked) == 1
    answers.broken.clear()
    drive.tell(RedriveRequested())
    assert drive.ending is not None
    assert drive.ending.output == ["t", "t", "t"]
    assert [command.arguments for command in answers.asked] == [1, 1, 2, 3]


def test_an_iteration_whose_item_selector_failed_is_selected_again() -> None:
    inner = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
    each = {
        "Type": "Map",
        "ItemsPath": "$.items",
        "ItemSelector": {"v.$": "$$.Map.Item.Value.v"},
        "ItemProcessor": inner,
        "End": True,
    }
    drive = Drive({"StartAt": "M", "States": {"M": each}}, {"items": [{"v": 1}, {}]})
    drive.run()
    assert drive.status == "FAILED"
    drive.tell(RedriveRequested())
    assert drive.status == "FAILED"
    assert drive.snapshot.redrives.count == 2 - 1
    assert [event["type"] for event in drive.events()].count("MapIterationStarted") == 2


def test_what_failed_in_joining_runs_all_branches_again() -> None:
    inner = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
    parallel = {"Type": "Parallel", "Branches": [inner], "OutputPath": "$.nope", "End": True}
    drive = Drive({"StartAt": "X", "States": {"X": parallel}})
    drive.run()
    drive.tell(RedriveRequested())
    assert drive.status == "FAILED"
    assert [event["type"] for event in drive.events()].count("PassStateEntered") == 2


def test_a_stopped_wait_waits_anew() -> None:
    drive = Drive({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "End": True}}})
    drive.start()
    drive.tell(StopRequested("Operator", "lunch"))
    assert drive.status == "ABORTED"
    drive.now += 10_000
    drive.tell(RedriveRequested())
    drive.tick()
    assert drive.now == START_TIME + 70_000
    assert drive.status == "SUCCEEDED"


def test_a_redrive_starts_the_time_limit_of_the_execution_anew() -> None:
    machine = {"TimeoutSeconds": 10, "StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "End": True}}}
    drive = Drive(machine)
    drive.run()
    assert drive.status == "TIMED_OUT"
    assert drive.trace() == "1<0 ExecutionStarted 2<0 WaitStateEntered 3<0 ExecutionTimedOut"
    drive.tell(RedriveRequested())
    drive.run()
    assert drive.status == "TIMED_OUT"
    assert drive.now == START_TIME + 20_000


def test_the_context_object_tells_of_the_redrive() -> None:
    seen: list[Any] = []

    def answer(command: ScheduleTask) -> Any:
        seen.append(command.arguments)
        return TaskError(command.task_id, "Broken", None)

    context = {"execution.$": "$$.Execution"}
    drive = Drive({"StartAt": "A", "States": {"A": task("a", Parameters=context)}}, answer=answer)
    drive.run()
    drive.now += 5_000
    drive.tell(RedriveRequested())
    first, second = (arguments["execution"] for arguments in seen)
    assert first["RedriveCount"] == 0
    assert "RedriveTime" not in first
    assert second["RedriveCount"] == 1
    assert second["RedriveTime"] == "2023-11-14T22:13:25.000Z"
    assert second["StartTime"] == first["StartTime"]


def test_variables_are_kept() -> None:
    answers = Answers("B")
    first = {"Type": "Pass", "Assign": {"v": 7}, "Next": "B"}
    drive = Drive({"StartAt": "A", "States": {"A": first, "B": task("b", Parameters={"v.$": "$v"})}}, answer=answers)
    drive.run()
    drive.tell(RedriveRequested())
    assert [command.arguments for command in answers.asked] == [{"v": 7}, {"v": 7}]


def test_what_cannot_be_redriven_says_why() -> None:
    drive = Drive({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "End": True}}})
    drive.start()
    assert not_redrivable(drive.snapshot) == "Execution is RUNNING and cannot be redriven"
    drive.run()
    assert not_redrivable(drive.snapshot) == "Execution is SUCCEEDED and cannot be redriven"
    full = Drive(
        {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "End": True}}},
        execution=execution_of({}, history_events_max=5),
    )
    full.run()
    assert not_redrivable(full.snapshot) == "Execution history event limit exceeded"
    before = full.trace()
    full.tell(RedriveRequested())
    assert full.trace() == before
    assert full.status == "FAILED"
