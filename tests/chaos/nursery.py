"""Where the processes of the chaos run come from: a process that has imported everything and forks.

A process of its own takes a second to import the engine, and so few can be killed in a minute that the rare moments are
never met. The nursery has one thread and no connection, so what it forks is as good as new.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tests.cli.command_line import environment

if TYPE_CHECKING:
    from pathlib import Path

_IMPORTED = (
    "anyio._backends._asyncio",
    "engine.cli.main",
    "engine.cli.run",
    "engine.cli.run_one",
    "engine.cli.targets",
    "engine.cli.worker",
    "engine.cli.worker_log",
    "engine.library",
    "engine.runtime.durable_backend",
    "engine.runtime.fleet_worker",
    "engine.store.postgres.embedded_server",
    "engine.store.postgres.store",
    "engine.store.postgres.upgrade",
    "psycopg_pool",
    "tests.chaos.handlers",
    "tests.chaos.maps",
    "tests.chaos.programs",
)


class Nursery:
    """Makes processes; a context manager that ends with none of them left."""

    def __init__(self) -> None:
        self._children: dict[int, Child] = {}
        self._lock = threading.Lock()
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.nursery"],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children.values():
            child.kill()
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.close()
        self._popen.wait()
        self._popen.stdout.close()

    def spawn(self, name: str, planted: dict[str, Any], words: list[str], folder: Path, **settings: str) -> Child:
        """A process that does `tests.chaos.child` with these; its stdout and stderr are files of that folder."""
        child = Child(self, name, folder)
        child.out.touch()
        child.log.touch()
        asked = {"planted": planted, "words": words, "settings": settings}
        asked |= {"out": str(child.out), "log": str(child.log)}
        child.pid = self._ask(asked)
        self._children[child.pid] = child
        return child

    def code_of(self, pid: int) -> int | None:
        """The exit code of one of its processes, as of `Popen`; None: it runs."""
        return self._ask({"pid": pid})

    def _ask(self, asked: dict[str, Any]) -> Any:
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        with self._lock:
            self._popen.stdin.write(json.dumps(asked) + "\n")
            self._popen.stdin.flush()
            return json.loads(self._popen.stdout.readline())


class Child:
    """A process of the chaos run."""

    def __init__(self, nursery: Nursery, name: str, folder: Path) -> None:
        self.name = name
        self.pid = -1
        self.out = folder / f"{name}.out"
        self.log = folder / f"{name}.log"
        self.code: int | None = None
        self._nursery = nursery

    @property
    def is_alive(self) -> bool:
        """Whether it runs; `code` is set once it does not."""
        if self.code is None:
            self.code = self._nursery.code_of(self.pid)
        return self.code is None

    @property
    def is_stopped(self) -> bool:
        """Whether it stands still under SIGSTOP."""
        with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{self.pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] in "Tt"
        return False

    @property
    def said(self) -> list[dict[str, Any]]:
        """The documents that it wrote to stdout."""
        return [json.loads(line) for line in self.out.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def has_logged(self, event: str) -> bool:
        """Whether a worker wrote this event into its log."""
        return f'"event":"{event}"' in self.log.read_text()

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal, if it runs."""
        if self.is_alive:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9, and waits until it is gone."""
        self.signal(signal.SIGKILL)
        while self.is_alive:
            threading.Event().wait(0.002)


# ── the process ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _serve() -> None:
    codes: dict[int, int | None] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if "words" in asked:
            pid = os.fork()
            if pid == 0:
                _become(asked)
            codes[pid] = None
            _answer(pid)
            continue
        pid = asked["pid"]
        if codes[pid] is None:
            ended, status = os.waitpid(pid, os.WNOHANG)
            codes[pid] = os.waitstatus_to_exitcode(status) if ended else None
        _answer(codes[pid])
    for pid, code in codes.items():  # whoever asked is gone
        if code is None:
            os.kill(pid, signal.SIGKILL)


def _answer(value: int | None) -> None:
    sys.stdout.write(f"{json.dumps(value)}\n")
    sys.stdout.flush()


def _become(asked: dict[str, Any]) -> None:
    """The new process; it does not return."""
    for end, place, how in (
        (0, os.devnull, os.O_RDONLY),
        (1, asked["out"], os.O_WRONLY),
        (2, asked["log"], os.O_WRONLY),
    ):
        opened = os.open(place, how | os.O_CREAT, 0o644)
        os.dup2(opened, end)
        os.close(opened)
    os.environ.update(asked["settings"])
    words = [sys.executable, "-m", "tests.chaos.child", json.dumps(asked["planted"]), *asked["words"]]
    if "format" in asked["planted"]:  # what is imported has copies of the other one
        os.execv(sys.executable, words)
    sys.argv = words[2:]
    from tests.chaos import child

    code = 70
    try:
        code = child.main(asked["planted"], asked["words"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  whatever it is, this process ends with it
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    for module in _IMPORTED:
        importlib.import_module(module)
    _serve()
