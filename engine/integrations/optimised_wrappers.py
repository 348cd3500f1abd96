"""Actions of Step Functions' own as those of AWS's API that they are made of: members there, and back (`Call`).

So `addStep` of `{"ClusterId": "j-1", "Step": {...}}` is AddJobFlowSteps of `{"JobFlowId": "j-1", "Steps": [{...}]}`,
and its answer `{"StepIds": ["s-1"]}` is `{"StepId": "s-1"}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.asl.integration_members import unsupported
from engine.errors import StatesError
from engine.integrations.aws_members import Unusable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.integrations.optimised_rows import ByName, Call, Service
    from engine.jsonvalue import Json

    Ask = Callable[[str, dict[str, Json]], Awaitable[dict[str, Json]]]
    """Calls an action of the service: its name, its members -> its answer."""

_PAGES_MAX = 100
"""Of a cluster's instance groups or fleets, of which EMR allows 48; more come of an endpoint that never ends."""


async def to_api(call: Call, arguments: Json, service: Service, ask: Ask) -> Json:
    """A Task's arguments as members of the API's action.

    Raises:
        Unusable: A member that a Task may not give, or without which it cannot be.
        StatesError: Nothing has the name that is to be looked up.
    """
    if not isinstance(arguments, dict):
        return arguments
    findings = [unsupported(name) for name in arguments if name in call.refused | hidden(call)]
    if call.wanted and at(arguments, call.wanted) is not True:
        findings.append(f"The field '{call.wanted}' is required but was missing, or is not true")
    if call.by_name is not None:
        findings += [f"The field '{name}' is required but was missing" for name in _missing(call.by_name, arguments)]
        if call.by_name.id in _object(arguments, call.by_name.member):
            findings.append(unsupported(call.by_name.id))
    if findings:
        raise Unusable(findings)
    if call.by_name is not None:
        arguments = await _identified(call.by_name, arguments, service, ask)
    return dict(_renamed(call, name, value) for name, value in arguments.items())


def from_api(call: Call, response: dict[str, Json]) -> dict[str, Json]:
    """The API's answer as the Task has it."""
    if not call.answer:
        return response
    found = {name: at(response, path) for name, path in call.answer.items()}
    return {name: value for name, value in found.items() if value is not None}


def hidden(call: Call) -> frozenset[str]:
    """The API's names of members that the Task has other names for."""
    renamed = {api.removesuffix("[]") for task, api in call.given.items() if api.removesuffix("[]") != task}
    return frozenset(renamed - call.given.keys())


def _missing(by_name: ByName, arguments: dict[str, Json]) -> list[str]:
    return [name for name in ("ClusterId", by_name.name, by_name.member) if arguments.get(name) is None]


def _object(arguments: dict[str, Json], name: str) -> dict[str, Json]:
    value = arguments.get(name)
    return value if isinstance(value, dict) else {}


def _renamed(call: Call, name: str, value: Json) -> tuple[str, Json]:
    api = call.given.get(name, name)
    return (api.removesuffix("[]"), [value]) if api.endswith("[]") else (api, value)


async def _identified(by_name: ByName, arguments: dict[str, Json], service: Service, ask: Ask) -> dict[str, Json]:
    """The arguments with the id of what they name."""
    cluster_id, name, marker = arguments["ClusterId"], arguments[by_name.name], None
    for _ in range(_PAGES_MAX):
        page = {"ClusterId": cluster_id} if marker is None else {"ClusterId": cluster_id, "Marker": marker}
        answer = await ask(by_name.ask, page)
        items = answer.get(by_name.items)
        for item in items if isinstance(items, list) else []:
            if at(item, "Name") == name:
                identified = {by_name.id: at(item, "Id"), **_object(arguments, by_name.member)}
                kept = {key: value for key, value in arguments.items() if key != by_name.name}
                return kept | {by_name.member: identified}
        marker = answer.get("Marker")
        if marker is None:
            break
    text = f"The cluster {cluster_id} has none of {by_name.items} that is named {name}"
    raise StatesError(f"{service.prefix}.{service.base}", text)


def at(value: Json, path: str) -> Json:
    """What stands at a path such as `Tasks.0.TaskArn`, or None."""
    for step in path.split("."):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value
