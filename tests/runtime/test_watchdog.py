"""A loop that stands still is noticed from a thread, and a process that does not mend is ended."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from queue import SimpleQueue

import anyio
import pytest

from engine.runtime.watchdog import UNFIT, Watchdog
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_a_loop_that_turns_never_stands_still(monkeypatch: pytest.MonkeyPatch):
    told, answers = [], []
    dog = Watchdog(0.5, lambda *about: told.append(about))
    answer = dog._answer
    monkeypatch.setattr(dog, "_answer", lambda: answers.append(answer()))
    with dog:
        await until(lambda: len(answers) == 4)
        assert dog.still_seconds == 0
    assert not told


async def test_a_loop_that_is_blocked_is_noticed_with_the_place_where_it_stands():
    told: SimpleQueue[tuple[float, str]] = SimpleQueue()
    with Watchdog(0.5, lambda *about: told.put(about)) as dog:
        seconds, stack = told.get(timeout=60)  # the loop stands here until then
        assert dog.still_seconds >= 0.5
        assert seconds >= 0.5
        assert "told.get(timeout=60)" in stack
        await until(lambda: dog.still_seconds == 0)


async def test_time_in_which_the_whole_process_stood_does_not_count(monkeypatch: pytest.MonkeyPatch):
    with Watchdog() as dog:
        looked = threading.Event()
        resume = threading.Event()

        def suspended(seconds: float) -> bool:
            looked.set()
            return resume.wait(60) and False

        monkeypatch.setattr(dog._over, "wait", suspended)
        await anyio.to_thread.run_sync(looked.wait)
        time.sleep(0.6)  # noqa: ASYNC251  both the loop and the watchdog stand
        assert dog.still_seconds <= 0.25
        monkeypatch.undo()
        resume.set()


def test_a_process_whose_loop_stands_still_is_ended_with_a_code_of_its_own():
    code = """
import anyio, time, engine
from engine.store.memory import MemoryStore
from tests.definitions import machine, task

async def block(event):
    time.sleep(1_000)

async def main():
    store = MemoryStore()
    async with engine.Engine(url=lambda: store, handlers={"work": block}, lease_seconds=1.5, watchdog=True) as one:
        await one.deploy(machine(task()), "m")
        await one.run("m")

anyio.run(main)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == UNFIT, done.stderr
    assert "event loop stands still" in done.stdout
    assert "in block" in done.stdout
