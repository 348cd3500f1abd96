"""A scheduled Task as the request that its handler gets."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from engine.asl.resource import parse_resource
from engine.integrations.invocation import wanted
from engine.integrations.registry import MissingHandler, account_of
from engine.integrations.request import TaskRequest

if TYPE_CHECKING:
    from engine.asl.resource import Resource
    from engine.integrations.request import Origin
    from engine.interpreter.messages import ScheduleTask
    from engine.interpreter.snapshot import Execution

_RESOURCES_CACHED = 4_096
"""Resources that were read; there may be any number of definitions, so there is a bound."""


def missing_handler(request: TaskRequest) -> MissingHandler:
    """The error of a Task that nothing here does."""
    return MissingHandler([(request.state, wanted(request))])


def task_request(about: Execution, command: ScheduleTask, origin: Origin | None = None) -> TaskRequest:
    """What a handler is asked to do. `origin`: of a Task that an execution of the store waits for."""
    return TaskRequest(
        execution_arn=about.arn,
        execution_name=about.name,
        state=command.state,
        resource=_parsed(command.resource),
        arguments=command.arguments,
        attempt=command.attempt,
        entered=command.entered,
        redrive_count=command.redrive,
        region=about.region,
        account_id=account_of(about.state_machine_arn),
        task_token=command.task_token,
        deadline=command.deadline,
        heartbeat_seconds=command.heartbeat_seconds,
        role_arn=command.role_arn,
        origin=origin,
        test_case=about.test_case,
    )


@lru_cache(_RESOURCES_CACHED)
def _parsed(arn: str) -> Resource:
    resource = parse_resource(arn)
    assert resource is not None, f"the parser let a Resource through that it cannot read: {arn}"
    return resource
