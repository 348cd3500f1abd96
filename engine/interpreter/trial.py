"""One state alone: entered once with an input, its work mocked or done by the caller, and what came of it (api.md 9).

    trial = Trial(state, execution=..., variables={}, mock=None, chance=chance)
    commands = trial.enter(now)              # of a Task that is not mocked: a ScheduleTask
    trial.answer(TaskDone(...), now)
    trial.outcome                            # set once the state is done

The control flow is that of `advance`; only a Map's or Parallel's branches never run, and a retry is not waited for.
No IO here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from engine.asl.program import MapState
from engine.errors import PayloadTooLarge, StatesError
from engine.interpreter import recovery
from engine.interpreter.advance import Advance
from engine.interpreter.history import CODE
from engine.interpreter.map_trial import iterations_of
from engine.interpreter.messages import ScheduleTask, TaskDone, TaskError, TimerDue
from engine.interpreter.plan import compile_alone
from engine.interpreter.snapshot import ROOT, Frame, OnRetry, Snapshot
from engine.interpreter.states.map_ import MapPlan
from engine.jsonvalue import encode
from engine.query.jsonpath import PathError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.asl.program import State
    from engine.interpreter.context import Visit
    from engine.interpreter.messages import Command, Event
    from engine.interpreter.plan import Plan
    from engine.interpreter.snapshot import Ending, Execution, Transition
    from engine.interpreter.state_plan import StatePlan
    from engine.interpreter.step import Fork
    from engine.interpreter.workspace import Next
    from engine.jsonvalue import Json
    from engine.query.evaluation import Chance

# The events before the state's own: ExecutionStarted and its Entered event. No history shows them.
_STARTED, _ENTERED = 1, 2
_TICKET = (*ROOT, 0)
_EXCEEDED = "States.ExceedToleratedFailureThreshold"


class Mock(NamedTuple):
    """What takes the place of a state's work: its result, or the error it ends with.

    Attributes:
        result: Of a Map or Parallel the outputs of its iterations or branches, or what its ResultWriter would give.
        failures: How many iterations of a Map failed.
        items: What the ItemReader of a Map would have read; None: nothing is known of it.
    """

    result: Json = None
    error: StatesError | None = None
    failures: int = 0
    items: list[Json] | dict[str, Json] | None = None


class Outcome(NamedTuple):
    """What became of the state; `error` also where it is retried or was caught."""

    status: Literal["SUCCEEDED", "FAILED", "RETRIABLE", "CAUGHT_ERROR"]
    output: Json
    error: StatesError | None
    next_state: str | None
    variables: Mapping[str, Json]


@dataclass(slots=True)
class Seen:
    """What was seen on the way.

    Attributes:
        stages: What the stages of the data flow made, by the member of AWS's inspection data that shows it.
        counts: Of a Map the numbers that go with them.
        iterations: Of a Map, how many it would have; None: that is not known.
        error: With which the state's work ended.
        retrier: Index of the Retrier that is for this error, whether or not it has attempts left.
        back_off_seconds: Until the retry; None: there is none.
        catcher: Index of the Catcher that took it.
    """

    stages: dict[str, Json] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)
    iterations: int | None = None
    error: StatesError | None = None
    retrier: int | None = None
    back_off_seconds: float | None = None
    catcher: int | None = None

    def tell(self, name: str, value: Json) -> None:
        """A `Tap`."""
        self.stages[name] = value


class Trial:
    """A state that is tried out.

    Attributes:
        seen: What was seen so far.
        outcome: Set once the state is done.
    """

    def __init__(
        self,
        state: State,
        *,
        execution: Execution,
        context: dict[str, Json],
        variables: Mapping[str, Json],
        mock: Mock | None,
        chance: Chance,
        is_in_map: bool = False,
        retries: int = 0,
    ) -> None:
        """Nothing happens yet.

        Args:
            execution: Its input is the state's.
            context: The Context Object.
            variables: Those that are set when the state is entered.
            mock: Stands in for the work of a Task, Map or Parallel; the other types never ask for it.
            is_in_map: The state is one of a Map's iterations, whose item is the input.
            retries: How often each Retrier was used already.
        """
        self.seen = Seen()
        self.outcome: Outcome | None = None
        self.state = state
        self.execution = execution
        self.mock = mock
        self._variables = dict(variables)
        self._chance = chance
        self._plan = self._compiled(context)
        given = execution.input
        root = Frame(ROOT, None, state.name, given, execution.input_bytes, _ENTERED, _ENTERED, _STARTED)
        root.entered_at = execution.start_time
        root.variables, root.variables_size = self._variables, len(encode(self._variables))
        root.retries = [retries] * len(self._plan.start.retriers)
        root.item = (0, given) if is_in_map else None
        root.waiting = OnRetry(_TICKET, execution.start_time)
        self._snapshot = Snapshot(
            execution=execution, frames={ROOT: root}, last_event_id=_ENTERED, last_time=execution.start_time
        )

    def _compiled(self, context: dict[str, Json]) -> Plan:
        plan = compile_alone(self.state, self.seen.tell)
        start = plan.start
        start.context = context
        if isinstance(start, MapPlan):
            if isinstance(self.state, MapState) and self.state.item_processor.mode == "DISTRIBUTED":
                start.unsupported = None  # what it does is mocked
            self.items_of_input, start.items = start.items, lambda data, visit: []  # see _Alone._iterate
        return plan

    def enter(self, now: int) -> list[Command]:
        """Enters the state; what it now asks for, where its work is not mocked."""
        commands = self._fold(TimerDue(_TICKET), now)
        scheduled = next((command for command in commands if isinstance(command, ScheduleTask)), None)
        if scheduled is None or self.mock is None:
            return commands
        if self.mock.error is not None:
            return self.answer(TaskError(scheduled.task_id, self.mock.error.error, self.mock.error.cause), now)
        return self.answer(TaskDone(scheduled.task_id, self.mock.result, len(encode(self.mock.result))), now)

    def answer(self, event: Event, now: int) -> list[Command]:
        """Goes on with the end of what the state waits for."""
        return self._fold(event, now)

    def give_up(self, error: StatesError) -> None:
        """Ends the trial from outside: neither Retry nor Catch is asked."""
        self.outcome = Outcome("FAILED", None, error, None, self._variables)

    def _fold(self, event: Event, now: int) -> list[Command]:
        transition, _ = _Alone(self, self._plan, self._snapshot, max(now, self._snapshot.last_time), self._chance).fold(
            (event,)
        )
        self._snapshot.apply(transition)
        if self.seen.back_off_seconds is not None:
            self.outcome = Outcome("RETRIABLE", None, self.seen.error, None, self._variables)
        elif transition.ending is not None:
            self.outcome = self._ended(transition, transition.ending)
        return transition.commands

    def _ended(self, transition: Transition, ending: Ending) -> Outcome:
        if ending.status != "SUCCEEDED":
            self.seen.catcher = None  # it failed in what it makes of the error
            return Outcome("FAILED", None, StatesError(ending.error, ending.cause), None, self._variables)
        variables, next_state = self._variables, None
        for code, *details in transition.history:  # (previous, name, payload, assigned), cut short
            if code == self._plan.start.exited_code and len(details) > 3:
                variables = {**variables, **details[3]}
            elif code == CODE["SucceedStateEntered"]:
                next_state = details[1]
        error = None if self.seen.catcher is None else self.seen.error
        return Outcome("SUCCEEDED" if error is None else "CAUGHT_ERROR", ending.output, error, next_state, variables)


class _Alone(Advance):
    """The control flow around a single state."""

    __slots__ = ("seen", "trial")

    def __init__(self, trial: Trial, plan: Plan, snapshot: Snapshot, now: int, chance: Chance) -> None:
        super().__init__(plan, snapshot, now, chance)
        self.trial = trial
        self.seen = trial.seen

    def _fork(self, frame: Frame, state: StatePlan, fork: Fork) -> Next:
        """The branches are mocked: none is started."""
        visit, mock = self.visit(frame, state), self.trial.mock
        assert mock is not None, "a Map or Parallel is tried with a mock only"
        fault = mock.error
        if isinstance(state, MapPlan):
            try:
                is_too_much = self._iterate(state, visit, mock)
            except StatesError as error:
                return self._failed(frame, state, visit, error)
            except PathError as error:
                return self._failed(frame, state, visit, recovery.invalid_path(error))
            if fault is None and is_too_much:
                fault = StatesError(_EXCEEDED, "The specified tolerated failure threshold was exceeded")
        if fault is not None:
            return self._failed(frame, state, visit, fault)
        # With a ResultWriter it is an object; the state only hands it on.
        return self._join(frame, state, cast("list[Json]", mock.result), len(encode(mock.result)))

    def _iterate(self, state: MapPlan, visit: Visit, mock: Mock) -> bool:
        """Looks at what the iterations would get; whether too many of them failed."""
        tried = self.trial.state
        assert isinstance(tried, MapState)
        items = mock.items
        if tried.item_reader is None:
            found = self.trial.items_of_input(state.work_input(visit)[0], visit)
            assert isinstance(found, list | dict), "checked by whoever found them"
            items = found
        iterations = iterations_of(tried, state, visit, items, self.seen.tell)
        self.seen.counts = iterations.counts
        self.seen.iterations = iterations.number
        return iterations.is_exceeded_by(mock.failures)

    def _failed_in(self, frame: Frame, state: StatePlan | None, error: StatesError) -> Next:
        assert state is not None
        seen = self.seen
        seen.error, seen.retrier, seen.catcher = error, None, None
        for index, retrier in enumerate(state.retriers):
            if recovery.matches(retrier.error_equals, error):
                seen.retrier = index
                break
        return super()._failed_in(frame, state, error)

    def _retry(self, frame: Frame, state: StatePlan | None, decision: recovery.RetryAfter) -> None:
        self.seen.back_off_seconds = decision.seconds
        super()._retry(frame, state, decision)

    def _catch(
        self, frame: Frame, state: StatePlan, catcher: recovery.CatcherPlan, error: StatesError, culprit: Frame
    ) -> Next:
        self.seen.catcher = state.catchers.index(catcher)
        return super()._catch(frame, state, catcher, error, culprit)

    def _explained(
        self, frame: Frame, entered_by: Frame, state: StatePlan, error: StatesError, follows: int
    ) -> StatesError:
        """Without "An error occurred while executing the state ...", which TestState leaves away (recorded)."""
        if isinstance(error, PayloadTooLarge) or not error.located:
            return super()._explained(frame, entered_by, state, error, follows)
        return StatesError(error.error, error.cause)
