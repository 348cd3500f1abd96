"""`bedrock:invokeModel`: bodies of the arguments and of S3, against an endpoint that is both services."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from engine import Engine, ExecutionFailed
from tests.aws_environment import without_credentials
from tests.definitions import machine
from tests.integrations.stub_aws import refusal
from tests.integrations.stub_lambda import Asked, Reply, stub_lambda

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

METADATA = {"SdkHttpMetadata", "SdkResponseMetadata"}


class Bedrock:
    """Attributes: `asked` of the model; `objects` of S3; `reply`: the model's."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.objects: dict[str, Reply] = {}
        self.reply = Reply(b'{"completion":"Hello"}', headers={"Content-Type": "application/json"})

    async def __call__(self, asked: Asked) -> Reply:
        if "/bedrock/aws4_request" in asked.headers["authorization"]:
            self.asked.append(asked)
            return self.reply
        if asked.method == "PUT":
            self.objects[asked.path] = Reply(asked.body, headers={"Content-Type": asked.headers["content-type"]})
            return Reply(b"")
        missing = b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"
        return self.objects.get(asked.path, Reply(missing, 404))


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    without_credentials(monkeypatch)


@pytest.fixture
def bedrock() -> Bedrock:
    return Bedrock()


@pytest.fixture
async def url(bedrock: Bedrock) -> AsyncIterator[str]:
    async with stub_lambda(bedrock) as stub:
        yield stub.url


async def result(url: str, **parameters: Any) -> Any:
    task = {"Type": "Task", "Resource": "arn:aws:states:::bedrock:invokeModel", "Parameters": parameters}
    async with Engine.in_memory({"*": f"aws:?endpoint={url}"}, region="us-east-1") as one:
        return await one.run(machine(task))


async def failure(url: str, **parameters: Any) -> tuple[str | None, str]:
    with pytest.raises(ExecutionFailed) as caught:
        await result(url, **parameters)
    return caught.value.error, str(caught.value.cause)


async def test_the_body_is_json_both_ways(bedrock: Bedrock, url: str) -> None:
    found = await result(url, ModelId="anthropic.claude-v2", Body={"prompt": "Hi"}, Accept="*/*")
    assert {"Body": {"completion": "Hello"}, "ContentType": "application/json"}.items() <= found.items()
    assert found.keys() == {"Body", "ContentType", *METADATA}
    (asked,) = bedrock.asked
    assert (asked.path, asked.body) == ("/model/anthropic.claude-v2/invoke", b'{"prompt":"Hi"}')
    assert (asked.headers["content-type"], asked.headers["accept"]) == ("application/json", "*/*")


async def test_an_answer_that_is_no_json_is_its_text(bedrock: Bedrock, url: str) -> None:
    bedrock.reply = Reply("schön".encode(), headers={"Content-Type": "text/plain"})
    found = await result(url, ModelId="m", Body={})
    assert (found["Body"], found["ContentType"]) == ("schön", "text/plain")
    bedrock.reply = Reply(b"\xff\xd8", headers={"Content-Type": "image/jpeg"})
    error, cause = await failure(url, ModelId="m", Body={})
    assert error == "States.Runtime"
    assert "Output" in cause


async def test_bodies_may_be_in_s3(bedrock: Bedrock, url: str) -> None:
    bedrock.objects["/in/a/prompt.txt"] = Reply(b"Hi", headers={"Content-Type": "text/plain"})
    bedrock.reply = Reply(b"\xff\xd8", headers={"Content-Type": "image/jpeg"})
    places = {"Input": {"S3Uri": "s3://in/a/prompt.txt"}, "Output": {"S3Uri": "s3://out/answer"}}
    found = await result(url, ModelId="m", **places)
    assert (found["Body"], found["ContentType"]) == ("s3://out/answer", "image/jpeg")
    (asked,) = bedrock.asked
    assert (asked.body, asked.headers["content-type"]) == (b"Hi", "text/plain")
    written = bedrock.objects["/out/answer"]
    assert (written.body, written.headers["Content-Type"]) == (b"\xff\xd8", "image/jpeg")


@pytest.mark.parametrize(
    ("given", "finding"),
    [
        ({}, "exactly one of the fields 'Body' and 'Input'"),
        ({"Body": {}, "Input": {"S3Uri": "s3://b/k"}}, "exactly one of the fields 'Body' and 'Input'"),
        ({"Input": {"S3Uri": "https://b/k"}}, "'Input.S3Uri' has an invalid format"),
        ({"Body": {}, "Output": {"S3Uri": "s3://b"}}, "'Output.S3Uri' has an invalid format"),
        ({"Body": {}, "Accept": 1}, "'Accept' must be a STRING"),
    ],
)
async def test_arguments_that_cannot_be_used(bedrock: Bedrock, url: str, given: Any, finding: str) -> None:
    error, cause = await failure(url, ModelId="m", **given)
    assert error == "States.Runtime"
    assert finding in cause
    assert bedrock.asked == []


async def test_the_service_that_refused_is_told(bedrock: Bedrock, url: str) -> None:
    error, cause = await failure(url, ModelId="m", Input={"S3Uri": "s3://in/none"})
    assert error == "S3.NoSuchKeyException"
    assert cause.startswith("The specified key does not exist. (Service: AmazonS3; Status Code: 404; ")
    bedrock.reply = refusal("ValidationException", "Malformed input request")
    error, cause = await failure(url, ModelId="m", Body={"a": 1})
    assert error == "Bedrock.ValidationException"
    assert json.loads(bedrock.asked[0].body) == {"a": 1}
