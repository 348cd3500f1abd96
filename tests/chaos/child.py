"""A process of the chaos run: the `asl` command as users have it, with a fault planted in it first.

    python -m tests.chaos.child '{"strike": "commit:3:sent:KILL"}' worker --db ...     the command `asl worker`
    python -m tests.chaos.child '{}' start --db ... --count 50                          a worker that starts executions

`strike` is METHOD:NUMBER:PHASE:SIGNAL. At the NUMBERth call of that method of the store the process is struck by the
signal: `before` the statement is sent, when it is `sent` and not answered, or `after` its answer and before the runtime
has it. `deaf`: no notification ever arrives. `format`: it writes this format, and reads all up to it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import threading
import time
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from tests.chaos.handlers import note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PHASES = ("before", "sent", "after")

ANSWER_SECONDS = 0.03
"""How long the proxy of the run keeps an answer back, so that there is a time between a statement and its answer."""

STARVED_SECONDS = 0.5
_TICK_SECONDS = 0.05

_SLOW_SECONDS = 0.1


class _Striker:
    """Sends this process a signal, once."""

    def __init__(self, number: signal.Signals) -> None:
        self._number = number
        self._has_struck = False

    def strike(self) -> None:
        if not self._has_struck:
            self._has_struck = True
            os.kill(os.getpid(), self._number)

    def strike_slowly(self) -> None:
        """After the store has taken a while: meanwhile other threads could do what they should not do yet."""
        if not self._has_struck:
            time.sleep(_SLOW_SECONDS)
            self.strike()


def _plant(strike: str) -> None:
    from engine.store.postgres.store import Handle

    method, number, phase, name = strike.split(":")
    assert phase in PHASES, phase
    striker, calls = _Striker(signal.Signals[f"SIG{name}"]), count(1)
    original: Callable[..., Any] = getattr(Handle, method)

    def call(*args: Any, **kwargs: Any) -> Any:
        if next(calls) != int(number):
            return original(*args, **kwargs)
        if phase == "before":
            striker.strike_slowly()
        elif phase == "sent":
            # The answers to statements take ANSWER_SECONDS here, one for preparing it and one for doing it.
            threading.Timer(ANSWER_SECONDS * random.choice([0.5, 1.5]), striker.strike).start()
        try:
            return original(*args, **kwargs)
        finally:
            striker.strike_slowly()

    setattr(Handle, method, call)


def _deafen() -> None:
    import psycopg

    notifies = psycopg.Connection.notifies

    def silence(self: Any, **limits: Any) -> Iterator[Any]:
        for _ in notifies(self, **limits):
            pass
        return
        yield

    psycopg.Connection.notifies = silence  # type: ignore[method-assign]


def _write_format(number: int) -> None:
    from engine.interpreter import snapshot

    snapshot.FORMAT = number
    from engine.store.postgres import snapshots

    snapshots.READABLE_FORMATS = tuple(range(1, number + 1))


async def _start(url: str, lease_seconds: float, programs: list[str], total: int) -> None:
    """A worker that starts executions and says of each that it was acknowledged."""
    import anyio

    from engine.library import Engine
    from tests.chaos.handlers import work
    from tests.chaos.programs import PROGRAMS, given

    async with Engine(url, handlers={"*": work}, lease_seconds=lease_seconds) as engine:
        machines = {name: await engine.deploy(PROGRAMS[name], name) for name in programs}

        async def one(number: int) -> None:
            program = programs[number % len(programs)]
            execution = await engine.start_execution(machines[program], given(number))
            sys.stdout.write(json.dumps({"acknowledged": execution.arn}) + "\n")
            sys.stdout.flush()

        async with anyio.create_task_group() as group:
            for number in range(total):
                group.start_soon(one, number)
                await anyio.sleep(0.02)
        sys.stdout.write(json.dumps({"started": total}) + "\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


def _watch_the_machine() -> None:
    """Notes when this process gets no processor for so long that a short lease may end; then nobody is to blame."""

    def watch() -> None:
        before = time.monotonic()
        while True:
            time.sleep(_TICK_SECONDS)
            now = time.monotonic()
            if now - before > STARVED_SECONDS:
                note({"what": "starved", "pid": os.getpid(), "seconds": now - before})
            before = now

    threading.Thread(target=watch, daemon=True).start()


def main(planted: dict[str, Any], words: list[str]) -> int:
    """Plants the fault and does what the words say; the exit code."""
    if "format" in planted:  # before anything copies it
        _write_format(planted["format"])
    if planted.get("deaf"):
        _deafen()
    if "strike" in planted:
        _plant(planted["strike"])
    _watch_the_machine()
    if words[0] != "start":
        from engine.cli.main import main as asl

        return asl(words, prog_name="asl")  # type: ignore[no-any-return]
    import anyio

    parser = argparse.ArgumentParser()
    parser.add_argument("--db", required=True)
    parser.add_argument("--lease-seconds", type=float, required=True)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--count", type=int, required=True)
    asked = parser.parse_args(words[1:])
    anyio.run(partial(_start, asked.db, asked.lease_seconds, asked.programs.split(","), asked.count))
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
