"""`eks:call` and `eks:runJob`: the Kubernetes API of a cluster on Amazon EKS (integrations.md 3, 5.9).

The cluster's address and its certificate authority are arguments of the Task. Whoever asks shows a token: a request to
STS, signed with the Task's credentials and bound to the cluster's name, that the cluster sends to learn who signed it.
What the cluster answers with another status than 2xx is the error `EKS.<status>`.

That a job of Kubernetes is ours stands in an annotation of it, so that one that was begun by a worker that is lost is
found again by its name. A job with `generateName` cannot be found so.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

from engine.errors import StatesError
from engine.integrations.aws_credentials import NoAnswer
from engine.integrations.aws_endpoints import host_of, is_loopback
from engine.integrations.aws_sdk import account_for, unusable
from engine.integrations.optimised_wrappers import at
from engine.integrations.request import Answer, Later, Submitted
from engine.jsonvalue import InvalidJson, decode, encode, text

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from engine.integrations.aws import Account, HttpAnswer
    from engine.integrations.aws_endpoints import Route
    from engine.integrations.request import Channel, RunningJob, TaskRequest, Workplace
    from engine.jsonvalue import Json

_METHODS: Final = ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH")
_PATCH_TYPE: Final = "application/strategic-merge-patch+json"
_TOKEN_PREFIX: Final = "k8s-aws-v1."  # noqa: S105  what every token begins with
_TOKEN_SECONDS: Final = 60
_ANNOTATION: Final = "asl-engine/attempt"
_NOT_FOUND, _CONFLICT, _TOO_MANY, _SERVER_ERROR = 404, 409, 429, 500
_OK_MAX = 300
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?\Z")
"""Of a namespace, a job, a pod: they become parts of a path."""


class KubernetesHandler:
    """Tasks of `eks:call` and `eks:runJob`, reached as `account` says. See `JobHandler`."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def run(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Answer:
        """See `Handler`."""
        cluster = await self._cluster(request, workplace)
        if request.resource.action.startswith("call"):
            answer = await _called(request, cluster)
        else:
            answer = await _begun(request, cluster)
        return Answer(answer, len(encode(answer)))

    async def submit(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Submitted:
        """See `JobHandler`."""
        cluster = await self._cluster(request, workplace)
        try:
            answer = await _begun(request, cluster)
        except _Refused as refused:
            job = None
            if refused.status == _CONFLICT and request.may_have_run:
                job = await _found(request, cluster)
            if job is None:
                raise
            return Submitted({}, job)
        return Submitted(answer, {"Name": at(answer, "ResponseBody.metadata.name")})

    async def find(self, request: TaskRequest, workplace: Workplace) -> Json | None:
        """See `JobHandler`."""
        return await _found(request, await self._cluster(request, workplace))

    def poll_group(self, request: TaskRequest, job: Json) -> tuple[Hashable, int]:
        """See `JobHandler`: each job is asked about by itself."""
        return (request.execution_arn, request.entered, request.attempt, request.redrive_count), 1

    async def poll(self, jobs: Sequence[RunningJob], workplace: Workplace) -> list[Answer | StatesError | Later]:
        """See `JobHandler`."""
        return [await self._standing(one.request, str(at(one.job, "Name")), workplace) for one in jobs]

    async def _standing(self, request: TaskRequest, name: str, workplace: Workplace) -> Answer | StatesError | Later:
        try:
            cluster = await self._cluster(request, workplace)
            answered = await cluster.send("GET", f"{_jobs_path(request)}/{name}")
        except _Refused as refused:
            is_passing = refused.status in (_TOO_MANY, 0) or refused.status >= _SERVER_ERROR
            return Later() if is_passing else refused
        job = _body(answered)
        conditions = at(job, "status.conditions")
        over = {
            at(condition, "type")
            for condition in (conditions if isinstance(conditions, list) else [])
            if at(condition, "status") == "True"
        }
        if not over & {"Complete", "Failed"}:
            return Later()
        if isinstance(job, dict) and at(request.arguments, "LogOptions.RetrieveLogs") is True:
            job["logs"] = await _logs(request, name, cluster)
        if "Failed" in over:
            return StatesError("States.TaskFailed", text(job))
        return Answer(job, len(encode(job)))

    async def stop(self, request: TaskRequest, job: Json, workplace: Workplace) -> None:
        """See `JobHandler`: the job is deleted, its pods with it."""
        cluster = await self._cluster(request, workplace)
        body = encode({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"})
        try:
            await cluster.send("DELETE", f"{_jobs_path(request)}/{at(job, 'Name')}", body=body)
        except _Refused as refused:
            if refused.status != _NOT_FOUND:
                raise

    async def _cluster(self, request: TaskRequest, workplace: Workplace) -> _Cluster:
        """Raises StatesError: the arguments do not say which."""
        arguments = request.arguments if isinstance(request.arguments, dict) else {}
        wanted = ["ClusterName", "CertificateAuthority", "Endpoint"]
        wanted += ["Method", "Path"] if request.resource.action.startswith("call") else []
        findings = [f"The field '{name}' is required but was missing" for name in wanted if name not in arguments]
        findings += [
            f"The value for the field '{name}' must be a STRING"
            for name in (*wanted, "Namespace")
            if not isinstance(arguments.get(name), str | None)
        ]
        if findings:
            raise unusable(request, findings)
        url = urlsplit(str(arguments["Endpoint"]))
        is_http = url.scheme == "http" and is_loopback(str(arguments["Endpoint"]))
        if not url.hostname or url.query or not (url.scheme == "https" or is_http):
            raise unusable(request, ["The value of the field 'Endpoint' has an invalid format"])
        try:
            authority = base64.b64decode(str(arguments["CertificateAuthority"]), validate=True).decode("ascii")
            route = workplace.aws.route_to(str(arguments["Endpoint"]), None if is_http else authority)
        except (binascii.Error, ValueError, OSError) as error:  # ssl.SSLError is an OSError
            raise unusable(request, ["The value of the field 'CertificateAuthority' has an invalid format"]) from error
        return _Cluster(request, self._account, workplace, route)


class _Refused(StatesError):
    """`EKS.<status>`. `status`: 0 when no answer came."""

    def __init__(self, error: str, cause: str, status: int) -> None:
        super().__init__(error, cause)
        self.status = status


class _Cluster:
    """The Kubernetes API that a Task names."""

    def __init__(self, request: TaskRequest, account: Account, workplace: Workplace, route: Route) -> None:
        self._request = request
        self._account = account_for(request, account, "sts")
        self._workplace = workplace
        self._route = route

    async def send(
        self, method: str, path: str, *, query: str = "", body: bytes = b"", content_type: str = "application/json"
    ) -> HttpAnswer:
        """Sends one request. Raises _Refused: the answer is none of success, or none came."""
        url = str(at(self._request.arguments, "Endpoint")).rstrip("/") + path + (f"?{query}" if query else "")
        try:
            headers = {
                "Host": host_of(url),
                "Accept": "application/json",
                "Authorization": f"Bearer {await self._token()}",
                "Content-Length": str(len(body)),
            }
            if body:
                headers["Content-Type"] = content_type
            answered = await self._workplace.aws.send(method, url, headers, body, self._route)
        except NoAnswer as error:
            raise _Refused("EKS.SdkClientException", str(error), 0) from error
        if not 200 <= answered.status < _OK_MAX:
            raise _Refused(f"EKS.{answered.status}", answered.body.decode(errors="replace"), answered.status)
        return answered

    async def _token(self) -> str:
        """Who asks, for the cluster's eyes alone: made anew for each request, for it holds for a minute."""
        calls = await self._workplace.aws.calls(self._account, self._request.region)
        name = str(at(self._request.arguments, "ClusterName"))
        url = await calls.presigned("GetCallerIdentity", {"x-k8s-aws-id": name}, _TOKEN_SECONDS)
        return _TOKEN_PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


# ── eks:call ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _called(request: TaskRequest, cluster: _Cluster) -> dict[str, Json]:
    """`{"Headers": {"name": ["value"]}, "ResponseBody": ..., "StatusCode": 200, "StatusText": "OK"}`."""
    arguments = request.arguments
    method, path = str(at(arguments, "Method")), str(at(arguments, "Path"))
    findings = []
    if method not in _METHODS:
        findings.append(f"The value of the field 'Method' must be one of {', '.join(_METHODS)}")
    if not path.startswith("/") or any(ord(letter) <= 0x20 for letter in path) or "?" in path or "#" in path:
        findings.append("The value of the field 'Path' has an invalid format")
    if findings:
        raise unusable(request, findings)
    answered = await cluster.send(
        method,
        quote(path, safe="/:%~!$&'()*+,;=@"),
        query=_query(request, "QueryParameters"),
        body=_written(at(arguments, "RequestBody")),
        content_type=_PATCH_TYPE if method == "PATCH" else "application/json",
    )
    return _envelope(answered)


def _query(request: TaskRequest, field: str) -> str:
    """A map of names to lists of texts, as a query; `field` may be a path. Raises StatesError: it is none."""
    given = at(request.arguments, field)
    if given is None:
        return ""
    pairs: list[tuple[str, str]] = []
    for name, values in given.items() if isinstance(given, dict) else [("", None)]:
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise unusable(request, [f"The value of the field '{field}' has an invalid format"])
        pairs += [(name, str(value)) for value in values]
    return urlencode(pairs)


def _written(body: Json) -> bytes:
    """JSON, or a text that is it already."""
    if body is None:
        return b""
    return body.encode() if isinstance(body, str) else encode(body)


def _envelope(answered: HttpAnswer) -> dict[str, Json]:
    """An answer as a Task has it: AWS's samples read `ResponseBody`, the others are as of `apigateway:invoke`."""
    from http import HTTPStatus

    headers: dict[str, list[Json]] = {}
    for name, value in answered.headers:
        headers.setdefault(name, []).append(value)
    known = {status.value for status in HTTPStatus}
    return {
        "Headers": {name: headers[name] for name in sorted(headers, key=str.lower)},
        "ResponseBody": _body(answered),
        "StatusCode": answered.status,
        "StatusText": HTTPStatus(answered.status).phrase if answered.status in known else "",
    }


def _body(answered: HttpAnswer) -> Json:
    """JSON where it is that, else text. Raises StatesError: it is neither."""
    try:
        return decode(answered.body)
    except InvalidJson:
        pass
    try:
        return answered.body.decode()
    except UnicodeDecodeError as error:
        raise StatesError("States.Runtime", f"the cluster's answer is not UTF-8: {error}") from error


# ── eks:runJob ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _jobs_path(request: TaskRequest) -> str:
    return f"/apis/batch/v1/namespaces/{_namespace(request)}/jobs"


def _namespace(request: TaskRequest) -> str:
    """Raises StatesError: it cannot be the name of one."""
    found = at(request.arguments, "Namespace")
    name = "default" if found is None else str(found)
    if _NAME.match(name) is None:
        raise unusable(request, ["The value of the field 'Namespace' has an invalid format"])
    return name


async def _begun(request: TaskRequest, cluster: _Cluster) -> dict[str, Json]:
    """Creates the job; what came back, as of `eks:call`."""
    answered = await cluster.send("POST", _jobs_path(request), body=encode(_ours(request)))
    return _envelope(answered)


def _job(request: TaskRequest) -> dict[str, Json]:
    """The `Job`, which may be its text. Raises StatesError: it is none."""
    job = at(request.arguments, "Job")
    if isinstance(job, str):
        try:
            job = decode(job.encode())
        except InvalidJson:
            job = None
    if not isinstance(job, dict):
        found = at(request.arguments, "Job")
        finding = "is required but was missing" if found is None else "must be an OBJECT"
        raise unusable(request, [f"The field 'Job' {finding}"])
    return job


def _ours(request: TaskRequest) -> dict[str, Json]:
    """The job with the attempt that it is of."""
    job = _job(request)
    metadata, annotations = _inner(job, "metadata"), _inner(_inner(job, "metadata"), "annotations")
    return job | {"metadata": metadata | {"annotations": annotations | {_ANNOTATION: request.idempotency_key}}}


def _inner(value: dict[str, Json], name: str) -> dict[str, Json]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


async def _found(request: TaskRequest, cluster: _Cluster) -> Json | None:
    """The job that this attempt began, or None: there is none of the name, or it is another's."""
    name = at(_job(request), "metadata.name")
    if not isinstance(name, str) or _NAME.match(name) is None:
        return None
    try:
        found = _body(await cluster.send("GET", f"{_jobs_path(request)}/{name}"))
    except _Refused as refused:
        if refused.status == _NOT_FOUND:
            return None
        raise
    annotations = at(found, "metadata.annotations")
    is_ours = isinstance(annotations, dict) and annotations.get(_ANNOTATION) == request.idempotency_key
    return {"Name": name} if is_ours else None


async def _logs(request: TaskRequest, name: str, cluster: _Cluster) -> Json:
    """`{"pods": {"p": {"containers": {"c": {"log": ...}}}}}`; what cannot be had is `{"error": ..., "cause": ...}`."""
    pods: dict[str, Any] = {}
    path = f"/api/v1/namespaces/{_namespace(request)}/pods"
    try:
        parameters = _query(request, "LogOptions.LogParameters")
        listed = _body(await cluster.send("GET", path, query=urlencode({"labelSelector": f"job-name={name}"})))
    except StatesError as error:
        return {"error": error.error, "cause": error.cause}
    items = at(listed, "items")
    for pod in items if isinstance(items, list) else []:
        pod_name, found = str(at(pod, "metadata.name")), at(pod, "spec.containers")
        containers: dict[str, Json] = {}
        for container in found if isinstance(found, list) else []:
            one = str(at(container, "name"))
            query = urlencode({"container": one}) + (f"&{parameters}" if parameters else "")
            try:
                answered = await cluster.send("GET", f"{path}/{pod_name}/log", query=query)
                is_raw = at(request.arguments, "LogOptions.RawLogs") is True
                containers[one] = {"log": answered.body.decode(errors="replace") if is_raw else _body(answered)}
            except StatesError as error:
                containers[one] = {"error": error.error, "cause": error.cause}
        pods[pod_name] = {"containers": containers}
    return {"pods": pods}
