"""Which visits of states a transition brings to an end: what a span is made of. Pure.

A visit is known by the id of its Entered event, which its Frame keeps. So whoever ends it, in whatever process, finds
there when it began; nothing has to be remembered from one transition to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from engine.interpreter.history import TYPES
from engine.interpreter.snapshot import Done
from engine.interpreter.states.choice import ChoicePlan
from engine.interpreter.states.map_ import MapPlan
from engine.interpreter.states.parallel import ParallelPlan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from engine.interpreter.plan import Plan
    from engine.interpreter.snapshot import Frame, FrameKey, Snapshot, Transition
    from engine.interpreter.state_plan import StatePlan

EXECUTION = 0
"""In place of a visit's id: the execution itself."""

Enclosing: TypeAlias = "Mapping[str, str]"
"""State → the Parallel or Map state that it is in; those of the state machine's own flow are left out."""

_FAILURES = ("Failed", "TimedOut")
_ABORTED = "Aborted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One state, from its Entered event to its Exited event, or to what ended it instead.

    Attributes:
        entered: Id of its Entered event.
        inside: The visit it belongs to, of a Parallel or Map state, or EXECUTION.
        begun, ended: Milliseconds since the epoch.
        retries: How often it was tried again: `$$.State.RetryCount`.
        item: Index of the Map's item, where it is known.
        error: What it failed with, caught or not; the empty text: nobody knows with what. None: it did not fail.
    """

    name: str
    type: str
    entered: int
    inside: int
    begun: int
    ended: int
    retries: int = 0
    item: int | None = None
    error: str | None = None
    cause: str | None = None


def enclosing_states(plan: Plan) -> dict[str, str]:
    """The states in Parallel and Map states; see `Enclosing`."""
    found: dict[str, str] = {}
    for state in plan.states.values():
        starts: Iterable[StatePlan | None] = ()
        if isinstance(state, ParallelPlan):
            starts = state.starts
        elif isinstance(state, MapPlan):
            starts = [state.start]
        pending = [start for start in starts if start is not None]
        while pending:
            inner = pending.pop()
            if inner.name not in found:
                found[inner.name] = state.name
                pending += _successors(inner)
    return found


def _successors(state: StatePlan) -> list[StatePlan]:
    after = [state.next, *(catcher.next for catcher in state.catchers)]
    if isinstance(state, ChoicePlan):
        after += [state.default, *(rule.next for rule in state.rules)]
    return [one for one in after if one is not None]


def ended_visits(plan: Plan, enclosing: Enclosing, before: Snapshot, transition: Transition) -> list[Visit]:
    """The visits that this transition ends, in the order of their ends.

    Args:
        plan: Of the execution.
        enclosing: Of that plan.
        before: Where the execution stood before the transition.
    """
    return _Ended(plan, enclosing, before, transition).visits()


class _Ended:
    """One transition, read."""

    def __init__(self, plan: Plan, enclosing: Enclosing, before: Snapshot, transition: Transition) -> None:
        self._plan = plan
        self._enclosing = enclosing
        self._frames = before.frames
        self._transition = transition
        self._first = transition.first_event_id
        self._is_redrive = transition.redrives.count != before.redrives.count
        # Only these can have moved; at the end of the execution all of them have.
        keys = set(transition.changed) if transition.ending is None else {*transition.changed, *before.frames}
        self._moved = {key: before.frames[key] for key in keys if key in before.frames}
        self._by_cursor = {frame.cursor: frame for frame in self._moved.values()}
        self._open: dict[int, str] = {}
        self._errors: dict[int, tuple[str, str | None]] = {}
        self._visits: list[Visit] = []

    def visits(self) -> list[Visit]:
        if not self._is_redrive:  # which brings back what ended with the last run
            self._open = {frame.entered: frame.state for frame in self._moved.values() if _is_in_a_state(frame)}
        for event_id, event in enumerate(self._transition.history, self._first):
            kind = TYPES[event[0]]
            if kind.endswith("StateEntered"):
                self._open[event_id] = event[2]
            elif kind.endswith("StateExited"):
                self._exited(event[2], event[1])
            elif kind.endswith(_FAILURES):
                self._failed(event_id, event[3] if len(event) > 3 else None)
        self._ended_otherwise()
        return self._visits

    def _exited(self, name: str, previous: int) -> None:
        entered = self._visit_of(name, previous)
        if entered is None:
            return
        if previous >= self._first and TYPES[self._transition.history[previous - self._first][0]].endswith(
            ("ParallelStateFailed", "MapStateFailed")
        ):
            self._errors.setdefault(entered, ("", None))
        self._open.pop(entered, None)
        self._add(name, entered)

    def _ended_otherwise(self) -> None:
        """Those without an Exited event: what failed for good, and what was cancelled."""
        ending = self._transition.ending
        still: set[int] = set()
        if ending is None:
            moved = [self._transition.changed.get(key) for key in self._transition.changed]
            still = {frame.entered for frame in moved if frame is not None and _is_in_a_state(frame)}
        failed = set() if ending is None or ending.state is None else set(self._outwards(ending.state))
        for entered, name in sorted(self._open.items(), reverse=True):  # inner ones were entered later
            if entered in still:
                continue
            if ending is not None and name in failed:
                self._errors.setdefault(entered, (ending.error or "", ending.cause))
            self._errors.setdefault(entered, (_ABORTED, None))
            self._add(name, entered)

    def _outwards(self, name: str) -> Iterator[str]:
        """The state and those it is in."""
        inner: str | None = name
        while inner is not None:
            yield inner
            inner = self._enclosing.get(inner)

    def _add(self, name: str, entered: int) -> None:
        frame = next((frame for frame in self._moved.values() if frame.entered == entered), None)
        if frame is None:
            frame = next((frame for frame in self._frames.values() if frame.entered == entered), None)
        now, error = self._transition.now, self._errors.get(entered)
        redriven = self._transition.redrives.time
        begun = now if frame is None else frame.entered_at
        self._visits.append(
            Visit(
                name=name,
                type=self._plan.states[name].type,
                entered=entered,
                inside=self._inside(name, entered, frame),
                begun=begun if redriven is None else min(now, max(begun, redriven)),
                ended=now,
                retries=0 if frame is None else sum(frame.retries),
                item=None if frame is None or frame.item is None else frame.item[0],
                error=None if error is None else error[0],
                cause=None if error is None else error[1],
            )
        )

    def _inside(self, name: str, entered: int, frame: Frame | None) -> int:
        outer = self._enclosing.get(name)
        if outer is None:
            return EXECUTION
        if frame is not None:
            found = self._outer_visit(outer, frame.parent)
        else:
            found = self._visit_of(outer, self._transition.history[entered - self._first][1])
        return EXECUTION if found is None else found

    # ── finding a visit ─────────────────────────────────────────────────────────────────────────────────────────────

    def _visit_of(self, name: str, event_id: int) -> int | None:
        """The last visit of a state on the way back from an event: names are unique in the whole state machine."""
        while event_id >= self._first:
            event = self._transition.history[event_id - self._first]
            if len(event) > 2 and event[2] == name and TYPES[event[0]].endswith("StateEntered"):
                return event_id
            event_id = event[1]
        frame = self._by_cursor.get(event_id)
        found = None if frame is None else self._outer_visit(name, frame.key)
        if found is None:
            found = next((frame.entered for frame in self._moved.values() if frame.state == name), None)
        return found

    def _outer_visit(self, name: str, key: FrameKey | None) -> int | None:
        """That of the Frame, or of the nearest one around it, that is in this state."""
        while key is not None:
            frame = self._frames.get(key)
            if frame is None:
                return None
            if frame.state == name and frame.entered > 0:
                return frame.entered
            key = frame.parent
        return None

    def _failed(self, event_id: int, payload: object) -> None:
        """Remembers what the innermost visit around an event failed with."""
        if not isinstance(payload, dict) or "error" not in payload:
            return
        error = str(payload["error"] or ""), payload.get("cause")
        while event_id >= self._first:
            event = self._transition.history[event_id - self._first]
            if TYPES[event[0]].endswith("StateEntered"):
                self._errors[event_id] = error
                return
            event_id = event[1]
        frame = self._by_cursor.get(event_id)
        if frame is not None and frame.entered > 0:
            self._errors[frame.entered] = error


def _is_in_a_state(frame: Frame) -> bool:
    return frame.entered > 0 and not isinstance(frame.waiting, Done)
