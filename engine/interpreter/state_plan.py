"""What the plans of all states share. Each module in `states` adds what its type needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.interpreter.history import CODE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.asl.program import Retrier, StateType
    from engine.interpreter.recovery import CatcherPlan
    from engine.jsonvalue import Json


@dataclass(slots=True, eq=False, kw_only=True)
class StatePlan:
    """What every state has. `next` is the plan itself, set once all of them exist; None: the flow ends here.

    `exited_code` of a Fail state is never used: it has no exit event. `context`: what TestState puts in place of the
    real Context Object.
    """

    name: str
    type: StateType
    next: StatePlan | None = None
    retriers: Sequence[Retrier] = ()
    catchers: Sequence[CatcherPlan] = ()
    context: dict[str, Json] | None = None
    entered_code: int = field(init=False)
    exited_code: int = field(init=False)
    has_retry_count: bool = field(init=False)

    def __post_init__(self) -> None:
        self.entered_code = CODE[f"{self.type}StateEntered"]
        self.exited_code = CODE.get(f"{self.type}StateExited", -1)
        self.has_retry_count = self.type in ("Task", "Parallel", "Map")
