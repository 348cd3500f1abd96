"""Hints: what the processes on one store tell one another, so that nobody waits for the next time that he asks anyway.

A hint may be lost, doubled, late or wrong, and nothing depends on one: whoever hears none finds the same by asking, a
little later. So a hint is told after what it is about is written, never together with it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from time import monotonic
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import msgspec

if TYPE_CHECKING:
    from engine.store.protocol import Committed, Group

HintKind: TypeAlias = Literal[
    "START", "MAIL", "MISSING", "END", "WAITING", "OFFER", "SILENT", "CONNECTED", "DISCONNECTED"
]

WAITING_SECONDS = 15.0
"""How long after WAITING endings are told. Whoever waits longer says so again in time."""


class Hint(msgspec.Struct, frozen=True):
    """One thing that may have happened, or many of a kind.

    START         executions of these pools can be claimed
    MAIL          mail has come for these executions
    MISSING       executions of these pools were released by a worker that has not all of their handlers
    END           these executions are over; told while somebody waits
    WAITING       somebody waits for the end of an execution
    OFFER         Tasks of these activities (ARNs) wait for a worker
    SILENT        these workers look dead: whoever is one of them renews its lease
    CONNECTED     from now on hints are heard here; some may have been missed
    DISCONNECTED  hints are heard no longer

    Attributes:
        about: Names of pools, ARNs, or ids; none: it is not said which.
    """

    kind: HintKind
    about: frozenset[str] = frozenset()


Heard: TypeAlias = Callable[[Hint], None]


class Hints(Protocol):
    """The hints of one process; any thread."""

    @property
    def are_heard(self) -> bool:
        """Whether hints of others come through, as far as is known."""
        ...

    @property
    def are_endings_wanted(self) -> bool:
        """Whether somebody waits for ends."""
        ...

    def tell(self, kind: HintKind, about: Collection[str] = ()) -> None:
        """Tells all other processes, soon; never waits and never fails."""
        ...

    def listen(self, heard: Heard) -> None:
        """Has `heard` called with each hint from now on, in a thread that must not be kept waiting."""
        ...

    def ignore(self, heard: Heard) -> None:
        """Ends that."""
        ...


class NoHints:
    """Where nothing can be told."""

    are_heard = False
    are_endings_wanted = False

    def tell(self, kind: HintKind, about: Collection[str] = ()) -> None:
        """See `Hints`: nobody hears it."""

    def listen(self, heard: Heard) -> None:
        """See `Hints`: there is nothing to hear."""

    def ignore(self, heard: Heard) -> None:
        """See `Hints`."""

    def close(self) -> None:
        """Nothing is open."""


class Listeners:
    """Who listens in this process, and whether somebody waits for ends."""

    def __init__(self) -> None:
        self._heard: tuple[Heard, ...] = ()
        self._waiting_until = 0.0
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._heard)

    @property
    def are_endings_wanted(self) -> bool:
        """See `Hints`."""
        return monotonic() < self._waiting_until

    def add(self, heard: Heard) -> None:
        """One more."""
        with self._lock:
            self._heard = (*self._heard, heard)

    def remove(self, heard: Heard) -> None:
        """One less."""
        with self._lock:
            self._heard = tuple(known for known in self._heard if known != heard)

    def hand_out(self, hint: Hint) -> None:
        """Has all of them hear it."""
        if hint.kind == "WAITING":
            self._waiting_until = monotonic() + WAITING_SECONDS
        for heard in self._heard:
            heard(hint)


class LocalHints:
    """Where all who use a store are in one process: they hear everything at once, also what they told themselves."""

    def __init__(self) -> None:
        self._listeners = Listeners()

    @property
    def are_heard(self) -> bool:
        """See `Hints`: whether anybody listens."""
        return bool(self._listeners)

    @property
    def are_endings_wanted(self) -> bool:
        """See `Hints`."""
        return self._listeners.are_endings_wanted

    def tell(self, kind: HintKind, about: Collection[str] = ()) -> None:
        """See `Hints`."""
        self._listeners.hand_out(Hint(kind, frozenset(about)))

    def listen(self, heard: Heard) -> None:
        """See `Hints`."""
        self._listeners.add(heard)

    def ignore(self, heard: Heard) -> None:
        """See `Hints`."""
        self._listeners.remove(heard)


def tell_of_group(hints: Hints, group: Group, committed: Committed) -> None:
    """Tells what a group that was written means to others: what they can claim now, and what is over."""
    if group.releases:
        released = [one for one in group.releases if one.execution_id not in committed.kept]
        if any(one.missing for one in released):
            hints.tell("MISSING")
        if any(one.wake_at <= committed.now for one in released):
            hints.tell("START")
    written = [one for one in group.checkpoints if one.execution_id not in committed.left]
    if any(one.born or (one.release is not None and one.release <= committed.now) for one in written):
        hints.tell("START")
    to = {mail.execution_id.hex for one in written for mail in one.sent}
    if to:
        hints.tell("MAIL", to)
    if hints.are_endings_wanted:
        ended = [one.execution_id.hex for one in written if one.transition.ending is not None]
        if ended:
            hints.tell("END", ended)
