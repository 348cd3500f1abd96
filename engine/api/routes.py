"""Which function does which action: one row for each operation of AWS's service model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from engine.operations import (
    activities,
    aliases,
    executions,
    history,
    map_runs,
    redrive,
    state_machines,
    sync_executions,
    tags,
    tasks,
    test_state,
    validation,
    versions,
)

Operation: TypeAlias = Callable[..., Awaitable[Mapping[str, Any] | None]]
"""Takes the service and AWS's members in snake_case."""

ROUTES: Mapping[str, Operation] = {
    "CreateActivity": activities.create_activity,
    "CreateStateMachine": state_machines.create_state_machine,
    "CreateStateMachineAlias": aliases.create_state_machine_alias,
    "DeleteActivity": activities.delete_activity,
    "DeleteStateMachine": state_machines.delete_state_machine,
    "DeleteStateMachineAlias": aliases.delete_state_machine_alias,
    "DeleteStateMachineVersion": versions.delete_state_machine_version,
    "DescribeActivity": activities.describe_activity,
    "DescribeExecution": executions.describe_execution,
    "DescribeMapRun": map_runs.describe_map_run,
    "DescribeStateMachine": state_machines.describe_state_machine,
    "DescribeStateMachineAlias": aliases.describe_state_machine_alias,
    "DescribeStateMachineForExecution": state_machines.describe_state_machine_for_execution,
    "GetActivityTask": activities.get_activity_task,
    "GetExecutionHistory": history.get_execution_history,
    "ListActivities": activities.list_activities,
    "ListExecutions": executions.list_executions,
    "ListMapRuns": map_runs.list_map_runs,
    "ListStateMachineAliases": aliases.list_state_machine_aliases,
    "ListStateMachineVersions": versions.list_state_machine_versions,
    "ListStateMachines": state_machines.list_state_machines,
    "ListTagsForResource": tags.list_tags_for_resource,
    "PublishStateMachineVersion": versions.publish_state_machine_version,
    "RedriveExecution": redrive.redrive_execution,
    "SendTaskFailure": tasks.send_task_failure,
    "SendTaskHeartbeat": tasks.send_task_heartbeat,
    "SendTaskSuccess": tasks.send_task_success,
    "StartExecution": executions.start_execution,
    "StartSyncExecution": sync_executions.start_sync_execution,
    "StopExecution": executions.stop_execution,
    "TagResource": tags.tag_resource,
    "TestState": test_state.test_state,
    "UntagResource": tags.untag_resource,
    "UpdateMapRun": map_runs.update_map_run,
    "UpdateStateMachine": state_machines.update_state_machine,
    "UpdateStateMachineAlias": aliases.update_state_machine_alias,
    "ValidateStateMachineDefinition": validation.validate_state_machine_definition,
}
"""By AWS's name of the action."""

LONG_POLLS = frozenset({"GetActivityTask"})
"""They wait for something to come: nobody misses them when their client goes away, or when the server stops."""

TRACED = frozenset({"StartExecution", "StartSyncExecution"})
"""They take `traceHeader`, which the header X-Amzn-Trace-Id goes before (api.md 1)."""
