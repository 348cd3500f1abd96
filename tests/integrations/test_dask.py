"""Callables on a Dask cluster: a real one, on this machine, with processes of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import engine
from engine.integrations.registry import InvalidHandler
from engine.store.memory import MemoryStore
from tests.definitions import catch, invoke, machine, retry, task
from tests.integrations import handler_functions
from tests.runtime.fleets import Now, on
from tests.waiting import DEADLINE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(60),
    pytest.mark.skipif(
        importlib.util.find_spec("distributed") is None, reason="Dask is not installed: pip install 'asl-engine[dask]'"
    ),
]

ROOT = Path(__file__).parents[2]
HERE = handler_functions.__name__
ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:work"
NOBODY = "tcp://127.0.0.1:1"

CLUSTER = """
import sys
import dask
from distributed import LocalCluster

if __name__ == "__main__":
    # Else Dask itself runs a function four times whose worker dies.
    dask.config.set({"distributed.scheduler.allowed-failures": 0})
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""
"""Says where its scheduler is, and ends with its stdin. In a process of its own, because it leaves sockets open."""


@contextmanager
def running_cluster(script: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    script.write_text(CLUSTER)
    with subprocess.Popen(
        [sys.executable, script],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, "the cluster did not start"
        yield process, address


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_cluster(tmp_path_factory.mktemp("dask") / "cluster.py") as (_, address):
        yield address


@pytest.fixture
def scheduler(cluster: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ASL_DASK_SCHEDULER", cluster)
    return cluster


def on_dask(function: str, **options: Any) -> engine.Handlers:
    handlers = engine.Handlers()
    handlers.add("work", f"dask:{HERE}:{function}", **options)
    return handlers


async def run(function: str, event: Any = None, state: Any = None, **options: Any) -> Any:
    return await engine.run(machine(state or task()), event, handlers=on_dask(function, **options))


async def failure(function: str, event: Any = None, **options: Any) -> engine.ExecutionFailed:
    with pytest.raises(engine.ExecutionFailed) as caught:
        await run(function, event, **options)
    return caught.value


# ── what it does ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_function_runs_on_the_cluster_and_takes_and_gives_json(scheduler: str):
    event = {"text": "ä\n", "big": 2**70, "list": [None, 1.5]}
    assert await run("echo", event) == event
    assert await run("echo_async", event) == event
    assert await run("pid") != os.getpid()


async def test_lambda_invoke_gets_the_envelope_and_the_context_tells_who_works(scheduler: str):
    output = await run("echo", {"a": 1}, invoke("work"))
    assert (output["Payload"], output["StatusCode"]) == ({"a": 1}, 200)
    state, attempt, key, has_time = await run("facts", state=task(Name="Pay"))
    assert (state, attempt, has_time) == ("Pay", 0, True)
    assert len(key) == 36


async def test_a_callable_may_be_given_as_it_is_and_the_scheduler_by_its_address(cluster: str):
    handlers = engine.Handlers()
    handlers.task("work", dask=cluster)(handler_functions.echo)
    assert await engine.run(machine(task()), 5, handlers=handlers) == 5


async def test_many_run_at_once(scheduler: str):
    async with engine.Engine.in_memory(on_dask("echo")) as one:
        executions = [await one.start_execution(machine(task()), number) for number in range(20)]
        assert [await execution.result() for execution in executions] == list(range(20))


# ── what goes wrong ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_errors_and_results_that_are_no_json_are_as_elsewhere(scheduler: str):
    failed = await failure("fail")
    assert failed.error == "ValueError"
    assert json.loads(failed.cause or "")["stackTrace"][0].startswith(f'  File "{handler_functions.__file__}"')
    exact = await failure("fail_exactly")
    assert (exact.error, exact.cause) == ("Out.Of.Stock", "none left")
    assert (await failure("give_what_is_not_json")).error == "Runtime.MarshalError"


async def test_a_function_that_the_cluster_cannot_import_fails_the_task(scheduler: str):
    assert (await failure("nothing_of_this_name")).error == "AttributeError"
    failed = await failure("takes_too_much")
    assert failed.error == "ValueError"
    assert "(event, context) or (event)" in (failed.cause or "")


async def test_a_worker_of_the_cluster_that_dies_fails_the_task_and_retry_may_treat_it(scheduler: str):
    failed = await failure("leave")
    assert failed.error == "Dask.WorkerLost"
    assert "asl-" in (failed.cause or "")
    state = task(Retry=retry(1, ErrorEquals=["Dask.WorkerLost"]))
    assert await run("leave_at_first", state=state) == 1


async def test_what_waits_in_the_cluster_is_taken_back_when_its_time_is_up(scheduler: str, tmp_path: Path):
    busy, late = tmp_path / "busy", tmp_path / "late"
    async with engine.Engine.in_memory(on_dask("touch_and_hang")) as one:
        first = await one.start_execution(machine(task()), str(busy))
        await appeared(busy)
        second = await one.start_execution(machine(task(TimeoutSeconds=1)), str(late))
        with pytest.raises(engine.ExecutionFailed, match=r"States\.Timeout"):
            await second.result()
        # The Task ends at once; that its job is not wanted is told to the cluster meanwhile, and by that to its worker.
        await only_one_job_is_left(scheduler)
        busy.unlink()
        assert await first.result() is None
    assert await run("echo", 1) == 1  # behind it in the queue of the only worker
    assert not late.exists()


async def test_its_own_time_limit_is_that_of_a_function(scheduler: str, tmp_path: Path):
    file = tmp_path / "runs"
    failed = await failure("touch_and_hang", str(file), timeout_seconds=0.5)
    assert failed.error == "Sandbox.Timedout"
    await appeared(file)
    file.unlink()


async def test_a_scheduler_that_does_not_answer_fails_the_task(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("engine.integrations.dask_._CONNECT_SECONDS", 0.2)
    failed = await failure("echo", dask=NOBODY)
    assert failed.error == "Dask.Unavailable"
    assert NOBODY in (failed.cause or "")


async def test_a_scheduler_that_goes_away_fails_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("engine.integrations.dask_._CONNECT_SECONDS", 1)
    file = tmp_path / "runs"
    with running_cluster(tmp_path / "cluster.py") as (process, address):
        async with engine.Engine.in_memory(on_dask("touch_and_hang", dask=address)) as one:
            execution = await one.start_execution(machine(task()), str(file))
            await appeared(file)
            process.kill()
            with pytest.raises(engine.ExecutionFailed, match=r"Dask\.Unavailable"):
                await execution.result()
    file.unlink()


@pytest.mark.parametrize("on_worker_loss", ["rerun", "fail"])
async def test_when_the_engines_worker_is_lost_it_runs_again_or_fails_as_its_rule_says(
    scheduler: str, tmp_path: Path, on_worker_loss: Any
):
    file, store = tmp_path / "runs", MemoryStore(now=Now(), through_bytes=True)
    async with on(store) as client:
        await client.deploy(machine(task(Catch=catch("B")), {"Type": "Pass"}), "m")
        rules = on_dask("touch_and_hang", on_worker_loss=on_worker_loss)
        async with on(store, rules):
            execution = await client.start_execution("m", str(file))
            await appeared(file)
        async with on(store, rules):
            if on_worker_loss == "rerun":
                assert await ended_without(file, execution) is None
            else:
                assert (await execution.result())["Error"] == "Engine.WorkerLost"
    file.unlink(missing_ok=True)


async def ended_without(file: Path, execution: Any) -> Any:
    """The result of a Task that ends when its file is gone, however often it is made again."""
    async with anyio.create_task_group() as group:

        async def remove() -> None:
            while True:
                await anyio.Path(file).unlink(missing_ok=True)
                await anyio.sleep(0.01)

        group.start_soon(remove)
        result = await execution.result()
        group.cancel_scope.cancel()
    return result


# ── what it cannot do ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_heartbeats_are_refused_by_name(scheduler: str):
    with pytest.raises(engine.UnsupportedTask, match="HeartbeatSeconds is not supported by dask:"):
        await run("echo", state={"Type": "Task", "Resource": ACTIVITY, "HeartbeatSeconds": 60})
    assert await run("echo", 1, state=task(HeartbeatSeconds=60)) == 1
    with pytest.raises(engine.UnsupportedTask, match=r"context\.heartbeat is not supported"):
        await run("swallow_heartbeat")


async def test_a_token_cannot_be_given_back_from_there(scheduler: str):
    with pytest.raises(engine.UnsupportedTask, match=r"context\.(heartbeat|send_task_success) is not supported"):
        await run("finish_own_token", state=invoke("work", suffix=".waitForTaskToken"))


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("dask:no.function", {}, 'expected "dask:module:function"'),
        ("dask:a:b:c", {}, 'expected "dask:module:function"'),
        (f"dask:{HERE}:echo", {}, "ASL_DASK_SCHEDULER"),
        (f"dask:{HERE}:echo", {"process": True, "dask": NOBODY}, "exclude one another"),
        ("cmd:cat", {"dask": NOBODY}, "dask= is for Python callables"),
        (lambda event: 1, {"dask": NOBODY}, "dask= expected a function at the top of a module"),
        (f"dask:{HERE}:echo", {"dask": NOBODY, "timeout_seconds": 901}, "at most 900"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(
    spec: Any, options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("ASL_DASK_SCHEDULER", raising=False)
    with pytest.raises(InvalidHandler, match=message):
        engine.Handlers().add("work", spec, **options)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InvalidHandler, match=r"pip install 'asl-engine\[dask\]'"):
        engine.Handlers().add("work", f"dask:{HERE}:echo", dask=NOBODY)


async def only_one_job_is_left(scheduler: str) -> None:
    """Asks the worker of the cluster itself, whose queue it is."""
    from distributed import Client

    async with Client(scheduler, asynchronous=True, set_as_default=False) as client:
        with anyio.fail_after(DEADLINE_SECONDS):
            while list((await client.run(jobs_of_worker)).values()) != [1]:  # noqa: ASYNC110  it is another process
                await anyio.sleep(0.01)


def jobs_of_worker(dask_worker: Any) -> int:
    """Called there; Dask gives it the worker."""
    return len(dask_worker.state.tasks)


async def appeared(file: Path) -> None:
    with anyio.fail_after(DEADLINE_SECONDS):
        while not await anyio.Path(file).exists():  # noqa: ASYNC110  another process makes it
            await anyio.sleep(0.01)
