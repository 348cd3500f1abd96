"""What a state answers when it is entered or woken, a Step; `advance` carries it out."""

from __future__ import annotations

from typing import Any, TypeAlias

from engine.errors import StatesError
from engine.interpreter.messages import Command, Value
from engine.interpreter.snapshot import Waiting
from engine.interpreter.state_plan import StatePlan
from engine.jsonvalue import Json


class Leave(Value, frozen=True):
    """The state is done.

    Attributes:
        output: What the next state gets.
        size: Upper bound of its JSON bytes.
        next: The plan of the next state; None when the flow ends here.
        assigned: Workflow variables set by `Assign`, and the upper bound of their JSON bytes.
    """

    output: Json
    size: int
    next: StatePlan | None
    assigned: dict[str, Json] | None = None
    assigned_size: int = 0


class Stay(Value, frozen=True):
    """The state waits for the outside. `events`: (code, payload) of the history events that say so, in order."""

    waiting: Waiting
    commands: tuple[Command, ...]
    events: tuple[tuple[int, Any], ...] = ()


class Fork(Value, frozen=True):
    """The state starts branches or iterations.

    Attributes:
        inputs: One raw input each; of a Map the items.
        most: How many run at once.
        size: Upper bound of the JSON bytes of each input.
    """

    inputs: list[Json]
    most: int
    size: int


class BeginMapRun(Value, frozen=True):
    """The state begins a map run.

    Attributes:
        length: How many items are known of.
        items: An array, or the members of an object; None: a reader has them.
    """

    length: int
    items: list[Json] | dict[str, Json] | None


class Raise(Value, frozen=True):
    """The state failed; whether that means retry, catch or fail is for `recovery` to say."""

    error: StatesError


Step: TypeAlias = Leave | Stay | Fork | BeginMapRun | Raise
