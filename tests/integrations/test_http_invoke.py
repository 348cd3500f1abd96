"""`http:invoke`: requests as they leave, answers as they come, connections; against servers on this machine."""

from __future__ import annotations

import base64
import json
import ssl
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from engine import Engine, ExecutionFailed, Handlers
from engine.asl.http_fields import HTTP_METHODS
from engine.store.memory import MemoryStore
from tests.aws_environment import without_credentials
from tests.certificates import write_certificate
from tests.definitions import machine
from tests.http_server import Asked, HttpServer, Reply, http_server
from tests.runtime.fleets import Now, on
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

NAME = "arn:aws:events:us-east-1:123456789012:connection/crm/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
HERE = "aws:?http=loopback"
BASIC = {"type": "basic", "username": "me", "password": "pa:ss"}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    without_credentials(monkeypatch)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def call(url: str, method: str = "GET", **parameters: Any) -> dict[str, Any]:
    arguments = {"ApiEndpoint": url, "Method": method, "Authentication": {"ConnectionArn": NAME}, **parameters}
    return machine({"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Parameters": arguments})


async def run(definition: dict[str, Any], connection: dict[str, Any] | None = None, rule: str = HERE) -> Any:
    rules = Handlers({"*": rule}, connections={"crm": BASIC if connection is None else connection})
    async with Engine.in_memory(rules, region="eu-west-1") as engine:
        return await engine.run(definition)


async def failure(definition: dict[str, Any], *given: Any, **more: Any) -> tuple[str | None, str]:
    with pytest.raises(ExecutionFailed) as caught:
        await run(definition, *given, **more)
    return caught.value.error, str(caught.value.cause)


async def asked_of(definition: Any, connection: dict[str, Any] | None = None) -> Asked:
    """The request that a Task makes; `definition` is made of the server's URL."""
    async with http_server(Reply.of({})) as server:
        await run(definition(server.url), connection)
    [asked] = server.asked
    return asked


# ── what is sent ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_always_sent() -> None:
    asked = await asked_of(lambda url: call(f"{url}/v1/customers", "POST", RequestBody={"a": [1, "ü"]}))
    assert (asked.method, asked.path, json.loads(asked.body)) == ("POST", "/v1/customers", {"a": [1, "ü"]})
    assert asked.header("user-agent") == "Amazon|StepFunctions|HttpInvoke|eu-west-1"
    assert asked.header("range") == "bytes=0-262144"
    assert asked.header("content-type") == "application/json; charset=UTF-8"
    assert asked.header("transfer-encoding") == "chunked"
    assert asked.header("content-length") is None
    assert str(asked.header("x-amzn-trace-id")).startswith("Root=1-")
    assert asked.header("authorization") == f"Basic {base64.b64encode(b'me:pa:ss').decode()}"


@pytest.mark.parametrize("method", HTTP_METHODS)
async def test_every_method(method: str) -> None:
    asked = await asked_of(lambda url: call(url, method))
    assert (asked.method, asked.path, asked.body) == (method, "/", b"")
    assert asked.header("content-type") is None


async def test_headers_are_texts_or_lists_of_them() -> None:
    headers = {"X-One": "1", "X-Many": ["a", "b"], "x-number": 5, "Content-Type": "text/csv", "User-Agent": "mine"}
    asked = await asked_of(lambda url: call(url, "PUT", Headers=headers, RequestBody="a;b"))
    assert (asked.all("x-one"), asked.all("x-many"), asked.all("x-number")) == (["1"], ["a", "b"], ["5"])
    assert (asked.all("content-type"), asked.all("user-agent")) == (["text/csv"], ["mine"])
    assert asked.body == b"a;b"


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        ({"q": "a b&c", "tag": ["blue", "green"], "left out": None}, "/?q=a%20b%26c&tag=blue&tag=green"),
        ({"page": {"size": 5}, "all": True}, "/?page%5Bsize%5D=5&all=true"),
        ("a=1&a=2&b=x%20y", "/?a=1&a=2&b=x%20y"),
        ([{"a": 1}, "b=2"], "/?a=1&b=2"),
        ({}, "/"),
    ],
)
async def test_query_parameters_are_encoded(parameters: Any, path: str) -> None:
    assert (await asked_of(lambda url: call(url, QueryParameters=parameters))).path == path


async def test_query_parameters_are_added_to_those_of_the_endpoint() -> None:
    asked = await asked_of(lambda url: call(f"{url}/a b/ü?x=1#part", QueryParameters={"y": "2"}))
    assert asked.path == "/a%20b/%C3%BC?x=1&y=2"


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ({}, "customer=1&tags%5B0%5D=a&tags%5B1%5D=b&metadata%5Border%5D=monthly%20report"),
        ({"ArrayFormat": "REPEAT"}, "customer=1&tags=a&tags=b&metadata%5Border%5D=monthly%20report"),
        ({"ArrayFormat": "COMMAS"}, "customer=1&tags=a,b&metadata%5Border%5D=monthly%20report"),
        ({"ArrayFormat": "BRACKETS"}, "customer=1&tags%5B%5D=a&tags%5B%5D=b&metadata%5Border%5D=monthly%20report"),
    ],
)
async def test_a_body_may_be_a_form(options: dict[str, str], body: str) -> None:
    transform = {"RequestBodyEncoding": "URL_ENCODED", "RequestEncodingOptions": options}
    given = {"customer": "1", "tags": ["a", "b"], "metadata": {"order": "monthly report"}}
    asked = await asked_of(lambda url: call(url, "POST", RequestBody=given, Transform=transform))
    assert asked.body.decode() == body
    assert asked.header("content-type") == "application/x-www-form-urlencoded"


async def test_invocation_config_names_the_connection_too() -> None:
    definition = call("", InvocationConfig={"ConnectionArn": "crm"})
    del definition["States"]["A"]["Parameters"]["Authentication"]
    async with http_server(Reply.of({})) as server:
        definition["States"]["A"]["Parameters"]["ApiEndpoint"] = server.url
        await run(definition)
    assert str(server.asked[0].header("authorization")).startswith("Basic ")


# ── what the connection adds ────────────────────────────────────────────────────────────────────────────────────────


async def test_what_the_connection_has_goes_before_what_the_task_has() -> None:
    connection = {
        "type": "api-key",
        "name": "ApiKey",
        "value": "key_value",
        "headers": {"Header-Param": "connection"},
        "query": {"QueryParam": "connection q"},
        "body": {"BodyParam": "connection"},
    }
    asked = await asked_of(
        lambda url: call(
            url,
            "POST",
            Headers={"Request-Id": "r", "header-param": "task"},
            QueryParameters={"QueryParam": ["task"], "own": "1"},
            RequestBody={"Job": "Engineer", "BodyParam": "task"},
        ),
        connection,
    )
    assert (asked.all("apikey"), asked.all("header-param"), asked.all("request-id")) == (
        ["key_value"],
        ["connection"],
        ["r"],
    )
    assert asked.path == "/?own=1&QueryParam=connection%20q"
    assert json.loads(asked.body) == {"Job": "Engineer", "BodyParam": "connection"}


async def test_bodies_are_merged_before_they_are_encoded() -> None:
    transform = {"RequestBodyEncoding": "URL_ENCODED"}
    connection = {**BASIC, "body": {"a b": "c"}}
    assert (await asked_of(lambda url: call(url, "POST", Transform=transform), connection)).body == b"a%20b=c"


@pytest.mark.parametrize("body", ["text", [1]])
async def test_a_body_that_is_no_object_cannot_be_merged(body: Any) -> None:
    async with http_server(Reply.of({})) as server:
        definition = call(server.url, "POST", RequestBody=body)
        error, cause = await failure(definition, {**BASIC, "body": {"a": "c"}})
        assert error == "States.Runtime"
        assert "cannot be merged with the body parameters" in cause
        assert server.asked == []
        await run(definition)


async def test_secrets_are_read_for_each_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("first\n")
    monkeypatch.setenv("KEY_NAME", "X-Key")
    connection = {"type": "api-key", "name": "env:KEY_NAME", "value": f"file:{tmp_path / 'key'}"}
    rules = Handlers({"*": HERE}, connections={"crm": connection})
    async with http_server(Reply.of({})) as server, Engine.in_memory(rules) as engine:
        await engine.run(call(server.url))
        (tmp_path / "key").write_text("second\n")
        await engine.run(call(server.url))
    assert [asked.header("x-key") for asked in server.asked] == ["first", "second"]


async def test_a_secret_that_is_not_there_fails_the_task_by_name() -> None:
    async with http_server(Reply.of({})) as server:
        error, cause = await failure(call(server.url), {**BASIC, "password": "env:NOT_THERE"})
        assert error == "Events.ConnectionResource.InvalidConnectionState"
        assert cause == "connection 'crm': the environment variable NOT_THERE is not set"
        assert server.asked == []


async def test_a_secret_that_no_header_can_hold_is_not_shown() -> None:
    async with http_server(Reply.of({})) as server:
        error, cause = await failure(call(server.url), {"type": "api-key", "name": "X-Key", "value": "hu\nsh"})
        assert error == "States.Runtime"
        assert "'X-Key'" in cause
        assert "sh" not in cause.replace("shown", "")
        assert server.asked == []


async def test_history_and_errors_have_no_secrets() -> None:
    connection = {"type": "api-key", "name": "X-Key", "value": "hush", "query": {"q": "hush"}, "body": {"b": "hush"}}
    rules = Handlers({"*": HERE}, connections={"crm": connection})
    async with http_server(Reply(status=None)) as server, Engine.in_memory(rules) as engine:
        execution = await engine.start_execution(call(server.url, "POST"))
        with pytest.raises(ExecutionFailed) as caught:
            await execution.result()
        assert "hush" not in json.dumps(caught.value.history, default=str)
    assert b"hush" in server.asked[0].body
    assert caught.value.error == "States.Http.Socket"
    assert "hush" not in str(caught.value)


# ── what cannot be sent ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"Headers.$": "$.authorization"}, "The 'Headers' field contains unsupported values: [authorization]"),
        ({"Headers.$": "$.forwarded"}, "The 'Headers' field contains unsupported values: [X-Forwarded-For, Host]"),
        ({"Headers.$": "$.text"}, "The value of the field 'Headers' has an invalid format"),
        ({"Headers.$": "$.broken"}, "The value of the field 'Headers' has an invalid format"),
        ({"QueryParameters.$": "$.number"}, "The value of the field 'QueryParameters' has an invalid format"),
        ({"ApiEndpoint.$": "$.plain"}, "The value for the 'ApiEndpoint' field is not valid]"),
        ({"ApiEndpoint.$": "$.number"}, "The value for the field 'ApiEndpoint' must be a STRING"),
        ({"Method.$": "$.text"}, "The value for the 'Method' field is not valid"),
        ({"Transform.$": "$.text"}, "The value of the field 'Transform' has an invalid format"),
        ({"Transform.$": "$.format"}, "The value for the 'ArrayFormat' field is not valid"),
        ({"Transform.$": "$.form", "RequestBody.$": "$.list"}, "The value of the field 'RequestBody' has an invalid"),
        ({"Authentication.$": "$.nothing"}, "The field 'ConnectionArn' is required but was missing"),
    ],
)
async def test_arguments_that_cannot_be_used_send_nothing(change: dict[str, str], finding: str) -> None:
    data = {
        "authorization": {"authorization": "x"},
        "forwarded": {"X-Forwarded-For": "x", "Host": "y", "X-Good": "z"},
        "text": "x",
        "broken": {"X": "a\nb"},
        "number": 5,
        "plain": "http://api.test/",
        "format": {"RequestEncodingOptions": {"ArrayFormat": "x"}},
        "form": {"RequestBodyEncoding": "URL_ENCODED"},
        "list": [1],
        "nothing": {},
    }
    async with http_server(Reply.of({})) as server:
        definition = call(server.url)
        parameters = definition["States"]["A"]["Parameters"]
        for name in change:
            parameters.pop(name.removesuffix(".$"), None)
        parameters.update(change)
        definition["States"] = {
            "Z": {"Type": "Pass", "Result": data, "Next": "A"},
            "A": {**definition["States"]["A"], "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Z"}]},
        }
        error, cause = await failure({**definition, "StartAt": "Z"})
        assert error == "States.Runtime"
        assert finding in cause
        assert server.asked == []


async def test_an_unknown_connection_is_told_before_anything_is_sent() -> None:
    async with http_server(Reply.of({})) as server:
        definition = call(server.url, Authentication={"ConnectionArn": "other"})
        error, cause = await failure(definition)
        assert error == "Events.ConnectionResource.InternalError"
        assert "connection 'other' is not configured here (a table [connections.other] in asl.toml)" in cause
        assert server.asked == []


# ── what comes back ─────────────────────────────────────────────────────────────────────────────────────────────────


async def answered(reply: Reply, method: str = "GET") -> Any:
    async with http_server(reply) as server:
        return await run(call(server.url, method))


async def test_an_answer_has_status_headers_and_body() -> None:
    reply = Reply.of({"ok": True}, 201, "Created", x_one="1")
    reply.headers.append(("x-one", "2"))
    output = await answered(reply)
    assert output["StatusCode"] == 201
    assert output["StatusText"] == "Created"
    assert output["ResponseBody"] == {"ok": True}
    assert output["Headers"]["x-one"] == ["1", "2"]
    assert output["Headers"]["content-type"] == ["application/json"]


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("application/json", b"[1]", [1]),
        ("application/problem+json; charset=utf-8", b'"x"', "x"),
        ("application/json", b"{no json", "{no json"),
        ("application/json", b"", ""),
        ("text/plain", b"[1]", "[1]"),
        ("text/plain; charset=ISO-8859-1", b"\xfc", "ü"),
        ("", "ü".encode(), "ü"),
    ],
)
async def test_a_body_is_json_or_text(kind: str, body: bytes, expected: Any) -> None:
    assert (await answered(Reply(body, headers=[("Content-Type", kind)])))["ResponseBody"] == expected


async def test_nothing_comes_back_of_head() -> None:
    assert (await answered(Reply(b"", headers=[("Content-Type", "application/json")]), "HEAD"))["ResponseBody"] == ""


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        ("application/octet-stream", b"x", "a response of the content type application/octet-stream is not supported"),
        ("image/png", b"x", "a response of the content type image/png is not supported"),
        ("video/mp4", b"x", "video/mp4"),
        ("audio/ogg", b"x", "audio/ogg"),
        ("text/plain", b"\xff", "the response cannot be read as text in utf-8"),
        ("text/plain; charset=klingon", b"x", "the response cannot be read as text in klingon"),
    ],
)
async def test_an_answer_that_is_no_text_fails_the_task(kind: str, body: bytes, reason: str) -> None:
    async with http_server(Reply(body, headers=[("Content-Type", kind)])) as server:
        error, cause = await failure(call(server.url))
    assert error == "States.Runtime"
    assert reason in cause


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (Reply.of({"message": "slow down"}, 429, "Too Many Requests"), '{"message": "slow down"}'),
        (Reply(b"", 404, reason="Not Found"), "Not Found"),
        (Reply(b"", 302, [("Location", "/elsewhere")], "Found"), "Found"),
    ],
)
async def test_another_status_is_an_error_with_its_number(reply: Reply, cause: str) -> None:
    async with http_server(reply) as server:
        assert await failure(call(server.url)) == (f"States.Http.StatusCode.{reply.status}", cause)
    assert len(server.asked) == 1


async def test_a_status_can_be_retried_and_caught() -> None:
    replies = [Reply.of({}, 503), Reply.of({}, 404)]

    async def answer(_asked: Asked) -> Reply:
        return replies.pop(0)

    async with http_server(answer) as server:
        definition = call(server.url)
        definition["States"]["A"] |= {
            "Retry": [{"ErrorEquals": ["States.Http.StatusCode.503"], "IntervalSeconds": 1}],
            "Catch": [{"ErrorEquals": ["States.Http.StatusCode.404"], "Next": "B"}],
        }
        definition["States"]["B"] = {"Type": "Pass", "Result": "caught", "End": True}
        rules = Handlers({"*": HERE}, connections={"crm": BASIC})
        async with Engine.in_memory(rules, clock="virtual") as engine:
            assert await engine.run(definition) == "caught"
    assert len(server.asked) == 2


async def test_a_large_answer_is_more_than_a_state_can_hold() -> None:
    async with http_server(Reply.text("x" * 262_145)) as server:
        assert (await failure(call(server.url)))[0] == "States.DataLimitExceeded"


async def test_an_answer_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.integrations.aws.RESPONSE_BYTES_MAX", 10)
    async with http_server(Reply.text("x" * 20)) as server:
        assert (await failure(call(server.url)))[0] == "States.DataLimitExceeded"


async def test_no_answer_is_an_error_of_the_socket() -> None:
    async with http_server(Reply(status=None)) as server:
        assert (await failure(call(server.url)))[0] == "States.Http.Socket"
    error, cause = await failure(call(server.url))
    assert error == "States.Http.Socket"
    assert "Connect to 127.0.0.1" in cause


async def never(_asked: Asked) -> Reply:
    await anyio.sleep_forever()
    raise AssertionError


async def test_an_answer_that_takes_too_long_is_an_error_of_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.integrations.http_invoke.SECONDS_MAX", 0.05)
    async with http_server(never) as server:
        assert await failure(call(server.url)) == ("States.Http.Socket", "No response within 0.05 seconds")


async def test_a_task_that_is_over_hangs_up() -> None:
    rules = Handlers({"*": HERE}, connections={"crm": BASIC})
    async with http_server(never) as server, Engine.in_memory(rules) as engine:
        execution = await engine.start_execution(call(server.url))
        await until(lambda: server.asked)
        await execution.stop()
        await until(lambda: server.gone)


async def test_a_worker_on_a_store_has_the_connections_too() -> None:
    rules = Handlers({"*": HERE}, connections={"crm": BASIC})
    async with http_server(Reply.of({"a": 1})) as server, on(MemoryStore(now=Now()), rules) as engine:
        assert (await engine.run(call(server.url)))["ResponseBody"] == {"a": 1}


async def test_connections_to_a_server_are_used_again() -> None:
    rules = Handlers({"*": HERE}, connections={"crm": BASIC})
    async with http_server(Reply.of({})) as server, Engine.in_memory(rules) as engine:
        for _ in range(3):
            await engine.run(call(server.url))
    assert (len(server.asked), server.connections) == (3, 1)


# ── TLS, and other places ───────────────────────────────────────────────────────────────────────────────────────────


async def test_certificates_are_checked_against_known_authorities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    certificate = str(tmp_path / "cert.pem")
    async with http_server(Reply.of({}), tls=tls) as server:
        error, cause = await failure(call(server.url))
        assert error == "States.Http.Socket"
        assert "CERTIFICATE_VERIFY_FAILED" in cause
        assert (await run(call(server.url), {**BASIC, "ca_file": certificate}))["StatusCode"] == 200
        elsewhere = call(server.url.replace("localhost", "127.0.0.1"))
        assert (await failure(elsewhere, {**BASIC, "ca_file": certificate}))[0] == "States.Http.Socket"
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
        assert (await run(call(server.url)))["StatusCode"] == 200


async def test_a_file_that_holds_no_certificate_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    connection = {**BASIC, "ca_file": str(tmp_path / "empty.pem")}
    error, cause = await failure(call("https://127.0.0.1:1"), connection)
    assert error == "States.Http.Socket"
    assert "empty.pem" in cause


async def test_a_rule_may_have_all_apis_called_elsewhere() -> None:
    async with http_server(Reply.of({})) as server:
        definition = call("https://api.stripe.com/v1/invoices?a=b", QueryParameters={"c": "d"})
        await run(definition, rule=f"aws:?region=eu-west-1&api={server.url}")
    assert server.asked[0].path == "/v1/invoices?a=b&c=d"
    assert server.asked[0].header("host") == server.url.removeprefix("http://")


async def test_http_is_only_for_a_rule_that_says_so() -> None:
    async with http_server(Reply.of({})) as server:
        error, cause = await failure(call(server.url), rule="aws:")
        assert error == "States.Runtime"
        assert "The value for the 'ApiEndpoint' field is not valid: http is for a rule aws:?http=loopback]" in cause
        assert server.asked == []


async def test_a_connection_goes_to_its_endpoints_alone() -> None:
    async with http_server(Reply.of({})) as server:
        connection = {**BASIC, "endpoints": ["https://api.test/v1/*", f"{server.url}/v2/*"]}
        error, cause = await failure(call(f"{server.url}/v1/x"), connection)
        assert error == "States.Permissions"
        assert cause == (f"connection 'crm' is not for {server.url}/v1/x: its endpoints say which APIs may get it")
        assert server.asked == []
        await run(call(f"{server.url}/v2/x"), connection)
        await run(call("https://api.test/v1/x"), connection, rule=f"aws:?api={server.url}")
    assert [asked.path for asked in server.asked] == ["/v2/x", "/v1/x"]


@pytest.mark.parametrize(
    "options",
    ["http=all", "http=loopback&http=loopback", "api=", "api=nowhere", "api=http://a&api=http://b", "api=ftp://x"],
)
def test_an_elsewhere_that_is_none_is_refused(options: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        Handlers({"*": f"aws:?{options}"})


# ── OAuth ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class TokenServer:
    """Gives tokens t1, t2, ...; an API beside it takes those in `good`."""

    def __init__(self, **token: Any) -> None:
        self.token = token
        self.good: set[str] = set()
        self.given: list[Asked] = []
        self.called: list[str | None] = []

    async def __call__(self, asked: Asked) -> Reply:
        if asked.path.startswith("/token"):
            self.given.append(asked)
            self.good = {f"t{len(self.given)}"}
            return Reply.of({"access_token": f"t{len(self.given)}", **self.token})
        self.called.append(asked.header("authorization"))
        is_good = self.called[-1] in {f"Bearer {token}" for token in self.good}
        return Reply.of({}) if is_good else Reply.of({}, 401, "Unauthorized")


def oauth(url: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "oauth-client-credentials",
        "token_url": f"{url}/token",
        "client_id": "i d",
        "client_secret": "s&cret",
        **more,
    }


async def call_often(server: HttpServer, connection: dict[str, Any], between: Any = None) -> None:
    rules = Handlers({"*": HERE}, connections={"crm": connection})
    async with Engine.in_memory(rules) as engine:
        for _ in range(3):
            await engine.run(call(server.url))
            if between is not None:
                between()


async def test_a_token_is_asked_for_once_and_kept() -> None:
    tokens = TokenServer(expires_in=3600)
    async with http_server(tokens) as server:
        await call_often(server, oauth(server.url, token_body={"scope": "read"}, token_query={"tenant": "7"}))
    [asked] = tokens.given
    assert (asked.method, asked.path) == ("POST", "/token?tenant=7")
    assert asked.body == b"grant_type=client_credentials&client_id=i%20d&client_secret=s%26cret&scope=read"
    assert asked.header("content-type") == "application/x-www-form-urlencoded"
    assert tokens.called == ["Bearer t1"] * 3


async def test_a_token_that_has_expired_is_asked_for_anew() -> None:
    tokens = TokenServer(expires_in="0")
    async with http_server(tokens) as server:
        await call_often(server, oauth(server.url))
    assert tokens.called == ["Bearer t1", "Bearer t2", "Bearer t3"]


async def test_a_token_that_is_refused_is_asked_for_once_more() -> None:
    tokens = TokenServer()
    async with http_server(tokens) as server:
        await call_often(server, oauth(server.url), between=lambda: tokens.good.clear())
    assert tokens.called == ["Bearer t1", "Bearer t1", "Bearer t2", "Bearer t2", "Bearer t3"]


@pytest.mark.parametrize("status", [401, 407])
async def test_an_api_that_takes_no_token_is_asked_twice(status: int) -> None:
    tokens = TokenServer()

    async def answer(asked: Asked) -> Reply:
        return await tokens(asked) if asked.path == "/token" else Reply.of({}, status, "No")

    async with http_server(answer) as server:
        assert (await failure(call(server.url), oauth(server.url)))[0] == f"States.Http.StatusCode.{status}"
    assert [asked.path for asked in server.asked] == ["/token", "/", "/token", "/"]


async def test_many_tasks_wait_for_one_token() -> None:
    tokens = TokenServer()
    async with http_server(tokens) as server:
        branch = {"StartAt": "A", "States": call(server.url)["States"]}
        branches = [json.loads(json.dumps(branch).replace('"A"', f'"A{number}"')) for number in range(8)]
        await run(machine({"Type": "Parallel", "Branches": branches}), oauth(server.url))
    assert (len(tokens.given), len(tokens.called)) == (1, 8)


@pytest.mark.parametrize(
    ("more", "path", "body"),
    [
        (
            {"method": "GET"},
            "/token?grant_type=client_credentials&client_id=i%20d&client_secret=s%26cret",
            b"",
        ),
        ({"token_headers": {"Authorization": "env:TOKEN_BASIC"}}, "/token", b"grant_type=client_credentials"),
        (
            {"method": "PUT", "token_headers": {"content-type": "application/json"}},
            "/token",
            b'{"grant_type":"client_credentials","client_id":"i d","client_secret":"s&cret"}',
        ),
    ],
)
async def test_other_ways_to_ask_for_a_token(
    more: dict[str, Any], path: str, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_BASIC", "Basic abc")
    tokens = TokenServer()
    async with http_server(tokens) as server:
        await run(call(server.url), oauth(server.url, **more))
    [asked] = tokens.given
    assert (asked.method, asked.path, asked.body) == (more.get("method", "POST"), path, body)
    if "token_headers" in more:
        assert [asked.header(name) for name in more["token_headers"]] in (["Basic abc"], ["application/json"])


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply.of({"error": "invalid_client", "error_description": "s&cret is wrong"}, 401), "401 (invalid_client)"),
        (Reply.text("s&cret?", 500), "answered 500"),
        (Reply.of({"error": "s&cret"}, 400), "answered 400"),
        (Reply.of({"token": "x"}), "answered 200, but with no access_token"),
        (Reply.of({"access_token": "a\nb"}), "answered 200, but with no access_token"),
    ],
)
async def test_a_refusal_of_the_token_is_told_without_secrets(reply: Reply, told: str) -> None:
    async with http_server(reply) as server:
        error, cause = await failure(call(server.url), oauth(server.url))
    assert error == "Events.ConnectionResource.InvalidConnectionState"
    assert cause.startswith("connection 'crm' was refused a token: 127.0.0.1:")
    assert told in cause
    assert "cret" not in cause
    assert all(asked.path == "/token" for asked in server.asked)


async def test_a_token_server_that_is_not_there_is_told() -> None:
    error, cause = await failure(call("https://127.0.0.1:1"), oauth("http://127.0.0.1:1"))
    assert error == "Events.ConnectionResource.InternalError"
    assert cause.startswith("connection 'crm' got no token: ")
