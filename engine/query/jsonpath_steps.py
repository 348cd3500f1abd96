"""The steps that a JSONPath takes from its root, and what can be told of a path without a document."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.jsonvalue import Json


# How deep paths, filters and parentheses may stand in each other; each level takes up to twelve Python frames.
DEPTH_MAX = 30


class InvalidPath(ValueError):
    """Not a path. `reason` is for a person; `offset` counts the characters of the source before the fault."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} (at offset {offset})")
        self.reason = reason
        self.offset = offset


class Unselected(Exception):
    """The path did not give a value. `reason` is Jayway's text.

    Attributes:
        out_of_range: Only because a definite path ran past the end of an array.
    """

    def __init__(self, reason: str, *, out_of_range: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.out_of_range = out_of_range


class NotFound(Unselected):
    """Jayway's PathNotFoundException: a filter takes it for "no value"."""


class Rejected(Unselected):
    """Jayway's InvalidPathException while reading: a filter drops the item, whatever the rest of the filter says."""


class Failed(Unselected):
    """Any other exception in Jayway: it ends the evaluation."""


class IndexOutside(Failed):
    """Java's IndexOutOfBoundsException: whoever walks an array skips the element."""


class Lookups(Protocol):
    """What a filter asks of the search that it is part of."""

    def value(self, selection: Selection, item: Json) -> Json | Missing:
        """What the path selects: from the document when it starts with `$`, else from `item`; MISSING for nothing."""
        ...

    def exists(self, selection: Selection, item: Json) -> bool:
        """Whether the path leads anywhere from `item`; Jayway starts there even for `$`."""
        ...

    def is_path(self, text: str) -> bool:
        """Whether a string of the document reads as a path; Jayway then takes it for one, and equal to nothing."""
        ...

    def spend(self, work: int) -> None:
        """Counts work against the bound of this evaluation.

        Raises:
            Failed: The bound is passed.
        """
        ...


Accepts: TypeAlias = "Callable[[Json, Lookups], bool]"


class Missing:
    """The type of MISSING: no value, which is not null."""


MISSING = Missing()


@dataclass(frozen=True, slots=True)
class Names:
    """`.a`, `['a']`, or `['a','b']`: at the end one object of all that are there, elsewhere each in turn."""

    names: tuple[str, ...]
    quote: str = "'"

    @property
    def fragment(self) -> str:
        """As Jayway prints the step."""
        return "[" + ",".join(f"{self.quote}{name}{self.quote}" for name in self.names) + "]"


@dataclass(frozen=True, slots=True)
class Indexes:
    """`[0]`, `[-1]`, or `[0,2]`."""

    indexes: tuple[int, ...]

    @property
    def fragment(self) -> str:
        """As Jayway prints the step."""
        return f"[{','.join(map(str, self.indexes))}]"


@dataclass(frozen=True, slots=True)
class Slice:
    """`[1:3]`, `[1:]`, `[:3]`; Jayway reads a third number and ignores it."""

    start: int | None
    stop: int | None

    @property
    def fragment(self) -> str:
        """As Jayway prints the step."""
        return f"[{'' if self.start is None else self.start}:{'' if self.stop is None else self.stop}]"


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`.*` or `[*]`."""

    fragment: ClassVar[str] = "[*]"


@dataclass(frozen=True, slots=True)
class Deep:
    """`..`: the next step is tried on the value and on everything inside it."""

    fragment: ClassVar[str] = ".."


@dataclass(frozen=True, slots=True)
class Filter:
    """`[?(...)]`."""

    accepts: Accepts
    fragment: ClassVar[str] = "[?]"


@dataclass(frozen=True, slots=True)
class Function:
    """`.length()`, `.sum($.a, 3)`. An argument is a path, or the text of a JSON literal."""

    name: str
    arguments: tuple[Selection | str, ...] | None

    @property
    def fragment(self) -> str:
        """As Jayway prints the step."""
        return f".{self.name}({'...' if self.arguments else ''})"


Step: TypeAlias = "Names | Indexes | Slice | Wildcard | Deep | Filter | Function"


@dataclass(frozen=True, eq=False)
class Selection:
    """A path as steps. Compared by identity, so that a search can remember what it selected.

    Attributes:
        root: `$` the document, `@` the item that a filter looks at.
        steps: From the root on.
    """

    root: Literal["$", "@"]
    steps: tuple[Step, ...]

    def is_definite_at(self, position: int) -> bool:
        """Whether the step at `position` leads to one place at most."""
        step = self.steps[position]
        if isinstance(step, Names):
            return len(step.names) == 1 or position == len(self.steps) - 1
        return isinstance(step, Function) or (isinstance(step, Indexes) and len(step.indexes) == 1)

    @cached_property
    def definite(self) -> bool:
        """Whether the path as a whole selects one value, and not an array of matches."""
        return all(map(self.is_definite_at, range(len(self.steps))))

    @cached_property
    def keys(self) -> tuple[str | int, ...] | None:
        """Names and indexes when the path consists of nothing else; negative indexes count."""
        keys: list[str | int] = []
        for step in self.steps:
            if isinstance(step, Names) and len(step.names) == 1:
                keys.append(step.names[0])
            elif isinstance(step, Indexes) and len(step.indexes) == 1:
                keys.append(step.indexes[0])
            else:
                return None
        return tuple(keys)

    @cached_property
    def text(self) -> str:
        """The path as Jayway prints it in its messages."""
        return self.root + "".join(step.fragment for step in self.steps)

    def text_from(self, position: int) -> str:
        """The part from a step on, as Jayway prints it when that step finds the wrong kind of value."""
        return "".join(step.fragment for step in self.steps[position:])

    def place_before(self, position: int) -> str:
        """Where the steps before `position` lead; only names and indexes leave a trace."""
        trace: str = self.root
        for step in self.steps[:position]:
            if isinstance(step, Names):
                trace += "[" + ", ".join(f"'{name}'" for name in step.names) + "]"
            elif isinstance(step, Indexes):
                trace += step.fragment
        return trace


def selection_of(root: Literal["$", "@"], steps: tuple[Step, ...]) -> Selection:
    """The path, with `$..a.f()` turned into `$.f($..a)`: a function at the end wants all the matches of a deep scan."""
    if steps and isinstance(steps[0], Deep) and isinstance(steps[-1], Function):
        first = next(i for i, step in enumerate(steps) if isinstance(step, Function))
        function = steps[first]
        assert isinstance(function, Function)
        matches = Selection(root, steps[:first])
        return Selection(root, (Function(function.name, (matches,)), *steps[first + 1 :]))
    return Selection(root, steps)
