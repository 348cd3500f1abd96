"""The 15-minute cap, end to end: an endpoint that plays Lambda over HTTP holds invocations as long as it likes.

The clock is scaled: the endpoint's 15 minutes end when the test says so, a rule's after a tenth of a second.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import engine
from tests.definitions import catch, invoke, machine, retry, task
from tests.integrations.stub_lambda import Asked, Reply, StubLambda, stub_lambda
from tests.runtime.fleets import Now, fleet, on
from tests.waiting import until

if TYPE_CHECKING:
    from engine.store.memory import MemoryStore

pytestmark = pytest.mark.anyio

ECHO = {"Type": "Pass"}
INVOCATIONS = 1_000

TIMED_OUT = json.dumps(
    {"errorType": "Sandbox.Timedout", "errorMessage": "RequestId: 1 Error: Task timed out after 900.00 seconds"}
)


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")


class Lambda:
    """Holds every invocation until its 15 minutes are over; the first `most` of them, when that is given."""

    def __init__(self, most: int | None = None) -> None:
        self.is_over = anyio.Event()
        self._left = most

    async def __call__(self, asked: Asked) -> Reply:
        if "first" in asked.path:
            return Reply.of({})
        if self._left == 0:
            return Reply.of("done")
        if self._left is not None:
            self._left -= 1
        await self.is_over.wait()
        return Reply.function_error(TIMED_OUT)


def rules(stub: StubLambda, **options: Any) -> engine.Handlers:
    handlers = engine.Handlers({"quick": "tests.runtime.fleets:echo"})
    handlers.add("first", f"lambda:?endpoint={stub.url}")
    handlers.add("work", f"lambda:?endpoint={stub.url}", **options)
    return handlers


def of_work(stub: StubLambda) -> int:
    """How often it was asked for the function that is held."""
    return sum("work" in asked.path for asked in stub.asked)


FIRST = task("first")
"""A Task that has AWS's configuration read, which takes longer than some of the time limits here."""


async def test_a_thousand_invocations_are_a_request_each_and_keep_nothing_else_waiting(store: MemoryStore):
    """With the concurrency that a worker has when none is given."""
    held = Lambda()
    async with stub_lambda(held) as stub, on(store, rules(stub)) as one:
        threads = threading.active_count()
        await one.deploy(machine(invoke(Catch=catch("B")), ECHO), "slow")
        await one.deploy(machine(task("quick")), "quick")
        slow = [await one.start_execution("slow", {"n": n}) for n in range(INVOCATIONS)]
        await until(lambda: stub.inside == INVOCATIONS)
        for n in range(20):
            assert await (await one.start_execution("quick", n)).result() == n
        assert threading.active_count() - threads < 10
        held.is_over.set()
        errors = [(await execution.result())["Error"] for execution in slow]
    assert errors == ["Sandbox.Timedout"] * INVOCATIONS
    assert sorted(json.loads(asked.body)["n"] for asked in stub.asked) == list(range(INVOCATIONS))


# ── through Retry and Catch ─────────────────────────────────────────────────────────────────────────────────────────


LAMBDA_ITSELF, THE_RULE, THE_STATE = "lambda", "rule", "state"


@pytest.mark.parametrize("whose", [LAMBDA_ITSELF, THE_RULE, THE_STATE])
async def test_the_cap_is_caught_by_its_name(whose):
    error = "States.Timeout" if whose == THE_STATE else "Sandbox.Timedout"
    other = "Sandbox.Timedout" if whose == THE_STATE else "States.Timeout"
    catchers = [{"ErrorEquals": [other], "Next": "Wrong"}, {"ErrorEquals": [error], "Next": "C"}]
    held = Lambda()
    if whose == LAMBDA_ITSELF:
        held.is_over.set()
    state = task(Catch=catchers) | ({"TimeoutSeconds": 1} if whose == THE_STATE else {})
    definition = machine(FIRST, state, ECHO)
    definition["States"]["Wrong"] = {"Type": "Fail", "Error": "Wrong"}
    async with stub_lambda(held) as stub:
        handlers = rules(stub, timeout_seconds=1) if whose == THE_RULE else rules(stub)
        assert (await engine.run(definition, {}, handlers=handlers))["Error"] == error
    assert of_work(stub) == 1


@pytest.mark.parametrize("whose", [LAMBDA_ITSELF, THE_RULE, THE_STATE])
async def test_each_attempt_of_a_retry_has_the_whole_cap_and_is_one_request(whose):
    held = Lambda(most=1)
    if whose == LAMBDA_ITSELF:
        held.is_over.set()
    error = "States.Timeout" if whose == THE_STATE else "Sandbox.Timedout"
    state = task(Retry=retry(2, ErrorEquals=[error], IntervalSeconds=1))
    state |= {"TimeoutSeconds": 2} if whose == THE_STATE else {}
    async with stub_lambda(held) as stub:
        handlers = rules(stub, timeout_seconds=2) if whose == THE_RULE else rules(stub)
        assert await engine.run(machine(FIRST, state), {}, handlers=handlers, clock="virtual") == "done"
    assert of_work(stub) == 2


async def test_a_retry_that_is_used_up_ends_the_execution_with_the_cap():
    held = Lambda()
    held.is_over.set()
    async with stub_lambda(held) as stub:
        with pytest.raises(engine.ExecutionFailed) as caught:
            await engine.run(machine(task(Retry=retry(1))), {}, handlers=rules(stub), clock="virtual")
    assert (caught.value.error, caught.value.cause, len(stub.asked)) == ("Sandbox.Timedout", TIMED_OUT, 2)


# ── through the loss of a worker ────────────────────────────────────────────────────────────────────────────────────


async def test_when_a_worker_is_lost_the_invocation_is_made_again_and_its_cap_is_caught(store: MemoryStore):
    held = Lambda()
    async with stub_lambda(held) as stub, on(store) as client:
        await client.deploy(machine(task(Catch=catch("B")), ECHO), "m")
        async with on(store, rules(stub)):
            execution = await client.start_execution("m")
            await until(lambda: stub.inside == 1)
        async with on(store, rules(stub)):
            await until(lambda: len(stub.asked) == 2)
            held.is_over.set()
            assert (await execution.result())["Error"] == "Sandbox.Timedout"
    assert len(stub.asked) == 2


async def test_what_is_made_again_has_what_is_left_of_the_states_time(store: MemoryStore, now: Now):
    async with stub_lambda(Lambda()) as stub, on(store) as client:
        await client.deploy(machine(task(TimeoutSeconds=800, Catch=catch("B")), ECHO), "m")
        async with on(store, rules(stub)):
            execution = await client.start_execution("m")
            await until(lambda: stub.inside == 1)
        now.skip(500)
        async with on(store, rules(stub)) as second:
            await until(lambda: len(stub.asked) == 2)
            [live] = fleet(second).worker.executions.live.values()
            [timer] = live.timers.values()
            left = (timer.due - now()) / 1_000
            assert 299 < left <= 300
            now.skip(301)
            assert (await execution.result())["Error"] == "States.Timeout"
    assert len(stub.asked) == 2


async def test_what_has_no_time_left_is_a_time_out(store: MemoryStore, now: Now):
    async with stub_lambda(Lambda()) as stub, on(store) as client:
        await client.deploy(machine(task(TimeoutSeconds=800, Catch=catch("B")), ECHO), "m")
        async with on(store, rules(stub)):
            execution = await client.start_execution("m")
            await until(lambda: stub.inside == 1)
        now.skip(801)
        async with on(store, rules(stub)):
            assert (await execution.result())["Error"] == "States.Timeout"


async def test_the_attempts_of_a_retry_are_kept_when_a_worker_is_lost(store: MemoryStore):
    """Lost in the second of two attempts: it is made again, and there is no third one."""
    held = Lambda()
    calls = 0

    async def answer(asked: Asked) -> Reply:
        nonlocal calls
        calls += 1
        return Reply.function_error(TIMED_OUT) if calls == 1 else await held(asked)

    async with stub_lambda(answer) as stub, on(store) as client:
        await client.deploy(machine(task(Retry=retry(1, IntervalSeconds=1))), "m")
        async with on(store, rules(stub)):
            execution = await client.start_execution("m")
            await until(lambda: len(stub.asked) == 2)
        async with on(store, rules(stub)):
            await until(lambda: len(stub.asked) == 3)
            held.is_over.set()
            with pytest.raises(engine.ExecutionFailed, match=r"Sandbox\.Timedout"):
                await execution.result()
    assert len(stub.asked) == 3


async def test_an_invocation_that_must_not_be_made_again_fails_when_its_worker_is_lost(store: MemoryStore):
    async with stub_lambda(Lambda()) as stub, on(store) as client:
        await client.deploy(machine(task(Catch=catch("B")), ECHO), "m")
        careful = rules(stub, on_worker_loss="fail")
        async with on(store, careful):
            execution = await client.start_execution("m")
            await until(lambda: stub.inside == 1)
        async with on(store, careful):
            assert (await execution.result())["Error"] == "Engine.WorkerLost"
    assert len(stub.asked) == 1
