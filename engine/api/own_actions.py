"""`aws-sdk:sfn:ACTION` as a Task: the actions of this very API, done without a way over the network.

    {"StateMachineArn": "...", "Input": {"a": 1}}  ->  the operation  ->  {"ExecutionArn": "...", "StartDate": "..."}

Names, checks and answers are those of the API, with the first letter of every member of a structure as the SDK for Java
has it (integrations.md 1.2).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from engine.errors import ApiError, StatesError
from engine.http.faults import Fault
from engine.integrations.invocation import new_request_id
from engine.integrations.request import Answer, UnsupportedTask
from engine.jsonvalue import decode, encode, text

if TYPE_CHECKING:
    from botocore.model import Shape

    from engine.integrations.request import Channel, TaskRequest, Workplace
    from engine.jsonvalue import Json
    from engine.operations.service import Service

PREFIX = "Sfn"


class OwnActions:
    """A `Handler`.

    Args:
        service: Whose executions these are. A Task sees what callers of its execution's account see, and no more: else
            whoever may write a definition could reach into all accounts.
    """

    name = "aws-sdk:sfn"
    fixed_answer = None
    waits_apart = True

    def __init__(self, service: Service) -> None:
        self._service = service

    async def run(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Answer:
        """See `Handler`."""
        # Here, because botocore takes as long to load as all else of a short program takes to run.
        from engine.api.aws_json import codecs
        from engine.api.ownership import check_own
        from engine.api.routes import ROUTES
        from engine.http.service_models import service_model

        named = request.resource.action.removesuffix(".waitForTaskToken")
        action = named[:1].upper() + named[1:]
        if action not in ROUTES:
            raise UnsupportedTask(f"state {request.state!r}: Step Functions has no action {named!r}")
        model, codec = service_model("stepfunctions").operation_model(action), codecs()[action]
        service = self._service.of(request.account_id)
        try:
            given = codec.arguments(encode(_wire(request.arguments, model.input_shape)))
            check_own(service.account_id, action, given)
            answer = decode(codec.body(await ROUTES[action](service, **given)))
        except (ApiError, Fault) as error:
            raise _refused(error) from error
        shown = _shown(answer, model.output_shape)
        return Answer(shown, len(encode(shown)))


def _wire(value: Json, shape: Any) -> Json:
    """Arguments as the API takes them; a JSON value in place of a text becomes one. `shape`: of the model, or None."""
    kind = _kind(shape)
    if kind == "structure" and isinstance(value, dict):
        members = {name.lower(): name for name in shape.members}
        wire: dict[str, Any] = {}
        for given, member in value.items():
            name = members.get(given.lower(), given)
            wire[name] = _wire(member, shape.members.get(name))
        return wire
    if kind == "list" and isinstance(value, list):
        return [_wire(member, shape.member) for member in value]
    if kind == "string" and isinstance(value, dict | list):
        return text(value)
    return value


def _shown(value: Json, shape: Any) -> Json:
    """An answer as a Task gives it: members begin with a capital, times are texts. `shape`: as of `_wire`."""
    kind = _kind(shape)
    if kind == "structure" and isinstance(value, dict):
        shown = {name[:1].upper() + name[1:]: _shown(member, shape.members[name]) for name, member in value.items()}
        return dict(sorted(shown.items()))
    if kind == "list" and isinstance(value, list):
        return [_shown(member, shape.member) for member in value]
    if kind == "map" and isinstance(value, dict):
        return {name: _shown(member, shape.value) for name, member in value.items()}
    if kind == "timestamp" and isinstance(value, int | float):
        moment = datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds")
        return moment.replace("+00:00", "Z")
    return value


def _kind(shape: Shape | None) -> str | None:
    return None if shape is None else str(shape.type_name)


def _refused(error: ApiError | Fault) -> StatesError:
    """What Step Functions makes of an error of an SDK's call: `Sfn.InvalidTokenException` (recorded)."""
    if isinstance(error, Fault):
        code, message, status = error.code, error.message, error.status
    else:
        code, message, status = type(error).__name__, error.message, 400
    about = f"(Service: {PREFIX}, Status Code: {status}, Request ID: {new_request_id()}) (SDK Attempt Count: 1)"
    return StatesError(f"{PREFIX}.{code.removesuffix('Exception')}Exception", f"{message} {about}")
