"""Spans of executions: one for each visit of a state, whoever began it and whoever ended it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import StatusCode
from structlog.testing import capture_logs

import engine
from engine.observability.tracing import Spans
from engine.store.memory import MemoryStore
from tests.definitions import catch, machine, parallel, retry, task, wait
from tests.runtime.fleets import Gate, Now, on
from tests.waiting import DEADLINE_SECONDS, until

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

PREFIX = "aws.step_functions."
PASS = {"Type": "Pass"}


class Collected:
    """A tracer, and what it gave."""

    def __init__(self, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracer = Spans(SimpleSpanProcessor(self.exporter), **options)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> ReadableSpan:
        (span,) = (span for span in self.spans if span.name == name)
        return span

    def tree(self) -> dict[str, str | None]:
        """Each span's name, with that of the span it is in; names with an item's index where it is known."""
        names = {span.context.span_id: label(span) for span in self.spans}
        assert len(names) == len(self.spans)
        return {label(span): None if span.parent is None else names[span.parent.span_id] for span in self.spans}


def label(span: ReadableSpan) -> str:
    item = about(span, "map.item_index")
    return span.name if item is None else f"{span.name}[{item}]"


def about(span: ReadableSpan, name: str) -> Any:
    assert span.attributes is not None
    return span.attributes.get(name if name == "error.type" else PREFIX + name)


async def traced(definition: Any, handlers: Any = None, given: Any = None, **options: Any) -> tuple[Collected, Any]:
    """An execution that has ended, and its spans."""
    collected = Collected(**options)
    async with engine.Engine.in_memory(handlers, clock="virtual", tracer=collected.tracer) as one:
        execution = await one.start_execution(definition, given)
        with suppress(engine.ExecutionFailed):
            await execution.result()
        return collected, await execution.history()


async def test_an_execution_is_a_trace_and_each_state_a_span_with_the_times_of_the_history():
    collected, history = await traced(machine(PASS, wait(3_600), PASS))
    assert collected.tree() == {
        "A": "StateMachine", "B": "StateMachine", "C": "StateMachine", "StateMachine": None,
    }  # fmt: skip
    assert len({span.context.trace_id for span in collected.spans}) == 1
    waited = collected.named("B")
    entered, exited = (
        next(event for event in history if event["type"] == f"WaitState{what}") for what in ("Entered", "Exited")
    )
    assert waited.start_time == round(entered["timestamp"].timestamp() * 1_000) * 1_000_000
    assert waited.end_time == round(exited["timestamp"].timestamp() * 1_000) * 1_000_000
    assert waited.end_time - waited.start_time == 3_600 * 10**9
    assert (about(waited, "state.name"), about(waited, "state.type")) == ("B", "Wait")
    assert about(waited, "state.entered_event_id") == entered["id"]
    whole = collected.named("StateMachine")
    assert about(whole, "execution.status") == "SUCCEEDED"
    assert whole.status.status_code == StatusCode.OK
    assert about(whole, "state_machine.arn").endswith(":stateMachine:StateMachine")
    assert about(whole, "execution.arn") == about(waited, "execution.arn")


async def test_states_in_a_map_are_inside_its_span_however_few_run_at_once():
    inner = {"StartAt": "I", "States": {"I": {**PASS, "Next": "T"}, "T": {**task(), "End": True}}}
    definition = machine({"Type": "Map", "Name": "M", "MaxConcurrency": 1, "ItemProcessor": inner}, PASS)
    collected, _ = await traced(definition, {"work": "mock:1"}, [1, 2, 3])
    inside = [span for span in collected.spans if span.name in ("I", "T")]
    assert len(inside) == 6
    outer = collected.named("M").context.span_id
    assert {span.parent.span_id for span in inside if span.parent} == {outer}
    assert sorted(about(span, "map.item_index") for span in inside if span.name == "T") == [0, 1, 2]


async def test_forks_in_forks_keep_their_nesting():
    deep = {"StartAt": "D", "States": {"D": {**PASS, "End": True}}}
    inner = {"StartAt": "P", "States": {"P": {**parallel(deep), "End": True}}}
    collected, _ = await traced(machine({"Type": "Map", "Name": "M", "ItemProcessor": inner}), None, [1])
    assert collected.tree() == {"D": "P", "P": "M", "M": "StateMachine", "StateMachine": None}


@pytest.mark.parametrize("concurrency", [0, 1, 2])
@pytest.mark.parametrize("last", ["mock:1", "fail:Bad"])
async def test_every_state_that_was_entered_has_one_span_and_the_parent_that_the_history_shows(
    concurrency: int, last: str
):
    again = {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericLessThan": 2, "Next": "Add"}], "Default": "T"}
    add = {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "Again"}
    states = {
        "Again": again, "Add": add, "T": {**task("odd", Retry=retry(1), Catch=catch("C")), "End": True},
        "C": {**parallel({"StartAt": "Q", "States": {"Q": {**wait(1), "End": True}}}), "End": True},
    }  # fmt: skip
    each = {
        "Type": "Map",
        "Name": "M",
        "MaxConcurrency": concurrency,
        "ItemProcessor": {"StartAt": "Again", "States": states},
    }
    calls = 0

    async def odd(event: Any) -> None:
        nonlocal calls
        calls += 1
        if calls % 3:
            raise ValueError("odd")

    definition = machine(each, {**task("last"), "Name": "L"})
    collected, history = await traced(definition, {"odd": odd, "last": last}, [{"n": 0}, {"n": 1}, {"n": 2}, {"n": 3}])
    entered = {
        event["id"]: event["stateEnteredEventDetails"]["name"]
        for event in history
        if "stateEnteredEventDetails" in event
    }
    spans = [span for span in collected.spans if about(span, "state.name")]
    assert sorted(about(span, "state.entered_event_id") for span in spans) == sorted(entered)
    by_id = {span.context.span_id: span.name for span in collected.spans}
    outer = {"Again": "M", "Add": "M", "T": "M", "C": "M", "Q": "C", "M": "StateMachine", "L": "StateMachine"}
    for span in spans:
        assert entered[about(span, "state.entered_event_id")] == span.name
        assert span.parent is not None
        assert by_id[span.parent.span_id] == outer[span.name]


async def test_retries_are_one_span_and_an_error_is_told_though_it_was_caught():
    definition = machine(task(Retry=retry(2, IntervalSeconds=10), Catch=catch("C")), PASS, {**PASS, "Name": "C"})
    collected, _ = await traced(definition, {"work": "fail:Busy:no time"})
    failed = collected.named("A")
    assert (about(failed, "state.retry_count"), about(failed, "error.type")) == (2, "Busy")
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, "no time")
    assert failed.end_time - failed.start_time >= 30 * 10**9
    assert collected.named("C").status.status_code == StatusCode.OK
    assert collected.named("StateMachine").status.status_code == StatusCode.OK


async def test_what_fails_and_what_is_cancelled_with_it_end_with_the_execution():
    branches = [
        {"StartAt": name, "States": {name: {**state, "End": True}}} for name, state in (("F", task()), ("W", wait(9)))
    ]
    collected, _ = await traced(machine(parallel(*branches)), {"work": "fail:Broken:in two"})
    assert collected.tree() == {"F": "A", "W": "A", "A": "StateMachine", "StateMachine": None}
    errors = {span.name: about(span, "error.type") for span in collected.spans}
    assert errors == {"F": "Broken", "W": "Aborted", "A": "Broken", "StateMachine": "Broken"}


async def test_a_branch_that_is_cancelled_ends_when_its_sibling_fails():
    fail = {"StartAt": "F", "States": {"F": {**wait(1), "Next": "G"}, "G": {"Type": "Fail", "Error": "E"}}}
    late = {"StartAt": "W", "States": {"W": {**wait(9), "End": True}}}
    collected, _ = await traced(machine(parallel(fail, late, Catch=catch("B")), {**PASS, "Name": "B"}))
    assert collected.tree() == {
        "F": "A", "W": "A", "G": "A", "A": "StateMachine", "B": "StateMachine", "StateMachine": None,
    }  # fmt: skip
    assert about(collected.named("W"), "error.type") == "Aborted"
    assert collected.named("A").status.status_code == StatusCode.ERROR
    assert collected.named("W").end_time - collected.named("W").start_time == 10**9


async def test_a_redrive_is_a_second_run_in_the_same_trace():
    collected = Collected()
    answers = iter([engine.TaskFailed("Busy", "later"), "done"])

    def work(event: Any) -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with engine.Engine.in_memory({"work": work}, tracer=collected.tracer) as one:
        execution = await one.start_execution(machine(PASS, task()))
        with pytest.raises(engine.ExecutionFailed):
            await execution.result()
        await execution.redrive()
        assert await execution.result() == "done"
    runs = [span for span in collected.spans if span.name == "B"]
    assert [about(span, "error.type") for span in runs] == ["Busy", None]
    assert runs[0].context.span_id != runs[1].context.span_id
    wholes = [span for span in collected.spans if span.name == "StateMachine"]
    assert [about(span, "execution.redrive_count") for span in wholes] == [0, 1]
    assert [span.parent.span_id for span in runs if span.parent] == [span.context.span_id for span in wholes]
    assert len({span.context.trace_id for span in collected.spans}) == 1


async def test_a_state_that_one_worker_enters_and_another_one_leaves_is_one_span():
    now = Now()
    store = MemoryStore(now=now, through_bytes=True)
    first, second = Collected(), Collected()
    inner = {"StartAt": "W", "States": {"W": {**wait(3_600), "End": True}}}
    async with on(store) as client:
        await client.deploy(machine(PASS, {"Type": "Map", "Name": "M", "ItemProcessor": inner}), "m")
        execution = await client.start_execution("m", [1, 2])
        async with on(store, {}, tracer=first.tracer):
            row = next(iter(store.open.values()))
            await until(lambda: row.seq and row.owner is None)
        now.skip(3_600)
        async with on(store, {}, tracer=second.tracer):
            assert await execution.result() is not None
    assert [span.name for span in first.spans] == ["A"]
    assert sorted(span.name for span in second.spans) == ["M", "W", "W", "m"]
    whole, outer = second.named("m"), second.named("M")
    assert first.named("A").parent is not None
    assert first.named("A").parent.span_id == whole.context.span_id
    for span in second.spans:
        if span.name == "W":
            assert span.parent is not None
            assert span.parent.span_id == outer.context.span_id
        assert span.end_time is not None
        assert span.start_time is not None
        assert span.end_time - span.start_time >= 3_600 * 10**9
    assert {span.context.trace_id for span in (*first.spans, *second.spans)} == {whole.context.trace_id}


@pytest.mark.parametrize("in_thread", [False, True])
async def test_what_a_handler_traces_is_inside_its_state(in_thread: bool):
    collected = Collected()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(collected.exporter))
    own = provider.get_tracer("shop")

    def charge(event: Any) -> None:
        with own.start_as_current_span("card"):
            pass

    async def charge_async(event: Any) -> None:
        charge(event)

    handlers = collected.tracer.around({"work": charge if in_thread else charge_async})
    async with engine.Engine.in_memory(handlers, tracer=collected.tracer) as one:
        await one.run(machine(task()))
    assert collected.tree() == {"card": "A", "A": "StateMachine", "StateMachine": None}
    assert not trace.get_current_span().get_span_context().is_valid


async def test_what_is_not_sampled_costs_no_span():
    collected, _ = await traced(machine(PASS), sampler=TraceIdRatioBased(0))
    assert collected.spans == ()
    handled: list[bool] = []

    async def work(event: Any) -> None:
        handled.append(trace.get_current_span().get_span_context().is_valid)

    async with engine.Engine.in_memory(collected.tracer.around({"work": work})) as one:
        await one.run(machine(task()))
    assert handled == [False]


async def test_spans_that_cannot_be_made_harm_no_execution(monkeypatch: pytest.MonkeyPatch):
    from engine.observability import tracing

    def planted(*args: Any) -> Any:
        raise ValueError("planted")

    monkeypatch.setattr(tracing, "ended_visits", planted)
    with capture_logs() as logs:
        collected, _ = await traced(machine(PASS), given=7)
    assert not collected.spans
    assert [entry["event"] for entry in logs] == ["no span"]


async def test_nothing_is_told_of_a_state_that_has_not_ended():
    collected = Collected()
    gate = Gate()
    async with engine.Engine.in_memory({"work": gate}, tracer=collected.tracer) as one:
        execution = await one.start_execution(machine(PASS, task()))
        await gate.inside.wait()
        assert [span.name for span in collected.spans] == ["A"]
        await execution.stop("Enough", "no more")
        with anyio.fail_after(DEADLINE_SECONDS):
            with pytest.raises(engine.ExecutionFailed):
                await execution.result()
    assert about(collected.named("B"), "error.type") == "Aborted"
    assert about(collected.named("StateMachine"), "error.type") == "Enough"
