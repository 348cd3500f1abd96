"""Functions from source text, and what they wrote to their logs."""

from __future__ import annotations

import hashlib
import json
import stat
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from engine.lambda_emulator.functions import FunctionVersion
from engine.lambda_emulator.invocation import Event

if TYPE_CHECKING:
    from pathlib import Path

    from engine.lambda_emulator.environments import Environments
    from engine.lambda_emulator.invocation import Outcome

_numbers = count(1)


@dataclass(frozen=True)
class Files:
    """Code in a directory of the test's."""

    path: Path
    digest: str

    async def directory(self) -> Path:
        return self.path


@dataclass
class Log:
    """A sink that keeps everything, or nothing."""

    keeps: bool = True
    events: list[tuple[str, str, int, str]] = field(default_factory=list)

    def write(self, log_group: str, log_stream: str, time: int, line: str) -> None:
        if self.keeps:
            self.events.append((log_group, log_stream, time, line))

    @property
    def lines(self) -> list[str]:
        return [line for *_, line in self.events]


def files(directory: Path, **sources: str) -> Files:
    """A directory of files; `app_py` is app.py, and what has no ending can be executed."""
    directory = directory / f"code-{next(_numbers)}"
    directory.mkdir()
    digest = hashlib.sha256()
    for name, source in sources.items():
        stem, _, ending = name.rpartition("_")
        path = directory / (f"{stem}.{ending}" if stem else name)
        path.write_text(source)
        if not stem:
            path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        digest.update(source.encode())
    return Files(directory, digest.hexdigest())


def function(directory: Path, source: str = "", **config: Any) -> FunctionVersion:
    """A function of Python whose handler is `app.handler`."""
    given: dict[str, Any] = {
        "account_id": "000000000000",
        "region": "eu-central-1",
        "name": "f",
        "revision_id": "r1",
        "log_group": "/aws/lambda/f",
        "runtime": "python3.11",
        "handler": "app.handler",
        "timeout": 60,  # nothing here takes a second, on a machine that has nothing else to do
        **config,
    }
    if "code" not in given:
        given["code"] = files(directory, app_py=source)
    return FunctionVersion(**given)


def need_namespace(environments: Environments) -> None:
    """Skips a test of what a function sees where it has no view of its own."""
    if environments.isolation != "namespace":
        pytest.skip(f"no mount namespaces here: {environments.isolation}")


async def call(environments: Environments, version: FunctionVersion, value: Any = None, **more: Any) -> Outcome:
    """Invokes it with a value as its event."""
    given: dict[str, Any] = {
        "payload": json.dumps({} if value is None else value).encode(),
        "request_id": f"request-{next(_numbers)}",
        "invoked_arn": version.arn(),
        **more,
    }
    return await environments.invoke(version, Event(**given))


async def result(environments: Environments, version: FunctionVersion, value: Any = None, **more: Any) -> Any:
    """What it returned."""
    outcome = await call(environments, version, value, **more)
    assert outcome.function_error is None, outcome.payload
    return json.loads(outcome.payload)


async def error(environments: Environments, version: FunctionVersion, value: Any = None, **more: Any) -> Any:
    """What it failed with."""
    outcome = await call(environments, version, value, **more)
    assert outcome.function_error == "Unhandled", outcome.payload
    return json.loads(outcome.payload)
