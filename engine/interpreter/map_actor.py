"""What a map run and a chunk have in common: one root Frame with their state, and no history. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from msgspec.structs import replace

from engine.interpreter.messages import Event, RedriveRequested, SendEvent
from engine.interpreter.snapshot import ROOT, ChunkRunning, Frame, MapRole, MapRunning, Transition
from engine.interpreter.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.jsonvalue import Json

State = TypeVar("State", MapRunning, ChunkRunning)


class MapActor(Workspace, Generic[State]):
    """One of them, and what it has in hand during one fold.

    Attributes:
        state: What its root Frame waits for; None before it began.
        given: Its input.
    """

    __slots__ = ("_before", "given", "root")

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        given: Any = self.execution.input
        self.given: dict[str, Any] = given
        root = self.snapshot.frames.get(ROOT)
        waiting: Any = None if root is None else root.waiting
        self.root: State | None = waiting
        self._before: State | None = waiting

    def fold(self, events: Sequence[Event]) -> tuple[Transition, int]:
        """See `advance_together`."""
        for event in events:
            if self.ending is None or isinstance(event, RedriveRequested):
                self.take(event)
        if self.root is not None and self.ending is None:
            self.go_on()
        if self.root is not None and (self.root is not self._before or self.changed):
            self.changed[ROOT] = Frame(ROOT, None, "", None, 0, waiting=self.root)
        if self.ending is not None and not self.execution.keeps_frames(self.ending.status):
            self.changed = dict.fromkeys(self.snapshot.frames)
        return replace(self.transition(), now=self.now), len(events)

    def take(self, event: Event) -> None:
        """Folds an event."""
        raise NotImplementedError

    def go_on(self) -> None:
        """Does what can be done now that all events are folded."""
        raise NotImplementedError

    @property
    def state(self) -> State:
        """Of one that has begun."""
        assert self.root is not None, "StartRequested comes first"
        return self.root

    def put(self, **changes: Any) -> None:
        """Moves the state on."""
        self.root = replace(self.state, **changes)

    @property
    def role(self) -> MapRole:
        """What it is."""
        assert self.execution.map is not None, "a part of a Distributed Map"
        return self.execution.map

    def tell_above(self, event: Event) -> None:
        """Mails whoever waits for its end."""
        above = self.role.above
        assert above is not None, "filled in when it was written"
        self.commands.append(SendEvent(above, event))

    def frames(self) -> list[Frame]:
        """All of its Frames, as they now are."""
        frames = {**self.snapshot.frames, **self.changed}.values()
        return [frame for frame in frames if frame is not None]


def items_of(value: Json) -> list[Any]:
    """A JSON array."""
    assert isinstance(value, list)
    return value
