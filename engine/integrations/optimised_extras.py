"""What single services have of their own among the optimised integrations (integrations.md 5.5 to 5.7, 5.9).

What Step Functions adds to the arguments, which answers with status 200 are failures, which containers count, and which
deletions are asked for again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio

from engine.errors import StatesError
from engine.integrations.optimised_wrappers import at
from engine.jsonvalue import text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.integrations.request import TaskRequest
    from engine.jsonvalue import Json

    Ask = Callable[[str, dict[str, Json]], Awaitable[dict[str, Json]]]

_DELETION_PAUSES_SECONDS: Final = (1.0, 2.0, 4.0, 8.0, 15.0)
"""CodeBuild cannot delete a build for a while after it was stopped. How long AWS tries is not documented."""


def with_additions(request: TaskRequest) -> Json:
    """The arguments with what Step Functions itself adds to the request, which TaskScheduled does not show."""
    arguments = request.arguments
    if not isinstance(arguments, dict):
        return arguments
    match request.resource.service:
        case "events":
            entries = arguments.get("Entries")
            if isinstance(entries, list):
                return {**arguments, "Entries": [_with_arns(request, entry) for entry in entries]}
        case "batch" if request.resource.pattern == "SYNC":
            overrides = arguments.get("ContainerOverrides") or {}
            environment = overrides.get("Environment", []) if isinstance(overrides, dict) else None
            if isinstance(overrides, dict) and isinstance(environment, list):
                mark: Json = {"Name": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"}
                return {**arguments, "ContainerOverrides": {**overrides, "Environment": [*environment, mark]}}
        case "codebuild" if request.resource.action.startswith(("startBuild", "retryBuildBatch")):
            # A token that the model does not mark as one; CodeBuild heeds it for five minutes.
            return {"IdempotencyToken": request.idempotency_key, **arguments}
        case _:
            pass
    return arguments


def _with_arns(request: TaskRequest, entry: Json) -> Json:
    """An entry of PutEvents, with the execution and its state machine among its resources."""
    resources = entry.get("Resources", []) if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(resources, list):
        return entry
    parts = request.execution_arn.split(":")
    machine, _, _ = parts[6].partition("/")  # behind it stands the label of a Map, in its children
    return {**entry, "Resources": [*resources, request.execution_arn, ":".join([*parts[:5], "stateMachine", machine])]}


def check_taken(request: TaskRequest, response: dict[str, Json]) -> None:
    """Raises StatesError: the service took the call, and not what was in it."""
    if request.resource.service == "events" and response.get("FailedEntryCount"):
        raise StatesError("EventBridge.FailedEntry", text(response))
    waits = request.resource.pattern != "REQUEST_RESPONSE"
    if request.resource.service == "ecs" and waits and response.get("Failures"):
        raise StatesError("AmazonECS.Unknown", text(response))


async def deleted(operation: str, response: dict[str, Json], members: dict[str, Json], ask: Ask) -> dict[str, Json]:
    """CodeBuild's answer, when what could not be deleted yet was asked for again.

    Args:
        operation: Every other than BatchDeleteBuilds and DeleteBuildBatch is left as it is.
        response: The first answer.
        members: What was asked for.
        ask: Calls the action again.
    """
    if operation not in ("BatchDeleteBuilds", "DeleteBuildBatch"):
        return response
    for pause in _DELETION_PAUSES_SECONDS:
        left = response.get("BuildsNotDeleted")
        if not isinstance(left, list) or not left:
            break
        await anyio.sleep(pause)
        again = dict(members)
        if operation == "BatchDeleteBuilds":
            again["Ids"] = [at(build, "Id") for build in left]
        before = response.get("BuildsDeleted")
        response = await ask(operation, again)
        now = response.get("BuildsDeleted")
        done = [*(before if isinstance(before, list) else []), *(now if isinstance(now, list) else [])]
        if done:
            response["BuildsDeleted"] = list(dict.fromkeys(str(build) for build in done))
    return response


async def is_failed_task(task: Json, ask: Ask) -> bool:
    """Whether a stopped ECS task failed: it did not start, or an essential container ended with another code than 0.

    Args:
        task: As DescribeTasks has it.
        ask: Calls an action of ECS; which containers are essential stands in the task's definition alone. When ECS does
            not tell, all are: that is what the definition says of a container unless it says otherwise.
    """
    if at(task, "StopCode") == "TaskFailedToStart":
        return True
    found = at(task, "Containers")
    containers = found if isinstance(found, list) else []
    failed = {at(container, "Name") for container in containers if at(container, "ExitCode") not in (None, 0)}
    if not failed:
        return False
    try:
        answer = await ask("DescribeTaskDefinition", {"TaskDefinition": at(task, "TaskDefinitionArn")})
    except StatesError:
        return True
    definitions = at(answer, "TaskDefinition.ContainerDefinitions")
    optional = {
        at(container, "Name")
        for container in (definitions if isinstance(definitions, list) else [])
        if at(container, "Essential") is False
    }
    return bool(failed - optional)
