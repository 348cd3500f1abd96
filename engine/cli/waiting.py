"""What an open execution waits for, and why it may not move: read off its snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from engine.asl.program import TaskState
from engine.cli.failure import state_named
from engine.interpreter.snapshot import PROGRESS, OnBranches, OnRetry, OnTask, OnTimer, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.asl.program import StateMachine
    from engine.interpreter.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One thing that one Frame waits for.

    Attributes:
        type: Of the state: `Task`, `Wait`, `Map` and so on.
        what: `TASK`, `TIMER`, `RETRY` or `BRANCHES`.
        item: Index of the Map iteration it is in; None outside of Maps.
        resource: Of a Task.
        attempt: Of a Task: 0 first, then 1, 2, ... with each retry.
        task_token: What ends the Task, where its Resource hands one out.
        until: When it is over at the latest, or goes on; ms since the epoch.
        total: Of a Map or Parallel: branches.
        done: Of them those that have ended.
    """

    state: str
    type: str
    what: str
    item: int | None = None
    resource: str | None = None
    attempt: int | None = None
    task_token: str | None = None
    until: int | None = None
    total: int | None = None
    done: int | None = None


def waits(snapshot: Snapshot, program: StateMachine) -> Iterator[Wait]:
    """What an execution waits for, one for each Frame that waits, outer Frames first."""
    named = cache(partial(state_named, program))
    for frame in snapshot.frames.values():
        state = named(frame.state)
        about: dict[str, Any] = {
            "state": frame.state,
            "type": "" if state is None else type(state).__name__.removesuffix("State"),
            "item": None if frame.item is None else frame.item[0],
        }
        match frame.waiting:
            case OnTask(task_token=task_token, deadline=deadline):
                resource = state.resource.arn if isinstance(state, TaskState) else None
                attempt = sum(frame.retries)
                yield Wait(
                    what="TASK", resource=resource, attempt=attempt, task_token=task_token, until=deadline, **about
                )
            case OnTimer(due=due):
                yield Wait(what="TIMER", until=due, **about)
            case OnRetry(due=due):
                yield Wait(what="RETRY", until=due, **about)
            case OnBranches(fork=fork, total=total):
                yield Wait(what="BRANCHES", total=total, done=_done(snapshot, fork), **about)
            case _:
                continue


def _done(snapshot: Snapshot, fork: int) -> int:
    """Branches of a fork that have ended."""
    progress = snapshot.frames[fork, PROGRESS].waiting
    assert isinstance(progress, Progress), "the side Frame that counts a fork's branches"
    return progress.next - progress.open
