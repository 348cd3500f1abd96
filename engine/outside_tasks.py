"""What an engine does with Tasks that are answered from outside: by task token, and by workers of activities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.handles import ActivityDescription, ActivityTask, activity_description
from engine.integrations.invocation import unshared
from engine.operations import activities
from engine.operations.activities import POLL_SECONDS
from engine.operations.paging import all_items
from engine.parts import Part

if TYPE_CHECKING:
    from engine.jsonvalue import Json


class OutsideTasks(Part):
    """A part of `Engine`."""

    # ── Tasks that are answered from outside ────────────────────────────────────────────────────────────────────────

    async def send_task_success(self, task_token: str, output: Json) -> None:
        """Ends the Task of a token (execution.md 13).

        Raises:
            InvalidToken: Nobody minted it here.
            TaskTimedOut: Its Task is over.
            InvalidOutput: `output` is not JSON.
            StoreUnavailable: Whether the answer counted is not known. Asked again, TaskTimedOut may mean that it did.
        """
        await self._own.send_task_success(task_token, output)

    async def send_task_failure(self, task_token: str, error: str | None = None, cause: str | None = None) -> None:
        """Fails the Task of a token. Raises InvalidToken, TaskTimedOut, StoreUnavailable, ValueError."""
        await self._own.send_task_failure(task_token, error, cause)

    async def send_task_heartbeat(self, task_token: str) -> None:
        """Starts HeartbeatSeconds of the Task of a token anew. Raises InvalidToken, TaskTimedOut."""
        await self._own.send_task_heartbeat(task_token)

    # ── activities ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def create_activity(self, name: str) -> str:
        """The ARN of an activity: a Task of it that has no handler waits for `get_activity_task`.

        The same name again gives the same activity.

        Raises:
            InvalidName: AWS would not take it.
        """
        arn: str = (await activities.create_activity(self.service, name=name))["activity_arn"]
        return arn

    async def describe_activity(self, activity_arn: str) -> ActivityDescription:
        """An activity. Raises InvalidArn, ActivityDoesNotExist."""
        return activity_description(await activities.describe_activity(self.service, activity_arn=activity_arn))

    async def list_activities(self) -> list[ActivityDescription]:
        """The activities of this region and account, by name."""
        found = all_items(self.service, "activities", activities.list_activities)
        return [activity_description(one) async for one in found]

    async def delete_activity(self, activity_arn: str) -> None:
        """Removes an activity; one that is not there is no fault. Tasks that wait for a worker of it wait on.

        Raises:
            InvalidArn: Not the ARN of an activity.
        """
        await activities.delete_activity(self.service, activity_arn=activity_arn)

    async def get_activity_task(
        self, activity_arn: str, worker_name: str | None = None, *, wait_seconds: float = POLL_SECONDS
    ) -> ActivityTask | None:
        """The Task that waits longest for a worker of this activity; None when none comes within `wait_seconds`.

        Each Task is given once. The one that was given to a call that never came home is lost until its time-out.

        Raises:
            ActivityDoesNotExist: No such activity.
            ValueError: `worker_name` is no text.
        """
        found = await self._own.get_activity_task(activity_arn, worker_name, wait_seconds=wait_seconds)
        return None if found is None else ActivityTask(found.task_token, unshared(found.input))
