"""Tasks of optimised integrations: one call, or a job that goes on (integrations.md 1.2, 1.3, 4, 5).

What is known of each service stands in `optimised`; here is what they have in common, and what a few have of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import StatesError, TaskFailed
from engine.integrations.aws_credentials import NoAnswer
from engine.integrations.aws_members import Undecodable, Unusable, fill_token, sdk_metadata, shown, wire
from engine.integrations.aws_names import optimised_member
from engine.integrations.aws_sdk import account_for, modelled, operation_model, told, unusable
from engine.integrations.optimised import SERVICES
from engine.integrations.request import Answer, Later, Submitted, UnsupportedTask
from engine.jsonvalue import encode, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.integrations.aws import Account
    from engine.integrations.aws_calls import CallAnswer
    from engine.integrations.optimised import Job, Service
    from engine.integrations.request import RunningJob, TaskRequest, Workplace
    from engine.jsonvalue import Json

_LOST_SECONDS = 600.0
"""A job that nothing is known of so long after it began will not be known any more: the service forgot it."""

_TRY_AGAIN = ("Throttling", "TooManyRequests", "RequestLimitExceeded", "LimitExceeded", "ServiceUnavailable")
_GONE = ("NotFound", "DoesNotExist")
_SERVER_ERRORS = 500


class _Row(NamedTuple):
    service: Service
    operation: str
    job: Job | None


def _row(request: TaskRequest) -> _Row:
    """Raises UnsupportedTask: it is not in the table."""
    action = request.resource.action.partition(".")[0]
    service = SERVICES.get(request.resource.service)
    is_call = request.resource.pattern in ("REQUEST_RESPONSE", "WAIT_FOR_TASK_TOKEN")
    job = None if service is None else service.jobs.get(action)
    known = (request.resource.service, action) not in _ELSEWHERE
    if service is None or not known or not (is_call or job is not None):
        raise UnsupportedTask(
            f"state {request.state!r}: {request.resource.arn} is not built in; give the Task a handler of its own"
        )
    return _Row(service, action[:1].upper() + action[1:], job)


_ELSEWHERE = frozenset({("bedrock", "invokeModel"), ("eks", "call"), ("eks", "runJob")})
"""Actions of other APIs than their service's."""


async def answer_of(request: TaskRequest, account: Account, workplace: Workplace) -> Answer:
    """Does a Task, once, and does not wait for what it began. Raises StatesError, UnsupportedTask."""
    response = await _begun(request, _row(request), account, workplace)
    return Answer(response, len(encode(response)))


async def submitted(request: TaskRequest, account: Account, workplace: Workplace) -> Submitted:
    """Begins a job. Raises StatesError, UnsupportedTask."""
    row = _row(request)
    assert row.job is not None, "the pattern says so"
    response = await _begun(request, row, account, workplace)
    places = {"ARGUMENTS": request.arguments, "ANSWER": response}
    job = {name: at(places[source], path) for name, (source, path) in row.job.known_by.items()}
    return Submitted(response, job)


async def _begun(request: TaskRequest, row: _Row, account: Account, workplace: Workplace) -> dict[str, Json]:
    service = row.service
    try:
        calls = await workplace.aws.calls(account_for(request, account, service.client), request.region)
        model = operation_model(calls, row.operation)
        try:
            members = wire(_added(request), model.input_shape)
        except Unusable as error:
            raise unusable(request, error.findings) from error
        fill_token(members, model.input_shape, request.idempotency_key)
        answered = await calls.call(model.name, members)
    except NoAnswer as error:
        raise TaskFailed(f"{service.prefix}.SdkClientException", str(error)) from error
    if answered.is_refused:
        raise _refused(service, model, answered)
    response = _shown(service, model, answered)
    _check_entries(request, response)
    if service.has_metadata:
        _, _, request_id = told(answered)
        response |= sdk_metadata(answered.http.status, answered.http.headers, request_id)
        response = dict(sorted(response.items()))
    return response


def _shown(service: Service, model: Any, answered: CallAnswer) -> dict[str, Json]:
    if model.output_shape is None:
        return {}
    try:
        response = shown(answered.parsed, model.output_shape, optimised_member, in_epoch_ms=True)
    except Undecodable as error:
        raise StatesError("States.Runtime", f"{service.name} was called, but {error}") from error
    assert isinstance(response, dict), "an output is a structure"
    return response


def _refused(service: Service, model: Any, answered: CallAnswer) -> StatesError:
    """`SQS.AmazonSQSException`: the class that the SDK for Java 1 has for the error."""
    code, message, request_id = told(answered)
    shape = modelled(model, answered)
    name = service.base if shape is None else shape.name.removesuffix("Exception") + "Exception"
    about = (
        f"Service: {service.name}; Status Code: {answered.http.status}; Error Code: {code}; "
        f"Request ID: {request_id}; Proxy: null"
    )
    return StatesError(f"{service.prefix}.{name}", f"{message} ({about})")


# ── what some services have of their own ────────────────────────────────────────────────────────────────────────────


def _added(request: TaskRequest) -> Json:
    """The arguments with what Step Functions itself adds to them."""
    arguments = request.arguments
    if not isinstance(arguments, dict):
        return arguments
    is_job = request.resource.pattern == "SYNC"
    match request.resource.service:
        case "events":
            entries = arguments.get("Entries")
            if isinstance(entries, list):
                return {**arguments, "Entries": [_with_arns(request, entry) for entry in entries]}
        case "ecs" if is_job:
            return {"StartedBy": "AWS Step Functions", **arguments}
        case "batch" if is_job:
            overrides = arguments.get("ContainerOverrides") or {}
            environment = overrides.get("Environment", []) if isinstance(overrides, dict) else None
            if isinstance(overrides, dict) and isinstance(environment, list):
                mark: Json = {"Name": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"}
                return {**arguments, "ContainerOverrides": {**overrides, "Environment": [*environment, mark]}}
        case _:
            pass
    return arguments


def _with_arns(request: TaskRequest, entry: Json) -> Json:
    """An entry of PutEvents, with the execution and its state machine among its resources."""
    resources = entry.get("Resources", []) if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(resources, list):
        return entry
    parts = request.execution_arn.split(":")
    machine = ":".join([*parts[:5], "stateMachine", parts[6]])
    return {**entry, "Resources": [*resources, request.execution_arn, machine]}


def _check_entries(request: TaskRequest, response: dict[str, Json]) -> None:
    """Raises StatesError: the service took the call, and not what was in it."""
    if request.resource.service == "events" and response.get("FailedEntryCount"):
        raise StatesError("EventBridge.FailedEntry", text(response))
    waits = request.resource.pattern != "REQUEST_RESPONSE"
    if request.resource.service == "ecs" and waits and response.get("Failures"):
        raise StatesError("AmazonECS.Unknown", text(response))


def _is_failed_task(task: Json) -> bool:
    """Whether a stopped ECS task failed: it did not start, or a container ended with another exit code than 0."""
    if at(task, "StopCode") == "TaskFailedToStart":
        return True
    containers = at(task, "Containers")
    return any(
        at(container, "ExitCode") not in (None, 0) for container in (containers if isinstance(containers, list) else [])
    )


# ── jobs ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def poll_group(request: TaskRequest, job: Json) -> tuple[tuple[object, ...], int]:
    """See `JobHandler`: jobs of a service, an account and, where the call names one, a cluster."""
    row = _row(request)
    assert row.job is not None, "it was submitted"
    whose = (request.resource.service, row.operation, request.region, request.role_arn)
    if row.job.together == 1:
        return (*whose, text(job)), 1
    _, own = row.job.same
    shared = tuple(str(at(job, name)) for name in row.job.ask_with.values() if name != own)
    return (*whose, *shared), row.job.together


async def polled(
    jobs: Sequence[RunningJob], account: Account, workplace: Workplace
) -> list[Answer | StatesError | Later]:
    """How jobs of one group stand; see `JobHandler`."""
    request = jobs[0].request
    row = _row(request)
    how = row.job
    assert how is not None, "they were submitted"
    try:
        calls = await workplace.aws.calls(account_for(request, account, row.service.client), request.region)
        model = operation_model(calls, how.ask)
        answered = await calls.call(model.name, _members(model, how.ask_with, [one.job for one in jobs]))
    except NoAnswer:
        return [Later()] * len(jobs)
    if answered.is_refused:
        code, _, _ = told(answered)
        if answered.http.status >= _SERVER_ERRORS or any(word in code for word in _TRY_AGAIN):
            return [Later()] * len(jobs)
        is_gone = any(word in code for word in _GONE)
        if is_gone and how.gone_is_good:
            return [Answer({}, 2)] * len(jobs)
        if is_gone and jobs[0].age_seconds < _LOST_SECONDS:
            return [Later()] * len(jobs)  # the service may take a while to know its own job
        return [_refused(row.service, model, answered)] * len(jobs)
    response = _shown(row.service, model, answered)
    return [_standing(how, request, response, one) for one in jobs]


def _standing(
    how: Job, request: TaskRequest, response: dict[str, Json], job: RunningJob
) -> Answer | StatesError | Later:
    found: Json = response
    if how.items:
        member, name = how.same
        items = at(response, how.items)
        wanted = at(job.job, name)
        found = next((item for item in items if at(item, member) == wanted), None) if isinstance(items, list) else None
    if how.output:
        found = at(found, how.output)
    if found is None:
        if job.age_seconds < _LOST_SECONDS:
            return Later()
        return StatesError("States.TaskFailed", f"{request.resource.service} knows nothing of the job {text(job.job)}")
    status = at(found, how.status)
    is_bad = status in how.bad or (status in how.good and request.resource.service == "ecs" and _is_failed_task(found))
    output: Json = {how.wrapped_as: found} if how.wrapped_as else found
    if is_bad:
        return StatesError("States.TaskFailed", text(output))
    if status in how.good:
        return Answer(output, len(encode(output)))
    return Later()


async def stop(request: TaskRequest, job: Json, account: Account, workplace: Workplace) -> None:
    """Stops a job, where the service can. Raises NoAnswer, StatesError: it did not."""
    row = _row(request)
    if row.job is None or not row.job.stop:
        return
    calls = await workplace.aws.calls(account_for(request, account, row.service.client), request.region)
    model = operation_model(calls, row.job.stop)
    answered = await calls.call(model.name, _members(model, row.job.stop_with, [job]))
    if answered.is_refused and answered.http.status >= _SERVER_ERRORS:
        raise _refused(row.service, model, answered)


def _members(model: Any, members: Mapping[str, str], jobs: Sequence[Json]) -> dict[str, Any]:
    """The members of a call about jobs, as of `Job.ask_with`."""
    names = {name.lower(): name for name in model.input_shape.members}
    given: dict[str, Any] = {}
    for member, known_by in members.items():
        name = names[member.lower()]
        is_list = model.input_shape.members[name].type_name == "list"
        if known_by.startswith("'"):
            given[name] = known_by.strip("'")
        else:
            given[name] = [at(job, known_by) for job in jobs] if is_list else at(jobs[0], known_by)
    return given


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
