"""What an asynchronous Express execution has done since its last checkpoint: it is in memory alone.

A start is acknowledged when its row is written. From then on nothing is written before the end, so Tasks start without
waiting for the disk, and a worker that dies takes all this with it: whoever takes over begins anew. That is what "at
least once" allows. All of it goes with the next checkpoint, as one transition: at the end; before the execution is
given up; or when there is so much of it that memory would suffer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.interpreter.messages import StartRequested
from engine.interpreter.snapshot import Snapshot, Transition, joined
from engine.store.protocol import Mail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.interpreter.messages import Event
    from engine.store.protocol import MailId

EVENTS_MAX = 2_000
BYTES_MAX = 1 << 20
"""Of inputs of states, which is about what the history holds. With so much of either a checkpoint is written after all:
hundreds of executions that pass large documents on would fill the memory of a worker."""

CHUNK_MS = 1_000
"""A chunk of a map run is written so often at least: what its children did since is done again when its worker dies."""


class Unwritten:
    """Of one execution.

    Attributes:
        before: Where it stood at its last checkpoint.
        mail: Mail of the store that was folded since.
    """

    __slots__ = ("_bytes", "_events", "_since", "_transitions", "before", "mail")

    def __init__(self, snapshot: Snapshot, now: int) -> None:
        """Nothing yet: `snapshot` is as it was written, and may move on."""
        self._since = now
        self.before = Snapshot(
            execution=snapshot.execution,
            frames=dict(snapshot.frames),
            counter=snapshot.counter,
            last_event_id=snapshot.last_event_id,
            last_time=snapshot.last_time,
            redrives=snapshot.redrives,
        )
        self.mail: list[MailId] = []
        self._transitions: list[Transition] = []
        self._bytes = self._events = 0

    def is_full(self, now: int) -> bool:
        """Whether it is time for a checkpoint."""
        if self._events > EVENTS_MAX or self._bytes > BYTES_MAX:
            return True
        return self.before.execution.role == "CHUNK" and now - self._since > CHUNK_MS

    def add(self, transition: Transition, mail: Sequence[MailId]) -> None:
        """Something that happened, and is not written."""
        self._transitions.append(transition)
        self._events += len(transition.history)
        self._bytes += sum([frame.size for frame in transition.changed.values() if frame is not None])
        self.mail += mail

    def joined(self, transition: Transition | None) -> Transition:
        """All that happened, and `transition` after it, as one."""
        return joined(self._transitions if transition is None else [*self._transitions, transition])


def may_wait(posts: Sequence[Event | Mail]) -> bool:
    """Whether what was folded need not be written now: the store has it only if it is what begins the execution."""
    return all(not isinstance(post, Mail) or isinstance(post.event, StartRequested) for post in posts)
