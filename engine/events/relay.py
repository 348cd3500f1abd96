"""Passes on changes of status that the store keeps, until their receivers have taken them: at least once.

A change is written together with the checkpoint that makes it. Whatever process of the fleet looks first takes it; when
that dies, or a receiver cannot be reached, it can be taken again some time later. So nothing that happened goes untold,
and a receiver may get an event twice: its `id` is the same then. Their order is not promised, as on AWS.

Of several receivers only those get it again that have not taken it from this process: a process remembers that, and
another one that takes the change next does not know of it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from engine.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.events.event_sinks import EventSink, Outcome
    from engine.store.library import Store
    from engine.store.protocol import ExecutionId
    from engine.store.records import TakenChange

TAKEN_MAX = 50
"""Changes that are taken at once: with a receiver that only times out they must be through before they come again."""

HIDDEN_MS = 100_000
"""How long others leave alone what one has taken; doubled with each attempt."""

ATTEMPTS_MAX = 30
"""Then it is given up: after some 24 hours, as EventBridge does."""

LOOK_SECONDS = 5.0
"""How often it is looked for what others have left, while nothing happens here."""

REMEMBERED_MAX = 10_000
"""Changes of which it is known who has taken them, while others are still to: some 300 bytes each."""

_BACK_OFF_SECONDS = 0.2
_BACK_OFF_SECONDS_MAX = 30.0
_TELL_EVERY_SECONDS = 10.0
_CLOSE_SECONDS = 10.0


@dataclass(slots=True)
class _Progress:
    """Of a change that not all receivers have taken yet: the places of those that are through with it."""

    through: set[int] = field(default_factory=set)
    is_lost: bool = False


class Relay:
    """The thread of one engine that passes on.

    Attributes:
        delivered: Changes that all receivers have taken.
        dropped: Changes that a receiver refused for good, or that were given up.
    """

    def __init__(self, store: Store, sinks: Sequence[EventSink], tell: Callable[..., None]) -> None:
        """The thread begins at once. `tell`: told of trouble; see `FleetOptions.notice`."""
        self.delivered = 0
        self.dropped = 0
        self._store = store
        self._sinks = sinks
        self._notice = tell
        self._progress: dict[tuple[ExecutionId, int], _Progress] = {}
        self._told_at = float("-inf")
        self._is_closing = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="asl status events", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is something to pass on; any thread."""
        self._wake.set()

    def close(self) -> None:
        """Passes on what there is, for some seconds; the rest stays for others."""
        self._is_closing = True
        self._wake.set()
        self._thread.join(_CLOSE_SECONDS)
        for sink in self._sinks:
            sink.close()

    # ── the thread ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        pause = _BACK_OFF_SECONDS
        while True:
            is_last = self._is_closing
            self._wake.clear()
            try:
                while self._turn():
                    pause = _BACK_OFF_SECONDS
                trouble = None
            except _Trouble as error:
                trouble = error
            if is_last:
                return
            if trouble is None:
                self._wake.wait(LOOK_SECONDS)
                continue
            self._tell("status events: trying again", error=str(trouble), seconds=pause)
            until = monotonic() + pause
            while not self._is_closing and monotonic() < until:
                self._wake.wait(until - monotonic())
                self._wake.clear()
            pause = min(pause * 2, _BACK_OFF_SECONDS_MAX)

    def _turn(self) -> bool:
        """Passes on some; whether there may be more. Raises _Trouble."""
        try:
            taken = self._store.take_status_changes(most=TAKEN_MAX, hidden_ms=HIDDEN_MS)
            if not taken:
                return False
            settled, trouble = self._send(taken)
            if settled:
                self._store.settle_status_changes(settled)
        except StoreUnavailable as error:
            raise _Trouble(f"the database: {error}") from error
        if trouble is not None:
            raise _Trouble(trouble)
        return len(taken) == TAKEN_MAX

    def _send(self, taken: Sequence[TakenChange]) -> tuple[list[TakenChange], str | None]:
        """Those that need not be sent again, and why others must be."""
        progress = [self._progress.pop((one.execution_id, one.number), _Progress()) for one in taken]
        again: set[int] = set()
        trouble: str | None = None
        for number, sink in enumerate(self._sinks):
            places = [place for place, one in enumerate(progress) if number not in one.through]
            for place, (outcome, why) in zip(places, self._sent(sink, [taken[p] for p in places]), strict=True):
                if outcome == "AGAIN" and taken[place].attempts < ATTEMPTS_MAX:
                    again.add(place)
                    trouble = f"{sink.name}: {why}"
                    continue
                progress[place].through.add(number)
                if outcome != "TAKEN":
                    progress[place].is_lost = True
                    self._tell("status events: dropped", to=sink.name, error=why)
        for place in sorted(again):
            self._progress[taken[place].execution_id, taken[place].number] = progress[place]
        while len(self._progress) > REMEMBERED_MAX:
            del self._progress[next(iter(self._progress))]
        settled = [place for place in range(len(taken)) if place not in again]
        lost = sum(progress[place].is_lost for place in settled)
        self.dropped += lost
        self.delivered += len(settled) - lost
        return [taken[place] for place in settled], trouble

    def _sent(self, sink: EventSink, changes: Sequence[TakenChange]) -> Sequence[tuple[Outcome, str]]:
        """What the receiver says of each."""
        if not changes:
            return []
        try:
            return sink.send([change.event for change in changes], self._store)
        except Exception as error:  # noqa: BLE001  one receiver's trouble must not keep others from theirs
            return [("AGAIN", repr(error))] * len(changes)

    def _tell(self, what: str, **about: object) -> None:
        if monotonic() - self._told_at >= _TELL_EVERY_SECONDS:
            self._told_at = monotonic()
            self._notice(what, **about)


class _Trouble(Exception):
    """A receiver or the store cannot be reached now."""
