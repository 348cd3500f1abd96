"""Requests that call actions of AWS: where they may go, how they are signed, and what cannot be made into one."""

from __future__ import annotations

import importlib.util
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from engine import Engine, ExecutionFailed
from engine.integrations.aws import Account, AwsClients, HttpAnswer
from engine.integrations.aws_credentials import NoAnswer
from engine.integrations.threads import Threads
from tests.aws_environment import with_credentials
from tests.definitions import machine
from tests.integrations.sdk_sweep import Transport
from tests.integrations.stub_lambda import Asked, Reply, stub_lambda

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


def call(resource: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return machine({"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Parameters": parameters})


LIST_QUEUES = call("aws-sdk:sqs:listQueues", {})


@pytest.fixture(autouse=True)
def _configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    with_credentials(monkeypatch)


class Caller:
    """Calls actions behind a transport that sends nothing."""

    def __init__(self) -> None:
        self.threads = Threads()
        self.clients = AwsClients(self.threads)
        self.transport = Transport()
        self.clients.send = self.transport  # type: ignore[method-assign]

    async def call(self, service: str, action: str, *, roles: tuple[str, ...] = (), **members: Any) -> Any:
        """(URL, headers, body) of the request."""
        account = Account(service, region="us-east-1", role_arns=roles)
        calls = await self.clients.calls(account, "us-east-1")
        self.transport.answer = HttpAnswer(200, [], b"<a/>" if "xml" in calls.model.resolved_protocol else b"{}")
        await calls.call(action, members)
        assert self.transport.request is not None
        _, url, headers, body = self.transport.request
        return url, headers, body


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    one = Caller()
    yield one
    one.threads.close()


# ── where requests go ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("service", "action", "members"),
    [
        (
            "neptune-graph",
            "ExecuteQuery",
            {"graphIdentifier": "evil.test/", "language": "OPEN_CYPHER", "queryString": ""},
        ),
        (
            "neptune-graph",
            "ExecuteQuery",
            {"graphIdentifier": "a@evil.test#", "language": "OPEN_CYPHER", "queryString": ""},
        ),
        ("machinelearning", "Predict", {"MLModelId": "m", "Record": {}, "PredictEndpoint": "https://evil.test"}),
        ("s3", "GetObject", {"Bucket": "evil.test/x", "Key": "k"}),
        ("s3", "GetObject", {"Bucket": "arn:aws:s3:evil.test#:123456789012:accesspoint/a", "Key": "k"}),
        ("s3control", "ListJobs", {"AccountId": "evil.test/"}),
        ("events", "PutEvents", {"Entries": [], "EndpointId": "evil.test/"}),
    ],
)
async def test_no_member_leads_a_request_elsewhere(
    service: str, action: str, members: dict[str, Any], caller: Caller
) -> None:
    with pytest.raises(NoAnswer):
        await caller.call(service, action, **members)
    assert caller.transport.request is None


async def test_a_region_from_data_is_no_host(caller: Caller) -> None:
    for region in ("evil.test/", "evil.test#", "a@evil.test"):
        for made in (caller.clients.calls, caller.clients.client):
            with pytest.raises(NoAnswer):
                await made(Account("lambda", region=region), "us-east-1")


async def test_members_that_belong_into_the_host_stand_there(caller: Caller) -> None:
    url, headers, _ = await caller.call("s3", "GetObject", Bucket="bucket", Key="a b/ä")
    assert url == f"https://{headers['Host']}/a%20b/%C3%A4"
    assert headers["Host"] in ("bucket.s3.amazonaws.com", "bucket.s3.us-east-1.amazonaws.com")
    url, _, _ = await caller.call("s3control", "ListJobs", AccountId="123456789012")
    assert url.startswith("https://123456789012.s3-control.us-east-1.amazonaws.com/")


async def test_an_express_bucket_is_called_and_no_session_is_made_for_it(caller: Caller) -> None:
    url, headers, _ = await caller.call("s3", "GetObject", Bucket="mine--use1-az4--x-s3", Key="k")
    assert url == "https://mine--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com/k"
    assert "/s3express/aws4_request" in headers["Authorization"]


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "ü\n"])
async def test_a_header_holds_no_other_header(value: str, caller: Caller) -> None:
    del caller.clients.send  # type: ignore[method-assign]
    account = Account("s3", region="us-east-1", endpoint_url="http://127.0.0.1:9")
    calls = await caller.clients.calls(account, "us-east-1")
    with pytest.raises(NoAnswer, match="Unable to execute HTTP request"):
        await calls.call("PutObject", {"Bucket": "b", "Key": "k", "ContentType": value, "Body": b""})


# ── how they are signed ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_bearer_token_of_the_environment_is_sent(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "TOKEN")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    _, headers, _ = await caller.call("bedrock-runtime", "Converse", modelId="m", messages=[])
    assert headers["Authorization"] == "Bearer TOKEN"


async def test_a_role_is_not_called_as_the_environments_token(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.credentials import ReadOnlyCredentials

    async def assumed(identity: Any) -> ReadOnlyCredentials:
        assert identity.role_arns == ("arn:aws:iam::123456789012:role/r",)
        return ReadOnlyCredentials("KEYr", "s", "t")

    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "TOKEN")
    monkeypatch.setenv("AWS_BEARER_TOKEN_CODECATALYST", "TOKEN")
    monkeypatch.setattr(caller.clients.credentials, "of", assumed)
    roles = ("arn:aws:iam::123456789012:role/r",)
    _, headers, _ = await caller.call("bedrock-runtime", "Converse", roles=roles, modelId="m", messages=[])
    assert headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=KEYr/")
    with pytest.raises(NoAnswer, match="Unable to locate authorization token"):
        await caller.call("codecatalyst", "VerifySession", roles=roles)


@pytest.mark.skipif(importlib.util.find_spec("awscrt") is not None, reason="awscrt is installed")
async def test_a_signature_that_only_the_crt_makes_is_refused_by_name(caller: Caller) -> None:
    with pytest.raises(NoAnswer, match=r"botocore\[crt\]"):
        await caller.call("events", "PutEvents", Entries=[], EndpointId="abcde.veo")


async def test_keys_are_not_kept_by_what_all_callers_share(caller: Caller) -> None:
    await caller.call("sqs", "ListQueues")
    [service] = caller.clients._services.values()
    assert (service._held.credentials, service._held.token) == (None, None)
    with pytest.raises(NoAnswer):
        await caller.call("s3", "GetObject", Bucket={"a": 1}, Key=[])
    assert {one._held.credentials for one in caller.clients._services.values()} == {None}


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_call_is_one_request_whatever_comes_of_it() -> None:
    for reply in (
        Reply(b"{}", 500),
        Reply(b"{}", 503),
        Reply(b'{"__type":"ThrottlingException"}', 400),
        Reply(status=None),
    ):
        async with stub_lambda(reply) as stub:
            error = await failed(stub.url)
            assert str(error.error).startswith("Sqs.")
        assert len(stub.asked) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"<html>", b'{"QueueUrls": 5}', b'{"NextToken": {}}', b"null"])
async def test_an_answer_that_is_none_of_the_services_fails_the_task_or_says_nothing(body: bytes) -> None:
    async with stub_lambda(Reply(body)) as stub, Engine.in_memory({"*": f"aws:?endpoint={stub.url}"}) as engine:
        execution = await engine.start_execution(LIST_QUEUES)
        with suppress(ExecutionFailed):
            await execution.result()
        described = await execution.describe()
    assert described.status == "SUCCEEDED" or described.error == "Sqs.SdkClientException"
    assert len(described.cause or "") < 2_000


async def test_calls_that_wait_for_long_keep_no_other_waiting() -> None:
    inside = anyio.Event()

    async def answer(asked: Asked) -> Reply:
        if b"WaitTimeSeconds" not in asked.body:
            return Reply(b'{"QueueUrls": []}')
        if stub.inside >= 150:
            inside.set()
        await anyio.sleep_forever()
        raise AssertionError

    polls = call("aws-sdk:sqs:receiveMessage", {"QueueUrl": "q", "WaitTimeSeconds": 20})
    async with stub_lambda(answer) as stub, a_single_place(stub.url) as engine:
        for _ in range(150):
            await engine.start_execution(polls)
        await inside.wait()
        assert await engine.run(LIST_QUEUES) == {"QueueUrls": []}


def a_single_place(url: str) -> Engine:
    """An engine that does one Task at a time, of those that work here."""
    return Engine.in_memory({"*": f"aws:?endpoint={url}"}, max_concurrency=1)


async def failed(url: str) -> ExecutionFailed:
    async with Engine.in_memory({"*": f"aws:?endpoint={url}"}) as engine:
        with pytest.raises(ExecutionFailed) as caught:
            await engine.run(LIST_QUEUES)
    return caught.value


# ── memory ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_all_roles_share_a_client_and_regions_share_a_model(caller: Caller) -> None:
    accounts = [
        Account("sqs", region="us-east-1", role_arns=(f"arn:aws:iam::123456789012:role/{n}",)) for n in range(5)
    ]
    accounts.append(Account("sqs", region="eu-west-1"))
    calls = [await caller.clients.calls(account, "us-east-1") for account in accounts]
    assert len({id(one._service) for one in calls}) == 2
    assert len({id(one.model._service_description) for one in calls}) == 1
