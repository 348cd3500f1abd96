"""Whether a mocked result has the shape that the mocked API answers with, by botocore's service models (api.md 9.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from engine.errors import ValidationException
from engine.integrations.aws_actions import client_of
from engine.integrations.aws_names import optimised_member, sdk_member

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.asl.resource import Resource
    from engine.jsonvalue import Json

FieldValidationMode: TypeAlias = Literal["STRICT", "PRESENT", "NONE"]

_OTHER_CLIENTS: Mapping[tuple[str, str], str] = {
    ("states", "startExecution"): "stepfunctions",
    ("bedrock", "invokeModel"): "bedrock-runtime",
}
"""botocore's name of the service of an action that `client_of` does not know."""

_UNCHECKED = frozenset({("http", "invoke"), ("apigateway", "invoke"), ("eks", "call"), ("eks", "runJob")})
"""They answer with whatever was called (api.md 9.1)."""


class _Answer(NamedTuple):
    """Where a shape is: the operation, and the members to go through from its output; of a list its items."""

    operation: str
    path: tuple[str, ...] = ()


_POLLED: Mapping[tuple[str, str], _Answer] = {
    ("athena", "startQueryExecution"): _Answer("GetQueryExecution"),
    ("batch", "submitJob"): _Answer("DescribeJobs", ("jobs",)),
    ("ecs", "runTask"): _Answer("DescribeTasks", ("tasks",)),
    ("glue", "startJobRun"): _Answer("GetJobRun", ("JobRun",)),
    ("sagemaker", "createHyperParameterTuningJob"): _Answer("DescribeHyperParameterTuningJob"),
    ("sagemaker", "createLabelingJob"): _Answer("DescribeLabelingJob"),
    ("sagemaker", "createProcessingJob"): _Answer("DescribeProcessingJob"),
    ("sagemaker", "createTrainingJob"): _Answer("DescribeTrainingJob"),
    ("sagemaker", "createTransformJob"): _Answer("DescribeTransformJob"),
    ("states", "startExecution"): _Answer("DescribeExecution"),
}
"""What a `.sync` Task ends with. The jobs that are not here are not checked."""

_ANY_JSON: Mapping[tuple[str, str], frozenset[str]] = {
    ("bedrock", "invokeModel"): frozenset({"Body"}),
    ("lambda", "invoke"): frozenset({"Payload"}),
    ("states", "startExecution.sync:2"): frozenset({"Input", "Output"}),
}
"""Members that the integration reads as JSON, though they are text or bytes in the API."""

_TYPES: Mapping[str, tuple[str, type | tuple[type, ...]]] = {
    "string": ("a string", str),
    "char": ("a string", str),
    "blob": ("a string", str),
    "timestamp": ("a string", str),
    "integer": ("a number", (int, float)),
    "long": ("a number", (int, float)),
    "float": ("a number", (int, float)),
    "double": ("a number", (int, float)),
    "boolean": ("a boolean", bool),
    "list": ("an array", list),
    "structure": ("an object", dict),
    "map": ("an object", dict),
}


def check_mocked_result(resource: Resource, result: Json, mode: FieldValidationMode) -> None:
    """Checks a mocked result against the API that the Task calls; reads files the first time.

    Not checked: what is no API of AWS, what answers with anything (functions, HTTP, the end of a callback), and jobs
    whose polled answer is not known here. Members that the API does not know are ignored.

    Args:
        resource: Of the Task.
        result: Its mocked result, with members as Step Functions spells them: `ExecutionArn`.
        mode: STRICT: required members must be there, and what is there must fit. PRESENT: what is there must fit.

    Raises:
        ValidationException: With AWS's text, for the first member that does not fit.
    """
    shape = None if mode == "NONE" else _answer_shape(resource)
    if shape is None:
        return
    if not isinstance(result, dict):
        raise ValidationException("Mocked result must be a JSON object.")
    free = _ANY_JSON.get((resource.service, resource.action), frozenset())
    spelling = sdk_member if resource.service.startswith("aws-sdk:") else optimised_member
    _Check(mode, spelling).structure(shape, {name: value for name, value in result.items() if name not in free}, free)


def _answer_shape(resource: Resource) -> Any:
    """The output shape of what the Task calls; None: there is none to check against."""
    action = resource.action.partition(".")[0]
    if resource.kind != "service" or resource.pattern == "WAIT_FOR_TASK_TOKEN":
        return None
    if (resource.service, action) in _UNCHECKED:
        return None
    answer = _Answer(action[:1].upper() + action[1:])
    if resource.pattern != "REQUEST_RESPONSE":
        polled = _POLLED.get((resource.service, action))
        if polled is None:
            return None
        answer = polled
    client = _OTHER_CLIENTS.get((resource.service, action)) or client_of(resource)
    model = None
    if client is not None:
        from engine.http.service_models import service_model  # botocore takes long to load

        model = service_model(client)
    if model is None:
        return None
    name = {name.lower(): name for name in model.operation_names}.get(answer.operation.lower())
    shape: Any = None if name is None else model.operation_model(name).output_shape
    for member in answer.path:
        assert shape is not None, f"{answer.operation} answers with nothing"
        shape = shape.members[member]
        shape = shape.member if shape.type_name == "list" else shape
    return shape


class _Check(NamedTuple):
    """Compares values with shapes. `spelling`: of members, by their name and that of their structure."""

    mode: FieldValidationMode
    spelling: Callable[[str, str], str]

    def structure(self, shape: Any, value: Mapping[str, Json], free: frozenset[str] = frozenset()) -> None:
        """Raises ValidationException."""
        for name, member in shape.members.items():
            field = self.spelling(name, shape.name)
            if field in value:
                self._value(field, member, value[field])
            elif self.mode == "STRICT" and name in shape.required_members and field not in free:
                raise _mismatch(f"Required field '{field}' is missing")

    def _value(self, field: str, shape: Any, value: Json) -> None:
        if getattr(shape, "is_document_type", False):
            return
        what, types = _TYPES[shape.type_name]
        is_boolean = isinstance(value, bool)
        if not isinstance(value, types) or (is_boolean and shape.type_name != "boolean"):
            raise _mismatch(f"Field '{field}' must be {what}")
        _check_limits(field, shape, value)
        match shape.type_name, value:
            case "structure", dict():
                self.structure(shape, value)
            case "list", list():
                for item in value:
                    self._value(field, shape.member, item)
            case "map", dict():
                for item in value.values():
                    self._value(field, shape.value, item)
            case _:
                pass


def _check_limits(field: str, shape: Any, value: Json) -> None:
    metadata = shape.metadata
    if isinstance(value, str | list | dict) and shape.type_name in ("string", "list", "map"):
        if len(value) < metadata.get("min", 0):
            raise _mismatch(f"Field '{field}' is smaller than the minimum length")
        if len(value) > metadata.get("max", len(value)):
            raise _mismatch(f"Field '{field}' exceeds the maximum length")
        if "enum" in metadata and value not in metadata["enum"]:
            raise _mismatch(f"Field '{field}' is not an expected value")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if value < metadata.get("min", value):
            raise _mismatch(f"Field '{field}' is less than the minimum value")
        if value > metadata.get("max", value):
            raise _mismatch(f"Field '{field}' exceeds the maximum value")


def _mismatch(reason: str) -> ValidationException:
    return ValidationException(f"Mock result schema validation error: {reason}")
