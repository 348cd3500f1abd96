"""Every action of every service of AWS's SDK, called once well and once badly, behind a transport that sends nothing.

python -m tests.integrations.sdk_sweep              all of them, some minutes
python -m tests.integrations.sdk_sweep s3 ec2       those of these services
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from botocore.loaders import Loader
from moto.core.model import ServiceModel
from moto.core.serialize import get_serializer_class

from engine.asl.sdk_actions import sdk_service, sdk_services
from engine.integrations.aws import Account, AwsClients, HttpAnswer
from engine.integrations.aws_members import Unusable, shown, wire
from engine.integrations.aws_names import sdk_member
from engine.integrations.aws_sdk import operation_model
from engine.integrations.threads import Threads
from engine.jsonvalue import encode

if TYPE_CHECKING:
    from collections.abc import Iterable

MOMENT = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
WRITTEN = "2024-05-06T07:08:09Z"
DEPTH_MAX = 4
ARN = "arn:aws:kinesis:us-east-1:123456789012:stream/name"
UNSERIALIZED = "smithy-rpc-v2-cbor"
"""moto answers in no protocol of that name: answers are empty then."""


class Transport:
    """Answers with what it was told to, and keeps the last request. `AwsClients.send` is one."""

    def __init__(self) -> None:
        self.answer = HttpAnswer(200, [], b"")
        self.request: tuple[str, str, dict[str, str], bytes] | None = None

    async def __call__(self, method: str, url: str, headers: Any, body: bytes, route: Any) -> HttpAnswer:
        self.request = (method, url, dict(headers), body)
        return self.answer


class Example:
    """A value of a shape in three spellings: the Task's, botocore's request, botocore's answer."""

    def __init__(self, *, is_request: bool) -> None:
        self._is_request = is_request

    def of(self, shape: Any, depth: int = 0) -> tuple[Any, Any]:
        """(as the Task has it, as botocore has it)."""
        if getattr(shape, "is_document_type", False):
            return {"Any": [1, "x"]}, {"Any": [1, "x"]}
        match shape.type_name:
            case "structure":
                task, api = {}, {}
                for name, member in shape.members.items():
                    if self._is_left_out(name, member, shape, depth):
                        continue
                    one, other = self.of(member, depth + 1)
                    if one not in ({}, [], [{}], [[]]):
                        task[sdk_member(name)], api[name] = one, other
                return task, api
            case "list":
                task, api = self.of(shape.member, depth + 1)
                return [task], [api]
            case "map":
                task, api = self.of(shape.value, depth + 1)
                key = (getattr(shape.key, "enum", None) or ["a_Key"])[0]
                return {key: task}, {key: api}
            case "string" | "char":
                word = ARN if shape.name.lower().endswith("arn") else self._word(shape)
                return word, word
            case "blob":
                return ({"a": 1}, encode({"a": 1})) if self._is_request else ("text ä", "text ä".encode())
            case "timestamp":
                return WRITTEN, MOMENT
            case "boolean":
                return True, True
            case "integer" | "long":
                number = 200 if shape.serialization.get("location") == "statusCode" else 5
                return number, number
            case _:
                return 1.5, 1.5

    @staticmethod
    def _word(shape: Any) -> str:
        enum = getattr(shape, "enum", None)
        return enum[0] if enum else "abcdefghijklmnopqrstuvwxyz0123456789"[: max(3, shape.metadata.get("min", 3))]

    @staticmethod
    def _is_left_out(name: str, member: Any, shape: Any, depth: int) -> bool:
        is_needed = name in shape.required_members
        if getattr(shape, "is_tagged_union", False):
            return name != next(iter(shape.members))
        if depth >= DEPTH_MAX and member.type_name in ("list", "map"):
            return True
        if depth >= DEPTH_MAX and member.type_name == "structure" and not is_needed:
            return True
        return depth > 3 * DEPTH_MAX or getattr(member, "is_eventstream", False)


async def sweep(tokens: Iterable[str]) -> tuple[int, list[str]]:
    """How many actions were called, and what was wrong with which."""
    threads = Threads()
    clients = AwsClients(threads)
    transport = clients.send = Transport()  # type: ignore[method-assign]
    count, wrong = 0, []
    try:
        for token in tokens:
            service = sdk_service(token)
            assert service is not None
            if service.client == "-":
                continue
            calls = await clients.calls(Account(service.client, region="us-east-1"), "us-east-1")
            for action in sorted(service.actions):
                count += 1
                try:
                    await _try(calls, transport, action)
                except Exception as error:  # noqa: BLE001  all of them are told
                    wrong.append(f"{token}:{action}: {type(error).__name__}: {error}"[:300])
            clients._calls.clear()
    finally:
        threads.close()
    return count, wrong


async def _try(calls: Any, transport: Transport, action: str) -> None:
    model = operation_model(calls, action[:1].upper() + action[1:])
    arguments, expected = ({}, {}) if model.input_shape is None else Example(is_request=True).of(model.input_shape)
    members = wire(arguments, model.input_shape)
    assert members == expected, f"{members} != {expected}"
    with pytest.raises(Unusable, match="The field 'NoSuchMember' is not supported by Step Functions"):
        wire({**arguments, "NoSuchMember": 1}, model.input_shape)
    result, output = None, {}
    if model.output_shape is not None:
        result, output = Example(is_request=False).of(model.output_shape)
    if model.service_model.resolved_protocol == UNSERIALIZED:
        result = {}
        transport.answer = HttpAnswer(200, [("smithy-protocol", "rpc-v2-cbor")], b"\xa0")
    else:
        transport.answer = _answer(model, output)
    answered = await calls.call(model.name, members)
    assert transport.request is not None
    _, url, headers, _ = transport.request
    assert url.startswith("https://"), url
    assert "{" not in url, url
    assert any(name.lower() == "host" for name in headers)
    assert not answered.is_refused
    if model.output_shape is not None:
        task = shown(answered.parsed, model.output_shape, sdk_member)
        assert task == result, f"{task} != {result}"


def _answer(model: Any, output: Any) -> HttpAnswer:
    service = model.service_model
    serializer = get_serializer_class(service.service_name, service.resolved_protocol)
    response = serializer(_moto_model(service.service_name).operation_model(model.name)).serialize(output)
    body = response["body"]
    for name, member in ({} if model.output_shape is None else model.output_shape.members).items():
        if member.serialization.get("name", "").lower() == "content-type" and name in output:
            response["headers"]["Content-Type"] = output[name]
    return HttpAnswer(
        200,
        [(name, str(value)) for name, value in response["headers"].items()],
        body if isinstance(body, bytes) else str(body).encode(),
    )


@lru_cache(maxsize=1)
def _moto_model(client: str) -> Any:
    return ServiceModel(Loader().load_service_model(client, "service-2"), client)


if __name__ == "__main__":
    swept, found = anyio.run(sweep, sys.argv[1:] or sdk_services())
    sys.stdout.write("".join(f"{line}\n" for line in found) + f"{swept} actions, {len(found)} wrong\n")
    sys.exit(1 if found else 0)
