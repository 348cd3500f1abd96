"""What single services have of their own among the optimised integrations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from engine import Engine, ExecutionFailed
from engine.integrations import optimised_extras
from engine.runtime import jobs
from tests.aws_environment import without_credentials
from tests.definitions import machine
from tests.integrations.stub_aws import StubAws, refusal, stub_aws
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine import ExecutionHandle

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

REGION = "us-east-1"
TASK_DEFINITION = {
    "taskDefinition": {"containerDefinitions": [{"name": "app"}, {"name": "log", "essential": False}]},
}


@pytest.fixture
async def aws() -> AsyncIterator[StubAws]:
    async with stub_aws() as stub:
        yield stub


@pytest.fixture(autouse=True)
def _quick_and_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "POLL_SECONDS_MIN", 0.02)
    monkeypatch.setattr(jobs, "_FINE_MS", 10)
    monkeypatch.setattr(optimised_extras, "_DELETION_PAUSES_SECONDS", (0.0, 0.0))
    without_credentials(monkeypatch)


def of(stub: StubAws) -> Engine:
    return Engine.in_memory({"*": f"aws:?endpoint={stub.url}"}, region=REGION)


async def begin(one: Engine, resource: str, **parameters: Any) -> ExecutionHandle:
    task = {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Parameters": parameters}
    return await one.start_execution(await one.create_state_machine(machine(task), "shop"))


async def result(stub: StubAws, resource: str, **parameters: Any) -> Any:
    async with of(stub) as one:
        return await (await begin(one, resource, **parameters)).result()


async def failure(stub: StubAws, resource: str, **parameters: Any) -> tuple[str | None, str]:
    with pytest.raises(ExecutionFailed) as caught:
        await result(stub, resource, **parameters)
    return caught.value.error, str(caught.value.cause)


# ── events, batch ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_event_names_its_execution_and_the_state_machine_after_its_own_resources(aws: StubAws) -> None:
    async with of(aws) as one:
        execution = await begin(one, "events:putEvents", Entries=[{"Detail": {"a": 1}, "Resources": ["mine"]}])
        await execution.result()
        history = await execution.history()
    (entry,) = aws.members[0]["Entries"]
    machine_arn = f"arn:aws:states:{REGION}:000000000000:stateMachine:shop"
    assert entry["Resources"] == ["mine", execution.arn, machine_arn]
    (scheduled,) = [event for event in history if event["type"] == "TaskScheduled"]
    shown = json.loads(scheduled["taskScheduledEventDetails"]["parameters"])
    assert shown["Entries"][0]["Resources"] == ["mine"], "it does not show there (recorded)"


async def test_a_batch_job_knows_who_began_it(aws: StubAws) -> None:
    own = {"Environment": [{"Name": "A", "Value": "1"}]}
    async with of(aws) as one:
        await begin(one, "batch:submitJob.sync", JobName="j", JobQueue="q", JobDefinition="d", ContainerOverrides=own)
        await until(lambda: aws.jobs)
        mark = {"name": "MANAGED_BY_AWS", "value": "STARTED_BY_STEP_FUNCTIONS"}
        assert aws.jobs[0].members["containerOverrides"]["environment"] == [{"name": "A", "value": "1"}, mark]


# ── ecs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def stopped_task(aws: StubAws, **task: Any) -> tuple[str | None, Any]:
    """The error of a Task whose ECS task has stopped so, or None and its output."""
    told = {"taskArn": "TaskArn-1", "lastStatus": "STOPPED", "taskDefinitionArn": "definition:7", **task}
    aws.answers["DescribeTasks"] = [{"tasks": [told]}]
    async with of(aws) as one:
        execution = await begin(one, "ecs:runTask.sync", TaskDefinition="definition")
        try:
            return None, await execution.result()
        except ExecutionFailed as error:
            return error.error, json.loads(error.cause or "")


def containers(**codes: int | None) -> list[dict[str, Any]]:
    return [{"name": name} if code is None else {"name": name, "exitCode": code} for name, code in codes.items()]


@pytest.mark.parametrize(
    ("task", "error"),
    [
        ({"containers": containers(app=0, log=0)}, None),
        ({"containers": containers(app=0, log=143)}, None),
        ({"containers": containers(app=0, log=None)}, None),
        ({"containers": containers(app=3, log=0)}, "States.TaskFailed"),
        ({"containers": containers(app=0, unknown=1)}, "States.TaskFailed"),
        ({"stopCode": "TaskFailedToStart", "containers": containers(app=None)}, "States.TaskFailed"),
        ({"stopCode": "EssentialContainerExited", "containers": containers(app=0)}, None),
    ],
)
async def test_essential_containers_decide_how_an_ecs_task_ended(aws: StubAws, task: Any, error: str | None) -> None:
    aws.answers["DescribeTaskDefinition"] = [TASK_DEFINITION]
    found, told = await stopped_task(aws, **task)
    assert found == error
    assert told["TaskArn"] == "TaskArn-1", "the task itself, as output or as cause (recorded)"


async def test_without_a_definition_all_containers_are_essential(aws: StubAws) -> None:
    aws.answers["DescribeTaskDefinition"] = [refusal("AccessDeniedException", "not allowed")]
    error, _ = await stopped_task(aws, containers=containers(app=0, log=1))
    assert error == "States.TaskFailed"


async def test_who_started_an_ecs_task_is_sent_and_shown(aws: StubAws) -> None:
    async with of(aws) as one:
        execution = await begin(one, "ecs:runTask.sync", TaskDefinition="definition")
        await until(lambda: aws.jobs)
        history = await execution.history()
    assert aws.jobs[0].members["startedBy"] == "AWS Step Functions"
    (scheduled,) = [event for event in history if event["type"] == "TaskScheduled"]
    shown = json.loads(scheduled["taskScheduledEventDetails"]["parameters"])
    assert shown == {"TaskDefinition": "definition", "StartedBy": "AWS Step Functions"}


async def test_who_only_asks_for_an_ecs_task_says_nothing_of_itself(aws: StubAws) -> None:
    await result(aws, "ecs:runTask", TaskDefinition="definition")
    assert "startedBy" not in aws.members[0]


async def test_failures_fail_those_that_wait_and_nobody_else(aws: StubAws) -> None:
    aws.answers["RunTask"] = [{"tasks": [], "failures": [{"arn": "a", "reason": "RESOURCE:MEMORY"}]}]
    answer = await result(aws, "ecs:runTask", TaskDefinition="definition")
    assert answer["Failures"] == [{"Arn": "a", "Reason": "RESOURCE:MEMORY"}]
    error, cause = await failure(aws, "ecs:runTask.sync", TaskDefinition="definition")
    assert error == "AmazonECS.Unknown"
    assert "RESOURCE:MEMORY" in cause


# ── codebuild ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_builds_that_cannot_be_deleted_yet_are_deleted_later(aws: StubAws) -> None:
    aws.answers["BatchDeleteBuilds"] = [
        {"buildsDeleted": ["a"], "buildsNotDeleted": [{"id": "b", "statusCode": "BUILD_IN_PROGRESS"}]},
        {"buildsDeleted": ["b"], "buildsNotDeleted": []},
    ]
    answer = await result(aws, "codebuild:batchDeleteBuilds", Ids=["a", "b"])
    assert (answer["BuildsDeleted"], answer["BuildsNotDeleted"]) == (["a", "b"], [])
    assert [members["ids"] for members in aws.members] == [["a", "b"], ["b"]]


async def test_what_cannot_be_deleted_at_all_is_told_as_codebuild_tells_it(aws: StubAws) -> None:
    left = [{"id": "b", "statusCode": "BUILD_IN_PROGRESS"}]
    aws.answers["DeleteBuildBatch"] = [{"statusCode": "IN_PROGRESS", "buildsDeleted": [], "buildsNotDeleted": left}]
    answer = await result(aws, "codebuild:deleteBuildBatch", Id="batch")
    assert answer["BuildsNotDeleted"] == [{"Id": "b", "StatusCode": "BUILD_IN_PROGRESS"}]
    assert [members["id"] for members in aws.members] == ["batch"] * 3


# ── elasticmapreduce ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_emr_takes_one_cluster_and_one_step_where_its_api_takes_many(aws: StubAws) -> None:
    step = {"Name": "n", "HadoopJarStep": {"Jar": "j"}}
    aws.answers |= {
        "AddJobFlowSteps": [{"StepIds": ["s-1"]}],
        "CancelSteps": [{"CancelStepsInfoList": [{"StepId": "s-1", "Status": "SUBMITTED"}]}],
    }
    assert (await result(aws, "elasticmapreduce:addStep", ClusterId="j-1", Step=step))["StepId"] == "s-1"
    cancelled = await result(aws, "elasticmapreduce:cancelStep", ClusterId="j-1", StepId="s-1")
    assert cancelled["CancelStepsInfo"] == {"Status": "SUBMITTED", "StepId": "s-1"}
    await result(aws, "elasticmapreduce:setClusterTerminationProtection", ClusterId="j-1", TerminationProtected=True)
    assert aws.members == [
        {"JobFlowId": "j-1", "Steps": [step]},
        {"ClusterId": "j-1", "StepIds": ["s-1"]},
        {"JobFlowIds": ["j-1"], "TerminationProtected": True},
    ]


async def test_a_cluster_has_to_stay_when_it_has_no_steps(aws: StubAws) -> None:
    error, cause = await failure(aws, "elasticmapreduce:createCluster", Name="n", Instances={"InstanceCount": 1})
    assert error == "States.Runtime"
    assert "Instances.KeepJobFlowAliveWhenNoSteps" in cause
    assert aws.asked == []


async def test_an_instance_group_is_found_by_its_name_on_whichever_page_it_is(aws: StubAws) -> None:
    aws.answers["ListInstanceGroups"] = [
        {"InstanceGroups": [{"Id": "ig-1", "Name": "master"}], "Marker": "more"},
        {"InstanceGroups": [{"Id": "ig-2", "Name": "core"}]},
    ]
    resource, group = "elasticmapreduce:modifyInstanceGroupByName", {"InstanceCount": 8}
    await result(aws, resource, ClusterId="j-1", InstanceGroupName="core", InstanceGroup=group)
    assert aws.members == [
        {"ClusterId": "j-1"},
        {"ClusterId": "j-1", "Marker": "more"},
        {"ClusterId": "j-1", "InstanceGroups": [{"InstanceGroupId": "ig-2", "InstanceCount": 8}]},
    ]
    error, cause = await failure(aws, resource, ClusterId="j-1", InstanceGroupName="none", InstanceGroup=group)
    assert error == "EMR.AmazonElasticMapReduceException"
    assert "none" in cause
