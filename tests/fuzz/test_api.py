"""Random requests to every operation of the API, valid and not: an answer or a documented error, no failure of ours.

Requests are made from botocore's service model; what earlier answers named (ARNs, tokens) comes back in later ones. Now
and then the world gets what chance alone would seldom make: an alias that leads somewhere, a Task that waits for an
answer, an Express state machine. So every operation succeeds as well.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from engine import Engine
from engine.api.app import Api
from engine.api.routes import ROUTES
from engine.http.access import Access
from tests.api.asking import ask
from tests.api.test_every_operation import NEVER_SUCCEED
from tests.conformance.api_adapter import service_model
from tests.fuzz.budget import LONG, TIMES
from tests.store.conftest import cluster, url, url_with_tables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from botocore.model import OperationModel, Shape

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3_600 if LONG else 120)]

__all__ = ["cluster", "url", "url_with_tables"]

ROUNDS = {"memory": 40, "postgres": 5}
"""How often every operation is asked in CI."""

LONG_ROUNDS = 14
"""With ASL_FUZZ=long, times TIMES: 20 times this are some 10,000 requests."""

REQUEST_SECONDS_MAX = 10.0

EVERYWHERE = frozenset({"ValidationException", "SerializationException", "InvalidArn"})
"""Errors that the wire answers with, or that AWS gives though its model does not list them with the operation."""

DEFINITIONS = [
    {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}},
    {"StartAt": "A", "States": {"A": {"Type": "Fail", "Error": "E"}}},
    {"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 5, "End": True}}},
    {"StartAt": "B", "States": {}},
]
ARN = "arn:aws:states:us-east-1:123456789012"
TEXTS = ["", "a", "A b", "x" * 90, "\u0000", "\ud7ff", "é", "{}", "[1]", "null", "{", f"{ARN}:activity:nothing", ARN,
         f"{ARN}:stateMachine:nothing", f"{ARN}:execution:nothing:e", "arn:aws:iam::123456789012:role/r", "arn:::::",
         f"{ARN}:mapRun:m/l:1"]  # fmt: skip
OF_ANY_TYPE = [None, True, 0, -1, 1.5, 10**30, "", "text", [], [None], {}, {"a": 1}]


VERSION_ARN = "stateMachineVersionArn"

SPELLED = {
    "resourceArn": ("stateMachineArn", "activityArn"),
    "stateMachineArn": ("stateMachineArn",) * 4 + (VERSION_ARN, "stateMachineAliasArn"),
}
"""Which members of earlier answers a member may name, where it is not its own name alone."""


class Requests:
    """Makes requests, and keeps what the answers named."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._named: dict[str, list[str]] = {}
        self._asked = ""

    def body(self, operation: OperationModel) -> Any:
        """Parameters, or now and then something else."""
        if self._random.random() < 0.02:
            return self._random.choice([b"{", b"\xff", b"[" * 5_000, *OF_ANY_TYPE])
        self._asked = operation.name
        return self._value(operation.input_shape, "")

    def learn(self, answer: Any) -> None:
        """Keeps the ARNs and tokens in an answer."""
        for key, value in answer.items() if isinstance(answer, dict) else ():
            if isinstance(value, str):
                self._named.setdefault(key, []).append(value)
        for value in answer.values() if isinstance(answer, dict) else answer if isinstance(answer, list) else ():
            self.learn(value)

    def _value(self, shape: Shape, name: str) -> Any:
        random = self._random
        if random.random() < 0.01:
            return random.choice(OF_ANY_TYPE)
        if name == "routingConfiguration" and random.random() < 0.7 and (versions := self._known(VERSION_ARN)):
            return [{VERSION_ARN: random.choice(versions), "weight": 100}]
        match shape.type_name:
            case "structure":
                members = shape.members.items()
                required = set(shape.required_members)
                return {
                    key: self._value(member, key)
                    for key, member in members
                    if random.random() < (0.98 if key in required else 0.7 if key == "stateMachineArn" else 0.2)
                }
            case "list":
                return [self._value(shape.member, name) for _ in range(random.randrange(4))]
            case "boolean":
                return random.random() < 0.5
            case "integer" | "long" | "float" | "double":
                return random.choice([0, 1, 2, 50, 100, -1, 1_001, 2**31, 0.5])
            case "timestamp":
                return random.choice([0, 1.5, 2e9])
            case _:
                return self._text(shape, name)

    def _known(self, member: str) -> list[str]:
        """What was named so far that the member may be; for an ARN now and then any."""
        if member.endswith("Arn") and self._random.random() < 0.1:
            return [text for name, texts in self._named.items() if name.endswith("Arn") for text in texts]
        member = self._random.choice(SPELLED.get(member, (member,)))
        return self._named.get(member, [])

    def _text(self, shape: Shape, name: str) -> str:
        random = self._random
        if shape.enum and random.random() < 0.9:
            return random.choice(shape.enum)
        if name == "definition" and random.random() < 0.9:
            is_state = random.random() < (0.7 if self._asked == "TestState" else 0.1)
            return json.dumps({"Type": "Pass", "End": True} if is_state else random.choice(DEFINITIONS))
        known = self._known(name)
        if known and random.random() < 0.9:
            # What is old is over, as a rule.
            return random.choice(known[-5:] if random.random() < 0.7 else known)
        if name in ("input", "output") and random.random() < 0.8:
            return '{"a": [1]}'
        if name == "roleArn" and random.random() < 0.9:
            return "arn:aws:iam::123456789012:role/r"
        return random.choice(TEXTS) if random.random() < 0.6 else f"n{random.randrange(20)}"


def definition_of_work(number: int) -> dict[str, Any]:
    """A Task of an activity."""
    resource = f"{ARN}:activity:work{number}"
    return {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": resource, "End": True}}}


class World:
    """The API of an engine, and what is there to be asked for.

    Attributes:
        app: Answers; polls do not wait.
    """

    def __init__(self, engine: Engine, requests: Requests) -> None:
        self._patient = Api(engine.service, access=Access(now=time.time))
        self.app = Api(engine.service, access=Access(now=time.time))
        self.app.stop_waiting()
        self._requests = requests
        self._number = 0

    async def provide(self) -> None:
        """New ones of what chance would seldom make."""
        self._number += 1
        number, role = self._number, "arn:aws:iam::123456789012:role/r"
        await self._made("CreateActivity", name=f"work{number}")
        for kind, definition in (("EXPRESS", DEFINITIONS[0]), ("STANDARD", definition_of_work(number))):
            given = {"name": f"{kind}{number}", "type": kind, "definition": json.dumps(definition), "roleArn": role}
            made = await self._made("CreateStateMachine", **given, publish=True)
        route = {VERSION_ARN: made[VERSION_ARN], "weight": 100}
        await self._made("CreateStateMachineAlias", name="live", routingConfiguration=[route])
        for _ in range(3):
            await self._made("StartExecution", stateMachineArn=made["stateMachineArn"])
            await self._made("GetActivityTask", activityArn=f"{ARN}:activity:work{number}")
        failed = await self._made("CreateStateMachine", name=f"f{number}", roleArn=role,
                                  definition=json.dumps(DEFINITIONS[1]))  # fmt: skip
        await self._made("StartExecution", stateMachineArn=failed["stateMachineArn"])

    async def _made(self, operation: str, **given: Any) -> Any:
        answer = await ask(self._patient, operation, given)
        assert answer.status == 200, answer
        self._requests.learn(answer.body)
        return answer.body


@asynccontextmanager
async def engine_on(backend: str, url: str | None, seed: int) -> AsyncIterator[Engine]:
    named = {"account_id": "123456789012", "region": "us-east-1"}
    made = Engine.in_memory(clock="virtual", seed=seed, **named) if url is None else Engine(url, handlers={}, **named)
    async with made as engine:
        yield engine


@pytest.mark.parametrize("backend", ["memory", "postgres"])
async def test_every_request_gets_an_answer_or_a_documented_error(backend: str, request: pytest.FixtureRequest) -> None:
    seed = Random().getrandbits(32) if LONG else 20
    random = Random(seed)
    requests = Requests(random)
    model = service_model()
    successes: Counter[str] = Counter()
    url = request.getfixturevalue("url") if backend == "postgres" else None
    async with engine_on(backend, url, seed) as engine:
        world = World(engine, requests)
        for number in range(LONG_ROUNDS * TIMES if LONG else ROUNDS[backend]):
            await world.provide()
            for name in random.sample(sorted(ROUTES), len(ROUTES)):
                body = requests.body(model.operation_model(name))
                told = f"seed {seed}, round {number}: {name} {body!r}"
                with anyio.move_on_after(REQUEST_SECONDS_MAX) as patience:
                    answer = await ask(world.app, name, body)
                assert not patience.cancelled_caught, told
                documented = {shape.name for shape in model.operation_model(name).error_shapes} | EVERYWHERE
                assert answer.status == 200 or (answer.status == 400 and answer.code in documented), f"{told}: {answer}"
                if answer.status == 200:
                    successes[name] += 1
                    requests.learn(answer.body)
    if backend == "memory" or LONG:  # few rounds may have no luck, and a fleet's course is not the same every time
        assert sorted(set(ROUTES) - set(successes) - set(NEVER_SUCCEED)) == [], f"seed {seed}"
