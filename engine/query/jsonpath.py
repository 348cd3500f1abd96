"""JSONPath as Step Functions reads it: the dialect of Jayway JsonPath 2.x, with two more roots.

    $.order.items[0]      the local input
    $$.State.Name         the Context Object
    $customer.name        a workflow variable

Who does what: reference paths and whatever else consists of names and indexes become one closure here (about 0.2 us
for `$.a.b.c`); the text is read by `jsonpath_syntax` and `jsonpath_filters`; wildcards, slices, unions, filters and
functions are walked by `jsonpath_search`, which has jsonpath-ng find the names of a deep scan, the kind of path that
it and Jayway agree on.

Bounds, so that no path and no document can hold the interpreter: paths, filters and parentheses nest 30 deep; one
evaluation looks at a million values (`jsonpath_search.WORK_MAX`); regular expressions take time linear in the text,
or are charged for what they may cost at worst (`jsonpath_regex`). Past a bound there is an InvalidPath or a
PathError, never a hang.

Spec: asl.md 4.2, 4.4, 5. Where Jayway accepts what the service refuses (a path without `$`), the service is followed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

from engine.errors import StatesError
from engine.jsonvalue import encode, text
from engine.query.evaluation import LEVEL_BYTES, SAME, UNKNOWN, Expression, Growth
from engine.query.jsonpath_functions import KeySet
from engine.query.jsonpath_search import Search
from engine.query.jsonpath_steps import (
    Deep,
    Function,
    Indexes,
    InvalidPath,
    Names,
    NotFound,
    Selection,
    Slice,
    Unselected,
)
from engine.query.jsonpath_syntax import read_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.jsonvalue import Json
    from engine.query.evaluation import Evaluate, Scope

__all__ = ["InvalidPath", "Path", "PathError", "ResultPath", "compile_path", "compile_result_path"]

Root: TypeAlias = Literal["$", "$$", "variable"]

# A dotted name without the characters that mean something to a path; a backslash makes any of them part of the name.
_DOTTED = r"\.(?:[^\s.\[\](){}@,:;?*!~#$'\"^|`\\]|\\.)+"
_QUOTED = r"\[ *(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\") *\]"
_REFERENCE = re.compile(rf"(?:{_DOTTED}|{_QUOTED}|\[ *-?[0-9]+ *\])*", re.DOTALL)

_HALF_PAIR = re.compile("[\ud800-\udfff]")

_NULL_INPUT = "Unable to apply Path transformation to null or empty input."


class PathError(Exception):
    """A path that was compiled did not give a value.

    Attributes:
        path: The path as it stands in the definition.
        searched: The document that was searched.
        reason: As the service shows it: "No results for path: $['a']", "Missing property in path $['a']".
        out_of_range: Only because a definite path ran past the end of an array; a plain `.$` field then gives null.
        missing: What it leads to is not there, or something on the way is of another kind; anything else that can go
            wrong is a fault of the path itself.
    """

    def __init__(
        self, path: str, searched: Json, reason: str, *, out_of_range: bool = False, missing: bool = False
    ) -> None:
        super().__init__(path, reason)
        self.path = path
        self.searched = searched
        self.reason = reason
        self.out_of_range = out_of_range
        self.missing = missing

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Path(Expression):
    """A compiled path; `evaluate` raises PathError.

    Attributes:
        definite: Selects one value or fails; an indefinite path gives an array, possibly empty.
        is_reference: Whether it is a Reference Path: names and indexes only (spec 4.4). A negative index passes.
        root: What it starts from; the variable's name is in `variables`.
    """

    definite: bool
    is_reference: bool
    root: Root


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPath:
    """A compiled ResultPath.

    Attributes:
        source: The text as it stands in the definition.
        write: `(raw input, result)` -> a new document that shares with the raw input all that is off the path. Raises
            StatesError `States.ResultPathMatchFailure`, located, when the path runs into something that it cannot
            enter.
        added_bytes: The document is at most this much larger than raw input and result together.
    """

    source: str
    write: Callable[[Json, Json], Json]
    added_bytes: int


@lru_cache(maxsize=1024)
def compile_path(source: str) -> Path:
    """Compiles a path with any of the three roots. A definition says `$.x` often: equal sources share one Path.

    Raises:
        InvalidPath: Not a path.
    """
    root, name, after = _root_of(source)
    selection = read_path("$" + source[after:], offset=after - 1)
    local = _local_reader(source, selection)
    evaluate = local
    if root == "$$":
        evaluate = _context_reader(local)
    elif root == "variable":
        evaluate = _variable_reader(source, name, local)
    return Path(
        source=source,
        evaluate=evaluate,
        growth=_growth(selection) if root == "$" else UNKNOWN,
        variables=frozenset((name,)) if root == "variable" else frozenset(),
        reads_context=root == "$$",
        definite=selection.definite,
        is_reference=selection.keys is not None and _REFERENCE.fullmatch(source, after) is not None,
        root=root,
    )


def compile_result_path(source: str) -> ResultPath:
    """Compiles a ResultPath: a Reference Path on the input.

    Raises:
        InvalidPath: Not a path, not a Reference Path, or one that starts from `$$` or a variable.
    """
    root, _, after = _root_of(source)
    if root != "$":
        raise InvalidPath("a result is written into the input, so its path must start with '$.' or '$['", 1)
    keys = read_path(source).keys
    if keys is None or not _REFERENCE.fullmatch(source, after):
        place = _REFERENCE.match(source, after)
        raise InvalidPath("expected a Reference Path: names and indexes only", place.end() if place else after)
    added_bytes = sum(len(encode(key)) + LEVEL_BYTES for key in keys if isinstance(key, str))
    return ResultPath(source=source, write=_writer(source, keys), added_bytes=added_bytes)


def _root_of(source: str) -> tuple[Root, str, int]:
    """The root, the variable's name, and where the steps start."""
    if half := _HALF_PAIR.search(source):
        raise InvalidPath("half of a surrogate pair is no character", half.start())
    if not source.startswith("$"):
        raise InvalidPath("a path must start with '$'", 0)
    if source.startswith("$$"):
        return "$$", "", 2
    end = 1
    while end < len(source) and f"a{source[end]}".isidentifier():
        end += 1
    name = source[1:end]
    if not name:
        return "$", "", 1
    if not name.isidentifier() or name.startswith("_"):
        raise InvalidPath(f"{name}: a variable's name must start with a letter", 1)
    return "variable", name, end


def _growth(selection: Selection) -> Growth:
    """The bound for a path on the input: how often a part of it may be selected, and the brackets of the array."""
    if any(isinstance(step, Deep | Function) for step in selection.steps):
        return UNKNOWN
    if selection.definite:
        return SAME
    times = 1
    for step in selection.steps:
        if isinstance(step, Indexes):
            times *= len(step.indexes)
        elif isinstance(step, Names):
            times *= len(step.names) - len(set(step.names)) + 1
        elif isinstance(step, Slice) and step.start is not None and step.start < 0:
            times *= 2  # from below zero to above it a short array is run through twice
    return Growth(LEVEL_BYTES, times)


def _local_reader(source: str, selection: Selection) -> Evaluate:
    keys = selection.keys
    if keys is None:
        return lambda data, scope: _search(source, selection, data)
    if all(isinstance(key, str) for key in keys):
        return _name_reader(source, selection, keys)

    def read(data: Json, scope: Scope) -> Json:
        value = data
        try:
            for key in keys:
                # An index on a text would find a letter; every other mismatch raises by itself.
                if type(key) is int and type(value) is not list:
                    break
                value = value[key]  # type: ignore[index]
            else:
                return value
        except (KeyError, IndexError, TypeError):
            pass
        return _search(source, selection, data)

    return read


def _name_reader(source: str, selection: Selection, names: tuple[str | int, ...]) -> Evaluate:
    """Names only: Python's own `[]` fails wherever JSON has no such member. Written out for the usual lengths."""
    if not names:
        return lambda data, scope: data
    one, *more = names

    if len(names) == 1:

        def read(data: Json, scope: Scope) -> Json:
            try:
                return data[one]  # type: ignore[index]
            except (KeyError, TypeError):
                return _search(source, selection, data)

    elif len(names) == 2:
        (two,) = more

        def read(data: Json, scope: Scope) -> Json:
            try:
                return data[one][two]  # type: ignore[index]
            except (KeyError, TypeError):
                return _search(source, selection, data)

    else:

        def read(data: Json, scope: Scope) -> Json:
            value = data
            try:
                for name in names:
                    value = value[name]  # type: ignore[index]
            except (KeyError, TypeError):
                return _search(source, selection, data)
            return value

    return read


def _search(source: str, selection: Selection, data: Json) -> Json:
    """The path's value by the general search, which also knows how to say what is wrong."""
    if data is None:
        raise PathError(source, data, _NULL_INPUT)
    try:
        found = Search(data).run(selection, data, outermost=True)
    except Unselected as error:
        missing = isinstance(error, NotFound)
        raise PathError(source, data, error.reason, out_of_range=error.out_of_range, missing=missing) from None
    except RecursionError:
        raise PathError(source, data, "The document is nested too deeply for this path") from None
    if isinstance(found, KeySet):
        return list(found)
    if not selection.definite and isinstance(found, list):
        return [list(each) if isinstance(each, KeySet) else each for each in found]
    return found


def _context_reader(local: Evaluate) -> Evaluate:
    return lambda data, scope: local(scope.context(), scope)


def _variable_reader(source: str, name: str, local: Evaluate) -> Evaluate:
    def read(data: Json, scope: Scope) -> Json:
        try:
            value = scope.variables[name]
        except KeyError:
            raise PathError(source, dict(scope.variables), f"No results for path: ${name}", missing=True) from None
        return local(value, scope)

    return read


def _writer(source: str, keys: tuple[str | int, ...]) -> Callable[[Json, Json], Json]:
    if not keys:
        return lambda document, result: result

    def write(document: Json, result: Json) -> Json:
        parents: list[dict[str, Json] | list[Json]] = []
        value: Json = document
        for key in keys:
            if isinstance(key, str) and isinstance(value, dict):
                parents.append(value)
                value = value.get(key, {})  # nothing there: an object is made on the way
            elif isinstance(key, int) and isinstance(value, list) and -len(value) <= key < len(value):
                parents.append(value)
                value = value[key]
            else:
                cause = f"Unable to apply ReferencePath {source} to input {text(document)}"
                raise StatesError("States.ResultPathMatchFailure", cause, located=True)
        for key, parent in zip(reversed(keys), reversed(parents), strict=True):
            copy = parent.copy()
            copy[key] = result  # type: ignore[index]
            result = copy
        return result

    return write
