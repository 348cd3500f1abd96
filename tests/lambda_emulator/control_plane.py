"""An emulator whose functions are never run: what is asked of its environments is noted."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio

from engine.lambda_emulator.clock import SystemClock
from engine.lambda_emulator.code_cache import CodeCache
from engine.lambda_emulator.emulator import Emulator
from engine.lambda_emulator.errors import LambdaError
from engine.lambda_emulator.library import Library
from engine.lambda_emulator.limits import Limits
from engine.lambda_emulator.memory_store import MemoryFunctionStore
from engine.lambda_emulator.operations import functions
from tests.lambda_emulator.packages import zipped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from pathlib import Path

    from engine.lambda_emulator.functions import FunctionVersion
    from engine.lambda_emulator.store import FunctionStore

ACCOUNT = "000000000000"
REGION = "eu-central-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/lambda"


def arn(name: str = "f", qualifier: str | None = None) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}" + (f":{qualifier}" if qualifier else "")


class StandingClock(SystemClock):
    """Each look at it is a millisecond later, unless it is stopped."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 31, 12, tzinfo=UTC)
        self.is_stopped = False

    def now(self) -> datetime:
        if not self.is_stopped:
            self.time += timedelta(milliseconds=1)
        return self.time


class NotedRunner:
    """Environments that are told of and never made.

    Attributes:
        may_go_on: Preparations wait for it.
        failure: Raised by them.
    """

    def __init__(self) -> None:
        self.prepared: list[tuple[FunctionVersion, int]] = []
        self.retired: list[tuple[str, str | None]] = []
        self.may_go_on = anyio.Event()
        self.may_go_on.set()
        self.failure: LambdaError | None = None

    async def invoke(self, version: FunctionVersion, event: Any) -> Any:
        raise AssertionError("nothing is invoked here")

    def check(self, runtime: str) -> None:
        if runtime.startswith("java"):
            raise ValueError(f"runtime {runtime}: no Java here")

    async def prepare(self, version: FunctionVersion, count: int = 0) -> None:
        await self.may_go_on.wait()
        self.prepared.append((version, count))
        if self.failure is not None:
            raise self.failure

    async def retire(self, name: str, version: str | None = None, keep_revision: str | None = None) -> None:
        self.retired.append((name, version))


def new_emulator(
    directory: Path,
    *,
    store: FunctionStore | None = None,
    url: str = "http://127.0.0.1:3001",
    limits: Limits | None = None,
    **given: Any,
) -> Emulator:
    """Not yet entered."""
    limits = limits or Limits()
    library = Library(store or MemoryFunctionStore())
    return Emulator(
        account_id=ACCOUNT,
        region=REGION,
        url=url,
        library=library,
        code=CodeCache(directory, library, limits),
        limits=limits,
        **({"environments": NotedRunner(), "clock": StandingClock()} | given),
    )


@asynccontextmanager
async def emulating(directory: Path, **given: Any) -> AsyncIterator[Emulator]:
    async with new_emulator(directory, **given) as emulator:
        yield emulator


def runner(emulator: Emulator) -> NotedRunner:
    assert isinstance(emulator.environments, NotedRunner)
    return emulator.environments


def clock(emulator: Emulator) -> StandingClock:
    assert isinstance(emulator.clock, StandingClock)
    return emulator.clock


async def created(emulator: Emulator, name: str = "f", **given: Any) -> dict[str, Any]:
    """CreateFunction, with what it must have."""
    needed: dict[str, Any] = {
        "role": ROLE,
        "runtime": "python3.12",
        "handler": "app.handler",
        "code": {"ZipFile": zipped()},
    }
    return await functions.create_function(emulator, function_name=name, **(needed | given))


async def refusal(call: Awaitable[Any]) -> tuple[str, str]:
    """Code and message of the error that a call ends with."""
    try:
        await call
    except LambdaError as error:
        return error.code, error.message
    raise AssertionError("it was not refused")
