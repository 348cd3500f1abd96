"""Writes the table of `engine.asl.integration_members` from botocore's models and the rows of `optimised`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from engine.asl.resource import OPTIMISED
from engine.integrations.aws_names import optimised_member
from engine.integrations.optimised import SERVICES
from engine.integrations.optimised_wrappers import hidden

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.integrations.optimised_rows import Call

_CLUSTER: Final = "CertificateAuthority* ClusterName* Endpoint*"

_OWN: Final[Mapping[str, str]] = {
    "bedrock:invokeModel": "InvokeModelRequest",
    "bedrock.InvokeModelRequest": "Accept Body ContentType GuardrailIdentifier GuardrailVersion Input=InvokeModelPlace "
    "ModelId* Output=InvokeModelPlace PerformanceConfigLatency ServiceTier Trace",
    "bedrock.InvokeModelPlace": "S3Uri*",
    "eks:call": "CallRequest",
    "eks.CallRequest": f"{_CLUSTER} Method* Path* QueryParameters RequestBody",
    "eks:runJob": "RunJobRequest",
    "eks.RunJobRequest": f"{_CLUSTER} Job* LogOptions=LogOptions Namespace",
    "eks.LogOptions": "LogParameters RawLogs RetrieveLogs",
    "states:startExecution": "StartExecutionRequest",
    "states.StartExecutionRequest": "Input Name StateMachineArn* TraceHeader",
}
"""Actions that are those of no model."""


def table() -> str:
    """The text of `engine/asl/integration_members.txt`; reads the models of the optimised services."""
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    lines = dict(_OWN)
    loader = Loader()
    for token, service in SERVICES.items():
        model = ServiceModel(loader.load_service_model(service.client, "service-2"), service.client)
        for action in OPTIMISED[token]:
            if action not in service.elsewhere:
                call = service.calls.get(action)
                operation = action[:1].upper() + action[1:] if call is None else call.operation
                _add(lines, token, action, model.operation_model(operation).input_shape, call)
    head = "# written by `make integration-members`; engine/asl/integration_members.py says what it means\n"
    return head + "".join(f"{name} {lines[name]}\n" for name in sorted(lines))


def _add(lines: dict[str, str], token: str, action: str, shape: Any, call: Call | None) -> None:
    if call is None:
        lines[f"{token}:{action}"] = shape.name
        _structure(lines, token, shape)
        return
    # A name of its own: others may be made of the same structure.
    name = f"{action[:1].upper()}{action[1:]}Arguments"
    lines[f"{token}:{action}"] = name
    members = {
        optimised_member(one): (_is_required(shape, one), _inside(lines, token, shape.members[one]))
        for one in shape.members
    }
    for task, api in call.given.items():
        is_required, inside = members[api.removesuffix("[]")]
        members[task] = (is_required, inside.removeprefix("[]") if api.endswith("[]") else inside)
    for gone in call.refused | hidden(call):
        members.pop(gone, None)
    if call.by_name is not None:
        inner = f"{call.by_name.member}ByName"
        of_member = members[call.by_name.member][1]
        without = [word for word in lines[f"{token}.{of_member}"].split() if word.rstrip("*") != call.by_name.id]
        lines[f"{token}.{inner}"] = " ".join(without)
        members |= {"ClusterId": (True, ""), call.by_name.name: (True, ""), call.by_name.member: (True, inner)}
    lines[f"{token}.{name}"] = " ".join(_word(one, *members[one]) for one in sorted(members))


def _structure(lines: dict[str, str], token: str, shape: Any) -> None:
    key = f"{token}.{shape.name}"
    if key in lines:
        return
    lines[key] = ""  # a structure may hold itself
    lines[key] = " ".join(
        _word(optimised_member(name), _is_required(shape, name), _inside(lines, token, member))
        for name, member in sorted(shape.members.items())
    )


def _is_required(shape: Any, name: str) -> bool:
    return name in shape.required_members and not shape.members[name].metadata.get("idempotencyToken")


def _inside(lines: dict[str, str], token: str, shape: Any) -> str:
    match shape.type_name:
        case "list":
            inner = _inside(lines, token, shape.member)
            return f"[]{inner}" if inner else ""
        case "map":
            inner = _inside(lines, token, shape.value)
            return f"{{}}{inner}" if inner else ""
        case "structure" if not getattr(shape, "is_document_type", False):
            _structure(lines, token, shape)
            return str(shape.name)
        case _:
            return ""


def _word(name: str, is_required: bool, inside: str) -> str:
    return name + ("*" if is_required else "") + (f"={inside}" if inside else "")


if __name__ == "__main__":
    print(table(), end="")  # noqa: T201  for `make integration-members`
