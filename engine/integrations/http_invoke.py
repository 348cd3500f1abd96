"""`arn:aws:states:::http:invoke`: an API by HTTPS, authorized by a connection (integrations.md 5.11).

Each attempt is one request (two, when an OAuth token is refused) and has 60 seconds. A redirect is not followed: it
would take the connection's secrets to another server.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

import anyio

from engine.errors import StatesError
from engine.integrations.aws import AnswerTooLong
from engine.integrations.aws_credentials import NoAnswer
from engine.integrations.aws_sdk import unusable
from engine.integrations.http_answers import SUCCESS, NoText, result_of, text_of, too_large
from engine.integrations.http_task import Unusable, made_request, read_http_task
from engine.integrations.request import Answer, Exchange
from engine.jsonvalue import encode

if TYPE_CHECKING:
    from engine.integrations.aws import Account, HttpAnswer
    from engine.integrations.connection_lookup import Opened
    from engine.integrations.connections import Connection
    from engine.integrations.http_task import HttpTask
    from engine.integrations.request import Channel, TaskRequest, Workplace

SECONDS_MAX: Final = 60.0
"""Of one attempt, whatever TimeoutSeconds says (documented)."""

_UNAUTHORIZED: Final = (401, 407)


class HttpOptions(NamedTuple):
    """What a rule says of APIs.

    Attributes:
        api: `http://host:port` that stands in for each API's own: a test's.
        allows_http: APIs on this machine may be called without TLS.
    """

    api: str | None = None
    allows_http: bool = False


async def http_answer(
    request: TaskRequest, account: Account, options: HttpOptions, channel: Channel, workplace: Workplace
) -> Answer:
    """Does an HTTP Task, once.

    Args:
        request: The Task.
        account: How AWS is reached, for connections that are not configured here.
        options: Of the rule.
        channel: Is shown what is sent and what comes back.
        workplace: Has the connections and the clients.

    Raises:
        StatesError: `States.Runtime`: the arguments or the response cannot be used. `States.Http.StatusCode.404` and
            the like: the API answered so. `States.Http.Socket`: no answer came, or none in time.
            `Events.ConnectionResource...`: the connection cannot be used. `States.Permissions`: it is not for this API.
    """
    try:
        task = read_http_task(request.arguments, allows_http=options.allows_http)
    except Unusable as error:
        raise unusable(request, error.findings) from None
    answered = None
    try:
        with anyio.move_on_after(SECONDS_MAX):
            connection = await workplace.connections.find(request, task.connection_arn, account, workplace.aws)
            if not connection.permits(task.url):
                cause = f"connection {connection.name!r} is not for {task.url}: its endpoints say which APIs may get it"
                raise StatesError("States.Permissions", cause)
            if options.api is not None:
                task = task._replace(url=_moved(task.url, options.api))
            answered = await _Caller(request, task, connection, channel, workplace).answered()
    except AnswerTooLong:
        raise too_large("http") from None
    except NoAnswer as error:
        raise StatesError("States.Http.Socket", str(error)) from None
    if answered is None:
        raise StatesError("States.Http.Socket", f"No response within {SECONDS_MAX:g} seconds")
    try:
        text = text_of(answered)
    except NoText as error:
        raise StatesError("States.Runtime", f"HTTP Task: {error}") from None
    if answered.status not in SUCCESS:
        raise StatesError(f"States.Http.StatusCode.{answered.status}", text or answered.reason)
    result = result_of(answered, text, lower_case=True)
    return Answer(result, len(encode(result)))


class _Caller(NamedTuple):
    """One attempt of an HTTP Task."""

    request: TaskRequest
    task: HttpTask
    connection: Connection
    channel: Channel
    workplace: Workplace

    async def answered(self) -> HttpAnswer:
        """The API's answer. Raises NoAnswer, StatesError."""
        clients, connections = self.workplace.aws, self.workplace.connections
        opened = await connections.opened(self.connection, clients)
        answer = await self._sent(opened)
        if opened.token is not None and answer.status in _UNAUTHORIZED:
            answer = await self._sent(await connections.renewed(opened, clients))
        return answer

    async def _sent(self, opened: Opened) -> HttpAnswer:
        trace = uuid.uuid4().hex
        trace_id = f"Root=1-{trace[:8]}-{trace[8:]}"
        sent = made_request(self.task, opened.added, region=self.request.region, trace_id=trace_id)
        exchange = Exchange(self.task, opened.added, sent, None)
        self.channel.exchanged(exchange)
        clients = self.workplace.aws
        route = await clients.public_route(sent.url, self.connection.ca_file)
        answer = await clients.send(sent.method, sent.url, sent.headers, sent.body or b"", route)
        self.channel.exchanged(exchange._replace(answer=answer))
        return answer


def _moved(url: str, api: str) -> str:
    """The URL at another server."""
    there = urlsplit(api)
    return urlsplit(url)._replace(scheme=there.scheme, netloc=there.netloc).geturl()
