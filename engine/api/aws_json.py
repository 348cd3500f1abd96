"""AWS JSON 1.0, driven by botocore's model of the service: requests to keyword arguments, answers and errors to bodies.

    {"stateMachineArn": "arn:...", "maxResults": 10}   ->  {"state_machine_arn": "arn:...", "max_results": 10}

An operation takes its members in snake_case; documents inside them keep AWS's names. It answers with members in either
spelling, times as aware datetimes; None is left out. No IO here, but for the model, which is read once from botocore.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import ServiceModel

from engine.api import faults, members

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from botocore.model import OperationModel, Shape

    from engine.api.faults import Fault
    from engine.errors import ApiError

CONTENT_TYPE = "application/x-amz-json-1.0"

_MS_PER_SECOND = 1_000

_Writer: TypeAlias = "Callable[[Any], Any]"
"""Our value -> what msgspec writes."""

_encode = msgspec.json.Encoder().encode


class OperationCodec:
    """One operation's requests and answers.

    Attributes:
        name: As AWS spells it.
    """

    def __init__(self, model: OperationModel) -> None:
        assert model.input_shape is not None, "every operation takes something"
        self.name: str = model.name
        self._read = members.reader(model.input_shape)
        self._check = members.checker(model.input_shape)
        self._arguments = {name: xform_name(name) for name in model.input_shape.members}
        output = model.output_shape
        self._write: _Writer = _structure_writer({}) if output is None else _writer(output) or _structure_writer({})

    def arguments(self, body: bytes) -> dict[str, Any]:
        """The operation's keyword arguments. No body is an empty one.

        Raises:
            Fault: It is not JSON, has the wrong types, or breaks a constraint of the model.
        """
        given = self._read(_decoded(body) if body else {})
        if self._check is not None:
            found: list[str] = []
            self._check(given, "", found)
            if found:
                raise faults.broken_constraints(found)
        names = self._arguments
        return {names[name]: value for name, value in given.items()}

    def body(self, answer: Mapping[str, Any] | None) -> bytes:
        """What the operation answered. A member that the model does not know is a fault of the operation."""
        return _encode(self._write(answer or {}))


@cache
def codecs() -> Mapping[str, OperationCodec]:
    """All operations of the service, by name."""
    model = ServiceModel(Loader().load_service_model("stepfunctions", "service-2"))
    return {name: OperationCodec(model.operation_model(name)) for name in model.operation_names}


TARGET_PREFIX = "AWSStepFunctions."


def error_body(error: ApiError | Fault) -> bytes:
    """`{"__type": "namespace#Code", "message": "...", "reason": "..."}` (api.md 1.2)."""
    if isinstance(error, faults.Fault):
        body = {"__type": f"{error.namespace}#{error.code}"}
        return _encode(body if error.message is None else {**body, "message": error.message})
    more = {_camel(name): getattr(error, name) for name in error.members}
    return _encode(
        {
            "__type": f"{faults.SWF_SERVICE}#{type(error).__name__}",
            "message": error.message,
            **{name: value for name, value in more.items() if value is not None},
        }
    )


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise faults.serialization(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise faults.serialization("the body is nested too deeply") from error


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _writer(shape: Shape) -> _Writer | None:
    """How values of a shape are written; None: as they are."""
    match shape.type_name:
        case "structure":
            return _structure_writer({name: _writer(one) for name, one in shape.members.items()})
        case "list":
            item = _writer(shape.member)
            return None if item is None else lambda value: [item(one) for one in value]
        case "timestamp":
            return _epoch_seconds
        case _:
            return None  # a scalar, or a map, whose keys are the user's


def _structure_writer(members: Mapping[str, _Writer | None]) -> _Writer:
    known = {name: (name, write) for name, write in members.items()}
    known |= {xform_name(name): (name, write) for name, write in members.items()}

    def write(value: Mapping[str, Any]) -> dict[str, Any]:
        written = {}
        for key, one in value.items():
            if one is not None:
                name, member = known[key]
                written[name] = one if member is None else member(one)
        return written

    return write


def _epoch_seconds(time: datetime) -> float:
    """With the milliseconds, and nothing finer."""
    return round(time.timestamp() * _MS_PER_SECOND) / _MS_PER_SECOND
