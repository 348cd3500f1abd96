"""Where calls to AWS go, and what they are sent with; what they carry is tested with the services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from botocore.auth import _host_from_url

from engine.integrations.aws import RESPONSE_BYTES_MAX, Account, AwsClients
from engine.integrations.aws_credentials import NoAnswer
from engine.integrations.threads import Threads
from tests.integrations.stub_lambda import Asked, Reply, stub_lambda
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


KEYS = "aws_access_key_id = a\naws_secret_access_key = b\n"


@pytest.fixture(autouse=True)
def _configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_LAMBDA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")


@pytest.fixture
async def clients() -> AsyncIterator[AwsClients]:
    threads = Threads()
    one = AwsClients(threads)
    yield one
    await one.close()
    threads.close()


@pytest.mark.parametrize(
    ("configured", "account", "endpoint"),
    [
        ("", Account("lambda"), "https://lambda.us-east-2.amazonaws.com"),
        ("", Account("lambda", region="cn-north-1"), "https://lambda.cn-north-1.amazonaws.com.cn"),
        ("[default]\nregion = eu-west-3\n", Account("lambda"), "https://lambda.eu-west-3.amazonaws.com"),
        ("[default]\nuse_fips_endpoint = true\n", Account("lambda"), "https://lambda-fips.us-east-2.amazonaws.com"),
        ("[default]\nendpoint_url = http://all:1\n", Account("lambda"), "http://all:1"),
        (
            "[default]\nservices = s\n[services s]\nlambda =\n  endpoint_url = http://one:2\n",
            Account("lambda"),
            "http://one:2",
        ),
        (f"[profile p]\n{KEYS}endpoint_url = http://p:3\n", Account("lambda", profile="p"), "http://p:3"),
        ("", Account("lambda", endpoint_url="http://given:4/"), "http://given:4"),
    ],
    ids=["AWS's", "China", "a region", "FIPS", "an endpoint", "a service's endpoint", "a profile's", "given"],
)
async def test_the_endpoint_is_the_one_that_other_tools_of_aws_would_use(
    configured, account, endpoint, clients, tmp_path
):
    (tmp_path / "config").write_text(configured)
    client = await clients.client(account, "us-east-2")
    assert client._address.endpoint_url == endpoint


async def test_where_a_service_is_is_looked_up_once_whoever_calls(clients):
    account = Account("lambda", endpoint_url="http://127.0.0.1:1")
    one = await clients.client(account, "us-east-1")
    other = await clients.client(account._replace(role_arns=("arn:aws:iam::123456789012:role/r",)), "us-east-1")
    assert one._address is other._address


async def test_of_very_many_accounts_the_last_are_kept(clients, monkeypatch):
    monkeypatch.setattr("engine.integrations.aws._CLIENTS_MAX", 2)
    for number in range(4):
        await clients.client(Account("lambda", endpoint_url=f"http://127.0.0.1:{number}"), "us-east-1")
    assert [account.endpoint_url for account, _ in clients._clients] == ["http://127.0.0.1:2", "http://127.0.0.1:3"]


async def test_a_connection_that_the_other_side_closed_is_not_used_again(clients):
    async with stub_lambda(Reply.of(1)) as stub:
        client = await clients.client(Account("lambda", endpoint_url=stub.url), "us-east-1")
        await client.send("POST", "/", {}, b"")
        [[idle]] = clients._idle.values()
        await stub.hang_up()
        await until(idle.has_expired)
        assert (await client.send("POST", "/", {}, b"")).status == 200
    assert stub.connections == 2


async def test_after_a_burst_few_connections_are_kept(clients, monkeypatch):
    monkeypatch.setattr("engine.integrations.aws._IDLE_MAX", 3)
    together = anyio.Event()

    async def answer(_asked: Asked) -> Reply:
        if stub.inside == 10:
            together.set()
        await together.wait()
        return Reply.of(1)

    async with stub_lambda(answer) as stub, anyio.create_task_group() as group:
        client = await clients.client(Account("lambda", endpoint_url=stub.url), "us-east-1")
        for _ in range(10):
            group.start_soon(client.send, "POST", "/", {}, b"")
    assert [len(idle) for idle in clients._idle.values()] == [3]


async def test_connections_to_hosts_that_nobody_calls_again_are_closed(clients, monkeypatch):
    monkeypatch.setattr("engine.integrations.aws._IDLE_SECONDS", 0)
    async with stub_lambda(Reply.of(1)) as one, stub_lambda(Reply.of(1)) as other:
        for stub in (one, other):
            client = await clients.client(Account("lambda", endpoint_url=stub.url), "us-east-1")
            await client.send("POST", "/", {}, b"")
        assert int(one.url.rpartition(":")[2]) not in [port for _, _, port, _ in clients._idle]


async def test_an_answer_that_never_stops_is_refused(clients):
    async with stub_lambda(Reply(b" " * (RESPONSE_BYTES_MAX + 1))) as stub:
        client = await clients.client(Account("lambda", endpoint_url=stub.url), "us-east-1")
        with pytest.raises(NoAnswer, match=f"more than {RESPONSE_BYTES_MAX} bytes"):
            await client.send("POST", "/", {}, b"")


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("http://one.test", "one.test"),
        ("http://one.test:80", "one.test"),
        ("https://one.test:443", "one.test"),
        ("https://one.test:80", "one.test:80"),
        ("http://one.test:8080", "one.test:8080"),
    ],
)
async def test_the_host_is_sent_as_it_is_signed(endpoint, host, clients, monkeypatch):
    sent: list[str] = []

    async def send(method: str, url: str, headers: Any, *_: Any) -> None:
        sent.append(headers["Host"])

    monkeypatch.setattr(clients, "send", send)
    client = await clients.client(Account("lambda", endpoint_url=endpoint), "us-east-1")
    await client.send("POST", "/", {}, b"")
    assert sent == [host] == [_host_from_url(f"{endpoint}/")]


@pytest.mark.parametrize("value", ["\u00fc", "a\nb"])
async def test_what_cannot_stand_in_a_header_is_told_and_not_sent(value, clients):
    async with stub_lambda(Reply.of(1)) as stub:
        client = await clients.client(Account("lambda", endpoint_url=stub.url), "us-east-1")
        with pytest.raises(NoAnswer, match="Unable to execute HTTP request"):
            await client.send("POST", "/", {"X-Amz-Client-Context": value}, b"")
    assert stub.asked == []
