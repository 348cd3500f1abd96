"""What can be told of an execution from its transitions alone."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from engine.asl.parser import load, parse
from engine.cli.progress import ExecutionProgress
from engine.interpreter.history import TYPES
from engine.library import Engine, Limits
from engine.outcome import ExecutionFailed
from tests.cli.command_line import PASS, TASK
from tests.shared_data import shared

if TYPE_CHECKING:
    from engine.cli.progress import Happening, StateProgress
    from engine.interpreter.snapshot import Transition

RETRY = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2, "IntervalSeconds": 1}]


class Run:
    """An execution that was observed to its end."""

    def __init__(self, states: dict[str, Any], given: Any = None, **handlers: str) -> None:
        self.definition = {"StartAt": next(iter(states)), "States": states}
        self.progress = ExecutionProgress(load(self.definition))
        self.happenings: list[Happening] = []
        anyio.run(self._run, given, handlers)

    async def _run(self, given: Any, handlers: dict[str, str]) -> None:
        async with Engine.in_memory(handlers, clock="virtual", observer=self._observe) as engine:
            with suppress(ExecutionFailed):
                await engine.run(self.definition, given)

    def _observe(self, _arn: str, transition: Transition) -> None:
        self.happenings += self.progress.observe(transition)

    def __getitem__(self, name: str) -> StateProgress:
        return self.progress.states[name]

    def told(self, state: str) -> list[str]:
        return [happening.kind for happening in self.happenings if happening.state == state]


def map_of(inner: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"Type": "Map", "ItemProcessor": {"StartAt": next(iter(inner)), "States": inner}, "End": True, **fields}


def parallel_of(*branches: dict[str, Any], **fields: Any) -> dict[str, Any]:
    flows = [{"StartAt": next(iter(branch)), "States": branch} for branch in branches]
    return {"Type": "Parallel", "Branches": flows, "End": True, **fields}


def counts(state: StateProgress) -> tuple[int, int, int, int]:
    assert (state.open, state.retrying) == (0, 0)
    return state.visits, state.done, state.failed, state.aborted


def test_states_are_listed_as_they_are_nested() -> None:
    run = Run({"A": map_of({"B": parallel_of({"C": PASS}, {"D": PASS})})}, [1])
    places = [(state.name, state.parent, state.depth, state.maps) for state in run.progress.states.values()]
    assert places == [("A", None, 0, 0), ("B", "A", 1, 1), ("C", "B", 2, 1), ("D", "B", 2, 1)]


def test_a_visit_that_ends_is_done() -> None:
    run = Run({"A": PASS})
    assert counts(run["A"]) == (1, 1, 0, 0)
    assert run.told("A") == ["entered", "exited"]


def test_attempts_of_a_task_are_counted_until_it_fails() -> None:
    run = Run({"A": {**TASK, "Retry": RETRY}}, A="fail:Boom:x")
    assert counts(run["A"]) == (1, 0, 1, 0)
    assert (run["A"].attempts, run["A"].error) == (3, "Boom")
    assert run.told("A") == ["entered", "attempt", "failed", "attempt", "failed", "attempt", "failed"]
    assert [each.number for each in run.happenings if each.kind == "attempt"] == [1, 2, 3]


def test_a_caught_error_is_no_failure_of_the_state() -> None:
    run = Run({"A": {**TASK, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}]}, "B": PASS}, A="fail:Boom")
    assert (counts(run["A"]), run["A"].caught) == ((1, 1, 0, 0), 1)
    assert run.told("A")[-1] == "caught"


def test_a_fail_state_is_the_failed_one() -> None:
    run = Run({"A": {"Type": "Fail", "Error": "Boom", "Cause": "why"}})
    assert counts(run["A"]) == (1, 0, 1, 0)
    failed = run.happenings[-1]
    assert (failed.kind, failed.error, failed.cause) == ("failed", "Boom", "why")


def test_iterations_of_a_map_are_counted_and_placed() -> None:
    run = Run({"A": map_of({"B": PASS}, MaxConcurrency=2)}, ["x", "y", "z"])
    assert (run["A"].items, run["A"].items_done) == (3, 3)
    assert counts(run["B"]) == (3, 3, 0, 0)
    assert [each.path for each in run.happenings if each.state == "B" and each.kind == "exited"] == [
        (("A", 0),), (("A", 1),), (("A", 2),),
    ]  # fmt: skip


def test_maps_inside_maps_keep_their_places_apart() -> None:
    run = Run({"A": map_of({"B": map_of({"C": PASS})})}, [[1, 2], [3]])
    assert (run["A"].items, run["B"].items, run["B"].items_done) == (2, 3, 3)
    paths = {each.path for each in run.happenings if each.state == "C"}
    assert paths == {(("A", 0), ("B", 0)), (("A", 0), ("B", 1)), (("A", 1), ("B", 0))}


def test_siblings_of_what_failed_are_aborted() -> None:
    run = Run({"A": parallel_of({"B": {"Type": "Wait", "Seconds": 9, "End": True}}, {"C": TASK})}, C="fail:Boom")
    assert counts(run["A"]) == (1, 0, 1, 0)
    assert counts(run["B"]) == (1, 0, 0, 1)
    assert counts(run["C"]) == (1, 0, 1, 0)


def test_a_parallel_that_is_retried_forgets_what_was_open() -> None:
    inner = parallel_of({"B": {"Type": "Wait", "Seconds": 9, "End": True}}, {"C": {"Type": "Fail", "Error": "Boom"}})
    run = Run({"A": {**inner, "Retry": RETRY}})
    assert run["A"].attempts == 3
    assert counts(run["B"]) == (3, 0, 0, 3)
    assert counts(run["C"]) == (3, 0, 3, 0)


def test_a_parallel_around_one_that_failed_is_the_one_that_is_retried() -> None:
    run = Run({"A": parallel_of({"B": parallel_of({"C": TASK})}, Retry=RETRY)}, C="fail:Boom")
    assert (run["A"].attempts, run["B"].visits, run["C"].visits) == (3, 3, 3)
    assert counts(run["B"]) == (3, 0, 3, 0)


def test_a_map_that_is_retried_counts_its_items_anew() -> None:
    choice = {"Type": "Choice", "Choices": [{"Variable": "$", "NumericEquals": 2, "Next": "No"}], "Default": "Yes"}
    inner = {"B": choice, "Yes": PASS, "No": {"Type": "Fail", "Error": "Boom"}}
    run = Run({"A": map_of(inner, Retry=RETRY, MaxConcurrency=1)}, [1, 2, 3])
    assert (run["A"].attempts, run["A"].items, run["A"].items_done) == (3, 3, 1)


def test_a_map_whose_items_are_wrong_fails_itself() -> None:
    run = Run({"A": map_of({"B": PASS}, ItemsPath="$.nope")}, {})
    assert counts(run["A"]) == (1, 0, 1, 0)


def test_a_failed_evaluation_leaves_no_visit_open() -> None:
    state = {"Type": "Map", "QueryLanguage": "JSONata", "Items": "{% 1 %}", "End": True}
    inner = {"StartAt": "B", "States": {"B": {"Type": "Pass", "QueryLanguage": "JSONata", "End": True}}}
    run = Run({"A": {**state, "ItemProcessor": inner}})
    assert counts(run["A"]) == (1, 0, 1, 0)


def test_times_are_of_the_executions_clock() -> None:
    run = Run({"A": {"Type": "Wait", "Seconds": 90, "End": True}})
    assert run["A"].milliseconds == 90_000


@pytest.mark.parametrize("handler", ['mock:{"Payload": {"a": [1]}, "items": [1, 2]}', "fail:States.TaskFailed:x"])
def test_published_definitions_are_followed_to_their_end(handler: str) -> None:
    """Counts agree with history, whatever order events come in; every tenth definition keeps it short."""
    followed = 0
    for path in sorted(shared("corpus", "definitions").glob("*.json"))[::10]:
        text = path.read_text(encoding="utf-8")
        program = parse(text, warnings=False).program
        if program is not None:
            check_against_history(text, ExecutionProgress(program), handler)
            followed += 1
    assert followed > 20


def check_against_history(text: str, progress: ExecutionProgress, handler: str) -> None:
    entered: Counter[str] = Counter()
    exited: Counter[str] = Counter()

    def observe(_arn: str, transition: Transition) -> None:
        progress.observe(transition)
        for event in transition.history:
            kind = TYPES[event[0]]
            if kind.endswith("StateEntered"):
                entered[event[2]] += 1
            elif kind.endswith("StateExited"):
                exited[event[2]] += 1

    async def run() -> None:
        limits = Limits(history_events=300)
        async with Engine.in_memory({"*": handler}, clock="virtual", limits=limits, observer=observe, seed=1) as engine:
            with anyio.move_on_after(2), suppress(ExecutionFailed):  # some wait for a callback that nobody sends
                await engine.run(text, {"items": [1, 2, 3]})

    anyio.run(run)
    assert progress.ending is not None
    for state in progress.states.values():
        assert (state.open, state.retrying) == (0, 0)
        assert state.visits == entered[state.name]
        assert state.done == exited[state.name] or progress.ending.status == "SUCCEEDED"
