r"""Java's regular expressions for the filter operator `=~`, which asks only whether a whole text matches.

A pattern that is regular in the strict sense (classes, groups, alternatives, repetition) is matched by an automaton
built while it runs: one step for each character, whatever the pattern, so there is nothing to backtrack into. The
rest (look-around, back-references, possessive and atomic groups, boundaries) is written out for Python's `re`, which
means the same by them; there the cost can explode, so repetition inside repetition is refused when such a pattern is
compiled, and the caller is charged n^k steps for a text of n characters, k being the pattern's variable repetitions.

Unsupported, and refused by name: `\p{...}` beyond the POSIX classes and the general categories, `\G`, `\X`, `\N`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, TypeAlias

from engine.query.jsonpath_pattern import (
    Bounds,
    Chars,
    Choice,
    Group,
    InvalidPattern,
    Node,
    Repeat,
    Sequence,
    Verbatim,
    parse_pattern,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Spend: TypeAlias = "Callable[[int], None]"

# Beyond anything written by hand: repetition counts multiply, and each state costs memory and time.
STATES_MAX = 5_000
# Sets of states seen so far are kept for the next text; past this many they are forgotten, which costs only time.
STATE_SETS_MAX = 1_000


def _python(node: Node) -> str:
    match node:
        case Chars(bounds):
            ranges = (f"\\U{bounds[i]:08x}-\\U{bounds[i + 1] - 1:08x}" for i in range(0, len(bounds), 2))
            return f"[{''.join(ranges)}]" if bounds else "(?!)"
        case Sequence(parts):
            return "".join(map(_python, parts))
        case Choice(options):
            return f"(?:{'|'.join(map(_python, options))})"
        case Repeat(part, least, most, possessive):
            counts = f"{{{least},{'' if most is None else most}}}"
            return f"(?:{_python(part)}){counts}{'+' if possessive else ''}"
        case Group(opening, part):
            return f"{opening}{_python(part)})"
        case Verbatim(python):
            return python


def _children(node: Node) -> tuple[Node, ...]:
    match node:
        case Sequence(parts):
            return parts
        case Choice(options):
            return options
        case Repeat(part, _, _, _) | Group(_, part):
            return (part,)
        case Chars() | Verbatim():
            return ()


def _is_regular(node: Node) -> bool:
    if isinstance(node, Verbatim) or (isinstance(node, Repeat) and node.possessive):
        return False
    if isinstance(node, Group) and not (node.opening in ("(", "(?:") or node.opening.startswith("(?P<")):
        return False
    return all(map(_is_regular, _children(node)))


def _variable_repeats(node: Node, *, repeated: bool) -> int:
    """How many repetitions can end at different places; refuses one that stands inside another."""
    here = 0
    if isinstance(node, Repeat) and node.least != node.most:
        if repeated:
            raise InvalidPattern(
                "repetition inside repetition, together with look-around or boundaries, is unsupported"
            )
        here, repeated = 1, True
    elif repeated and (isinstance(node, Choice) or (isinstance(node, Verbatim) and node.python.startswith("(?:\\"))):
        raise InvalidPattern("alternatives inside repetition, together with look-around or boundaries, are unsupported")
    return here + sum(_variable_repeats(child, repeated=repeated) for child in _children(node))


class _Automaton:
    """A nondeterministic automaton; its sets of states become states of a deterministic one when they are met."""

    def __init__(self, node: Node) -> None:
        self.free: list[list[int]] = [[]]
        self.edges: list[tuple[Bounds, int] | None] = [None]
        self.accepting = self._add(node, 0)
        self.sets: list[frozenset[int]] = []
        self.numbers: dict[frozenset[int], int] = {}
        self.steps: list[dict[str, int]] = []
        self._forget()

    def _state(self) -> int:
        if len(self.free) >= STATES_MAX:
            raise InvalidPattern(f"the pattern needs more than {STATES_MAX} states")
        self.free.append([])
        self.edges.append(None)
        return len(self.free) - 1

    def _add(self, node: Node, start: int) -> int:
        match node:
            case Chars(bounds):
                end = self._state()
                self.edges[start] = (bounds, end)
                past = self._state()  # a state has one edge, so what follows starts on a fresh one
                self.free[end].append(past)
                return past
            case Sequence(parts):
                for part in parts:
                    start = self._add(part, start)
                return start
            case Choice(options):
                end = self._state()
                for option in options:
                    branch = self._state()
                    self.free[start].append(branch)
                    self.free[self._add(option, branch)].append(end)
                return end
            case Group(_, part):
                return self._add(part, start)
            case Repeat(part, least, most, _):
                return self._add_repeat(part, least, most, start)
            case Verbatim():
                raise AssertionError("an automaton is built from regular patterns only")

    def _add_repeat(self, part: Node, least: int, most: int | None, start: int) -> int:
        for _ in range(least):
            start = self._add(part, self._fork(start))
        end = self._state()
        self.free[start].append(end)
        if most is None:
            loop = self._fork(start)
            self.free[self._add(part, loop)].extend((loop, end))
            return end
        for _ in range(most - least):
            start = self._add(part, self._fork(start))
            self.free[start].append(end)
        return end

    def _fork(self, start: int) -> int:
        branch = self._state()
        self.free[start].append(branch)
        return branch

    def _forget(self) -> None:
        self.sets, self.numbers, self.steps = [], {}, []
        self._number(self._closure([0]))

    def _closure(self, states: list[int]) -> frozenset[int]:
        seen = set(states)
        while states:
            for state in self.free[states.pop()]:
                if state not in seen:
                    seen.add(state)
                    states.append(state)
        return frozenset(state for state in seen if self.edges[state] or state == self.accepting)

    def _number(self, states: frozenset[int]) -> int:
        number = self.numbers.get(states)
        if number is None:
            number = self.numbers[states] = len(self.sets)
            self.sets.append(states)
            self.steps.append({})
        return number

    def matches(self, text: str, spend: Spend) -> bool:
        spend(len(text))
        current = 0
        for char in text:
            following = self.steps[current].get(char)
            if following is None:
                states = self.sets[current]
                spend(len(states) + 1)
                if len(self.sets) > STATE_SETS_MAX:
                    self._forget()
                    current = self._number(states)
                code = ord(char)
                edges = (edge for state in states if (edge := self.edges[state]))
                targets = {end for bounds, end in edges if bisect_right(bounds, code) & 1}
                following = self.steps[current][char] = self._number(self._closure(list(targets)))
            if not self.sets[following]:
                return False
            current = following
        return self.accepting in self.sets[current]


def _unanchored(node: Node) -> Node:
    """The same without `^` at its start and `$` at its end, which a match of the whole text fulfils anyway."""
    if isinstance(node, Choice):
        return Choice(tuple(map(_unanchored, node.options)))
    if isinstance(node, Sequence):
        parts = list(node.parts)
        while parts and isinstance(parts[0], Verbatim) and parts[0].python.startswith((r"\A", r"(?:\A")):
            parts.pop(0)
        while parts and isinstance(parts[-1], Verbatim) and parts[-1].python.endswith((r"\Z", r"\Z)")):
            parts.pop()
        return Sequence(tuple(parts))
    return node


def compile_pattern(pattern: str, flags: str) -> Callable[[str, Spend], bool]:
    """Compiles a Java pattern to `(text, spend) -> whether the whole text matches`; `spend` is told of work done.

    Args:
        pattern: What stands between the slashes.
        flags: Letters of `FLAGS`, as after the closing slash.

    Raises:
        InvalidPattern: Java would refuse it, or it is unsupported (see the module).
    """
    node = _unanchored(parse_pattern(pattern, flags))
    if _is_regular(node):
        return _Automaton(node).matches
    repeats = _variable_repeats(node, repeated=False)
    try:
        matcher = re.compile(_python(node))
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidPattern(f"/{pattern}/: {error}") from None

    def matches(text: str, spend: Spend) -> bool:
        spend((len(text) + 1) ** max(1, repeats))
        return matcher.fullmatch(text) is not None

    return matches
