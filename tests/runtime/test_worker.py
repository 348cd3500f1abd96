"""The engine's own behaviour when things go wrong, and what is left when it is left."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog

import engine
from engine import blocking
from engine.runtime import executions
from tests.definitions import machine, task, wait
from tests.faces import Face, Threaded, open_engine
from tests.waiting import DEADLINE_SECONDS

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


async def test_an_execution_that_the_engine_fails_on_is_quarantined_alone(monkeypatch):
    real = executions.advance_together

    def faulty(plan: Any, snapshot: Any, *args: Any, **kwargs: Any) -> Any:
        if snapshot.execution.name == "unlucky":
            raise AssertionError("planted")
        return real(plan, snapshot, *args, **kwargs)

    monkeypatch.setattr(executions, "advance_together", faulty)

    with structlog.testing.capture_logs() as logs:
        async with engine.Engine.in_memory() as one:
            lucky = await one.start_execution(machine(wait(0)), 1, name="lucky")
            unlucky = await one.start_execution(machine(wait(0)), 1, name="unlucky")
            with pytest.raises(engine.ExecutionQuarantined, match="planted") as caught:
                await unlucky.result()
            assert isinstance(caught.value.__cause__, AssertionError)
            assert unlucky.status == "RUNNING"
            assert await lucky.result() == 1
    assert [entry["execution"] for entry in logs] == [unlucky.arn]
    assert "planted" in logs[0]["exception"]
    assert "exc_info" not in logs[0], "variables of frames, such as credentials, must not be logged"


async def test_answers_that_wait_together_are_written_together():
    """A Map of many Tasks costs commits by the dozen, not one for each item."""
    transitions: list[Any] = []
    inside, gate = anyio.Event(), anyio.Event()
    running = 0

    async def work(event: Any) -> Any:
        nonlocal running
        running += 1
        if running == 40:
            inside.set()
        await gate.wait()
        return event

    observer = lambda arn, transition: transitions.append(transition)  # noqa: E731
    async with engine.Engine.in_memory({"work": work}, observer=observer) as one:
        definition = machine({"Type": "Map", "ItemProcessor": machine({**task(), "Name": "Inner"})})
        execution = await one.start_execution(definition, list(range(40)))
        await inside.wait()
        gate.set()
        assert await execution.result() == list(range(40))
    assert len(transitions) < 10


async def test_an_answer_that_cannot_be_folded_takes_none_of_the_others_along(monkeypatch):
    real = executions.advance_together
    folded: list[Any] = []

    def faulty(plan: Any, snapshot: Any, events: Any, **kwargs: Any) -> Any:
        if any(getattr(event, "output", None) == 7 for event in events):
            raise AssertionError("planted")
        folded.extend(events)
        return real(plan, snapshot, events, **kwargs)

    monkeypatch.setattr(executions, "advance_together", faulty)
    gate = anyio.Event()

    async def work(event: Any) -> Any:
        await gate.wait()
        return event

    with structlog.testing.capture_logs():
        async with engine.Engine.in_memory({"work": work}) as one:
            definition = machine({"Type": "Map", "ItemProcessor": machine({**task(), "Name": "Inner"})})
            execution = await one.start_execution(definition, list(range(10)))
            gate.set()
            with pytest.raises(engine.ExecutionQuarantined, match="planted"):
                await execution.result()
    assert [event.output for event in folded if hasattr(event, "output")] == list(range(7))


async def test_a_quarantined_execution_tells_why_to_who_looks_it_up_later(monkeypatch):
    def faulty(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("planted")

    monkeypatch.setattr(executions, "advance_together", faulty)

    with structlog.testing.capture_logs():
        async with engine.Engine.in_memory() as one:
            arn = (await one.start_execution(machine(wait(0)))).arn
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(engine.ExecutionQuarantined, match="planted"):
                await (await one.execution(arn)).result()


@pytest.mark.parametrize("at_the_end", [False, True])
@pytest.mark.parametrize("face", ["async", "blocking"])
async def test_an_observer_that_raises_stops_the_execution_it_was_told_of(face: Face, at_the_end: bool):
    def observe(execution_arn: str, transition: Any) -> None:
        if execution_arn.endswith(":watched") and at_the_end == (transition.ending is not None):
            raise RuntimeError("observer")

    async with open_engine(face, {"work": "mock:1"}, observer=observe) as one:
        other = await one.start_execution(machine(task()))
        watched = await one.start_execution(machine(task()), name="watched")
        with pytest.raises(RuntimeError, match="observer"):
            await watched.result()
        assert watched.status == "SUCCEEDED" if at_the_end else "ABORTED"
        assert await other.result() == 1


async def test_nothing_is_done_for_an_execution_whose_observer_raised():
    called: list[Any] = []

    def observe(execution_arn: str, transition: Any) -> None:
        raise RuntimeError("observer")

    async def work(event):
        called.append(event)

    async with engine.Engine.in_memory({"work": work}, observer=observe) as one:
        with pytest.raises(RuntimeError, match="observer"):
            await one.run(machine(task()))
    assert not called


@pytest.mark.parametrize("face", ["async", "blocking"])
async def test_an_engine_that_is_not_open_says_so(face: Face):
    one = engine.Engine.in_memory() if face == "async" else Threaded(blocking.Engine.in_memory())
    with pytest.raises(RuntimeError, match="the engine is not open: it works inside"):
        await one.run(machine(wait(0)))
    assert one.abandoned == 0
    async with open_engine(face) as other:
        await other.run(machine(wait(0)))
    with pytest.raises(RuntimeError, match="the engine is not open"):
        await other.run(machine(wait(0)))


def test_a_blocking_engine_is_open_once():
    one = blocking.Engine.in_memory()
    with one:
        with pytest.raises(RuntimeError, match="open already"):
            one.__enter__()
        assert one.run(machine(wait(0)), 1) == 1
    with one:
        assert one.run(machine(wait(0)), 2) == 2


@pytest.mark.parametrize("option", ["max_concurrency", "threads_max", "commands_max", "processes_max"])
async def test_a_limit_that_would_let_nothing_run_is_refused(option):
    with pytest.raises(ValueError, match=f"{option}: expected a number of 1 or more, got 0"):
        engine.Engine.in_memory(**{option: 0})


async def test_a_virtual_clock_drives_one_engine_at_a_time():
    clock = engine.VirtualClock()
    async with engine.Engine.in_memory(clock=clock) as one:
        with pytest.raises(RuntimeError, match="the clock drives another engine"):
            await engine.run(machine(wait(1)), clock=clock)
        assert await one.run(machine(wait(5)), 1) == 1
    assert await engine.run(machine(wait(5)), 2, clock=clock) == 2


@pytest.mark.parametrize("from_thread", [False, True])
async def test_time_jumps_again_as_soon_as_nobody_holds_the_clock(from_thread: bool):
    async def hold() -> None:
        with clock.real_time():
            await anyio.wait_all_tasks_blocked()

    def hold_in_thread() -> None:
        with clock.real_time():
            anyio.from_thread.run(anyio.wait_all_tasks_blocked)

    clock = engine.VirtualClock()
    async with engine.Engine.in_memory(clock=clock) as one:
        execution = await one.start_execution(machine(wait(1_000)), 1)
        with anyio.fail_after(DEADLINE_SECONDS):
            async with anyio.create_task_group() as group:
                group.start_soon(execution.result)
                if from_thread:
                    await anyio.to_thread.run_sync(hold_in_thread)
                else:
                    await hold()


async def test_many_engines_do_not_know_each_other():
    async with engine.Engine.in_memory({"work": "mock:1"}) as one, engine.Engine.in_memory({"work": "mock:2"}) as two:
        first = await one.start_execution(machine(task()), name="same")
        second = await two.start_execution(machine(task()), name="same")
        assert (await first.result(), await second.result()) == (1, 2)


async def test_a_waiter_that_gives_up_does_not_disturb_the_others():
    async with engine.Engine.in_memory(clock="virtual") as one:
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
    import logging, os, pathlib, threading
    import anyio, engine
    # In development mode asyncio warns of whatever was slow, and on a busy machine anything is.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
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
        async with engine.Engine.in_memory(handlers) as one:
            await one.start_execution(definition)
            while len(children()) < 2 or "asl handler" not in names():
                await anyio.sleep(0.01)
        print(children())
    anyio.run(main)
    for thread in threading.enumerate():
        if thread.name.startswith("asyncio-waitpid"):  # Python 3.11: it has told of its child's end, and ends itself
            thread.join(DEADLINE_SECONDS)
    print(names())
    """
    )
    out, err = child.communicate(timeout=DEADLINE_SECONDS)
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
    out, err = child.communicate(timeout=DEADLINE_SECONDS)
    assert out == "ABORTED\n"
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert child.returncode != 0
