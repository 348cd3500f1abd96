"""What all expressions share: what they may read, how they are called, and how large their values can become.

An expression is compiled once, when a definition is parsed, to a closure `(data, scope) -> value`: `data` is its own
`$`, `scope` everything else it may look at. Nothing here reads a clock or draws a number by itself: both come with the
Scope.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from engine.jsonvalue import Json, encode


class Chance(Protocol):
    """Where chance comes from. `random.Random(seed)` and `random.SystemRandom()` both fit."""

    def random(self) -> float:
        """Uniform in [0, 1)."""
        ...

    def getrandbits(self, k: int, /) -> int:
        """`k` random bits as a non-negative integer."""
        ...


class Scope(Protocol):
    """What an expression may read besides its own `$`."""

    @property
    def variables(self) -> Mapping[str, Json]:
        """The workflow variables that are visible here, by name without `$`."""
        ...

    @property
    def now(self) -> int:
        """The time of this evaluation: milliseconds since the epoch, UTC."""
        ...

    @property
    def chance(self) -> Chance:
        """For `States.UUID`, `States.MathRandom`, `$random` and `$uuid`."""
        ...

    @property
    def payload_bytes_max(self) -> int:
        """The payload limit in bytes of JSON; 0 when it is off."""
        ...

    def context(self) -> dict[str, Json]:
        """The Context Object: `$$` in JSONPath, `$states.context` in JSONata. Built when first asked for."""
        ...


Evaluate: TypeAlias = Callable[[Json, Scope], Json]


class Growth(NamedTuple):
    """An upper bound for the JSON bytes of a value, linear in the bytes of what it may copy from.

    Adding bounds is all that happens while states run. A value is encoded and measured only when its bound comes near
    the payload limit, and the bytes then serve the history event as well. Encoding every output instead costs 8 to 22 %
    of the whole at 200 bytes (docs/decisions).
    """

    fixed: int
    of_input: int = 0

    def plus(self, other: Growth) -> Growth:
        """The bound of two values that stand beside one another."""
        return Growth(self.fixed + other.fixed, self.of_input + other.of_input)

    def of(self, inner: Growth) -> Growth:
        """The bound when this one's input is itself the outcome of `inner`."""
        k = self.of_input
        return Growth(self.fixed + k * inner.fixed, k * inner.of_input) if k else self


LEVEL_BYTES = 32
"""What an array or object around a value adds to its bound, though brackets take two bytes. So a value whose bound says
that it need not be measured is at most some hundred levels deeper than one that was (`engine.jsonvalue.DEPTH_MAX`)."""

SAME = Growth(0, 1)
"""The value is (a part of) the input."""

UNKNOWN = Growth(1 << 40)
"""Nothing is known, so it is measured each time. An integer, not infinity: infinity is null in JSON."""


def constant_growth(value: Json) -> Growth:
    """The bound of a constant; one byte more for the comma after it."""
    return Growth(len(encode(value)) + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A compiled JSONPath, intrinsic function or payload template.

    Attributes:
        source: The text as it stands in the definition, or the JSON text of a template.
        evaluate: The closure. Raises what its module documents.
        growth: Bound of the value's size, given the size of `data`.
        variables: The workflow variables it reads, without `$`.
        reads_context: Whether it reads the Context Object.
    """

    source: str
    evaluate: Evaluate
    growth: Growth
    variables: frozenset[str] = frozenset()
    reads_context: bool = False
