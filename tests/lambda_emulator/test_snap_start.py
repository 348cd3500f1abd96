"""SnapStart: environments are copies of one that was initialised when the version was published (lambda.md 7)."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import anyio
import pytest

from engine.lambda_emulator.environments import Environments
from engine.lambda_emulator.errors import LambdaError, SnapStartException, SnapStartTimeoutException
from tests.lambda_emulator.running import Log, call, error, function, need_namespace, result
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

SNAPSHOT = {"snap_start": "PublishedVersions", "version": "1"}

HOOKS = """
import os
from snapshot_restore_py import register_after_restore, register_before_snapshot
order = ["init"]
pid = os.getpid()
register_before_snapshot(order.append, "before 1")
@register_before_snapshot
def before():
    order.append("before 2")
register_after_restore(order.append, "after 1")
@register_after_restore
def after():
    order.append("after 2")
def handler(event, context):
    return [order, pid, os.getpid()]
"""


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def environments(log) -> AsyncIterator[Environments]:
    async with Environments(log) as environments:
        yield environments


async def test_a_version_is_initialised_once_and_copied(environments, tmp_path):
    version = function(
        tmp_path, HOOKS.replace("    return", "    import time; time.sleep(0.2)\n    return"), **SNAPSHOT
    )
    await environments.prepare(version)
    found = []

    async def one():
        found.append(await result(environments, version))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(one)
    assert len({initialised for _, initialised, _ in found}) == 1
    assert len({running for *_, running in found}) == 3


async def test_hooks_run_in_the_order_of_lambda(environments, tmp_path):
    version = function(tmp_path, HOOKS, **SNAPSHOT)
    order, *_ = await result(environments, version)
    assert order == ["init", "before 2", "before 1", "after 1", "after 2"]


async def test_a_version_that_was_not_prepared_is_when_it_is_invoked(environments, tmp_path):
    version = function(tmp_path, "def handler(event, context): return event", **SNAPSHOT)
    assert await result(environments, version, 5) == 5


async def test_the_report_has_the_restore_duration_on_a_cold_start_only(environments, tmp_path):
    version = function(tmp_path, "def handler(event, context): return event", **SNAPSHOT)
    cold, warm = await call(environments, version), await call(environments, version)
    assert b"\tRestore Duration: " in cold.log_tail
    assert b"\tBilled Restore Duration: " in cold.log_tail
    assert b"Init Duration" not in cold.log_tail
    assert cold.restore_ms is not None
    assert b"Restore" not in warm.log_tail


async def test_copies_have_a_tmp_each_with_the_files_of_the_snapshot(environments, tmp_path):
    version = function(
        tmp_path,
        """
import os, time
open("/tmp/made-by-init", "w").close()
def handler(event, context):
    open(f"/tmp/{event}", "w").close()
    time.sleep(0.3)
    return sorted(os.listdir("/tmp"))
""",
        **SNAPSHOT,
    )
    need_namespace(environments)
    found = {}

    async def one(name):
        found[name] = await result(environments, version, name)

    async with anyio.create_task_group() as group:
        group.start_soon(one, "a")
        group.start_soon(one, "b")
    assert found == {"a": ["a", "made-by-init"], "b": ["b", "made-by-init"]}


async def test_a_copy_finds_the_variables_of_a_snapshot(environments, tmp_path):
    """lambda.md 5.1: credentials are fetched; stream and version are not there."""
    version = function(
        tmp_path,
        """
import os, urllib.request
def handler(event, context):
    found = dict(os.environ)
    uri = found["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    return [found, urllib.request.urlopen(uri).read().decode(), context.function_version]
""",
        **SNAPSHOT,
    )
    found, credentials, number = await result(environments, version)
    assert number == "1"
    assert found["AWS_LAMBDA_INITIALIZATION_TYPE"] == "snap-start"
    absent = {"AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_FUNCTION_VERSION"}
    assert not absent & found.keys()
    assert set(json.loads(credentials)) == {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}


async def test_chance_differs_between_copies(environments, tmp_path):
    version = function(
        tmp_path,
        "import random, time\ndef handler(event, context): time.sleep(0.2); return random.random()",
        **SNAPSHOT,
    )
    drawn = []

    async def one():
        drawn.append(await result(environments, version))

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        group.start_soon(one)
    assert drawn[0] != drawn[1]


async def test_a_copy_that_ends_is_copied_again(environments, tmp_path):
    version = function(
        tmp_path,
        "import os\ndef handler(event, context):\n    if event: os._exit(1)\n    return os.getpid()",
        **SNAPSHOT,
    )
    first = await result(environments, version, 0)
    assert (await error(environments, version, 1))["errorType"] == "Runtime.ExitError"
    assert await result(environments, version, 0) != first


async def test_a_template_that_was_killed_is_made_again(environments, tmp_path):
    version = function(
        tmp_path, "import os\npid = os.getpid()\ndef handler(event, context): return [pid, os.getppid()]", **SNAPSHOT
    )
    template, _ = await result(environments, version)
    os.kill(template, signal.SIGKILL)
    pool = next(iter(environments._pools.values()))
    await until(lambda: not pool.template.lives)
    await pool.idle.pop().destroy()
    assert (await result(environments, version))[0] != template


async def test_an_initialisation_that_fails_fails_the_preparation(environments, tmp_path):
    version = function(tmp_path, "raise ValueError('no snapshot')", **SNAPSHOT)
    with pytest.raises(LambdaError, match="no snapshot"):
        await environments.prepare(version)


async def test_a_hook_before_the_snapshot_that_fails_fails_the_preparation(environments, log, tmp_path):
    source = HOOKS.replace('order.append("before 2")', "raise OSError('no connection')")
    with pytest.raises(LambdaError, match="no connection"):
        await environments.prepare(function(tmp_path, source, **SNAPSHOT))
    assert any("Error Type: Runtime.BeforeSnapshotError" in line for line in log.lines)


async def test_a_hook_after_the_restoring_that_fails_is_an_error_of_the_api(environments, tmp_path):
    source = HOOKS.replace('order.append("after 2")', "raise OSError('no connection')")
    version = function(tmp_path, source, **SNAPSHOT)
    with pytest.raises(SnapStartException, match="no connection"):
        await call(environments, version)


async def test_a_hook_after_the_restoring_that_takes_too_long_is_an_error_of_the_api(
    environments, tmp_path, monkeypatch
):
    monkeypatch.setattr("engine.lambda_emulator.launching.SnapshotLauncher.init_seconds", 0.3)
    source = HOOKS.replace('order.append("after 2")', "__import__('time').sleep(60)")
    with pytest.raises(SnapStartTimeoutException):
        await call(environments, function(tmp_path, source, **SNAPSHOT))


async def test_latest_is_never_a_snapshot(environments, tmp_path):
    version = function(
        tmp_path,
        "import os\ndef handler(event, context): return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']",
        snap_start="PublishedVersions",
    )
    assert await result(environments, version) == "on-demand"


async def test_a_retired_version_leaves_no_process(environments, tmp_path):
    version = function(tmp_path, HOOKS, **SNAPSHOT)
    _, template, copy = await result(environments, version)
    await environments.retire("f", "1")
    assert not {str(template), str(copy)} & set(os.listdir("/proc"))
