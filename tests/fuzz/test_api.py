"""Random requests to every operation of the API, valid and not: an answer or a documented error, no failure of ours.

Requests are made from botocore's service model; what earlier answers named (ARNs, tokens) comes back in later ones.
"""

from __future__ import annotations

import json
import time
from random import Random
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from engine import Engine
from engine.api.access import Access
from engine.api.app import Api
from engine.api.routes import ROUTES
from tests.api.asking import ask
from tests.conformance.api_adapter import service_model
from tests.fuzz.budget import LONG, TIMES

if TYPE_CHECKING:
    from botocore.model import OperationModel, Shape

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3_600 if LONG else 120)]

REQUESTS = 500
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


class Requests:
    """Makes requests, and keeps what the answers named."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._named: dict[str, list[str]] = {}

    def body(self, operation: OperationModel) -> Any:
        """Parameters, or now and then something else."""
        if self._random.random() < 0.02:
            return self._random.choice([b"{", b"\xff", b"[" * 5_000, *OF_ANY_TYPE])
        return self._value(operation.input_shape, "")

    def learn(self, answer: Any) -> None:
        """Keeps the ARNs and tokens in an answer."""
        for key, value in answer.items() if isinstance(answer, dict) else ():
            if isinstance(value, str):
                self._named.setdefault(_kind(key), []).append(value)
        for value in answer.values() if isinstance(answer, dict) else answer if isinstance(answer, list) else ():
            self.learn(value)

    def _value(self, shape: Shape, name: str) -> Any:
        random = self._random
        if random.random() < 0.01:
            return random.choice(OF_ANY_TYPE)
        match shape.type_name:
            case "structure":
                members = shape.members.items()
                required = set(shape.required_members)
                return {
                    key: self._value(member, key)
                    for key, member in members
                    if random.random() < (0.98 if key in required else 0.2)
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

    def _text(self, shape: Shape, name: str) -> str:
        random = self._random
        if shape.enum and random.random() < 0.9:
            return random.choice(shape.enum)
        if name == "definition" and random.random() < 0.9:
            return json.dumps(random.choice([*DEFINITIONS, {"Type": "Pass", "End": True}]))
        known = self._named.get(_kind(name))
        if known and name.endswith("Arn") and random.random() < 0.8:
            known = [arn for arn in known if f":{name.removesuffix('Arn')}:" in arn] or known
        if known and random.random() < 0.9:
            return random.choice(known)
        if name in ("input", "output") and random.random() < 0.8:
            return '{"a": [1]}'
        if name == "roleArn" and random.random() < 0.9:
            return "arn:aws:iam::123456789012:role/r"
        return random.choice(TEXTS) if random.random() < 0.6 else f"n{random.randrange(20)}"


def _kind(member: str) -> str:
    """What a member names, whatever it is called: `resourceArn` may be any ARN."""
    return "arn" if member.lower().endswith("arn") and member != "roleArn" else member


async def test_every_request_gets_an_answer_or_a_documented_error() -> None:
    seed = Random().getrandbits(32) if LONG else 20
    random = Random(seed)
    requests = Requests(random)
    model = service_model()
    async with Engine.in_memory(clock="virtual", account_id="123456789012", region="us-east-1", seed=seed) as engine:
        app = Api(engine.service, access=Access(now=time.time))
        app.stop_waiting()
        for number in range(REQUESTS * TIMES):
            name = random.choice(sorted(ROUTES))
            body = requests.body(model.operation_model(name))
            told = f"seed {seed}, request {number}: {name} {body!r}"
            with anyio.move_on_after(REQUEST_SECONDS_MAX) as patience:
                answer = await ask(app, name, body)
            assert not patience.cancelled_caught, told
            documented = {shape.name for shape in model.operation_model(name).error_shapes} | EVERYWHERE
            assert answer.status == 200 or (answer.status == 400 and answer.code in documented), f"{told}: {answer}"
            if answer.status == 200:
                requests.learn(answer.body)
