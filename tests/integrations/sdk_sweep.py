"""Every action of every service of AWS's SDK as a Task, behind a transport that sends nothing: called well, answered
well, refused, and called badly in three ways.

python -m tests.integrations.sdk_sweep              all of them, some minutes
python -m tests.integrations.sdk_sweep s3 ec2       those of these services
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import anyio

from engine.asl.resource import parse_resource
from engine.asl.sdk_actions import SdkService, sdk_service, sdk_services
from engine.errors import StatesError
from engine.integrations.aws import Account, AwsClients, HttpAnswer
from engine.integrations.aws_members import wire
from engine.integrations.aws_names import exception_name, sdk_member
from engine.integrations.aws_sdk import operation_model, sdk_answer
from engine.integrations.request import TaskRequest
from engine.integrations.threads import Threads
from engine.jsonvalue import encode, text
from tests.integrations.sdk_answers import answer_of, refusal_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOMENT = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
WRITTEN = "2024-05-06T07:08:09Z"
DEPTH_MAX = 4

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "SECRET"} | {
    f"AWS_BEARER_TOKEN_{name}": "token" for name in ("CODECATALYST", "ACCOUNT_ACCESS", "SSO")
}
"""What a sweep needs: a few services take tokens alone."""

_SIGV4A = "its signature is one that only botocore[crt] makes; without it the Task fails and says so"

EXCEPTIONS = {
    **{
        f"cloudfrontkeyvaluestore:{action}": _SIGV4A
        for action in ("deleteKey", "describeKeyValueStore", "getKey", "listKeys", "putKey", "updateKeys")
    },
    "s3:getBucketNotification": "Event and Events are the same elements of its answer, so one of them is left out",
}
"""Actions that are not called well, and why; at most ten."""

_ACCOUNT = "arn:aws:kinesis:us-east-1:123456789012"
_WORDS = {
    "BucketName": "bucket",
    "ChannelARN": f"{_ACCOUNT}:channel/name",
    "QueueARN": f"{_ACCOUNT}:queue/name",
    "KvsARN": "arn:aws:cloudfront::123456789012:key-value-store/name",
    "VipURL": "https://realtime.machinelearning.us-east-1.amazonaws.com",
}
"""Texts that become part of the address, by their shape's name: botocore looks into them."""

_UNSIGNABLE = {(f"{action}Request", "EndpointId") for action in ("PutEvents", "SendEmail", "SendBulkEmail")}
"""Members of structures with which a request needs such a signature as well."""


class Transport:
    """Answers with what it was told to, and keeps the last request. `AwsClients.send` is one."""

    def __init__(self) -> None:
        self.answer = HttpAnswer(200, [], b"")
        self.request: tuple[str, str, dict[str, str], bytes] | None = None

    async def __call__(self, method: str, url: str, headers: Any, body: bytes, route: Any) -> HttpAnswer:
        self.request = (method, url, dict(headers), body)
        return self.answer


class Example:
    """A value of a shape in two spellings: the Task's, and botocore's."""

    def __init__(self, *, is_request: bool) -> None:
        self._is_request = is_request

    def of(self, shape: Any, path: tuple[str, ...] = ()) -> tuple[Any, Any]:
        """(as the Task has it, as botocore has it). `path`: names of the structures that it is in."""
        if getattr(shape, "is_document_type", False):
            return {"Any": [1, "x"]}, {"Any": [1, "x"]}
        if shape.serialization.get("jsonvalue"):
            return '{"a":[1]}', {"a": [1]}
        match shape.type_name:
            case "structure":
                return self._structure(shape, (*path, shape.name))
            case "list":
                task, api = self.of(shape.member, path)
                return [task], [api]
            case "map":
                task, api = self.of(shape.value, path)
                key = (getattr(shape.key, "enum", None) or ["a_Key"])[0]
                return {key: task}, {key: api}
            case "string" | "char":
                word = self._word(shape)
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

    def _structure(self, shape: Any, path: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
        members = shape.members
        if getattr(shape, "is_tagged_union", False):
            straight = [name for name in members if not _leads_back(members[name], path)]
            members = {name: members[name] for name in straight[:1]}
        task, api = {}, {}
        for name, member in members.items():
            if self._is_left_out(name, member, shape, path):
                continue
            one, other = self.of(member, path)
            if one not in ({}, [], [{}], [[]]):
                task[sdk_member(name, shape.name)], api[name] = one, other
        return task, api

    @staticmethod
    def _word(shape: Any) -> str:
        if shape.name in _WORDS:
            return _WORDS[shape.name]
        if shape.name.lower().endswith("arn"):
            return f"{_ACCOUNT}:stream/name"
        enum = getattr(shape, "enum", None)
        return enum[0] if enum else "abcdefghijklmnopqrstuvwxyz0123456789"[: max(3, shape.metadata.get("min", 3))]

    def _is_left_out(self, name: str, member: Any, shape: Any, path: tuple[str, ...]) -> bool:
        if _leads_back(member, path) or getattr(member, "is_eventstream", False):
            return True
        if (shape.name, name) in _UNSIGNABLE:
            return True
        is_needed = name in shape.required_members
        return len(path) > DEPTH_MAX and member.type_name in ("list", "map", "structure") and not is_needed


def _leads_back(shape: Any, path: tuple[str, ...]) -> bool:
    """Whether a member's structure is one that it is in."""
    while shape.type_name in ("list", "map"):
        shape = shape.member if shape.type_name == "list" else shape.value
    return shape.type_name == "structure" and shape.name in path


async def sweep(wanted: Mapping[str, Iterable[str] | None]) -> tuple[int, list[str]]:
    """How many actions were called, and what was wrong with which.

    `wanted`: actions by service; None: all that it has.
    """
    threads = Threads()
    count, wrong = 0, []
    try:
        for token, actions in wanted.items():
            service = sdk_service(token)
            assert service is not None
            if service.client == "-":
                continue
            clients = AwsClients(threads)
            transport = clients.send = Transport()  # type: ignore[method-assign]
            for action in sorted(service.actions if actions is None else actions):
                count += 1
                if f"{token}:{action}" in EXCEPTIONS:
                    continue
                try:
                    await _Sweeper(clients, transport, token, service, action).all()
                except Exception as error:  # noqa: BLE001  all of them are told
                    wrong.append(f"{token}:{action}: {type(error).__name__}: {error}"[:600])
    finally:
        threads.close()
    return count, wrong


class _Sweeper:
    """Calls one action in all ways."""

    def __init__(self, clients: AwsClients, transport: Transport, token: str, service: SdkService, action: str) -> None:
        self._clients = clients
        self._transport = transport
        self._service = service
        self._arn = f"arn:aws:states:::aws-sdk:{token}:{action}"
        self._operation = action[:1].upper() + action[1:]

    async def all(self) -> None:
        """Raises AssertionError, or whatever went wrong."""
        account = Account(self._service.client, region="us-east-1")
        calls = await self._clients.calls(account, "us-east-1")
        model = operation_model(calls, self._operation)
        arguments, members = {}, {}
        if model.input_shape is not None:
            arguments, members = Example(is_request=True).of(model.input_shape)
        await self._well(model, arguments, members)
        await self._refused(model, arguments)
        await self._badly(model, arguments)

    async def _task(self, arguments: Any) -> Any:
        resource = parse_resource(self._arn)
        assert resource is not None
        request = TaskRequest(
            execution_arn="arn:aws:states:us-east-1:123456789012:execution:m:e",
            execution_name="e",
            state="S",
            resource=resource,
            arguments=arguments,
            attempt=0,
            entered=2,
            redrive_count=0,
            region="us-east-1",
            account_id="123456789012",
            task_token=None,
            deadline=None,
            heartbeat_seconds=None,
            role_arn=None,
        )
        self._transport.request = None
        return (await sdk_answer(request, Account(""), SimpleNamespace(aws=self._clients))).output

    async def _well(self, model: Any, arguments: Any, members: Any) -> None:
        assert wire(arguments, model.input_shape) == members
        result, output = {}, {}
        if model.output_shape is not None:
            result, output = Example(is_request=False).of(model.output_shape)
        self._transport.answer = answer_of(model, output)
        task = await self._task(arguments)
        assert task == result, f"{text(task)} != {text(result)}"
        assert self._transport.request is not None
        method, url, headers, _ = self._transport.request
        assert method.isupper()
        assert url.startswith("https://"), url
        assert "{" not in url, url
        assert "host" in {name.lower() for name in headers}

    async def _refused(self, model: Any, arguments: Any) -> None:
        for shape in model.error_shapes[:1]:
            self._transport.answer = refusal_of(model, shape)
            error = await self._failure(arguments)
            name = exception_name(shape.name, self._service.prefix)
            assert error.error == f"{self._service.prefix}.{name}", error.error
            assert str(error.cause).endswith(") (SDK Attempt Count: 1)"), error.cause

    async def _badly(self, model: Any, arguments: dict[str, Any]) -> None:
        self._transport.answer = answer_of(model, {}) if model.output_shape is None else HttpAnswer(500, [], b"")
        error = await self._failure({**arguments, "NoSuchMember": 1})
        assert error.error == "States.Runtime", error.error
        assert 'The field "NoSuchMember" is not supported by Step Functions' in str(error.cause)
        assert self._transport.request is None
        for name, member in ({} if model.input_shape is None else model.input_shape.members).items():
            wrong = _of_another_type(member)
            if wrong is not None:
                error = await self._failure({**arguments, sdk_member(name, model.input_shape.name): wrong})
                assert error.error == "States.Runtime", f"{name}: {error.error}: {error.cause}"
                assert self._transport.request is None
                break
        found = await self._end({})
        expected = ("States.Runtime", f"{self._service.prefix}.")
        assert not isinstance(found, StatesError) or str(found.error).startswith(expected), f"no members: {found}"

    async def _failure(self, arguments: Any) -> StatesError:
        found = await self._end(arguments)
        assert isinstance(found, StatesError), f"it gave {text(found)[:80]}"
        return found

    async def _end(self, arguments: Any) -> Any:
        try:
            return await self._task(arguments)
        except StatesError as error:
            return error


def _of_another_type(shape: Any) -> Any:
    """A value that the shape cannot have; None: it takes any."""
    if getattr(shape, "is_document_type", False) or shape.serialization.get("jsonvalue"):
        return None
    match shape.type_name:
        case "structure" | "map":
            return [1]
        case "list":
            return {"a": 1}
        case "blob":
            return None
        case "string" | "char":
            return True
        case _:
            return "no such value"


if __name__ == "__main__":
    os.environ.update(ENVIRONMENT)
    swept, found = anyio.run(sweep, dict.fromkeys(sys.argv[1:] or sdk_services()))
    told = [f"{name}: not called: {why}" for name, why in EXCEPTIONS.items()]
    sys.stdout.write("".join(f"{line}\n" for line in [*told, *found]) + f"{swept} actions, {len(found)} wrong\n")
    sys.exit(1 if found else 0)
