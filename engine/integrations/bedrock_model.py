"""`bedrock:invokeModel`: a model of Amazon Bedrock is asked, with a body given or kept in S3 (integrations.md 5.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from engine.asl.integration_members import unsupported
from engine.errors import StatesError, TaskFailed
from engine.integrations.aws_credentials import NoAnswer
from engine.integrations.aws_members import Unusable, sdk_metadata, wire
from engine.integrations.aws_sdk import account_for, modelled, told, unusable
from engine.integrations.optimised import SERVICES
from engine.integrations.optimised_wrappers import at
from engine.integrations.request import Answer
from engine.jsonvalue import InvalidJson, decode, encode

if TYPE_CHECKING:
    from engine.integrations.aws import Account
    from engine.integrations.aws_calls import CallAnswer
    from engine.integrations.request import TaskRequest, Workplace
    from engine.jsonvalue import Json

_BUCKETS: Final = ("Input", "Output")
_JSON: Final = "application/json"


async def model_answer(request: TaskRequest, account: Account, workplace: Workplace) -> Answer:
    """Asks the model, once.

    Returns:
        `{"Body": ..., "ContentType": ...}`: the body as JSON where it is that, else as text. With `Output`, `Body` is
        where it was put.

    Raises:
        StatesError: The arguments cannot be used, or Bedrock or S3 refused.
    """
    arguments = _checked(request)
    source, target = (_place(request, arguments, field) for field in _BUCKETS)
    try:
        content_type = arguments.get("ContentType")
        if source is None:
            body = encode(arguments["Body"])
        else:
            body, found_type = await _read(request, account, workplace, source)
            content_type = content_type or found_type
        calls = await workplace.aws.calls(account_for(request, account, "bedrock-runtime"), request.region)
        model = calls.model.operation_model("InvokeModel")
        given = {name: value for name, value in arguments.items() if name not in ("Body", *_BUCKETS)}
        try:
            members = wire(given, model.input_shape)
        except Unusable as error:
            raise unusable(request, error.findings) from error
        answered = await calls.call("InvokeModel", members | {"body": body, "contentType": content_type or _JSON})
        if answered.is_refused:
            raise _refused(model, answered)
        output = await _output(request, account, workplace, answered, target)
    except NoAnswer as error:
        raise TaskFailed("Bedrock.SdkClientException", str(error)) from error
    return Answer(output, len(encode(output)))


def _checked(request: TaskRequest) -> dict[str, Json]:
    """The arguments. Raises StatesError: they have both of Body and Input, or neither."""
    arguments = request.arguments if isinstance(request.arguments, dict) else {}
    if ("Body" in arguments) == ("Input" in arguments):
        raise unusable(request, ["There must be exactly one of the fields 'Body' and 'Input'"])
    if not isinstance(arguments.get("ContentType"), str | None):
        raise unusable(request, ["The value for the field 'ContentType' must be a STRING"])
    return arguments


def _place(request: TaskRequest, arguments: dict[str, Json], field: str) -> tuple[str, str] | None:
    """Bucket and key of `{"S3Uri": "s3://bucket/key"}`. Raises StatesError: it is none."""
    if field not in arguments:
        return None
    given = arguments[field]
    findings = [unsupported(name) for name in (given if isinstance(given, dict) else {}) if name != "S3Uri"]
    uri = at(given, "S3Uri")
    bucket, _, key = uri.removeprefix("s3://").partition("/") if isinstance(uri, str) else ("", "", "")
    if not isinstance(uri, str) or not uri.startswith("s3://") or not bucket or not key:
        findings.append(f"The value of the field '{field}.S3Uri' has an invalid format")
    if findings:
        raise unusable(request, findings)
    return bucket, key


async def _output(
    request: TaskRequest,
    account: Account,
    workplace: Workplace,
    answered: CallAnswer,
    target: tuple[str, str] | None,
) -> dict[str, Json]:
    parsed = answered.parsed
    content, content_type = parsed["body"], str(parsed.get("contentType") or _JSON)
    if target is None:
        body = _shown(request, content)
    else:
        await _write(request, account, workplace, target, content, content_type)
        body = f"s3://{target[0]}/{target[1]}"
    _, _, request_id = told(answered)
    metadata = sdk_metadata(answered.http.status, answered.http.headers, request_id)
    return {"Body": body, "ContentType": content_type, **metadata}


def _shown(request: TaskRequest, content: bytes) -> Json:
    try:
        return decode(content)
    except InvalidJson:
        pass
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        hint = "give the Task an Output in S3"
        raise StatesError("States.Runtime", f"{request.resource.arn}: the model's answer is no text; {hint}") from error


async def _read(
    request: TaskRequest, account: Account, workplace: Workplace, place: tuple[str, str]
) -> tuple[bytes, str | None]:
    """An object of S3, and the type of its content."""
    calls = await workplace.aws.calls(account_for(request, account, "s3"), request.region)
    answered = await calls.call("GetObject", {"Bucket": place[0], "Key": place[1]})
    if answered.is_refused:
        raise _refused(calls.model.operation_model("GetObject"), answered)
    return answered.parsed["Body"], answered.parsed.get("ContentType")


async def _write(
    request: TaskRequest,
    account: Account,
    workplace: Workplace,
    place: tuple[str, str],
    content: bytes,
    content_type: str,
) -> None:
    calls = await workplace.aws.calls(account_for(request, account, "s3"), request.region)
    members: dict[str, Any] = {"Bucket": place[0], "Key": place[1], "Body": content, "ContentType": content_type}
    answered = await calls.call("PutObject", members)
    if answered.is_refused:
        raise _refused(calls.model.operation_model("PutObject"), answered)


def _refused(model: Any, answered: CallAnswer) -> StatesError:
    """`Bedrock.ValidationException`, `S3.NoSuchKeyException`: the service that refused, in words as of the others."""
    code, message, request_id = told(answered)
    shape = modelled(model, answered)
    is_bucket = model.service_model.service_name == "s3"
    prefix, name = ("S3", "AmazonS3") if is_bucket else (SERVICES["bedrock"].prefix, "AmazonBedrockRuntime")
    base = f"{name}Exception" if shape is None else shape.name.removesuffix("Exception") + "Exception"
    about = f"Service: {name}; Status Code: {answered.http.status}; Error Code: {code}; Request ID: {request_id}"
    return StatesError(f"{prefix}.{base}", f"{message} ({about}; Proxy: null)")
