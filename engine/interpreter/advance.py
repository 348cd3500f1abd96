"""Event in, Transition out. With `failures` all control flow, the only writer of Frames and of history. Pure.

An advance folds one event and then runs every Frame that can run until it waits for the outside, or the execution
ended, or so much happened that others should have a turn (`EVENTS_PER_ADVANCE`). Whatever fits no waiting Frame is a
late answer and is dropped in one place, `_answer`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from engine.errors import PayloadTooLarge, StatesError
from engine.interpreter import branches, map_chunks, map_runs, recovery
from engine.interpreter.failures import Failures
from engine.interpreter.history import CODE, INPUT_TEXT, SHOWING_RESULT, payload_bytes
from engine.interpreter.messages import (
    EXECUTION_TIMER,
    CancelTask,
    ChildDone,
    Command,
    Continue,
    Event,
    MailContinue,
    MapRunDone,
    NotReopened,
    RedriveRequested,
    ReopenChild,
    StartRequested,
    StartTimer,
    StopRequested,
    TaskDone,
    TaskError,
    TaskStarted,
    TaskSubmitted,
    Ticket,
    TimerDue,
)
from engine.interpreter.recovery import error_details
from engine.interpreter.snapshot import (
    ITEMS,
    NOT_ENTERED,
    NOT_SELECTED,
    PROGRESS,
    ROOT,
    Done,
    Ending,
    Execution,
    Failed,
    Frame,
    FrameKey,
    Items,
    OnBranches,
    OnContinue,
    OnMapRun,
    OnRetry,
    OnTask,
    OnTimer,
    Progress,
    Redrives,
    Snapshot,
    Transition,
)
from engine.interpreter.states import choice, distributed_map, fail, map_, parallel, pass_, succeed, task, wait
from engine.interpreter.step import BeginMapRun, Fork, Leave, Raise, Stay, Step
from engine.jsonvalue import encode, text
from engine.query.jsonpath import PathError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from engine.interpreter.context import Visit
    from engine.interpreter.plan import Plan
    from engine.interpreter.state_plan import StatePlan
    from engine.interpreter.workspace import Next
    from engine.jsonvalue import Json
    from engine.query.evaluation import Chance

EXPRESS_SECONDS_MAX = 300
STANDARD_SECONDS_MAX = 365 * 86_400
"""execution.md 10: one year. As those of TimeoutSeconds they begin anew with a redrive (9.2)."""

MAP_RUN_REDRIVES_MAX = 1_000
"""Of one map run (execution.md 9.2)."""

LAST_INSTANT = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z, in ms: no timestamp can show a later one."""

_MS_PER_SECOND = 1_000
_SUCCEEDED = CODE["ExecutionSucceeded"]
_NO_RETRIES: list[int] = []
_NOTHING = object()

EVENTS_TOGETHER = 500
BYTES_TOGETHER = 256 << 10
"""With so much in its history a transition takes no further event; the rest waits for the next one."""

BYTES_PER_ADVANCE = 1 << 20
"""Of payloads in its history. More: a page of history decodes the whole segment that it begins in, 10 ms for 1 MB."""


ITEM_MEASURED_ABOVE = 1_024


def _item_size(item: Json, bound: int) -> int:
    """A bound of an item's size, which is at most its list's; a large one is measured.

    With the list's own as the bound of each of 10,000 items, one answer made a transition look full, and each had a
    checkpoint of its own.
    """
    if bound <= ITEM_MEASURED_ABOVE:
        return bound
    try:
        return min(bound, len(encode(item)))
    except RecursionError:
        return bound


def advance(plan: Plan, snapshot: Snapshot, event: Event, *, now: int, chance: Chance) -> Transition:
    """Folds one event. `snapshot` is not touched; `Snapshot.apply` moves it on once the transition is durable.

    Args:
        now: Milliseconds since the epoch: the timestamp of all that happens in here. Never before the last event's.
        chance: For jitter, task tokens and the functions that draw.
    """
    return advance_together(plan, snapshot, (event,), now=now, chance=chance)[0]


def advance_together(
    plan: Plan, snapshot: Snapshot, events: Sequence[Event], *, now: int, chance: Chance
) -> tuple[Transition, int]:
    """Folds events that wait together into one transition, as if each were folded by itself, in this order.

    Returns:
        The transition, and how many of the events are in it: at least one; fewer than all when the execution ends, or
        when others should have a turn.
    """
    now = min(max(now, snapshot.last_time), LAST_INSTANT)
    if snapshot.execution.is_shown:
        return Advance(plan, snapshot, now, chance).fold(events)
    if snapshot.execution.role == "RUN":
        return map_runs.MapRun(plan, snapshot, now, chance).fold(events)
    return map_chunks.Chunk(plan, snapshot, now, chance).fold(events)


def pending_commands(plan: Plan, snapshot: Snapshot) -> list[Command]:
    """What a loaded execution still waits for, as commands.

    The Tasks in flight run again, with what is left of their time.
    """
    if snapshot.ending is not None or not snapshot.frames:
        return []
    if not snapshot.execution.is_shown:
        pending = map_runs.pending_commands if snapshot.execution.role == "RUN" else map_chunks.pending_commands
        return pending(snapshot)
    commands: list[Command] = list(_execution_timer(plan, snapshot.execution, snapshot.redrives))
    for frame in snapshot.frames.values():
        match frame.waiting:
            case OnTask():
                state = plan.states[frame.state]
                assert isinstance(state, task.TaskPlan)
                commands += task.rescheduled(state, frame, frame.waiting, snapshot.last_time, snapshot.redrives.count)
            case OnTimer(timer_id, due) | OnRetry(timer_id, due):
                commands.append(StartTimer(timer_id, due))
            case OnMapRun(_, run, arn, attempt) if attempt:
                commands.append(ReopenChild(run, arn, attempt))
            case _:
                pass
    if any(isinstance(frame.waiting, OnContinue) for frame in snapshot.frames.values()):
        commands.append(MailContinue())
    return commands


def not_redrivable(snapshot: Snapshot) -> str | None:
    """Why the execution cannot be redriven, in AWS's words, as far as its own state tells (execution.md 9.1).

    None: it can.
    """
    status = "RUNNING" if snapshot.ending is None else snapshot.ending.status
    if status == "RUNNING" or (status == "SUCCEEDED" and not snapshot.execution.keeps_frames(status)):
        return f"Execution is {status} and cannot be redriven"
    if not snapshot.execution.has_room(snapshot.last_event_id):
        return "Execution history event limit exceeded"
    return None


def time_limit(execution: Execution, redrives: Redrives) -> int:
    """When a Standard execution that is still open is timed out, whatever it waits for: ms since the epoch.

    From then on every event times it out. Nothing in here wakes it for that, else skipped time would jump there when
    all that it waits for is an answer: whoever keeps it sees to it that some event comes. An Express one has a timer.
    """
    if execution.type == "EXPRESS" or not execution.is_shown:
        return LAST_INSTANT
    begun = execution.start_time if redrives.time is None else redrives.time
    return min(begun + STANDARD_SECONDS_MAX * _MS_PER_SECOND, LAST_INSTANT)


def time_limit_due(redrives: Redrives) -> TimerDue:
    """The event for an execution whose `time_limit` has come and that waits for no timer."""
    return TimerDue((EXECUTION_TIMER, redrives.count, 0))


def _execution_timer(plan: Plan, execution: Execution, redrives: Redrives) -> tuple[Command, ...]:
    seconds = plan.timeout_seconds if execution.map is None else None
    if execution.type == "EXPRESS":
        seconds = min(seconds or EXPRESS_SECONDS_MAX, EXPRESS_SECONDS_MAX)
    if seconds is None:
        return ()
    begun = execution.start_time if redrives.time is None else redrives.time
    return (StartTimer((EXECUTION_TIMER, redrives.count, 0), begun + seconds * _MS_PER_SECOND),)


def _enter(state: StatePlan, visit: Visit) -> Step:
    # Pass and Choice first: the eighth case of a match costs 280 ns, the first two about 100.
    match state:
        case pass_.PassPlan():
            return pass_.enter(state, visit)
        case choice.ChoicePlan():
            return choice.enter(state, visit)
        case task.TaskPlan():
            return task.enter(state, visit)
        case map_.MapPlan():
            return map_.enter(state, visit)
        case distributed_map.DistributedMapPlan():
            return distributed_map.enter(state, visit)
        case parallel.ParallelPlan():
            return parallel.enter(state, visit)
        case wait.WaitPlan():
            return wait.enter(state, visit)
        case succeed.SucceedPlan():
            return succeed.enter(state, visit)
        case fail.FailPlan():
            return fail.enter(state, visit)
        case _:
            raise AssertionError(f"no such type of state: {state.type}")


class Advance(Failures):
    """The control flow of one call, over what it has in hand; `trial` has a variation of it."""

    __slots__ = ("ready",)

    def __init__(self, plan: Plan, snapshot: Snapshot, now: int, chance: Chance) -> None:
        super().__init__(plan, snapshot, now, chance)
        self.ready: deque[tuple[Frame, Step | None]] = deque()

    def fold(self, events: Sequence[Event]) -> tuple[Transition, int]:
        """See `advance_together`."""
        count = 0
        for event in events:
            count += 1
            ended = self.ending is not None
            if ended and isinstance(event, RedriveRequested):
                self._redrive(event.time)
            elif not ended:
                self._take(event)
            while self.ready and self.ending is None:
                frame, step = self.ready.popleft()
                going: Next = (frame, step) if self.changed.get(frame.key) is frame else None
                while going is not None:
                    going = self._drive(*going)
            self._limit_history()
            is_full = len(self.history) > EVENTS_TOGETHER or self.weight > BYTES_TOGETHER
            if is_full or self.ending is not None or self._is_paused():
                break
        return self.transition(), count

    # ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, event: Event) -> None:
        match event:
            case StartRequested(input_text):
                if not self.snapshot.last_event_id:  # mail may come twice
                    self._begin(input_text)
            case Continue():
                for key in self.snapshot.frames:
                    paused = self.find(key)
                    if paused is not None and isinstance(paused.waiting, OnContinue):
                        self._wake(self.own(key), None)
            case StopRequested(error, cause):
                stopped = StatesError(error, cause)
                self.record("ExecutionAborted", 0, None, error_details(stopped))
                self._end(Ending("ABORTED", None, error, cause))
            case TimerDue((fork, redrive, _)) if fork == EXECUTION_TIMER:
                if redrive == self.redrives.count:
                    self._time_out()
            case _ if self.now >= time_limit(self.execution, self.redrives):
                self._time_out()
            case (
                TaskStarted(ticket)
                | TaskSubmitted(ticket)
                | TaskDone(ticket)
                | TaskError(ticket)
                | TimerDue(ticket)
                | MapRunDone(ticket)
            ):
                frame = self.find(ticket[:2])
                if frame is not None:
                    self._answer(frame, event, ticket)
            case NotReopened(run, reason):
                self._lose_map_run(run, reason)
            case ChildDone(answer):
                self._take(answer)
            case _:
                pass  # only what has ended can be redriven; the rest is for map runs and chunks

    def _time_out(self) -> None:
        self.record("ExecutionTimedOut", 0, None, {"error": recovery.TIMEOUT})
        self._end(Ending("TIMED_OUT", None, recovery.TIMEOUT))

    def _begin(self, input_text: str | None) -> None:
        execution = self.execution
        started: dict[str, Any] = {"input": execution.input, "roleArn": execution.role_arn}
        if input_text is not None and input_text != text(execution.input):
            started[INPUT_TEXT] = input_text
        if execution.state_machine_alias_arn is not None:
            started["stateMachineAliasArn"] = execution.state_machine_alias_arn
        if execution.state_machine_version_arn is not None:
            started["stateMachineVersionArn"] = execution.state_machine_version_arn
        self.record("ExecutionStarted", 0, None, started)
        root = Frame(ROOT, None, branches.start_of(self.plan, execution).name, execution.input, execution.input_bytes)
        self.changed[ROOT] = root
        self.commands += _execution_timer(self.plan, execution, self.redrives)
        self.ready.append((root, None))

    def _answer(self, frame: Frame, event: Event, ticket: Ticket) -> None:
        """The pair (waiting, event) decides. Every other pair is a late answer, dropped here and nowhere else."""
        state = self.plan.states.get(frame.state)
        match frame.waiting, event:
            case OnTask(task_id), TaskDone() | TaskError() | TimerDue() | TaskStarted() | TaskSubmitted() if (
                task_id == ticket
            ):
                assert isinstance(state, task.TaskPlan)
                self._answer_task(self.own(frame.key), state, event)
            case OnTimer(timer_id), TimerDue() if timer_id == ticket:
                assert isinstance(state, wait.WaitPlan)
                frame = self.own(frame.key)
                visit = self.visit(frame, state)
                self._wake(frame, self._tried(lambda: wait.resume(state, visit)))
            case OnMapRun(task_id, attempt=attempt), MapRunDone() if task_id == ticket and attempt == event.attempt:
                assert isinstance(state, distributed_map.DistributedMapPlan)
                self._answer_map_run(self.own(frame.key), state, event)
            case OnRetry(timer_id), TimerDue() if timer_id == ticket:
                assert state is not None
                self._reenter(self.own(frame.key), state)
            case _:
                pass

    def _answer_task(self, frame: Frame, state: task.TaskPlan, event: Event) -> None:
        waiting = frame.waiting
        assert isinstance(waiting, OnTask)
        match event:
            case TaskDone(_, output, output_bytes):
                if 0 < self.execution.payload_bytes_max < output_bytes:
                    error = TaskError(waiting.task_id, "States.DataLimitExceeded", task.too_large(state))
                    self._task_failed(frame, state, error)
                    return
                frame.cursor = self.record_coded(task.succeeded(state, output), frame.cursor)
                self.weight += output_bytes
                visit = self.visit(frame, state)
                self._wake(frame, self._tried(lambda: task.resume(state, visit, event)))
            case TaskError():
                self._task_failed(frame, state, event)
            case TimerDue(_, heartbeat):
                frame.cursor = self.record_coded(task.timed_out(state), frame.cursor)
                self.commands.append(CancelTask(waiting.task_id))
                timeout = recovery.HeartbeatTimeout() if heartbeat else StatesError(recovery.TIMEOUT)
                self._wake(frame, Raise(timeout))
            case TaskStarted(_, worker_name) if not waiting.started:
                frame.cursor = self.record_coded(task.started(worker_name), frame.cursor)
                self.commands += task.heartbeat_timer(waiting, self.now)
                frame.waiting = msgspec.structs.replace(waiting, started=True)
            case TaskSubmitted(_, output, job) if (submitted := task.submitted(state, output)) is not None:
                frame.cursor = self.record_coded(submitted, frame.cursor)
                frame.waiting = msgspec.structs.replace(waiting, submitted=True, job=job)
            case _:
                pass

    def _answer_map_run(self, frame: Frame, state: distributed_map.DistributedMapPlan, event: MapRunDone) -> None:
        waiting = frame.waiting
        assert isinstance(waiting, OnMapRun)
        if event.error is None:
            # Side notes, as those of a fork: what comes next follows MapRunStarted (recorded since November 2024).
            ended = self.record("MapRunSucceeded", frame.cursor, None, None)
            self.record("MapStateSucceeded", ended, None, None)
            visit = self.visit(frame, state)
            self._wake(frame, self._tried(lambda: distributed_map.resume(state, visit, event)))
            return
        error = PayloadTooLarge() if event.error == recovery.DATA_LIMIT_EXCEEDED else StatesError(event.error)
        error.cause = event.cause
        frame.cursor = self.record("MapRunFailed", frame.cursor, None, error_details(error))
        self._wake(frame, Raise(error))
        if not isinstance(error, PayloadTooLarge):
            frame.waiting = Failed(event.error, event.cause, waiting)  # a redrive goes on with this map run

    def _lose_map_run(self, run: UUID, reason: str) -> None:
        """A map run cannot be redriven. The next redrive begins another one."""
        for frame in list(self.snapshot.frames.values()):
            if isinstance(frame.waiting, OnMapRun) and frame.waiting.run == run:
                error = StatesError("Engine.MapRunGone", reason)
                own = self.own(frame.key)
                own.cursor = self.record("MapRunFailed", own.cursor, None, error_details(error))
                self._wake(own, Raise(error))

    def _task_failed(self, frame: Frame, state: task.TaskPlan, event: TaskError) -> None:
        frame.cursor = self.record_coded(task.failed(state, event), frame.cursor)
        self._wake(frame, Raise(StatesError(event.error, event.cause)))

    def _reenter(self, frame: Frame, state: StatePlan) -> None:
        """Does a state's work again: there is no new Entered event."""
        visit = self.visit(frame, state)
        self._wake(frame, self._tried(lambda: _enter(state, visit)))

    def _tried(self, act: Callable[[], Step]) -> Step:
        try:
            return act()
        except StatesError as error:
            return Raise(error)
        except PathError as error:
            return Raise(recovery.invalid_path(error))

    def _wake(self, frame: Frame, step: Step | None) -> None:
        frame.waiting = None
        self.ready.append((frame, step))

    # ── redrive ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _redrive(self, asked: int | None) -> None:
        """Runs again what failed or was cancelled; what succeeded stays (execution.md 9.2)."""
        if not_redrivable(self.snapshot) is not None:
            return
        self.ending = None
        self.redrives = Redrives(self.redrives.count + 1, self.now if asked is None else asked)
        previous = self.first_id - 1
        redriven = self.record("ExecutionRedriven", previous, None, {"redriveCount": self.redrives.count})
        self.commands += _execution_timer(self.plan, self.execution, self.redrives)
        for key, kept in self.snapshot.frames.items():
            if isinstance(kept.waiting, OnBranches | Items | Progress | Done):
                continue
            frame = self.own(key)
            frame.cursor = redriven
            frame.retries = []
            map_run = kept.waiting.map_run if isinstance(kept.waiting, Failed) else kept.waiting
            if isinstance(map_run, OnMapRun):
                self._redrive_map_run(frame, map_run)
            elif frame.entered in (NOT_ENTERED, NOT_SELECTED):
                self._wake(frame, None)
            else:
                self._reenter(frame, self.plan.states[frame.state])

    def _redrive_map_run(self, frame: Frame, waiting: OnMapRun) -> None:
        """The same map run goes on: only what did not succeed is done again."""
        if waiting.attempt == MAP_RUN_REDRIVES_MAX:
            cause = f"The Map Run was redriven {MAP_RUN_REDRIVES_MAX} times, which is the most."
            self._wake(frame, Raise(StatesError(recovery.RUNTIME, cause)))
            return
        waiting = msgspec.structs.replace(waiting, attempt=waiting.attempt + 1)
        about = {"mapRunArn": waiting.arn, "redriveCount": waiting.attempt}
        frame.cursor = self.record("MapRunRedriven", frame.cursor, None, about)
        frame.waiting = waiting
        self.commands.append(ReopenChild(waiting.run, waiting.arn, waiting.attempt))

    # ── the hot loop ────────────────────────────────────────────────────────────────────────────────────────────────

    def _drive(self, frame: Frame, step: Step | None) -> Next:
        """Runs one Frame until it waits, forks, fails or ends. What changes at every state lives in locals."""
        if frame.entered == NOT_SELECTED and not self._selected(frame):
            return None
        history = self.history
        append, before = history.append, self.first_id - 1
        state, data, size, cursor = self.plan.states[frame.state], frame.input, frame.size, frame.cursor
        visit = self.visit(frame, state)
        measure_above, pause_at, now = visit.measure_above, self.pause_at, self.now
        # known: the event at `cursor` shows `data`. fresh: the state was entered in this call. shown: what the event at
        # `cursor` shows, where an Exited event may share it.
        known = fresh = False
        shown: Any = _NOTHING
        if step is not None and self.is_newest(cursor) and history[-1][0] in SHOWING_RESULT:
            shown = history[-1][3]["output"]
        while True:
            if step is None:
                if len(history) >= pause_at or self.weight > BYTES_PER_ADVANCE:
                    frame.state, frame.input, frame.size, frame.cursor = state.name, data, size, cursor
                    self._pause(frame)
                    return None
                append(
                    (state.entered_code, cursor, state.name)
                    if known
                    else (state.entered_code, cursor, state.name, data)
                )
                visit.followed = cursor
                cursor = before + len(history)
                visit.state, visit.input, visit.size, visit.entered, visit.retries = (
                    state,
                    data,
                    size,
                    cursor,
                    _NO_RETRIES,
                )
                visit.entered_at = now
                fresh, shown = True, data
                try:
                    step = _enter(state, visit)
                except StatesError as error:
                    step = Raise(error)
                except PathError as error:
                    step = Raise(recovery.invalid_path(error))
            if type(step) is not Leave:
                frame.state, frame.input, frame.size, frame.cursor = state.name, data, size, cursor
                if fresh:
                    frame.entered, frame.followed, frame.entered_at = visit.entered, visit.followed, now
                    frame.retries = []
                return self._halt(frame, state, visit, step)
            output, size = step.output, step.size
            payload: Any = output
            if output is data:
                size = visit.size
            elif size > measure_above:  # only a bound: measure, and let history have the bytes
                try:
                    payload, size = payload_bytes(output)
                except StatesError as error:
                    step, size = Raise(error), visit.size
                    continue
                if 0 < visit.payload_bytes_max < size:
                    step, size = Raise(PayloadTooLarge()), visit.size
                    continue
            if step.assigned:
                too_many = self.assign(frame, visit, step)
                if too_many is not None:
                    step, size = Raise(too_many), visit.size
                    continue
                append((state.exited_code, cursor, state.name, payload, step.assigned))
            elif output is shown:
                append((state.exited_code, cursor, state.name))
            else:
                append((state.exited_code, cursor, state.name, payload))
            self.weight += size
            cursor = before + len(history)
            known, data = True, output
            if step.next is None:
                return self._ended(frame, data, size, cursor)
            state, step = step.next, None

    def _halt(self, frame: Frame, state: StatePlan, visit: Visit, step: Step) -> Next:
        match step:
            case Stay(waiting, commands, events):
                frame.waiting = waiting
                self.commands += commands
                for event in events:
                    frame.cursor = self.record_coded(event, frame.cursor)
                self.weight += frame.size
                return None
            case Fork():
                return self._fork(frame, state, step)
            case BeginMapRun(length, items):
                frame.cursor = self.record("MapStateStarted", frame.cursor, None, length)
                assert isinstance(state, distributed_map.DistributedMapPlan)
                map_state = state
                return self._halt(
                    frame, state, visit, self._tried(lambda: distributed_map.begin(map_state, visit, items))
                )
            case Raise(error):
                return self._failed(frame, state, visit, error)
            case _:
                raise AssertionError(step)

    def _pause(self, frame: Frame) -> None:
        """Gives others a turn. When it is the history that is full, `_limit_history` ends the execution."""
        if frame.entered != NOT_SELECTED:
            frame.entered = NOT_ENTERED
        frame.waiting = OnContinue()
        if not self._is_paused():
            self.commands.append(MailContinue())

    def _limit_history(self) -> None:
        """The last event that fits is the ExecutionFailed, unless the execution ends with it anyway (measured)."""
        last = self.first_id + len(self.history) - 1
        fits = last <= self.events_max if self.ending is not None else last < self.events_max
        if not self.events_max or (fits and not (last == self.events_max - 1 and self._is_paused())):
            return
        del self.history[self.events_max - self.first_id :]
        cause = f"The execution reached the maximum number of history events ({self.events_max})."
        self._fail_execution(StatesError(recovery.RUNTIME, cause), self.events_max - 1, None)

    def _is_paused(self) -> bool:
        return any(isinstance(command, MailContinue) for command in self.commands)

    # ── branches ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _fork(self, frame: Frame, state: StatePlan, fork: Fork) -> Next:
        self.counter += 1
        number, total = self.counter, len(fork.inputs)
        is_map = isinstance(state, map_.MapPlan)
        kind = "MapStateStarted" if is_map else "ParallelStateStarted"
        started = frame.cursor = self.record(kind, frame.cursor, None, total if is_map else None)
        if not total:
            return self._join(frame, state, [], 2)
        most = min(fork.most, total)
        frame.waiting = OnBranches(number, total)
        self.changed[number, PROGRESS] = Frame((number, PROGRESS), frame.key, "", None, 0, waiting=Progress(most, most))
        if most < total:  # the items as they were selected, written once
            self.changed[number, ITEMS] = Frame((number, ITEMS), frame.key, "", fork.inputs, fork.size, waiting=Items())
        for index in range(most):
            self._start_branch(frame, state, (number, index), fork.inputs[index], fork.size, started)
        return None

    def _start_branch(self, parent: Frame, state: StatePlan, key: FrameKey, data: Json, size: int, cursor: int) -> None:
        index = key[1]
        if isinstance(state, parallel.ParallelPlan):
            branch = Frame(key, parent.key, state.starts[index].name, data, size, cursor)
        else:
            assert isinstance(state, map_.MapPlan) and state.start is not None  # noqa: PT018  one fact
            cursor = self.record("MapIterationStarted", cursor, state.name, index)
            size = _item_size(data, size)
            branch = Frame(key, parent.key, state.start.name, data, size, cursor, item=(index, data))
            if state.selector is not None:
                branch.entered = NOT_SELECTED
        self.changed[key] = branch
        self.ready.append((branch, None))

    def _selected(self, branch: Frame) -> bool:
        """Makes an iteration's input by ItemSelector; a failure is the Map state's, told in this iteration's name.

        Returns:
            Whether the iteration can go on now.
        """
        if len(self.history) >= self.pause_at or self.weight > BYTES_PER_ADVANCE:
            self._pause(branch)
            return False
        assert branch.parent is not None
        parent = self.get(branch.parent)
        state = self.plan.states[parent.state]
        assert isinstance(state, map_.MapPlan) and state.selector is not None  # noqa: PT018  one fact
        visit = self.visit(parent, state)
        visit.frame = branch  # its $$.Map.Item
        try:
            branch.input, branch.size = state.selector(visit)
        except StatesError as error:
            fault = error
        except PathError as error:
            fault = recovery.invalid_path(error)
        else:
            branch.entered = NOT_ENTERED
            return True
        explained = self._explained(branch, parent, state, fault, branch.cursor)
        going = self._failed_in(branch, None, explained)
        if going is not None:
            self.ready.append(going)
        return False

    def _ended(self, frame: Frame, data: Json, size: int, cursor: int) -> Next:
        """A flow came to its end."""
        if frame.parent is None:
            self.history.append((_SUCCEEDED, cursor))
            self._end(Ending("SUCCEEDED", data))
            return None
        parent = self.get(frame.parent)
        state, forked = self.plan.states[parent.state], parent.waiting
        assert isinstance(forked, OnBranches)
        fork, total = forked.fork, forked.total
        frame.waiting, frame.input, frame.size, frame.variables = Done(data, size), None, 0, {}
        progress_frame = self.own((fork, PROGRESS))
        progress = progress_frame.waiting
        assert isinstance(progress, Progress)
        last = cursor
        if isinstance(state, map_.MapPlan):
            last = self.record("MapIterationSucceeded", cursor, state.name, frame.key[1])
        following = progress.next
        if following < total:
            items = self.get((fork, ITEMS))
            assert isinstance(items.input, list)
            progress_frame.waiting = Progress(following + 1, progress.open)
            self._start_branch(parent, state, (fork, following), items.input[following], items.size, cursor)
            return None
        progress_frame.waiting = Progress(following, progress.open - 1)
        if progress.open > 1:
            return None
        parent = self.own(parent.key)
        parent.cursor = last
        outputs, total_size = branches.take_outputs(self, fork, total)
        return self._join(parent, state, outputs, total_size)

    def _join(self, frame: Frame, state: StatePlan, results: list[Json], size: int) -> Next:
        # The Succeeded event is a side note: what comes next follows the same event as it does.
        self.record(f"{state.type}StateSucceeded", frame.cursor, None, None)
        visit = self.visit(frame, state)
        frame.waiting = None
        if isinstance(state, map_.MapPlan):
            map_state = state
            return frame, self._tried(lambda: map_.join(map_state, visit, results, size))
        assert isinstance(state, parallel.ParallelPlan)
        parallel_state = state
        return frame, self._tried(lambda: parallel.join(parallel_state, visit, results, size))
