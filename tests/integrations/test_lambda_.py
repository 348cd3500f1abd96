"""Functions behind the Lambda API: what is asked of it, and what Step Functions makes of its answers (lambda.md 9)."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import anyio
import boto3
import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import engine
from engine.integrations.lambda_ import _MODELLED, LambdaFunction
from engine.store.memory import MemoryStore
from tests.certificates import write_certificate
from tests.definitions import FUNCTION, catch, invoke, machine, task
from tests.integrations.stub_lambda import REQUEST_ID, Asked, Reply, StubLambda, stub_lambda
from tests.runtime.fleets import Now, fleet, on
from tests.waiting import DEADLINE_SECONDS, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

ECHO = {"Type": "Pass"}


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody's configuration but these keys."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")


async def ran(
    stub: StubLambda, definition: dict[str, Any], value: Any = None, *, target: str = "lambda:", **options: Any
) -> Any:
    handlers = engine.Handlers()
    handlers.add("*", f"{target}?endpoint={stub.url}", **options)
    return await engine.run(definition, {} if value is None else value, handlers=handlers)


async def error_of(reply: Reply, state: dict[str, Any] | None = None, **options: Any) -> tuple[Any, Any]:
    async with stub_lambda(reply) as stub:
        with pytest.raises(engine.ExecutionFailed) as caught:
            await ran(stub, machine(state or invoke()), **options)
    return caught.value.error, caught.value.cause


# ── what is asked ───────────────────────────────────────────────────────────────────────────────────────────────────


def signature_of(asked: Asked, url: str, secret: str) -> str:
    """As AWS makes it of the request that arrived."""
    found = re.search(r"Credential=(\w+)/\d+/([\w-]+)/lambda/.*SignedHeaders=([\w;-]+)", asked.headers["authorization"])
    assert found is not None
    key, region, names = found.groups()
    request = AWSRequest(asked.method, url + asked.path, {n: asked.headers[n] for n in names.split(";")}, asked.body)
    request.context["timestamp"] = asked.headers["x-amz-date"]
    signer = SigV4Auth(Credentials(key, secret), "lambda", region)
    return str(signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request))


async def test_a_function_arn_is_called_with_the_input_once_and_signed():
    async with stub_lambda(Reply.of({"paid": True})) as stub:
        assert await ran(stub, machine(task("charge:live")), {"n": "ü"}) == {"paid": True}
    [asked] = stub.asked
    path = urlsplit(asked.path).path
    assert (
        path
        == "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Acharge%3Alive/invocations"
    )
    assert json.loads(asked.body) == {"n": "ü"}
    assert asked.headers["authorization"].rpartition("Signature=")[2] == signature_of(asked, stub.url, "SECRET")


async def test_every_member_of_lambda_invoke_reaches_lambda():
    context = base64.b64encode(b'{"custom":{"a":"b"}}').decode()
    state = invoke() | {
        "Parameters": {
            "FunctionName": "charge",
            "Payload": {"n": 1},
            "Qualifier": "7",
            "ClientContext": context,
            "LogType": "Tail",
            "InvocationType": "RequestResponse",
        }
    }
    reply = Reply(b"[1]", headers={"X-Amz-Executed-Version": "7", "X-Amz-Log-Result": "bG9n"})
    async with stub_lambda(reply) as stub:
        envelope = await ran(stub, machine(state))
    [asked] = stub.asked
    url = urlsplit(asked.path)
    assert (url.path, parse_qs(url.query)) == ("/2015-03-31/functions/charge/invocations", {"Qualifier": ["7"]})
    assert asked.body == b'{"n":1}'
    members = ("x-amz-client-context", "x-amz-log-type", "x-amz-invocation-type")
    assert [asked.headers[name] for name in members] == [context, "Tail", "RequestResponse"]
    assert (envelope["ExecutedVersion"], envelope["LogResult"]) == ("7", "bG9n")


@pytest.mark.parametrize(
    ("payload", "body"),
    [({}, b"{}"), ({"Payload": None}, b"{}"), ({"Payload": "[1]"}, b"[1]"), ({"Payload": [1, "a"]}, b'[1,"a"]')],
    ids=["none", "null", "a text is the body itself", "a value"],
)
async def test_the_payload_is_the_body(payload, body):
    state = invoke() | {"Parameters": {"FunctionName": "f", **payload}}
    async with stub_lambda(Reply.of(1)) as stub:
        await ran(stub, machine(state))
    assert [asked.body for asked in stub.asked] == [body]


async def test_another_function_may_be_named_by_the_rule():
    async with stub_lambda(Reply.of(1)) as stub:
        await ran(stub, machine(task("charge")), target="lambda:123456789012:function:real:live")
    assert "/123456789012%3Afunction%3Areal%3Alive/" in stub.asked[0].path


@pytest.mark.parametrize(
    ("where", "region"),
    [
        ({}, "us-east-1"),
        ({"function": "arn:aws:lambda:eu-north-1:123456789012:function:f"}, "eu-north-1"),
        ({"configured": "ap-south-1"}, "ap-south-1"),
        ({"configured": "ap-south-1", "function": "arn:aws:lambda:eu-north-1:123456789012:function:f"}, "eu-north-1"),
        ({"option": "sa-east-1", "function": "arn:aws:lambda:eu-north-1:123456789012:function:f"}, "sa-east-1"),
    ],
    ids=["the execution's", "the ARN's", "AWS's configuration", "ARN before configuration", "rule before all"],
)
async def test_the_region_is_the_rules_else_the_arns_else_as_configured(where, region, monkeypatch):
    if "configured" in where:
        monkeypatch.setenv("AWS_DEFAULT_REGION", where["configured"])
    definition = machine(invoke() | {"Parameters": {"FunctionName": where.get("function", "f")}})
    async with stub_lambda(Reply.of(1)) as stub:
        option = f"&region={where['option']}" if "option" in where else ""
        handlers = {"*": f"lambda:?endpoint={stub.url}{option}"}
        async with engine.Engine.in_memory(handlers, region="us-east-1") as one:
            await (await one.start_execution(definition)).result()
    assert f"/{region}/lambda/aws4_request" in stub.asked[0].headers["authorization"]


async def test_a_profile_gives_credentials_and_region(monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    (tmp_path / "credentials").write_text("[prod]\naws_access_key_id = PRODKEY\naws_secret_access_key = S\n")
    (tmp_path / "config").write_text("[profile prod]\nregion = eu-west-3\n")
    definition = machine(invoke())
    async with stub_lambda(Reply.of(1)) as stub:
        await engine.run(definition, handlers={"*": f"lambda:?profile=prod&endpoint={stub.url}"})
    assert re.search(r"Credential=PRODKEY/\d+/eu-west-3/", stub.asked[0].headers["authorization"])


async def test_the_endpoint_is_as_aws_configuration_says(monkeypatch):
    async with stub_lambda(Reply.of(1)) as stub:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", stub.url)
        assert await engine.run(machine(task()), handlers={"*": "lambda:"}) == 1
    assert len(stub.asked) == 1


async def test_many_calls_share_connections():
    async with stub_lambda(Reply.of(1)) as stub:
        await ran(stub, machine(task(), task(), task()))
    assert (len(stub.asked), stub.connections) == (3, 1)


# ── the way there ───────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def over_tls(folder: Path) -> AsyncIterator[tuple[StubLambda, str]]:
    write_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    async with stub_lambda(Reply.of("secret"), tls=context) as stub:
        yield stub, f"https://localhost:{urlsplit(stub.url).port}"


async def test_whom_tls_trusts_is_as_aws_configuration_says(monkeypatch, tmp_path):
    async with over_tls(tmp_path) as (stub, url):
        handlers = {"*": f"lambda:?endpoint={url}"}
        with pytest.raises(engine.ExecutionFailed, match="certificate verify failed") as caught:
            await engine.run(machine(task()), handlers=handlers)
        assert (caught.value.error, stub.asked) == ("Lambda.SdkClientException", [])
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "cert.pem"))
        assert await engine.run(machine(task(), task()), handlers=handlers) == "secret"
    assert (len(stub.asked), stub.connections) == (2, 1)


async def test_a_proxy_is_asked_for_other_hosts_with_its_password(monkeypatch):
    async with stub_lambda(Reply.of(1)) as proxy:
        port = urlsplit(proxy.url).port
        monkeypatch.setenv("HTTP_PROXY", f"http://me:p%40ss@127.0.0.1:{port}")
        assert await engine.run(machine(task()), handlers={"*": "lambda:?endpoint=http://lambda.invalid"}) == 1
        [asked] = proxy.asked
        assert asked.path.startswith("http://lambda.invalid/2015-03-31/functions/")
        assert asked.headers["proxy-authorization"] == "Basic " + base64.b64encode(b"me:p@ss").decode()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert await ran(proxy, machine(task())) == 1
    assert proxy.asked[1].path.startswith("/2015-03-31/functions/")


async def test_through_a_proxy_tls_goes_in_a_tunnel(monkeypatch, tmp_path):
    asked: list[str] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head.split("\r\n")[0])
        there, back = await asyncio.open_connection("127.0.0.1", int(head.split(" ")[1].rpartition(":")[2]))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(copy(reader, back), copy(there, writer), return_exceptions=True)

    async with over_tls(tmp_path) as (stub, url):
        proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "cert.pem"))
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        assert await engine.run(machine(task()), handlers={"*": f"lambda:?endpoint={url}"}) == "secret"
        proxy.close()
        await proxy.wait_closed()
    assert asked == [f"CONNECT localhost:{urlsplit(url).port} HTTP/1.1"]
    assert len(stub.asked) == 1


# ── roles ───────────────────────────────────────────────────────────────────────────────────────────────────────────

ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>S</SecretAccessKey><SessionToken>TOKEN</SessionToken>
<Expiration>{expires}</Expiration></Credentials><AssumedRoleUser><Arn>a</Arn><AssumedRoleId>i</AssumedRoleId>
</AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"""

ROLE = "arn:aws:iam::123456789012:role/"


async def with_roles(monkeypatch: pytest.MonkeyPatch, role: str, expires: str, states: int = 1) -> list[Asked]:
    """What STS and Lambda are asked; STS gives keys that are called as their role."""

    async def answer(asked: Asked) -> Reply:
        if asked.path == "/":
            assumed = parse_qs(asked.body.decode())["RoleArn"][0].rpartition("/")[2]
            text = ASSUMED.format(key=f"KEY{assumed}", expires=expires)
            return Reply(text.encode(), headers={"Content-Type": "text/xml"})
        return Reply.of(1)

    async with stub_lambda(answer) as stub:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", stub.url)
        state = task(Credentials={"RoleArn": f"{ROLE}task"})
        handlers = {"*": f"lambda:?endpoint={stub.url}{role}"}
        await engine.run(machine(*[state] * states), handlers=handlers)
    return stub.asked


def keys_in(asked: list[Asked]) -> list[str]:
    return [re.findall(r"Credential=(\w+)/", one.headers["authorization"])[0] for one in asked]


async def test_the_role_of_credentials_is_assumed_once_until_it_expires(monkeypatch):
    asked = await with_roles(monkeypatch, "", "2099-01-01T00:00:00Z", states=3)
    assert keys_in(asked) == ["AKID", "KEYtask", "KEYtask", "KEYtask"]
    assert asked[1].headers["x-amz-security-token"] == "TOKEN"


async def test_a_role_whose_credentials_end_soon_is_assumed_again(monkeypatch):
    soon = datetime.now(UTC) + timedelta(minutes=5)
    asked = await with_roles(monkeypatch, "", soon.isoformat(), states=2)
    assert keys_in(asked) == ["AKID", "KEYtask", "AKID", "KEYtask"]


async def test_a_role_that_is_over_at_once_is_the_clients_error(monkeypatch):
    with pytest.raises(engine.ExecutionFailed, match="still expired") as caught:
        await with_roles(monkeypatch, "", "2020-01-01T00:00:00Z")
    assert caught.value.error == "Lambda.SdkClientException"


async def test_the_role_of_the_rule_assumes_the_role_of_credentials(monkeypatch):
    asked = await with_roles(monkeypatch, f"&role={ROLE}rule", "2099-01-01T00:00:00Z")
    assert keys_in(asked) == ["AKID", "KEYrule", "KEYtask"]


# ── what comes back ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_lambda_invoke_gives_awss_envelope():
    async with stub_lambda(Reply.of({"a": 1})) as stub:
        envelope = await ran(stub, machine(invoke()))
    http = envelope["SdkHttpMetadata"]
    assert list(envelope) == ["ExecutedVersion", "Payload", "SdkHttpMetadata", "SdkResponseMetadata", "StatusCode"]
    assert (envelope["Payload"], envelope["StatusCode"], http["HttpStatusCode"]) == ({"a": 1}, 200, 200)
    assert envelope["SdkResponseMetadata"] == {"RequestId": REQUEST_ID}
    assert list(http["HttpHeaders"]) == [
        "Connection", "Content-Length", "Content-Type", "Date", "X-Amz-Executed-Version", "x-amzn-RequestId",
    ]  # fmt: skip
    assert http["AllHttpHeaders"] == {name: [value] for name, value in http["HttpHeaders"].items()}


@pytest.mark.parametrize("value", [None, 0, "text", [1], {"a": None}])
async def test_every_json_value_passes_through(value):
    async with stub_lambda(Reply.of(value)) as stub:
        assert await ran(stub, machine(task())) == value


async def test_an_event_is_done_when_lambda_took_it_down():
    state = invoke() | {"Parameters": {"FunctionName": "f", "InvocationType": "Event"}}
    async with stub_lambda(Reply(b"", 202)) as stub:
        envelope = await ran(stub, machine(state))
    assert (envelope["StatusCode"], envelope["Payload"], "ExecutedVersion" in envelope) == (202, "", False)
    assert stub.asked[0].headers["x-amz-invocation-type"] == "Event"


async def test_a_token_is_waited_for_after_lambda_has_answered():
    sent: list[str] = []

    async def answer(asked: Asked) -> Reply:
        sent.append(json.loads(asked.body)["token"])
        return Reply.of("submitted")

    def submitted_in(events: list[dict[str, Any]]) -> list[Any]:
        return [event["taskSubmittedEventDetails"] for event in events if event["type"] == "TaskSubmitted"]

    async with stub_lambda(answer) as stub, engine.Engine.in_memory({"*": f"lambda:?endpoint={stub.url}"}) as one:
        execution = await one.start_execution(machine(invoke(suffix=".waitForTaskToken")))
        with anyio.fail_after(DEADLINE_SECONDS):
            while not submitted_in(await execution.history()):  # noqa: ASYNC110  the engine tells nobody
                await anyio.sleep(0.01)
        await one.send_task_success(sent[0], {"approved": True})
        assert await execution.result() == {"approved": True}
        [submitted] = submitted_in(await execution.history())
    assert json.loads(submitted["output"])["Payload"] == "submitted"


# ── errors (lambda.md 9.2) ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", [task(), invoke()], ids=["ARN", "lambda:invoke"])
@pytest.mark.parametrize(
    ("error_type", "payload"),
    [
        ("java.lang.RuntimeException", '{"errorMessage":"","errorType":"java.lang.RuntimeException"}'),
        ("Sandbox.Timedout", '{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 1 Error: Task timed out"}'),
        ("Runtime.ExitError", '{"errorType":"Runtime.ExitError","errorMessage":"x"}'),
    ],
)  # fmt: skip
async def test_a_function_error_has_its_own_type_and_its_payload(error_type, payload, state):
    assert await error_of(Reply.function_error(payload), state) == (error_type, payload)


async def test_lambda_invoke_writes_a_function_error_anew_and_a_function_as_resource_leaves_it_as_it_came():
    payload = '{"errorMessage": "no",  "errorType":"Exception"}'
    assert await error_of(Reply.function_error(payload), task()) == ("Exception", payload)
    assert await error_of(Reply.function_error(payload), invoke()) == (
        "Exception", '{"errorMessage":"no","errorType":"Exception"}',
    )  # fmt: skip


async def test_a_function_error_without_a_type_is_unknown():
    payload = '{"errorMessage":"2024-04-08T16:56:22.123Z 1 Task timed out after 1.00 seconds"}'
    assert await error_of(Reply.function_error(payload)) == (
        "Lambda.Unknown",
        "The cause could not be determined because Lambda did not return an error type. Returned payload: " + payload,
    )


@pytest.mark.parametrize(
    ("status", "code", "message", "error"),
    [
        (404, "ResourceNotFoundException", "Function not found: f", "Lambda.ResourceNotFoundException"),
        (429, "TooManyRequestsException", "Rate Exceeded.", "Lambda.TooManyRequestsException"),
        (500, "ServiceException:http://internal.amazon.com/coral/", None, "Lambda.ServiceException"),
        (403, "AccessDeniedException", "u is not authorized to perform: x", "Lambda.AWSLambdaException"),
    ],
    ids=["not found", "throttled", "broken", "not modelled"],
)
async def test_an_error_of_the_api_has_its_code_and_awss_text(status, code, message, error):
    about = f"Status Code: {status}; Error Code: {code.partition(':')[0]}; Request ID: {REQUEST_ID}; Proxy: null"
    cause = f"{message or 'null'} (Service: AWSLambda; {about})"
    assert await error_of(Reply.refusal(status, code, message)) == (error, cause)


async def test_an_error_that_is_not_lambdas_is_the_clients_general_one():
    error, cause = await error_of(Reply(b"<html>bad gateway</html>", 502, {"Content-Type": "text/html"}))
    assert error == "Lambda.AWSLambdaException"
    assert cause.startswith("null (Service: AWSLambda; Status Code: 502; Error Code: null; ")


async def test_the_modelled_errors_are_those_of_the_service():
    model = botocore.session.Session().get_service_model("lambda").operation_model("Invoke")
    # RequestEntityTooLargeException is the wire's name for RequestTooLargeException (lambda.md 2.1).
    assert {shape.name for shape in model.error_shapes} | {"RequestEntityTooLargeException"} == _MODELLED


async def test_a_connection_that_is_lost_is_the_clients_error_and_is_not_tried_again():
    async with stub_lambda(Reply(status=None)) as stub:
        with pytest.raises(engine.ExecutionFailed) as caught:
            await ran(stub, machine(task()))
    assert (caught.value.error, len(stub.asked)) == ("Lambda.SdkClientException", 1)
    assert (caught.value.cause or "").startswith("Unable to execute HTTP request: ")


async def test_nobody_at_the_endpoint_is_the_clients_error(free_tcp_port: int):
    with pytest.raises(engine.ExecutionFailed) as caught:
        await engine.run(machine(task()), handlers={"*": f"lambda:?endpoint=http://127.0.0.1:{free_tcp_port}"})
    assert caught.value.error == "Lambda.SdkClientException"
    assert f"Connect to 127.0.0.1:{free_tcp_port} failed" in (caught.value.cause or "")


async def test_without_credentials_aws_is_not_called(monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(engine.ExecutionFailed, match="Unable to load AWS credentials"):
        await engine.run(machine(task()), handlers={"*": "lambda:?region=us-east-1"})


async def test_an_emulator_on_this_machine_needs_no_credentials(monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    async with stub_lambda(Reply.of(1)) as stub:
        assert await ran(stub, machine(task())) == 1


async def test_a_profile_that_does_not_exist_is_named():
    with pytest.raises(engine.ExecutionFailed, match="nowhere"):
        await engine.run(machine(task()), handlers={"*": "lambda:?profile=nowhere"})


@pytest.mark.parametrize(
    ("parameters", "finding"),
    [
        ({"FunctionName": "f", "Qualifier.$": "$.n"}, "The value for the field 'Qualifier' must be a STRING"),
        ({"FunctionName.$": "$.n"}, "The value for the field 'FunctionName' must be a STRING"),
        ({"Payload": {}}, "The field 'FunctionName' is required but was missing"),
    ],
)
async def test_arguments_that_lambda_cannot_take_are_named(parameters, finding):
    state = invoke() | {"Parameters": parameters}
    async with stub_lambda(Reply.of(1)) as stub:
        with pytest.raises(engine.ExecutionFailed) as caught:
            await ran(stub, machine(state), {"n": 7})
    assert caught.value.error == "States.Runtime"
    assert finding in (caught.value.cause or "")
    assert stub.asked == []


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize(("state", "name"), [(task(), FUNCTION + "work"), (invoke(), "lambda")], ids=["ARN", "invoke"])
async def test_a_result_may_have_256_kib(more, state, name):
    # The envelope counts as well, so its Task goes over with the first of them.
    body = json.dumps("x" * (262_142 + more)).encode()
    async with stub_lambda(Reply(body)) as stub:
        if more == 0 and name != "lambda":
            assert len(await ran(stub, machine(state))) == 262_142
            return
        with pytest.raises(engine.ExecutionFailed) as caught:
            await ran(stub, machine(state))
    assert (caught.value.error, caught.value.cause) == (
        "States.DataLimitExceeded",
        f"The state/task '{name}' returned a result with a size exceeding the maximum number of bytes service limit.",
    )


@pytest.mark.parametrize(("length", "error"), [(262_144, "States.Runtime"), (262_145, "States.DataLimitExceeded")])
async def test_a_result_that_is_no_json_is_told_unless_it_is_too_long(length, error):
    assert (await error_of(Reply(b"a" * length), task()))[0] == error


# ── time limits ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def never(_asked: Asked) -> Reply:
    await anyio.sleep_forever()
    raise AssertionError


async def test_the_limit_of_an_invocation_is_lambdas_own_error():
    async with stub_lambda(never) as stub:
        with pytest.raises(engine.ExecutionFailed) as caught:
            await ran(stub, machine(task()), timeout_seconds=0.1)
        assert len(stub.asked) == 1
    cause = json.loads(caught.value.cause or "")
    assert caught.value.error == cause["errorType"] == "Sandbox.Timedout"
    assert cause["errorMessage"].endswith("Error: Task timed out after 0.10 seconds")


async def test_an_event_that_nobody_takes_down_is_the_clients_time_out(monkeypatch):
    monkeypatch.setattr("engine.integrations.lambda_.ACKNOWLEDGE_SECONDS", 0.1)
    state = invoke() | {"Parameters": {"FunctionName": "f", "InvocationType": "Event"}}
    async with stub_lambda(never) as stub:
        with pytest.raises(engine.ExecutionFailed) as caught:
            await ran(stub, machine(state))
    assert caught.value.error == "Lambda.ClientExecutionTimeoutException"


async def test_without_a_limit_of_the_rule_lambdas_answer_comes_first():
    assert LambdaFunction("lambda:")._patience > LambdaFunction("lambda:").seconds == 900


@pytest.mark.parametrize("seconds", [0, 901])
async def test_no_invocation_may_take_longer_than_lambdas(seconds):
    with pytest.raises(engine.InvalidHandler, match=r"at most 900"):
        engine.Handlers().add("*", "lambda:", timeout_seconds=seconds)


async def test_an_invocation_that_is_given_up_is_hung_up_on():
    async with stub_lambda(never) as stub:
        state = task(TimeoutSeconds=1, Catch=catch("B"))
        caught = await ran(stub, machine(state, ECHO))
        assert caught["Error"] == "States.Timeout"
        await until(lambda: not stub.inside)


# ── texts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("lambda:f?profil=x", r"expected region=\.\.\., profile=\.\.\., endpoint=\.\.\., role=\.\.\., each once"),
        ("lambda:?region", "got 'region'"),
        ("lambda:?region=a&region=b", "each once at most"),
        ("lambda:?endpoint=localhost:3001", "endpoint: expected a URL such as http"),
        ("emulator:?region=a", r"expected endpoint=\.\.\., each once"),
    ],
)
async def test_options_that_mean_nothing_are_refused(spec, message):
    with pytest.raises(engine.InvalidHandler, match=message):
        engine.Handlers({"*": spec})


async def test_a_task_without_a_function_needs_a_rule_that_names_one():
    state = task() | {"Resource": "arn:aws:states:us-east-1:123456789012:activity:paint"}
    async with stub_lambda(Reply.of("done")) as stub:
        assert await ran(stub, machine(state), target="lambda:painter") == "done"
        with pytest.raises(engine.ExecutionFailed, match="names no function"):
            await ran(stub, machine(state))


# ── the emulator ────────────────────────────────────────────────────────────────────────────────────────────────────


class Emulator:
    """One function, `here`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bytes, str | None]] = []

    def has(self, function: str, qualifier: str | None) -> bool:
        return function.split(":")[-1] == "here"

    async def invoke(self, function: str, payload: bytes, *, qualifier: str | None, **_: Any) -> Any:
        self.calls.append((function, payload, qualifier))
        return 200, [("X-Amz-Executed-Version", "$LATEST"), ("x-amzn-RequestId", "1")], b'"emulated"'


async def test_a_function_of_the_emulator_does_the_tasks_that_have_no_rule():
    emulator = Emulator()
    async with engine.Engine.in_memory({"other": "mock:1"}, lambda_emulator=emulator) as one:
        execution = await one.start_execution(machine(invoke("here"), task("here")), {"n": 1})
        assert await execution.result() == "emulated"
    assert [call[0] for call in emulator.calls] == ["here", FUNCTION + "here"]
    assert emulator.calls[0][1:] == (b'{"n":1}', None)


async def test_a_rule_goes_before_the_emulator():
    async with engine.Engine.in_memory({"here": "mock:1"}, lambda_emulator=Emulator()) as one:
        assert await (await one.start_execution(machine(task("here")))).result() == 1


async def test_a_function_that_the_emulator_has_not_needs_a_rule():
    async with engine.Engine.in_memory(lambda_emulator=Emulator()) as one:
        with pytest.raises(engine.MissingHandler, match="nowhere"):
            await one.start_execution(machine(task("nowhere")))


async def test_a_function_that_is_created_later_does_what_was_started_before_and_what_is_synchronous():
    emulator, is_there = Emulator(), False
    emulator.has = lambda function, qualifier: is_there  # type: ignore[method-assign]
    now = Now()
    async with on(MemoryStore(now=now, through_bytes=True), lambda_emulator=emulator) as one:
        await one.deploy(machine(task("here")), "m")
        express = await one.deploy(machine(task("here")), "express", type="EXPRESS")
        execution = await one.start_execution("m")
        worker = fleet(one)
        await until(lambda: worker.worker.custody.missing)
        is_there = True
        now.skip(60)
        with anyio.fail_after(DEADLINE_SECONDS):
            assert await execution.result() == "emulated"
            assert (await one.start_sync_execution(express)).output == "emulated"


async def test_a_rule_may_name_the_emulator_and_another_function():
    emulator = Emulator()
    async with engine.Engine.in_memory({"Pay": "emulator:here"}, lambda_emulator=emulator) as one:
        assert await (await one.start_execution(machine(task("charge", Name="Pay")))).result() == "emulated"
    assert [call[0] for call in emulator.calls] == ["here"]


async def test_an_emulator_elsewhere_takes_any_credentials(monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    async with stub_lambda(Reply.of("there")) as stub:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", stub.url)
        assert await engine.run(machine(task()), handlers={"*": "emulator:"}) == "there"


def test_boto3_reads_our_stub_as_it_reads_lambda():
    """The stub answers boto3 too, so these tests are about answers that a client of AWS's can read."""

    async def main() -> Any:
        async with stub_lambda(Reply.of({"a": 1})) as stub:
            client = boto3.client("lambda", "us-east-1", endpoint_url=stub.url)
            answered = await anyio.to_thread.run_sync(lambda: client.invoke(FunctionName="f", Payload=b"{}"))
            client.close()
            return answered["ExecutedVersion"], answered["Payload"].read(), stub.asked[0].headers.get("authorization")

    version, payload, authorization = anyio.run(main)
    assert (version, payload) == ("$LATEST", b'{"a":1}')
    assert authorization is not None
