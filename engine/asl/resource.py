"""A Task's `Resource`: which service, which action, which integration pattern (asl.md 12; integrations.md 1, 3)."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from engine.arns import parse_arn
from engine.asl.sdk_actions import sdk_service

if TYPE_CHECKING:
    from collections.abc import Mapping

Pattern: TypeAlias = Literal["REQUEST_RESPONSE", "SYNC", "SYNC_2", "WAIT_FOR_TASK_TOKEN"]
ResourceKind: TypeAlias = Literal["lambda", "activity", "service", "other"]

_SUFFIXES: tuple[tuple[str, Pattern], ...] = (
    (".sync", "SYNC"),
    (".sync:2", "SYNC_2"),
    (".waitForTaskToken", "WAIT_FOR_TASK_TOKEN"),
)

_CALL: Final[frozenset[Pattern]] = frozenset({"REQUEST_RESPONSE"})
_JOB: Final[frozenset[Pattern]] = frozenset({"REQUEST_RESPONSE", "SYNC"})
_CALLBACK: Final[frozenset[Pattern]] = frozenset({"REQUEST_RESPONSE", "WAIT_FOR_TASK_TOKEN"})
_JOB_OR_CALLBACK: Final[frozenset[Pattern]] = _JOB | _CALLBACK


def _actions(
    *,
    call: str = "",
    job: str = "",
    callback: str = "",
    job_or_callback: str = "",
) -> Mapping[str, frozenset[Pattern]]:
    rows = ((call, _CALL), (job, _JOB), (callback, _CALLBACK), (job_or_callback, _JOB_OR_CALLBACK))
    return MappingProxyType({action: patterns for actions, patterns in rows for action in actions.split()})


OPTIMISED: Final[Mapping[str, Mapping[str, frozenset[Pattern]]]] = MappingProxyType(
    {
        "apigateway": _actions(callback="invoke"),
        "athena": _actions(call="stopQueryExecution getQueryExecution getQueryResults", job="startQueryExecution"),
        "batch": _actions(job="submitJob"),
        "bedrock": _actions(callback="invokeModel", job="createModelCustomizationJob"),
        "codebuild": _actions(
            call="stopBuild batchDeleteBuilds batchGetReports stopBuildBatch deleteBuildBatch",
            job="startBuild startBuildBatch retryBuildBatch",
        ),
        "databrew": _actions(job="startJobRun"),
        "dynamodb": _actions(call="getItem putItem updateItem deleteItem"),
        "ecs": _actions(job_or_callback="runTask"),
        "eks": _actions(
            call="call",
            job_or_callback="createCluster deleteCluster createFargateProfile deleteFargateProfile createNodegroup "
            "deleteNodegroup runJob",
        ),
        "elasticmapreduce": _actions(
            call="setClusterTerminationProtection cancelStep modifyInstanceFleetByName modifyInstanceGroupByName",
            job="createCluster terminateCluster addStep",
        ),
        "emr-containers": _actions(call="createVirtualCluster", job="deleteVirtualCluster startJobRun"),
        "emr-serverless": _actions(
            job="createApplication startApplication stopApplication deleteApplication startJobRun cancelJobRun"
        ),
        "events": _actions(callback="putEvents"),
        "glue": _actions(job="startJobRun"),
        "http": _actions(call="invoke"),
        "lambda": _actions(callback="invoke"),
        "mediaconvert": _actions(job="createJob"),
        "sagemaker": _actions(
            call="createEndpoint createEndpointConfig createModel updateEndpoint",
            job="createHyperParameterTuningJob createLabelingJob createProcessingJob createTrainingJob "
            "createTransformJob",
        ),
        "sns": _actions(callback="publish"),
        "sqs": _actions(callback="sendMessage"),
        "states": MappingProxyType({"startExecution": frozenset((*_JOB_OR_CALLBACK, "SYNC_2"))}),
    }
)
"""The optimised integrations: service, action, and the patterns it can be called in (integrations.md 3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A parsed Resource ARN.

    Attributes:
        arn: The text as it stands in the definition.
        kind: `lambda` for a function's own ARN, `activity` for an activity's, `service` for `arn:aws:states:::...`,
            `other` for every ARN else: AWS runs none of those, a handler of one's own can.
        service: `lambda`, `sqs`, `aws-sdk:s3`, `http`, ...: `resourceType` in history.
        action: With its suffix, such as `sendMessage.waitForTaskToken`: `resource` in history. Of a function or an
            activity the name.
        pattern: What the Task waits for.
    """

    arn: str
    kind: ResourceKind
    service: str
    action: str
    pattern: Pattern


UNREADABLE: Final = Resource(arn="", kind="other", service="", action="", pattern="REQUEST_RESPONSE")
"""Stands in for a Resource that was reported, so that the rest of its state is read too. No usable program has it."""


def parse_resource(text: str) -> Resource | None:
    """The Resource, or None when the text is not an ARN, or a function's or an activity's ARN without a name."""
    arn = parse_arn(text)
    if arn is None:
        return None
    head, _, rest = arn.resource.partition(":")
    if arn.service == "lambda":
        if head != "function" or not rest:
            return None
        return Resource(arn=text, kind="lambda", service="lambda", action=rest, pattern="REQUEST_RESPONSE")
    if arn.service == "states" and not arn.region and not arn.account:
        return _service(text, head, rest)
    if arn.service == "states" and head == "activity":
        if not rest:
            return None
        return Resource(arn=text, kind="activity", service="activity", action=rest, pattern="WAIT_FOR_TASK_TOKEN")
    return Resource(arn=text, kind="other", service=arn.service, action=arn.resource, pattern="REQUEST_RESPONSE")


def _service(text: str, head: str, rest: str) -> Resource | None:
    if not rest:
        return None
    service, action = head, rest
    if head == "aws-sdk":
        name, _, action = rest.partition(":")
        service = f"aws-sdk:{name}"
    return Resource(arn=text, kind="service", service=service, action=action, pattern=split_pattern(action)[1])


def is_recognized(resource: Resource) -> bool:
    """Whether AWS knows the integration: an optimised service's action in that pattern, or an action of the SDK."""
    if resource.kind != "service":
        return True
    action, pattern = split_pattern(resource.action)
    service = resource.service
    if service.startswith("aws-sdk:"):
        sdk = sdk_service(service.removeprefix("aws-sdk:"))
        return sdk is not None and action in sdk.actions and pattern in _CALLBACK
    return pattern in OPTIMISED.get(service, {}).get(action, ())


def split_pattern(action: str) -> tuple[str, Pattern]:
    """An action without its suffix, and what the suffix says."""
    for suffix, pattern in _SUFFIXES:
        if action.endswith(suffix):
            return action.removesuffix(suffix), pattern
    return action, "REQUEST_RESPONSE"
