"""Asynchronous invocations, minute by minute."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest
import structlog

from engine.lambda_emulator.calls import Call
from engine.lambda_emulator.destinations import Destinations
from engine.lambda_emulator.errors import ServiceException
from engine.lambda_emulator.invocation_store import MemoryInvocationStore
from engine.lambda_emulator.limits import Limits
from engine.lambda_emulator.lineage import LOOP_MAX
from engine.lambda_emulator.memory_store import MemoryFunctionStore
from engine.lambda_emulator.operations import concurrency, event_invoke_configs, functions, settings
from engine.lambda_emulator.operations.invoking import invoke
from tests.lambda_emulator.control_plane import arn, created, new_emulator
from tests.lambda_emulator.doubles import PlayedRunner, WoundClock, failure
from tests.waiting import DEADLINE_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from engine.lambda_emulator.emulator import Emulator

pytestmark = pytest.mark.anyio

QUEUE = "arn:aws:sqs:eu-central-1:000000000000:told"
TOPIC = "arn:aws:sns:eu-central-1:000000000000:told"
BUS = "arn:aws:events:eu-central-1:000000000000:event-bus/told"


class Service:
    """SQS, SNS and EventBridge, as far as somebody is told something."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.failures = 0

    def _take(self, call: str, given: dict[str, Any]) -> dict[str, Any]:
        if self.failures:
            self.failures -= 1
            raise OSError("down")
        self.told.append((call, given))
        return {"FailedEntryCount": 0}

    def get_queue_url(self, **given: Any) -> dict[str, Any]:
        return {"QueueUrl": f"http://sqs/{given['QueueOwnerAWSAccountId']}/{given['QueueName']}"}

    def send_message(self, **given: Any) -> None:
        self._take("send_message", given)

    def publish(self, **given: Any) -> None:
        self._take("publish", given)

    def put_events(self, **given: Any) -> dict[str, Any]:
        return self._take("put_events", given)

    @property
    def records(self) -> list[Any]:
        return [json.loads(given["MessageBody"]) for call, given in self.told if call == "send_message"]


class World:
    def __init__(self, emulator: Emulator, runner: PlayedRunner, clock: WoundClock, service: Service) -> None:
        self.emulator, self.runner, self.clock, self.service = emulator, runner, clock, service

    async def put(self, payload: bytes = b'{"a": 1}', name: str = "f", **given: Any) -> None:
        call = Call(request_id="r-1", trace_id="Root=1")
        answer = await invoke(
            self.emulator, call=call, function_name=name, payload=payload, invocation_type="Event", **given
        )
        assert answer.status == 202

    async def until(self, condition: Callable[[], Any]) -> None:
        with anyio.fail_after(DEADLINE_SECONDS):
            while not condition():
                await anyio.lowlevel.checkpoint()

    async def rest(self, attempts: int) -> None:
        """Until it was tried so often, and nothing is in hand."""
        await self.until(lambda: len(self.runner.asked) == attempts and not self.emulator.queue.in_hand)

    async def configure(self, **given: Any) -> None:
        await event_invoke_configs.put_function_event_invoke_config(self.emulator, function_name="f", **given)


@asynccontextmanager
async def emulated(
    directory: Path, *, clock: WoundClock | None = None, runner: PlayedRunner | None = None, **given: Any
) -> AsyncIterator[World]:
    runner, clock, service = runner or PlayedRunner(), clock or WoundClock(), Service()
    emulator = new_emulator(
        directory, environments=runner, clock=clock, destinations=Destinations(lambda *_: service),
        limits=Limits(unreserved_min=1), **given,
    )  # fmt: skip
    async with emulator:
        yield World(emulator, runner, clock, service)


@pytest.fixture
async def world(tmp_path, anyio_backend):
    async with emulated(tmp_path) as found:
        await created(found.emulator)
        yield found


async def test_an_event_is_run_once_and_forgotten(world):
    await world.put()
    await world.rest(1)
    world.clock.wind(100_000)
    await world.put(b"[2]")
    await world.rest(2)
    assert [event.payload for _, event in world.runner.asked] == [b'{"a": 1}', b"[2]"]


async def test_a_failure_is_tried_again_after_one_minute_and_after_two(world):
    world.runner.play = lambda *_: failure()
    await world.put()
    await world.rest(1)
    for seconds, attempts in ((59.9, 1), (0.1, 2), (119.9, 2), (0.1, 3), (100_000, 3)):
        world.clock.wind(seconds)
        await anyio.wait_all_tasks_blocked()
        await world.rest(attempts)
    assert {event.request_id for _, event in world.runner.asked} == {"r-1"}


async def loop(world: World) -> None:
    """f is told of what g does, and g of what f does."""
    world.runner.play = lambda *_: None  # what is echoed is in a record twice, and doubles with each round
    await created(world.emulator, "g")
    for name, other in (("f", "g"), ("g", "f")):
        await event_invoke_configs.put_function_event_invoke_config(
            world.emulator, function_name=name, destination_config={"OnSuccess": {"Destination": arn(other)}}
        )


async def test_functions_that_call_each_other_do_so_sixteen_times(world):
    await loop(world)
    with structlog.testing.capture_logs() as logs:
        await world.put()
        await world.until(lambda: any(line["event"] == "recursive loop ended" for line in logs))
    names = [version.name for version, _ in world.runner.asked]
    assert (names.count("f"), names.count("g")) == (1 + LOOP_MAX, LOOP_MAX)
    assert world.runner.asked[-1][1].trace_id.count(";Lineage=") == 1


async def test_functions_may_be_allowed_to_call_each_other_for_ever(world):
    await loop(world)
    for name in ("f", "g"):
        await settings.put_function_recursion_config(world.emulator, function_name=name, recursive_loop="Allow")
    await world.put()
    await world.until(lambda: len(world.runner.asked) > 3 * LOOP_MAX)


@pytest.mark.parametrize("retries", [0, 1])
async def test_fewer_retries_can_be_asked_for(world, retries):
    await world.configure(maximum_retry_attempts=retries, destination_config={"OnFailure": {"Destination": QUEUE}})
    world.runner.play = lambda *_: failure()
    await world.put()
    for attempt in range(retries + 1):
        await world.rest(attempt + 1)
        world.clock.wind(60)
    await world.until(lambda: world.service.told)
    assert world.service.records[0]["requestContext"]["approximateInvokeCount"] == retries + 1


async def test_a_success_is_told_with_what_went_in_and_came_out(world):
    await world.configure(destination_config={"OnSuccess": {"Destination": QUEUE}})
    await world.put()
    await world.until(lambda: world.service.told)
    call, given = world.service.told[0]
    assert (call, given["QueueUrl"]) == ("send_message", "http://sqs/000000000000/told")
    assert json.loads(given["MessageBody"]) == {
        "version": "1.0", "timestamp": "2026-01-31T12:00:00.000Z",
        "requestContext": {"requestId": "r-1", "functionArn": arn(qualifier="$LATEST"), "condition": "Success",
                           "approximateInvokeCount": 1},
        "requestPayload": {"a": 1}, "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": {"a": 1},
    }  # fmt: skip


async def test_the_last_failure_is_told(world):
    await world.configure(maximum_retry_attempts=0, destination_config={"OnFailure": {"Destination": QUEUE}})
    world.runner.play = lambda *_: failure()
    await world.put()
    await world.until(lambda: world.service.told)
    [record] = world.service.records
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["responseContext"]["functionError"] == "Unhandled"
    assert record["responsePayload"]["errorType"] == "ValueError"


async def test_without_any_concurrency_it_is_told_at_once_and_never_run(world):
    await world.configure(destination_config={"OnFailure": {"Destination": QUEUE}})
    await concurrency.put_function_concurrency(world.emulator, function_name="f", reserved_concurrent_executions=0)
    await world.put()
    await world.until(lambda: world.service.told)
    [record] = world.service.records
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert "responseContext" not in record
    assert world.runner.asked == []


async def test_what_is_throttled_waits_longer_each_time_until_it_is_too_old(world):
    await world.configure(maximum_event_age_in_seconds=60, destination_config={"OnFailure": {"Destination": QUEUE}})
    await concurrency.put_function_concurrency(world.emulator, function_name="f", reserved_concurrent_executions=1)
    world.runner.gates["f"] = anyio.Event()
    await world.put(b'"long"')
    await world.until(lambda: len(world.runner.asked) == 1)
    await world.put(b'"short"')
    for _ in range(70):  # refused after 0, 1, 3, 7, 15, 31 seconds, and too old after 63
        await world.until(lambda: len(world.emulator.queue.in_hand) == 1)
        world.clock.wind(1)
        await anyio.wait_all_tasks_blocked()
    await world.until(lambda: world.service.told)
    assert world.emulator.concurrency.throttled["ReservedFunctionConcurrentInvocationLimitExceeded"] == 6
    [record] = world.service.records
    assert record["requestContext"]["condition"] == "EventAgeExceeded"
    assert record["requestPayload"] == "short"
    world.runner.gates["f"].set()
    await world.rest(1)


async def test_what_could_not_be_run_is_tried_again(world):
    outcomes: list[Any] = [ServiceException("no"), {"ok": 1}]

    def play(*_: Any) -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    world.runner.play = play
    await world.put()
    await world.rest(1)
    world.clock.wind(1)
    await world.rest(2)
    assert outcomes == []


async def test_the_event_of_a_function_that_is_gone_is_dropped(world):
    world.runner.play = lambda *_: failure()
    await world.put()
    await world.rest(1)
    await functions.delete_function(world.emulator, function_name="f")
    world.clock.wind(60)
    await anyio.wait_all_tasks_blocked()
    await world.rest(1)


async def test_a_topic_a_bus_and_a_function_are_told_as_well(world):
    await created(world.emulator, "told")
    for target, call in ((TOPIC, "publish"), (BUS, "put_events")):
        world.service.told.clear()
        await world.configure(destination_config={"OnSuccess": {"Destination": target}})
        await world.put()
        await world.until(lambda: world.service.told)
        assert world.service.told[0][0] == call
    entry = world.service.told[0][1]["Entries"][0]
    assert (entry["Source"], entry["EventBusName"]) == ("lambda", BUS)
    assert entry["DetailType"] == "Lambda Function Invocation Result - Success"
    assert json.loads(entry["Detail"])["requestPayload"] == {"a": 1}
    await world.configure(destination_config={"OnSuccess": {"Destination": arn("told")}})
    await world.put()
    await world.until(lambda: [version for version, _ in world.runner.asked if version.name == "told"])
    assert json.loads(world.runner.asked[-1][1].payload)["requestPayload"] == {"a": 1}


async def test_a_dead_letter_queue_gets_the_event_itself(tmp_path):
    async with emulated(tmp_path) as world:
        await created(world.emulator, dead_letter_config={"TargetArn": QUEUE})
        await world.configure(maximum_retry_attempts=0)
        world.runner.play = lambda *_: failure(message="why")
        await world.put()
        await world.until(lambda: world.service.told)
        [(call, given)] = world.service.told
        assert (call, given["MessageBody"]) == ("send_message", '{"a": 1}')
        assert given["MessageAttributes"] == {
            "RequestID": {"DataType": "String", "StringValue": "r-1"},
            "ErrorCode": {"DataType": "Number", "StringValue": "200"},
            "ErrorMessage": {"DataType": "String", "StringValue": "why"},
        }


async def test_a_destination_that_fails_at_first_is_told_in_the_end(world, monkeypatch):
    async def at_once(_seconds: float) -> None: ...

    monkeypatch.setattr("engine.lambda_emulator.destinations.anyio.sleep", at_once)
    await world.configure(destination_config={"OnSuccess": {"Destination": QUEUE}})
    world.service.failures = 2
    await world.put()
    await world.until(lambda: world.service.told)
    assert len(world.service.told) == 1


async def test_what_a_server_had_in_hand_is_run_by_the_next_one(tmp_path):
    """It ended in an orderly way: nobody has to wait until it is missed."""
    waiting, store, clock, runner = MemoryInvocationStore(), MemoryFunctionStore(), WoundClock(), PlayedRunner()
    runner.gates["f"] = anyio.Event()
    async with emulated(tmp_path / "a", store=store, invocations=waiting, clock=clock, runner=runner) as first:
        await created(first.emulator)
        await first.put()
        await first.until(lambda: runner.asked)
    async with emulated(tmp_path / "b", store=store, invocations=waiting, clock=clock) as second:
        await second.rest(1)
    assert waiting.next_due("eu-central-1") is None


async def test_what_a_server_had_when_it_was_killed_is_run_once_it_is_missed(tmp_path):
    waiting, store, clock = MemoryInvocationStore(), MemoryFunctionStore(), WoundClock()
    async with emulated(tmp_path / "a", store=store, invocations=waiting, clock=clock) as first:
        await created(first.emulator)
        first.runner.gates["f"] = anyio.Event()
        await first.put()
        await first.until(lambda: first.runner.asked)
        left_behind = dict(waiting._queued)
    waiting._queued = left_behind  # as it was while it ran
    async with emulated(tmp_path / "b", store=store, invocations=waiting, clock=clock) as second:
        clock.wind(5)
        await anyio.wait_all_tasks_blocked()
        assert second.runner.asked == []
        clock.wind(1)
        await second.rest(1)
