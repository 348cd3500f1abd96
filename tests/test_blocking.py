"""The engine for programs without an event loop: Ctrl-C at any moment of a call, and calls of other threads."""

from __future__ import annotations

import inspect
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from engine import blocking, library
from engine.store.memory import MemoryStore
from tests.definitions import machine, wait
from tests.waiting import DEADLINE_SECONDS

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.timeout(60)

_EVERY_LINE = """
import asyncio, faulthandler, os, signal, sys, threading
from engine import blocking, library
from engine.store.memory import MemoryStore
from tests.definitions import machine, task

faulthandler.dump_traceback_later(40, exit=True)
begun = ended = 0

async def work(event):
    global begun, ended
    begun += 1
    try:
        if event["ends"]:
            return
        await asyncio.get_running_loop().create_future()
    finally:
        ended += 1

def interrupt_at(place):
    def trace(frame, what, argument):
        nonlocal place
        # What a weak reference calls is interrupted in vain: Python tells of it and goes on.
        if what == "line" and not frame.f_code.co_filename.endswith("_weakrefset.py"):
            place -= 1
            if place == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace
    sys.settrace(trace)
    return lambda: place

def run(place, ends):
    kinds = {"memory": lambda: blocking.Engine.in_memory({"work": work}),
             "fleet": lambda: blocking.Engine(url=MemoryStore, handlers={"work": work})}
    with kinds[sys.argv[1]]() as engine:
        deployed = engine.deploy(machine(task()), "m")
        # Where the line is never reached, it waits for the call by then.
        alarm = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        if not ends:
            alarm.start()
        left = interrupt_at(place)
        try:
            engine.run(deployed, {"ends": ends})
        except KeyboardInterrupt:
            assert not ends
        finally:
            sys.settrace(None)
            alarm.cancel()
        return left()

lines = 10_000 - run(10_000, ends=True)
for place in range(1, lines + 1):
    run(place, ends=False)
    assert begun == ended, place
print(lines)
"""


@pytest.mark.parametrize("kind", ["memory", "fleet"])
def test_ctrl_c_between_any_two_lines_of_a_call_ends_it_and_the_engine_can_be_left(kind):
    done = subprocess.run(
        [sys.executable, "-c", _EVERY_LINE, kind], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 20


def test_a_call_of_another_thread_that_is_not_over_when_the_engine_is_left_is_told():
    told: list[BaseException] = []

    def run(engine: blocking.Engine, deployed: Any) -> None:
        try:
            engine.run(deployed)
        except RuntimeError as error:
            told.append(error)

    store = MemoryStore()
    with blocking.Engine(url=lambda: store, handlers={}) as engine:
        deployed = engine.deploy(machine(wait(1_000)), "m")
        other = threading.Thread(target=run, args=(engine, deployed))
        other.start()
        while not store.rows:
            time.sleep(0.001)
    other.join(DEADLINE_SECONDS)
    assert [str(error) for error in told] == ["the engine was left before the call was over"]


def test_an_engine_is_made_with_the_same_arguments_as_its_other_face():
    assert inspect.signature(blocking.Engine) == inspect.signature(library.Engine)
    assert inspect.signature(blocking.Engine.in_memory) == inspect.signature(library.Engine.in_memory)
    with pytest.raises(TypeError, match="unexpected keyword argument 'nothing'"):
        blocking.Engine.in_memory(nothing=1)  # type: ignore[call-arg]


def test_a_map_run_is_watched_by_a_plain_loop():
    child = {**machine({"Type": "Pass"}), "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}}
    with blocking.Engine.in_memory() as engine:
        execution = engine.start_execution(machine({"Name": "Each", "Type": "Map", "ItemProcessor": child}), [1, 2, 3])
        execution.result()
        (arn,) = engine.map_runs(execution.arn)
        seen = list(engine.watch_map_run(arn, every_seconds=0.01))
        assert seen == [engine.map_run_counts(arn)]
        assert (seen[0].status, seen[0].total, seen[0].succeeded) == ("SUCCEEDED", 3, 3)
