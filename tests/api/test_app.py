"""One request through the application: which operation, who asks, how often, what comes back."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
import structlog

from engine.api.throttling import Rate, Throttle
from engine.errors import ActivityDoesNotExist, InvalidName
from engine.http.access import Access
from engine.http.sigv4 import AccessKey
from engine.store.protocol import StoreUnavailable
from tests.api.asking import Caller, api, ask, asked
from tests.http.test_bearer import RSA, World, token
from tests.http.test_sigv4 import KEY, signed

pytestmark = pytest.mark.anyio

MOMENT = datetime(2026, 5, 1, 12, 0, 0, 500_000, UTC)


async def create_activity(service: Caller, *, name: str, **more: Any) -> dict[str, Any]:
    return {"activity_arn": f"{service.account_id}:{name}", "creation_date": MOMENT}


CREATE = ("CreateActivity", create_activity)


def failing(error: Exception) -> tuple[str, Any]:
    async def create(_service: Any, **_: Any) -> None:
        raise error

    return "CreateActivity", create


async def test_an_operation_is_asked_and_its_answer_comes_back():
    answer = await ask(api(CREATE), "CreateActivity", {"name": "a"})
    assert answer.status == 200
    assert answer.body == {"activityArn": "000000000000:a", "creationDate": 1777636800.5}
    assert answer.headers["content-type"] == "application/x-amz-json-1.0"
    assert len(answer.headers["x-amzn-requestid"]) == 36


@pytest.mark.parametrize(
    "headers",
    [{}, {"x-amz-target": "AWSStepFunctions.Nope"}, {"x-amz-target": "CreateActivity"},
     {"x-amz-target": "AWSStepFunctions.createActivity"}, {"x-amz-target": "DynamoDB_20120810.GetItem"}],
)  # fmt: skip
async def test_what_names_no_operation_is_unknown(headers):
    answer = await ask(api(CREATE), None, {"name": "a"}, headers=headers)
    assert (answer.status, answer.body) == (400, {"__type": "com.amazon.coral.service#UnknownOperationException"})
    assert "x-amzn-requestid" in answer.headers


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("PUT", "/"), ("POST", "/x")])
async def test_everything_is_a_post_to_the_root(method, path):
    answer = await ask(api(CREATE), "CreateActivity", {"name": "a"}, method=method, path=path)
    assert (answer.status, answer.code, answer.headers["allow"]) == (405, "UnknownOperationException", "POST")
    assert f"got {method} {path}" in answer.body["message"]


async def test_an_operation_that_refuses_answers_with_its_error():
    answer = await ask(api(failing(InvalidName("a b"))), "CreateActivity", {"name": "a b"})
    assert (answer.status, answer.body) == (
        400, {"__type": "com.amazonaws.swf.service.v2.model#InvalidName", "message": "Invalid Name: 'a b'"},
    )  # fmt: skip


async def test_a_broken_constraint_never_reaches_the_operation():
    answer = await ask(api(failing(AssertionError())), "CreateActivity", {"name": ""})
    assert (answer.status, answer.code) == (400, "ValidationException")


async def test_a_fault_of_ours_is_logged_and_told_without_its_text():
    with structlog.testing.capture_logs() as log:
        answer = await ask(api(failing(ZeroDivisionError("secret"))), "CreateActivity", {"name": "a"})
    assert (answer.status, answer.code) == (500, "InternalFailure")
    assert "secret" not in str(answer.body)
    (line,) = log
    assert (line["event"], line["operation"]) == ("request failed", "CreateActivity")
    assert line["request_id"] == answer.headers["x-amzn-requestid"]
    # Else a renderer could show the variables of the frames: the request, and what authorizes it.
    assert "exc_info" not in line
    assert "ZeroDivisionError: secret" in line["exception"]


async def test_a_member_that_an_operation_made_up_is_a_fault_of_ours():
    async def create(_service: Any, **_: Any) -> dict[str, Any]:
        return {"activityName": "a"}

    with structlog.testing.capture_logs():
        answer = await ask(api(("CreateActivity", create)), "CreateActivity", {"name": "a"})
    assert answer.status == 500


async def test_a_database_that_is_away_is_a_503_that_clients_try_again():
    with structlog.testing.capture_logs() as log:
        answer = await ask(api(failing(StoreUnavailable("no route"))), "CreateActivity", {"name": "a"})
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    assert log[0]["event"] == "request not served"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (StoreUnavailable("no route"), 503, "ServiceUnavailable"),
        (ActivityDoesNotExist("a"), 400, "ActivityDoesNotExist"),
        (AssertionError("ours"), 500, "InternalFailure"),
    ],
)
async def test_what_goes_wrong_in_a_long_poll_is_told_as_elsewhere(error, status, code):
    with structlog.testing.capture_logs() as log:
        answer = await ask(api(("GetActivityTask", failing(error)[1])), "GetActivityTask", {"activityArn": "a"})
    assert (answer.status, answer.code) == (status, code)
    assert "ExceptionGroup" not in str(log)


async def test_the_trace_header_of_the_request_goes_before_that_of_the_body():
    async def start(_service: Any, *, state_machine_arn: str, trace_header: str | None = None) -> dict[str, Any]:
        return {"execution_arn": trace_header, "start_date": MOMENT}

    app = api(("StartExecution", start))
    body = {"stateMachineArn": "a", "traceHeader": "Root=1"}
    assert (await ask(app, "StartExecution", body)).body["executionArn"] == "Root=1"
    answer = await ask(app, "StartExecution", body, headers={"x-amzn-trace-id": "Root=2"})
    assert answer.body["executionArn"] == "Root=2"
    answer = await ask(app, "StartExecution", body, headers={"x-amzn-trace-id": "x" * 257})
    assert answer.body["executionArn"] == "Root=1"


# ── size ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_body_may_come_in_pieces():
    answer = await ask(api(CREATE), "CreateActivity", pieces=[b'{"na', b"", b'me":"a"}'])
    assert answer.body["activityArn"] == "000000000000:a"


async def test_a_request_that_is_too_long_is_refused_whole_or_in_pieces():
    app = api(CREATE, request_bytes_max=200)
    long = b'{"name":"a"}' + b" " * 200
    for more in ({"body": long}, {"pieces": [b"{", long]}, {"body": b"{}", "headers": {"content-length": "1000"}}):
        answer = await ask(app, "CreateActivity", **more)
        assert (answer.status, answer.code) == (413, "RequestEntityTooLargeException")
        assert answer.headers["connection"] == "close"
    assert (await ask(app, "CreateActivity", {"name": "a"})).status == 200


async def test_a_megabyte_is_what_aws_takes():
    headers_and_more = 300
    body = b'{"name":"a"}' + b" " * (1_048_576 - headers_and_more)
    assert (await ask(api(CREATE), "CreateActivity", body)).status == 200
    assert (await ask(api(CREATE), "CreateActivity", body + b" " * headers_and_more)).status == 413


# ── who asks ────────────────────────────────────────────────────────────────────────────────────────────────────────


def with_keys(*keys: AccessKey) -> Access:
    return Access(keys={key.id: key for key in keys}, now=time.time)


async def test_an_open_server_takes_everybody_and_believes_an_account():
    app = api(CREATE)
    header = {"authorization": "AWS4-HMAC-SHA256 Credential=123456789012/20260101/x/states/aws4_request, Signature=x"}
    assert (await ask(app, "CreateActivity", {"name": "a"}, headers=header)).body["activityArn"] == "123456789012:a"


async def test_an_open_server_is_not_for_web_pages():
    answer = await ask(api(CREATE), "CreateActivity", {"name": "a"}, headers={"origin": "https://evil.example"})
    assert (answer.status, answer.code) == (403, "AccessDeniedException")


NAMES = {
    **dict.fromkeys(("localhost", "localhost:8083", "127.0.0.1:8083", "[::1]:8083", "192.168.1.2"), True),
    **dict.fromkeys(("sync-localhost:8083", "sync-127.0.0.1:8083", "sync-foo.localdomain", "LOCALHOST."), True),
    **dict.fromkeys(("orders.localhost:1", "host.docker.internal:8083", "server:8083", "mac.local"), True),
    **dict.fromkeys(("evil.example", "evil.example:8083", "127.0.0.1.evil.example", "localhost.evil.example"), False),
    **dict.fromkeys(
        ("evil.example.", "sync-evil.example", "", "a b", "localhost,evil.example", "2130706433.evil"), False
    ),
}


@pytest.mark.parametrize(("host", "is_taken"), NAMES.items())
async def test_a_web_page_whose_name_leads_to_this_machine_is_refused(host, is_taken):
    app = api(CREATE, access=Access(now=time.time, local_names_only=True))
    answer = await ask(app, "CreateActivity", {"name": "a"}, headers={"host": host})
    assert answer.status == (200 if is_taken else 403)
    if not is_taken:
        assert answer.code == "AccessDeniedException"
        assert "--insecure-no-auth" in answer.body["message"]


async def test_a_server_that_knows_its_callers_is_asked_under_any_name():
    app = api(CREATE, access=Access(keys={KEY.id: KEY}, now=time.time, local_names_only=True))
    headers = signed(url="http://orders.example/", body=b"{}", **{"X-Amz-Target": "AWSStepFunctions.CreateActivity"})
    assert (await ask(app, None, b"{}", headers=headers)).code == "ValidationException"  # its name is missing


async def test_signed_requests_are_taken_and_others_are_not():
    app = api(CREATE, access=with_keys(KEY, AccessKey(name="b", id="AKIAB", secret="b", account_id="210987654321")))
    body = b'{"name":"a"}'
    headers = signed(body=body, **{"X-Amz-Target": "AWSStepFunctions.CreateActivity"})
    assert (await ask(app, None, body, headers=headers)).body["activityArn"] == "000000000000:a"
    other = AccessKey(name="b", id="AKIAB", secret="b")
    headers = signed(other, body=body, **{"X-Amz-Target": "AWSStepFunctions.CreateActivity"})
    assert (await ask(app, None, body, headers=headers)).body["activityArn"] == "210987654321:a"
    for given, code in [
        ({}, "MissingAuthenticationTokenException"),
        ({"authorization": "Basic eA=="}, "IncompleteSignatureException"),
        ({"authorization": "Bearer x"}, "IncompleteSignatureException"),
    ]:
        answer = await ask(app, "CreateActivity", body, headers=given)
        assert (answer.status, answer.code) == (400, code)
    answer = await ask(app, None, body + b" ", headers=headers)
    assert answer.code == "InvalidSignatureException"


async def test_whoever_is_not_known_learns_nothing_about_their_request():
    answer = await ask(api(CREATE, access=with_keys(KEY)), "CreateActivity", b"not json")
    assert answer.code == "MissingAuthenticationTokenException"


async def test_bearers_may_do_what_their_scopes_allow():
    app = api(CREATE, access=Access(bearers=World(RSA).bearers(), now=time.time))
    for scope, status in [("states:Create*", 200), ("states:Describe*", 403)]:
        answer = await ask(
            app, "CreateActivity", {"name": "a"}, headers={"authorization": f"Bearer {token(scope=scope)}"}
        )
        assert answer.status == status
    assert answer.code == "AccessDeniedException"
    assert answer.body["message"].startswith("User: ada is not authorized to perform: states:CreateActivity")
    assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope"'
    answer = await ask(app, "CreateActivity", {"name": "a"}, headers={"authorization": "bearer x.y.z"})
    assert (answer.status, answer.code) == (401, "UnrecognizedClientException")
    answer = await ask(app, "CreateActivity", {"name": "a"}, headers=signed(body=b'{"name": "a"}'))
    assert answer.code == "IncompleteSignatureException"
    assert "Bearer" in answer.body["message"]


async def test_whoever_asks_too_often_is_throttled_as_by_aws():
    app = api(CREATE, throttle=Throttle({"CreateActivity": Rate(2, 1)}, lambda: 0.0))
    answers = [await ask(app, "CreateActivity", {"name": "a"}) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 400]
    assert answers[-1].body == {"__type": "com.amazon.coral.service#ThrottlingException", "message": "Rate exceeded"}


# ── long polls ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Polls:
    """GetActivityTask that waits for ever."""

    def __init__(self, found: dict[str, Any] | None = None) -> None:
        self.waits, self.was_cancelled = anyio.Event(), False
        self.found = found

    async def __call__(self, _service: Any, **_: Any) -> dict[str, Any] | None:
        self.waits.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            self.was_cancelled = True
            if self.found is None:
                raise
        return self.found


async def test_a_long_poll_ends_when_its_client_goes_away():
    polls = Polls()
    async with asked(api(("GetActivityTask", polls)), "GetActivityTask", {"activityArn": "a"}) as request:
        await polls.waits.wait()
        request.gone.set()
    assert polls.was_cancelled


async def test_a_long_poll_ends_with_nothing_when_the_server_stops():
    polls = Polls()
    app = api(("GetActivityTask", polls))
    async with asked(app, "GetActivityTask", {"activityArn": "a"}) as request:
        await polls.waits.wait()
        app.stop_waiting()
    assert (request.answer.status, request.answer.body) == (200, {})
    async with asked(app, "GetActivityTask", {"activityArn": "a"}) as request:
        pass
    assert request.answer.body == {}


async def test_a_task_that_was_taken_at_the_last_moment_is_still_given():
    polls = Polls({"task_token": "t", "input": "{}"})
    app = api(("GetActivityTask", polls))
    async with asked(app, "GetActivityTask", {"activityArn": "a"}) as request:
        await polls.waits.wait()
        app.stop_waiting()
    assert request.answer.body == {"taskToken": "t", "input": "{}"}


async def test_a_long_poll_that_is_refused_answers_with_its_error():
    async def poll(_service: Any, **_: Any) -> None:
        raise ActivityDoesNotExist("arn:a")

    answer = await ask(api(("GetActivityTask", poll)), "GetActivityTask", {"activityArn": "a"})
    assert (answer.status, answer.code) == (400, "ActivityDoesNotExist")


async def test_other_requests_go_on_when_their_client_goes_away():
    done = anyio.Event()

    async def create(_service: Any, **_: Any) -> dict[str, Any]:
        await anyio.sleep(0.01)
        done.set()
        return {"activity_arn": "a", "creation_date": MOMENT}

    async with asked(api(("CreateActivity", create)), "CreateActivity", {"name": "a"}) as request:
        request.gone.set()
    assert done.is_set()


# ── counting ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_requests_are_counted_by_operation_status_and_error():
    app = api(CREATE)
    await ask(app, "CreateActivity", {"name": "a"})
    await ask(app, "CreateActivity", {"name": ""})
    await ask(app, "Made up by a client", {})
    assert app.counts.answered == {
        ("CreateActivity", 200, ""): 1,
        ("CreateActivity", 400, "ValidationException"): 1,
        ("unknown", 400, "UnknownOperationException"): 1,
    }
    assert app.counts.in_flight == 0
