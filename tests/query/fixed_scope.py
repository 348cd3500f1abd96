"""A Scope whose parts a test writes down: nothing in it changes by itself."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.jsonvalue import Json
    from engine.query.evaluation import Chance


@dataclass
class FixedScope:
    """Satisfies `engine.query.evaluation.Scope`; `contexts_built` counts how often the Context Object was asked for."""

    variables: dict[str, Json] = field(default_factory=dict)
    context_object: dict[str, Json] = field(default_factory=dict)
    now: int = 1_704_164_645_678
    chance: Chance = field(default_factory=lambda: random.Random(7))
    payload_bytes_max: int = 262_144
    contexts_built: int = 0

    def context(self) -> dict[str, Json]:
        self.contexts_built += 1
        return self.context_object
