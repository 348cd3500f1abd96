"""What becomes of the branches of a fork when it ends: their outputs are taken, or they are aborted, or forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.interpreter.messages import CancelTask, SendEvent, StartChild, StopRequested
from engine.interpreter.snapshot import (
    ITEMS,
    PROGRESS,
    Done,
    Failed,
    Frame,
    OnBranches,
    OnMapRun,
    OnRetry,
    OnTask,
    OnTimer,
    Progress,
)
from engine.interpreter.states import distributed_map, map_, task
from engine.query.evaluation import LEVEL_BYTES

if TYPE_CHECKING:
    from engine.interpreter.plan import Plan
    from engine.interpreter.snapshot import Execution
    from engine.interpreter.state_plan import StatePlan
    from engine.interpreter.workspace import Workspace
    from engine.jsonvalue import Json


def abort_branches(work: Workspace, parent: Frame, failed: Frame, state: StatePlan | None) -> None:
    """The failing branch takes the others with it. All these events follow the failing one (execution.md 3.4).

    Tasks of theirs whose own time is up at this very moment time out first (recorded: four that began together).
    """
    forked, container, failing = parent.waiting, work.plan.states[parent.state], failed.cursor
    assert isinstance(forked, OnBranches)
    is_map = isinstance(container, map_.MapPlan)
    for branch in branches_of(work, forked):
        late = branch.waiting
        if isinstance(late, OnTask) and late.deadline is not None and late.deadline <= work.now:
            late_state = work.plan.states[branch.state]
            assert isinstance(late_state, task.TaskPlan)
            work.record_coded(task.timed_out(late_state), branch.cursor)
    if is_map:
        work.record("MapIterationFailed", failing, container.name, failed.key[1])
    if isinstance(state, task.TaskPlan):
        work.record("TaskStateAborted", failing, None, None)
    for branch in branches_of(work, forked):
        if branch.key != failed.key and not isinstance(branch.waiting, Done):
            if is_map:
                work.record("MapIterationAborted", failing, container.name, branch.key[1])
            abort_below(work, branch, failing)


def abort_below(work: Workspace, frame: Frame, failing: int) -> None:
    """Cancels what a Frame waits for, and what its own branches do; an outer abort stands before its inner ones."""
    waiting = frame.waiting
    state = work.plan.states.get(frame.state)
    match waiting:
        case OnTask(task_id):
            work.commands.append(CancelTask(task_id))
            work.record("TaskStateAborted", failing, None, None)
        case OnTimer():
            work.record("WaitStateAborted", failing, None, None)
        case OnMapRun():
            stop_map_run(work, frame, waiting)
            work.record("MapRunAborted", failing, None, None)
            work.record("MapStateAborted", failing, None, None)
        case OnRetry() if state is not None:
            work.record(f"{state.type}StateAborted", failing, None, None)
        case OnBranches() if state is not None:
            work.record(f"{state.type}StateAborted", failing, None, None)
            for branch in branches_of(work, waiting):
                if not isinstance(branch.waiting, Done):
                    if isinstance(state, map_.MapPlan):
                        work.record("MapIterationAborted", failing, state.name, branch.key[1])
                    abort_below(work, branch, failing)
        case _:
            pass


def stop_map_run(work: Workspace, frame: Frame, waiting: OnMapRun) -> None:
    """Has the map run that a Frame waits for end as ABORTED.

    One that was to begin in this very transition does not begin, and a redrive enters the state anew.
    """
    kept = [c for c in work.commands if not (isinstance(c, StartChild) and c.execution_id == waiting.run)]
    if len(kept) == len(work.commands):
        kept.append(SendEvent(waiting.run, StopRequested(None, None)))
    else:
        work.own(frame.key).waiting = Failed(None, None)
    work.commands = kept


def start_of(plan: Plan, execution: Execution) -> StatePlan:
    """The state that an execution begins with: that of the state machine, or of the Map that it is a child of."""
    if execution.map is None:
        return plan.start
    state = plan.states[execution.map.state]
    assert isinstance(state, distributed_map.DistributedMapPlan) and state.start is not None  # noqa: PT018  one fact
    return state.start


def branches_of(work: Workspace, forked: OnBranches) -> list[Frame]:
    """The Frames of all branches that were started."""
    progress = work.get((forked.fork, PROGRESS)).waiting
    assert isinstance(progress, Progress)
    return [work.get((forked.fork, index)) for index in range(progress.next)]


def drop_branches(work: Workspace, frame: Frame) -> None:
    """Forgets all branches below a Frame, nested ones too: they are cancelled, or will be started anew."""
    forked = frame.waiting
    if not isinstance(forked, OnBranches):
        return
    for branch in branches_of(work, forked):
        drop_branches(work, branch)
        work.drop(branch.key)
    work.drop((forked.fork, ITEMS))
    work.drop((forked.fork, PROGRESS))


def take_outputs(work: Workspace, fork: int, total: int) -> tuple[list[Json], int]:
    """The outputs of all branches, in order, and the bound of their JSON bytes; the branches are gone."""
    outputs: list[Json] = []
    size = total + LEVEL_BYTES
    for index in range(total):
        branch = work.drop((fork, index))
        assert branch is not None and isinstance(branch.waiting, Done)  # noqa: PT018  one fact
        outputs.append(branch.waiting.output)
        size += branch.waiting.size
    work.drop((fork, ITEMS))
    work.drop((fork, PROGRESS))
    return outputs, size
