"""Whose credentials calls to AWS have: looked up once for all who wait, each role for itself; and at which STS."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import anyio
import pytest

from engine.integrations.aws import Account, AwsClients
from engine.integrations.aws_credentials import Credentials, Identity, NoAnswer
from engine.integrations.aws_endpoints import destination_of, override_of
from engine.integrations.threads import Threads
from tests.integrations.stub_lambda import Asked, Reply, stub_lambda

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integrations.stub_lambda import StubLambda

pytestmark = pytest.mark.anyio

ROLE = "arn:aws:iam::123456789012:role/"
ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>KEY{role}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>{expires}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
DENIED = """<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not you</Message></Error>
<RequestId>r</RequestId></ErrorResponse>"""


@pytest.fixture(autouse=True)
def _configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")


@pytest.fixture
async def threads() -> AsyncIterator[Threads]:
    one = Threads()
    yield one
    one.close()


async def sts(asked: Asked) -> Reply:
    """Gives each role but `denied` keys that are called as it is."""
    role = role_of(asked)
    if role == "denied":
        return Reply(DENIED.encode(), 403, {"Content-Type": "text/xml"})
    return assumed(role)


def assumed(role: str, expires: str = "2099-01-01T00:00:00Z") -> Reply:
    return Reply(ASSUMED.format(role=role, expires=expires).encode(), headers={"Content-Type": "text/xml"})


def role_of(asked: Asked) -> str:
    return parse_qs(asked.body.decode())["RoleArn"][0].rpartition("/")[2]


def roles_asked(stub: StubLambda) -> list[str]:
    return [role_of(asked) for asked in stub.asked if asked.body.startswith(b"Action=AssumeRole")]


def identity(role: str, stub: StubLambda) -> Identity:
    return Identity(role_arns=(ROLE + role,), region="us-east-1", sts_url=stub.url)


async def gathered(credentials: Credentials, wanted: list[Identity]) -> list[str]:
    """The key that each gets, or why it gets none."""
    got = [""] * len(wanted)

    async def one(number: int) -> None:
        try:
            got[number] = (await credentials.of(wanted[number])).access_key
        except NoAnswer as error:
            got[number] = str(error)

    async with anyio.create_task_group() as group:
        for number in range(len(wanted)):
            group.start_soon(one, number)
    return got


async def test_many_tasks_assume_a_role_once(threads: Threads) -> None:
    async with stub_lambda(sts) as stub:
        credentials = Credentials(threads)
        assert await gathered(credentials, [identity("a", stub)] * 30) == ["KEYa"] * 30
        assert await gathered(credentials, [identity("a", stub)] * 3) == ["KEYa"] * 3
    assert roles_asked(stub) == ["a"]


async def test_a_role_that_may_not_be_assumed_fails_all_who_wait_and_no_other_role(threads: Threads) -> None:
    async with stub_lambda(sts) as stub:
        credentials = Credentials(threads)
        *denied, other = await gathered(credentials, [*[identity("denied", stub)] * 30, identity("b", stub)])
        assert other == "KEYb"
        assert all("AccessDenied" in one and "not you" in one for one in denied)
        assert sorted(roles_asked(stub)) == ["b", "denied"]
        await gathered(credentials, [identity("denied", stub)])
    assert sorted(roles_asked(stub)) == ["b", "denied", "denied"], "a failure is not kept"


async def test_nobody_waits_for_another_roles_sts(threads: Threads) -> None:
    released = anyio.Event()

    async def answer(asked: Asked) -> Reply:
        if role_of(asked) == "slow":
            await released.wait()
        return await sts(asked)

    async with stub_lambda(answer) as stub, anyio.create_task_group() as group:
        credentials = Credentials(threads)
        for _ in range(20):
            group.start_soon(credentials.of, identity("slow", stub))
        assert await gathered(credentials, [identity("a", stub)]) == ["KEYa"]
        released.set()  # else its thread would go on asking when this test is over


async def test_who_waits_for_one_that_gives_up_asks_itself(threads: Threads) -> None:
    came, answer = anyio.Event(), anyio.Event()

    async def slowly(asked: Asked) -> Reply:
        came.set()
        await answer.wait()
        return await sts(asked)

    async with stub_lambda(slowly) as stub, anyio.create_task_group() as group:
        credentials = Credentials(threads)
        first, got = anyio.CancelScope(), list[str]()

        async def lead() -> None:
            with first:
                await credentials.of(identity("a", stub))

        async def follow() -> None:
            got.append((await credentials.of(identity("a", stub))).access_key)

        group.start_soon(lead)
        await came.wait()
        group.start_soon(follow)
        first.cancel()
        answer.set()
    assert got == ["KEYa"]


@pytest.mark.parametrize(("minutes", "times"), [(60, 1), (12, 1), (5, 3)])
async def test_keys_are_renewed_before_they_end_and_not_for_each_call(
    minutes: int, times: int, threads: Threads
) -> None:
    async def answer(asked: Asked) -> Reply:
        return assumed(role_of(asked), (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat())

    async with stub_lambda(answer) as stub:
        credentials = Credentials(threads)
        for _ in range(3):
            assert (await credentials.of(identity("a", stub))).access_key == "KEYa"
    assert len(stub.asked) == times


async def test_while_sts_is_away_keys_serve_as_long_as_they_are_good(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.integrations.aws_credentials._AGAIN_SECONDS", 0)

    async def answer(asked: Asked) -> Reply:
        if len(stub.asked) == 1:
            return assumed(role_of(asked), (datetime.now(UTC) + timedelta(minutes=12)).isoformat())
        return Reply(b"", 500)

    async with stub_lambda(answer) as stub:
        credentials = Credentials(threads)
        for _ in range(3):
            assert (await credentials.of(identity("a", stub))).access_key == "KEYa"
    assert len(stub.asked) > 1, "it was asked again"


async def test_a_role_of_a_role_is_assumed_with_the_firsts_keys(threads: Threads) -> None:
    async with stub_lambda(sts) as stub:
        both = identity("a", stub)._replace(role_arns=(f"{ROLE}a", f"{ROLE}b"))
        assert (await Credentials(threads).of(both)).access_key == "KEYb"
    assert roles_asked(stub) == ["a", "b"]
    assert "Credential=KEYa/" in stub.asked[1].headers["authorization"]


async def test_services_share_the_keys_of_a_role_and_an_emulator_is_asked_for_them(threads: Threads) -> None:
    async def answer(asked: Asked) -> Reply:
        return await sts(asked) if asked.body.startswith(b"Action=AssumeRole") else Reply(b"{}")

    async with stub_lambda(answer) as stub:
        clients = AwsClients(threads)
        for service, action in (("sqs", "ListQueues"), ("dynamodb", "ListTables"), ("sqs", "ListQueues")):
            account = Account(service, endpoint_url=stub.url, role_arns=(f"{ROLE}a",))
            await (await clients.calls(account, "us-east-1")).call(action, {})
        await clients.close()
    assert roles_asked(stub) == ["a"]
    assert ["KEYa" in asked.headers["authorization"] for asked in stub.asked] == [False, True, True, True]


async def test_another_sts_may_be_configured(threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stub_lambda(Reply(b"{}")) as stub, stub_lambda(sts) as other:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", other.url)
        clients = AwsClients(threads)
        account = Account("sqs", endpoint_url=stub.url, role_arns=(f"{ROLE}a",))
        await (await clients.calls(account, "us-east-1")).call("ListQueues", {})
        await clients.close()
    assert (roles_asked(stub), roles_asked(other)) == ([], ["a"])


async def test_keys_do_not_stand_in_what_is_logged_of_them(threads: Threads) -> None:
    credentials = Credentials(threads)
    assert (await credentials.of(Identity())).secret_key == "SECRET"
    assert "SECRET" not in repr(credentials) + str(vars(credentials)) + repr(Identity())


# ── endpoints ───────────────────────────────────────────────────────────────────────────────────────────────────────


SERVICES = (
    "[default]\nservices = mine\nendpoint_url = http://profile\n[services mine]\nsfn =\n  endpoint_url = http://sfn\n"
)


@pytest.mark.parametrize(
    ("environment", "configured", "service", "url"),
    [
        ({}, "", "s3", None),
        ({"AWS_ENDPOINT_URL": "http://all"}, "", "s3", "http://all"),
        ({"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_S3": "http://s3"}, "", "s3", "http://s3"),
        ({"AWS_ENDPOINT_URL_SFN": "http://sfn"}, "", "stepfunctions", "http://sfn"),
        ({"AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": "http://logs"}, "", "logs", "http://logs"),
        ({"AWS_ENDPOINT_URL_S3": "http://s3"}, "", "sqs", None),
        ({}, SERVICES, "stepfunctions", "http://sfn"),
        ({}, SERVICES, "s3", "http://profile"),
        ({"AWS_ENDPOINT_URL": "http://all"}, SERVICES, "stepfunctions", "http://all"),
        ({"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "AWS_ENDPOINT_URL": "http://all"}, SERVICES, "s3", None),
        ({}, SERVICES + "[profile p]\nignore_configured_endpoint_urls = true\n", "s3", "http://profile"),
    ],
)
def test_endpoints_are_configured_as_for_other_tools_of_aws(
    environment: dict[str, str],
    configured: str,
    service: str,
    url: str | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from botocore.session import Session

    (tmp_path / "config").write_text(configured)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert override_of(Session(), service) == url
    client = Session().create_client(service, region_name="us-east-1")
    assert client.meta.endpoint_url.startswith(url or "https://"), "botocore itself agrees"


@pytest.mark.parametrize(
    ("account", "place"),
    [
        (Account("sqs"), "AWS"),
        (Account("s3"), "http://minio.test"),
        (Account("sns"), None),
        (Account("s3", endpoint_url="http://127.0.0.1:5000"), None),
        (Account("s3", endpoint_url="https://elsewhere.test"), "https://elsewhere.test"),
        (Account("s3", profile="nowhere"), "AWS"),
    ],
)
def test_where_calls_go_is_told(account: Account, place: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://minio.test")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", "http://localhost:4566")
    assert destination_of(account) == place
