"""How far an execution is, state by state, told from the transitions that an observer sees. No IO here.

History says what happened by events that name the event they follow; here that becomes visits of states, each with the
iterations of Maps around it, and counts for each state of the definition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from engine.asl.program import Flow, MapState, ParallelState, flows_of
from engine.interpreter.history import TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.asl.program import StateMachine
    from engine.interpreter.history import HistoryTuple
    from engine.interpreter.snapshot import Ending, Transition

Path: TypeAlias = tuple[tuple[str, int], ...]
"""The Map iterations around a visit, outermost first: (name of the Map, index)."""

Kind: TypeAlias = Literal["entered", "attempt", "items", "iteration", "failed", "exited", "caught", "aborted"]

_ATTEMPTS = ("TaskScheduled", "LambdaFunctionScheduled", "ActivityScheduled")
_FAILURES = (
    *(f"Task{what}" for what in ("Failed", "TimedOut", "StartFailed", "SubmitFailed")),
    *(f"LambdaFunction{what}" for what in ("Failed", "TimedOut", "StartFailed", "ScheduleFailed")),
    *(f"Activity{what}" for what in ("Failed", "TimedOut", "ScheduleFailed")),
)
_FORKS_STARTED = ("MapStateStarted", "ParallelStateStarted")
_FORKS_FAILED = ("MapStateFailed", "ParallelStateFailed")


class Happening(NamedTuple):
    """Something worth a line.

    Attributes:
        kind: `items`: a Map knows its items; `iteration`: one of them ended; `failed`: one attempt did.
        state: Of the definition.
        path: The iterations it happened in.
        event: Its place in the transition's history.
        visit: Which visit of the state it belongs to, from 1.
        milliseconds: Since the state was entered.
        number: Of `attempt` and `failed`: which attempt, from 1. Of `iteration`: iterations of the Map that are done.
        total: Of `items` and `iteration`: the Map's items.
        error: Of `failed` and `caught`.
        cause: Of `failed`.
    """

    kind: Kind
    state: str
    path: Path
    event: int
    visit: int
    milliseconds: int = 0
    number: int = 0
    total: int = 0
    error: str | None = None
    cause: str | None = None


@dataclass(slots=True)
class StateProgress:
    """One state of the definition, over all its visits.

    Attributes:
        parent: The Map or Parallel around it.
        depth: How many of them are around it.
        maps: How many of these are Maps.
        open: Visits that have begun and not ended.
        done: Visits that ended well, those included whose error was caught.
        caught: Visits that ended in a Catcher.
        failed: Visits whose error nobody in the state itself caught.
        aborted: Visits that were ended from outside.
        attempts: Of the last visit; a Task that waits for its first retry has 1.
        retrying: Visits that wait for a retry.
        items: Of a Map: items that are to be processed, over all visits.
        items_done: Of these, how many are.
        entered_at: Of the last visit, ms since the epoch.
        milliseconds: Spent in visits that ended.
        error: The last one.
    """

    name: str
    type: str
    parent: str | None
    depth: int
    maps: int
    open: int = 0
    done: int = 0
    caught: int = 0
    failed: int = 0
    aborted: int = 0
    attempts: int = 0
    retrying: int = 0
    items: int = 0
    items_done: int = 0
    entered_at: int = 0
    milliseconds: int = 0
    error: str | None = None

    @property
    def visits(self) -> int:
        """How often it was entered."""
        return self.open + self.done + self.failed + self.aborted


@dataclass(slots=True)
class _Visit:
    """A visit of a state that has not ended. `follows`: the event before it, which EvaluationFailed may follow too."""

    number: int
    entered_at: int
    follows: int
    attempts: int = 0
    error: str | None = None
    retrying: bool = False
    items: int = 0
    items_done: int = 0


class _Place(NamedTuple):
    """Which visit an event belongs to; `keeps`: several events may follow it, so it must not be forgotten."""

    state: str
    path: Path
    keeps: bool = False


class ExecutionProgress:
    """All states of one execution.

    Attributes:
        states: By name, in the order of the definition; a Map or Parallel comes before what is in it.
        ending: Set when it is over.
        now: Time of the last transition, ms since the epoch.
        started_at: Time of the first.
    """

    def __init__(self, program: StateMachine) -> None:
        self.states = {state.name: state for state in _states_of(program, None, 0, 0)}
        self.ending: Ending | None = None
        self.now = 0
        self.started_at: int | None = None
        self._open: dict[tuple[str, Path], _Visit] = {}
        self._places: dict[int, _Place] = {}

    def observe(self, transition: Transition) -> list[Happening]:
        """Counts what a transition did, and gives what happened in its order."""
        self.now = transition.now
        if self.started_at is None:
            self.started_at = transition.now
        happenings: list[Happening] = []
        for index, event in enumerate(transition.history):
            happenings += self._event(index, transition.first_event_id + index, event)
        if transition.ending is not None:
            self.ending = transition.ending
            happenings += self._end(transition.ending, len(transition.history) - 1)
        return happenings

    # ── one event ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _event(self, index: int, event_id: int, event: HistoryTuple) -> Iterator[Happening]:
        kind = TYPES[event[0]]
        before = self._places.get(event[1], _Place("", ()))
        name: str | None = event[2] if len(event) > 2 else None
        payload: Any = event[3] if len(event) > 3 else None
        here: _Place | None = before
        if kind.endswith("StateEntered") and name is not None:
            here, happenings = self._entered(index, name, event[1], before)
        elif kind.endswith("StateExited") and name is not None:
            here, happenings = self._exited(index, name, before)
            self._places.pop(event[1], None)
        elif kind in _ATTEMPTS:
            happenings = self._attempt(index, before)
        elif kind in _FAILURES:
            happenings = self._failure(index, before, payload or {})
        elif kind in _FORKS_STARTED:
            here, happenings = self._fork_started(index, kind, before, payload)
        elif kind in _FORKS_FAILED:
            here, happenings = self._fork_failed(kind, before)
        elif kind == "EvaluationFailed":
            failed = self.states[payload["state"]]
            here, happenings = _Place(failed.name, before.path[: failed.maps]), []
        elif kind.startswith("MapIteration") and name is not None:
            here, happenings = self._iteration(index, kind, name, payload, before)
        else:
            happenings = []
        if here is not None and here.state:
            self._places[event_id] = here
        yield from happenings

    def _entered(self, index: int, name: str, follows: int, before: _Place) -> tuple[_Place, list[Happening]]:
        state = self.states[name]
        path = before.path[: state.maps]
        state.open += 1
        state.entered_at = self.now
        state.attempts = 0
        self._open[name, path] = _Visit(state.visits, self.now, -1 if before.keeps else follows)
        return _Place(name, path), [Happening("entered", name, path, index, state.visits)]

    def _exited(self, index: int, name: str, before: _Place) -> tuple[_Place, list[Happening]]:
        state = self.states[name]
        path = before.path[: state.maps]
        visit = self._open.pop((name, path))
        self._places.pop(visit.follows, None)
        self._close(state, visit)
        state.done += 1
        state.caught += visit.error is not None
        kind: Kind = "exited" if visit.error is None else "caught"
        return _Place(name, path), [self._happening(kind, name, path, index, visit)]

    def _attempt(self, index: int, before: _Place) -> list[Happening]:
        visit = self._open[before.state, before.path]
        state = self.states[before.state]
        visit.attempts += 1
        visit.error = None
        state.attempts = visit.attempts
        self._set_retrying(state, visit, value=False)
        return [self._happening("attempt", before.state, before.path, index, visit)]

    def _failure(self, index: int, before: _Place, details: dict[str, Any]) -> list[Happening]:
        visit = self._open[before.state, before.path]
        state = self.states[before.state]
        visit.error = state.error = details.get("error") or "no error name"
        self._set_retrying(state, visit, value=True)
        happening = self._happening("failed", before.state, before.path, index, visit)
        return [happening._replace(cause=details.get("cause"))]

    def _fork_started(self, index: int, kind: str, before: _Place, items: int) -> tuple[_Place, list[Happening]]:
        name, path = self._fork_at(kind, before)
        state, visit = self.states[name], self._open[name, path]
        if visit.attempts:  # a retry, of which there is no other word
            self._drop_inside(name, path, before)
            state.items -= visit.items
            state.items_done -= visit.items_done
        visit.attempts += 1
        visit.items_done = 0
        state.attempts = visit.attempts
        if state.type == "Parallel":
            return _Place(name, path, keeps=True), []
        visit.items = items
        state.items += items
        return _Place(name, path, keeps=True), [Happening("items", name, path, index, visit.number, total=items)]

    def _fork_failed(self, kind: str, before: _Place) -> tuple[_Place, list[Happening]]:
        name, path = self._fork_at(kind, before)
        visit = self._open[name, path]
        visit.error = self.states[name].error = self._error_inside(name, path) or "failed"
        self._drop_inside(name, path, before)
        return _Place(name, path), []

    def _fork_at(self, kind: str, before: _Place) -> tuple[str, Path]:
        """Which Map or Parallel an event is about that does not name it.

        It is the state of the event before, or the nearest around it: of that type, and not one that has failed.
        """
        name: str | None = before.state
        while name is not None:
            state = self.states[name]
            path = before.path[: state.maps]
            visit = self._open.get((name, path))
            if visit is not None and kind.startswith(state.type) and visit.error is None:
                return name, path
            name = state.parent
        raise AssertionError(f"{kind} follows {before}, which is in no such state")

    def _iteration(
        self, index: int, kind: str, name: str, number: int, before: _Place
    ) -> tuple[_Place, list[Happening]]:
        state = self.states[name]
        path = before.path[: state.maps]
        if kind == "MapIterationStarted":
            return _Place(name, (*path, (name, number)), keeps=True), []
        visit = self._open[name, path]
        if kind == "MapIterationSucceeded":
            state.items_done += 1
            visit.items_done += 1
        ended = Happening("iteration", name, path, index, visit.number, number=state.items_done, total=state.items)
        return before._replace(keeps=True), [ended]

    # ── ends ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _error_inside(self, name: str, path: Path) -> str | None:
        """The error that made a Map or Parallel fail: of what is open in it, the one that has failed."""
        errors = (self._open[key].error for key in self._inside(name, path))
        return next((error for error in errors if error is not None), None)

    def _drop_inside(self, name: str, path: Path, culprit: _Place) -> None:
        for key in list(self._inside(name, path)):
            visit = self._open.pop(key)
            state = self.states[key[0]]
            self._close(state, visit)
            if visit.error is not None or key == culprit[:2]:
                state.failed += 1
            else:
                state.aborted += 1

    def _inside(self, name: str, path: Path) -> Iterator[tuple[str, Path]]:
        for key in self._open:
            if key[1][: len(path)] == path and name in self._around(key[0]):
                yield key

    def _around(self, name: str) -> Iterator[str]:
        parent = self.states[name].parent
        while parent is not None:
            yield parent
            parent = self.states[parent].parent

    def _end(self, ending: Ending, index: int) -> Iterator[Happening]:
        culprits = set() if ending.state is None else {ending.state, *self._around(ending.state)}
        for (name, path), visit in list(self._open.items()):
            state = self.states[name]
            self._close(state, visit)
            if ending.status == "SUCCEEDED":
                state.done += 1
            elif name in culprits:
                state.failed += 1
                state.error = state.error or ending.error
                if visit.error is None and name == ending.state:
                    failed = self._happening("failed", name, path, index, visit)
                    yield failed._replace(error=ending.error, cause=ending.cause)
            else:
                state.aborted += 1
                yield self._happening("aborted", name, path, index, visit)
        self._open.clear()

    def _happening(self, kind: Kind, name: str, path: Path, index: int, visit: _Visit) -> Happening:
        waited = self.now - visit.entered_at
        return Happening(kind, name, path, index, visit.number, waited, visit.attempts, error=visit.error)

    def _close(self, state: StateProgress, visit: _Visit) -> None:
        self._set_retrying(state, visit, value=False)
        state.open -= 1
        state.milliseconds += self.now - visit.entered_at

    @staticmethod
    def _set_retrying(state: StateProgress, visit: _Visit, *, value: bool) -> None:
        state.retrying += value - visit.retrying
        visit.retrying = value


def has_distributed_map(flow: Flow) -> bool:
    """Whether executions of it begin map runs of their own."""
    return any(
        (isinstance(state, MapState) and state.item_processor.mode == "DISTRIBUTED")
        or (isinstance(state, MapState | ParallelState) and any(map(has_distributed_map, flows_of(state))))
        for state in flow.states.values()
    )


def _states_of(flow: Flow, parent: str | None, depth: int, maps: int) -> Iterator[StateProgress]:
    for state in flow.states.values():
        kind = type(state).__name__.removesuffix("State")
        yield StateProgress(state.name, kind, parent, depth, maps)
        if isinstance(state, MapState | ParallelState):
            for inner in flows_of(state):
                yield from _states_of(inner, state.name, depth + 1, maps + isinstance(state, MapState))
