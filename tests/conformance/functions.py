"""The recorded Lambda functions as functions of the emulator, in execution environments, where their code is known."""

from __future__ import annotations

import re
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.lambda_emulator.code_cache import CodeCache
from engine.lambda_emulator.emulator import Emulator
from engine.lambda_emulator.environments import Environments
from engine.lambda_emulator.invoker import Invoker
from engine.lambda_emulator.library import Library
from engine.lambda_emulator.limits import Limits
from engine.lambda_emulator.memory_store import MemoryFunctionStore
from engine.lambda_emulator.operations.functions import create_function
from tests.conformance.cases import ACCOUNT, Parameters
from tests.lambda_emulator.packages import zipped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.conformance.cases import Case

_FRAME = re.compile(r'  File "/var/task/handler\.py", line (?P<line>\d+), in handler\n    (?P<text>raise .*)\n')


class _NoLog:
    def write(self, log_group: str, log_stream: str, time: int, line: str) -> None: ...


@asynccontextmanager
async def functions_of(case: Case, region: str) -> AsyncIterator[Invoker]:
    """The case's functions, ready to be called."""
    limits, library, names = Limits(), Library(MemoryFunctionStore()), Parameters(case)
    with tempfile.TemporaryDirectory() as directory:
        async with Environments(_NoLog()) as environments:
            emulator = Emulator(
                account_id=ACCOUNT, region=region, url="http://127.0.0.1", environments=environments, library=library,
                code=CodeCache(Path(directory), library, limits), limits=limits,
            )  # fmt: skip
            async with emulator:
                for function in case.data.get("functions", ()):
                    await create_function(
                        emulator,
                        function_name=names.of(function["name"]),
                        role=f"arn:aws:iam::{ACCOUNT}:role/function",
                        runtime="python3.12",
                        handler="handler.handler",
                        timeout=function["timeout"],
                        code={"ZipFile": zipped({"handler.py": source_of(function["behaviour"])})},
                    )
                yield Invoker(emulator)


def source_of(behaviour: Mapping[str, Any]) -> str:
    """A module that does what the recorded function did; what it raises, it raises in the recorded line."""
    match behaviour["kind"]:
        case "echo":
            return _handler("return event")
        case "return":
            return _handler(f"return {behaviour['value']!r}")
        case "return_raw_repeat":
            return _handler(f"return {behaviour['char']!r}.encode() * {behaviour['count']}")
        case "sleep":
            return "import time\n" + _handler(f"time.sleep({behaviour['seconds']})", "return event")
        case "raise":
            [frame] = behaviour["stackTrace"]
            found = _FRAME.fullmatch(frame)
            assert found is not None, frame
            own = "" if behaviour["error"] == "Exception" else f"class {behaviour['error']}(Exception): ..."
            return _above(own, int(found["line"]) - 2) + _handler(found["text"])
        case other:
            raise AssertionError(f"no recorded function does {other}")


def _handler(*lines: str) -> str:
    return "".join(["def handler(event, context):\n", *(f"    {line}\n" for line in lines)])


def _above(text: str, lines: int) -> str:
    """So many lines, the first of which is this."""
    return f"{text}\n" + "\n" * (lines - 1) if lines else ""
