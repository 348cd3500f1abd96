"""A service of jobs, as AWS Batch is one, and the handler that begins and watches them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from engine import TaskFailed
from engine.integrations.request import Answer, Later, Submitted
from engine.jsonvalue import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.errors import StatesError
    from engine.integrations.request import Channel, RunningJob, TaskRequest, Workplace

RESOURCE = "arn:aws:states:::batch:submitJob.sync"


def job_task(**fields: Any) -> dict[str, Any]:
    named = {"JobName": "j", "JobQueue": "q", "JobDefinition": "d"}
    return {"Type": "Task", "Resource": RESOURCE, "Parameters": named, **fields}


class JobService:
    """Jobs by idempotency key, and how each ended. It is outside: it outlives engines.

    Attributes:
        submits: How often each key was submitted.
        polls: The numbers of jobs that were asked about together.
        stopped: Keys of jobs that were stopped.
        asked_at_once: The most questions that were open together.
        accepts: Requests are answered while it is set.
    """

    def __init__(self) -> None:
        self.submits: dict[str, int] = {}
        self.polls: list[int] = []
        self.stopped: list[str] = []
        self.over: dict[str, Any] = {}
        self.asked_at_once = 0
        self.accepts = anyio.Event()
        self.accepts.set()
        self.refusals: list[Exception] = []
        self._asked = 0

    def end(self, key: str, outcome: Any = "done") -> None:
        self.over[key] = outcome

    def end_all(self, outcome: Any = "done") -> None:
        for key in self.submits:
            self.end(key, outcome)


class JobsOf:
    """A `JobHandler` of a service."""

    name = "jobs"
    fixed_answer = None

    def __init__(self, service: JobService, *, together: int = 100, later: float | None = None) -> None:
        self._service = service
        self._together = together
        self._later = later

    async def run(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Answer:
        raise AssertionError("a job is submitted")

    async def submit(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Submitted:
        service, key = self._service, request.idempotency_key
        service.submits[key] = service.submits.get(key, 0) + 1
        await service.accepts.wait()
        if service.refusals:
            raise service.refusals.pop()
        return Submitted({"JobId": key}, {"id": key})

    async def find(self, request: TaskRequest, workplace: Workplace) -> Any:
        key = request.idempotency_key
        return {"id": key} if key in self._service.submits else None

    def poll_group(self, request: TaskRequest, job: Any) -> tuple[str, int]:
        return "batch", self._together

    async def poll(self, jobs: Sequence[RunningJob], workplace: Workplace) -> list[Answer | StatesError | Later]:
        service = self._service
        service.polls.append(len(jobs))
        service._asked += 1
        service.asked_at_once = max(service.asked_at_once, service._asked)
        await anyio.lowlevel.checkpoint()
        service._asked -= 1
        return [self._answer(job.job["id"]) for job in jobs]

    def _answer(self, key: str) -> Answer | StatesError | Later:
        if key not in self._service.over:
            return Later(self._later)
        outcome = self._service.over[key]
        if isinstance(outcome, TaskFailed):
            return outcome
        return Answer(outcome, len(encode(outcome)))

    async def stop(self, request: TaskRequest, job: Any, workplace: Workplace) -> None:
        self._service.stopped.append(job["id"])
