"""The other process of `process=True`: what runs in it, and the messages between it and the engine.

Messages are JSON with a length of four bytes before it. The child imports what its job names, calls it, and sends
`Done`; meanwhile it may send a `Call`, which the engine answers with a `Reply`. The engine kills the child when it is
left; when the engine itself is killed, the child ends as soon as its function has.
"""

from __future__ import annotations

import importlib
import inspect
import os
import runpy
import struct
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from engine import errors
from engine.errors import ApiError, InvalidOutput, StatesError, revived
from engine.integrations.context import HandlerContext
from engine.integrations.invocation import json_value, marshal, takes_context, unhandled
from engine.integrations.request import TaskRequest
from engine.jsonvalue import Json

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.integrations.request import Signals

HEAD = struct.Struct("!I")
_MAIN = "__asl_main__"
_MS_PER_SECOND = 1_000
_STDIN, _STDOUT, _STDERR = 0, 1, 2

Verb: TypeAlias = Literal["heartbeat", "send_task_success", "send_task_failure", "send_task_heartbeat"]


class Reference(msgspec.Struct, frozen=True):
    """A function that another process can find. `main`: the file to run for it, where its module is `__main__`."""

    module: str
    qualname: str
    main: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One invocation.

    Attributes:
        takes_context: Whether the function is called with a context; None: whoever imports it finds out.
        now: The engine's time, ms since the epoch.
    """

    reference: Reference
    takes_context: bool | None
    request: TaskRequest
    event: Json
    now: int
    seconds: float
    request_id: str


class Call(msgspec.Struct, frozen=True, tag="call"):
    """The handler says something to the engine: a method of `Channel` and its arguments."""

    verb: Verb
    arguments: list[Json] = []


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The invocation's end: the JSON text of the result, or error and cause."""

    result: str | None
    error: str | None = None
    cause: str | None = None


class Reply(msgspec.Struct, frozen=True):
    """The engine's answer to a Call: None, or the ApiError that it raised."""

    code: str | None = None
    message: str = ""


FromChild: TypeAlias = Call | Done
encode_message = msgspec.json.Encoder().encode
decode_from_child = msgspec.json.Decoder(FromChild).decode
_decode_job = msgspec.json.Decoder(Job).decode
_decode_reply = msgspec.json.Decoder(Reply).decode


class _Pipe:
    """The child's ends of the two pipes; the usual file descriptors are left to the handler."""

    def __init__(self) -> None:
        self._in = os.fdopen(os.dup(_STDIN), "rb")
        self._out = os.fdopen(os.dup(_STDOUT), "wb")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, _STDIN)
        os.dup2(_STDERR, _STDOUT)

    def receive(self) -> bytes | None:
        head = self._in.read(HEAD.size)
        return self._in.read(HEAD.unpack(head)[0]) if len(head) == HEAD.size else None

    def send(self, message: FromChild) -> None:
        data = encode_message(message)
        self._out.write(HEAD.pack(len(data)) + data)
        self._out.flush()


class _PipeChannel:
    """A `Channel` that asks the engine over the pipe."""

    def __init__(self, pipe: _Pipe, now: int) -> None:
        self._pipe = pipe
        self._began = time.monotonic() - now / _MS_PER_SECOND
        self._lock = threading.Lock()

    def now(self) -> int:
        return round((time.monotonic() - self._began) * _MS_PER_SECOND)

    def heartbeat(self) -> None:
        self._call("heartbeat")

    def send_task_success(self, task_token: str, output: Json) -> None:
        try:
            value = json_value(output).output  # here: on its way a set would become an array, and NaN null
        except ValueError as error:
            raise InvalidOutput(str(error)) from None
        self._call("send_task_success", task_token, value)

    def send_task_failure(self, task_token: str, error: str | None, cause: str | None) -> None:
        self._call("send_task_failure", task_token, error, cause)

    def send_task_heartbeat(self, task_token: str) -> None:
        self._call("send_task_heartbeat", task_token)

    def _call(self, verb: Verb, *arguments: Json) -> None:
        with self._lock:
            self._pipe.send(Call(verb, list(arguments)))
            data = self._pipe.receive()
        if data is None:
            raise ConnectionError("the engine is gone")
        reply = _decode_reply(data)
        if reply.code is not None:
            kind: type[ApiError] = getattr(errors, reply.code)
            raise revived(kind, reply.message)


def main() -> None:
    """Does jobs until there are no more."""
    pipe = _Pipe()
    while (data := pipe.receive()) is not None:
        job = _decode_job(data)
        pipe.send(do(job, _PipeChannel(pipe, job.now)))


def do(job: Job, channel: Signals) -> Done:
    """Does a job in this process; whatever goes wrong is in the answer."""
    context = HandlerContext(job.request, channel, seconds=job.seconds, request_id=job.request_id)
    try:
        function = _load(job.reference)
        with_context = takes_context(function) if job.takes_context is None else job.takes_context
        result = function(job.event, context) if with_context else function(job.event)
        if inspect.iscoroutine(result):
            import asyncio

            result = asyncio.run(result)
        return Done(marshal(result, job.request_id).decode())
    except (Exception, SystemExit) as error:  # noqa: BLE001  user code: it becomes the Task's error
        failed: StatesError = unhandled(error, job.request_id)
        return Done(None, failed.error, failed.cause)


def _load(reference: Reference) -> Callable[..., Any]:
    if reference.main is not None and _MAIN not in sys.modules:
        module = type(sys)(_MAIN)
        sys.modules[_MAIN] = module
        vars(module).update(runpy.run_path(reference.main, run_name=_MAIN))
    found: Any = importlib.import_module(_MAIN if reference.main is not None else reference.module)
    for name in reference.qualname.split("."):
        found = getattr(found, name)
    function: Callable[..., Any] = found
    return function
