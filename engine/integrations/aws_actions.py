"""AWS itself as a handler: whatever a Task of `arn:aws:states:::SERVICE:ACTION` calls there.

    aws:                                                    as AWS's own configuration says
    aws:?region=R&profile=P&endpoint=URL&role=ARN           how AWS is reached; each may be left out
    aws:?api=URL                                            where the APIs of HTTP Tasks are called instead, for tests
    aws:?http=loopback                                      their APIs may be called by http if they are on this machine

Functions are called as by `lambda:`. Each attempt is one request: retrying is for `Retry`.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from engine.asl.sdk_actions import sdk_service
from engine.integrations import optimised_calls
from engine.integrations.apigateway_invoke import endpoint_elsewhere, gateway_answer
from engine.integrations.aws import read_account
from engine.integrations.aws_endpoints import destination_of, is_loopback, override_of
from engine.integrations.aws_sdk import is_sdk_call, sdk_answer
from engine.integrations.bedrock_model import model_answer
from engine.integrations.http_invoke import HttpOptions, http_answer
from engine.integrations.http_target import check_url
from engine.integrations.kubernetes import KubernetesHandler
from engine.integrations.lambda_ import LambdaFunction
from engine.integrations.optimised import SERVICES

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from engine.asl.resource import Resource
    from engine.errors import StatesError
    from engine.integrations.aws import Account
    from engine.integrations.request import (
        Answer,
        Channel,
        Later,
        RunningJob,
        Submitted,
        TaskRequest,
        WorkerLoss,
        Workplace,
    )
    from engine.jsonvalue import Json

_SERVICES_CACHED = 1_000
_ABOUT_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_CONFIG_FILE", "AWS_PROFILE")

_BY_HTTP = ("http", "apigateway")
"""Services that are APIs of anybody's, and none of botocore's."""


class AwsActions:
    """Actions of AWS's services, with one way to reach them.

    Attributes:
        on_worker_loss, waits_apart, concurrency: See `Handler`.
    """

    fixed_answer = None
    waits_apart = True

    def __init__(
        self, spec: str = "aws:", *, on_worker_loss: WorkerLoss = "rerun", concurrency: int | None = None
    ) -> None:
        """Raises ValueError: an option that does not exist."""
        self.name = spec
        self.on_worker_loss: WorkerLoss = on_worker_loss
        self.concurrency = concurrency
        _, _, rest = spec.partition(":")
        name, _, options = rest.partition("?")
        if name:
            raise ValueError(f"expected aws: or aws:?region=...&profile=...&endpoint=...&role=..., got {spec!r}")
        self._http, options = _http_options(options)
        self._account = read_account("", options)
        self._kubernetes = KubernetesHandler(self._account)
        self._function = LambdaFunction(f"lambda:?{options}" if options else "lambda:")

    @property
    def account(self) -> Account:
        """How AWS is reached, whatever the service."""
        return self._account

    def destination(self, resource: Resource) -> str | None:
        """See `Handler`."""
        if resource.service == "http":
            return _machine(self._http.api) if self._http.api else "the server of its ApiEndpoint"
        if resource.service == "apigateway":
            elsewhere = self._account.endpoint_url or endpoint_elsewhere()
            return _machine(elsewhere) if elsewhere else "AWS"
        client = client_of(resource)
        return None if client is None else destination_of(self._account._replace(service=client))

    async def run(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Answer:
        """See `Handler`."""
        if is_sdk_call(request):
            return await sdk_answer(request, self._account, workplace)
        if request.resource.service == "lambda":
            return await self._function.run(request, channel, workplace)
        if request.resource.service == "http":
            return await http_answer(request, self._account, self._http, channel, workplace)
        if request.resource.service == "apigateway":
            return await gateway_answer(request, self._account, workplace)
        if is_of_model(request.resource):
            return await model_answer(request, self._account, workplace)
        if is_kubernetes(request.resource):
            return await self._kubernetes.run(request, channel, workplace)
        return await optimised_calls.answer_of(request, self._account, workplace)

    async def submit(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Submitted:
        """See `JobHandler`. Where the service takes a token, a repeated request is the same job."""
        if is_kubernetes(request.resource):
            return await self._kubernetes.submit(request, channel, workplace)
        return await optimised_calls.submitted(request, self._account, workplace)

    async def find(self, request: TaskRequest, workplace: Workplace) -> Json | None:
        """See `JobHandler`: but for Kubernetes nobody can be asked what a request that was lost has begun."""
        if is_kubernetes(request.resource):
            return await self._kubernetes.find(request, workplace)
        return None

    def poll_group(self, request: TaskRequest, job: Json) -> tuple[Hashable, int]:
        """See `JobHandler`."""
        if is_kubernetes(request.resource):
            return self._kubernetes.poll_group(request, job)
        return optimised_calls.poll_group(request, job)

    async def poll(self, jobs: Sequence[RunningJob], workplace: Workplace) -> Sequence[Answer | StatesError | Later]:
        """See `JobHandler`."""
        if is_kubernetes(jobs[0].request.resource):
            return await self._kubernetes.poll(jobs, workplace)
        return await optimised_calls.polled(jobs, self._account, workplace)

    async def stop(self, request: TaskRequest, job: Json, workplace: Workplace) -> None:
        """See `JobHandler`."""
        if is_kubernetes(request.resource):
            await self._kubernetes.stop(request, job, workplace)
            return
        await optimised_calls.stop(request, job, self._account, workplace)


def _http_options(options: str) -> tuple[HttpOptions, str]:
    """The options `api` and `http`, and the others as they were. Raises ValueError: one means nothing."""
    given = parse_qsl(options, keep_blank_values=True)
    own = dict(one for one in given if one[0] in ("api", "http"))
    others = [one for one in given if one[0] not in own]
    if len(own) + len(others) < len(given):
        raise ValueError(f"expected api=... and http=... once at most, got {options!r}")
    if "api" in own:
        check_url(own["api"])
    if own.get("http", "loopback") != "loopback":
        raise ValueError(f"http: expected loopback, got {own['http']!r}")
    return HttpOptions(own.get("api"), "http" in own), urlencode(others) if own else options


def _machine(url: str) -> str | None:
    """For people, the other machine that is called; None: it is this one."""
    return None if is_loopback(url) else url


def is_kubernetes(resource: Resource) -> bool:
    """Whether it is the Kubernetes API of a cluster that a Task calls."""
    return resource.service == "eks" and _is_elsewhere(resource)


def is_of_model(resource: Resource) -> bool:
    """Whether a Task asks a model of Bedrock."""
    return resource.service == "bedrock" and _is_elsewhere(resource)


def _is_elsewhere(resource: Resource) -> bool:
    return resource.action.partition(".")[0] in SERVICES[resource.service].elsewhere


def is_outside(resource: Resource) -> bool:
    """Whether a Task of this Resource leaves the machine, where no rule and nothing of the engine does it."""
    if resource.kind == "service" and resource.service in _BY_HTTP:
        return True
    return resource.kind == "lambda" or (resource.kind == "service" and client_of(resource) is not None)


def has_endpoint(resource: Resource) -> bool:
    """Whether an endpoint in place of AWS's is configured for what a Task calls: `AWS_ENDPOINT_URL` and its like."""
    if resource.service == "apigateway":
        return endpoint_elsewhere() is not None
    client = client_of(resource)
    return client is not None and has_own_endpoint(client)


def has_own_endpoint(client: str) -> bool:
    """The same of a service, by botocore's name."""
    said = frozenset((name, value) for name, value in os.environ.items() if name.startswith(_ABOUT_ENDPOINTS))
    return _is_overridden(client, said)


def client_of(resource: Resource) -> str | None:
    """Botocore's name of the service that a Task calls, or None: it is none of botocore's."""
    if resource.service.startswith("aws-sdk:"):
        service = sdk_service(resource.service.removeprefix("aws-sdk:"))
        return None if service is None or service.client == "-" else service.client
    if resource.service == "lambda":
        return "lambda"
    optimised = SERVICES.get(resource.service)
    return None if optimised is None else optimised.client


@lru_cache(_SERVICES_CACHED)
def _is_overridden(client: str, said: frozenset[tuple[str, str]]) -> bool:
    """`said`: what the environment says of endpoints; a key alone, for whoever changes it and asks again."""
    del said
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    try:
        return override_of(Session(), client) is not None
    except BotoCoreError:  # a profile that there is not, and its like: the first call tells
        return False
