"""Between folding and the world: nothing that a checkpoint orders happens before the checkpoint is written.

A durable store takes all that waits as one group, in a thread of its own, and answers later. The store of one process
answers at once, so its committer hands over each checkpoint as it comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.store.protocol import Checkpoint, ExecutionStore


class Committer(Protocol):
    """Takes checkpoints, at most one of each execution at a time."""

    @property
    def pending(self) -> int:
        """Checkpoints that are not written yet; time must not jump while there are any."""
        ...

    def submit(self, checkpoint: Checkpoint, committed: Callable[[], None]) -> None:
        """Has the checkpoint written, then calls `committed` in the event loop."""
        ...


class DirectCommitter:
    """For a store that writes without waiting."""

    pending = 0

    def __init__(self, store: ExecutionStore) -> None:
        self._store = store

    def submit(self, checkpoint: Checkpoint, committed: Callable[[], None]) -> None:
        """See `Committer`."""
        self._store.commit((checkpoint,))
        committed()
