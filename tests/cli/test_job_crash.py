"""kill -9 of a worker whose `.sync` Tasks wait for jobs, with real processes, a real database and calls over HTTP."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from engine import blocking
from tests.cli.job_world import ACTIONS, asked_about, end_all, id_of, job_services, job_state, without_credentials
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.cli.fleet import Fleet

EACH = 20
"""Executions of each service."""

ANSWERED = 25
"""Requests that are answered before the others are held up."""


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    without_credentials(monkeypatch)


def is_noted(handle: blocking.ExecutionHandle) -> bool:
    return any(event["type"] == "TaskSubmitted" for event in handle.history())


@pytest.mark.timeout(120)
def test_jobs_of_a_killed_worker_are_asked_about_by_the_next_one_and_none_is_submitted_again(fleet: Fleet) -> None:
    for service in ACTIONS:
        fleet.deploy(service, {"Job": job_state(service)})
    with job_services() as aws, blocking.Engine(fleet.place[1]) as client:
        rule = ("-t", f"*=aws:?endpoint={aws.url}")
        with fleet.worker(*rule) as worker:
            handles = [client.start_execution(service) for service in ACTIONS for _ in range(EACH)]
            unnoted = list(handles)
            while unnoted:
                wait_until(lambda: is_noted(unnoted[-1]))
                unnoted.pop()
            worker.kill()
        asked_before = len(aws.asked)
        ids = set(map(id_of, aws.jobs))
        with fleet.worker(*rule):
            wait_until(lambda: {one for _, some in asked_about(aws, asked_before) for one in some} == ids)
            end_all(aws)
            results = [handle.result() for handle in handles]
    assert all(isinstance(result, dict) for result in results)
    assert Counter(job.row for job in aws.jobs) == dict.fromkeys(ACTIONS.items(), EACH)
    assert not any(job.is_stopped for job in aws.jobs)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("answered", [0, ANSWERED])
def test_a_worker_that_is_killed_while_it_submits_to_a_service_that_takes_tokens_begins_no_job_twice(
    fleet: Fleet, answered: int
) -> None:
    executions = 2 * ANSWERED
    fleet.deploy("m", {"Job": job_state("ecs")})
    with job_services() as aws, blocking.Engine(fleet.place[1]) as client:
        rule = ("-t", f"*=aws:?endpoint={aws.url}")
        aws.answered["RunTask"] = answered
        with fleet.worker(*rule) as worker:
            handles = [client.start_execution("m") for _ in range(executions)]
            wait_until(lambda: len(aws.jobs) == executions)
            worker.kill()
        del aws.answered["RunTask"]
        with fleet.worker(*rule):
            wait_until(lambda: all(map(is_noted, handles)))
            end_all(aws)
            for handle in handles:
                handle.result()
    assert len(aws.jobs) == executions
    requests = Counter(
        members["clientToken"] for asked, members in zip(aws.asked, aws.members, strict=True) if asked[1] == "RunTask"
    )
    assert len(requests) == executions, "each Task has one token, whoever asks"
    assert max(requests.values()) <= 2
    assert sum(requests.values()) >= 2 * executions - answered, "what was not answered is asked for again"
