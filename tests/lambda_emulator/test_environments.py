"""Execution environments: real processes, and everything that can become of them (lambda.md 2.2, 5)."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from engine.lambda_emulator.environments import Count, Environments
from engine.lambda_emulator.invocation import PAYLOAD_BYTES_MAX, RESPONSE_BYTES_MAX
from tests.lambda_emulator.running import Log, call, error, files, function, need_namespace, result
from tests.waiting import DEADLINE_SECONDS, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

ECHO = "def handler(event, context): return event"
COUNTS = """
n = 0
def handler(event, context):
    global n
    n += 1
    return n
"""


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def environments(log: Log) -> AsyncIterator[Environments]:
    async with Environments(log) as environments:
        yield environments


def processes_of(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def state_of(pid: int) -> str:
    """The letter of a process's state: T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


# ── reuse ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_environment_is_used_again_and_keeps_its_globals(environments, tmp_path):
    version = function(tmp_path, COUNTS)
    assert [await result(environments, version) for _ in range(3)] == [1, 2, 3]
    assert environments.counts() == {("f", "$LATEST"): Count(busy=0, idle=1)}


async def test_invocations_at_once_have_environments_of_their_own(environments, tmp_path):
    version = function(tmp_path, "import os, time\ndef handler(event, context): time.sleep(0.2); return os.getpid()")
    pids = []

    async def one():
        pids.append(await result(environments, version))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(one)
    assert len(set(pids)) == 3
    assert environments.counts() == {("f", "$LATEST"): Count(busy=0, idle=3)}


async def test_the_environment_that_was_used_last_is_used_first(environments, tmp_path):
    version = function(
        tmp_path, "import os, time\ndef handler(event, context): time.sleep(event['s']); return os.getpid()"
    )
    last = []

    async def one(seconds):
        last.append(await result(environments, version, {"s": seconds}))

    async with anyio.create_task_group() as group:
        group.start_soon(one, 0.1)
        group.start_soon(one, 0.5)
    assert await result(environments, version, {"s": 0}) == last[-1]


async def test_an_environment_is_frozen_between_invocations(environments, tmp_path):
    version = function(
        tmp_path,
        """
import os, threading, time
ticks = []
def tick():
    while True:
        ticks.append(1)
        time.sleep(0.005)
threading.Thread(target=tick, daemon=True).start()
def handler(event, context): return [os.getpid(), len(ticks)]
""",
    )
    pid, _ = await result(environments, version)
    await until(lambda: state_of(pid) == "T")
    same, _ = await result(environments, version)
    assert same == pid


async def test_another_revision_has_other_environments_and_the_old_ones_go(environments, tmp_path):
    first = function(tmp_path, "import os\ndef handler(event, context): return ['old', os.getpid()]")
    second = replace(
        function(tmp_path, "import os\ndef handler(event, context): return ['new', os.getpid()]"), revision_id="r2"
    )
    _, old = await result(environments, first)
    assert (await result(environments, second))[0] == "new"
    await until(lambda: not processes_of(old))


async def test_an_invocation_that_runs_while_its_function_changes_ends_on_the_old_code(environments, tmp_path):
    """lambda.md 3.1 [R]."""
    first = function(tmp_path, "import os, time\ndef handler(event, context): time.sleep(0.5); return os.getpid()")
    second = replace(function(tmp_path, ECHO), revision_id="r2")
    old = []

    async def one():
        old.append(await result(environments, first))

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        await until(lambda: environments.counts().get(("f", "$LATEST")) == Count(1, 0))
        assert await result(environments, second, 7) == 7
    await until(lambda: not processes_of(old[0]))
    assert environments.counts() == {("f", "$LATEST"): Count(busy=0, idle=1)}


async def test_environments_that_nobody_uses_are_given_up(log, tmp_path):
    version = function(tmp_path, "import os\ndef handler(event, context): return os.getpid()")
    async with Environments(log, idle_seconds=0.2) as environments:
        pid = await result(environments, version)
        await until(lambda: environments.counts() == {("f", "$LATEST"): Count(0, 0)})
        await until(lambda: not processes_of(pid))


async def test_retired_environments_are_gone(environments, tmp_path):
    version = function(tmp_path, "import os\ndef handler(event, context): return os.getpid()")
    pid = await result(environments, version)
    await environments.retire("f", keep_revision="r1")
    assert processes_of(pid)
    await environments.retire("f")
    assert not processes_of(pid)
    assert environments.counts() == {}


async def test_provisioned_environments_are_there_before_they_are_needed(environments, tmp_path):
    version = function(
        tmp_path, "import os\ndef handler(event, context): return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']"
    )
    await environments.prepare(version, count=2)
    assert environments.counts() == {("f", "$LATEST"): Count(busy=0, idle=2)}
    assert await result(environments, version) == "provisioned-concurrency"


# ── what a function finds ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_function_finds_the_variables_of_lambda_and_its_own(environments, tmp_path):
    need_namespace(environments)
    """lambda.md 5.1 [R]."""
    version = function(
        tmp_path,
        "import os\ndef handler(event, context): return dict(os.environ)",
        environment={"MINE": "1"},
        memory_size=256,
    )
    found = await result(environments, version)
    expected = {
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11",
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
        "_HANDLER": "app.handler",
        "LAMBDA_TASK_ROOT": "/var/task",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "PWD": "/var/task",
        "TZ": ":UTC",
        "MINE": "1",
    }
    assert expected.items() <= found.items()
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", found["AWS_LAMBDA_LOG_STREAM_NAME"])
    assert found["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    assert "ASL_DATABASE_URL" not in found


async def test_nothing_of_the_emulators_environment_reaches_a_function(log, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_EMULATOR", "x")
    version = function(
        tmp_path,
        "import os\ndef handler(e, c): return [open(f'/proc/{p}/environ').read() for p in (os.getpid(), os.getppid())]",
    )
    async with Environments(log) as environments:
        assert "SECRET_OF_THE_EMULATOR" not in str(await result(environments, version))


async def test_code_is_read_only_and_only_tmp_can_be_written(environments, tmp_path):
    version = function(
        tmp_path,
        """
import os
def handler(event, context):
    found = {"cwd": os.getcwd(), "files": os.listdir("/tmp")}
    for path in ("/var/task/x", "/x", "/tmp/x"):
        try:
            open(path, "w").close()
            found[path] = "written"
        except OSError as error:
            found[path] = error.strerror
    return found
""",
    )
    need_namespace(environments)
    assert await result(environments, version) == {
        "cwd": "/var/task",
        "files": [],
        "/var/task/x": "Read-only file system",
        "/x": "Read-only file system",
        "/tmp/x": "written",
    }


async def test_layers_are_merged_at_opt_and_the_last_one_wins(environments, tmp_path):
    layers = []
    for number in (1, 2):
        layer = files(tmp_path, name_txt=str(number))
        (layer.path / "python").mkdir()
        (layer.path / "python" / f"layer{number}.py").write_text(f"value = {number}")
        layers.append(layer)
    version = function(
        tmp_path,
        "import layer1, layer2\ndef handler(e, c): return [layer1.value, layer2.value, open('/opt/name.txt').read()]",
        layers=tuple(layers),
    )
    need_namespace(environments)
    assert await result(environments, version) == [1, 2, "2"]


@pytest.mark.parametrize("megabytes", [512, 600])
async def test_tmp_is_as_large_as_the_function_says(environments, tmp_path, megabytes):
    version = function(
        tmp_path,
        """
import errno, os
def handler(event, context):
    space = os.statvfs("/tmp")
    try:
        with open("/tmp/x", "wb") as file:
            os.posix_fallocate(file.fileno(), 0, space.f_blocks * space.f_frsize + 1)
    except OSError as error:
        return [space.f_blocks * space.f_frsize, errno.errorcode[error.errno]]
""",
        ephemeral_storage=megabytes,
    )
    need_namespace(environments)
    assert await result(environments, version) == [megabytes * 1_048_576, "ENOSPC"]


async def test_environments_have_a_tmp_each(environments, tmp_path):
    need_namespace(environments)
    version = function(
        tmp_path,
        """
import os, time
def handler(event, context):
    before = os.listdir("/tmp")
    open("/tmp/x", "w").close()
    time.sleep(event)
    return before
""",
    )
    found = []

    async def one():
        found.append(await result(environments, version, 0.3))

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        group.start_soon(one)
    assert found == [[], []]
    assert await result(environments, version, 0) == ["x"]


async def test_a_process_has_1024_descriptors(environments, tmp_path):
    version = function(
        tmp_path, "import resource\ndef handler(e, c): return resource.getrlimit(resource.RLIMIT_NOFILE)"
    )
    assert await result(environments, version) == [1024, 1024]


# ── limits and faults ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_function_that_takes_too_long_is_timed_out_and_tmp_survives(environments, log, tmp_path):
    version = function(
        tmp_path,
        """
import os, time
n = 0
def handler(event, context):
    global n
    n += 1
    open("/tmp/x", "a").write("x")
    if event: time.sleep(60)
    return [n, os.path.getsize("/tmp/x")]
""",
        timeout=3,
    )
    assert await result(environments, version, 0) == [1, 1]
    outcome = await call(environments, version, 1, request_id="slow")
    assert outcome.function_error == "Unhandled"
    assert json.loads(outcome.payload) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: slow Error: Task timed out after 3.00 seconds",
    }
    assert outcome.duration_ms == 3000
    assert outcome.billed_ms == 3000
    assert any(re.search(r"^\S+Z slow Task timed out after 3.00 seconds", line) for line in log.lines)
    assert await result(environments, version, 0) == [1, 3]


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("os._exit(0)", "Runtime exited without providing a reason"),
        ("raise SystemExit", "Runtime exited without providing a reason"),
        ("os._exit(3)", "Runtime exited with error: exit status 3"),
        ("os.kill(os.getpid(), 15)", "Runtime exited with error: signal: terminated"),
        ("os.kill(os.getpid(), 11)", "Runtime exited with error: signal: segmentation fault"),
    ],
)
async def test_a_process_that_ends_is_an_exit_error(environments, tmp_path, how, reason):
    version = function(tmp_path, f"import os\ndef handler(event, context):\n    {how if how else 'pass'}")
    assert await error(environments, version, request_id="r-1") == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: r-1 Error: {reason}",
    }


async def test_a_function_above_its_memory_is_killed(environments, tmp_path):
    version = function(
        tmp_path,
        "def handler(event, context):\n    held = [bytes(b'x') * 2**20 for _ in range(event)]\n    return len(held)",
    )
    assert await result(environments, version, 64) == 64
    outcome = await call(environments, version, 400, request_id="r-2")
    assert json.loads(outcome.payload) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": "RequestId: r-2 Error: Runtime exited with error: signal: killed",
    }
    assert outcome.max_memory_used == 128
    assert await result(environments, replace(version, memory_size=600, revision_id="r2"), 400) == 400


async def test_memory_of_a_childs_counts_too(environments, tmp_path):
    version = function(
        tmp_path,
        """
import subprocess, sys
def handler(event, context):
    return subprocess.call([sys.executable, "-c", "x = b'x' * (400 * 2**20); import time; time.sleep(5)"])
""",
    )
    assert (await error(environments, version))["errorMessage"].endswith("signal: killed")


async def test_a_process_that_is_killed_from_outside_leaves_a_usable_environment(environments, tmp_path):
    version = function(tmp_path, "import os, time\ndef handler(e, c): time.sleep(e); return os.getpid()")
    pid = await result(environments, version, 0)

    async def one():
        assert (await error(environments, version, 60))["errorMessage"].endswith("signal: killed")

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        await until(lambda: environments.counts()["f", "$LATEST"].busy == 1)
        await until(lambda: state_of(pid) != "T")
        os.kill(pid, signal.SIGKILL)
    assert await result(environments, version, 0) != pid


async def test_a_frozen_process_that_is_killed_is_replaced(environments, tmp_path):
    version = function(tmp_path, "import os\ndef handler(event, context): return os.getpid()")
    pid = await result(environments, version)
    os.kill(pid, signal.SIGKILL)
    (pool,) = environments._pools.values()
    await until(lambda: not pool.idle[0].has_process)
    assert await result(environments, version) != pid


async def test_the_children_of_a_function_go_with_it(environments, tmp_path):
    version = function(
        tmp_path,
        """
import os, subprocess
def handler(event, context):
    child = subprocess.Popen(["sleep", "1000"])
    if event: os._exit(1)
    return child.pid
""",
    )
    child = await result(environments, version, 0)
    await environments.retire("f")
    await until(lambda: not processes_of(child))


async def test_a_process_that_left_the_group_of_its_function_goes_too(environments, tmp_path):
    version = function(
        tmp_path,
        """
import os, subprocess
def handler(event, context):
    shell = subprocess.Popen(["sh", "-c", "sleep 1000 & echo $!"], start_new_session=True, stdout=subprocess.PIPE)
    return int(shell.stdout.readline())
""",
    )
    need_namespace(environments)
    daemon = await result(environments, version)
    assert processes_of(daemon)
    await environments.retire("f")
    await until(lambda: not processes_of(daemon))


async def test_a_cancelled_invocation_ends_its_process(environments, tmp_path):
    version = function(tmp_path, "import os, time\ndef handler(e, c): time.sleep(e); return os.getpid()")
    pid = await result(environments, version, 0)
    async with anyio.create_task_group() as group:
        group.start_soon(call, environments, version, 600)
        await until(lambda: environments.counts()["f", "$LATEST"].busy == 1)
        await until(lambda: state_of(pid) != "T")
        group.cancel_scope.cancel()
    await until(lambda: not processes_of(pid))
    assert await result(environments, version, 0) != pid


@pytest.mark.parametrize(("length", "fits"), [(RESPONSE_BYTES_MAX - 2, True), (RESPONSE_BYTES_MAX - 1, False)])
async def test_a_response_has_6_mb_and_100_bytes_at_most(environments, tmp_path, length, fits):
    version = function(tmp_path, "def handler(event, context): return 'x' * event")
    outcome = await call(environments, version, length)
    if fits:
        assert len(outcome.payload) == RESPONSE_BYTES_MAX
        assert outcome.function_error is None
    else:
        assert outcome.function_error == "Unhandled"
        assert json.loads(outcome.payload) == {
            "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
            "errorType": "Function.ResponseSizeTooLarge",
        }
    assert await result(environments, version, 1) == "x"


async def test_a_payload_of_6_mb_arrives(environments, tmp_path):
    version = function(tmp_path, "def handler(event, context): return len(event)")
    assert await result(environments, version, "x" * (PAYLOAD_BYTES_MAX - 2)) == PAYLOAD_BYTES_MAX - 2


# ── initialising ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_error_of_the_initialisation_is_what_the_first_invocation_fails_with(environments, log, tmp_path):
    version = function(tmp_path, "raise RuntimeError('no luck')")
    failed = await error(environments, version)
    assert failed["errorType"] == "RuntimeError"
    assert failed["errorMessage"] == "no luck"
    assert failed["requestId"] == ""
    assert any(line.startswith("INIT_REPORT Init Duration: ") and "Status: error" in line for line in log.lines)


async def test_a_failed_initialisation_is_repeated_in_the_invocation(environments, tmp_path):
    """The files of the first try are there for the second one."""
    version = function(
        tmp_path,
        """
import os
if not os.path.exists("/tmp/tried"):
    open("/tmp/tried", "w").close()
    os._exit(9)
def handler(event, context): return "second"
""",
    )
    assert await result(environments, version) == "second"


async def test_a_process_that_ends_while_it_initialises_is_an_exit_error(environments, tmp_path):
    version = function(tmp_path, "import os\nos._exit(0)")
    assert await error(environments, version, request_id="r-3") == {
        "errorType": "Runtime.ExitError",
        "errorMessage": "RequestId: r-3 Error: Runtime exited without providing a reason",
    }


async def test_an_initialisation_that_takes_too_long_is_repeated_under_the_functions_timeout(
    environments, log, tmp_path, monkeypatch
):
    monkeypatch.setattr("engine.lambda_emulator.launching._INIT_SECONDS", 0.3)
    version = function(tmp_path, "import time\ntime.sleep(0.5)\ndef handler(event, context): return 'late'")
    assert await result(environments, version) == "late"
    assert any("INIT_REPORT" in line and "Status: timeout" in line for line in log.lines)


async def test_an_initialisation_that_never_ends_is_timed_out(environments, tmp_path, monkeypatch):
    monkeypatch.setattr("engine.lambda_emulator.launching._INIT_SECONDS", 0.2)
    version = function(tmp_path, "import time\ntime.sleep(60)", timeout=1)
    assert (await error(environments, version, request_id="r-4")) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: r-4 Error: Task timed out after 1.00 seconds",
    }


async def test_a_segmentation_fault_while_initialising_is_seen_as_a_time_out(environments, tmp_path):
    """lambda.md 2.2 [R]."""
    version = function(tmp_path, "import os\nos.kill(os.getpid(), 11)", timeout=1)
    assert (await error(environments, version))["errorType"] == "Sandbox.Timedout"


# ── logs ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_log_has_the_lines_of_lambda(environments, log, tmp_path):
    """lambda.md 2 [R]: the tail's order; Init Duration only on a cold start."""
    version = function(
        tmp_path, "print('loading')\ndef handler(event, context): print('hello', end='')", memory_size=256
    )
    cold = await call(environments, version, request_id="a")
    warm = await call(environments, version, request_id="b")
    report = r"\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 256 MB\tMax Memory Used: \d+ MB\t"
    assert re.fullmatch(
        r"START RequestId: a Version: \$LATEST\nhello\nEND RequestId: a\n"
        rf"REPORT RequestId: a{report}Init Duration: \d+\.\d\d ms\t\n",
        cold.log_tail.decode(),
    )
    assert re.fullmatch(
        rf"START RequestId: b Version: \$LATEST\nhello\nEND RequestId: b\nREPORT RequestId: b{report}\n",
        warm.log_tail.decode(),
    )
    assert log.lines[0] == "loading"
    assert {group for group, *_ in log.events} == {"/aws/lambda/f"}
    assert len({stream for _, stream, *_ in log.events}) == 1
    assert 5 < cold.max_memory_used < 100
    assert abs(log.events[0][2] / 1000 - time.time()) < 60


async def test_a_function_that_floods_its_output_holds_nobody_up(environments, log, tmp_path):
    flood = function(
        tmp_path,
        "import sys\ndef handler(*_):\n    for i in range(30000): sys.stdout.write(f'line {i}\\n')\n    return 'done'",
        name="flood",
    )
    other = function(tmp_path, ECHO)
    await result(environments, other, 1)
    async with anyio.create_task_group() as group:
        group.start_soon(result, environments, flood)
        with anyio.fail_after(DEADLINE_SECONDS):
            for _ in range(20):
                assert await result(environments, other, 1) == 1
    flooded = [line for line in log.lines if line.startswith("line ")]
    assert flooded == [f"line {i}" for i in range(30000)]


async def test_the_tail_has_the_last_4_kb(environments, tmp_path):
    version = function(tmp_path, "def handler(e, c):\n    for i in range(1000): print('line', i)")
    outcome = await call(environments, version)
    assert len(outcome.log_tail) == 4096
    assert b"line 999\nEND" in outcome.log_tail


async def test_output_without_line_ends_is_bounded(environments, log, tmp_path):
    version = function(
        tmp_path, "import os\ndef handler(e, c):\n    for _ in range(32): os.write(1, b'x' * 65536)\n    return 1"
    )
    await result(environments, version)
    parts = [line for line in log.lines if line.startswith("x")]
    assert sum(map(len, parts)) == 32 * 65_536
    assert max(map(len, parts)) <= 262_144


async def test_a_log_in_json_has_the_records_of_the_platform(environments, log, tmp_path):
    from engine.lambda_emulator.functions import LoggingConfig

    version = function(
        tmp_path,
        "import logging\ndef handler(e, c): logging.getLogger().warning('careful')",
        logging_config=LoggingConfig(log_format="JSON"),
    )
    await call(environments, version, request_id="j")
    records = [json.loads(line) for line in log.lines]
    assert [record.get("type") for record in records] == [
        "platform.start", None, "platform.runtimeDone", "platform.report",
    ]  # fmt: skip
    assert records[1]["message"] == "careful"
    assert records[1]["requestId"] == "j"
    assert records[3]["record"]["metrics"]["memorySizeMB"] == 128


# ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_nothing_is_left_after_the_end(log, tmp_path):
    version = function(tmp_path, "import os\ndef handler(e, c): open('/tmp/x', 'w').close(); return os.getpid()")
    descriptors = len(os.listdir("/proc/self/fd"))
    pids = []
    async with Environments(log) as environments:
        directory = Path(environments._spawner._directory)
        for number in range(5):
            pids.append(await result(environments, replace(version, name=f"f{number}")))
    assert not any(processes_of(pid) for pid in pids)
    assert directory.name not in os.listdir(directory.parent)
    assert len(os.listdir("/proc/self/fd")) <= descriptors


async def test_the_end_does_not_wait_for_functions_that_run(log, tmp_path):
    version = function(tmp_path, "import time\ndef handler(e, c): time.sleep(600)", timeout=600)
    with anyio.fail_after(DEADLINE_SECONDS):
        async with Environments(log) as environments, anyio.create_task_group() as group:
            group.start_soon(call, environments, version)
            await until(lambda: environments.counts().get(("f", "$LATEST")) == Count(1, 0))
            group.cancel_scope.cancel()
