"""What one advance has in hand: the Frames it owns, history and commands so far, counters. No control flow here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from engine.errors import PayloadTooLarge, StatesError
from engine.interpreter.context import Visit
from engine.interpreter.history import CODE, HistoryTuple, measured
from engine.interpreter.snapshot import Ending, Frame, FrameKey, Snapshot, Transition, copy_frame
from engine.jsonvalue import encode

if TYPE_CHECKING:
    from engine.interpreter.messages import Command, Ticket
    from engine.interpreter.plan import Plan
    from engine.interpreter.state_plan import StatePlan
    from engine.interpreter.step import Leave, Step
    from engine.jsonvalue import Json
    from engine.query.evaluation import Chance

EVENTS_PER_ADVANCE = 2_000
"""More: a longer time in which one execution blocks its worker. Fewer: more checkpoints."""

VARIABLES_BYTES_MAX = 10 << 20
"""Of all variables of one execution (execution.md 20.1)."""

_FEW_VARIABLES_BYTES = 64 << 10
"""Below this one Frame's variables cannot, with those of a hundred others, pass VARIABLES_BYTES_MAX."""


Next: TypeAlias = "tuple[Frame, Step | None] | None"
"""The Frame to go on with at once, and its step when it is known already."""


class Workspace:
    """The working state of one call, and the Core of its Visits."""

    __slots__ = (
        "chance", "changed", "commands", "counter", "ending", "events_max", "execution", "first_id", "history", "now",
        "pause_at", "plan", "redrives", "snapshot", "weight",
    )  # fmt: skip

    def __init__(self, plan: Plan, snapshot: Snapshot, now: int, chance: Chance) -> None:
        self.plan = plan
        self.snapshot = snapshot
        self.execution = snapshot.execution
        self.redrives = snapshot.redrives
        self.now = now
        self.chance = chance
        self.changed: dict[FrameKey, Frame | None] = {}
        self.counter = snapshot.counter
        self.first_id = snapshot.last_event_id + 1
        self.history: list[HistoryTuple] = []
        self.commands: list[Command] = []
        self.ending: Ending | None = snapshot.ending
        self.weight = 0
        self.events_max = snapshot.execution.history_events_max
        self.pause_at = EVENTS_PER_ADVANCE
        if self.events_max:
            self.pause_at = min(EVENTS_PER_ADVANCE, self.events_max - self.first_id)

    def transition(self) -> Transition:
        """All that was done."""
        return Transition(
            changed=self.changed,
            counter=self.counter,
            first_event_id=self.first_id,
            now=self.now if self.history else self.snapshot.last_time,
            history=self.history,
            commands=self.commands,
            redrives=self.redrives,
            ending=self.ending,
        )

    def record(self, kind: str, previous: int, name: str | None, payload: Any) -> int:
        """Writes a history event; its id."""
        self.history.append((CODE[kind], previous, name, payload))
        return self.first_id + len(self.history) - 1

    def record_coded(self, event: tuple[int, Any], previous: int) -> int:
        """Writes a history event that has no name of its own, by its code; its id."""
        self.history.append((event[0], previous, None, event[1]))
        return self.first_id + len(self.history) - 1

    def is_newest(self, event_id: int) -> bool:
        """See `Core`."""
        history = self.history
        return bool(history) and event_id == self.first_id + len(history) - 1

    def new_ticket(self, frame: Frame) -> Ticket:
        """A name for a task or timer: the Frame it belongs to and a number no other one of this execution has."""
        self.counter += 1
        return (*frame.key, self.counter)

    def item_of(self, frame: Frame) -> tuple[int, Json] | None:
        """The item of the innermost Map iteration around a Frame."""
        while frame.item is None and frame.parent is not None:
            frame = self.get(frame.parent)
        return frame.item

    def get(self, key: FrameKey) -> Frame:
        """The Frame as it now is, to read."""
        return self.changed.get(key) or self.snapshot.frames[key]

    def find(self, key: FrameKey) -> Frame | None:
        """The Frame as it now is, to read, if it is there still."""
        return self.changed[key] if key in self.changed else self.snapshot.frames.get(key)

    def own(self, key: FrameKey) -> Frame:
        """The Frame as it now is, to change."""
        frame = self.changed.get(key)
        if frame is None:
            frame = self.changed[key] = copy_frame(self.snapshot.frames[key])
        return frame

    def drop(self, key: FrameKey) -> Frame | None:
        """Forgets a Frame; what it was."""
        frame = self.changed.pop(key, None)
        if key in self.snapshot.frames:
            frame = frame or self.snapshot.frames[key]
            self.changed[key] = None
        return frame

    def visit(self, frame: Frame, state: StatePlan) -> Visit:
        """The state of a Frame, being run."""
        return Visit(self, frame, state, self._variables(frame))

    def _variables(self, frame: Frame) -> dict[str, Json]:
        """The Frame's own variables over those of the Frames around it, which rest while branches run."""
        if frame.parent is None:
            return frame.variables
        outer = self._variables(self.get(frame.parent))
        return {**outer, **frame.variables} if frame.variables else outer

    def assign(self, frame: Frame, visit: Visit, step: Leave) -> StatesError | None:
        """Sets variables, or says which limit they pass (asl.md 9.5)."""
        assigned, limit = step.assigned, visit.payload_bytes_max
        assert assigned is not None
        size = step.assigned_size
        if size > visit.measure_above:
            try:
                size = len(measured(assigned))
            except StatesError as error:
                return error
            if 0 < limit < size:
                return _variables_too_large(f"The variables that the state '{visit.state.name}' assigns", size, limit)
        variables = {**frame.variables, **assigned}
        total = frame.variables_size + size
        if total > _FEW_VARIABLES_BYTES:
            total = len(encode(variables))
            others = {**self.snapshot.frames, **self.changed}.values()
            whole = total + sum(f.variables_size for f in others if f is not None and f.key != frame.key)
            if limit and whole > VARIABLES_BYTES_MAX:
                return _variables_too_large("The variables of the execution", whole, VARIABLES_BYTES_MAX)
        frame.variables, frame.variables_size = variables, total
        visit.variables = {**visit.variables, **assigned}
        return None


def _variables_too_large(what: str, size: int, limit: int) -> StatesError:
    error = PayloadTooLarge()
    error.cause = f"{what} take {size} bytes, more than the service limit of {limit}."
    return error
