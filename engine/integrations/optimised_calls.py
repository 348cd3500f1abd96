"""Tasks of optimised integrations: one call, or a job that goes on (integrations.md 1.2, 1.3, 4, 5).

What is known of each service stands in `optimised`, what a few have of their own in `optimised_extras`; here is what
they have in common.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import StatesError, TaskFailed
from engine.integrations.aws_credentials import NoAnswer
from engine.integrations.aws_members import Undecodable, Unusable, fill_token, sdk_metadata, shown, wire
from engine.integrations.aws_names import optimised_member
from engine.integrations.aws_sdk import account_for, modelled, operation_model, told, unusable
from engine.integrations.optimised import SERVICES
from engine.integrations.optimised_extras import check_taken, deleted, is_failed_task, with_additions
from engine.integrations.optimised_wrappers import at, from_api, to_api
from engine.integrations.request import Answer, Later, Submitted, UnsupportedTask
from engine.jsonvalue import encode, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.integrations.aws import Account
    from engine.integrations.aws_calls import CallAnswer, ServiceCalls
    from engine.integrations.optimised_rows import Call, Job, Service
    from engine.integrations.request import RunningJob, TaskRequest, Workplace
    from engine.jsonvalue import Json

_LOST_SECONDS = 600.0
"""A job that nothing is known of so long after it began will not be known any more: the service forgot it."""

_TRY_AGAIN = ("Throttling", "TooManyRequests", "RequestLimitExceeded", "LimitExceeded", "ServiceUnavailable")
_GONE = ("NotFound", "DoesNotExist")
_THERE_ALREADY = ("ResourceInUse", "AlreadyExists", "Conflict")
_SERVER_ERRORS = 500


class _Row(NamedTuple):
    service: Service
    operation: str
    job: Job | None
    call: Call | None


def _row(request: TaskRequest) -> _Row:
    """Raises UnsupportedTask: it is not in the table."""
    action = request.resource.action.partition(".")[0]
    service = SERVICES.get(request.resource.service)
    is_call = request.resource.pattern in ("REQUEST_RESPONSE", "WAIT_FOR_TASK_TOKEN")
    job = None if service is None else service.jobs.get(action)
    if service is None or not (is_call or job is not None):
        raise UnsupportedTask(
            f"state {request.state!r}: {request.resource.arn} is not built in; give the Task a handler of its own"
        )
    call = service.calls.get(action)
    return _Row(service, action[:1].upper() + action[1:] if call is None else call.operation, job, call)


class _Api:
    """The service of a row, as a Task calls it."""

    def __init__(self, service: Service, calls: ServiceCalls) -> None:
        self._service = service
        self._calls = calls

    async def ask(self, operation: str, members: dict[str, Json]) -> dict[str, Json]:
        """Calls an action that tells or repeats something; its answer in the Task's spelling. Raises StatesError."""
        model = operation_model(self._calls, operation)
        try:
            answered = await self._calls.call(model.name, wire(members, model.input_shape))
        except NoAnswer as error:
            raise _no_answer(self._service, error) from error
        if answered.is_refused:
            raise _refused(self._service, model, answered)
        return _shown(self._service, model, answered)


def _no_answer(service: Service, error: NoAnswer) -> StatesError:
    return TaskFailed(f"{service.prefix}.SdkClientException", str(error))


async def _calls_of(row: _Row, request: TaskRequest, account: Account, workplace: Workplace) -> ServiceCalls:
    return await workplace.aws.calls(account_for(request, account, row.service.client), request.region)


# ── one call ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def answer_of(request: TaskRequest, account: Account, workplace: Workplace) -> Answer:
    """Does a Task, once, and does not wait for what it began. Raises StatesError, UnsupportedTask."""
    response = await _begun(request, _row(request), account, workplace)
    return Answer(response, len(encode(response)))


async def submitted(request: TaskRequest, account: Account, workplace: Workplace) -> Submitted:
    """Begins a job. Raises StatesError, UnsupportedTask."""
    row = _row(request)
    assert row.job is not None, "the pattern says so"
    try:
        response = await _begun(request, row, account, workplace)
    except StatesError as error:
        if not (request.may_have_run and _is_begun(row.job, error)):
            raise
        response = {}
    places = {"ARGUMENTS": request.arguments, "ANSWER": response}
    job = {name: at(places[source], path) for name, (source, path) in row.job.known_by.items()}
    return Submitted(response, job)


def _is_begun(job: Job, error: StatesError) -> bool:
    """Whether a request is refused because it was made before: what it names is there already, or gone already.

    Only of a job that the arguments name, such as a training job: how it stands can be asked without an answer.
    """
    if any(source == "ANSWER" for source, _ in job.known_by.values()):
        return False
    reasons = (*_THERE_ALREADY, *_GONE) if job.gone_is_good else _THERE_ALREADY
    return any(reason in (error.error or "") for reason in reasons)


async def _begun(request: TaskRequest, row: _Row, account: Account, workplace: Workplace) -> dict[str, Json]:
    service = row.service
    try:
        calls = await _calls_of(row, request, account, workplace)
        ask = _Api(service, calls).ask
        model = operation_model(calls, row.operation)
        arguments = with_additions(request)
        try:
            if row.call is not None:
                arguments = await to_api(row.call, arguments, service, ask)
            members = wire(arguments, model.input_shape)
        except Unusable as error:
            raise unusable(request, error.findings) from error
        fill_token(members, model.input_shape, request.idempotency_key)
        answered = await calls.call(model.name, members)
    except NoAnswer as error:
        raise _no_answer(service, error) from error
    if answered.is_refused:
        raise _refused(service, model, answered)
    response = _shown(service, model, answered)
    check_taken(request, response)
    if isinstance(arguments, dict):
        response = await deleted(row.operation, response, arguments, ask)
    if row.call is not None:
        response = from_api(row.call, response)
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
        calls = await _calls_of(row, request, account, workplace)
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
    api = _Api(row.service, calls)
    return [await _standing(how, request, response, one, api) for one in jobs]


async def _standing(
    how: Job, request: TaskRequest, response: dict[str, Json], job: RunningJob, api: _Api
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
    is_bad = status in how.bad
    if status in how.good and request.resource.service == "ecs":
        is_bad = await is_failed_task(found, api.ask)
    output: Json = {how.wrapped_as: found} if how.wrapped_as else found
    if how.beside and isinstance(output, dict):
        output = dict(sorted((output | {name: at(job.job, name) for name in how.beside}).items()))
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
    calls = await _calls_of(row, request, account, workplace)
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
