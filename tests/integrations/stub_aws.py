"""An endpoint that is every service of the table of optimised integrations: it takes jobs, and tells how they stand.

What it does follows from the rows and from botocore's models, so that a row that is new is a service that is new:

    async with stub_aws() as aws:
        rules = {"*": f"aws:?endpoint={aws.url}"}
        ...
        aws.jobs[0].standing = "good"

A request's service is read off its signature, its action as the service's protocol has it. What is no job is answered
with a made-up answer that has every member.
"""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, unquote

from botocore.loaders import Loader
from botocore.model import ServiceModel
from moto.core.model import ServiceModel as MotoModel
from moto.core.serialize import get_serializer_class

from engine.integrations.aws_members import wire
from engine.integrations.optimised import SERVICES
from engine.integrations.optimised_wrappers import at
from tests.integrations.sdk_sweep import Example
from tests.integrations.stub_lambda import Asked, Reply, stub_lambda

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from engine.integrations.optimised_rows import Job, Service

Standing = Literal["running", "good", "bad", "unknown"]

_SCOPE = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request")
_SIGNED_AS = {"elasticmapreduce": "emr"}
"""Names in signatures that are not the client's."""


@dataclass
class StubJob:
    """A job that was begun.

    Attributes:
        row: Service and action.
        names: What it is known by.
        members: Of the request that began it, as they came.
        standing: How it stands.
        is_stopped: It was asked to stop.
    """

    row: tuple[str, str]
    names: dict[str, Any]
    members: dict[str, Any]
    standing: Standing = "running"
    is_stopped: bool = False


_USUAL: dict[str, dict[str, Any]] = {
    "PutEvents": {"Entries": [{"EventId": "e"}], "FailedEntryCount": 0},
    "BatchDeleteBuilds": {"buildsDeleted": ["b"], "buildsNotDeleted": []},
    "DeleteBuildBatch": {"statusCode": "DELETED", "buildsDeleted": ["b"], "buildsNotDeleted": []},
    "ListInstanceFleets": {"InstanceFleets": [{"Id": "if-1", "Name": "group"}]},
    "ListInstanceGroups": {"InstanceGroups": [{"Id": "ig-1", "Name": "group"}]},
}
"""Answers that a made-up one could not stand for: all of it has gone well, and what is looked up is there."""


@dataclass
class StubAws:
    """Attributes: `url`; `jobs` in the order in which they began; `asked`: service and operation of each request."""

    url: str = ""
    jobs: list[StubJob] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    members: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, list[Any]] = field(default_factory=lambda: {name: [answer] for name, answer in _USUAL.items()})
    """Of operations that answer otherwise: what they answer next, and at last always. A Reply or members."""
    tokens: dict[str, StubJob] = field(default_factory=dict)
    answered: dict[str, int] = field(default_factory=dict)
    """Of operations that do what they are asked and do not tell: how many requests are still answered."""

    async def answer(self, asked: Asked) -> Reply:
        client, operation, members = read(asked)
        self.asked.append((client, operation))
        self.members.append(members)
        if operation in self.answers:
            given = self.answers[operation]
            found = given.pop(0) if len(given) > 1 else given[0]
            return found if isinstance(found, Reply) else written(client, operation, found)
        self._stopped(client, operation, members)  # what stops one job may be another: a cluster's deletion is
        told = self._begun(client, operation, members)
        if told is None:
            told = self._told(client, operation, members)
        if told is None:
            _, told = _example(client, operation)
        if operation in self.answered:
            if self.answered[operation] == 0:
                await asyncio.get_running_loop().create_future()  # until the client hangs up
            self.answered[operation] -= 1
        return told if isinstance(told, Reply) else written(client, operation, told)

    # ── jobs ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _begun(self, client: str, operation: str, members: dict[str, Any]) -> dict[str, Any] | None:
        for token, service, action in _rows(client):
            if operation_of(service, action) != operation:
                continue
            how, call = service.jobs[action], service.calls.get(action)
            key = next((members[name] for name in members if name.lower() in _TOKENS), None)
            if key in self.tokens:
                job = self.tokens[key]
            else:
                given = dict(_of_task(service, action, members))
                names = {
                    name: at(given, path) if source == "ARGUMENTS" else f"{name}-{self._number(how, name)}"
                    for name, (source, path) in how.known_by.items()
                }
                job = StubJob((token, action), names, members)
                self.jobs.append(job)
                if key is not None:
                    self.tokens[key] = job
            answer: dict[str, Any] = {}
            for name, (source, path) in how.known_by.items():
                if source == "ANSWER":
                    _put(answer, call.answer[path] if call is not None else path, job.names[name])
            return _spelled(client, operation, answer)
        return None

    def _number(self, how: Job, name: str) -> int:
        """Of a job that begins: its own, but what jobs that are asked about together share is the same for all."""
        return 1 if how.together > 1 and name != how.same[1] else len(self.jobs) + 1

    def _stopped(self, client: str, operation: str, members: dict[str, Any]) -> None:
        for token, service, action in _rows(client):
            how = service.jobs[action]
            if operation == how.stop:
                for job in self._meant(token, action, members, how.stop_with):
                    job.is_stopped = True

    def _told(self, client: str, operation: str, members: dict[str, Any]) -> dict[str, Any] | Reply | None:
        is_question = False
        for token, service, action in _rows(client):
            how = service.jobs[action]
            if operation == how.ask:
                is_question = True
                found = self._meant(token, action, members, how.ask_with)
                if found:
                    return self._standing(client, how, found)
        return refusal("ResourceNotFoundException", "nothing of the name") if is_question else None

    def _meant(self, token: str, action: str, members: dict[str, Any], with_: Mapping[str, str]) -> list[StubJob]:
        lowered = {name.lower(): value for name, value in members.items()}
        mine = [job for job in self.jobs if job.row == (token, action)]
        return [job for job in mine if all(_fits(job, lowered, *pair) for pair in with_.items())]

    def _standing(self, client: str, how: Job, jobs: list[StubJob]) -> dict[str, Any] | Reply:
        if how.gone_is_good and jobs[0].standing == "good":
            return refusal("ResourceNotFoundException", "it is gone")
        items = [self._item(how, job) for job in jobs if job.standing != "unknown"]
        answer: dict[str, Any] = {}
        if how.items:
            _put(answer, how.items, items)
        elif how.output and items:
            _put(answer, how.output, items[0])
        elif items:
            answer = items[0]
        return _spelled(client, how.ask, answer)

    @staticmethod
    def _item(how: Job, job: StubJob) -> dict[str, Any]:
        status = {"running": "IN_WORK", "good": min(how.good, default="GONE"), "bad": min(how.bad, default="")}
        item: dict[str, Any] = {}
        _put(item, how.status, status[job.standing])
        if how.same[0]:
            _put(item, how.same[0], job.names[how.same[1]])
        return item


_TOKENS = ("clienttoken", "clientrequesttoken", "idempotencytoken")


def _fits(job: StubJob, members: dict[str, Any], member: str, name: str) -> bool:
    if name.startswith("'"):
        return True
    given = members.get(member.lower())
    return job.names[name] in (given if isinstance(given, list) else [given])


def _rows(client: str) -> Iterator[tuple[str, Service, str]]:
    for token, service in SERVICES.items():
        if service.client == client:
            for action in service.jobs:
                if action not in service.elsewhere:
                    yield token, service, action


def operation_of(service: Service, action: str) -> str:
    """The API's action behind a Task's."""
    return service.calls[action].operation if action in service.calls else action[:1].upper() + action[1:]


def _of_task(service: Service, action: str, members: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Members of the API as the Task gave them."""
    back = {api: task for task, api in (service.calls[action].given if action in service.calls else {}).items()}
    for name, value in members.items():
        spelled = name[:1].upper() + name[1:]
        if f"{spelled}[]" in back:
            yield back[f"{spelled}[]"], value[0]
        else:
            yield back.get(spelled, spelled), value


def _put(target: dict[str, Any], path: str, value: Any) -> None:
    """Sets what stands at a path such as `Tasks.0.TaskArn`."""
    first, _, rest = path.partition(".")
    if rest.startswith("0"):
        inner = target.setdefault(first, [{}])
        _, _, rest = rest.partition(".")
        if rest:
            _put(inner[0], rest, value)
        else:
            target[first] = [value]
    elif rest:
        _put(target.setdefault(first, {}), rest, value)
    else:
        target[first] = value


def _spelled(client: str, operation: str, answer: dict[str, Any]) -> dict[str, Any]:
    """An answer in the model's spelling."""
    shape = model_of(client).operation_model(operation).output_shape
    return {} if shape is None else wire(answer, shape)


# ── protocols ───────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def model_of(client: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(client, "service-2"), client)


@cache
def _moto_model(client: str) -> Any:
    return MotoModel(Loader().load_service_model(client, "service-2"), client)


def _example(client: str, operation: str) -> tuple[Any, Any]:
    shape = model_of(client).operation_model(operation).output_shape
    return ({}, {}) if shape is None else Example(is_request=False).of(shape)


def read(asked: Asked) -> tuple[str, str, dict[str, Any]]:
    """botocore's name of the service, the operation, and the members as they came."""
    scope = _SCOPE.search(asked.headers["authorization"])
    assert scope is not None, asked
    client = _SIGNED_AS.get(scope[1], scope[1])
    path, _, query = asked.path.partition("?")
    if "x-amz-target" in asked.headers:
        return client, asked.headers["x-amz-target"].rpartition(".")[2], json.loads(asked.body)
    if model_of(client).resolved_protocol == "query":
        form = dict(parse_qsl(asked.body.decode()))
        return client, form.pop("Action"), form
    for one in (client, f"{client}-runtime") if client == "bedrock" else (client,):
        for name in model_of(one).operation_names:
            found = _matched(one, name, asked.method, path)
            if found is not None:
                body = json.loads(asked.body) if asked.body else {}
                return one, name, {**dict(parse_qsl(query)), **found, **(body if isinstance(body, dict) else {})}
    raise AssertionError(f"nothing of {client} is called so: {asked.method} {asked.path}")


def _matched(client: str, operation: str, method: str, path: str) -> dict[str, str] | None:
    model = model_of(client).operation_model(operation)
    if model.http["method"] != method:
        return None
    labels = {}
    if model.input_shape is not None:
        labels = {member.serialization.get("name", name): name for name, member in model.input_shape.members.items()}
    template = model.http["requestUri"].partition("?")[0]
    pattern = re.sub(r"\{(\w+)\+?\}", r"(?P<\1>[^/]+)", template)
    found = re.fullmatch(pattern, path)
    return None if found is None else {labels[name]: unquote(value) for name, value in found.groupdict().items()}


def written(client: str, operation: str, members: dict[str, Any]) -> Reply:
    """An answer in the service's protocol."""
    serializer = get_serializer_class(client, model_of(client).resolved_protocol)
    response = serializer(_moto_model(client).operation_model(operation)).serialize(members)
    body = response["body"]
    headers = {name: str(value) for name, value in response["headers"].items() if name.lower() != "content-length"}
    return Reply(body if isinstance(body, bytes) else str(body).encode(), 200, headers)


def refusal(code: str, message: str, status: int = 400) -> Reply:
    """An error, in the protocols that speak JSON."""
    body = json.dumps({"__type": code, "message": message}).encode()
    return Reply(body, status, {"x-amzn-ErrorType": code})


@asynccontextmanager
async def stub_aws() -> AsyncIterator[StubAws]:
    """One that listens."""
    stub = StubAws()
    async with stub_lambda(stub.answer) as server:
        stub.url = server.url
        yield stub


# ── what a Task gives ───────────────────────────────────────────────────────────────────────────────────────────────

_NUMBERS = count(1)


def arguments_of(token: str, action: str) -> dict[str, Any]:
    """Arguments of a Task that have what its action cannot do without, and names that nobody else uses."""
    service = SERVICES[token]
    call = service.calls.get(action)
    shape = model_of(service.client).operation_model(operation_of(service, action)).input_shape
    number = next(_NUMBERS)
    members = {} if shape is None else _least(shape, number)
    given = dict(_of_task(service, action, members))
    if action in service.jobs:
        for source, path in service.jobs[action].known_by.values():
            if source == "ARGUMENTS":
                given[path] = f"name{number}"
    if call is not None and call.wanted:
        _put(given, call.wanted, value=True)
    if call is not None and call.by_name is not None:
        given |= {"ClusterId": "j-1", call.by_name.member: {}}
        given[call.by_name.name] = "group"
    return given


def _least(shape: Any, number: int) -> Any:
    match shape.type_name:
        case "structure":
            return {name[:1].upper() + name[1:]: _least(shape.members[name], number) for name in shape.required_members}
        case "list":
            return [_least(shape.member, number)]
        case "map":
            return {}
        case "integer" | "long" | "double" | "float":
            return shape.metadata.get("min", 1)
        case "boolean":
            return True
        case "timestamp":
            return "2024-05-06T07:08:09Z"
        case _:
            return (getattr(shape, "enum", None) or [f"word{number}"])[0]
