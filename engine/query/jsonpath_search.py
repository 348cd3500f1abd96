"""Takes the steps of a path through a document, with the rules of Jayway 2.10 for what is skipped and what is an error.

As long as every step led to one place at most, a step that cannot be taken is an error; from the first step on that
can lead to many, it is skipped. A value goes through the steps as a list of nodes, each step turning nodes into the
next ones in document order. Nothing is copied: what comes out is part of the document.

jsonpath-ng finds the names of a deep scan (`$.a..name`), where it and Jayway agree throughout. It differs in every
other kind of path that is not a reference path: unions, slices, filters, functions, what is skipped and what fails
(tests/query/test_jsonpath.py keeps score), and takes some forty times as long over a wildcard.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast

from engine.query.jsonpath_functions import MEASURES, KeySet, call, is_array, is_function, length, literal, shown
from engine.query.jsonpath_java import class_name
from engine.query.jsonpath_steps import (
    MISSING,
    Deep,
    Failed,
    Filter,
    Function,
    Indexes,
    IndexOutside,
    InvalidPath,
    Names,
    NotFound,
    Rejected,
    Selection,
    Slice,
    Wildcard,
)
from engine.query.jsonpath_syntax import read_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.jsonvalue import Json
    from engine.query.jsonpath_steps import Missing

# Nodes and comparisons that one evaluation may look at. A document of 256 KiB has some 130,000 values, so every search
# that reads each of them a few times fits; chained deep scans and filters inside filters grow as powers of that.
WORK_MAX = 1_000_000

_NOT_AN_OBJECT = (
    "Expected to find an object with property {fragment} in path {place} but found '{found}'. This is not a json "
    "object according to the JsonProvider: 'com.jayway.jsonpath.spi.json.JsonSmartJsonProvider'."
)


def look_up(keys: tuple[str | int, ...], value: Json) -> Json | Missing:
    """Follows names and indexes; MISSING where one leads nowhere."""
    for key in keys:
        if isinstance(key, str):
            if not isinstance(value, dict) or key not in value:
                return MISSING
            value = value[key]
        else:
            if not isinstance(value, list) or not -len(value) <= key < len(value):
                return MISSING
            value = value[key]
    return value


class _Kept:
    """The answer of a function in the middle of a path: a result, although steps follow that look at it too."""

    def __init__(self, value: Json) -> None:
        self.value = value


class Search:
    """One evaluation of one path over one document. Implements what filters ask for (`jsonpath_steps.Lookups`)."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self._work_left = WORK_MAX
        # Inside a test for existence every property has to be there, even where it would be skipped.
        self._strict = False
        self._remembered: dict[Selection, Json] = {}

    def run(self, selection: Selection, start: Json, *, outermost: bool = False) -> Json:
        """What the path selects from `start`: the value, or for an indefinite path the list of matches.

        Args:
            selection: The path.
            start: The document, or the item that a filter looks at.
            outermost: Whether this is the whole search, and not part of a filter or an argument.

        Raises:
            Unselected: Jayway raises an exception when it reads.
        """
        walk = _Walk(self, selection, outermost=outermost)
        results = walk.results(start)
        if not selection.definite:
            return results
        if not results:
            raise NotFound(f"No results for path: {selection.text}", out_of_range=walk.ran_past_end)
        return results[-1]  # a function in the middle left its own answer before it

    # -- Lookups --

    def value(self, selection: Selection, item: Json) -> Json | Missing:
        """See `Lookups.value`."""
        self.spend(1)
        start = self.document if selection.root == "$" else item
        if selection.keys is not None:
            return look_up(selection.keys, start)
        if selection in self._remembered:
            return self._remembered[selection]
        try:
            value = self.run(selection, start)
        except NotFound:
            return MISSING
        if isinstance(value, KeySet):
            raise Failed("Could not convert class java.util.LinkedHashMap$LinkedKeySet to a ValueNode")
        if selection.root == "$":
            self._remembered[selection] = value
        return value

    def exists(self, selection: Selection, item: Json) -> bool:
        """See `Lookups.exists`."""
        self.spend(1)
        if selection.keys is not None:
            return look_up(selection.keys, item) is not MISSING
        outer, self._strict = self._strict, True
        try:
            self.run(selection, item)
        except NotFound:
            return False
        finally:
            self._strict = outer
        return True

    def is_path(self, text: str) -> bool:
        """See `Lookups.is_path`."""
        return _is_path(text)

    def spend(self, work: int) -> None:
        """See `Lookups.spend`."""
        self._work_left -= work
        if self._work_left < 0:
            raise Failed(f"The path needs more than {WORK_MAX} steps on this document")

    def measure(self, argument: Selection | str, model: Json) -> Json:
        """`length(path)`: how many children the path finds below `model`; of `model` itself when they make no array."""
        if isinstance(argument, str) or model is None:
            raise Failed("length() takes a path, and something to look at")
        inner = Search(model)
        inner._work_left, inner._strict = self._work_left, self._strict
        children = _children_of(argument)
        found = _Walk(inner, children, grown=children is not argument).results(model)
        self._work_left = inner._work_left
        if not argument.definite:
            return len(found)
        if not found:
            raise NotFound(f"No results for path: {children.text}")
        return length(found[-1]) if is_array(found[-1]) else length(model)

    @property
    def strict(self) -> bool:
        """Whether a missing property is an error even after indefinite steps."""
        return self._strict


@lru_cache(1024)
def _is_path(text: str) -> bool:
    try:
        read_path(text)
    except InvalidPath:
        return False
    return True


def _class_name(value: Json) -> str:
    return "java.util.LinkedHashMap$LinkedKeySet" if isinstance(value, KeySet) else class_name(value)


def _children_of(path: Selection) -> Selection:
    if not path.steps or isinstance(path.steps[-1], Function):
        return path
    return Selection(path.root, (*path.steps, Wildcard()))


def _is_plain(step: Names) -> bool:
    return len(step.names) == 1 and step.names != ("*",)  # which jsonpath-ng would take for a wildcard


@lru_cache(1024)
def _finder(name: str) -> Callable[[Json], list[Json]]:
    """A deep scan for one name, by jsonpath-ng; its parser is not asked, so any name will do."""
    from jsonpath_ng.jsonpath import Descendants, Fields, This  # 30 ms; only paths with `..` pay

    find = Descendants(This(), Fields(name)).find
    return lambda value: [match.value for match in find(value)]


class _Walk:
    """The steps of one selection, taken from one start."""

    def __init__(self, search: Search, selection: Selection, *, outermost: bool = False, grown: bool = False) -> None:
        self.search = search
        self.outermost = outermost
        self.grown = grown  # a wildcard was put behind the path; Jayway's idea of its last step but one is then stale
        self.selection = selection
        self.ran_past_end = False
        self.keeps = any(isinstance(step, Function) for step in selection.steps[:-1])
        self._in_array = False  # some index, slice, filter or wildcard looked into an array on the way
        self._in_wild_array = False

    def results(self, start: Json) -> list[Json]:
        nodes: list[Json | _Kept] = [start]
        upstream_definite = True
        steps = self.selection.steps
        position = 0
        while position < len(steps) and nodes:
            taken = 1
            if isinstance(steps[position], Deep):
                nodes, taken = self._deep(nodes, position, first=upstream_definite)
                upstream_definite = False
            else:
                nodes = self._each(nodes, position, definite=upstream_definite)
                upstream_definite = upstream_definite and self.selection.is_definite_at(position)
            self.search.spend(len(nodes))
            position += taken
        return [node.value if isinstance(node, _Kept) else node for node in nodes]

    def _each(self, nodes: list[Json | _Kept], position: int, *, definite: bool) -> list[Json | _Kept]:
        step = self.selection.steps[position]
        if isinstance(step, Names) and len(step.names) == 1 and not (definite or self.search.strict or self.keeps):
            name = step.names[0]  # the common `[*].name` in one go
            return [node[name] for node in nodes if isinstance(node, dict) and name in node]
        following: list[Json | _Kept] = []
        for node in nodes:
            if isinstance(node, _Kept):
                following.append(node)
            else:
                following.extend(self._take(node, position, definite=definite))
        return following

    def _take(self, node: Json, position: int, *, definite: bool) -> list[Json | _Kept]:
        step = self.selection.steps[position]
        match step:
            case Names():
                return self._names(step, node, position, definite=definite)
            case Indexes() | Slice():
                return self._numbers(step, node, position, definite=definite)
            case Wildcard():
                if is_array(node):
                    self._in_array = self._in_wild_array = True
                    return list(cast("list[Json]", node))
                return list(node.values()) if isinstance(node, dict) else []
            case Filter():
                return self._filter(step, node, position, definite=definite)
            case Function():
                return self._function(step, node, position)
            case Deep():
                raise AssertionError("a deep scan takes the step after it along")

    def _names(self, step: Names, node: Json, position: int, *, definite: bool) -> list[Json | _Kept]:
        if not isinstance(node, dict):
            if not definite:
                return []
            place = self.selection.place_before(position)
            raise NotFound(_NOT_AN_OBJECT.format(fragment=step.fragment, place=place, found=_class_name(node)))
        last = position == len(self.selection.steps) - 1
        if last and len(step.names) > 1:
            if self.search.strict and not all(name in node for name in step.names):
                raise NotFound(f"Missing property in path {self.selection.place_before(position + 1)}")
            return [{name: node[name] for name in step.names if name in node}]
        required = self.search.strict or (definite and not last and len(step.names) == 1)
        following: list[Json | _Kept] = []
        for name in step.names:
            if name in node:
                following.append(node[name])
            elif required:
                missing = "No results for path:" if last else "Missing property in path"
                raise NotFound(f"{missing} {self.selection.place_before(position)}['{name}']")
        return following

    def _numbers(self, step: Indexes | Slice, node: Json, position: int, *, definite: bool) -> list[Json | _Kept]:
        if not isinstance(node, list) or not is_array(node):
            if not definite:
                return []
            if node is None:
                raise NotFound(f"The path {self.selection.place_before(position)} is null")
            wanted = self.selection.text_from(position)
            raise NotFound(f"Filter: {wanted} can only be applied to arrays. Current context is: {shown(node)}")
        self._in_array = True
        size = len(node)
        if isinstance(step, Indexes):
            inside = [index for index in step.indexes if -size <= index < size]
            if definite and len(inside) < len(step.indexes) == 1:
                self.ran_past_end = True
            return [node[index] for index in inside]
        start, stop = step.start, step.stop
        if start is None:
            assert stop is not None, "a slice has at least one bound"
            return list(node[:stop])
        if stop is None:
            return list(node[start:])
        # Jayway counts from start to stop without moving either: -2 to 1 is the last two and the first one.
        return [node[index] for index in range(max(start, -size), min(stop, size))]

    def _filter(self, step: Filter, node: Json, position: int, *, definite: bool) -> list[Json | _Kept]:
        if isinstance(node, dict):
            return [node] if self._accepts(step, node) else []
        if isinstance(node, list) and is_array(node):
            self._in_array = True
            return [item for item in node if self._accepts(step, item)]
        if definite:
            wanted = self.selection.text_from(position)
            raise Rejected(f"Filter: {wanted} can not be applied to primitives. Current context is: {shown(node)}")
        return []

    def _accepts(self, step: Filter, item: Json) -> bool:
        self.search.spend(1)
        try:
            return step.accepts(item, self.search)
        except Rejected:
            return False

    def _function(self, step: Function, node: Json, position: int) -> list[Json | _Kept]:
        try:
            value = self._answer(step, node)
        except NotFound:
            if self._in_wild_array and not self.search.strict:
                return []
            raise
        except IndexOutside:
            if self._in_array:
                return []
            raise
        return [value] if position == len(self.selection.steps) - 1 else [_Kept(value), value]

    def _answer(self, step: Function, node: Json) -> Json:
        if not is_function(step.name):
            raise Rejected(f"Function with name: {step.name} does not exist.")
        arguments = [self._argument(argument) for argument in step.arguments or ()]
        if step.name not in MEASURES:
            self.search.spend(len(node) if isinstance(node, list) else 1)
            return call(step.name, node, arguments)
        return self.search.measure(step.arguments[0], node) if step.arguments else length(node)

    def _argument(self, argument: Selection | str) -> Callable[[], Json]:
        if isinstance(argument, str):
            return lambda: literal(argument)
        value = self.search.run(argument, self.search.document)
        return lambda: value

    def _deep(self, nodes: list[Json | _Kept], position: int, *, first: bool) -> tuple[list[Json | _Kept], int]:
        """Tries the step after `..` on each node and all inside it; gives what it found and how many steps it took."""
        steps = self.selection.steps
        if position + 1 == len(steps):
            raise Failed("Current path token is a leaf")
        target = steps[position + 1]
        if first and self.outermost and len(nodes) == 1 and isinstance(target, Names) and _is_plain(target):
            try:
                return [*_finder(target.names[0])(cast("Json", nodes[0]))], 2
            except RecursionError:
                pass  # jsonpath-ng takes a few frames for each level of the document, and ours none
        scan = _DeepScan(self, position)
        found: list[Json | _Kept] = []
        for node in nodes:
            if isinstance(node, _Kept):
                found.append(node)
            else:
                found.extend(scan.inside(node))
        return found, scan.steps_taken

    def take(self, node: Json, position: int) -> list[Json | _Kept]:
        """One step after a deep scan, where nothing is an error any more."""
        return self._take(node, position, definite=False)

    def matches(self, node: Json, position: int) -> bool:
        """Whether a deep scan applies the step at `position` to this array or object."""
        step = self.selection.steps[position]
        match step:
            case Names():
                whole = self.selection.is_definite_at(position)
                return isinstance(node, dict) and (not whole or all(name in node for name in step.names))
            case Indexes() | Slice():
                return is_array(node)
            case Filter():
                return self._accepts(step, node)
            case Wildcard():
                return True
            case Deep() | Function():
                return False


class _DeepScan:
    """`..` and the step after it.

    On an array that the step matches Jayway skips the step itself and applies the one after it to every element;
    where that one is the last and takes a property, only elements whose index is written in the skipped step count
    (`$..[1].a`), and objects met later are measured by the last index seen. So `$..*.a` finds what no array holds.
    """

    def __init__(self, walk: _Walk, position: int) -> None:
        steps = walk.selection.steps
        self.walk = walk
        self.target = position + 1
        self.target_is_last = self.target == len(steps) - 1
        after = steps[self.target + 1] if not self.target_is_last else None
        takes_property = isinstance(after, Wildcard) or (isinstance(after, Names) and len(after.names) == 1)
        self.guarded = takes_property and self.target + 2 == len(steps)
        self.fragment = "" if walk.grown else steps[self.target].fragment
        self.index_seen: int | None = None
        self.steps_taken = 3 if self.guarded else 2

    def inside(self, start: Json) -> list[Json | _Kept]:
        found: list[Json | _Kept] = []
        pending = [start]
        while pending:
            node = pending.pop()
            self.walk.search.spend(1)
            if isinstance(node, dict):
                if self.walk.matches(node, self.target):
                    self._apply(node, found)
                pending.extend(reversed(node.values()))
            elif isinstance(node, list) and is_array(node):
                if self.walk.matches(node, self.target):
                    self._apply_to_array(node, found)
                pending.extend(reversed(node))
        return found

    def _apply(self, node: Json, found: list[Json | _Kept]) -> None:
        for each in self.walk.take(node, self.target):
            self._continue(each, found)

    def _apply_to_array(self, node: list[Json], found: list[Json | _Kept]) -> None:
        if self.target_is_last:
            found.extend(self.walk.take(node, self.target))
            return
        for index, element in enumerate(node):
            self.index_seen = index
            self._continue(element, found)

    def _continue(self, node: Json | _Kept, found: list[Json | _Kept]) -> None:
        if not self.guarded:
            found.append(node)
            return
        assert not isinstance(node, _Kept), "a function is never the target of a deep scan"
        counts = self.index_seen is None or self.fragment == f"[{self.index_seen}]"
        if counts or not isinstance(node, dict):
            found.extend(self.walk.take(node, self.target + 1))
