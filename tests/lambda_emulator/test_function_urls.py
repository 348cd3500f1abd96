"""HTTP through function URLs, by path and by host name."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from engine.http.access import Access
from engine.http.sigv4 import AccessKey
from engine.lambda_emulator.invocation import Outcome
from engine.lambda_emulator.limits import Limits
from engine.lambda_emulator.url_payloads import INTEGRATION_RESPONSE
from tests.lambda_emulator.control_plane import ROLE, new_emulator
from tests.lambda_emulator.doubles import PlayedRunner, WoundClock, failure
from tests.lambda_emulator.packages import zipped
from tests.lambda_emulator.serving import REGION, Server, serving
from tests.waiting import DEADLINE_SECONDS

KEY = AccessKey(name="k", id="AKIDEXAMPLE", secret="s3cret")


class World:
    def __init__(self, server: Server, runner: PlayedRunner) -> None:
        self.server, self.runner = server, runner
        self.client = server.client(key=KEY.id, secret=KEY.secret)
        self.client.create_function(
            FunctionName="f", Role=ROLE, Runtime="python3.12", Handler="app.f", Code={"ZipFile": zipped()}
        )

    def make(self, **given: Any) -> str:
        return self.client.create_function_url_config(FunctionName="f", **{"AuthType": "NONE", **given})["FunctionUrl"]

    def ask(
        self, url: str, path: str = "/", method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """As curl does, which finds `.localhost` on this machine by itself."""
        server = urlsplit(self.server.url)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_SECONDS)
        given = {"Host": urlsplit(url).netloc, **{name.replace("_", "-"): text for name, text in headers.items()}}
        connection.request(method, path, body=body, headers=given)
        answer = connection.getresponse()
        found = answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read()
        connection.close()
        return found


@pytest.fixture(scope="module")
def module_world(tmp_path_factory):
    runner = PlayedRunner()

    def make(url: str) -> Any:
        return new_emulator(
            tmp_path_factory.mktemp("code"), url=url, environments=runner, clock=WoundClock(),
            limits=Limits(unreserved_min=1),
        )  # fmt: skip

    access = Access(keys={KEY.id: KEY}, now=time.time, service="lambda")
    with serving(make, access=access) as server:
        yield World(server, runner)


@pytest.fixture
def world(module_world):
    module_world.runner.play = lambda _version, document: document
    module_world.runner.asked.clear()
    module_world.runner.content_type = "text/plain"
    yield module_world
    for config in module_world.client.list_function_url_configs(FunctionName="f")["FunctionUrlConfigs"]:
        assert config["FunctionArn"].endswith(":f")
        module_world.client.delete_function_url_config(FunctionName="f")


def test_a_request_is_an_event_and_a_return_value_is_an_answer(world):
    url = world.make()
    status, headers, body = world.ask(url, "/a/b?c=d", "POST", b'{"x": 1}', Content_Type="application/json", X_Own="y")
    event = json.loads(body)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert (event["rawPath"], event["rawQueryString"], event["body"]) == ("/a/b", "c=d", '{"x": 1}')
    assert event["headers"]["x-own"] == "y"
    assert event["requestContext"]["http"]["method"] == "POST"
    assert event["requestContext"]["http"]["sourceIp"] == "127.0.0.1"
    assert event["requestContext"]["requestId"] == headers["x-amzn-requestid"]


def test_the_path_leads_there_as_well(world):
    url_id = urlsplit(world.make()).netloc.partition(".")[0]
    status, _, body = world.ask(world.server.url, f"/lambda-url/{url_id}/deep?q=1")
    assert (status, json.loads(body)["rawPath"]) == (200, "/deep")
    assert json.loads(world.ask(world.server.url, f"/lambda-url/{url_id}")[2])["rawPath"] == "/"


def test_status_headers_and_cookies_are_the_functions(world):
    world.runner.play = lambda *_: {
        "statusCode": 418, "headers": {"x-tea": "pot"}, "cookies": ["a=b"], "body": "short",
    }  # fmt: skip
    status, headers, body = world.ask(world.make())
    assert (status, headers["x-tea"], headers["set-cookie"], body) == (418, "pot", "a=b", b"short")


@pytest.mark.parametrize("status", [204, 304])
def test_a_body_where_http_has_none_does_not_reach_the_next_response(world, status):
    url = world.make()
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(world.server.url).port, timeout=DEADLINE_SECONDS)
    for given in (status, 200):
        world.runner.play = lambda *_, given=given: {"statusCode": given, "body": "body"}
        connection.request("GET", "/", headers={"Host": urlsplit(url).netloc})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (given, b"body" if given == 200 else b"")
        assert answer.getheader("Content-Length") == ("4" if given == 200 else None)
    connection.close()


def test_a_failure_is_a_bad_gateway(world):
    world.runner.play = lambda *_: failure()
    assert world.ask(world.make())[::2] == (502, b"Internal Server Error")


def test_what_is_throttled_is_told(world):
    world.client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    try:
        status, _, body = world.ask(world.make())
    finally:
        world.client.delete_function_concurrency(FunctionName="f")
    assert (status, json.loads(body)) == (429, {"Message": "Rate Exceeded."})


def test_a_url_that_is_none_is_not_found(world):
    assert world.ask(f"http://nobody.lambda-url.{REGION}.localhost/")[0] == 404


def test_a_url_of_iam_asks_who_it_is(world):
    url = world.make(AuthType="AWS_IAM")
    assert world.ask(url)[::2] == (403, b'{"Message":"Forbidden"}')
    request = AWSRequest("GET", url)
    SigV4Auth(Credentials(KEY.id, KEY.secret), "lambda", REGION).add_auth(request)
    signed = dict(request.headers)
    status, _, body = world.ask(url, **{name.replace("-", "_"): text for name, text in signed.items()})
    assert (status, json.loads(body)["requestContext"]["authorizer"]["iam"]["accessKey"]) == (200, KEY.id)
    signed["Authorization"] = signed["Authorization"][:-4] + "0000"
    assert world.ask(url, **{name.replace("-", "_"): text for name, text in signed.items()})[0] == 403


def test_a_browser_is_told_what_it_may(world):
    url = world.make(Cors={"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"]})
    status, headers, body = world.ask(
        url, "/", "OPTIONS", Origin="https://a.example", Access_Control_Request_Method="GET"
    )
    assert (status, headers["access-control-allow-origin"], body) == (200, "https://a.example", b"")
    assert world.runner.asked == []
    assert world.ask(url, Origin="https://a.example")[1]["access-control-allow-origin"] == "https://a.example"
    assert "access-control-allow-origin" not in world.ask(url, Origin="https://b.example")[1]


def test_a_streamed_response_has_its_head_before_its_parts(world):
    prelude = b'{"statusCode": 201, "headers": {"x-a": "b"}}' + bytes(8)
    world.runner.play = lambda *_: [prelude[:10], prelude[10:] + b"one", b"two"]
    world.runner.content_type = INTEGRATION_RESPONSE
    status, headers, body = world.ask(world.make(InvokeMode="RESPONSE_STREAM"))
    assert (status, headers["x-a"], body) == (201, "b", b"onetwo")


def test_a_streamed_response_of_a_status_without_a_body_has_none(world):
    world.runner.content_type = INTEGRATION_RESPONSE
    world.runner.play = lambda *_: [b'{"statusCode": 204}' + bytes(8), b"one", b"two"]
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(world.server.url).port, timeout=DEADLINE_SECONDS)
    url = world.make(InvokeMode="RESPONSE_STREAM")
    for _ in range(2):
        connection.request("GET", "/", headers={"Host": urlsplit(url).netloc})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (204, b"")
    connection.close()


def test_a_streamed_response_without_a_head_and_one_that_is_not_streamed(world):
    url = world.make(InvokeMode="RESPONSE_STREAM")
    world.runner.play = lambda *_: [b"one", b"two"]
    assert world.ask(url)[::2] == (200, b"onetwo")
    world.runner.play = lambda *_: {"statusCode": 404}
    assert world.ask(url)[0] == 404
    world.runner.play = lambda *_: failure()
    assert world.ask(url)[0] == 502


def test_a_streaming_function_behind_a_buffered_url_is_understood(world):
    text = b'{"statusCode": 203}' + bytes(8) + b"body"
    world.runner.play = lambda *_: Outcome(payload=text, content_type=INTEGRATION_RESPONSE, streamed=True)
    assert world.ask(world.make())[::2] == (203, b"body")
