"""Changes of status reach webhooks, buses of EventBridge, channels of PostgreSQL and functions."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import engine
from engine.events.chronicle import chronicle_of
from engine.events.event_sinks import EventBridgeSink, WebhookSink, _notice
from engine.store.memory import MemoryStore
from tests.definitions import machine
from tests.events.engines import posted

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

PASS = {"Type": "Pass"}
STORE = MemoryStore()


def event(number: int = 1, **detail: Any) -> bytes:
    given = {
        "version": "0", "id": str(number), "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states", "account": "123456789012", "time": "2024-01-02T03:04:05Z", "region": "us-east-1",
        "resources": ["arn:aws:states:us-east-1:123456789012:execution:orders:first"],
        "detail": {"status": "RUNNING", "name": str(number), "output": None, "error": None, "cause": None, **detail},
    }  # fmt: skip
    return json.dumps(given).encode()


async def run(events: Any) -> None:
    async with engine.Engine.in_memory(events=events) as one:
        orders = await one.create_state_machine(machine(PASS), "orders")
        await (await one.start_execution(orders, name="first")).result()


# ── webhooks ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_webhook_gets_each_change():
    with posted() as server:
        await run(server.url)
    assert server.told() == [("first", "RUNNING"), ("first", "SUCCEEDED")]
    assert {one["source"] for one in server.events} == {"aws.states"}


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(204, "TAKEN"), (500, "AGAIN"), (503, "AGAIN"), (429, "AGAIN"), (404, "NEVER"), (302, "NEVER")],
)
def test_what_a_webhook_answers_says_whether_it_gets_the_event_again(status: int, outcome: str):
    with posted() as server:
        server.statuses = [status]
        assert [found for found, _ in WebhookSink(server.url).send([event()], STORE)] == [outcome]


def test_a_webhook_that_does_not_answer_gets_the_event_again():
    with posted() as server:
        url = server.url
    assert [found for found, _ in WebhookSink(url).send([event()], STORE)] == ["AGAIN"]


async def test_a_webhook_that_is_away_for_a_moment_gets_the_event_when_it_is_back():
    with posted() as server:
        sink = WebhookSink(server.url)
        server.statuses = [503]
        assert [found for found, _ in sink.send([event(1)], STORE)] == ["AGAIN"]
        assert [found for found, _ in sink.send([event(1), event(2)], STORE)] == ["TAKEN", "TAKEN"]
    assert [one["id"] for one in sorted(server.events, key=lambda one: one["id"])] == ["1", "2"]


def test_what_may_be_a_secret_is_not_in_the_name_of_a_webhook():
    assert WebhookSink("https://example.com:8443/hook/s3cret?token=s3cret").name == "https://example.com:8443"


ENDING = """
import socket, sys, threading
from engine.events.event_sinks import WebhookSink
with socket.create_server(("127.0.0.1", 0)) as silent:
    sink = WebhookSink(f"http://127.0.0.1:{silent.getsockname()[1]}/")
    threading.Thread(target=sink.send, args=([b"{}"] * 50, None), daemon=True).start()
    silent.accept()
    print("ends")
"""


def test_a_webhook_that_never_answers_does_not_keep_a_process_from_ending():
    """To be given up by each of the 50 events in turn would take it 70 seconds."""
    ended = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "ends\n"


@pytest.mark.parametrize("error", [ValueError("no such name"), MemoryError()])
def test_what_goes_wrong_with_one_event_is_tried_again_and_the_others_are_sent(monkeypatch: pytest.MonkeyPatch, error):
    with posted() as server:
        sink = WebhookSink(server.url)
        post = sink._opener.open

        def failing(request: Any, **given: Any) -> Any:
            if json.loads(request.data)["id"] == "2":
                raise error
            return post(request, **given)

        monkeypatch.setattr(sink._opener, "open", failing)
        outcomes = sink.send([event(1), event(2), event(3)], STORE)
    assert [found for found, _ in outcomes] == ["TAKEN", "AGAIN", "TAKEN"]


# ── EventBridge ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def archived(aws: Any) -> Iterator[Any]:
    """How many events the bus `orders` has taken: an archive of it counts them."""
    client = aws("events")
    bus = client.create_event_bus(Name="orders")["EventBusArn"]
    client.create_archive(ArchiveName="all", EventSourceArn=bus)
    yield lambda: client.describe_archive(ArchiveName="all")["EventCount"]
    client.delete_archive(ArchiveName="all")
    client.delete_event_bus(Name="orders")
    client.close()


async def test_a_bus_gets_each_change(archived: Any):
    await run("eventbridge:orders")
    assert archived() == 2


def test_a_bus_gets_many_events_in_several_calls(archived: Any):
    sink = EventBridgeSink("orders")
    outcomes = sink.send([event(number) for number in range(23)], STORE)
    sink.close()
    assert [outcome for outcome, _ in outcomes] == ["TAKEN"] * 23
    assert archived() == 23


def test_an_entry_keeps_what_the_event_says_and_has_a_source_of_our_own(aws: Any):
    entries: list[Any] = []

    class Client:
        def put_events(self, **given: Any) -> Any:
            entries.extend(given["Entries"])
            failed = {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"}
            return {"FailedEntryCount": 1, "Entries": [{"EventId": "1"}, failed]}

    sink = EventBridgeSink("orders")
    sink._made = Client()
    assert [outcome for outcome, _ in sink.send([event(1), event(2)], STORE)] == ["TAKEN", "AGAIN"]
    assert entries[0]["Source"] == "asl.states", "AWS keeps sources of its own to itself"
    assert entries[0]["DetailType"] == "Step Functions Execution Status Change"
    assert json.loads(entries[0]["Detail"])["name"] == "1"
    assert entries[0]["Resources"] == ["arn:aws:states:us-east-1:123456789012:execution:orders:first"]


def test_a_bus_that_cannot_be_reached_gets_the_events_again(aws: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    sink = EventBridgeSink("orders")
    assert [outcome for outcome, _ in sink.send([event()], STORE)] == ["AGAIN"]
    sink.close()


# ── NOTIFY ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_of_an_event_too_long_for_notify_the_payloads_are_left_out():
    long = json.loads(_notice(event(input="x" * 9_000, inputDetails={"included": True})))["detail"]
    assert (long["input"], long["inputDetails"]) == (None, {"included": False})
    longer = json.loads(_notice(event(input="{}", inputDetails={"included": True}, error="E", cause="x" * 9_000)))
    assert (longer["detail"]["error"], longer["detail"]["cause"]) == (None, None)
    assert _notice(event()) == event().decode()


async def test_executions_in_memory_have_no_channel_to_notify():
    with pytest.raises(ValueError, match="executions in memory have no database"):
        async with engine.Engine.in_memory(events="notify:orders"):
            pass


# ── what is asked for ───────────────────────────────────────────────────────────────────────────────────────────────


async def coroutine(event: Any) -> None:
    raise NotImplementedError


@pytest.mark.parametrize(
    "target",
    [
        "", "ftp://example.com", "http://", "https://me:secret@example.com/", "eventbridge:", "eventbridge:b?sauce=x",
        "notify:", f"notify:{'x' * 64}", "notify:a b", 7, coroutine,
    ],
)  # fmt: skip
def test_a_target_that_means_nothing_is_refused_with_what_was_expected(target: Any):
    with pytest.raises(ValueError, match=r"^events: .*expected") as refused:
        chronicle_of([target], None, None)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("target", ["", "file:", "log:x", "cloudwatch:x", "syslog"])
def test_logs_that_mean_nothing_are_refused(target: str):
    with pytest.raises(ValueError, match=r"^logs: expected file:PATH, cloudwatch or log, got"):
        chronicle_of(None, target, None)


def test_who_asks_for_nothing_gets_nothing():
    assert chronicle_of(None, None, None) is None
    assert chronicle_of([], None, None) is None
