"""What an engine gives to a program: executions, and the Tasks of activities. (State machines: `machines`.)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import ExecutionDoesNotExist
from engine.integrations.invocation import unshared
from engine.interpreter.history import as_aws
from engine.outcome import ExecutionFailed, described
from engine.runtime.backend import not_redrivable_now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from engine.interpreter.history import Segment
    from engine.interpreter.plan import Plan
    from engine.jsonvalue import Json
    from engine.outcome import ExecutionDescription
    from engine.runtime.backend import Backend, Tracked
    from engine.store.protocol import ExecutionStatus
    from engine.store.records import ExecutionRecord


class ActivityDescription(NamedTuple):
    """What DescribeActivity tells."""

    activity_arn: str
    name: str
    creation_date: datetime


class ActivityTask(NamedTuple):
    """What GetActivityTask gives."""

    task_token: str
    input: Json


def activity_description(shown: Mapping[str, Any]) -> ActivityDescription:
    """What the operations tell of an activity, as a program sees it."""
    return ActivityDescription(shown["activity_arn"], shown["name"], shown["creation_date"])


class ExecutionHandle:
    """An execution. In memory handles of one execution all show the same; on a store each shows what it has seen."""

    __slots__ = ("_backend", "_plan_of", "_tracked")

    def __init__(
        self,
        tracked: Tracked,
        backend: Callable[[], Backend[Any]],
        plan_of: Callable[[ExecutionRecord], Plan | None],
    ) -> None:
        self._tracked = tracked
        self._backend = backend
        self._plan_of = plan_of

    def __repr__(self) -> str:
        return f"<ExecutionHandle {self.arn} {self.status}>"

    @property
    def arn(self) -> str:
        """Its ARN."""
        return self._tracked.arn

    @property
    def name(self) -> str:
        """Its name."""
        return self._tracked.name

    @property
    def status(self) -> ExecutionStatus:
        """AWS's word for how it stands. On a store: how it stood when this handle last looked."""
        return "RUNNING" if self._tracked.ending is None else self._tracked.ending.status

    async def result(self) -> Json:
        """Waits for the end and gives the output.

        Raises:
            ExecutionFailed: It did not succeed.
            MissingHandler, UnsupportedTask: It was stopped, because a Task cannot be done here.
            ExecutionQuarantined: The engine itself failed, or the store refuses its data.
        """
        ending, failed_input = await self._backend().result(self._tracked)
        if ending.status == "SUCCEEDED":
            return unshared(ending.output)
        segments: Sequence[Segment]
        try:
            segments = await self._backend().history(self.arn)
        except ExecutionDoesNotExist:
            segments = []
        failed_input = unshared(failed_input)
        raise ExecutionFailed(ending, execution_arn=self.arn, input_of_state=failed_input, segments=segments)

    async def describe(self) -> ExecutionDescription:
        """How it stands. Raises ExecutionDoesNotExist when it is no longer kept."""
        backend = self._backend()
        record = await backend.describe(self.arn)
        return described(record, not_redrivable_now(record, backend.clock.now()))

    async def history(self) -> list[dict[str, Any]]:
        """All events so far, in the shape of boto3's GetExecutionHistory. Raises ExecutionDoesNotExist."""
        return list(as_aws(await self._backend().history(self.arn)))

    async def stop(self, error: str | None = None, cause: str | None = None) -> None:
        """Has it end as ABORTED: `result` tells when it has. Nothing changes when it is over already (execution.md 8).

        Raises:
            ValueError: `error` or `cause` is no text.
        """
        await self._backend().stop(self._tracked, error, cause)

    async def redrive(self) -> None:
        """Goes on where it failed (execution.md 9); then `result` waits for the new end.

        Raises:
            ExecutionNotRedrivable: It is open, succeeded, too old or too long.
            ExecutionDoesNotExist: It is no longer kept.
        """
        backend = self._backend()
        await backend.redrive(self._tracked, self._plan_of(await backend.describe(self.arn)))

    async def resume(self) -> None:
        """Ends its quarantine, if it is in one. Raises ExecutionDoesNotExist when it is over or no longer kept."""
        backend = self._backend()
        await backend.resume(self._tracked, self._plan_of(await backend.describe(self.arn)))
