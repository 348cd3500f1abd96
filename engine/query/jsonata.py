"""JSONata in the fields of states: the one door for whoever compiles fields or evaluates them.

The templates of a state that see the same `$states` are evaluated as one `Bundle`: `{"a": "{% X %}", "b": "{% Y %}"}`
becomes `{"0": (X), "1": (Y)}`, one crossing into the library instead of two; plain paths never enter it. Only when
something fails are the expressions run one by one, to name the first that fails in the words of the service. A constant
template is never evaluated. Compiled expressions live as long as the Bundle that owns them.

Spec: asl.md section 8.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, TypeGuard

from engine.errors import PayloadTooLarge, StatesError
from engine.jsonvalue import encode, json_type, text
from engine.query import jsonata_library
from engine.query.drawing import spelled_uuid
from engine.query.evaluation import LEVEL_BYTES, UNKNOWN, Growth
from engine.query.jsonata_functions import JsonataError
from engine.query.jsonata_library import FAILURES, Program, Single
from engine.query.jsonata_paths import UNDEFINED, Nothing, follow, whole
from engine.query.jsonata_templates import JsonataTemplate, Leaf, Place, Problem, compile_template, is_expression

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.jsonvalue import Json
    from engine.query.evaluation import Scope

__all__ = [
    "Bundle",
    "JsonataTemplate",
    "Leaf",
    "Problem",
    "compile_template",
    "is_expression",
    "unexpected_type",
]

_ERROR = "States.QueryEvaluationError"

_SCALARS = frozenset((int, float, bool, type(None)))
# A computed number is a double, at most 24 characters of JSON; a character at most six, `\u0000`.
_SCALAR_BYTES = 26
_CHARACTER_BYTES = 6


class Bundle:
    """Templates that are evaluated together.

    Attributes:
        growth: A bound for the bytes of all values together, linear in the bytes of the members of `states` together.
    """

    def __init__(self, templates: Sequence[JsonataTemplate]) -> None:
        self._leaves = leaves = [leaf for template in templates for leaf in template.leaves]
        self._fills: list[_Fill] = []
        for template in templates:
            self._fills.append(_Fill(template, sum(fill.count for fill in self._fills)))
        plain = [(slot, *path) for slot, leaf in enumerate(leaves) if (path := leaf.uses.path) is not None]
        # `$states.input.x` is what most fields are: it has a short way of its own.
        self._members = [(slot, member, names[0]) for slot, _, member, names in plain if _is_member(member, names)]
        self._paths = [path for path in plain if not _is_member(path[2], path[3])]
        self._alone = [slot for slot, leaf in enumerate(leaves) if leaf.uses.reads_item]
        self._joint = [slot for slot, leaf in enumerate(leaves) if leaf.uses.path is None and not leaf.uses.reads_item]
        joined = [leaves[slot].uses for slot in self._joint]
        self._variables = frozenset(chain.from_iterable(uses.variables for uses in joined))
        self._mentions = frozenset(chain.from_iterable(uses.mentions for uses in joined))
        # Names of the library's functions, and parameters: variables all the same, once somebody assigned them.
        self._doubtful = self._mentions - self._variables - {"states"}
        self._reads_context = any(uses.reads_context for uses in joined)
        self._suspects = [slot for slot in self._joint if leaves[slot].uses.may_hide_nan]
        self._programs: dict[frozenset[str], Program] = {}
        self._singles: dict[tuple[int, frozenset[str]], Single] = {}
        self._program = self._joined(frozenset()) if self._joint else None
        # Nothing but `$states` to hand over, and nothing to look at twice: so has the usual program.
        special = self._doubtful or self._variables or self._reads_context or self._suspects
        self._usual = None if special or self._program is None else self._program.run
        self._keys = [(slot, str(slot)) for slot in self._joint]
        self._are_whole = [fill.whole for fill in self._fills] == list(range(len(leaves)))
        # Of everything but what is computed; None when not even that is known.
        self._around = _growth(templates)
        self.growth = UNKNOWN if self._joint or self._around is None else self._around

    def evaluate_sized(self, scope: Scope, states: dict[str, Json], size: int) -> tuple[list[Json], int]:
        """As `evaluate`, with a bound for the bytes of all values together; `size` is that of the members of `states`.

        Closer than `growth` can be: what an expression gave is often a number or a short text.
        """
        found = self._together(scope, states)
        if found is None or self._around is None:
            found = self._one_by_one(scope, states) if found is None else found
            return self._filled(found), UNKNOWN.fixed
        fixed, of_states = self._around
        bound = fixed + of_states * size
        for slot in self._joint:
            value = found[slot]
            if type(value) in _SCALARS:
                bound += _SCALAR_BYTES
            elif type(value) is str:
                bound += _CHARACTER_BYTES * len(value) + 2
            else:
                return self._filled(found), UNKNOWN.fixed
        return self._filled(found), bound

    def evaluate(self, scope: Scope, states: dict[str, Json]) -> list[Json]:
        """The values in the order of the templates.

        Args:
            scope: Variables, time, chance, the payload limit and the Context Object.
            states: `{"input": ...}` and, where the fields may read them, `result` or `errorOutput`.

        Raises:
            StatesError: `States.QueryEvaluationError` with the tail of AWS's cause (spec 8.5), located at the first
                expression that fails. `PayloadTooLarge` when a result passes the payload limit.
        """
        found = self._together(scope, states)
        if found is None:
            found = self._one_by_one(scope, states)
        return found if self._are_whole else self._filled(found)

    def _one_by_one(self, scope: Scope, states: dict[str, Json]) -> list[Json]:
        """The values of all leaves, or the error of the first that has none."""
        return [self._one(slot, scope, states) for slot in range(len(self._leaves))]

    def _filled(self, found: list[Json]) -> list[Json]:
        return [found[fill.whole] if fill.whole >= 0 else fill(found) for fill in self._fills]

    def _together(self, scope: Scope, states: dict[str, Json]) -> list[Json] | None:
        """The values of all leaves, or None when anything is out of the ordinary."""
        found: list[Json] = [None] * len(self._leaves)
        try:
            for slot, member, name in self._members:
                value = states[member][name]  # type: ignore[call-overload, index]
                found[slot] = whole(value) if type(value) is float else value
        except (KeyError, TypeError):  # an array on the way, or nothing there
            return None
        if self._paths and not self._follow(found, scope, states):
            return None
        run = self._usual
        if run is not None:
            try:
                values = run({"states": states}, None, scope)
                for slot, key in self._keys:
                    found[slot] = values[key]
            except FAILURES as error:
                self._refuse(error, scope)
                return None
            except KeyError:
                return None
        elif self._program is not None and not self._join(self._program, found, scope, states):
            return None
        for slot in self._alone:
            found[slot] = self._one(slot, scope, states)
        return found

    def _follow(self, found: list[Json], scope: Scope, states: dict[str, Json]) -> bool:
        """Puts what the longer plain paths lead to into `found`, or says that one leads nowhere."""
        for slot, variable, member, names in self._paths:
            value = root = _root(variable, member, scope, states)
            try:
                for name in names:
                    value = value[name]  # type: ignore[call-overload, index]
            except (KeyError, TypeError):  # an array on the way, or nothing there
                value = UNDEFINED if isinstance(root, Nothing) else follow(root, names)
            if value is UNDEFINED:
                return False
            found[slot] = whole(value) if type(value) is float else value  # type: ignore[assignment]
        return True

    def _join(self, program: Program, found: list[Json], scope: Scope, states: dict[str, Json]) -> bool:
        """Puts the values of the expressions that are evaluated together into `found`, or says that it cannot."""
        variables = self._variables
        if self._doubtful and not self._doubtful.isdisjoint(scope.variables):
            shadowing = self._doubtful.intersection(scope.variables)
            program = self._joined(shadowing)
            variables |= shadowing
        try:
            values = program.run(_given(variables, scope, states, context=self._reads_context), None, scope)
        except FAILURES as error:
            self._refuse(error, scope)
            return False
        if len(values) != len(self._joint):
            return False
        for slot, value in zip(self._joint, values.values(), strict=True):
            found[slot] = value
        return not (self._suspects and any(jsonata_library.holds_null(found[slot]) for slot in self._suspects))

    def _refuse(self, error: Exception, scope: Scope) -> None:
        """Raises the error when there is only one expression that it can be of; else they are evaluated one by one."""
        if len(self._joint) == 1 and not self._alone and not jsonata_library.is_beyond_numbers(error):
            # A second attempt would double the time of a runaway.
            raise _thrown(self._leaves[self._joint[0]], jsonata_library.failure(error), scope) from None

    def _joined(self, shadowing: frozenset[str]) -> Program:
        """The program of all that are evaluated together, when these workflow variables hide functions."""
        program = self._programs.get(shadowing)
        if program is None:
            members = {str(slot): self._leaves[slot].source for slot in self._joint}
            bound = self._variables | shadowing | ({"states"} & self._mentions)
            program = self._programs[shadowing] = Program(members, sorted(bound), self._mentions)
        return program

    def _one(self, slot: int, scope: Scope, states: dict[str, Json]) -> Json:
        """The value of one leaf, or the error that names it."""
        leaf = self._leaves[slot]
        try:
            value: Json | Nothing = UNDEFINED
            if leaf.uses.path is not None:
                variable, member, names = leaf.uses.path
                root = _root(variable, member, scope, states)
                value = root if isinstance(root, Nothing) else follow(root, names)
            if value is UNDEFINED:
                value = self._by_itself(slot, scope, states)
        except JsonataError as error:
            raise _thrown(leaf, error, scope) from None
        if value is Nothing.FUNCTION:
            raise _failed(leaf, "returned an unsupported result type.")
        if isinstance(value, Nothing):
            raise _failed(leaf, "returned nothing (undefined).")
        return value

    def _by_itself(self, slot: int, scope: Scope, states: dict[str, Json]) -> Json | Nothing:
        leaf = self._leaves[slot]
        uses = leaf.uses
        visible = uses.mentions.intersection(scope.variables) - {"states"}
        single = self._singles.get((slot, visible))
        if single is None:
            # A plain path gets here when nobody assigned its variable: then it may be the name of a function.
            bound = {"states"} | visible | (uses.variables if uses.path is None else set())
            single = Single(leaf.source, sorted(bound), uses.mentions, lazily=not uses.reads_item)
            self._singles[slot, visible] = single
        given = _given(visible, scope, states, context=uses.reads_context)
        return single.evaluate(None, given, scope) if uses.reads_item else single.evaluate(given, None, scope)


def _root(variable: str, member: str | None, scope: Scope, states: dict[str, Json]) -> Json | Nothing:
    """Where a plain path begins."""
    if member is None:
        return scope.variables.get(variable, UNDEFINED)
    return scope.context() if member == "context" else states.get(member, UNDEFINED)


def _is_member(member: str | None, names: Sequence[str]) -> TypeGuard[str]:
    """Whether a plain path is a member of `$states` and one name."""
    return member not in (None, "context") and len(names) == 1


def _given(variables: frozenset[str], scope: Scope, states: dict[str, Json], *, context: bool) -> dict[str, Json]:
    """`$states` and those variables that are assigned, by name."""
    given: dict[str, Json] = {"states": {**states, "context": scope.context()} if context else states}
    if variables:
        visible = scope.variables
        for name in variables:
            if name in visible:
                given[name] = visible[name]
    return given


def _growth(templates: Sequence[JsonataTemplate]) -> Growth | None:
    """Constants, and one time the members of `$states` for each plain path into them.

    None when a path leads elsewhere, an expression is evaluated alone, or a template is too deep to be encoded.
    """
    leaves = [leaf for template in templates for leaf in template.leaves]
    paths = [leaf.uses.path for leaf in leaves if leaf.uses.path is not None]
    if any(path.member in (None, "context") for path in paths) or any(leaf.uses.reads_item for leaf in leaves):
        return None
    levels = sum(len(leaf.place) for leaf in leaves)
    try:
        constant = sum(len(encode(template.value)) + 1 for template in templates)
    except RecursionError:
        return None
    return Growth(constant + LEVEL_BYTES * levels, len(paths))


class _Fill:
    """Puts the values of leaves into their template: what holds a leaf is copied, the rest is shared.

    Attributes:
        count: How many leaves the template has.
        whole: The slot of the leaf that is the whole template; -1 when there is none.
    """

    def __init__(self, template: JsonataTemplate, first: int) -> None:
        self.count = len(template.leaves)
        self._value = template.value
        self.whole = first if template.leaves and not template.leaves[0].place else -1
        self._copies: list[tuple[int, str | int, list[Json] | dict[str, Json]]] = []
        self._values: list[tuple[int, str | int, int]] = []
        copied: dict[Place, int] = {}
        for slot, leaf in enumerate(template.leaves, first):
            if leaf.place:
                self._values.append((self._copied(leaf.place[:-1], copied), leaf.place[-1], slot))

    def _copied(self, place: Place, copied: dict[Place, int]) -> int:
        """The number of the container at a place among those that are copied; parents come before what they hold."""
        container: Json = self._value
        number = -1
        for depth in range(len(place) + 1):
            if depth:
                container = container[place[depth - 1]]  # type: ignore[index]
            if place[:depth] not in copied:
                assert isinstance(container, list | dict), "a place leads through containers"
                copied[place[:depth]] = len(self._copies)
                self._copies.append((number, place[depth - 1] if depth else "", container))
            number = copied[place[:depth]]
        return number

    def __call__(self, found: list[Json]) -> Json:
        if not self._copies:
            return self._value
        if len(self._copies) == 1:
            flat = self._copies[0][2].copy()
            for _, key, slot in self._values:
                flat[key] = found[slot]  # type: ignore[index]
            return flat
        copies: list[list[Json] | dict[str, Json]] = []
        for parent, key, container in self._copies:
            copy = container.copy()
            if parent >= 0:
                copies[parent][key] = copy  # type: ignore[index]
            copies.append(copy)
        for number, key, slot in self._values:
            copies[number][key] = found[slot]  # type: ignore[index]
        return copies[0]


def _failed(leaf: Leaf, what: str) -> StatesError:
    cause = f"The JSONata expression '{leaf.source}' specified for the field '{leaf.field}' {what}"
    return StatesError(_ERROR, cause, location=leaf.field, located=True)


def _thrown(leaf: Leaf, error: JsonataError | PayloadTooLarge, scope: Scope) -> StatesError:
    """What an expression threw, in AWS's words: an error with a code, a limit, or an internal error (spec 8.5)."""
    if isinstance(error, PayloadTooLarge):
        return error
    if error.code is None:
        number = spelled_uuid(scope.chance.getrandbits(128))
        return _failed(leaf, f"threw an internal error during evaluation. {number}")
    code = f". {error.code}" if error.code else ""
    return _failed(leaf, f"threw an error during evaluation{code}: {error.message}")


def unexpected_type(template: JsonataTemplate, expected: str, value: Json, *, place: Place = ()) -> StatesError:
    """The error of a field whose expression gave a value of the wrong type.

    Args:
        template: The field; one expression, except for arrays and objects that hold several.
        expected: The type's name as AWS prints it: array, object, string, number or boolean.
        value: What came.
        place: Where in the field it came from; the whole field when not given.
    """
    leaf = next((leaf for leaf in template.leaves if leaf.place == place), None)
    source, field = (text(template.value), template.field) if leaf is None else (leaf.source, leaf.field)
    cause = (
        f"The JSONata expression '{source}' specified for the field '{field}' "
        f"returned an unexpected result type. "
        f"Expected '{expected}', but was '{json_type(value)}' for value: {text(value)}"
    )
    return StatesError(_ERROR, cause, location=field, located=True)
