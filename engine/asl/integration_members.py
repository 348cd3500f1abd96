"""Which members the arguments of an optimised integration may have, and which they must (integrations.md 1).

They stand in a table beside this module, which `make integration-members` writes from the models of AWS's services
(`engine.integrations.optimised_members`). It has a line for each action and one for each structure:

    ecs:runTask RunTaskRequest
    ecs.RunTaskRequest Cluster LaunchType Overrides=TaskOverride Tags=[]Tag TaskDefinition*

`*`: it is required. `=Tag`: it is a structure; `=[]Tag` a list of them, `={}Tag` a map to them. `lambda:invoke`,
`http:invoke` and `apigateway:invoke` are not among them.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.asl.diagnostics import Place
    from engine.asl.fields import Fields
    from engine.asl.resource import Resource
    from engine.jsonvalue import Json

FILE: Final = "integration_members.txt"

_NOT_IN_JOBS: Final[Mapping[str, frozenset[str]]] = {"ecs:runTask": frozenset({"Count", "StartedBy"})}
"""One task is waited for, and Step Functions says who started it."""


class _Member(NamedTuple):
    """`inside`: the structure that it holds, with how it holds it before that; empty: none."""

    is_required: bool
    inside: str


def check_integration(fields: Fields, resource: Resource) -> None:
    """Reports arguments that the integration does not have, and those that it needs.

    What an expression gives is not known, so nothing is said of what is inside it; and nothing of a Task without
    arguments, whose input they are. The texts are those of state machines that AWS refused, as others reported; that a
    name with `.$` counts was measured by others.
    """
    service, action = resource.service, resource.action.partition(".")[0]
    structure = _lines().get(f"{service}:{action}")
    if structure is None:
        return
    field = "Parameters" if fields.language == "JSONPath" else "Arguments"
    place = fields.at(field)
    left_out = _NOT_IN_JOBS.get(f"{service}:{action}", frozenset()) if resource.pattern == "SYNC" else frozenset[str]()
    for finding in _findings(service, structure, fields.get(field), (), left_out):
        if finding.is_missing:
            message = f"The field '{finding.name}' is required but was missing"
            fields.report.error("integration-needs-member", message, place, at=(*place, *finding.inside))
        else:
            message = unsupported(finding.name)
            at = (*place, *finding.inside, finding.key)
            fields.report.error("integration-has-no-member", message, place, at=at, key=True, hint=finding.hint)


def unsupported(name: str) -> str:
    """What AWS says of a member that there is not, when a state machine is created and when a Task begins.

    The double quotes are AWS's, by several reports of both.
    """
    return f'The field "{name}" is not supported by Step Functions'


class _Finding(NamedTuple):
    name: str
    key: str
    inside: Place
    is_missing: bool
    hint: str | None = None


def _findings(service: str, structure: str, value: Json, inside: Place, left_out: frozenset[str]) -> Iterator[_Finding]:
    """What is off about a value that should be of a structure, and inside it."""
    if not isinstance(value, dict):
        return  # an expression, or of a type that the service will refuse
    members = _members(service, structure)
    given = {key.removesuffix(".$"): key for key in value}
    for name, key in given.items():
        member = None if name in left_out else members.get(name)
        if member is None:
            yield _Finding(name, key, inside, is_missing=False, hint=_suggestion(name, members))
        elif member.inside and key == name:
            for place, held in _held(member.inside, value[key], (*inside, key)):
                yield from _findings(service, member.inside.lstrip("[]{}"), held, place, frozenset())
    for name, member in members.items():
        if member.is_required and name not in given:
            yield _Finding(name, name, inside, is_missing=True)


def _held(how: str, value: Json, place: Place) -> Iterator[tuple[Place, Json]]:
    """The structures in a value, each with its place."""
    if how.startswith("[]"):
        for index, item in enumerate(value if isinstance(value, list) else []):
            yield from _held(how[2:], item, (*place, index))
    elif how.startswith("{}"):
        for key, item in (value if isinstance(value, dict) else {}).items():
            yield from _held(how[2:], item, (*place, key))
    else:
        yield place, value


def _suggestion(name: str, members: Mapping[str, _Member]) -> str | None:
    from difflib import get_close_matches

    lowered = {member.lower(): member for member in members}
    close = get_close_matches(name.lower(), lowered, n=1, cutoff=0.8)
    return f"did you mean '{lowered[close[0]]}'?" if close and lowered[close[0]] != name else None


@cache
def _lines() -> Mapping[str, str]:
    text = (files(__package__) / FILE).read_text("ascii")
    rows = (line.partition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: rest for name, _, rest in rows}


@cache
def _members(service: str, structure: str) -> Mapping[str, _Member]:
    found = {}
    for word in _lines()[f"{service}.{structure}"].split():
        name, _, inside = word.partition("=")
        found[name.removesuffix("*")] = _Member(name.endswith("*"), inside)
    return found
