"""Python callables as handlers: what they get, what becomes of what they return and raise, and their time limits."""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import threading
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import anyio
import pytest

import engine
from engine.integrations.python_ import PythonCallable
from tests.definitions import FUNCTION, catch, invoke, machine, parallel, retry, task
from tests.integrations import handler_functions
from tests.waiting import DEADLINE_SECONDS

pytestmark = pytest.mark.anyio

ECHO = {"Type": "Pass"}


async def error_of(handler: Any, definition: dict[str, Any] | None = None, **options: Any) -> engine.ExecutionFailed:
    handlers = handler if isinstance(handler, engine.Handlers) else {"work": handler}
    with pytest.raises(engine.ExecutionFailed) as caught:
        await engine.run(definition or machine(task()), handlers=handlers, **options)
    return caught.value


def in_process(function: Any, **options: Any) -> engine.Handlers:
    handlers = engine.Handlers()
    handlers.add("work", function, process=True, **options)
    return handlers


class Callable:
    async def __call__(self, event: Any, context: Any) -> Any:
        return [event, context.state]


async def two_arguments(event: Any, context: Any) -> Any:
    return [event, context.state]


# ── what runs ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "handler",
    [
        two_arguments,
        lambda event, context: [event, context.state],
        lambda event: [event, "A"],
        lambda event, context=None: [event, context.state],
        lambda *args: [args[0], args[1].state],
        functools.partial(lambda extra, event, context: [event, context.state], "extra"),
        Callable(),
        lambda event, context: two_arguments(event, context),
        "tests.integrations.test_python_:two_arguments",
    ],
    ids=["async", "sync", "one argument", "default", "any", "partial", "object", "gives a coroutine", "by name"],
)
async def test_every_kind_of_callable_is_called_with_event_and_context(handler):
    assert await engine.run(machine(task()), {"n": 1}, handlers={"work": handler}) == [{"n": 1}, "A"]


@pytest.mark.parametrize("handler", [lambda: 1, lambda a, b, c: 1])
async def test_a_callable_with_other_parameters_is_refused(handler):
    with pytest.raises(engine.InvalidHandler, match=r"expected a callable of \(event, context\) or \(event\)"):
        engine.Handlers({"work": handler})


async def test_functions_run_in_threads_and_coroutines_in_the_loop():
    where: dict[str, str] = {}

    def sync(event):
        where["sync"] = threading.current_thread().name

    async def asynchronous(event):
        where["async"] = threading.current_thread().name

    await engine.run(machine(task("sync"), task("async")), handlers={"sync": sync, "async": asynchronous})
    assert where == {"sync": "asl handler", "async": "MainThread"}


async def test_the_context_knows_the_task():
    seen: dict[str, Any] = {}

    async def work(event, context):
        seen.update(
            arn=context.execution_arn,
            name=context.execution_name,
            state=context.state,
            resource=context.resource,
            attempt=context.attempt,
            key=context.idempotency_key,
            token=context.task_token,
            function=context.invoked_function_arn,
            lambda_=[context.function_name, context.function_version, context.memory_limit_in_mb],
            log=[context.log_group_name, context.log_stream_name],
            left=context.get_remaining_time_in_millis(),
            request_id=[context.aws_request_id, context.aws_request_id],
        )

    definition = machine(task("f:live", TimeoutSeconds=100, Name="Pay"))
    async with engine.Engine.in_memory({"f": work}, account_id="123456789012") as one:
        execution = await one.start_execution(definition, name="e")
        await execution.result()
    assert seen["arn"] == execution.arn
    assert (seen["name"], seen["state"], seen["attempt"], seen["token"]) == ("e", "Pay", 0, None)
    assert seen["resource"] == seen["function"] == FUNCTION + "f:live"
    assert seen["lambda_"] == ["f", "live", "128"]
    assert seen["log"] == ["/aws/lambda/f", "e"]
    assert 90_000 < seen["left"] <= 100_000
    assert len(set(seen["request_id"])) == 1


async def test_the_logger_knows_execution_state_and_attempt():
    import structlog

    def work(event, context):
        context.logger.info("at work")

    with structlog.testing.capture_logs() as logs:
        await engine.run(machine(task(Name="Pay")), handlers={"work": work})
    assert [(entry["event"], entry["state"], entry["attempt"]) for entry in logs] == [("at work", "Pay", 0)]


async def test_idempotency_keys_differ_by_attempt_and_by_execution():
    keys: list[str] = []

    async def work(event, context):
        keys.append(context.idempotency_key)
        if context.attempt == 0:
            raise ValueError

    definition = machine(task(Retry=retry()))
    async with engine.Engine.in_memory({"work": work}, clock="virtual") as one:
        await one.run(definition)
        await one.run(definition)
    assert len(set(keys)) == len(keys) == 4


async def test_the_context_has_all_that_lambdas_has(capsys):
    def work(event, context):
        context.log("said\n")
        given = context.client_context
        return [given and given.custom, context.identity.cognito_identity_id, context.tenant_id]

    asking = invoke(OutputPath="$.Payload")
    assert await engine.run(machine(asking), handlers={"work": work}) == [None, None, None]
    asking["Parameters"]["ClientContext"] = base64.b64encode(b'{"custom": {"a": 1}}').decode()
    assert await engine.run(machine(asking), handlers={"work": work}) == [{"a": 1}, None, None]
    assert capsys.readouterr().out == "said\n" * 2


@pytest.mark.parametrize("given", ["%", "e30", 5, base64.b64encode(b"[]").decode()])
async def test_a_client_context_that_is_none_fails_who_reads_it(given):
    asking = invoke()
    asking["Parameters"]["ClientContext"] = given
    failed = await error_of(lambda event, context: context.client_context, machine(asking))
    assert failed.error == "ValueError"
    assert "ClientContext: expected the JSON text of an object, in base64" in (failed.cause or "")


# ── results ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_result_is_taken_as_json():
    result = {"tuple": (1, 2), "decimal": Decimal("1.50"), "whole": Decimal(3), 1: True, "nested": [{"none": None}]}
    expected = {"tuple": [1, 2], "decimal": 1.5, "whole": 3, "1": True, "nested": [{"none": None}]}
    assert await engine.run(machine(task()), handlers={"work": lambda event: result}) == expected


async def test_a_result_may_be_changed_by_its_handler_afterwards():
    kept: list[int] = [1]

    async def work(event):
        return kept

    async with engine.Engine.in_memory({"work": work}) as one:
        execution = await one.start_execution(machine(task()))
        output = await execution.result()
        kept.append(2)
        assert output == await execution.result() == [1]


class Unruly(dict[str, int]):
    def items(self) -> Any:
        raise KeyError("unruly")


def change(event):
    event["seen"].append(event.pop("id"))
    raise ValueError


async def change_async(event):
    change(event)


@pytest.mark.parametrize("handler", [change, change_async])
async def test_an_event_may_be_changed_by_its_handler(handler):
    """Retries, other states and the history see it as it was."""
    given = {"id": 1, "seen": []}
    seen: list[Any] = []
    caught = [{**catch("B")[0], "ResultPath": None}]
    definition = machine(task(Retry=retry(1), Catch=caught), task("after"))
    async with engine.Engine.in_memory({"work": handler, "after": seen.append}, clock="virtual") as one:
        execution = await one.start_execution(definition, given)
        await execution.result()
        history = await execution.history()
    assert seen == [given]
    scheduled = [event for event in history if event["type"] == "LambdaFunctionScheduled"]
    inputs = [event["lambdaFunctionScheduledEventDetails"]["input"] for event in scheduled]
    inputs.append(history[0]["executionStartedEventDetails"]["input"])
    assert [json.loads(text) for text in inputs] == [given] * 4


circular: list[Any] = []
circular.append(circular)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (datetime(2026, 1, 1, tzinfo=UTC), "Object of type datetime is not JSON serializable"),
        ({"a": {1}}, "Object of type set is not JSON serializable"),
        (b"bytes", "Object of type bytes is not JSON serializable"),
        (float("nan"), "Out of range float values are not JSON compliant"),
        (circular, "Circular reference detected"),
        ("\ud800", "surrogates not allowed"),
        ({(1, 2): 3}, "keys must be str, int, float, bool or None"),
        (Decimal("sNaN"), "InvalidOperation"),
        (Unruly(a=1), "unruly"),
    ],
)
async def test_a_result_that_is_not_json_fails_as_in_lambda(result, message):
    failed = await error_of(lambda event: result)
    assert failed.error == "Runtime.MarshalError"
    cause = json.loads(failed.cause or "")
    assert cause["errorMessage"].startswith("Unable to marshal response: ")
    assert message in cause["errorMessage"]
    assert (cause["errorType"], cause["stackTrace"]) == ("Runtime.MarshalError", [])


async def test_lambda_invoke_takes_the_payload_and_gives_the_envelope():
    output = await engine.run(machine(invoke()), {"n": 1}, handlers={"work": lambda event: [event]})
    assert isinstance(output, dict)
    assert list(output) == ["ExecutedVersion", "Payload", "SdkHttpMetadata", "SdkResponseMetadata", "StatusCode"]
    assert (output["ExecutedVersion"], output["Payload"], output["StatusCode"]) == ("$LATEST", [{"n": 1}], 200)
    metadata: Any = output["SdkHttpMetadata"]
    assert set(metadata) == {"AllHttpHeaders", "HttpHeaders", "HttpStatusCode"}
    assert metadata["HttpHeaders"]["Content-Length"] == str(len('[{"n":1}]'))
    assert metadata["AllHttpHeaders"]["X-Amz-Executed-Version"] == ["$LATEST"]


@pytest.mark.parametrize("parameters", [{}, {"Payload": None}])
async def test_lambda_invoke_without_a_payload_gives_an_empty_object(parameters):
    definition = machine(invoke(ResultSelector={"got.$": "$.Payload"}))
    definition["States"]["A"]["Parameters"] = {"FunctionName": "work", **parameters}
    assert await engine.run(definition, handlers={"work": lambda event: event}) == {"got": {}}


@pytest.mark.parametrize(("payload", "event"), [("0", 0), ('"text"', "text"), ('{"a": []}', {"a": []})])
async def test_a_payload_that_is_text_is_the_json_that_the_function_gets(payload, event):
    definition = machine(invoke(ResultSelector={"got.$": "$.Payload"}))
    definition["States"]["A"]["Parameters"] = {"FunctionName": "work", "Payload": payload}
    assert await engine.run(definition, handlers={"work": lambda event: event}) == {"got": event}


async def test_a_payload_that_is_text_but_not_json_is_refused_as_lambda_refuses_it():
    asking = invoke(Catch=[{"ErrorEquals": ["Lambda.InvalidRequestContentException"], "Next": "B"}])
    asking["Parameters"] = {"FunctionName": "work", "Payload": "not JSON"}
    output: Any = await engine.run(machine(asking, ECHO), handlers={"work": lambda event: event})
    assert output["Error"] == "Lambda.InvalidRequestContentException"


@pytest.mark.parametrize(("asked", "is_told"), [("Tail", True), ("None", False), (None, False)])
async def test_lambda_invoke_gives_the_log_that_it_is_asked_for(asked, is_told):
    asking = invoke()
    asking["Parameters"]["LogType"] = asked
    output: Any = await engine.run(machine(asking), handlers={"work": lambda event: 1})
    assert ("LogResult" in output) is is_told
    assert ("X-Amz-Log-Result" in output["SdkHttpMetadata"]["HttpHeaders"]) is is_told
    assert not is_told or base64.b64decode(output["LogResult"]).startswith(b"START RequestId: ")


@pytest.mark.parametrize(("member", "value"), [("LogType", "Full"), ("LogType", 5), ("InvocationType", "Event")])
async def test_what_no_handler_can_play_is_refused_by_name(member, value):
    asking = invoke(Catch=catch("B"))
    asking["Parameters"][member] = value
    with pytest.raises(engine.UnsupportedTask, match=f"state 'A': {member} .* is not supported by a local handler"):
        await engine.run(machine(asking, ECHO), handlers={"work": lambda event: event})


async def test_another_service_gets_its_parameters_and_gives_its_result():
    parameters = {"QueueUrl": "q", "MessageBody.$": "$"}
    send = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Parameters": parameters}
    output = await engine.run(machine(send), "hi", handlers={send["Resource"]: lambda event: {"MessageId": event}})
    assert output == {"MessageId": {"QueueUrl": "q", "MessageBody": "hi"}}


async def test_a_job_is_submitted_before_it_is_done():
    parameters = {"JobName": "j", "JobQueue": "q", "JobDefinition": "d"}
    job = {"Type": "Task", "Resource": "arn:aws:states:::batch:submitJob.sync", "Parameters": parameters}
    async with engine.Engine.in_memory({"*": lambda event: "done"}) as one:
        execution = await one.start_execution(machine(job))
        assert await execution.result() == "done"
        types = [event["type"] for event in await execution.history()]
    assert types[2:6] == ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"]


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class OutOfStock(Exception):
    pass


def raise_out_of_stock(event):
    raise OutOfStock("none left")


async def raise_out_of_stock_async(event):
    raise OutOfStock("none left")


@pytest.mark.parametrize("handler", [raise_out_of_stock, raise_out_of_stock_async])
async def test_an_exception_becomes_its_class_name_and_lambdas_payload(handler):
    failed = await error_of(handler)
    assert failed.error == "OutOfStock"
    assert (failed.cause or "").startswith('{"errorMessage":"none left","errorType":"OutOfStock","requestId":"')
    stack = json.loads(failed.cause or "")["stackTrace"]
    assert len(stack) == 1
    assert stack[0].startswith(f'  File "{__file__}", line ')
    assert stack[0].endswith('    raise OutOfStock("none left")\n')


async def test_an_exception_that_names_its_error_is_taken_at_its_word():
    def work(event):
        raise engine.TaskFailed("Out.Of.Stock", "none left")

    failed = await error_of(work)
    assert (failed.error, failed.cause) == ("Out.Of.Stock", "none left")


async def test_an_error_and_a_cause_that_are_no_text_are_made_text():
    def work(event):
        raise engine.TaskFailed(404, "\ud800")  # type: ignore[arg-type]

    failed = await error_of(work)
    assert (failed.error, failed.cause) == ("404", "?")


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class Outcome(BaseException):
    """As pytest's own."""


@pytest.mark.parametrize("kind", [Speechless, Outcome, asyncio.CancelledError])
@pytest.mark.parametrize("way", ["async", "thread", "coroutine"])
async def test_whatever_a_handler_raises_fails_its_task_alone(kind, way):
    async def asynchronous(event):
        raise kind

    def synchronous(event):
        raise kind

    handlers = {"async": asynchronous, "thread": synchronous, "coroutine": lambda event: asynchronous(event)}
    with anyio.fail_after(DEADLINE_SECONDS):
        failed = await error_of(handlers[way])
    assert failed.error == kind.__name__
    assert json.loads(failed.cause or "")["errorType"] == kind.__name__


async def test_an_exception_is_caught_by_its_class_name():
    definition = machine(
        task(Catch=[{"ErrorEquals": ["OutOfStock"], "Next": "B"}]), {"Type": "Pass", "Result": "caught"}
    )
    assert await engine.run(definition, handlers={"work": raise_out_of_stock}) == "caught"


@pytest.mark.parametrize("handler", [handler_functions.exit_politely, in_process(handler_functions.exit_politely)])
async def test_a_handler_that_exits_is_a_runtime_that_exited(handler):
    failed = await error_of(handler)
    assert failed.error == "Runtime.ExitError"
    assert json.loads(failed.cause or "")["errorMessage"].endswith("Runtime exited without providing a reason")


@pytest.mark.parametrize(
    ("input", "reason"),
    [
        ({"signal": 9}, "Runtime exited with error: signal: killed"),
        ({"signal": 11}, "Runtime exited with error: signal: segmentation fault"),
        ({"status": 3}, "Runtime exited with error: exit status 3"),
        ({"status": 0}, "Runtime exited without providing a reason"),
    ],
)
async def test_a_process_that_ends_is_told_with_its_reason(input, reason):
    async with engine.Engine.in_memory(in_process(handler_functions.end)) as one:
        with pytest.raises(engine.ExecutionFailed) as caught:
            await one.run(machine(task()), input)
    assert caught.value.error == "Runtime.ExitError"
    assert json.loads(caught.value.cause or "")["errorMessage"].endswith(reason)


# ── time limits ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seconds", [0, -1, 901])
async def test_lambdas_longest_time_limit_is_the_longest(seconds):
    with pytest.raises(engine.InvalidHandler, match="at most 900"):
        engine.Handlers().add("work", two_arguments, timeout_seconds=seconds)
    assert PythonCallable(two_arguments).seconds == 900


class Hanging:
    """One hanging handler of each kind; the threads are let go in the end."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.cancelled: list[str] = []

    async def in_loop(self, event: Any) -> None:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            self.cancelled.append("async")
            raise

    def in_thread(self, event: Any) -> None:
        self.release.wait()

    def handlers(self, **options: Any) -> engine.Handlers:
        handlers = engine.Handlers()
        handlers.add("async", self.in_loop, **options)
        handlers.add("thread", self.in_thread, **options)
        handlers.add("process", handler_functions.hang, process=True, **options)
        handlers.add("command", "cmd:sh -c 'sleep 1000 & wait'", **options)
        return handlers


KINDS = ["async", "thread", "process", "command"]


def all_kinds(**fields: Any) -> dict[str, Any]:
    branches = []
    for kind in KINDS:
        caught = {"Type": "Pass", "Name": f"caught {kind}", "Parameters": {"error.$": "$.Error", "cause.$": "$.Cause"}}
        branches.append(machine(task(kind, Name=kind, Catch=catch(f"caught {kind}"), **fields), caught))
    return machine(parallel(*branches))


async def test_a_hanging_handler_meets_its_own_time_limit_as_in_lambda():
    hanging = Hanging()
    try:
        async with engine.Engine.in_memory(hanging.handlers(timeout_seconds=0.05)) as one:
            outputs: Any = await one.run(all_kinds())
            assert one.abandoned == 1
    finally:
        hanging.release.set()
    assert [output["error"] for output in outputs] == ["Sandbox.Timedout"] * 4
    for output in outputs:
        cause = json.loads(output["cause"])
        assert list(cause) == ["errorType", "errorMessage"]
        assert cause["errorMessage"].endswith(" Error: Task timed out after 0.05 seconds")
    assert hanging.cancelled == ["async"]


@pytest.mark.parametrize("ending", [None, ValueError])
async def test_a_handler_that_ignores_its_cancellation_was_too_late_all_the_same(ending):
    async def work(event):
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            if ending is not None:
                raise ending from None
        return "late"

    handlers = engine.Handlers()
    handlers.add("work", work, timeout_seconds=0.01)
    assert (await error_of(handlers)).error == "Sandbox.Timedout"


async def test_waiting_for_a_thread_is_no_part_of_an_invocation():
    def work(event, context):
        left.append(context.get_remaining_time_in_millis())
        release.wait(0.3)

    left: list[int] = []
    release = threading.Event()
    handlers = engine.Handlers()
    handlers.add("work", work, timeout_seconds=0.5)
    async with engine.Engine.in_memory(handlers, threads_max=1) as one:
        executions = [await one.start_execution(machine(task())) for _ in range(3)]
        for execution in executions:
            await execution.result()
        assert one.abandoned == 0
    assert min(left) > 300


async def test_a_hanging_handler_meets_the_states_time_limit_even_on_the_virtual_clock():
    hanging = Hanging()
    try:
        async with engine.Engine.in_memory(hanging.handlers(), clock="virtual") as one:
            outputs: Any = await one.run(all_kinds(TimeoutSeconds=1))
            assert one.abandoned == 1
    finally:
        hanging.release.set()
    assert outputs == [{"error": "States.Timeout", "cause": ""}] * 4
    assert hanging.cancelled == ["async"]


async def test_the_two_time_limits_are_told_apart_by_retry_and_catch():
    hanging = Hanging()
    caught = [{"ErrorEquals": ["States.Timeout"], "Next": "B"}, {"ErrorEquals": ["Sandbox.Timedout"], "Next": "C"}]
    states = [task("async", Catch=caught), *({"Type": "Pass", "Result": name} for name in ("state", "function"))]
    both = machine(*states)
    both["States"]["B"] = {"Type": "Pass", "Result": "state", "End": True}
    assert await engine.run(both, handlers=hanging.handlers(timeout_seconds=0.01)) == "function"


async def test_an_abandoned_thread_gives_its_slot_back_and_learns_that_it_is_abandoned():
    begun, release, learnt = threading.Event(), threading.Event(), threading.Event()

    def work(event, context):
        if event == "second":
            return "ran"
        begun.set()
        release.wait()
        try:
            context.heartbeat()
        except engine.TaskTimedOut:
            learnt.set()

    async with engine.Engine.in_memory({"work": work}, threads_max=1) as one:
        first = await one.start_execution(machine(task()), "first")
        await anyio.to_thread.run_sync(begun.wait)
        await first.stop()
        assert await one.run(machine(task()), "second") == "ran"
        assert one.abandoned == 1
        release.set()
        await anyio.to_thread.run_sync(learnt.wait)


async def test_heartbeats_from_a_handler_keep_its_task_alive():
    time = [0]
    clock = engine.VirtualClock(start=0, real=lambda: time[0])

    async def work(event, context):
        for _ in range(3):
            time[0] += 900
            context.heartbeat()
            await anyio.lowlevel.checkpoint()
        return "alive"

    assert await engine.run(machine(task(HeartbeatSeconds=1)), handlers={"work": work}, clock=clock) == "alive"


@pytest.mark.parametrize("process", [False, True], ids=["thread", "process"])
async def test_heartbeats_reach_the_engine_from_threads_and_processes(process):
    handlers = engine.Handlers()
    handlers.add("work", handler_functions.beat_until_told, process=process)
    definition = machine(task(HeartbeatSeconds=1, TimeoutSeconds=2))
    async with engine.Engine.in_memory(handlers) as one:
        execution = await one.start_execution(definition)
        with pytest.raises(engine.ExecutionFailed, match=r"States\.Timeout"):
            await execution.result()
        described = await execution.describe()
    assert described.stop_date is not None
    assert (described.stop_date - described.start_date).total_seconds() >= 2


# ── processes ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_process_is_reused_until_it_is_killed():
    handlers = in_process(handler_functions.pid)
    handlers.add("leave", handler_functions.leave, process=True)
    async with engine.Engine.in_memory(handlers, processes_max=1) as one:
        first = await one.run(machine(task()))
        assert await one.run(machine(task())) == first
        with pytest.raises(engine.ExecutionFailed, match=r"Runtime\.ExitError"):
            await one.run(machine(task("leave")))
        assert await one.run(machine(task())) != first


async def test_a_process_that_hung_is_replaced():
    handlers = in_process(handler_functions.hang, timeout_seconds=0.05)
    handlers.add("pid", handler_functions.pid, process=True)
    async with engine.Engine.in_memory(handlers, processes_max=1) as one:
        with pytest.raises(engine.ExecutionFailed, match=r"Sandbox\.Timedout"):
            await one.run(machine(task()))
        assert await one.run(machine(task("pid")))


@pytest.mark.parametrize("function", [handler_functions.echo, handler_functions.echo_async])
async def test_a_function_in_a_process_takes_and_gives_json_and_may_print(function, capfd):
    event = {"text": "ä\n", "big": 2**70, "list": [None, 1.5]}
    assert await engine.run(machine(task()), event, handlers=in_process(function)) == event


async def test_a_function_in_a_process_gets_the_context():
    output: Any = await engine.run(machine(task(Name="Pay")), handlers=in_process(handler_functions.facts))
    assert (output[0], output[1], output[3]) == ("Pay", 0, True)


async def test_errors_of_a_function_in_a_process_are_as_elsewhere():
    failed = await error_of(in_process(handler_functions.fail))
    assert failed.error == "ValueError"
    assert json.loads(failed.cause or "")["stackTrace"][0].startswith(f'  File "{handler_functions.__file__}"')
    exact = await error_of(in_process(handler_functions.fail_exactly))
    assert (exact.error, exact.cause) == ("Out.Of.Stock", "none left")


async def test_a_function_in_a_process_is_told_the_request_id_of_its_error():
    failed = await error_of(in_process(handler_functions.fail_with_request_id))
    cause = json.loads(failed.cause or "")
    assert cause["errorMessage"] == cause["requestId"]


async def test_a_token_takes_the_same_outputs_from_a_process_as_from_a_thread():
    definition = machine(invoke(suffix=".waitForTaskToken"))
    output = await engine.run(definition, handlers=in_process(handler_functions.finish_with_what_is_not_json))
    assert output == ["Invalid Output: 'Object of type set is not JSON serializable'", 1.5]


async def test_a_function_in_a_process_may_end_its_task_token():
    definition = machine(invoke(suffix=".waitForTaskToken"))
    output = await engine.run(definition, handlers=in_process(handler_functions.finish_own_token))
    assert output == "Invalid Token: 'Invalid token'"


@pytest.mark.parametrize("function", [lambda event: 1, Callable(), functools.partial(handler_functions.echo)])
async def test_what_no_other_process_can_import_is_refused(function):
    with pytest.raises(engine.InvalidHandler, match="process=True expected a function at the top of a module"):
        in_process(function)


async def test_the_decorator_takes_a_function_for_a_process():
    handlers = engine.Handlers()
    assert handlers.task("work", process=True)(handler_functions.echo) is handler_functions.echo
    assert await engine.run(machine(task()), 5, handlers=handlers) == 5
