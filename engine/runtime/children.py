"""What an execution and the one whose Task started it tell each other, by mail in a checkpoint of the one that tells.

So a parent is parked while it waits, is told of the end exactly when that is durable, and a child is stopped exactly
when it is durable that nobody waits for it any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from engine.interpreter.advance import not_redrivable
from engine.interpreter.messages import ChildDone, StopRequested, TaskDone, TaskError
from engine.interpreter.recovery import TASK_FAILED
from engine.interpreter.snapshot import Snapshot
from engine.jsonvalue import encode, text
from engine.store.protocol import ExecutionId, Mail, MailId
from engine.uuids import UUID7_BITS, uuid7

if TYPE_CHECKING:
    from random import Random

    from engine.interpreter.messages import Event, Ticket
    from engine.interpreter.snapshot import Ending, Execution, Parent, Redrives, Transition
    from engine.jsonvalue import Json


def stop_cause(parent_arn: str) -> str:
    """Why a child is stopped, in AWS's words (integrations.md 4.1)."""
    return f"The Task state in AWS Step Functions execution [{parent_arn}] which was managing this resource was aborted"


def stop_of_child(child: str, parent_arn: str, *, now: int, ids: Random) -> Mail:
    """Stops a child that nobody waits for any more. `child`: its id, in hexadecimal digits."""
    return _mail(child, StopRequested(None, stop_cause(parent_arn)), now, ids)


def end_of_child(before: Snapshot, transition: Transition, parent: Parent, *, now: int, ids: Random) -> Mail:
    """Tells the parent that the execution, which stood at `before`, ends with this transition."""
    ending = transition.ending
    assert ending is not None
    assert parent.wants is not None
    after = Snapshot(
        execution=before.execution,
        ending=ending,
        last_event_id=transition.first_event_id + len(transition.history) - 1,
    )
    about = child_description(
        before.execution,
        ending,
        stop_date=transition.now,
        redrives=transition.redrives,
        not_redrivable=not_redrivable(after),
        as_text=parent.wants == "TEXT",
    )
    return _mail(parent.execution_id, ChildDone(child_answer(parent.task_id, ending, about)), now, ids)


def child_answer(task_id: Ticket, ending: Ending, about: dict[str, Json]) -> TaskDone | TaskError:
    """The end of the Task that waited for a child (integrations.md 5.1). `about`: `child_description`."""
    if ending.status == "SUCCEEDED":
        return TaskDone(task_id, about, len(encode(about)))
    return TaskError(task_id, TASK_FAILED, text(about))


def child_description(
    execution: Execution,
    ending: Ending,
    *,
    stop_date: int,
    redrives: Redrives,
    not_redrivable: str | None,
    as_text: bool,
) -> dict[str, Json]:
    """What a parent is told of a child that is over: DescribeExecution's answer in order of its members.

    Args:
        execution: The child.
        ending: How it ended.
        stop_date: When, ms since the epoch.
        redrives: Of the child.
        not_redrivable: Why it cannot be redriven; None: it can.
        as_text: Input and output as JSON text, as `.sync` gives them, and not as values.
    """
    has_succeeded = ending.status == "SUCCEEDED"
    input_text = text(execution.input) if execution.input_text is None else execution.input_text
    about: dict[str, Json | None] = {
        "Cause": ending.cause,
        "Error": None if ending.status == "TIMED_OUT" else ending.error,
        "ExecutionArn": execution.arn,
        "Input": input_text if as_text else execution.input,
        "InputDetails": {"Included": True},
        "Name": execution.name,
        "RedriveCount": redrives.count,
        "RedriveDate": redrives.time,
        "RedriveStatus": "REDRIVABLE" if not_redrivable is None else "NOT_REDRIVABLE",
        "RedriveStatusReason": not_redrivable,
        "StartDate": execution.start_time,
        "StateMachineAliasArn": execution.state_machine_alias_arn,
        "StateMachineArn": execution.state_machine_arn,
        "StateMachineVersionArn": execution.state_machine_version_arn,
        "Status": ending.status,
        "StopDate": stop_date,
    }
    if has_succeeded:
        about["OutputDetails"] = {"Included": True}
    shown = {member: value for member, value in about.items() if value is not None or member == "Input"}
    if has_succeeded:
        shown["Output"] = text(ending.output) if as_text else ending.output
    return dict(sorted(shown.items()))


def _mail(to: str, event: Event, now: int, ids: Random) -> Mail:
    mail_id = MailId(uuid7(now, ids.getrandbits(UUID7_BITS)))
    return Mail(id=mail_id, execution_id=ExecutionId(UUID(hex=to)), event=event)
