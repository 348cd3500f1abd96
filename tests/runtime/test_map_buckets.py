"""Whether the files of a Distributed Map may be in S3, and whose credentials read and write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import engine
from engine.integrations.registry import Handlers
from engine.interpreter.snapshot import MapRole
from engine.runtime.map_buckets import s3_of
from tests.definitions import machine
from tests.driver import execution_of
from tests.events.conftest import aws
from tests.runtime.map_run_suite import mapped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.interpreter.snapshot import Execution

__all__ = ["aws"]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

GET = "arn:aws:states:::s3:getObject"
PUT = "arn:aws:states:::s3:putObject"
S3_RULE = "arn:aws:states:::s3:*"
READER = {"Resource": GET, "ReaderConfig": {"InputType": "JSONL"}, "Parameters": {"Bucket": "data", "Key": "a.jsonl"}}
WRITER = {"Resource": PUT, "Parameters": {"Bucket": "data", "Prefix": "out"}}
ROLE = "arn:aws:iam::123456789012:role/files"


@pytest.fixture
def url(aws: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of an S3 with a file, which nobody is told of by the environment."""
    client = aws("s3")
    client.create_bucket(Bucket="data")
    client.put_object(Bucket="data", Key="a.jsonl", Body=b"1\n2\n")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    return str(client.meta.endpoint_url)


async def run(rules: Mapping[str, str], **fields: Any) -> Any:
    async with engine.Engine.in_memory(rules) as opened:
        return await opened.run(machine(mapped("EXPRESS", {"Type": "Pass"}, **fields)), [1, 2])


@pytest.mark.parametrize("rules", [{}, {"*": "mock:{}"}], ids=["no rule", "a mock for all"])
@pytest.mark.parametrize(
    ("fields", "error"),
    [({"ItemReader": READER}, "States.ItemReaderFailed"), ({"ResultWriter": WRITER}, "States.ResultWriterFailed")],
)
async def test_nobody_calls_s3_unasked(
    url: str, monkeypatch: pytest.MonkeyPatch, rules: dict[str, str], fields: dict[str, Any], error: str
) -> None:
    monkeypatch.setattr("botocore.endpoint.URLLib3Session.send", lambda *_: pytest.fail("it was called"))
    with pytest.raises(engine.ExecutionFailed, match=error) as failed:
        await run(rules, **fields)
    assert "S3 may not be called from here: allow it with --allow-aws" in (failed.value.cause or "")


async def test_a_rule_says_where_the_files_are(url: str) -> None:
    at = f"aws:?endpoint={url}"
    assert await run({S3_RULE: at}, ItemReader=READER) == [1, 2]
    assert await run({GET: at, "*": "mock:{}"}, ItemReader=READER) == [1, 2]
    assert await run({"Each": at}, ItemReader=READER) == [1, 2]
    exported = await run({S3_RULE: at}, ItemReader=READER, ResultWriter=WRITER)
    assert exported["ResultWriterDetails"]["Bucket"] == "data"


async def test_an_endpoint_that_is_configured_needs_no_rule(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
    assert await run({"*": "mock:{}"}, ItemReader=READER) == [1, 2]


async def test_a_member_that_a_listing_does_not_take_is_refused(url: str) -> None:
    lister = {"Resource": "arn:aws:states:::s3:listObjectsV2", "Parameters": {"Bucket": "data", "Key": "a.jsonl"}}
    with pytest.raises(engine.ExecutionFailed, match=r"States\.ItemReaderFailed") as failed:
        await run({S3_RULE: f"aws:?endpoint={url}"}, ItemReader=lister)
    assert 'Unknown parameter in input: "Key"' in (failed.value.cause or "")


def map_run() -> Execution:
    machine_arn = "arn:aws:states:us-east-1:123456789012:stateMachine:M/L"
    return execution_of(state_machine_arn=machine_arn, map=MapRole("RUN", "Each", 0, "r"))


def signed_by(client: Any) -> str:
    """A request, with the access key that signed it."""
    return str(client.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": "a.jsonl"}))


def test_the_role_of_a_rule_is_assumed(url: str) -> None:
    own = s3_of(Handlers({S3_RULE: f"aws:?endpoint={url}"}), map_run(), GET)("us-east-1")
    assumed = s3_of(Handlers({S3_RULE: f"aws:?endpoint={url}&role={ROLE}"}), map_run(), GET)("us-east-1")
    assert "ASIA" not in signed_by(own)
    assert "ASIA" in signed_by(assumed)  # what STS gives begins so
    assert assumed.get_object(Bucket="data", Key="a.jsonl")["Body"].read() == b"1\n2\n"


def test_rules_that_are_wrapped_lead_to_the_same_place(url: str) -> None:
    wrapped = Handlers({S3_RULE: f"aws:?endpoint={url}"}).wrapped(lambda handler: handler)
    assert s3_of(Handlers(wrapped), map_run(), GET)("us-east-1").meta.endpoint_url == url
    wrapped = Handlers({}).wrapped(lambda handler: handler)
    wrapped.call_aws(is_allowed=True)
    assert s3_of(wrapped, map_run(), GET)("eu-west-1").meta.endpoint_url.endswith("amazonaws.com")
