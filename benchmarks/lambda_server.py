"""The emulator that benchmarks.lambda_ measures: a process of its own, with functions in memory and nothing else in it.

python -m benchmarks.lambda_server DIRECTORY INTERPRETER
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import anyio

from engine.cli.plain_structlog import structlog as structlog  # as in a server's process: first
from engine.http.access import Access
from engine.http.server import ApiServer
from engine.lambda_emulator.app import LambdaApi
from engine.lambda_emulator.code_cache import CodeCache
from engine.lambda_emulator.emulator import Emulator
from engine.lambda_emulator.environments import Environments
from engine.lambda_emulator.library import Library
from engine.lambda_emulator.limits import Limits
from engine.lambda_emulator.memory_store import MemoryFunctionStore
from engine.lambda_emulator.runtimes import Programs

ACCOUNT, REGION = "000000000000", "us-east-1"


class _NoLog:
    def write(self, log_group: str, log_stream: str, time: int, line: str) -> None:
        """Nobody reads it."""


async def serve(directory: Path, interpreter: str) -> None:
    """Says where it answers, and does so until its input ends."""
    server, limits, library = ApiServer("127.0.0.1", 0), Limits(), Library(MemoryFunctionStore())
    programs = Programs({"python": interpreter})
    async with (
        Environments(_NoLog(), programs) as environments,
        Emulator(
            account_id=ACCOUNT,
            region=REGION,
            url=server.url,
            environments=environments,
            library=library,
            code=CodeCache(directory, library, limits),
            limits=limits,
        ) as emulator,
        anyio.create_task_group() as group,
    ):
        await group.start(server.run, LambdaApi(emulator, access=Access(now=time.time, service="lambda")))
        print(json.dumps({"url": server.url}), flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read)
        group.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(serve, Path(sys.argv[1]), sys.argv[2])
