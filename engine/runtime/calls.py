"""Calls to the store that are not writes: one after the other, in a thread of their own, answered in the event loop."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from anyio.lowlevel import current_token

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

Outcome: TypeAlias = "Callable[[], T]"
"""What came of a call: gives its value, or raises what it raised."""


class Calls(Protocol):
    """Makes calls without letting the event loop wait."""

    def ask(self, function: Callable[[], T], answered: Callable[[Outcome[T]], None]) -> None:
        """Calls `function`, and then `answered` in the event loop."""
        ...


class DirectCalls:
    """For a store that answers without waiting."""

    def ask(self, function: Callable[[], T], answered: Callable[[Outcome[T]], None]) -> None:
        """See `Calls`."""
        answered(outcome_of(function))


class ThreadCalls:
    """A thread that calls; to be made in the event loop that gets the answers."""

    def __init__(self, name: str, *, after: Callable[[], None], on_broken: Callable[[BaseException], None]) -> None:
        """Nothing is called yet.

        Args:
            after: Called in the event loop after each answer.
            on_broken: Called in the event loop when an answer could not be taken, which is an error of ours.
        """
        self._post = poster()
        self._after = after
        self._on_broken = on_broken
        self._queue: SimpleQueue[tuple[Callable[[], Any], Callable[[Outcome[Any]], None]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def ask(self, function: Callable[[], T], answered: Callable[[Outcome[T]], None]) -> None:
        """See `Calls`."""
        self._queue.put((function, answered))

    def close(self) -> None:
        """Ends the thread after the calls that were asked for; their answers may come to nobody."""
        self._queue.put(None)

    def join(self, seconds: float) -> None:
        """Waits for the thread's end, but no longer than this."""
        self._thread.join(seconds)

    def _run(self) -> None:
        while (asked := self._queue.get()) is not None:
            function, answered = asked
            self._post(self._answer, answered, outcome_of(function))

    def _answer(self, answered: Callable[[Outcome[Any]], None], outcome: Outcome[Any]) -> None:
        try:
            answered(outcome)
        except Exception as error:  # noqa: BLE001  the event loop would only log it, and go on without the answer
            self._on_broken(error)
        self._after()


def taken(queue: SimpleQueue[T], *, seconds: float | None = None, most: int = sys.maxsize) -> list[T]:
    """All that waits in a queue, up to `most`; when nothing does, the first that comes within `seconds`."""
    found = []
    with suppress(Empty):
        found.append(queue.get(timeout=seconds))
        while len(found) < most:
            found.append(queue.get_nowait())
    return found


def outcome_of(function: Callable[[], T]) -> Outcome[T]:
    """Calls the function now; its value or its error is told when the outcome is called."""
    try:
        value = function()
    except Exception as error:  # noqa: BLE001  it is raised again where the answer is wanted
        raised = error

        def fail() -> T:
            raise raised

        return fail
    return lambda: value


def poster() -> Callable[..., None]:
    """A function that has the event loop, which runs now, call something soon; it may be called from any thread.

    When that loop is closed nothing is called: nobody is left who could want it.
    """
    native: Any = current_token().native_token
    soon = getattr(native, "call_soon_threadsafe", None) or native.run_sync_soon

    def post(function: Callable[..., object], *arguments: object) -> None:
        try:
            soon(function, *arguments)
        except RuntimeError:  # trio.RunFinishedError is one as well
            return

    return post
