"""Which function does which action: one row for each operation of AWS's service model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from engine.operations import activities, executions, history, map_runs, tasks

Operation: TypeAlias = Callable[..., Awaitable[Mapping[str, Any] | None]]
"""Takes the service and AWS's members in snake_case."""

ROUTES: Mapping[str, Operation] = {
    "DeleteActivity": activities.delete_activity,
    "DescribeActivity": activities.describe_activity,
    "DescribeExecution": executions.describe_execution,
    "DescribeMapRun": map_runs.describe_map_run,
    "GetActivityTask": activities.get_activity_task,
    "GetExecutionHistory": history.get_execution_history,
    "ListActivities": activities.list_activities,
    "ListMapRuns": map_runs.list_map_runs,
    "SendTaskFailure": tasks.send_task_failure,
    "SendTaskHeartbeat": tasks.send_task_heartbeat,
    "SendTaskSuccess": tasks.send_task_success,
    "StopExecution": executions.stop_execution,
    "UpdateMapRun": map_runs.update_map_run,
}
"""By AWS's name of the action."""

LONG_POLLS = frozenset({"GetActivityTask"})
"""They wait for something to come: nobody misses them when their client goes away, or when the server stops."""

TRACED = frozenset({"StartExecution", "StartSyncExecution"})
"""They take `traceHeader`, which the header X-Amzn-Trace-Id goes before (api.md 1)."""
