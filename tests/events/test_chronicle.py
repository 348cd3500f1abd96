"""What happens to executions in a database is told: by workers that come and go, to all that were asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

import engine
from engine.observability.prometheus import EngineCollector, exposition
from tests.definitions import machine, task
from tests.events.engines import deployed, logging_to, posted
from tests.store.conftest import cluster, database, url, url_with_tables
from tests.waiting import DEADLINE_SECONDS, until

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["cluster", "database", "url", "url_with_tables"]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

PASS = {"Type": "Pass"}
ECHO = {"work": "mock:1"}


async def test_changes_are_told_and_logged_of_executions_in_a_database(url: str, tmp_path: Path):
    log = tmp_path / "log"
    async with engine.Engine(url) as client:
        arn = await deployed(client, machine(task(), PASS), logging_to(level="ALL"))
    with posted() as server:
        async with engine.Engine(url, handlers=ECHO, events=server.url, logs=f"file:{log}") as one:
            assert await one.run(arn, {}, name="first") == 1
            await until(lambda: one.metrics().told["status change", "delivered"] == 2)
            metrics = exposition(EngineCollector(one.metrics)).decode()
    assert server.told() == [("first", "RUNNING"), ("first", "SUCCEEDED")]
    types = [json.loads(line)["type"] for line in log.read_text().splitlines()]
    assert (types[0], types[-1], len(types)) == ("ExecutionStarted", "ExecutionSucceeded", 9)
    assert 'asl_told_total{kind="status change",outcome="delivered"} 2.0' in metrics


async def test_of_an_express_execution_in_a_database_each_step_is_logged_once(url: str, tmp_path: Path):
    log = tmp_path / "log"
    async with engine.Engine(url) as client:
        arn = await deployed(client, machine(task(), task(), PASS), logging_to(), type="EXPRESS")
    async with engine.Engine(url, handlers=ECHO, logs=f"file:{log}") as one:
        assert await one.run(arn, {}) == 1
    ids = [int(json.loads(line)["id"]) for line in log.read_text().splitlines()]
    assert ids == list(range(1, 15))


async def test_a_synchronous_execution_is_logged_and_no_change_of_it_told(url: str, tmp_path: Path):
    log = tmp_path / "log"
    told: list[dict[str, Any]] = []
    async with engine.Engine(url) as client:
        arn = await deployed(client, machine(task(), PASS), logging_to(level="ALL"), type="EXPRESS")
    async with engine.Engine(url, handlers=ECHO, logs=f"file:{log}", events=told.append) as one:
        assert (await one.start_sync_execution(arn, {})).status == "SUCCEEDED"
    types = [json.loads(line)["type"] for line in log.read_text().splitlines()]
    assert (types[0], types[-1], len(types)) == ("ExecutionStarted", "ExecutionSucceeded", 9)
    assert told == []


async def test_without_receivers_nothing_is_kept_to_be_told(url: str, database: psycopg.Connection[Any]):
    async with engine.Engine(url, handlers=ECHO) as one:
        await one.run(machine(task()), {})
    assert database.execute("select count(*) from asl.status_change").fetchone() == (0,)


async def test_what_one_worker_could_not_tell_another_one_tells(url: str, database: psycopg.Connection[Any]):
    def away(_: Any) -> None:
        raise OSError("away")

    async with engine.Engine(url, handlers=ECHO, events=away) as one:
        await one.run(machine(task()), {})
    assert database.execute("select count(*) from asl.status_change").fetchone() == (2,)
    database.execute("update asl.status_change set due_at = 0")
    told: list[dict[str, Any]] = []
    async with engine.Engine(url, handlers=ECHO, events=told.append):
        await until(lambda: len(told) == 2)
    assert [event["detail"]["status"] for event in told] == ["RUNNING", "SUCCEEDED"]
    assert database.execute("select count(*) from asl.status_change").fetchone() == (0,)


async def test_a_start_that_another_process_made_is_told_by_the_worker_that_takes_it(url: str):
    told: list[dict[str, Any]] = []
    async with engine.Engine(url) as client:
        await client.deploy(machine(task()), "orders")
        execution = await client.start_execution("orders", {}, name="theirs")
        async with engine.Engine(url, handlers=ECHO, events=told.append):
            await execution.result()
            await until(lambda: len(told) == 2)
    assert [(event["detail"]["name"], event["detail"]["status"]) for event in told] == [
        ("theirs", "RUNNING"), ("theirs", "SUCCEEDED"),
    ]  # fmt: skip


async def test_listeners_on_a_channel_are_notified(url: str):
    with psycopg.connect(url, autocommit=True) as listener:
        listener.execute("listen orders")
        async with engine.Engine(url, handlers=ECHO, events="notify:orders") as one:
            await one.run(machine(task()), {"x": "y" * 20_000})
        notices = list(listener.notifies(timeout=DEADLINE_SECONDS, stop_after=2))
    details = [json.loads(notice.payload)["detail"] for notice in notices]
    assert [detail["status"] for detail in details] == ["RUNNING", "SUCCEEDED"]
    assert (details[0]["input"], details[0]["inputDetails"]) == (None, {"included": False})


async def test_an_engine_that_is_entered_again_tells_again():
    told: list[dict[str, Any]] = []
    one = engine.Engine.in_memory(events=told.append)
    for _ in range(2):
        async with one:
            await one.run(machine(PASS), {})
    assert [event["detail"]["status"] for event in told] == ["RUNNING", "SUCCEEDED"] * 2
