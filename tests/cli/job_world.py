"""AWS's job services at an endpoint of this process, for workers that are processes of their own."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from anyio.from_thread import start_blocking_portal

from engine.integrations.optimised import SERVICES
from tests.integrations.stub_aws import arguments_of, stub_aws

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from tests.integrations.stub_aws import StubAws, StubJob

ACTIONS = {"batch": "submitJob", "glue": "startJobRun", "ecs": "runTask"}
"""Services of jobs: two that take no token, so that a request made again is a second job, and one that takes one."""


@contextmanager
def job_services() -> Iterator[StubAws]:
    """They answer in a thread of their own, whatever this one does."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(stub_aws()) as aws:
        yield aws


def without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that are started find no settings of whoever runs the tests: an endpoint takes any credentials."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


def job_state(service: str) -> dict[str, Any]:
    """A state that begins a job of a service and waits for it."""
    action = ACTIONS[service]
    resource = f"arn:aws:states:::{service}:{action}.sync"
    return {"Type": "Task", "Resource": resource, "Parameters": arguments_of(service, action), "End": True}


def end_all(aws: StubAws) -> None:
    """All jobs end well."""
    for job in aws.jobs:
        job.standing = "good"


def id_of(job: StubJob) -> str:
    """What questions call a job."""
    _, name = _QUESTIONS[job.row[0]]
    return str(job.names[name])


def asked_about(aws: StubAws, since: int = 0) -> list[tuple[str, list[str]]]:
    """Service and ids of each question about jobs among the requests from the given one on."""
    found = []
    for (client, operation), members in zip(aws.asked[since:], aws.members[since:], strict=False):
        if client in _QUESTIONS and operation == SERVICES[client].jobs[ACTIONS[client]].ask:
            member, _ = _QUESTIONS[client]
            given = members[member]
            found.append((client, given if isinstance(given, list) else [given]))
    return found


_QUESTIONS = {"batch": ("jobs", "JobId"), "glue": ("RunId", "RunId"), "ecs": ("tasks", "TaskArn")}
"""Of each service: where questions have the ids of jobs, and what the row calls them."""
