"""Amazon EMR in the table of optimised integrations: actions of Step Functions' own, for one cluster and one step.

Shapes after the developer guide's "Create and manage Amazon EMR clusters". That an output has `Cluster` or `Step` next
to the id is what published definitions read (`$.cluster.ClusterId`, `$.Emr.Cluster.Id`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.integrations.optimised_rows import ByName, Call, Job, Service, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.integrations.optimised_rows import Source

_CLUSTER: Final = {"ClusterId": "JobFlowIds[]"}


def _cluster(source: Source, good: str, bad: str, *, stop: str = "") -> Job:
    return Job(
        known_by={"ClusterId": (source, "ClusterId")},
        ask="DescribeCluster",
        ask_with={"ClusterId": "ClusterId"},
        beside=("ClusterId",),
        status="Cluster.Status.State",
        good=words(good),
        bad=words(bad),
        stop=stop,
        stop_with={"JobFlowIds": "ClusterId"} if stop else {},
    )


_JOBS: Final[Mapping[str, Job]] = {
    "createCluster": _cluster(
        "ANSWER", "WAITING RUNNING", "TERMINATED TERMINATED_WITH_ERRORS", stop="TerminateJobFlows"
    ),
    "terminateCluster": _cluster("ARGUMENTS", "TERMINATED TERMINATED_WITH_ERRORS", ""),
    "addStep": Job(
        known_by={"ClusterId": ("ARGUMENTS", "ClusterId"), "StepId": ("ANSWER", "StepId")},
        ask="DescribeStep",
        ask_with={"ClusterId": "ClusterId", "StepId": "StepId"},
        beside=("StepId",),
        status="Step.Status.State",
        good=words("COMPLETED"),
        bad=words("FAILED CANCELLED INTERRUPTED"),
        stop="CancelSteps",
        stop_with={"ClusterId": "ClusterId", "StepIds": "StepId"},
    ),
}

_CALLS: Final[Mapping[str, Call]] = {
    "createCluster": Call(
        operation="RunJobFlow",
        answer={"ClusterArn": "ClusterArn", "ClusterId": "JobFlowId"},
        refused=words("Steps"),
        wanted="Instances.KeepJobFlowAliveWhenNoSteps",
    ),
    "setClusterTerminationProtection": Call(operation="SetTerminationProtection", given=_CLUSTER),
    "terminateCluster": Call(operation="TerminateJobFlows", given=_CLUSTER),
    "addStep": Call(
        operation="AddJobFlowSteps",
        given={"ClusterId": "JobFlowId", "Step": "Steps[]"},
        answer={"StepId": "StepIds.0"},
    ),
    "cancelStep": Call(
        operation="CancelSteps",
        given={"StepId": "StepIds[]"},
        answer={"CancelStepsInfo": "CancelStepsInfoList.0"},
    ),
    "modifyInstanceFleetByName": Call(
        operation="ModifyInstanceFleet",
        by_name=ByName(
            name="InstanceFleetName",
            member="InstanceFleet",
            id="InstanceFleetId",
            ask="ListInstanceFleets",
            items="InstanceFleets",
        ),
    ),
    "modifyInstanceGroupByName": Call(
        operation="ModifyInstanceGroups",
        given={"InstanceGroup": "InstanceGroups[]"},
        by_name=ByName(
            name="InstanceGroupName",
            member="InstanceGroup",
            id="InstanceGroupId",
            ask="ListInstanceGroups",
            items="InstanceGroups",
        ),
    ),
}

EMR: Final = Service(
    client="emr",
    prefix="EMR",
    name="AmazonElasticMapReduce",
    base="AmazonElasticMapReduceException",
    jobs=_JOBS,
    calls=_CALLS,
)
