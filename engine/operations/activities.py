"""Activities, and GetActivityTask, by which their workers poll (api.md 5.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine import arns
from engine.errors import ActivityWorkerLimitExceeded, InvalidName, TooManyTags
from engine.jsonvalue import text
from engine.operations.configuration import encryption_of
from engine.operations.paging import page
from engine.operations.quotas import check_room_for_activity
from engine.operations.resources import checked_arn
from engine.operations.tags import tags_of
from engine.outcome import aware
from engine.store.library import TAGS_MAX
from engine.store.records import AWS_OWNED_KEY, ActivityRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.jsonvalue import Json
    from engine.operations.service import Service

POLL_SECONDS = 60.0
"""How long GetActivityTask waits (execution.md 12)."""

POLLERS_MAX = 1_000
"""Who poll for the Tasks of one activity at once; through one process, for others are not known here."""


async def create_activity(
    service: Service,
    *,
    name: str,
    tags: Sequence[Mapping[str, str]] = (),
    encryption_configuration: Mapping[str, Json] | None = None,
) -> dict[str, Any]:
    """Makes an activity; the same name again gives the same one, and its tags are not looked at.

    Raises:
        InvalidName: AWS would not take it.
        InvalidEncryptionConfiguration, ValidationException, TooManyTags: As `create_state_machine`.
        ActivityAlreadyExists: It is there with another encryption.
        ActivityLimitExceeded: See `Quotas`.
    """
    if not arns.is_valid_name(name):
        raise InvalidName(name)
    arn = arns.activity_arn(service.region, service.account_id, name)
    activity = ActivityRecord(
        arn=arn,
        name=name,
        creation_date=service.now(),
        encryption=AWS_OWNED_KEY if encryption_configuration is None else encryption_of(encryption_configuration),
    )
    given_tags = tags_of(tags)
    if len(given_tags) > TAGS_MAX:
        raise TooManyTags(arn)
    await check_room_for_activity(service, arn)
    kept = await service.ask(service.library.create_activity, activity, tags=given_tags)
    return {"activity_arn": kept.arn, "creation_date": aware(kept.creation_date)}


async def describe_activity(service: Service, *, activity_arn: str) -> dict[str, Any]:
    """An activity. Raises InvalidArn, ActivityDoesNotExist."""
    checked_arn(activity_arn, "activity")
    activity = await service.ask(service.library.activity, activity_arn)
    return {**_summary(activity), "encryption_configuration": activity.encryption}


async def delete_activity(service: Service, *, activity_arn: str) -> dict[str, Any]:
    """Removes an activity; that it is not there is no fault. Its Tasks wait on. Raises InvalidArn."""
    checked_arn(activity_arn, "activity")
    await service.ask(service.library.delete_activity, activity_arn)
    return {}


async def list_activities(
    service: Service, *, max_results: int | None = None, next_token: str | None = None
) -> dict[str, Any]:
    """The account's activities in this region, by name. Raises InvalidToken."""
    asked = page(service, "ListActivities", str, max_results=max_results, next_token=next_token)
    own = arns.activity_arn(service.region, service.account_id, "")
    library = service.library
    found = await service.ask(library.activities, after=own + (asked.after or ""), most=asked.most + 1)
    records, rest = asked.shown([one for one in found if one.arn.startswith(own)], lambda record: record.name)
    return {"activities": [_summary(record) for record in records], **rest}


async def get_activity_task(
    service: Service, *, activity_arn: str, worker_name: str | None = None, wait_seconds: float = POLL_SECONDS
) -> dict[str, Any]:
    """The Task that waits longest for a worker of an activity; nothing when none comes in time.

    Each Task is given once. The one that was given to a call that never came home is lost until its time-out.

    Args:
        service: Whose.
        activity_arn: Of the activity.
        worker_name: For the history.
        wait_seconds: How long to wait; no member of AWS's.

    Raises:
        InvalidArn, ActivityDoesNotExist: As AWS does.
        ActivityWorkerLimitExceeded: POLLERS_MAX wait already.
    """
    checked_arn(activity_arn, "activity")
    pollers = service.pollers
    if pollers[activity_arn] >= POLLERS_MAX:
        raise ActivityWorkerLimitExceeded
    pollers[activity_arn] += 1
    try:
        taken = await service.backend.get_activity_task(activity_arn, worker_name, wait_seconds=wait_seconds)
    finally:
        pollers[activity_arn] -= 1
        if not pollers[activity_arn]:
            del pollers[activity_arn]
    return {} if taken is None else {"task_token": taken.task_token, "input": text(taken.input)}


def _summary(activity: ActivityRecord) -> dict[str, Any]:
    return {
        "activity_arn": activity.arn,
        "name": activity.name,
        "creation_date": aware(activity.creation_date),
    }
