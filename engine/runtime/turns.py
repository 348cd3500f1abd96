"""Whose turn it is: Tasks wait in line until there is a place for their handler.

There are so many places for all handlers together (`most`). A handler that only waits for an answer from elsewhere
(`waits_apart`) takes none of them but one of APART_MAX, so a thousand invocations of 15 minutes keep nobody waiting. A
handler with a `concurrency` of its own has its Tasks wait in a line of their own as well, where they take no place.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from engine.integrations.request import Handler
    from engine.runtime.open_task import OpenTask

APART_MAX = 1_000
"""As many as AWS lets an account invoke at once. More: each holds its execution and a connection in memory, 0.1 MB."""


class _Line:
    """Tasks that wait for one of `most` places (None: no end of them); `taken` are in use."""

    __slots__ = ("most", "taken", "waiting")

    def __init__(self, most: int | None) -> None:
        self.most = most
        self.taken = 0
        self.waiting: deque[OpenTask] = deque()


Lines: TypeAlias = "tuple[_Line, _Line | None]"
"""Where the Tasks of a handler wait: with all others, and before that by themselves, if it has a limit."""


class Turns:
    """The lines of one worker."""

    def __init__(self, most: int | None) -> None:
        """`most` None: no handler waits, but for its own limit."""
        self._common = _Line(most)
        self._apart = _Line(None if most is None else APART_MAX)
        self._shared = (self._common, self._apart)
        self._of: dict[Handler, Lines] = {}

    @property
    def apart(self) -> int:
        """Tasks that run and take nobody's place."""
        return self._apart.taken

    def join(self, task: OpenTask) -> None:
        """The Task waits from now on."""
        assert task.handler is not None, "a Task without a handler has no turn"
        lines = self._of.get(task.handler)
        if lines is None:
            lines = self._of[task.handler] = self._lines_of(task.handler)
        task.lines = lines
        line, own = lines
        if own is not None:
            if own.most is not None and own.taken >= own.most:
                line = own
            else:
                own.taken += 1
        line.waiting.append(task)

    def head(self) -> OpenTask | None:
        """A Task whose turn it is, if there is one; it still waits."""
        for line in self._shared:
            if line.waiting and (line.most is None or line.taken < line.most):
                return line.waiting[0]
        return None

    def begin(self, task: OpenTask) -> None:
        """The Task, which is the head, takes its place."""
        assert task.lines is not None, "it has joined"
        line, _ = task.lines
        assert line.waiting[0] is task, "whoever is next begins"
        line.waiting.popleft()
        line.taken += 1

    def leave(self, task: OpenTask) -> None:
        """The Task, which had begun, gives its place up."""
        assert task.lines is not None, "it has joined"
        line, own = task.lines
        line.taken -= 1
        if own is not None:
            own.taken -= 1
            if own.waiting:
                self.join(own.waiting.popleft())

    def clear(self) -> list[OpenTask]:
        """Nobody waits any more; whoever did."""
        waiting = [*self._common.waiting, *self._apart.waiting]
        for task in waiting:
            if task.lines is not None and task.lines[1] is not None:
                task.lines[1].taken -= 1
        for _, own in self._of.values():
            if own is not None:
                waiting += own.waiting
                own.waiting.clear()
        for line in self._shared:
            line.waiting.clear()
        return waiting

    def _lines_of(self, handler: Handler) -> Lines:
        most = getattr(handler, "concurrency", None)
        shared = self._apart if getattr(handler, "waits_apart", False) else self._common
        return shared, None if most is None else _Line(most)
