"""Random requests to every operation of Lambda's API, valid and not: an answer or an error, no failure of ours.

Requests are made from botocore's service model, as HTTP; what earlier answers named comes back in later ones.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import anyio
import pytest

from engine.http.access import Access
from engine.http.service_models import service_model
from engine.lambda_emulator.app import LambdaApi
from engine.lambda_emulator.errors import LambdaError
from engine.lambda_emulator.operations import aliases, versions
from engine.lambda_emulator.routes import ROUTES
from tests.fuzz.budget import LONG, TIMES
from tests.lambda_emulator.control_plane import ROLE, arn, created, new_emulator
from tests.lambda_emulator.doubles import PlayedRunner
from tests.lambda_emulator.packages import zipped

if TYPE_CHECKING:
    from botocore.model import OperationModel, Shape

    from engine.lambda_emulator.emulator import Emulator

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3_600 if LONG else 120)]

ROUNDS = 12
LONG_ROUNDS = 20
REQUEST_SECONDS_MAX = 10.0
PACKAGE = b64encode(zipped()).decode()
TEXTS = ["", "f", "g", "live", "1", "2", "$LATEST", "x" * 200, "\u0000", "é", "{}", "a b", "%2F", arn(),
         arn("g", "live"), arn(qualifier="1"), ROLE, "arn:::::", "NONE", "python3.12", "*", "ALL"]  # fmt: skip
LIKELY = {
    "FunctionName": ["f", "g", arn(), "f:live"], "Role": [ROLE], "Runtime": ["python3.12", "nodejs22.x"],
    "Handler": ["app.handler"], "Name": ["live", "beta"], "FunctionVersion": ["1", "$LATEST"],
    "Qualifier": ["live", "1"], "ZipFile": [PACKAGE], "LayerName": ["l"], "VersionNumber": ["1"],
    "Resource": [arn(), arn("g")],
    "StatementId": ["s1"], "Action": ["lambda:InvokeFunction"], "Principal": ["s3.amazonaws.com"],
    "InvocationType": ["RequestResponse", "Event", "DryRun"],
}  # fmt: skip
OF_ANY_TYPE = [None, True, 0, -1, 1.5, 10**30, "", "text", [], [None], {}, {"a": 1}]


class Requests:
    """Makes them: method, path with its query, headers, body."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def make(self, operation: OperationModel) -> tuple[str, str, str, dict[str, str], bytes]:
        random = self._random
        shape = operation.input_shape
        path, _, query = operation.http["requestUri"].partition("?")
        headers: dict[str, str] = {}
        document: dict[str, Any] = {}
        body = b""
        pairs = [query] if query else []
        required = set(shape.required_members) if shape is not None else set()
        for name, member in shape.members.items() if shape is not None else ():
            where = member.serialization.get("location")
            wire = member.serialization.get("name", name)
            if where == "uri":
                path = path.replace("{" + wire + "}", quote(str(self._text(name)) or "-", safe=""))
            elif name != shape.serialization.get("payload") and random.random() > (0.97 if name in required else 0.25):
                continue
            elif where == "querystring":
                pairs.append(f"{wire}={quote(str(self._text(name)))}")
            elif where == "header":
                headers[wire.lower()] = str(self._text(name)).encode("ascii", "ignore").decode()
            elif name == shape.serialization.get("payload"):
                body = random.choice([b"", b"{}", b"[1]", b"nope", b"\xff"])
            else:
                document[name] = self._value(member, name)
        if document or not body:
            body = (
                json.dumps(document).encode() if random.random() > 0.02 else random.choice([b"{", b"\xff", b"[]", b"1"])
            )
        return operation.http["method"], path, "&".join(pairs), headers, body

    def _text(self, name: str) -> str:
        return self._random.choice(LIKELY[name] if name in LIKELY and self._random.random() < 0.85 else TEXTS)

    def _value(self, shape: Shape, name: str) -> Any:
        random = self._random
        if random.random() < 0.02:
            return random.choice(OF_ANY_TYPE)
        match shape.type_name:
            case "structure":
                required = set(shape.required_members)
                return {
                    key: self._value(member, key)
                    for key, member in shape.members.items()
                    if random.random() < (0.97 if key in required or key == "ZipFile" else 0.15)
                }
            case "list":
                return [self._value(shape.member, name) for _ in range(random.randrange(3))]
            case "map":
                return {self._text(name): self._value(shape.value, name) for _ in range(random.randrange(3))}
            case "boolean":
                return random.random() < 0.5
            case "integer" | "long" | "float" | "double":
                return random.choice([0, 1, 2, 3, 128, 512, 900, 901, -1, 2**31, 0.5])
            case "timestamp":
                return random.choice([0, 1.5, 2e9])
            case _:
                if shape.metadata.get("enum") and random.random() < 0.8:
                    return random.choice(shape.metadata["enum"])
                return self._text(name)


async def furnish(emulator: Emulator) -> None:
    """What chance alone would seldom make: a function with a version and an alias."""
    for make in (
        lambda: created(emulator),
        lambda: versions.publish_version(emulator, function_name="f"),
        lambda: aliases.create_alias(emulator, function_name="f", name="live", function_version="1"),
    ):
        with suppress(LambdaError):  # it is there
            await make()


async def ask(api: LambdaApi, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Any:
    """Status, headers and body of the answer."""
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "headers": [(b"host", b"h"), *((name.encode(), text.encode()) for name, text in headers.items())],
        "client": ("127.0.0.1", 1),
    }  # fmt: skip
    pieces = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Any] = []

    async def receive() -> Any:
        return pieces.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    with anyio.fail_after(REQUEST_SECONDS_MAX):
        await api({**scope}, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(part.get("body", b"") for part in sent[1:])


async def test_every_request_has_an_answer(tmp_path, capsys):
    random = Random(2026)
    requests = Requests(random)
    ended = []
    async with new_emulator(tmp_path, environments=PlayedRunner()) as emulator:
        api = LambdaApi(emulator, access=Access(now=time.time, service="lambda"))
        for _ in range(LONG_ROUNDS * TIMES if LONG else ROUNDS):
            await furnish(emulator)
            model = service_model("lambda")
            names = random.sample(model.operation_names, len(model.operation_names))
            for name in names:
                request = requests.make(model.operation_model(name))
                status, headers, body = await ask(api, *request)
                ended.append((name, status))
                assert status not in (500, 502), (name, request, body, capsys.readouterr().out)
                if status >= 300:
                    assert headers[b"x-amzn-ErrorType"], (name, request)
                    assert {"message", "Message"} & set(json.loads(body)), (name, request, body)
                elif status == 204:
                    assert body == b"", name
    succeeded = {name for name, status in ended if status < 300}
    assert len(succeeded) >= len(ROUTES) / 2, sorted(set(ROUTES) - succeeded)
