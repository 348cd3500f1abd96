"""GetExecutionHistory (api.md 5.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.interpreter.history import LAST_EVENT_ID, as_aws, without_data
from engine.operations.paging import page
from engine.operations.resources import checked_arn

if TYPE_CHECKING:
    from engine.operations.service import Service


async def get_execution_history(
    service: Service,
    *,
    execution_arn: str,
    max_results: int | None = None,
    reverse_order: bool = False,
    next_token: str | None = None,
    include_execution_data: bool = True,
) -> dict[str, Any]:
    """Events of an execution in the order of their ids, or in the opposite one.

    Only the segments that the page is in are read, however long the history is. Newest first, events that come
    between two pages are on neither.

    Raises:
        InvalidArn: Also that of an Express execution.
        InvalidToken: See `page`.
        ExecutionDoesNotExist: No such one, or no longer.
    """
    checked_arn(execution_arn, "execution")
    asked = page(
        service,
        "GetExecutionHistory",
        int,
        max_results=max_results,
        next_token=next_token,
        execution_arn=execution_arn,
        reverse_order=reverse_order,
        include_execution_data=include_execution_data,
    )
    most = asked.most + 1
    if reverse_order:
        last = LAST_EVENT_ID if asked.after is None else asked.after - 1
        first = 1
    else:
        first = 1 if asked.after is None else asked.after + 1
        last = first + most - 1
    library = service.library
    segments = await service.ask(
        library.history,
        execution_arn,
        from_event_id=last if reverse_order else first,
        events_max=most,
        backwards=reverse_order,
    )
    if reverse_order and segments:
        newest = segments[0]
        last = min(last, newest.first_event_id + len(newest.events) - 1)
        first = last - most + 1
        segments = segments[::-1]
    events = list(as_aws(segments, first=first, last=last))
    if reverse_order:
        events.reverse()
    shown, rest = asked.shown(events, lambda event: event["id"])
    return {"events": shown if include_execution_data else [without_data(event) for event in shown], **rest}
