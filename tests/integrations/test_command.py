"""Commands as handlers: JSON in, JSON out, exit status and stderr."""

from __future__ import annotations

import base64
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest

import engine
from engine.integrations import command
from tests.definitions import invoke, machine, retry, task
from tests.waiting import DEADLINE_SECONDS, until

pytestmark = pytest.mark.anyio


def sh(script: str) -> dict[str, str]:
    return {"work": f"cmd:sh -c {script!r}"}


async def error_of(script: str) -> engine.ExecutionFailed:
    with pytest.raises(engine.ExecutionFailed) as caught:
        await engine.run(machine(task()), {"n": 1}, handlers=sh(script))
    return caught.value


async def test_a_command_gets_the_event_on_stdin_and_gives_its_result_on_stdout():
    assert await engine.run(machine(task()), {"n": [1, "ä"]}, handlers={"work": "cmd:cat"}) == {"n": [1, "ä"]}


async def test_a_command_plays_a_function_for_lambda_invoke():
    output: Any = await engine.run(machine(invoke()), {"n": 1}, handlers={"work": "cmd:cat"})
    assert output["Payload"] == {"n": 1}


@pytest.mark.parametrize("script", ["true", "printf '\\n '", "exec cat >/dev/null"])
async def test_nothing_on_stdout_is_null(script):
    assert await engine.run(machine(task()), handlers=sh(script)) is None


async def test_a_command_need_not_read_its_input():
    assert await engine.run(machine(task()), "x" * 200_000, handlers=sh("echo 1")) == 1


async def test_output_larger_than_a_pipe_is_read_while_the_command_runs():
    limits = engine.Limits(payload_bytes="off")
    output = await engine.run(machine(task()), "x" * 1_000_000, handlers={"work": "cmd:cat"}, limits=limits)
    assert output == "x" * 1_000_000


async def test_exit_status_and_stderr_become_error_and_cause():
    failed = await error_of("echo partial; echo disk full >&2; exit 7")
    assert (failed.error, failed.cause) == ("Command.ExitStatus.7", "disk full")


async def test_a_command_that_a_signal_kills_fails_by_its_name():
    assert (await error_of("kill -9 $$")).error == "Command.Signal.SIGKILL"


async def test_output_that_is_not_json_fails():
    failed = await error_of("echo hello")
    assert failed.error == "Command.InvalidOutput"
    assert "not JSON" in (failed.cause or "")


async def test_of_a_long_stderr_the_end_is_the_cause():
    failed = await error_of("seq 1 20000 >&2; exit 1")
    assert len(failed.cause or "") <= 32_768
    assert (failed.cause or "").endswith("20000")


async def test_the_environment_tells_which_task_it_is(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("INHERITED", "yes")
    names = ["ASL_STATE_NAME", "ASL_ATTEMPT", "ASL_EXECUTION_ARN", "ASL_TASK_TOKEN", "INHERITED"]
    script = tmp_path / "tell"
    shape = ",".join(f'"{name}":"%s"' for name in names)
    script.write_text(f"#!/bin/sh\nprintf '{{{shape}}}' " + " ".join(f'"${name}"' for name in names))
    script.chmod(0o755)
    async with engine.Engine.in_memory({"work": f"cmd:{script}"}) as one:
        execution = await one.start_execution(machine(task(Name="Pay")))
        told: Any = await execution.result()
    assert told == {
        "ASL_STATE_NAME": "Pay",
        "ASL_ATTEMPT": "0",
        "ASL_EXECUTION_ARN": execution.arn,
        "ASL_TASK_TOKEN": "",
        "INHERITED": "yes",
    }


async def test_retries_run_the_command_again(tmp_path: Path):
    script = tmp_path / "flaky"
    script.write_text(f"#!/bin/sh\necho x >> {tmp_path}/calls\n[ $ASL_ATTEMPT = 2 ] && echo $ASL_ATTEMPT\n")
    script.chmod(0o755)
    definition = machine(task(Retry=retry()))
    assert await engine.run(definition, handlers={"work": f"cmd:{script}"}, clock="virtual") == 2
    assert (tmp_path / "calls").read_text() == "x\n" * 3


async def test_a_stopped_execution_kills_the_command_and_all_that_it_started(tmp_path: Path):
    pids = tmp_path / "pids"
    script = tmp_path / "nest"
    script.write_text(f"#!/bin/sh\nsleep 1000 &\necho $$ $! > {pids}.new\nmv {pids}.new {pids}\nwait\n")
    script.chmod(0o755)
    async with engine.Engine.in_memory({"work": f"cmd:{script}"}) as one:
        execution = await one.start_execution(machine(task()))
        await until(pids.exists)
        await execution.stop()
    started = [int(pid) for pid in pids.read_text().split()]
    await until(lambda: not any(map(is_running, started)))


def is_running(pid: int) -> bool:
    """Whether the process exists and is more than an entry that nobody has read yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("spec", ["cmd:", "cmd:  ", "cmd:no-such-command --x", "cmd:sh 'open"])
async def test_a_command_that_cannot_be_is_refused_before_anything_starts(spec):
    with pytest.raises(engine.InvalidHandler, match="handler for 'work'"):
        engine.Handlers({"work": spec})


@pytest.mark.parametrize("seconds", [0, -1, 901])
async def test_lambdas_longest_time_limit_is_the_longest(seconds):
    with pytest.raises(engine.InvalidHandler, match="at most 900"):
        engine.Handlers().add("work", "cmd:cat", timeout_seconds=seconds)


async def test_a_command_that_cannot_be_started_fails_its_task(tmp_path: Path):
    script = tmp_path / "no-interpreter"
    script.write_text("echo 1")
    script.chmod(0o755)
    with pytest.raises(engine.ExecutionFailed) as caught:
        await engine.run(machine(task()), handlers={"work": f"cmd:{script}"})
    assert caught.value.error == "Command.NotStarted"
    assert "Exec format error" in (caught.value.cause or "")


async def test_a_signal_without_a_name_is_told_by_its_number():
    assert (await error_of("kill -40 $$")).error == "Command.Signal.40"


async def test_what_a_command_leaves_in_the_background_does_not_hold_it_up():
    with anyio.fail_after(DEADLINE_SECONDS):
        assert await engine.run(machine(task()), handlers=sh("sleep 1000 & echo 1")) == 1


@pytest.mark.skipif(shutil.which("setsid") is None, reason="setsid is not installed")
async def test_a_daemon_that_a_command_starts_does_not_hold_it_up(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(command, "_PIPES_SECONDS", 0.2)
    started = tmp_path / "started"
    script = (
        f'setsid sh -c "echo \\$\\$ > {started}; exec sleep 300" & until [ -s {started} ]; do sleep 0.01; done; echo 1'
    )
    try:
        with anyio.fail_after(DEADLINE_SECONDS):
            assert await engine.run(machine(task()), handlers={"work": f"cmd:sh -c '{script}'"}) == 1
        os.kill(int(started.read_text()), 0)
    finally:
        os.kill(int(started.read_text()), signal.SIGKILL)


async def test_a_command_that_never_stops_writing_is_killed(monkeypatch):
    monkeypatch.setattr(command, "STDOUT_BYTES_MAX", 1_000_000)
    script = "trap '' PIPE; yes & wait"
    with anyio.fail_after(DEADLINE_SECONDS):
        failed = await error_of(script)
    assert (failed.error, failed.cause) == (
        "Command.OutputTooLarge",
        f"{sh(script)['work']} wrote more than 1000000 bytes on stdout",
    )


async def test_no_more_commands_run_at_once_than_are_allowed(tmp_path: Path):
    script = tmp_path / "alone"
    script.write_text(f"#!/bin/sh\nmkdir {tmp_path}/lock && rmdir {tmp_path}/lock\n")
    script.chmod(0o755)
    async with engine.Engine.in_memory({"work": f"cmd:{script}"}, commands_max=1) as one:
        executions = [await one.start_execution(machine(task())) for _ in range(5)]
        assert [await execution.result() for execution in executions] == [None] * 5


async def test_the_log_that_lambda_invoke_asks_for_holds_what_the_command_wrote_on_stderr():
    asking = invoke()
    asking["Parameters"]["LogType"] = "Tail"
    output: Any = await engine.run(machine(asking), handlers=sh("echo said >&2; echo 1"))
    start, said, end = base64.b64decode(output["LogResult"]).decode().splitlines()
    request_id = output["SdkResponseMetadata"]["RequestId"]
    assert (start, said, end) == (
        f"START RequestId: {request_id} Version: $LATEST",
        "said",
        f"END RequestId: {request_id}",
    )
    assert output["SdkHttpMetadata"]["HttpHeaders"]["X-Amz-Log-Result"] == output["LogResult"]
    assert output["SdkHttpMetadata"]["AllHttpHeaders"]["X-Amz-Log-Result"] == [output["LogResult"]]
