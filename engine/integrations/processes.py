"""Processes for callables that must be killable or need a processor each. They are started when needed and reused."""

from __future__ import annotations

import inspect
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from engine.errors import ApiError, StatesError
from engine.integrations.command import kill_group, start_process
from engine.integrations.invocation import exit_error
from engine.integrations.process_child import HEAD, Call, Job, Reference, Reply, decode_from_child, encode_message

if TYPE_CHECKING:
    from collections.abc import Callable

    import msgspec
    from anyio.abc import Process

    from engine.integrations.process_child import FromChild
    from engine.integrations.request import Channel

_GONE = (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError)


def reference_to(function: Callable[..., Any], option: str) -> Reference:
    """Where another process finds the function.

    Args:
        function: A callable of the user's.
        option: What makes it run there, for messages.

    Raises:
        ValueError: It cannot: a lambda, a function inside another one, a bound method, or one typed at a prompt.
    """
    module = sys.modules.get(getattr(function, "__module__", ""))
    found: Any = module
    for name in getattr(function, "__qualname__", "<>").split("."):
        found = getattr(found, name, None)
    if module is None or found is not function or not inspect.isfunction(function):
        raise ValueError(
            f"{function!r}: with {option} expected a function at the top of a module, for another process to import"
        )
    if module.__name__ != "__main__":
        return Reference(module.__name__, function.__qualname__)
    if module.__spec__ is not None:  # python -m package.module
        return Reference(module.__spec__.name, function.__qualname__)
    if getattr(module, "__file__", None) is None:
        raise ValueError(f"{function!r}: with {option} expected a function of a module that is a file")
    return Reference("__main__", function.__qualname__, module.__file__)


_ENDING_SECONDS = 5.0
"""From the end of its pipes to its own. More: it has closed them and goes on."""


class Processes:
    """At most so many child processes, each with one invocation at a time. To be used in one event loop.

    Attributes:
        slots: Whoever calls `run` holds one of these meanwhile.
    """

    def __init__(self, processes_max: int) -> None:
        self.slots = anyio.CapacityLimiter(processes_max)
        self._idle: list[_Child] = []

    async def run(self, job: Job, channel: Channel) -> bytes:
        """Runs the job and gives the JSON text of its result. Cancelled, it kills the process.

        Raises:
            StatesError: The function failed; `Runtime.ExitError`: its process ended.
        """
        child = self._idle.pop() if self._idle else await _Child.start()
        try:
            result = await child.run(job, channel)
        except StatesError:
            self._idle.append(child)
            raise
        except _GONE:
            raise exit_error(job.request_id, await child.ended()) from None
        except BaseException:
            await child.kill()
            raise
        self._idle.append(child)
        return result

    async def close(self) -> None:
        """Ends the processes that wait for work; those that work are killed when their `run` is cancelled."""
        while self._idle:
            await self._idle.pop().kill()


class _Child:
    """One process."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        self._process = process
        self._from = BufferedByteReceiveStream(process.stdout)

    @classmethod
    async def start(cls) -> _Child:
        start = f"import sys; sys.path[:] = {sys.path!r}; from engine.integrations.process_child import main; main()"
        return cls(await start_process([sys.executable, "-c", start]))

    async def run(self, job: Job, channel: Channel) -> bytes:
        await self._send(job)
        while True:
            (length,) = HEAD.unpack(await self._from.receive_exactly(HEAD.size))
            message: FromChild = decode_from_child(await self._from.receive_exactly(length))
            if isinstance(message, Call):
                await self._send(_obey(message, channel))
            elif message.result is not None:
                return message.result.encode()
            else:
                raise StatesError(message.error, message.cause)

    async def _send(self, message: msgspec.Struct) -> None:
        assert self._process.stdin is not None
        data = encode_message(message)
        await self._process.stdin.send(HEAD.pack(len(data)) + data)

    async def ended(self) -> int | None:
        """How it ended by itself, as it seems to have; None: it has not, and is killed."""
        with anyio.move_on_after(_ENDING_SECONDS):
            await self._process.wait()
        status = self._process.returncode
        await self.kill()
        return status

    async def kill(self) -> None:
        with anyio.CancelScope(shield=True), suppress(*_GONE):
            kill_group(self._process)
            await self._process.aclose()


def _obey(call: Call, channel: Channel) -> Reply:
    try:
        getattr(channel, call.verb)(*call.arguments)
    except ApiError as error:
        return Reply(type(error).__name__, error.message)
    return Reply()
