"""Who is told of each commit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from engine.interpreter.plan import Plan
    from engine.interpreter.snapshot import Snapshot, Transition
    from engine.runtime.chronicler import Chronicler


class Observer(Protocol):
    """Called after each commit, before the commands are carried out; it must not wait.

    One that raises stops the execution it was told of: whoever waits for that gets the observer's own error.
    """

    def __call__(self, execution_arn: str, transition: Transition, /) -> object:
        """`transition` is shared: not to be changed."""
        ...


class Tracer(Protocol):
    """Called after each commit with where the execution stood before; must neither wait nor raise."""

    def __call__(self, plan: Plan, before: Snapshot, transition: Transition, /) -> object:
        """All of it is shared: not to be changed, nor kept, as `before` moves on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Watchers:
    """All that are told of what a worker's executions do; None: nobody."""

    observer: Observer | None = None
    tracer: Tracer | None = None
    chronicler: Chronicler | None = None
