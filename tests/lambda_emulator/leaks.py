"""Many invocations that end in every way there is, and what is left of them.

python -m tests.lambda_emulator.leaks [INVOCATIONS]
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import anyio

from engine.lambda_emulator.environments import Environments
from tests.lambda_emulator.running import Log, call, function
from tests.waiting import until

SOURCE = """
import os, subprocess, sys, time
def handler(event, context):
    match event:
        case "exit": os._exit(1)
        case "raise": raise ValueError("no")
        case "hang": time.sleep(60)
        case "memory": return len([b"x" * 2**20 for _ in range(400)])
        case "flood":
            for _ in range(2000): print("x" * 100)
        case "large": return "x" * (6 * 2**20 + 100)
        case "files": open("/tmp/" + context.aws_request_id, "w").write("x" * 1000)
        case "child": subprocess.Popen(["sleep", "1000"])
        case "daemon": subprocess.Popen(["sleep", "1000"], start_new_session=True)
        case "not json": return {1, 2}
    return event
"""

WAYS = {
    "fine": 400,
    "raise": 60,
    "not json": 40,
    "files": 40,
    "flood": 10,
    "exit": 18,
    "cancelled": 6,
    "changed": 6,
    "child": 6,
    "daemon": 3,
    "large": 3,
    "memory": 2,
    "hang": 1,
}
"""How often each way is taken, out of 595."""

_AT_ONCE = 6


@dataclass(frozen=True)
class Left:
    """What there is while nothing runs.

    Attributes:
        descriptors: Of the emulator; `spawner_descriptors` of the process that starts the others.
        children: Of that.
        mounts: That it sees.
        files: In its directory.
    """

    descriptors: int
    spawner_descriptors: int
    children: int
    mounts: int
    files: int

    @classmethod
    def of(cls, environments: Environments) -> Left:
        spawner = environments._spawner
        assert spawner._process is not None
        pid = spawner._process.pid
        return cls(
            descriptors=len(os.listdir("/proc/self/fd")),
            spawner_descriptors=len(os.listdir(f"/proc/{pid}/fd")),
            children=len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()),
            mounts=len(Path(f"/proc/{pid}/mounts").read_text().splitlines()),
            files=len(os.listdir(spawner._directory)),
        )


class Abuse:
    """Invokes a function and a snapshot of it, in ways that are drawn."""

    def __init__(self, environments: Environments, directory: Path, chance: random.Random) -> None:
        self._environments = environments
        self._chance = chance
        plain = function(directory, SOURCE, timeout=2)
        self._versions = [plain, replace(plain, name="g", version="1", snap_start="PublishedVersions")]
        self.ends: Counter[str] = Counter()

    async def run(self, invocations: int) -> None:
        """So many of them."""
        ways = iter(self._chance.choices(list(WAYS), list(WAYS.values()), k=invocations))

        async def one() -> None:
            for way in ways:
                await self._take(way)

        async with anyio.create_task_group() as group:
            for _ in range(_AT_ONCE):
                group.start_soon(one)

    async def _take(self, way: str) -> None:
        number = self._chance.randrange(2)
        version = self._versions[number]
        if way == "changed":
            self._versions[number] = replace(version, revision_id=f"{self._chance.random()}")
        if way == "cancelled":
            with anyio.move_on_after(0.02):
                await call(self._environments, version, "hang")
            self.ends["cancelled"] += 1
            return
        outcome = await call(self._environments, version, way)
        self.ends["result" if outcome.function_error is None else "error"] += 1

    async def rest(self) -> Left:
        """What is there once everything was given up."""
        for version in self._versions:
            await self._environments.retire(version.name)
        assert self._environments.counts() == {}
        await until(lambda: Left.of(self._environments).files == 1 and Left.of(self._environments).children == 0)
        return Left.of(self._environments)


async def measured(directory: Path, invocations: int, *, seed: int = 1) -> tuple[Left, Left, Counter[str]]:
    """What is there after the first few invocations, and after all."""
    async with Environments(Log(keeps=False)) as environments:
        abuse = Abuse(environments, directory, random.Random(seed))
        await abuse.run(40)
        before = await abuse.rest()
        await abuse.run(invocations)
        return before, await abuse.rest(), abuse.ends


def main() -> None:
    """The command."""
    invocations = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        before, after, ends = anyio.run(measured, Path(directory), invocations)
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1_048_576
    said = f"{invocations} invocations in {time.monotonic() - began:.0f} s: {dict(ends)}; {resident} MB resident"
    sys.stdout.write(f"{said}\nbefore: {before}\nafter:  {after}\n")
    sys.exit(before != after)


if __name__ == "__main__":
    main()
