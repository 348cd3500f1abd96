"""What becomes of an error: a retry, a Catcher, or outwards until somebody takes it or the execution ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import PayloadTooLarge, StatesError
from engine.interpreter import branches, map_chunks, recovery
from engine.interpreter.messages import CancelTask, ChildEnded, SendEvent, StartTimer
from engine.interpreter.recovery import error_details, error_output
from engine.interpreter.snapshot import Ending, Failed, Frame, OnMapRun, OnRetry, OnTask
from engine.interpreter.states import distributed_map, map_, parallel, wait
from engine.interpreter.step import Leave
from engine.interpreter.workspace import Next, Workspace
from engine.query.jsonpath import PathError

if TYPE_CHECKING:
    from engine.interpreter.context import Visit
    from engine.interpreter.state_plan import StatePlan

_MS_PER_SECOND = 1_000


class Failures(Workspace):
    """The part of the control flow that begins with an error."""

    __slots__ = ()

    def _failed(self, frame: Frame, state: StatePlan, visit: Visit, error: StatesError) -> Next:
        follows = frame.entered if isinstance(error, wait.TimestampFault) else visit.followed
        return self._failed_in(frame, state, self._explained(frame, frame, state, error, follows))

    def _failed_in(self, frame: Frame, state: StatePlan | None, error: StatesError) -> Next:
        """Retry, catch, or fail what the Frame is a branch of, outwards until somebody can.

        Nothing is dropped on the way out: when nobody can, a redrive needs the Frames as they are.

        Args:
            state: None when it is the Frame's ItemSelector that failed: its own state was never entered.
        """
        culprit, culprit_state = frame, state
        while True:
            decision = None
            if state is not None:
                decision = recovery.decide(state.retriers, state.catchers, frame.retries, error, self.chance.random)
            if isinstance(decision, recovery.RetryAfter):
                if not self.events_max or sum(frame.retries) < self.events_max:
                    self._retry(frame, state, decision)
                    return None
                # Only attempts that fail before they write an event get here; the history would never end them.
                cause = f"The state was retried {sum(frame.retries)} times, more often than a history has events."
                error = StatesError(recovery.RUNTIME, cause)
            if recovery.is_terminal(error):
                self._fail_execution(error, frame.cursor, culprit, culprit_state)
                return None
            if isinstance(state, map_.MapPlan | parallel.ParallelPlan | distributed_map.DistributedMapPlan):
                frame.cursor = self.record(f"{state.type}StateFailed", frame.cursor, None, None)
            if isinstance(decision, recovery.CatcherPlan):
                assert state is not None
                return self._catch(frame, state, decision, error, culprit)
            if frame.parent is None:
                self._fail_execution(error, frame.cursor, culprit, culprit_state)
                return None
            parent = self.own(frame.parent)
            branches.abort_branches(self, parent, frame, state)
            parent.cursor = frame.cursor
            frame, state = parent, self.plan.states[parent.state]

    def _retry(self, frame: Frame, state: StatePlan | None, decision: recovery.RetryAfter) -> None:
        assert state is not None
        branches.drop_branches(self, frame)
        used = frame.retries or [0] * len(state.retriers)
        frame.retries = [n + (index == decision.retrier) for index, n in enumerate(used)]
        timer_id = self.new_ticket(frame)
        due = self.now + round(decision.seconds * _MS_PER_SECOND)
        frame.waiting = OnRetry(timer_id, due)
        self.commands.append(StartTimer(timer_id, due))

    def _catch(
        self, frame: Frame, state: StatePlan, catcher: recovery.CatcherPlan, error: StatesError, culprit: Frame
    ) -> Next:
        """Goes on where the Catcher says; what fails in its own Assign or Output fails the execution (asl.md 8.5)."""
        visit = self.visit(frame, state)
        try:
            output, size, assigned, assigned_size = catcher.output(visit, frame.input, error_output(error))
        except StatesError as fault:
            explained = self._explained(frame, frame, state, fault, frame.followed)
        except PathError as fault:
            explained = self._explained(frame, frame, state, recovery.invalid_path(fault), frame.followed)
        else:
            branches.drop_branches(self, frame)
            frame.waiting = None
            return frame, Leave(output, size, catcher.next, assigned, assigned_size)
        self._fail_execution(explained, frame.cursor, culprit, state)
        return None

    def _explained(
        self, frame: Frame, entered_by: Frame, state: StatePlan, error: StatesError, follows: int
    ) -> StatesError:
        """The error with its whole cause; a failed evaluation is told in history.

        Args:
            entered_by: The Frame that entered `state`: the failing one, but of an ItemSelector its parent.
            follows: previousEventId of EvaluationFailed.
        """
        if isinstance(error, PayloadTooLarge):
            if error.cause is None:
                error.cause = (
                    f"The state/task '{state.name}' returned a result with a size exceeding the maximum number of "
                    "bytes service limit."
                )
            return error
        if not error.located:
            return error
        where = f"while executing the state '{state.name}' (entered at the event id #{entered_by.entered})"
        explained = StatesError(error.error, f"An error occurred {where}. {error.cause}")
        if error.error == "States.QueryEvaluationError":
            details = {"error": error.error, "cause": explained.cause, "state": state.name}
            if error.location is not None:
                details["location"] = error.location
            frame.cursor = self.record("EvaluationFailed", follows, None, details)
        return explained

    def _fail_execution(
        self, error: StatesError, failing: int, culprit: Frame | None, state: StatePlan | None = None
    ) -> None:
        self.record("ExecutionFailed", failing, None, error_details(error))
        name = key = None
        if culprit is not None:
            culprit.waiting = Failed(error.error, error.cause) if culprit.waiting is None else culprit.waiting
            name, key = None if state is None else state.name, culprit.key
        self._end(Ending("FAILED", None, error.error, error.cause, name, key))

    def _end(self, ending: Ending) -> None:
        """Success forgets all Frames; otherwise they stay for a redrive. Tasks still in flight are cancelled."""
        self.ending = ending
        cancelled = {command.task_id: command for command in self.commands if isinstance(command, CancelTask)}
        for frame in {**self.snapshot.frames, **self.changed}.values():
            if frame is not None and isinstance(frame.waiting, OnTask):
                cancelled[frame.waiting.task_id] = CancelTask(frame.waiting.task_id)
            elif frame is not None and isinstance(frame.waiting, OnMapRun):
                branches.stop_map_run(self, frame, frame.waiting)
        told = [command for command in self.commands if isinstance(command, SendEvent)]
        role = self.execution.map
        if role is not None and role.above is not None:
            told = [command for command in told if not isinstance(command.event, ChildEnded)]
            last = self.first_id + len(self.history) - 1
            is_final = ending.status != "SUCCEEDED" and not self.execution.has_room(last)
            end = map_chunks.end_of_child(self.execution, ending, self.now, self.redrives, is_final=is_final)
            told.append(SendEvent(role.above, end))
        self.commands = [*cancelled.values(), *told]
        if ending.status == "SUCCEEDED":
            self.changed = dict.fromkeys(self.snapshot.frames)
