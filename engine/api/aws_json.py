"""AWS JSON 1.0, driven by botocore's model of the service: requests to keyword arguments, answers and errors to bodies.

    {"stateMachineArn": "arn:...", "maxResults": 10}   ->  {"state_machine_arn": "arn:...", "max_results": 10}

An operation takes its members in snake_case; documents inside them keep AWS's names. It answers with members in either
spelling, times as aware datetimes; None is left out. No IO here, but for the model, which is read once from botocore.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from botocore import xform_name

from engine.api.faults import SWF_SERVICE
from engine.http import faults, members
from engine.http.answers import encode, structure_writer, writer
from engine.http.service_models import service_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.model import OperationModel

    from engine.errors import ApiError
    from engine.http.faults import Fault

CONTENT_TYPE = "application/x-amz-json-1.0"


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
        self._write = (None if output is None else writer(output)) or structure_writer({})

    def arguments(self, body: bytes) -> dict[str, Any]:
        """The operation's keyword arguments. No body is an empty one.

        Raises:
            Fault: It is not JSON, has the wrong types, or breaks a constraint of the model.
        """
        given = self._read(members.decoded(body) if body else {})
        if self._check is not None:
            found: list[str] = []
            self._check(given, "", found)
            if found:
                raise faults.broken_constraints(found)
        names = self._arguments
        return {names[name]: value for name, value in given.items()}

    def body(self, answer: Mapping[str, Any] | None) -> bytes:
        """What the operation answered. A member that the model does not know is a fault of the operation."""
        return encode(self._write(answer or {}))


@cache
def codecs() -> Mapping[str, OperationCodec]:
    """All operations of the service, by name."""
    model = service_model("stepfunctions")
    return {name: OperationCodec(model.operation_model(name)) for name in model.operation_names}


TARGET_PREFIX = "AWSStepFunctions."


def error_body(error: ApiError | Fault) -> bytes:
    """`{"__type": "namespace#Code", "message": "...", "reason": "..."}` (api.md 1.2)."""
    if isinstance(error, faults.Fault):
        body = {"__type": f"{error.namespace}#{error.code}"}
        return encode(body if error.message is None else {**body, "message": error.message})
    more = {_camel(name): getattr(error, name) for name in error.members}
    return encode(
        {
            "__type": f"{SWF_SERVICE}#{type(error).__name__}",
            "message": error.message,
            **{name: value for name, value in more.items() if value is not None},
        }
    )


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
