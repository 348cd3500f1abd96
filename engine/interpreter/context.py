"""Where a state is being run: the Context Object (asl.md 6) and the variables in scope (asl.md 9.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from engine.errors import PayloadTooLarge
from engine.interpreter.history import measured
from engine.timestamps import iso_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.interpreter.messages import Ticket
    from engine.interpreter.snapshot import Execution, Frame, Redrives
    from engine.interpreter.state_plan import StatePlan
    from engine.jsonvalue import Json
    from engine.query.evaluation import Chance


MEASURE_ABOVE = 8_192
"""A size bound above this is replaced by the size. Lower: more encoding. Higher: bounds too loose to add up."""


class Core(Protocol):
    """What a Visit needs of the advance it belongs to."""

    now: int
    chance: Chance
    execution: Execution
    redrives: Redrives

    def new_ticket(self, frame: Frame) -> Ticket:
        """A name for a task or timer that no other one of this execution has."""
        ...

    def item_of(self, frame: Frame) -> tuple[int, Json] | None:
        """Index and value of the Map iteration that the Frame is in."""
        ...

    def is_newest(self, event_id: int) -> bool:
        """Whether this event was recorded in this advance, and none after it: the next one may share its document."""
        ...


class Visit:
    """One state being run in one Frame: the Scope of its expressions, and what its module may ask for.

    There is one for each stretch that a Frame runs, moved along from state to state: one per state costs 11-23 %.

    Attributes:
        input: The state's raw input; `size` bounds its JSON bytes.
        entered: Id of the Entered event.
        followed: previousEventId of that event.
        entered_at: Its time, ms since the epoch.
        task_token: `$$.Task.Token`, while a Task that has one evaluates its input.
    """

    __slots__ = (
        "chance", "core", "entered", "entered_at", "followed", "frame", "input", "measure_above", "now",
        "payload_bytes_max", "retries", "size", "state", "task_token", "variables",
    )  # fmt: skip

    def __init__(self, core: Core, frame: Frame, state: StatePlan, variables: Mapping[str, Json]) -> None:
        self.core = core
        self.frame = frame
        self.state = state
        self.variables: Mapping[str, Json] = variables
        self.now: int = core.now
        self.chance: Chance = core.chance
        self.payload_bytes_max: int = core.execution.payload_bytes_max
        self.measure_above = min(MEASURE_ABOVE, self.payload_bytes_max) or MEASURE_ABOVE
        self.input = frame.input
        self.size = frame.size
        self.entered = frame.entered
        self.followed = frame.followed
        self.entered_at = frame.entered_at
        self.retries = frame.retries
        self.task_token: str | None = None

    def new_ticket(self) -> Ticket:
        """A name for a task or timer of this Frame."""
        return self.core.new_ticket(self.frame)

    def measure(self, value: Json, bound: int) -> int:
        """A bound of the value's JSON bytes that is worth adding up.

        Raises:
            PayloadTooLarge: The value passes the payload limit.
            StatesError: See `history.measured`.
        """
        if bound <= self.measure_above:
            return bound
        size = len(measured(value))
        if 0 < self.payload_bytes_max < size:
            raise PayloadTooLarge
        return size

    def measure_beyond_limit(self, value: Json, bound: int) -> int:
        """As `measure`, for a value that is measured later unless it shrinks: now only when its bound passes the limit.

        Raises:
            PayloadTooLarge, StatesError: As `measure`.
        """
        return self.measure(value, bound) if 0 < self.payload_bytes_max < bound else bound

    def context(self) -> dict[str, Json]:
        """The Context Object; members in the order that AWS writes them (recorded)."""
        given = self.state.context
        out = self._own_context() if given is None else dict(given)
        if self.task_token is not None:
            out.setdefault("Task", {"Token": self.task_token})
        item = self.core.item_of(self.frame)
        if item is not None:
            out["Map"] = {"Item": {"Index": item[0], "Value": item[1]}}
        return out

    def _own_context(self) -> dict[str, Json]:
        execution = self.core.execution
        about: dict[str, Json] = {
            "Id": execution.arn,
            "Input": execution.input,
            "StartTime": iso_timestamp(execution.start_time),
            "Name": execution.name,
            "RoleArn": execution.role_arn,
        }
        redrives = self.core.redrives
        if not execution.sync:
            about["RedriveCount"] = redrives.count
        if redrives.time is not None:
            about["RedriveTime"] = iso_timestamp(redrives.time)
        state: dict[str, Json] = {"Name": self.state.name, "EnteredTime": iso_timestamp(self.entered_at)}
        if self.state.has_retry_count:
            state["RetryCount"] = sum(self.retries)
        machine: dict[str, Json] = {"Id": execution.state_machine_arn, "Name": execution.state_machine_name}
        return {"Execution": about, "StateMachine": machine, "State": state}
