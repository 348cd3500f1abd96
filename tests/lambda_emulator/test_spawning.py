"""The process that starts the others: what becomes of functions when it, or the emulator, is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from engine.lambda_emulator.environments import Environments
from tests.lambda_emulator.running import Log, call, error, function, result
from tests.waiting import until

pytestmark = pytest.mark.anyio

GETPID = "import os\ndef handler(event, context): return [os.getpid(), os.getppid()]"

# An emulator that says which processes it has, and waits.
EMULATOR = """
import sys, anyio
from pathlib import Path
from engine.lambda_emulator.environments import Environments
from tests.lambda_emulator.running import Log, function, result
async def main():
    async with Environments(Log()) as environments:
        version = function(Path(sys.argv[1]), {source!r})
        snapshot = function(Path(sys.argv[1]), {source!r}, name="g", version="1", snap_start="PublishedVersions")
        pids = await result(environments, version) + await result(environments, snapshot)
        print(*pids, environments._spawner._directory, flush=True)
        await anyio.sleep_forever()
anyio.run(main)
"""


def is_away(path: str) -> bool:
    return not Path(path).exists()


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


async def test_functions_die_with_an_emulator_that_is_killed(tmp_path):
    command = [sys.executable, "-c", EMULATOR.format(source=GETPID), str(tmp_path)]
    emulator = await anyio.to_thread.run_sync(lambda: subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    assert emulator.stdout is not None
    with emulator:
        *pids, directory = (await anyio.to_thread.run_sync(emulator.stdout.readline)).split()
        assert not any(is_gone(int(pid)) for pid in pids)
        emulator.kill()
    await until(lambda: all(is_gone(int(pid)) for pid in pids))
    await until(lambda: is_away(directory))


async def test_functions_die_with_a_spawner_that_is_killed_and_another_takes_its_place(tmp_path):
    version = function(tmp_path, GETPID)
    async with Environments(Log()) as environments:
        pid, spawner = await result(environments, version)
        os.kill(spawner, signal.SIGKILL)
        await until(lambda: is_gone(pid))
        again, other = await result(environments, version)
        assert again != pid
        assert other != spawner


async def test_an_invocation_that_runs_when_the_spawner_is_killed_is_an_exit_error(tmp_path):
    version = function(tmp_path, "import os, time\ndef handler(e, c): time.sleep(e); return os.getppid()", timeout=30)
    async with Environments(Log()) as environments:
        spawner = await result(environments, version, 0)

        async def kill():
            await until(lambda: environments.counts()["f", "$LATEST"].busy)
            os.kill(spawner, signal.SIGKILL)

        async with anyio.create_task_group() as group:
            group.start_soon(kill)
            assert (await error(environments, version, 20))["errorType"] == "Runtime.ExitError"
        assert await result(environments, version, 0) != spawner


async def test_without_mount_namespaces_functions_run_and_have_a_directory_for_their_files(tmp_path):
    version = function(
        tmp_path,
        """
import os, resource, tempfile
def handler(event, context):
    with open(os.path.join(tempfile.gettempdir(), "x"), "a") as file:
        file.write("x")
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return [os.getcwd(), tempfile.gettempdir(), os.path.getsize(file.name), limit]
""",
    )
    async with Environments(Log(), namespaces=False) as environments:
        assert environments.isolation == "not wanted"
        root, directory, size, limit = await result(environments, version)
        assert Path(root) == version.code.path
        assert (size, limit) == (1, 512 * 1_048_576)
        assert (await result(environments, version))[1:3] == [directory, 2]
        await call(environments, version)
    assert is_away(directory)


async def test_snapshots_are_made_without_mount_namespaces_too(tmp_path):
    version = function(
        tmp_path,
        "import os, tempfile\nopen(tempfile.gettempdir() + '/x', 'w').close()\n"
        "def handler(event, context): return [os.getcwd(), os.listdir(tempfile.gettempdir())]",
        version="1",
        snap_start="PublishedVersions",
    )
    async with Environments(Log(), namespaces=False) as environments:
        assert await result(environments, version) == [str(version.code.path), ["x"]]
