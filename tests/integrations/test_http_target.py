"""`http://host/path`: an endpoint of one's own does a Task."""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from engine import Engine, ExecutionFailed, Handlers, InvalidHandler
from tests.certificates import write_certificate
from tests.definitions import invoke, machine, task
from tests.http_server import Asked, Reply, http_server
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


async def run(url: str, definition: dict[str, Any], given: Any = None, **options: Any) -> Any:
    rules = Handlers()
    rules.add("*", url, **options)
    async with Engine.in_memory(rules) as engine:
        return await engine.run(definition, given)


async def failure(url: str, **options: Any) -> tuple[str | None, str | None]:
    with pytest.raises(ExecutionFailed) as caught:
        await run(url, machine(task()), **options)
    return caught.value.error, caught.value.cause


async def test_an_endpoint_gets_the_event_and_answers_with_the_result() -> None:
    async with http_server(Reply.of({"paid": 12})) as server:
        definition = machine(task(Name="Bücher kaufen"))
        assert await run(f"{server.url}/charge?a=b", definition, {"amount": 12}) == {"paid": 12}
    [asked] = server.asked
    assert (asked.method, asked.path, json.loads(asked.body)) == ("POST", "/charge?a=b", {"amount": 12})
    assert asked.header("content-type") == "application/json"
    assert asked.header("asl-state-name") == "B%C3%BCcher kaufen"
    assert str(asked.header("asl-execution-arn")).startswith("arn:aws:states:")
    assert asked.header("asl-attempt") == "0"
    assert len(str(asked.header("idempotency-key"))) == 36
    assert asked.header("asl-task-token") is None


async def test_lambda_invoke_sends_the_payload_and_gets_its_envelope() -> None:
    async with http_server(Reply.of([1, 2])) as server:
        output = await run(server.url, machine(invoke()), {"x": 1})
    assert (output["Payload"], output["StatusCode"]) == ([1, 2], 200)
    assert json.loads(server.asked[0].body) == {"x": 1}


async def test_no_body_is_null() -> None:
    async with http_server(Reply(status=204, reason="No Content")) as server:
        assert await run(server.url, machine(task())) is None


@pytest.mark.parametrize(
    ("reply", "error", "cause"),
    [
        (Reply.of({"error": "Busy", "cause": "later"}, 503), "Busy", "later"),
        (Reply.of({"error": "Busy"}, 400), "Busy", None),
        (Reply.of({"message": "no"}, 404), "Endpoint.StatusCode.404", '{"message": "no"}'),
        (Reply(b"", 500, reason="Oh No"), "Endpoint.StatusCode.500", "Oh No"),
        (Reply(b"", 302, [("Location", "/elsewhere")], "Found"), "Endpoint.StatusCode.302", "Found"),
    ],
)
async def test_another_status_fails_the_task(reply: Reply, error: str, cause: str | None) -> None:
    async with http_server(reply) as server:
        assert await failure(server.url) == (error, cause)
    assert len(server.asked) == 1


async def test_an_answer_that_is_not_json_fails_the_task() -> None:
    async with http_server(Reply.text("<html>")) as server:
        error, cause = await failure(server.url)
    assert error == "Endpoint.InvalidOutput"
    assert str(cause).startswith(f"the answer of {server.url} is not JSON")


async def test_an_answer_without_end_fails_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.integrations.aws.RESPONSE_BYTES_MAX", 10)
    async with http_server(Reply.of("x" * 20)) as server:
        assert (await failure(server.url))[0] == "Endpoint.OutputTooLarge"


async def test_an_endpoint_that_hangs_up_or_is_not_there_fails_the_task() -> None:
    async with http_server(Reply(status=None)) as server:
        assert (await failure(server.url))[0] == "Endpoint.NotReached"
    assert (await failure(server.url))[0] == "Endpoint.NotReached"


async def test_an_endpoint_that_takes_too_long_is_hung_up_on() -> None:
    async def never(_asked: Asked) -> Reply:
        await anyio.sleep_forever()
        raise AssertionError

    async with http_server(never) as server:
        error, cause = await failure(server.url, timeout_seconds=0.05)
        assert error == "Sandbox.Timedout"
        assert "Task timed out after 0.05 seconds" in str(cause)


async def test_certificates_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    async with http_server(Reply.of(1), tls=tls) as server:
        error, cause = await failure(server.url)
        assert error == "Endpoint.NotReached"
        assert "CERTIFICATE_VERIFY_FAILED" in str(cause)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert await run(server.url, machine(task())) == 1


async def test_a_callback_is_ended_by_its_token_alone() -> None:
    async with http_server(Reply.of("taken down")) as server, Engine.in_memory({"*": server.url}) as engine:
        execution = await engine.start_execution(machine(invoke(suffix=".waitForTaskToken")))
        await until(lambda: server.asked)
        token = str(server.asked[0].header("asl-task-token"))
        assert json.loads(server.asked[0].body) == {"token": token}
        await engine.send_task_success(token, {"ok": True})
        assert await execution.result() == {"ok": True}


@pytest.mark.parametrize(
    "url", ["http:", "http://", "http://:80/", "https://me:secret@host/", "http://h/#part", "http://h/ä", "http://h:x/"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidHandler) as caught:
        Handlers({"*": url})
    assert "secret" not in str(caught.value)
