"""The seam to whoever tells the world of executions: log records and changes of status (`engine.events`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.interpreter.snapshot import Execution, Snapshot, Transition
    from engine.store.library import Store
    from engine.store.protocol import RevisionId, StatusChange


class Chronicler(Protocol):
    """What it is given is shared: not to be changed, and `before` not to be kept either, as it moves on."""

    def open(self, store: Store) -> None:
        """Called once, before anything else, in a thread that may wait; it begins to tell."""
        ...

    def close(self) -> None:
        """Called once, after the last transition, in a thread that may wait: tells what it still can."""
        ...

    def status_changes(self, before: Snapshot, transition: Transition) -> Sequence[StatusChange]:
        """What is to be written together with a transition; in the event loop."""
        ...

    def happened(self, revision_id: RevisionId, execution: Execution, transition: Transition) -> None:
        """A transition was written, or needs not be (Express); in the event loop. Must neither wait nor raise."""
        ...

    def counts(self) -> Mapping[tuple[str, str], int]:
        """How many of what (`log record`, `status change`) came to which end; any thread."""
        ...
