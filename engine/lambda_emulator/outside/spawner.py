"""The process that starts the processes of functions, tells of their ends, and takes them with it when it goes.

Run as a script with the number of a connected socket, a directory of its own, and `namespaces` or `no namespaces`. It
is small, has one thread and no secrets in its environment, so it may fork, and what it forks inherits nothing of the
emulator's. It ends when the emulator does, however that came about: the socket then says so, and every process of every
function is killed; and should it be killed itself, the kernel kills its children.

A message is JSON with a length of four bytes before it. From the emulator:

    {"verb": "start", "id": 7, "arguments": [...], "environment": {...}, "task": "/…", "runtime": "/…",
     "layers": [...], "scratch": 3, "megabytes": 512, "directory": "/var/task"}     and the descriptor of its log;
                    where it shall become the template of others (SnapStart) also one that orders come from
    {"verb": "adopt", "id": 7, "pid": 123}       a child of a process here, whose parent has ended
    {"verb": "kill", "id": 7}                    with all of its process group
    {"verb": "forget", "scratch": 3}             its files go

    {"verb": "scratch", "id": 8, "scratch": 4, "megabytes": 512}     only its /tmp is made, for a copy of a template

To the emulator: {"namespace": true, "why": null} once, then {"id": 7, "pid": 123} or {"id": 7, "refused": "…"}, and at
last {"id": 7, "status": 9}, as `os.waitstatus_to_exitcode` has it.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import asl_confinement as confinement  # type: ignore[import-not-found]

_HEAD = struct.Struct("!I")
_COMMAND_NOT_FOUND = 127
_CANNOT_EXECUTE = 126
_LOG_FD = 1
_SWEEP_SECONDS, _SWEEP_FOR_SECONDS = 0.25, 3.0
"""How often, and for how long after the end of a process, its orphans are looked for."""


class _Spawner:
    """What one such process knows."""

    def __init__(self, link: socket.socket, directory: str, *, wants_namespaces: bool) -> None:
        self._wants_namespaces = wants_namespaces
        self._link = link
        self._directory = directory
        self._mount_points = os.path.join(directory, "var")
        self._selector = selectors.DefaultSelector()
        self._pids: dict[int, int] = {}
        self._watched: dict[int, tuple[int, int]] = {}
        self._scratch: set[int] = set()
        self._has_namespace = False
        self._sweep_until = 0.0

    def run(self) -> None:
        for name in ("task", "runtime"):
            os.makedirs(os.path.join(self._mount_points, name))
        why: str | None = None if self._wants_namespaces else "not wanted"
        if self._wants_namespaces:
            try:
                confinement.enter_namespace()
                self._try_namespace()
                self._has_namespace = True
            except OSError as error:
                why = str(error)
        with suppress(OSError, AttributeError):
            confinement.adopt_orphans()
        self._send({"namespace": self._has_namespace, "why": why})
        self._selector.register(self._link, selectors.EVENT_READ, None)
        try:
            while True:
                is_sweeping = time.monotonic() < self._sweep_until
                for key, _ in self._selector.select(_SWEEP_SECONDS if is_sweeping else None):
                    if key.data is not None:
                        self._ended(key.data)
                    elif not self._receive():
                        return
                if is_sweeping:
                    self._sweep()
        finally:
            self._leave()

    def _try_namespace(self) -> None:
        """Does all of it once, in a child: better to learn now that something of it is forbidden."""
        scratch = os.path.join(self._directory, "trial")
        confinement.mount_scratch(scratch, 1)
        pid = os.fork()
        if pid == 0:
            try:
                self._see(task=self._mount_points, runtime=self._mount_points, scratch=scratch, layers=[])
            except OSError as error:
                os._exit(error.errno or 1)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        confinement.unmount_scratch(scratch)
        if status:
            raise OSError(status, f"a mount that functions need: {os.strerror(status)}")

    def _see(self, *, task: str, runtime: str, scratch: str, layers: list[str]) -> None:
        points = self._mount_points
        confinement.see_as_lambda(task=task, runtime=runtime, scratch=scratch, layers=layers, mount_points=points)

    # ── the socket ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _receive(self) -> bool:
        try:
            head, descriptors, _flags, _address = socket.recv_fds(self._link, _HEAD.size, 4)
            head += self._exactly(_HEAD.size - len(head)) if head else b""
            data = self._exactly(_HEAD.unpack(head)[0]) if head else b""
        except OSError:
            return False
        if not data:
            return False
        message = json.loads(data)
        verb = message.pop("verb")
        if verb == "start":
            self._start(message, descriptors)
        elif verb == "adopt":
            self._watch(message["id"], message["pid"])
        elif verb == "kill":
            self._kill(message["id"])
        elif verb == "scratch":
            self._scratch_for(message["scratch"], message["megabytes"])
            self._send({"id": message["id"], "pid": 0})
        else:
            self._forget(message["scratch"])
        return True

    def _exactly(self, length: int) -> bytes:
        parts = b""
        while len(parts) < length:
            part = self._link.recv(length - len(parts))
            if not part:
                raise ConnectionError("the emulator is gone")
            parts += part
        return parts

    def _send(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode()
        self._link.sendall(_HEAD.pack(len(data)) + data)

    # ── processes ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self, order: dict[str, Any], descriptors: list[int]) -> None:
        try:
            scratch = self._scratch_for(order["scratch"], order["megabytes"])
            parent = os.getpid()
            pid = os.fork()
        except OSError as error:
            self._send({"id": order["id"], "refused": str(error)})
        else:
            if pid == 0:
                self._become(order, scratch, descriptors, parent)
            self._watch(order["id"], pid)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _become(self, order: dict[str, Any], scratch: str, descriptors: list[int], parent: int) -> None:
        """In the child: never returns."""
        code = 1
        log, *orders = descriptors
        try:
            os.setsid()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)  # what is ignored here would be ignored there
            confinement.die_with(parent)
            environment = order["environment"]
            if orders:
                mounts = os.open("/proc/self/ns/mnt", os.O_RDONLY)
                environment |= {"_ASL_ORDERS_FD": str(orders[0]), "_ASL_MOUNTS_FD": str(mounts)}
                for descriptor in (orders[0], mounts):
                    os.set_inheritable(descriptor, True)
                confinement.keep_capabilities()
            nothing = os.open(os.devnull, os.O_RDONLY)
            for descriptor, target in ((nothing, 0), (log, _LOG_FD), (log, 2)):
                os.dup2(descriptor, target)
            confinement.limit_resources(file_megabytes=None if self._has_namespace else order["megabytes"])
            if self._has_namespace:
                self._see(task=order["task"], runtime=order["runtime"], scratch=scratch, layers=order["layers"])
            else:
                environment |= dict.fromkeys(("TMPDIR", "TMP", "TEMP"), scratch)
            os.chdir(order["directory"])
            arguments = order["arguments"]
            try:
                os.execvpe(arguments[0], arguments, environment)  # noqa: S606  what the function's runtime is
            except OSError as error:
                code = _COMMAND_NOT_FOUND if isinstance(error, FileNotFoundError) else _CANNOT_EXECUTE
                raise
        except OSError as error:
            os.write(2, f"{error}\n".encode())
        finally:
            os._exit(code)

    def _watch(self, number: int, pid: int) -> None:
        try:
            descriptor = os.pidfd_open(pid)
        except OSError as error:
            self._send({"id": number, "refused": str(error)})
            return
        self._pids[number] = pid
        self._watched[number] = (pid, descriptor)
        self._selector.register(descriptor, selectors.EVENT_READ, number)
        self._send({"id": number, "pid": pid})

    def _kill(self, number: int) -> None:
        pid = self._pids.get(number)
        if pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _ended(self, number: int) -> None:
        """Its leader has ended; the others of the group go with it, before anybody can get the same number."""
        pid, descriptor = self._watched.pop(number)
        self._selector.unregister(descriptor)
        os.close(descriptor)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        del self._pids[number]
        try:
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except ChildProcessError:  # it is somebody else's child after all
            status = -signal.SIGKILL
        self._sweep_until = time.monotonic() + _SWEEP_FOR_SECONDS
        self._send({"id": number, "status": status})

    def _sweep(self) -> None:
        """Processes that left the group of their function become children of this one: those of ended ones go.

        They are known by their mounts, which they share with their function's process. One that has just been made is
        left alone: it may be a copy of a template, which nobody has named yet.
        """
        watched = set(self._pids.values())
        orphans = [pid for pid in _children() if pid not in watched]
        if not orphans:
            return
        alive = {_mounts_of(pid) for pid in watched} | {_mounts_of(os.getpid()), None}
        for pid in orphans:
            if _mounts_of(pid) not in alive and _age_seconds(pid) > _SWEEP_SECONDS:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    # ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _scratch_for(self, number: int, megabytes: int) -> str:
        path = os.path.join(self._directory, f"tmp-{number}")
        if number not in self._scratch:
            if self._has_namespace:
                confinement.mount_scratch(path, megabytes)
            else:
                os.mkdir(path, 0o700)
            self._scratch.add(number)
        return path

    def _forget(self, number: int) -> None:
        if number not in self._scratch:
            return
        self._scratch.discard(number)
        path = os.path.join(self._directory, f"tmp-{number}")
        with suppress(OSError):
            if self._has_namespace:
                confinement.unmount_scratch(path)
            else:
                shutil.rmtree(path)

    def _leave(self) -> None:
        for number in list(self._pids):
            self._kill(number)
        while True:
            # Whoever left its group is a child of this process as soon as its parent has ended.
            for pid in _children():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                break
        for number in list(self._scratch):
            self._forget(number)
        shutil.rmtree(self._directory, ignore_errors=True)


def _children() -> list[int]:
    try:
        with open("/proc/thread-self/children") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def _mounts_of(pid: int) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")
    except OSError:
        return None  # it has ended


def _age_seconds(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/stat") as file:
            started = int(file.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _Spawner(socket.socket(fileno=int(sys.argv[1])), sys.argv[2], wants_namespaces=sys.argv[3] == "namespaces").run()
