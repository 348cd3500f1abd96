"""Walks a recorded answer and ours together and lists where they differ.

The rules are those of the data's own README ("How to compare"): JSON strings are opened where an object is expected,
placeholders stand for what varies, everything else must be equal.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from engine.jsonvalue import equal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Place: TypeAlias = "tuple[str | int, ...]"


class Absent:
    """In place of a value that is not there."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT: Final = Absent()

EXEMPT: Final = ("$..SdkHttpMetadata", "$..SdkResponseMetadata.RequestId", "$..ResponseMetadata.RequestId")
"""The real HTTP headers of the called service, and request ids: all that the stricter level leaves out."""

_TIMES: Final = frozenset({"timestamp", "datetime"})
# Every date inside a text is another one.
_NEVER_THE_SAME: Final = frozenset({"date"})


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the answer is not what was recorded."""

    place: Place
    expected: Any
    got: Any

    @property
    def path(self) -> str:
        """The place as JSONPath."""
        return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.place)

    def __str__(self) -> str:
        return f"{self.path}: expected {_shown(self.expected)}, got {_shown(self.got)}"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 600 else f"{text[:600]}... ({len(text)} characters)"


def outside(differences: Iterable[Difference], patterns: Sequence[str]) -> list[Difference]:
    """The differences that are not at or below a place that one of the patterns names.

    Args:
        patterns: JSONPaths of `.name`, `..name`, `[n]` and `.*`; `*` alone names everything.
    """
    compiled = [_place_pattern(pattern) for pattern in patterns]
    return [d for d in differences if not any(pattern.match(_spelled(d.place)) for pattern in compiled)]


def _spelled(place: Place) -> str:
    return "".join(f"/{step}" for step in place) + "/"


def _place_pattern(pattern: str) -> re.Pattern[str]:
    if pattern == "*":
        return re.compile("")
    regex = ""
    for descends, name, index in re.findall(r"(\.\.?)([^.\[\]]+)|\[(\d+)\]", pattern.removeprefix("$")):
        regex += "(?:/[^/]*)*" if descends == ".." else ""
        step = index or name
        regex += "/[^/]*" if step == "*" else "/" + re.escape(step)
    return re.compile(regex + "/")


class Comparison:
    """Compares the answers of one case; what a placeholder stood for once, it stands for in the rest of the case."""

    def __init__(self, in_text: Iterable[str], whole_value: Iterable[str], unordered: Sequence[str] = ()) -> None:
        self._whole = frozenset(whole_value)
        in_text = sorted(set(in_text), key=len, reverse=True)
        self._in_text = re.compile("|".join(map(re.escape, in_text))) if in_text else None
        self._unordered = [_place_pattern(pattern) for pattern in unordered]
        self._bound: dict[str, str] = {}
        self._differences: list[Difference] = []

    def compare(self, place: Place, expected: Any, answer: Any) -> list[Difference]:
        """Every difference, in the order of the expected value."""
        self._differences = []
        self._walk(place, expected, answer, opened=False)
        return self._differences

    def filled(self, value: Any) -> Any:
        """The value with the texts that its placeholders stand for, where these are known."""
        if isinstance(value, dict):
            return {self.filled(key): self.filled(member) for key, member in value.items()}
        if isinstance(value, list):
            return [self.filled(member) for member in value]
        if isinstance(value, str) and self._in_text is not None:
            return self._in_text.sub(lambda found: self._bound.get(found[0], found[0]), value)
        return value

    @contextmanager
    def on_trial(self) -> Iterator[None]:
        """What is compared in here teaches nothing about placeholders."""
        bound = self._bound.copy()
        try:
            yield
        finally:
            self._bound = bound

    def _walk(self, place: Place, expected: Any, got: Any, *, opened: bool) -> None:
        if isinstance(expected, dict):
            if isinstance(got, str) and not opened:
                got, opened = _parsed(got), True
            if isinstance(got, dict):
                self._walk_object(place, expected, got, opened=opened)
                return
        elif isinstance(expected, list):
            if isinstance(got, list):
                self._walk_list(place, expected, got, opened=opened)
                return
        elif isinstance(expected, str):
            if self._is_text(expected, got, opened=opened):
                return
        elif not isinstance(got, dict | list) and equal(expected, got):
            return
        self._differences.append(Difference(place, expected, got))

    def _walk_object(self, place: Place, expected: Mapping[str, Any], got: Mapping[str, Any], *, opened: bool) -> None:
        if place and place[-1] == "ResponseMetadata" and not opened:
            key = "HTTPStatusCode"
            expected, got = {key: expected[key]}, {key: got.get(key, ABSENT)}
        left = dict(got)
        for key, value in expected.items():
            found = key if key in left else self._key_like(key, left)
            member = ABSENT if found is None else left.pop(found)
            self._walk((*place, key), value, member, opened=opened)
        self._differences += [Difference((*place, key), ABSENT, value) for key, value in left.items()]

    def _key_like(self, key: str, got: Mapping[str, Any]) -> str | None:
        if self._in_text is None or not self._in_text.search(key):
            return None
        return next((candidate for candidate in got if self._is_text(key, candidate, opened=True)), None)

    def _walk_list(self, place: Place, expected: Sequence[Any], got: Sequence[Any], *, opened: bool) -> None:
        if any(pattern.fullmatch(_spelled(place)) for pattern in self._unordered):
            expected, got = (
                sorted(values, key=lambda value: json.dumps(value, default=str)) for values in (expected, got)
            )
        for index, value in enumerate(expected):
            member = got[index] if index < len(got) else ABSENT
            self._walk((*place, index), value, member, opened=opened)
        for index, value in enumerate(got[len(expected) :], len(expected)):
            self._differences.append(Difference((*place, index), ABSENT, value))

    def _is_text(self, expected: str, got: Any, *, opened: bool) -> bool:
        if expected in self._whole and not isinstance(got, Absent):
            # Inside a payload it stands for any text; some cases give what is no time on purpose.
            return _is_time(got) if expected in _TIMES and not opened else True
        if isinstance(got, str) and expected == got:
            return True
        if not isinstance(got, str) or self._in_text is None or not self._in_text.search(expected):
            return False
        found = self._text_pattern(expected).fullmatch(got)
        if found is None:
            return False
        self._bound |= {self._placeholder_of[name]: text for name, text in found.groupdict().items()}
        return True

    def _text_pattern(self, expected: str) -> re.Pattern[str]:
        """What the expected text matches: a known placeholder its text, an unknown one anything, the same each time."""
        assert self._in_text is not None
        self._placeholder_of: dict[str, str] = {}
        names: dict[str, str] = {}
        regex, end = "", 0
        for found in self._in_text.finditer(expected):
            regex += re.escape(expected[end : found.start()])
            end = found.end()
            placeholder = found[0]
            if placeholder in _NEVER_THE_SAME:
                regex += ".*?"
            elif placeholder in self._bound:
                regex += re.escape(self._bound[placeholder])
            elif placeholder in names:
                regex += f"(?P={names[placeholder]})"
            else:
                name = names[placeholder] = f"p{len(names)}"
                self._placeholder_of[name] = placeholder
                regex += f"(?P<{name}>.+?)"
        return re.compile(regex + re.escape(expected[end:]), re.DOTALL)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_time(value: Any) -> bool:
    if isinstance(value, str):
        if value.isdecimal():  # of a log record: milliseconds since the epoch
            return True
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return False
    return isinstance(value, datetime | int | float) and not isinstance(value, bool)
