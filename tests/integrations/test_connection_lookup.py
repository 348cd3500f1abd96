"""Connections of EventBridge, with moto's server or a stub as AWS."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from engine import Engine, ExecutionFailed
from tests.aws_environment import with_credentials
from tests.definitions import machine
from tests.http_server import Asked, Reply, http_server
from tests.moto_server import moto_server

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with_credentials(monkeypatch)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as url:
        yield url


def call(url: str, arn: str) -> dict[str, Any]:
    arguments = {"ApiEndpoint": url, "Method": "POST", "InvocationConfig": {"ConnectionArn": arn}, "RequestBody": {}}
    return machine({"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Parameters": arguments})


async def run(aws: str, url: str, arn: str, times: int = 1) -> Any:
    async with Engine.in_memory({"*": f"aws:?http=loopback&endpoint={aws}"}, region="us-east-1") as engine:
        for _ in range(times):
            output = await engine.run(call(url, arn))
    return output


async def failure(aws: str, url: str, arn: str) -> tuple[str | None, str]:
    with pytest.raises(ExecutionFailed) as caught:
        await run(aws, url, arn)
    return caught.value.error, str(caught.value.cause)


def created(moto: str, name: str, kind: str, **parameters: Any) -> str:
    events = boto3.client("events", endpoint_url=moto, region_name="us-east-1")
    answer = events.create_connection(Name=name, AuthorizationType=kind, AuthParameters=parameters)
    return str(answer["ConnectionArn"])


def named(**values: str) -> list[dict[str, Any]]:
    return [{"Key": key, "Value": value, "IsValueSecret": True} for key, value in values.items()]


async def test_basic_authorization_and_parameters(moto: str) -> None:
    arn = created(
        moto,
        "basic",
        "BASIC",
        BasicAuthParameters={"Username": "env:me", "Password": "file:x"},
        InvocationHttpParameters={
            "HeaderParameters": named(Tenant="7"),
            "QueryStringParameters": named(q="a b"),
            "BodyParameters": named(b="c"),
        },
    )
    async with http_server(Reply.of({})) as server:
        assert (await run(moto, server.url, arn))["StatusCode"] == 200
    [asked] = server.asked
    assert asked.header("authorization") == f"Basic {base64.b64encode(b'env:me:file:x').decode()}"
    assert (asked.header("tenant"), asked.path, json.loads(asked.body)) == ("7", "/?q=a%20b", {"b": "c"})


async def test_an_api_key(moto: str) -> None:
    arn = created(moto, "key", "API_KEY", ApiKeyAuthParameters={"ApiKeyName": "X-Key", "ApiKeyValue": "hush"})
    async with http_server(Reply.of({})) as server:
        await run(moto, server.url, arn)
    assert server.asked[0].header("x-key") == "hush"


async def test_client_credentials(moto: str) -> None:
    async def answer(asked: Asked) -> Reply:
        return Reply.of({"access_token": "t"} if asked.path.startswith("/token") else {})

    async with http_server(answer) as server:
        arn = created(
            moto,
            "oauth",
            "OAUTH_CLIENT_CREDENTIALS",
            OAuthParameters={
                "AuthorizationEndpoint": f"{server.url}/token",
                "HttpMethod": "POST",
                "ClientParameters": {"ClientID": "id", "ClientSecret": "hush"},
                "OAuthHttpParameters": {"BodyParameters": named(audience="all")},
            },
        )
        await run(moto, server.url, arn)
    token, api = server.asked
    assert token.body == b"grant_type=client_credentials&client_id=id&client_secret=hush&audience=all"
    assert api.header("authorization") == "Bearer t"


async def test_one_that_is_not_there_is_told_with_what_to_do(moto: str) -> None:
    async with http_server(Reply.of({})) as server:
        error, cause = await failure(moto, server.url, "arn:aws:events:us-east-1:123456789012:connection/gone/1-2")
        assert error == "Events.ConnectionResource.ResourceNotFound"
        assert cause.startswith(
            "connection 'gone' is not configured here (a table [connections.gone] in asl.toml), and "
        )
        assert server.asked == []


async def test_another_one_of_the_same_name_is_not_taken_for_it(moto: str) -> None:
    arn = created(moto, "anew", "API_KEY", ApiKeyAuthParameters={"ApiKeyName": "X-Key", "ApiKeyValue": "hush"})
    error, cause = await failure(moto, "https://127.0.0.1:1", arn.rpartition("/")[0] + "/another")
    assert error == "Events.ConnectionResource.ResourceNotFound"
    assert "EventBridge has another 'anew'" in cause


# ── what moto cannot do ─────────────────────────────────────────────────────────────────────────────────────────────


class Aws:
    """EventBridge and Secrets Manager: answers of DescribeConnection and GetSecretValue, by the connection's name."""

    def __init__(self, **connections: tuple[Reply | dict[str, Any], Reply | dict[str, Any] | None]) -> None:
        self.connections = connections
        self.asked: list[str] = []

    async def __call__(self, asked: Asked) -> Reply:
        self.asked.append(str(asked.header("x-amz-target")).rpartition(".")[2])
        given = json.loads(asked.body)
        described, secret = self.connections[given.get("Name") or given["SecretId"]]
        if "Name" in given:
            usual = {"AuthorizationType": "BASIC", "ConnectionState": "AUTHORIZED", "SecretArn": given["Name"]}
            return described if isinstance(described, Reply) else Reply.of({**usual, **described})
        held = {"username": "u", "password": "p"} if secret is None else secret
        return held if isinstance(held, Reply) else Reply.of({"SecretString": json.dumps(held)})


def refusal(code: str) -> Reply:
    return Reply.of({"__type": code, "message": "no"}, 400)


async def test_what_aws_says_is_kept_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = Aws(crm=({}, None))
    async with http_server(aws) as there, http_server(Reply.of({})) as server:
        await run(there.url, server.url, "crm", times=3)
        assert aws.asked == ["DescribeConnection", "GetSecretValue"]
        monkeypatch.setattr("engine.integrations.connection_lookup._KEPT_SECONDS", 0.0)
        await run(there.url, server.url, "crm", times=2)
        assert len(aws.asked) == 6


async def test_the_region_is_that_of_the_arn() -> None:
    aws = Aws(crm=({}, None))
    async with http_server(aws) as there, http_server(Reply.of({})) as server:
        await run(there.url, server.url, "arn:aws:events:eu-central-1:123456789012:connection/crm")
    assert all("/eu-central-1/" in str(asked.header("authorization")) for asked in there.asked)


OAUTH_BY_HTTP = {"authorization_endpoint": "http://elsewhere.test/", "client_id": "i", "client_secret": "hush"}
UNUSABLE: list[tuple[Any, Any, str, str]] = [
    ({"ConnectionState": "AUTHORIZING"}, None, "AuthInProgress", "connection '{}' of EventBridge is AUTHORIZING"),
    ({"ConnectionState": "DEAUTHORIZED"}, None, "InvalidConnectionState", "is DEAUTHORIZED"),
    ({"ConnectionState": "FAILED_CONNECTIVITY"}, None, "InvalidPrivateConnectionState", "is FAILED_CONNECTIVITY"),
    ({"AuthorizationType": "MAGIC"}, None, "InvalidConnectionState", "unknown authorization type MAGIC"),
    (refusal("AccessDeniedException"), None, "AccessDenied", "DescribeConnection of events answers AccessDenied"),
    (refusal("ConcurrentModificationException"), None, "ConcurrentModification", "answers Concurrent"),
    (refusal("InternalException"), None, "InternalError", "answers InternalException: no"),
    ({}, refusal("AccessDeniedException"), "AccessDenied", "the secret of connection '{}', and GetSecretValue"),
    ({}, {"username": "hush"}, "InvalidConnectionState", "the secret of connection '{}' has no password"),
    ({}, Reply.of({"SecretString": "hush"}), "InvalidConnectionState", "is no JSON object"),
    (
        {"AuthorizationType": "OAUTH_CLIENT_CREDENTIALS"},
        OAUTH_BY_HTTP,
        "InvalidConnectionState",
        "the authorization endpoint of connection '{}' is none of https",
    ),
]


async def test_one_that_cannot_be_used_is_told() -> None:
    aws = Aws(**{f"c{number}": (described, secret) for number, (described, secret, _, _) in enumerate(UNUSABLE)})
    async with (
        http_server(aws) as there,
        http_server(Reply.of({})) as server,
        Engine.in_memory({"*": f"aws:?http=loopback&endpoint={there.url}"}, region="us-east-1") as engine,
    ):
        for number, (_, _, error, cause) in enumerate(UNUSABLE):
            with pytest.raises(ExecutionFailed) as caught:
                await engine.run(call(server.url, f"c{number}"))
            assert caught.value.error == f"Events.ConnectionResource.{error}"
            assert cause.format(f"c{number}") in str(caught.value.cause)
            assert "hush" not in str(caught.value.cause)
        assert server.asked == []


async def test_what_is_no_secret_may_stand_in_the_description() -> None:
    listed = [{"Key": "Tenant", "Value": "7", "IsValueSecret": False}, {"Key": "Hidden", "IsValueSecret": True}]
    hidden = {"header_parameters": [{"key": "Hidden", "value": "hush", "is_value_secret": True}]}
    secret = {"username": "u", "password": "p", "invocation_http_parameters": hidden}
    aws = Aws(crm=({"AuthParameters": {"InvocationHttpParameters": {"HeaderParameters": listed}}}, secret))
    async with http_server(aws) as there, http_server(Reply.of({})) as server:
        await run(there.url, server.url, "crm")
    assert (server.asked[0].header("tenant"), server.asked[0].header("hidden")) == ("7", "hush")
