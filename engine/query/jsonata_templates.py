"""JSONata templates: from a field's JSON with `{% %}` strings to its expressions, and what is wrong with them.

Spec: asl.md sections 8.1, 8.2 and 2.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from engine.query import jsonata_library, jsonata_syntax
from engine.query.jsonata_paths import PlainPath, plain_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.jsonvalue import Json

ProblemCode: TypeAlias = Literal["INVALID_JSONATA_EXPRESSION", "UNSUPPORTED_JSONATA_EXPRESSION", "JSONATA_2_1_OPERATOR"]

Place: TypeAlias = tuple[str | int, ...]

_LIMITED_MEMBERS: Final = ("result", "errorOutput")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with an expression before it ever runs.

    Attributes:
        code: AWS's diagnostic code; `JSONATA_2_1_OPERATOR` is ours and the caller decides how grave it is.
        message: AWS's wording (spec 2.3, 8.2).
        place: Keys and indexes from the field's value to the string.
        offset: Characters from the start of the trimmed expression, where known.
    """

    code: ProblemCode
    message: str
    place: Place
    offset: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """What an expression uses.

    Attributes:
        path: The whole expression, when it is a plain path.
        variables: Workflow variables it reads, without `$`.
        mentions: Every name with a `$` it contains: variables, functions, its own parameters.
        reads_context: Whether it reads `$states.context`.
        reads_item: Whether it reads the context item, which is undefined in a state.
        may_hide_nan: Whether a null it gives may be NaN.
    """

    path: PlainPath | None
    variables: frozenset[str]
    mentions: frozenset[str]
    reads_context: bool
    reads_item: bool = False
    may_hide_nan: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One expression of a template.

    Attributes:
        source: The trimmed text between the delimiters.
        place: Keys and indexes from the field's value to it; empty when it is the whole value.
        field: As AWS writes it: `Output/result`, `Choices[1]/Output/v`, `Assign/x[0]`.
        uses: What it uses.
    """

    source: str
    place: Place
    field: str
    uses: Uses


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonataTemplate:
    """A field's value with its expressions.

    Attributes:
        field: The field as AWS writes it, relative to the state: `Output`, `Choices[0]/Condition`, `Catch[1]/Assign`.
        value: The JSON as written.
        leaves: Its expressions in the order of the text.
        variables: Workflow variables its expressions read. A function's name that is called, such as `$count(...)`, is
            not among them, though a variable of that name would be used.
        reads_context: Whether any reads the Context Object.
    """

    field: str
    value: Json
    leaves: tuple[Leaf, ...]
    variables: frozenset[str]
    reads_context: bool


def is_expression(value: Json) -> bool:
    """Whether it is a string that begins with `{%` and ends with `%}`: anything outside, a space too, is a literal."""
    return isinstance(value, str) and len(value) >= 4 and value.startswith("{%") and value.endswith("%}")


def compile_template(field: str, value: Json, *, allows: frozenset[str]) -> tuple[JsonataTemplate, tuple[Problem, ...]]:
    """Reads a field's value: expressions at any depth, never in keys.

    Args:
        field: As AWS writes it, relative to the state.
        value: The JSON as written.
        allows: Which of `result` and `errorOutput` this field may read of `$states`.

    Returns:
        The template, and what is wrong with it; a template with problems other than `JSONATA_2_1_OPERATOR` must not be
        evaluated: its faulty expressions are left out.
    """
    leaves: list[Leaf] = []
    problems: list[Problem] = []
    for place, string in _strings(value):
        if is_expression(string):
            source = string[2:-2].strip()
            uses, found = _analysed(source, allows)
            problems += (Problem(code=code, message=message, place=place, offset=at) for code, message, at in found)
            if uses is not None:
                leaves.append(Leaf(source=source, place=place, field=_field(field, place), uses=uses))
        elif _lacks_a_delimiter(string):
            message = "A JSONata expression must start with '{%' and end with '%}'"
            problems.append(Problem(code="INVALID_JSONATA_EXPRESSION", message=message, place=place, offset=None))
    template = JsonataTemplate(
        field=field,
        value=value,
        leaves=tuple(leaves),
        variables=frozenset(chain.from_iterable(leaf.uses.variables for leaf in leaves)),
        reads_context=any(leaf.uses.reads_context for leaf in leaves),
    )
    return template, tuple(problems)


def _strings(value: Json) -> Iterator[tuple[Place, str]]:
    """All strings that are values, in the order of the text."""
    waiting: list[tuple[Place, Json]] = [((), value)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, str):
            yield place, value
        elif isinstance(value, dict):
            waiting += [((*place, key), member) for key, member in reversed(value.items())]
        elif isinstance(value, list):
            waiting += [((*place, at), value[at]) for at in range(len(value) - 1, -1, -1)]


def _field(field: str, place: Place) -> str:
    return field + "".join(f"[{step}]" if isinstance(step, int) else f"/{step}" for step in place)


def _lacks_a_delimiter(string: str) -> bool:
    """`{% x` and `x %}`. With both in it but something outside, a string is a literal (spec 8.1)."""
    opens, closes = string.startswith("{%"), string.endswith("%}")
    return (opens and "%}" not in string[2:]) or (closes and "{%" not in string[:-2])


_Finding: TypeAlias = "tuple[ProblemCode, str, int | None]"


def _analysed(source: str, allows: frozenset[str]) -> tuple[Uses | None, list[_Finding]]:
    path = plain_path(source)
    if path is not None:
        return _plain_uses(path), _misplaced([path.member] if path.member else [], {}, allows)
    try:
        reads = jsonata_library.reads(source)
        syntax = jsonata_syntax.read(source)
    except jsonata_library.SyntaxFault as fault:
        return None, [("INVALID_JSONATA_EXPRESSION", fault.message, fault.offset)]
    except jsonata_syntax.UnreadableExpression as fault:
        return None, [("INVALID_JSONATA_EXPRESSION", str(fault), fault.offset)]
    findings: list[_Finding] = [
        ("UNSUPPORTED_JSONATA_EXPRESSION", _unsupported(reference.name), reference.offset)
        for reference in syntax.references
    ]
    offsets = dict(syntax.members)
    # The library's analysis also sees `($s := $states; $s.result)`; what is read whole has no members to misplace.
    findings += _misplaced(sorted((reads.members or frozenset()) | offsets.keys()), offsets, allows)
    findings += (
        ("UNSUPPORTED_JSONATA_EXPRESSION", "The variable '$states' is reserved and cannot be assigned.", at)
        for name, at in syntax.assignments
        if name == "states"
    )
    findings += (
        ("JSONATA_2_1_OPERATOR", f"The operator '{operator}' is not part of JSONata 2.0, which AWS supports", at)
        for operator, at in syntax.operators_2_1
    )
    return _uses(reads, syntax), findings


def _plain_uses(path: PlainPath) -> Uses:
    of_states = path.variable == "states"
    names = frozenset(() if of_states else (path.variable,))
    return Uses(path=path, variables=names, mentions=names, reads_context=path.member == "context")


def _uses(reads: jsonata_library.Reads, syntax: jsonata_syntax.Syntax) -> Uses:
    members = reads.members
    return Uses(
        path=None,
        variables=reads.variables,
        mentions=syntax.variables,
        reads_context=members is None or "context" in members,
        reads_item=reads.context_item,
        may_hide_nan=syntax.may_hide_nan,
    )


def _unsupported(reference: str) -> str:
    where = "" if reference == "$$" else " at the top level"
    return f"Reference to '{reference}'{where} is not supported."


def _misplaced(members: Sequence[str], offsets: Mapping[str, int], allows: frozenset[str]) -> list[_Finding]:
    return [
        ("UNSUPPORTED_JSONATA_EXPRESSION", f"Field '$states.{member}' does not exist.", offsets.get(member, 0))
        for member in members
        if member in _LIMITED_MEMBERS and member not in allows
    ]
