"""Any action of AWS as a Task: `arn:aws:states:::aws-sdk:SERVICE:ACTION` (integrations.md 1, 2).

aws:                                                    as AWS's own configuration says
aws:?region=R&profile=P&endpoint=URL&role=ARN           how AWS is reached; each may be left out
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.asl.sdk_actions import sdk_service
from engine.errors import StatesError, TaskFailed
from engine.integrations.aws_credentials import NoAnswer
from engine.integrations.aws_members import Undecodable, Unusable, fill_token, shown, tell_of_body, wire
from engine.integrations.aws_names import exception_name, sdk_member
from engine.integrations.aws_s3 import missing, with_copy_source
from engine.integrations.request import Answer, UnsupportedTask
from engine.jsonvalue import encode, text

if TYPE_CHECKING:
    from engine.integrations.aws import Account
    from engine.integrations.aws_calls import CallAnswer, ServiceCalls
    from engine.integrations.request import TaskRequest, Workplace
    from engine.jsonvalue import Json

_SDK = "aws-sdk:"


def is_sdk_call(request: TaskRequest) -> bool:
    """Whether the Task calls an action of the SDK."""
    return request.resource.service.startswith(_SDK)


async def sdk_answer(request: TaskRequest, account: Account, workplace: Workplace) -> Answer:
    """Does a Task of `aws-sdk:`, once.

    Args:
        request: The Task.
        account: How AWS is reached; its service is the Task's.
        workplace: Has the clients.

    Raises:
        StatesError: The action failed, or could not be called.
        UnsupportedTask: There is no such action any more.
    """
    service = sdk_service(request.resource.service.removeprefix(_SDK))
    action = request.resource.action.partition(".")[0]
    if service is None or action not in service.actions or service.client == "-":
        raise UnsupportedTask(f"state {request.state!r}: AWS has no action {request.resource.arn}")
    client_error = f"{service.prefix}.SdkClientException"
    try:
        calls = await workplace.aws.calls(account_for(request, account, service.client), request.region)
        operation = action[:1].upper() + action[1:]
        model = operation_model(calls, operation)
        members = wired(request, _arguments(request, model), model.input_shape)
        fill_token(members, model.input_shape, request.idempotency_key)
        tell_of_body(members, model)
        answered = await calls.call(model.name, members)
    except NoAnswer as error:
        raise TaskFailed(client_error, f"{error} (SDK Attempt Count: 1)") from error
    if answered.is_refused:
        raise _refused(service.prefix, model, answered)
    result: Json = {}
    if model.output_shape is not None:
        result = result_of(request, answered, model.output_shape)
    return Answer(result, len(encode(result)))


def _arguments(request: TaskRequest, model: Any) -> Json:
    return with_copy_source(model.name, request.arguments) if _is_s3(model) else request.arguments


def _is_s3(model: Any) -> bool:
    return bool(model.service_model.service_name == "s3")


def account_for(request: TaskRequest, account: Account, client: str) -> Account:
    """Whom a Task's request is made as: `account`, and the role of its Credentials."""
    roles = account.role_arns if request.role_arn is None else (*account.role_arns, request.role_arn)
    return account._replace(service=client, role_arns=roles)


def operation_model(calls: ServiceCalls, operation: str) -> Any:
    """Botocore's model of an operation; the first letter's case is the model's."""
    names = calls.model.operation_names
    if operation not in names:
        operation = next(name for name in names if name[1:] == operation[1:])
    return calls.model.operation_model(operation)


def wired(request: TaskRequest, arguments: Json, shape: Any) -> dict[str, Any]:
    """See `wire`. Raises StatesError: AWS would not even try with these."""
    try:
        return wire(arguments, shape)
    except Unusable as error:
        raise unusable(request, error.findings) from error


def unusable(request: TaskRequest, findings: list[str]) -> StatesError:
    """Arguments that AWS does not even try to start a Task with (integrations.md 1.3)."""
    return TaskFailed(
        "States.Runtime",
        f"An error occurred while executing the state '{request.state}' (entered at the event id #{request.entered}). "
        f"The Parameters '{text(request.arguments)}' could not be used to start the Task: [{', '.join(findings)}]",
    )


def result_of(request: TaskRequest, answered: CallAnswer, shape: Any) -> Json:
    """What an action gave, as a Task has it. Raises StatesError: bytes in it are not text."""
    try:
        return shown(answered.parsed, shape, sdk_member)
    except Undecodable as error:
        raise StatesError("States.Runtime", f"{request.resource.arn} was called, but {error}") from error


def _refused(prefix: str, model: Any, answered: CallAnswer) -> StatesError:
    """`DynamoDb.ResourceNotFoundException`; errors without a class of their own are `DynamoDb.DynamoDbException`."""
    _, message, request_id = told(answered)
    shape = modelled(model, answered)
    name = f"{prefix}Exception" if shape is None else exception_name(shape.name, prefix)
    gone = missing(model.name, answered.http.status) if _is_s3(model) else None
    if gone is not None:
        name, message = exception_name(gone[0], prefix), gone[1]
    about = f"Service: {prefix}, Status Code: {answered.http.status}, Request ID: {request_id}"
    extended = answered.parsed.get("ResponseMetadata", {}).get("HostId")
    about += f", Extended Request ID: {extended}" if extended else ""
    return StatesError(f"{prefix}.{name}", f"{message} ({about}) (SDK Attempt Count: 1)")


def modelled(operation: Any, answered: CallAnswer) -> Any:
    """The shape of an error that the service's model has, or None; of several with one code the operation's own."""
    error = answered.parsed.get("Error", {})
    shapes = (*operation.error_shapes, *operation.service_model.error_shapes)
    for code in (error.get("Code"), error.get("QueryErrorCode")):
        for shape in shapes:
            if code is not None and code in (shape.name, shape.metadata.get("error", {}).get("code")):
                return shape
    return None


def told(answered: CallAnswer) -> tuple[str, str, str]:
    """Code, message and request id of an error; what is missing is `null`, as Java prints it."""
    error = answered.parsed.get("Error", {})
    message = error.get("Message") or answered.parsed.get("message") or "null"
    if not answered.http.body:
        message = "null"  # botocore has the status's name there
    metadata = answered.parsed.get("ResponseMetadata", {})
    return str(error.get("Code", "null")), str(message), str(metadata.get("RequestId", "null"))
