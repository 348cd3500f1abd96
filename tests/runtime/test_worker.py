"""The engine's own behaviour when things go wrong, and what is left when it is left."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import anyio
import pytest

import engine
from engine.runtime import executions
from tests.definitions import machine, task, wait

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


async def test_an_execution_that_the_engine_fails_on_is_quarantined_alone(monkeypatch):
    real = executions.advance

    def faulty(plan: Any, snapshot: Any, *args: Any, **kwargs: Any) -> Any:
        if snapshot.execution.name == "unlucky":
            raise AssertionError("planted")
        return real(plan, snapshot, *args, **kwargs)

    monkeypatch.setattr(executions, "advance", faulty)
    import structlog

    with structlog.testing.capture_logs() as logs:
        async with engine.Engine() as one:
            lucky = await one.start_execution(machine(wait(0)), 1, name="lucky")
            unlucky = await one.start_execution(machine(wait(0)), 1, name="unlucky")
            with pytest.raises(engine.ExecutionQuarantined, match="planted") as caught:
                await unlucky.result()
            assert isinstance(caught.value.__cause__, AssertionError)
            assert unlucky.status == "RUNNING"
            assert await lucky.result() == 1
    assert [entry["execution"] for entry in logs] == [unlucky.arn]


async def test_an_observer_that_raises_ends_the_engine_loudly():
    def observe(*args: Any) -> None:
        raise RuntimeError("observer")

    with pytest.raises(BaseExceptionGroup) as caught:
        async with engine.Engine(observer=observe) as one:
            await one.run(machine(wait(1_000)))
    assert caught.group_contains(RuntimeError, match="observer")


async def test_many_engines_do_not_know_each_other():
    async with engine.Engine({"work": "mock:1"}) as one, engine.Engine({"work": "mock:2"}) as two:
        first = await one.start_execution(machine(task()), name="same")
        second = await two.start_execution(machine(task()), name="same")
        assert (await first.result(), await second.result()) == (1, 2)


async def test_a_waiter_that_gives_up_does_not_disturb_the_others():
    async with engine.Engine(clock="virtual") as one:
        held = await one.start_execution(machine(wait(50)), 1)
        with one.clock.real_time():
            with anyio.move_on_after(0.01) as scope:
                await held.result()
            assert scope.cancelled_caught
        assert one.skipped_seconds == 0
        assert await held.result() == 1


def script(body: str, **options: Any) -> subprocess.Popen[str]:
    code = textwrap.dedent(body)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-X", "dev", "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


HEAD = """
    import os, pathlib, threading
    import anyio, engine
    from engine import blocking
    from tests.definitions import machine, task, wait, parallel
    from tests.integrations.handler_functions import hang
    def names():
        return sorted(t.name for t in threading.enumerate())
"""


def test_nothing_is_left_when_the_process_ends():
    """No thread holds up the exit, no child stays, nothing is said about what was not awaited or closed."""
    child = script(
        HEAD
        + """
    async def sleep(event):
        await anyio.sleep_forever()
    handlers = engine.Handlers({"thread": lambda event: threading.Event().wait(), "command": "cmd:sleep 1000"})
    handlers.add("process", hang, process=True)
    handlers.add("loop", sleep)
    kinds = ["thread", "command", "process", "loop"]
    definition = machine(parallel(*[machine({**task(k), "Name": k}) for k in kinds]))
    def children():
        return pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    async def main():
        async with engine.Engine(handlers) as one:
            await one.start_execution(definition)
            while len(children()) < 2 or "asl handler" not in names():
                await anyio.sleep(0.01)
        print(children())
    anyio.run(main)
    print(names())
    """
    )
    out, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (0, "")
    assert out.splitlines() == ["[]", "['MainThread', 'asl handler']"]


@pytest.mark.parametrize("face", ["async", "blocking"])
def test_ctrl_c_aborts_what_is_open_and_ends_the_process(face):
    child = script(
        HEAD
        + """
    def observe(arn, transition):
        if transition.ending is not None:
            print(transition.ending.status, flush=True)
    def work(event):
        print("ready", flush=True)
        threading.Event().wait()
    arguments = {"handlers": {"work": work}, "observer": observe}
    """
        + (
            """
    anyio.run(lambda: engine.run(machine(task()), **arguments))
    """
            if face == "async"
            else """
    blocking.run(machine(task()), **arguments)
    """
        )
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(2)
    out, err = child.communicate(timeout=10)
    assert out == "ABORTED\n"
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert child.returncode != 0
