"""What every backend promises of Distributed Maps. A test module gives an `opened` engine and subclasses `MapRunSuite`.

The handlers are `handler_table`'s.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

import engine
from engine.operations.executions import describe_execution, list_executions
from engine.operations.map_runs import describe_map_run, list_map_runs, update_map_run
from engine.operations.redrive import redrive_execution
from engine.operations.state_machines import describe_state_machine_for_execution
from tests.definitions import catch, machine, retry, task

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = ("STANDARD", "EXPRESS")


class Handlers:
    """What the children do, and how often.

    Attributes:
        calls: By item.
        most: Children that were inside at once.
        failing: Items that fail.
        open: Children wait for it inside `work`.
    """

    def __init__(self) -> None:
        self.calls: Counter[int] = Counter()
        self.inside = self.most = 0
        self.failing: set[int] = set()
        self.open: anyio.Event | None = None

    async def work(self, item: Any) -> Any:
        number = item["n"] if isinstance(item, dict) else item
        self.calls[number] += 1
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            if self.open is not None:
                await self.open.wait()
            else:
                await anyio.lowlevel.checkpoint()
            if number in self.failing:
                raise engine.TaskFailed("Bad", f"item {number}")
        finally:
            self.inside -= 1
        return number * 2

    @property
    def table(self) -> dict[str, Any]:
        return {"work": self.work}


def mapped(kind: str, *states: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A Distributed Map whose children run these states, or only call `work`."""
    inner = machine(*(states or ({**task(), "Name": "Work"},)))
    config = {"Mode": "DISTRIBUTED", "ExecutionType": kind}
    return {"Name": "Each", "Type": "Map", "ItemProcessor": {"ProcessorConfig": config, **inner}, **fields}


async def run_of(opened: engine.Engine, execution: engine.ExecutionHandle) -> dict[str, Any]:
    """The description of the only map run of an execution."""
    listed = await list_map_runs(opened.service, execution_arn=execution.arn)
    (run,) = listed["map_runs"]
    return await describe_map_run(opened.service, map_run_arn=run["map_run_arn"])


async def arrives(condition: Any, seconds: float = 20) -> None:
    """Waits until an awaitable condition holds."""
    with anyio.fail_after(seconds):
        while not await condition():  # noqa: ASYNC110  what other threads write to the store tells nobody
            await anyio.sleep(0.005)


def types_of(events: Sequence[dict[str, Any]]) -> str:
    return " ".join(f"{event['id']}<{event['previousEventId']} {event['type']}" for event in events)


@pytest.mark.anyio
@pytest.mark.timeout(60)
class MapRunSuite:
    """See the head of the module."""

    @pytest.fixture
    def handlers(self) -> Handlers:
        return Handlers()

    @pytest.mark.parametrize("kind", KINDS)
    async def test_results_come_in_the_order_of_the_items(
        self, opened: engine.Engine, handlers: Handlers, kind: str
    ) -> None:
        execution = await opened.start_execution(machine(mapped(kind)), list(range(250)))
        assert await execution.result() == [2 * number for number in range(250)]
        assert set(handlers.calls.values()) == {1}
        assert len(handlers.calls) == 250
        assert types_of((await execution.history())[2:8]) == (
            "3<2 MapStateStarted 4<3 MapRunStarted 5<4 MapRunSucceeded 6<5 MapStateSucceeded 7<4 MapStateExited "
            "8<7 ExecutionSucceeded"
        )
        run = await run_of(opened, execution)
        assert run["status"] == "SUCCEEDED"
        assert run["stop_date"] >= run["start_date"]
        assert run["item_counts"] == run["execution_counts"]
        assert {name: count for name, count in run["item_counts"].items() if count} == {
            "succeeded": 250,
            "total": 250,
            "resultsWritten": 250,
        }

    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_program_is_given_the_counts_until_the_map_run_is_over(
        self, opened: engine.Engine, handlers: Handlers, kind: str
    ) -> None:
        handlers.failing, handlers.open = {3}, anyio.Event()
        execution = await opened.start_execution(machine(mapped(kind, ToleratedFailureCount=1)), list(range(30)))
        seen: list[engine.MapRunCounts] = []

        async def begun() -> bool:
            return bool(await opened.map_runs(execution.arn))

        await arrives(begun)
        (arn,) = await opened.map_runs(execution.arn)
        async for counts in opened.watch_map_run(arn, every_seconds=0.01):
            seen.append(counts)
            if counts.running == counts.total == 30:
                handlers.open.set()
        assert (seen[-1].state, seen[-1].map_run_arn, seen[-1].done) == ("Each", arn, 30)
        assert seen[-1][2:] == ("SUCCEEDED", 30, 0, 0, 29, 1, 0, 0, True, 30)
        assert {counts.status for counts in seen[:-1]} == {"RUNNING"}
        assert all(counts.pending + counts.running + counts.done == counts.total for counts in seen)

    @pytest.mark.parametrize("when", ["snapshot", "roots"])
    async def test_a_map_run_that_ends_while_it_is_looked_at_is_shown_as_it_was_or_as_it_ended(
        self, opened: engine.Engine, handlers: Handlers, monkeypatch: pytest.MonkeyPatch, when: str
    ) -> None:
        handlers.open = anyio.Event()
        execution = await opened.start_execution(machine(mapped("STANDARD")), list(range(30)))

        async def begun() -> bool:
            return bool(await opened.map_runs(execution.arn)) and len(handlers.calls) == 30

        await arrives(begun)
        ask = engine.operations.service.Service.ask

        async def ends_meanwhile(service: Any, method: Any, *given: Any, **options: Any) -> Any:
            found = await ask(service, method, *given, **options)
            if method.__name__ == when:  # of the map run, or of its chunks after it
                handlers.open.set()
                await execution.result()
            return found

        with monkeypatch.context() as patch:
            patch.setattr(engine.operations.service.Service, "ask", ends_meanwhile)
            run = await run_of(opened, execution)
        assert execution.status == "SUCCEEDED"
        assert run["status"] == "RUNNING" or run["item_counts"]["succeeded"] == 30, run

    async def test_a_map_run_is_not_looked_at_without_a_pause(self, opened: engine.Engine) -> None:
        with pytest.raises(ValueError, match="every_seconds: expected a number of seconds more than 0, got 0"):
            await anext(opened.watch_map_run("arn", every_seconds=0))

    async def test_the_state_machine_of_a_child_is_shown_with_map_run_and_label(
        self, opened: engine.Engine, handlers: Handlers
    ) -> None:
        one = await opened.deploy(machine(mapped("STANDARD", Label="orders")), "m")
        execution = await opened.start_execution(one, [1])
        await execution.result()
        (arn,) = await opened.map_runs(execution.arn)
        (child,) = (await list_executions(opened.service, map_run_arn=arn))["executions"]
        of = partial(describe_state_machine_for_execution, opened.service)
        shown = await of(execution_arn=child["execution_arn"])
        assert (shown["map_run_arn"], shown["label"]) == (arn, "orders")
        assert not {"map_run_arn", "label"} & (await of(execution_arn=execution.arn)).keys()

    @pytest.mark.parametrize("kind", KINDS)
    async def test_no_items_are_no_children(self, opened: engine.Engine, kind: str) -> None:
        assert await opened.run(machine(mapped(kind)), []) == []

    @pytest.mark.parametrize("kind", KINDS)
    async def test_no_more_children_run_at_once_than_may(
        self, opened: engine.Engine, handlers: Handlers, kind: str
    ) -> None:
        output = await opened.run(machine(mapped(kind, MaxConcurrency=3)), list(range(40)))
        assert output == [2 * number for number in range(40)]
        assert handlers.most <= 3

    @pytest.mark.parametrize("kind", KINDS)
    async def test_selector_and_batcher_make_the_inputs(self, opened: engine.Engine, kind: str) -> None:
        selector = {"n.$": "$$.Map.Item.Value", "i.$": "$$.Map.Item.Index", "of.$": "$.name",
                    "from.$": "$$.Map.Item.Source", "key.$": "$$.Map.Item.Key"}  # fmt: skip
        state = mapped(
            kind,
            {"Type": "Pass"},
            ItemsPath="$.items",
            ItemSelector=selector,
            ItemBatcher={"MaxItemsPerBatch": 2, "BatchInput": {"of.$": "$.name"}},
        )
        execution = await opened.start_execution(machine(state), {"name": "x", "items": {"a": 1, "b": 2, "c": 3}})
        items = [
            {"n": number, "i": place, "of": "x", "from": "STATE_DATA", "key": key}
            for place, (key, number) in enumerate([("a", 1), ("b", 2), ("c", 3)])
        ]
        assert await execution.result() == [
            {"BatchInput": {"of": "x"}, "Items": items[:2]},
            {"BatchInput": {"of": "x"}, "Items": items[2:]},
        ]
        run = await run_of(opened, execution)
        assert (run["item_counts"]["total"], run["execution_counts"]["total"]) == (3, 2)

    @pytest.mark.parametrize("kind", KINDS)
    async def test_without_a_selector_a_member_of_an_object_comes_with_its_key(
        self, opened: engine.Engine, kind: str
    ) -> None:
        pairs = [{"Key": "a", "Value": 1}, {"Key": "b", "Value": [2]}]
        given = {"a": 1, "b": [2]}
        assert await opened.run(machine(mapped(kind, {"Type": "Pass"})), given) == pairs
        batched = mapped(kind, {"Type": "Pass"}, ItemBatcher={"MaxItemsPerBatch": 5})
        assert await opened.run(machine(batched), given) == [{"Items": pairs}]

    async def test_no_child_has_an_input_beyond_the_payload_limit(self, opened: engine.Engine) -> None:
        batcher = {"MaxItemsPerBatch": 1, "BatchInput": {"v.$": "States.Array($.a, $.a, $.a)"}}
        state = mapped("EXPRESS", {"Type": "Pass", "Result": 1}, ItemsPath="$.items", ItemBatcher=batcher)
        execution = await opened.start_execution(machine(state), {"a": "x" * 100_000, "items": [1]})
        with pytest.raises(engine.ExecutionFailed, match=r"States\.DataLimitExceeded") as failed:
            await execution.result()
        assert failed.value.cause == "The input of child execution 0 has 300043 bytes; expected at most 262144."

    async def test_what_a_selector_makes_has_to_fit_the_payload_limit(self, opened: engine.Engine) -> None:
        selector = {"v.$": "States.Array($.a, $.a, $.a)"}
        state = mapped("EXPRESS", {"Type": "Pass", "Result": 1}, ItemsPath="$.items", ItemSelector=selector)
        execution = await opened.start_execution(machine(state), {"a": "x" * 100_000, "items": [1]})
        with pytest.raises(engine.ExecutionFailed, match=r"States\.DataLimitExceeded") as failed:
            await execution.result()
        assert (failed.value.cause or "").startswith("The state/task 'Each' returned a result with a size exceeding")

    async def test_a_batch_is_made_smaller_than_the_payload_limit(self, opened: engine.Engine) -> None:
        count = {"Type": "Pass", "Parameters": {"n.$": "States.ArrayLength($.Items)"}}
        selector = {"v.$": "$.a"}
        state = mapped("EXPRESS", count, ItemSelector=selector, ItemsPath="$.items",
                       ItemBatcher={"MaxItemsPerBatch": 10})  # fmt: skip
        output = await opened.run(machine(state), {"a": "x" * 100_000, "items": [0] * 5})
        assert output == [{"n": 2}, {"n": 2}, {"n": 1}]

    async def test_a_selector_that_fails_says_in_which_event_the_state_was_entered(self, opened: engine.Engine) -> None:
        state = mapped("EXPRESS", ItemSelector={"v.$": "$.nope"}, ItemsPath="$.items")
        execution = await opened.start_execution(machine(state), {"items": [1]})
        with pytest.raises(engine.ExecutionFailed) as failed:
            await execution.result()
        where = "An error occurred while executing the state 'Each' (entered at the event id #2). "
        assert (failed.value.cause or "").startswith(where)

    async def test_maps_may_be_inside_one_another(self, opened: engine.Engine) -> None:
        inner = {**mapped("EXPRESS"), "Name": "Inner"}
        output = await opened.run(machine(mapped("STANDARD", inner)), [[1, 2], [], [3]])
        assert output == [[2, 4], [], [6]]

    # ── failures ────────────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize("kind", KINDS)
    async def test_one_failure_too_many_fails_the_run(
        self, opened: engine.Engine, handlers: Handlers, kind: str
    ) -> None:
        handlers.failing = {3}
        execution = await opened.start_execution(machine(mapped(kind, MaxConcurrency=1)), list(range(5)))
        with pytest.raises(engine.ExecutionFailed) as failed:
            await execution.result()
        assert failed.value.error == "States.ExceedToleratedFailureThreshold"
        assert failed.value.cause == "The specified tolerated failure threshold was exceeded"
        assert types_of((await execution.history())[3:]) == (
            "4<3 MapRunStarted 5<4 MapRunFailed 6<5 MapStateFailed 7<6 ExecutionFailed"
        )
        run = await run_of(opened, execution)
        assert run["status"] == "FAILED"
        counts = {name: count for name, count in run["item_counts"].items() if count}
        assert counts == {"pending": 1, "succeeded": 3, "failed": 1, "total": 5, "resultsWritten": 3}

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(
        ("limits", "failing", "is_tolerated"),
        [
            ({"ToleratedFailureCount": 2}, 2, True),
            ({"ToleratedFailureCount": 2}, 3, False),
            ({"ToleratedFailurePercentage": 10}, 2, True),
            ({"ToleratedFailurePercentage": 10}, 3, False),
            ({"ToleratedFailureCount": 20, "ToleratedFailurePercentage": 10}, 3, False),
        ],
    )
    async def test_failures_are_tolerated_up_to_the_limit(
        self,
        opened: engine.Engine,
        handlers: Handlers,
        kind: str,
        limits: dict[str, int],
        failing: int,
        is_tolerated: bool,
    ) -> None:
        handlers.failing = set(range(0, 2 * failing, 2))
        execution = await opened.start_execution(machine(mapped(kind, **limits)), list(range(20)))
        if is_tolerated:
            assert await execution.result() == [2 * n for n in range(20) if n not in handlers.failing]
            assert (await run_of(opened, execution))["item_counts"]["failed"] == failing
        else:
            with pytest.raises(engine.ExecutionFailed, match="ExceedToleratedFailureThreshold"):
                await execution.result()

    async def test_a_failed_run_is_retried_as_another_and_caught(
        self, opened: engine.Engine, handlers: Handlers
    ) -> None:
        handlers.failing = {0}
        state = mapped("EXPRESS", Retry=retry(1, IntervalSeconds=1, MaxDelaySeconds=1), Catch=catch("Caught"))
        definition = machine(state, {"Name": "Caught", "Type": "Pass"})
        execution = await opened.start_execution(definition, [0])
        output = await execution.result()
        assert output["Error"] == "States.ExceedToleratedFailureThreshold"
        assert handlers.calls[0] == 2
        listed = await list_map_runs(opened.service, execution_arn=execution.arn)
        assert len({run["map_run_arn"] for run in listed["map_runs"]}) == 2

    async def test_results_that_are_too_large_fail_the_run(self, opened: engine.Engine) -> None:
        state = mapped("EXPRESS", {"Type": "Pass", "Result": "x" * 30_000})
        execution = await opened.start_execution(machine(state), list(range(20)))
        with pytest.raises(engine.ExecutionFailed, match=r"States\.DataLimitExceeded"):
            await execution.result()

    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_stopped_parent_stops_the_children(
        self, opened: engine.Engine, handlers: Handlers, kind: str
    ) -> None:
        handlers.open = anyio.Event()
        execution = await opened.start_execution(machine(mapped(kind, MaxConcurrency=4)), list(range(10)))

        async def begun() -> bool:
            return handlers.inside == 4

        await arrives(begun)
        await execution.stop("E", "because")

        async def ended() -> bool:
            seen = await run_of(opened, execution)
            # Whoever waits for another status than RUNNING has the final counts.
            assert (seen["status"] == "RUNNING") == ("stop_date" not in seen)
            return "stop_date" in seen

        await arrives(ended)
        run = await run_of(opened, execution)
        assert run["status"] == "ABORTED"
        counts = {name: count for name, count in run["item_counts"].items() if count}
        assert counts == {"pending": 6, "aborted": 4, "total": 10}
        assert handlers.inside == 0

    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_branch_that_fails_takes_the_map_run_beside_it_along(
        self, opened: engine.Engine, handlers: Handlers, kind: str
    ) -> None:
        handlers.open = anyio.Event()
        beside = machine({"Name": "Wait", "Type": "Wait", "Seconds": 1}, {"Name": "Fail", "Type": "Fail"})
        definition = machine({"Type": "Parallel", "Branches": [machine(mapped(kind)), beside]})
        execution = await opened.start_execution(definition, [1, 2])
        with pytest.raises(engine.ExecutionFailed):
            await execution.result()
        kinds = [event["type"] for event in await execution.history()]
        assert "MapRunAborted" in kinds
        assert "MapStateAborted" in kinds

        async def ended() -> bool:
            return (await run_of(opened, execution))["status"] == "ABORTED"

        await arrives(ended)

    # ── children ────────────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_program_is_given_the_children_of_a_status(
        self, opened: engine.Engine, handlers: Handlers, kind: str
    ) -> None:
        handlers.failing = {3, 150}
        state = mapped(kind, ToleratedFailureCount=5)
        execution = await opened.start_execution(machine(state), list(range(230)))
        await execution.result()
        (arn,) = await opened.map_runs(execution.arn)
        assert {child.input async for child in opened.map_run_children(arn)} == set(range(230))
        failed = [child async for child in opened.map_run_children(arn, status="FAILED")]
        assert {child.input for child in failed} == {3, 150}
        assert {child.cause for child in failed} == {"item 3", "item 150"}

    # ── redrive ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("limits", [{"MaxConcurrency": 1}, {"ToleratedFailureCount": 1}, {}])
    async def test_a_redrive_runs_only_what_did_not_succeed(
        self, opened: engine.Engine, handlers: Handlers, kind: str, limits: dict[str, int]
    ) -> None:
        handlers.failing = {2, 5, 11}
        execution = await opened.start_execution(machine(mapped(kind, **limits)), list(range(30)))
        with pytest.raises(engine.ExecutionFailed):
            await execution.result()
        before = await run_of(opened, execution)
        handlers.failing = set()
        done = {item for item, calls in handlers.calls.items() if calls}
        await execution.redrive()
        assert await execution.result() == [2 * number for number in range(30)]
        run = await run_of(opened, execution)
        assert (run["map_run_arn"], run["status"], run["redrive_count"]) == (before["map_run_arn"], "SUCCEEDED", 1)
        assert run["item_counts"]["succeeded"] == 30
        succeeded = before["item_counts"]["succeeded"]
        assert sum(handlers.calls.values()) == len(done) + 30 - succeeded
        events = await execution.history()
        (redriven,) = (event for event in events if event["type"] == "MapRunRedriven")
        assert redriven["mapRunRedrivenEventDetails"] == {"mapRunArn": run["map_run_arn"], "redriveCount": 1}

    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_stopped_map_goes_on_and_may_fail_and_be_redriven_again(
        self, opened: engine.Engine, handlers: Handlers, kind: str
    ) -> None:
        handlers.open = anyio.Event()
        execution = await opened.start_execution(machine(mapped(kind, MaxConcurrency=2)), list(range(6)))

        async def begun() -> bool:
            return handlers.inside == 2

        await arrives(begun)
        await execution.stop()
        with pytest.raises(engine.ExecutionFailed):
            await execution.result()
        handlers.open, handlers.failing = None, {4}
        await execution.redrive()
        with pytest.raises(engine.ExecutionFailed, match="ExceedToleratedFailureThreshold"):
            await execution.result()
        handlers.failing = set()
        await execution.redrive()
        assert await execution.result() == [0, 2, 4, 6, 8, 10]
        assert (await run_of(opened, execution))["redrive_count"] == 2

    @pytest.mark.parametrize("kind", KINDS)
    async def test_children_that_are_to_be_redriven_are_shown_as_such(
        self, opened: engine.Engine, handlers: Handlers, kind: str
    ) -> None:
        handlers.failing = set(range(24))
        state = mapped(kind, MaxConcurrency=1, ToleratedFailureCount=23)
        execution = await opened.start_execution(machine(state), list(range(24)))
        with pytest.raises(engine.ExecutionFailed):
            await execution.result()
        handlers.failing, handlers.open = set(), anyio.Event()
        await execution.redrive()

        async def shown() -> bool:
            counts = (await run_of(opened, execution))["item_counts"]
            seen = counts["running"], counts.get("pendingRedrive"), counts["failed"], handlers.inside
            return seen == (1, 23, 0, 1)

        await arrives(shown)
        (arn,) = await opened.map_runs(execution.arn)
        listed = partial(list_executions, opened.service, map_run_arn=arn)
        assert Counter(one["status"] for one in (await listed())["executions"]) == {"PENDING_REDRIVE": 23, "RUNNING": 1}
        assert (await listed(status_filter="FAILED"))["executions"] == []
        pending = (await listed(status_filter="PENDING_REDRIVE"))["executions"]
        assert len(pending) == 23
        for child in pending[0], pending[-1]:
            about = await describe_execution(opened.service, execution_arn=child["execution_arn"])
            assert (about["status"], about["redrive_status"]) == ("PENDING_REDRIVE", "NOT_REDRIVABLE")
            assert not {"stop_date", "error", "cause"} & about.keys()
        handlers.open.set()
        handlers.open = None
        assert await execution.result() == [2 * number for number in range(24)]
        assert "pendingRedrive" not in (await run_of(opened, execution))["item_counts"]
        assert (await listed(status_filter="PENDING_REDRIVE"))["executions"] == []

    async def test_a_child_is_redriven_by_its_map_run_alone(self, opened: engine.Engine, handlers: Handlers) -> None:
        handlers.failing = {0}
        execution = await opened.start_execution(machine(mapped("STANDARD", ToleratedFailureCount=1)), [0])
        await execution.result()
        run = await run_of(opened, execution)
        (child,) = (await list_executions(opened.service, map_run_arn=run["map_run_arn"]))["executions"]
        about = await describe_execution(opened.service, execution_arn=child["execution_arn"])
        assert about["redrive_status"] == "REDRIVABLE_BY_MAP_RUN"
        with pytest.raises(engine.errors.ExecutionNotRedrivable):
            await redrive_execution(opened.service, execution_arn=child["execution_arn"])

    # ── while it runs ───────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize("kind", KINDS)
    async def test_counts_are_exact_while_it_runs_and_limits_can_be_changed(
        self, opened: engine.Engine, handlers: Handlers, kind: str
    ) -> None:
        handlers.open = anyio.Event()
        execution = await opened.start_execution(machine(mapped(kind, MaxConcurrency=2)), list(range(30)))

        async def begun() -> bool:
            return handlers.inside == 2

        await arrives(begun)

        async def shown() -> bool:
            counts = (await run_of(opened, execution))["item_counts"]
            return (counts["running"], counts["pending"], counts["total"]) == (2, 28, 30)

        await arrives(shown)
        run = await run_of(opened, execution)
        assert run["status"] == "RUNNING"
        assert "stop_date" not in run
        assert (run["max_concurrency"], run["tolerated_failure_count"], run["tolerated_failure_percentage"]) == (
            2,
            0,
            0.0,
        )
        await update_map_run(
            opened.service, map_run_arn=run["map_run_arn"], max_concurrency=5, tolerated_failure_count=3
        )

        async def more() -> bool:
            return handlers.inside == 5

        await arrives(more)
        changed = await run_of(opened, execution)
        assert (changed["max_concurrency"], changed["tolerated_failure_count"]) == (5, 3)
        handlers.failing = {7, 8, 9}
        handlers.open.set()
        handlers.open = None
        assert len(await execution.result()) == 27
        assert handlers.most == 5
        with pytest.raises(engine.errors.ValidationException) as refused:
            await update_map_run(opened.service, map_run_arn=run["map_run_arn"], max_concurrency=1)
        assert refused.value.reason == "CANNOT_UPDATE_COMPLETED_MAP_RUN"

    async def test_children_are_executions_to_be_read(self, opened: engine.Engine, handlers: Handlers) -> None:
        handlers.failing = {1}
        state = mapped("STANDARD", ToleratedFailureCount=1, Label="L")
        execution = await opened.start_execution(machine(state), list(range(3)))
        await execution.result()
        run = await run_of(opened, execution)
        assert "/L:" in run["map_run_arn"]
        listed = await list_executions(opened.service, map_run_arn=run["map_run_arn"])
        assert Counter(child["status"] for child in listed["executions"]) == {"SUCCEEDED": 2, "FAILED": 1}
        failed = next(child for child in listed["executions"] if child["status"] == "FAILED")
        about = await describe_execution(opened.service, execution_arn=failed["execution_arn"])
        assert (about["map_run_arn"], about["error"], json.loads(about["input"])) == (run["map_run_arn"], "Bad", 1)
