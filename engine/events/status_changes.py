"""EventBridge's "Step Functions Execution Status Change", made of transitions. Pure.

Source: api.md 7, execution.md 17 (recorded). Standard executions only: one event when it is RUNNING, at the start and
at each redrive, and one for its end. Members are never left out; what does not apply is null, unlike in
DescribeExecution.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from engine import arns
from engine.interpreter.advance import not_redrivable
from engine.interpreter.history import INPUT_TEXT
from engine.interpreter.snapshot import Snapshot
from engine.jsonvalue import encode, text
from engine.store.protocol import StatusChange

if TYPE_CHECKING:
    from engine.interpreter.snapshot import Ending, Transition

DETAIL_TYPE = "Step Functions Execution Status Change"
SOURCE = "aws.states"

PAYLOAD_BYTES_MAX = 248 * 1_024
"""Of input and output together, escaped as they are in the event; what is beyond is left out, the output first."""

_IDS = uuid.UUID("b0c1d2a4-3c62-5b2a-9d0e-6a1f6e1c7a55")
_MS_PER_SECOND = 1_000


def status_changes(before: Snapshot, transition: Transition) -> list[StatusChange]:
    """The changes of status that a transition makes: none, RUNNING, an end, or both.

    Args:
        before: Where the execution stood before it.
    """
    if before.execution.type != "STANDARD":
        return []
    changes: list[StatusChange] = []
    is_redrive = transition.redrives.count != before.redrives.count
    if is_redrive or transition.first_event_id == 1:
        changes.append(_change(before, transition, None))
    if transition.ending is not None:
        changes.append(_change(before, transition, transition.ending))
    return changes


def _change(before: Snapshot, transition: Transition, ending: Ending | None) -> StatusChange:
    number = 2 * transition.redrives.count + (ending is not None)
    return StatusChange(number=number, event=encode(_event(before, transition, ending, number)))


def _event(before: Snapshot, transition: Transition, ending: Ending | None, number: int) -> dict[str, Any]:
    execution = before.execution
    arn = arns.parse_arn(execution.arn)
    assert arn is not None, "ours"
    begun = datetime.fromtimestamp(transition.now // _MS_PER_SECOND, UTC)
    return {
        "version": "0",
        # The same whenever it is sent: who gets an event twice can tell.
        "id": str(uuid.uuid5(_IDS, f"{execution.arn} {number}")),
        "detail-type": DETAIL_TYPE,
        "source": SOURCE,
        "account": arn.account,
        "time": begun.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": arn.region,
        "resources": [execution.arn],
        "detail": _detail(before, transition, ending),
    }


def _detail(before: Snapshot, transition: Transition, ending: Ending | None) -> dict[str, Any]:
    execution, redrives = before.execution, transition.redrives
    given, output = _input_text(before, transition), None
    if ending is not None and ending.status == "SUCCEEDED":
        output = text(ending.output)
    given_bytes = len(encode(given))
    shows_output = output is not None and given_bytes + len(encode(output)) <= PAYLOAD_BYTES_MAX
    shows_input = given_bytes <= PAYLOAD_BYTES_MAX
    # Of a TIMED_OUT execution AWS shows no error (recorded for DescribeExecution).
    shows_error = ending is not None and ending.status in ("FAILED", "ABORTED")
    last_event_id = transition.first_event_id + len(transition.history) - 1
    reason = not_redrivable(Snapshot(execution=execution, ending=ending, last_event_id=last_event_id))
    return {
        "executionArn": execution.arn,
        "stateMachineArn": execution.state_machine_arn,
        "name": execution.name,
        "status": "RUNNING" if ending is None else ending.status,
        "startDate": execution.start_time,
        "stopDate": None if ending is None else transition.now,
        "input": given if shows_input else None,
        "output": output if shows_output else None,
        "stateMachineVersionArn": execution.state_machine_version_arn,
        "stateMachineAliasArn": execution.state_machine_alias_arn,
        "redriveCount": redrives.count,
        "redriveDate": redrives.time,
        "redriveStatus": "REDRIVABLE" if reason is None else "NOT_REDRIVABLE",
        "redriveStatusReason": reason,
        "inputDetails": {"included": shows_input},
        "outputDetails": None if output is None else {"included": shows_output},
        "error": ending.error if ending is not None and shows_error else None,
        "cause": ending.cause if ending is not None and shows_error else None,
    }


def _input_text(before: Snapshot, transition: Transition) -> str:
    """As it was given, where the transition that began the execution is at hand."""
    if transition.first_event_id == 1 and transition.history:
        started = transition.history[0][3]
        if isinstance(started, dict) and INPUT_TEXT in started:
            return str(started[INPUT_TEXT])
    return text(before.execution.input)
