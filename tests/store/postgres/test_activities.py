"""Activities through engines on PostgreSQL: what a worker leaves behind, and what a poll asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg

from engine import blocking
from engine.interpreter.messages import TaskDone, TaskStarted
from engine.store.postgres.activities import _TAKE
from tests.definitions import machine
from tests.store.activity_suite import ACTIVITY, offered
from tests.store.postgres.workers import enlisted
from tests.store.runs import TASK
from tests.waiting import wait_until

if TYPE_CHECKING:
    from engine.store.postgres.store import PostgresStore

Database = psycopg.Connection[Any]


def test_a_task_waits_for_its_worker_while_every_process_comes_and_goes(url: str, database: Database):
    parked = "select 1 from asl.open_execution where owner is null and seq > 0"
    with blocking.Engine(url) as client:
        paint = client.create_activity("paint")
        client.deploy(machine({"Type": "Task", "Resource": paint, "HeartbeatSeconds": 1_000}), "m")
        with blocking.Engine(url, handlers={}) as first:
            execution = first.start_execution("m", {"colour": "red"})
            wait_until(lambda: database.execute("select 1 from asl.task_token where offer is not null").fetchall())
            wait_until(lambda: database.execute(parked).fetchall())
    with blocking.Engine(url) as painter:
        work = painter.get_activity_task(paint, "painter", wait_seconds=0)
        assert work is not None
        assert work.input == {"colour": "red"}
    with blocking.Engine(url) as painter:
        painter.send_task_success(work.task_token, "painted")
        with blocking.Engine(url, handlers={}):
            again = painter.execution(execution.arn)
            assert again.result() == "painted"
        types = [event["type"] for event in again.history()]
        assert types[2:5] == ["ActivityScheduled", "ActivityStarted", "ActivitySucceeded"]


def test_a_poll_is_answered_by_a_hint_and_an_answer_in_the_same_moment_comes_after_the_start(url: str):
    with blocking.Engine(url) as painter, blocking.Engine(url, handlers={}) as worker:
        paint = painter.create_activity("paint")
        worker.deploy(
            machine({"Type": "Map", "ItemProcessor": machine({"Type": "Task", "Resource": paint, "Name": "Paint"})}),
            "m",
        )
        execution = worker.start_execution("m", list(range(30)))
        for _ in range(30):
            work = painter.get_activity_task(paint, wait_seconds=20)
            assert work is not None
            painter.send_task_success(work.task_token, work.input)
        assert execution.result() == list(range(30))
        types = [event["type"] for event in execution.history()]
        assert types.count("ActivityStarted") == types.count("ActivitySucceeded") == 30


def test_activities_are_listed_described_and_deleted(url: str):
    with blocking.Engine(url) as client, blocking.Engine(url, region="eu-west-1") as elsewhere:
        elsewhere.create_activity("a")
        arns = [client.create_activity(name) for name in ("b", "a", "a")]
        assert [one.name for one in client.list_activities()] == ["a", "b"]
        described = client.describe_activity(arns[0])
        assert (described.activity_arn, described.name) == (arns[0], "b")
        assert described == client.list_activities()[1]
        client.delete_activity(arns[0])
        assert [one.activity_arn for one in client.list_activities()] == arns[1:2]


def test_the_oldest_of_many_offers_is_found_by_an_index(url: str, database: Database):
    key = uuid4()
    database.execute(
        "insert into asl.task_token (digest, execution_id, fork, place, number, activity_id, offered_at, offer) "
        "select sha256(n::text::bytea), gen_random_uuid(), 0, 0, 1, %s, n, '' from generate_series(1, 20000) n",
        (key,),
    )
    database.execute("analyze asl.task_token")
    given = (key, uuid4(), b"")
    rows = psycopg.RawCursor(database).execute(f"explain {_TAKE}", given).fetchall()
    plan = "\n".join(row[0] for row in rows)
    assert "Index Scan using task_token_offered" in plan
    assert "Sort" not in plan


def test_who_takes_a_task_slowly_holds_up_nobody_else(url: str, store: PostgresStore, database: Database):
    offered(store, enlisted(store), "first", "second")
    with psycopg.connect(url) as slow:
        slow.execute("select 1 from asl.task_token order by offered_at, number limit 1 for update")
        taken = store.handle().take_task(ACTIVITY, None)
        assert taken is not None
        assert taken.task_token == "second"
        assert store.handle().take_task(ACTIVITY, None) is None
    assert store.handle().take_task(ACTIVITY, None) is not None


def test_an_answer_comes_after_the_start_whatever_the_clock_says(store: PostgresStore, database: Database):
    worker = enlisted(store)
    run = offered(store, worker, "t")
    store.handle().take_task(ACTIVITY, None)
    database.execute("update asl.mail set sent_at = sent_at + 60000")
    database.execute("update asl.task_token set taken_at = taken_at + 60000")
    store.handle().take_token("t", TaskDone(TASK, 1, 1))
    assert [type(mail.event) for mail in worker.fetch_mail([run.id])] == [TaskStarted, TaskDone]
