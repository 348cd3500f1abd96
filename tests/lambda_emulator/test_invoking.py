"""boto3 invokes: what goes in, what comes out, what is refused."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import anyio
import pytest
from botocore.exceptions import ClientError

from engine.lambda_emulator.errors import SnapStartNotReadyException
from engine.lambda_emulator.invocation import Outcome
from engine.lambda_emulator.limits import Limits
from tests.lambda_emulator.control_plane import ROLE, arn, new_emulator
from tests.lambda_emulator.doubles import PlayedRunner, WoundClock, failure
from tests.lambda_emulator.packages import zipped
from tests.lambda_emulator.serving import Server, serving
from tests.waiting import DEADLINE_SECONDS, until

MB = 1_048_576


class World:
    def __init__(self, server: Server, runner: PlayedRunner, clock: WoundClock) -> None:
        self.server, self.runner, self.clock = server, runner, clock
        self.client = server.client()

    def create(self, name: str = "f", **given: Any) -> None:
        self.client.create_function(
            FunctionName=name,
            Role=ROLE,
            Runtime="python3.12",
            Handler="app.handler",
            Code={"ZipFile": zipped()},
            **given,
        )

    def invoke(self, name: str = "f", payload: Any = None, **given: Any) -> tuple[Any, Any]:
        text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        answer = self.client.invoke(FunctionName=name, Payload=text, **given)
        return answer, answer["Payload"].read()

    def refused(self, name: str = "f", payload: bytes = b"{}", **given: Any) -> tuple[int, str, str]:
        with pytest.raises(ClientError) as caught:
            self.client.invoke(FunctionName=name, Payload=payload, **given)
        response = caught.value.response
        self.last = response
        return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"], response["Error"]["Message"]


@pytest.fixture
def world(tmp_path):
    runner, clocks = PlayedRunner(), []

    def make(url: str) -> Any:
        clocks.append(WoundClock())
        return new_emulator(tmp_path, url=url, environments=runner, clock=clocks[0], limits=Limits(unreserved_min=1))

    with serving(make) as server:
        found = World(server, runner, clocks[0])
        found.create()
        yield found


def test_a_result_comes_back_with_lambdas_headers(world):
    answer, payload = world.invoke(payload={"a": 1})
    assert (answer["StatusCode"], answer["ExecutedVersion"], json.loads(payload)) == (200, "$LATEST", {"a": 1})
    assert "FunctionError" not in answer
    assert "LogResult" not in answer
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-type"] == "application/json"
    assert headers["x-amzn-remapped-content-length"] == "0"
    assert headers["x-amzn-trace-id"].startswith("Root=1-")
    [(version, event)] = world.runner.asked
    assert (version.name, event.invoked_arn, event.trace_id) == ("f", arn(), headers["x-amzn-trace-id"])
    assert event.request_id == headers["x-amzn-requestid"] == answer["ResponseMetadata"]["RequestId"]


def test_a_failure_of_the_function_is_an_answer(world):
    world.runner.play = lambda *_: failure()
    answer, payload = world.invoke()
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert json.loads(payload)["errorType"] == "ValueError"


def test_the_log_comes_along_when_it_is_asked_for(world):
    answer, _ = world.invoke(LogType="Tail")
    assert b64decode(answer["LogResult"]) == b"START RequestId\nEND\n"


def test_a_client_context_reaches_the_function_decoded(world):
    world.invoke(ClientContext=b64encode(b'{"custom": {"a": "b"}}').decode())
    assert world.runner.asked[0][1].client_context == '{"custom": {"a": "b"}}'


def test_no_payload_is_an_empty_object(world):
    answer = world.client.invoke(FunctionName="f")
    assert answer["Payload"].read() == b"{}"


def test_a_dry_run_runs_nothing(world):
    answer, payload = world.invoke(InvocationType="DryRun")
    assert (answer["StatusCode"], payload, world.runner.asked) == (204, b"", [])
    assert "ExecutedVersion" not in answer
    assert world.refused("g", InvocationType="DryRun")[:2] == (404, "ResourceNotFoundException")


def test_versions_and_aliases_are_told_as_lambda_does(world):
    world.client.publish_version(FunctionName="f")
    world.client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    for given, executed, invoked in (
        ({"Qualifier": "1"}, "1", arn(qualifier="1")),
        ({"Qualifier": "live"}, "1", arn(qualifier="live")),
        ({"Qualifier": "$LATEST"}, "$LATEST", arn(qualifier="$LATEST")),
        ({"name": "f:live"}, "1", arn(qualifier="live")),
        ({"name": arn(qualifier="1")}, "1", arn(qualifier="1")),
        ({"name": arn()}, "$LATEST", arn()),
    ):
        answer, _ = world.invoke(**given)
        assert answer["ExecutedVersion"] == executed
        version, event = world.runner.asked[-1]
        assert (version.version, event.invoked_arn) == (executed, invoked)


def test_an_alias_with_weights_goes_to_both_its_versions(world):
    world.client.publish_version(FunctionName="f")
    world.client.update_function_configuration(FunctionName="f", Timeout=9)
    world.clock.wind(10)
    world.client.publish_version(FunctionName="f")
    routing = {"AdditionalVersionWeights": {"2": 0.25}}
    world.client.create_alias(FunctionName="f", Name="live", FunctionVersion="1", RoutingConfig=routing)
    for drawn, executed in ((0.2, "2"), (0.3, "1")):
        world.server.emulator.draw = lambda drawn=drawn: drawn
        assert world.invoke(Qualifier="live")[0]["ExecutedVersion"] == executed


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"name": "g"}, (404, "ResourceNotFoundException", f"Function not found: {arn('g')}:$LATEST")),
        ({"Qualifier": "7"}, (404, "ResourceNotFoundException", f"Function not found: {arn()}:7")),
        ({"Qualifier": "nope"}, (404, "ResourceNotFoundException", f"Function not found: {arn()}:nope")),
        ({"name": "arn:aws:lambda:ap-southeast-1:000000000000:function:f"},
         (404, "ResourceNotFoundException",
          "Functions from 'ap-southeast-1' are not reachable in this region ('eu-central-1')")),
        ({"name": arn(qualifier="1"), "Qualifier": "2"},
         (400, "InvalidParameterValueException",
          "The derived qualifier from the function name does not match the specified qualifier.")),
    ],
)  # fmt: skip
def test_what_is_not_there_is_told_in_lambdas_words(world, given, told):
    assert world.refused(**given) == told


def test_another_accounts_function_is_denied(world):
    assert world.refused("arn:aws:lambda:eu-central-1:111111111111:function:f")[:2] == (403, "AccessDeniedException")


def test_six_megabytes_go_in_and_one_byte_more_does_not(world):
    fits = b'"' + b"x" * (6 * MB - 2) + b'"'
    assert world.invoke(payload=fits)[1] == fits
    assert world.refused(payload=fits + b" ") == (
        413, "RequestEntityTooLargeException",
        "6291457 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)",
    )  # fmt: skip
    assert "Type" not in world.last


def test_a_payload_that_is_no_json_is_refused(world):
    status, code, message = world.refused(payload=b"xyz")
    assert (status, code, world.last["Type"]) == (400, "InvalidRequestContentException", "User")
    assert message.startswith("Could not parse request body into json: Could not parse payload into json: Unrecognized")
    assert world.runner.asked == []


def test_a_payload_of_another_content_type_is_refused(world):
    url = f"{world.server.url}/2015-03-31/functions/f/invocations"
    with pytest.raises(HTTPError) as caught:
        urlopen(Request(url, data=b"<a/>", headers={"Content-Type": "text/xml"}), timeout=DEADLINE_SECONDS)
    with caught.value as answer:
        assert (answer.code, answer.headers["x-amzn-ErrorType"]) == (415, "UnsupportedMediaTypeException")


def test_a_function_that_is_not_ready_is_a_conflict(world):
    world.create("slow")
    record_state = world.client.get_function_configuration(FunctionName="slow")["State"]
    if record_state == "Pending":
        assert world.refused("slow")[:2] == (409, "ResourceConflictException")

    def play(*_: Any) -> Any:
        raise SnapStartNotReadyException("Lambda is initializing your function.")

    world.runner.play = play
    assert world.refused()[:2] == (409, "SnapStartNotReadyException")


def test_a_fault_of_the_environments_is_a_service_exception(world):
    def play(*_: Any) -> Any:
        raise KeyError("secret")

    world.runner.play = play
    status, code, message = world.refused()
    assert (status, code, "secret" in message) == (500, "ServiceException", False)
    assert world.last["Type"] == "Service"
    world.runner.play = lambda *_: 1
    assert world.invoke()[1] == b"1"


def test_durable_functions_are_refused_by_name(world):
    assert world.refused(DurableExecutionName="x")[:2] == (501, "NotImplementedException")


# ── concurrency ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_reservation_of_none_throttles_everything(world):
    world.client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    assert world.refused() == (429, "TooManyRequestsException", "Rate Exceeded.")
    assert world.last["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert world.last["retryAfterSeconds"] == "1"
    assert world.last["Type"] == "User"


def test_what_runs_counts_until_it_ends(world):
    world.client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=1)
    world.create("g")

    async def gate() -> anyio.Event:
        world.runner.gates["f"] = anyio.Event()
        return world.runner.gates["f"]

    opened = world.server.portal.call(gate)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(world.invoke)
        world.server.portal.call(until, lambda: world.runner.asked)
        assert world.refused()[1] == "TooManyRequestsException"
        assert world.last["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
        world.invoke("g")
        world.server.portal.call(opened.set)
        running.result(DEADLINE_SECONDS)
    world.clock.wind(1)
    world.invoke()


def test_more_than_ten_times_the_concurrency_in_a_second_is_throttled(world):
    world.client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=1)
    for _ in range(10):
        world.invoke()
    assert world.refused()[1] == "TooManyRequestsException"
    assert world.last["Reason"] == "ReservedFunctionInvocationRateLimitExceeded"
    world.clock.wind(1)
    world.invoke()


# ── streams ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def streamed(world: World, **given: Any) -> list[Any]:
    answer = world.client.invoke_with_response_stream(FunctionName="f", Payload=b"{}", **given)
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    return list(answer["EventStream"])


def test_a_response_comes_in_parts(world):
    world.runner.play = lambda *_: [b"one", b"two"]
    assert streamed(world, LogType="Tail") == [
        {"PayloadChunk": {"Payload": b"one"}}, {"PayloadChunk": {"Payload": b"two"}},
        {"InvokeComplete": {"LogResult": b64encode(b"tail").decode()}},
    ]  # fmt: skip


def test_a_function_that_does_not_stream_answers_in_one_part(world):
    world.runner.play = lambda *_: {"a": 1}
    assert streamed(world) == [{"PayloadChunk": {"Payload": b'{"a": 1}'}}, {"InvokeComplete": {}}]


def test_a_failure_is_told_at_the_end_of_a_stream(world):
    world.runner.play = lambda *_: failure()
    [last] = streamed(world)
    assert last["InvokeComplete"]["ErrorCode"] == "Unhandled"
    assert json.loads(last["InvokeComplete"]["ErrorDetails"])["errorType"] == "ValueError"


def test_a_stream_that_may_not_begin_is_an_error_of_http(world):
    world.client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError) as caught:
        world.client.invoke_with_response_stream(FunctionName="f", Payload=b"{}")
    assert caught.value.response["Error"]["Code"] == "TooManyRequestsException"


def test_a_stream_that_a_fault_keeps_from_beginning_is_an_error_of_http(world):
    def play(*_: Any) -> Any:
        raise KeyError

    world.runner.play = play
    with pytest.raises(ClientError) as caught:
        world.client.invoke_with_response_stream(FunctionName="f", Payload=b"{}")
    assert caught.value.response["Error"]["Code"] == "ServiceException"


def test_an_event_is_acknowledged_and_run(world):
    world.runner.play = lambda *_: Outcome(payload=b"1")
    answer, payload = world.invoke(payload=[1], InvocationType="Event")
    assert (answer["StatusCode"], payload) == (202, b"")
    assert "ExecutedVersion" not in answer
    assert world.client.invoke_async(FunctionName="f", InvokeArgs=b"[2]")["Status"] == 202
    world.server.portal.call(until, lambda: len(world.runner.asked) == 2)
    assert [event.payload for _, event in world.runner.asked] == [b"[1]", b"[2]"]
    assert world.runner.asked[0][1].request_id == answer["ResponseMetadata"]["RequestId"]
    most = b'"' + b"x" * (MB - 2) + b'"'
    world.invoke(payload=most, InvocationType="Event")
    assert world.refused(payload=most + b" ", InvocationType="Event") == (
        413, "RequestEntityTooLargeException",
        "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
    )  # fmt: skip
