"""What every store promises about activities. A backend's test module gives a `store` fixture and subclasses
`ActivitySuite`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import ActivityAlreadyExists, ActivityDoesNotExist
from engine.interpreter.messages import TaskDone, TaskStarted
from engine.store.protocol import NEVER_DUE, DurableStore, Group, Offer, Release, TakenTask
from engine.store.records import ActivityRecord
from tests.store.runs import FAILED, TASK, Run, at_once

if TYPE_CHECKING:
    from engine.store.library import Store

ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:paint"
PAINT = ActivityRecord(arn=ACTIVITY, name="paint", creation_date=7)


def offer(task_token: str, **fields: Any) -> Offer:
    given: dict[str, Any] = {"task_token": task_token, "activity_arn": ACTIVITY, "input": None}
    return Offer(**given | fields)


def offered(store: Store, worker: DurableStore, *tokens: str, **fields: Any) -> Run:
    """An execution of which Tasks are offered, one for each token, in this order."""
    store.create_activity(PAINT)
    run = Run()
    run.write(worker, tokens_opened=[(token, (0, 0, number)) for number, token in enumerate(tokens, 1)])
    for token in tokens:
        assert worker.offer_tasks([offer(token, **fields)]) == {ACTIVITY}
    return run


class ActivitySuite:
    """The promises."""

    @pytest.fixture
    def worker(self, store: Store) -> DurableStore:
        handle = store.handle()
        handle.enlist(pools=["default"], host="here", pid=1)
        return handle

    @pytest.fixture
    def client(self, store: Store) -> DurableStore:
        return store.handle()

    def test_an_activity_is_created_once_and_keeps_its_date(self, store: Store):
        assert store.create_activity(PAINT) == PAINT
        assert store.create_activity(replace(PAINT, creation_date=8)) == PAINT
        assert store.activity(ACTIVITY) == PAINT

    def test_an_activity_keeps_its_encryption_and_the_tags_of_its_creation(self, store: Store):
        own_key = {"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": "k"}
        store.create_activity(replace(PAINT, encryption=own_key), tags={"a": "1"})
        assert store.create_activity(replace(PAINT, encryption=own_key), tags={"b": "2"}).encryption == own_key
        assert (store.activity(ACTIVITY).encryption, store.tags(ACTIVITY)) == (own_key, {"a": "1"})
        with pytest.raises(ActivityAlreadyExists):
            store.create_activity(PAINT)

    def test_an_activity_that_is_not_there_does_not_exist_and_may_be_deleted(self, store: Store, client: DurableStore):
        store.create_activity(PAINT)
        for _ in range(2):
            store.delete_activity(ACTIVITY)
        with pytest.raises(ActivityDoesNotExist):
            store.activity(ACTIVITY)
        with pytest.raises(ActivityDoesNotExist):
            client.take_task(ACTIVITY, None)

    def test_activities_are_listed_in_pages_by_arn(self, store: Store):
        arns = [ACTIVITY + suffix for suffix in ("_0", "_10", "_1", "_é", "-Z")]
        for arn in arns:
            store.create_activity(replace(PAINT, arn=arn, name=arn.rpartition(":")[2]))
        found = [one.arn for one in store.activities()]
        assert found == sorted(arns)
        assert [one.arn for one in store.activities(after=found[1], most=2)] == found[2:4]

    def test_a_task_is_taken_once_and_mail_tells_it(self, store: Store, worker: DurableStore, client: DurableStore):
        run = offered(store, worker, "t", input={"a": [1, "é"]})
        taken = client.take_task(ACTIVITY, "painter")
        assert taken == TakenTask(execution_id=run.id, task_token="t", input={"a": [1, "é"]})
        assert client.take_task(ACTIVITY, "other") is None
        assert [mail.event for mail in worker.fetch_mail([run.id])] == [TaskStarted((0, 0, 1), "painter")]

    def test_tasks_are_taken_in_the_order_of_their_offers(
        self, store: Store, worker: DurableStore, client: DurableStore
    ):
        offered(store, worker, "b", "a", "c")
        found = [client.take_task(ACTIVITY, None) for _ in range(4)]
        assert [one and one.task_token for one in found] == ["b", "a", "c", None]

    def test_each_task_is_given_to_one_of_many_who_poll(self, store: Store, worker: DurableStore):
        tokens = [str(number) for number in range(6)]
        offered(store, worker, *tokens)
        taken: list[TakenTask | None] = []
        at_once(lambda: taken.append(store.handle().take_task(ACTIVITY, None)), 8)
        assert sorted(one.task_token for one in taken if one) == tokens

    def test_a_task_is_offered_once_whoever_offers_it_again(
        self, store: Store, worker: DurableStore, client: DurableStore
    ):
        offered(store, worker, "t")
        assert worker.offer_tasks([offer("t")]) == {ACTIVITY}
        assert client.take_task(ACTIVITY, None) is not None
        assert worker.offer_tasks([offer("t")]) == {ACTIVITY}
        assert client.take_task(ACTIVITY, None) is None

    def test_nothing_is_offered_for_an_activity_that_does_not_exist_yet(
        self, store: Store, worker: DurableStore, client: DurableStore
    ):
        Run().write(worker, tokens_opened=[("t", TASK)])
        assert set(worker.offer_tasks([offer("t")])) == set()
        store.create_activity(PAINT)
        assert client.take_task(ACTIVITY, None) is None
        assert worker.offer_tasks([offer("t")]) == {ACTIVITY}
        assert client.take_task(ACTIVITY, None) is not None

    def test_offers_of_a_deleted_activity_are_there_when_it_is_created_again(
        self, store: Store, worker: DurableStore, client: DurableStore
    ):
        offered(store, worker, "t")
        store.delete_activity(ACTIVITY)
        with pytest.raises(ActivityDoesNotExist):
            client.take_task(ACTIVITY, None)
        store.create_activity(PAINT)
        assert client.take_task(ACTIVITY, None) is not None

    @pytest.mark.parametrize("how", ["checkpoint", "ending", "token"])
    def test_an_offer_ends_with_its_token(self, store: Store, worker: DurableStore, client: DurableStore, how: str):
        run = offered(store, worker, "t")
        if how == "token":
            client.take_token("t", TaskDone(TASK, 1, 1))
        else:
            run.write(worker, tokens_closed=["t"], ending=FAILED if how == "ending" else None)
        assert client.take_task(ACTIVITY, None) is None
        assert worker.offer_tasks([offer("t")]) == {ACTIVITY}
        assert client.take_task(ACTIVITY, None) is None

    def test_a_redrive_does_not_meet_the_offers_of_the_first_run(
        self, store: Store, worker: DurableStore, client: DurableStore
    ):
        run = offered(store, worker, "t")
        run.write(worker, ending=FAILED)
        store.reopen(run.arn)
        assert client.take_task(ACTIVITY, None) is None

    def test_a_task_whose_time_is_over_is_not_given_out(self, store: Store, worker: DurableStore, client: DurableStore):
        offered(store, worker, "late", deadline=client.now() - 1)
        offered(store, worker, "early", deadline=client.now() + 60_000)
        taken = client.take_task(ACTIVITY, None)
        assert taken is not None
        assert taken.task_token == "early"
        assert client.take_task(ACTIVITY, None) is None

    def test_a_task_of_a_parked_execution_is_taken_and_wakes_it(
        self, store: Store, worker: DurableStore, client: DurableStore
    ):
        run = offered(store, worker, "t")
        worker.commit(Group(releases=[Release(execution_id=run.id, seq=run.seq, wake_at=NEVER_DUE)]))
        assert worker.claim(most=9).claimed == []
        client.take_task(ACTIVITY, "painter")
        client.take_token("t", TaskDone(TASK, "done", 6))
        [claim] = worker.claim(most=9).claimed
        events = [mail.event for mail in claim.mail]
        assert events == [TaskStarted((0, 0, 1), "painter"), TaskDone((0, 0, 1), "done", 6)]
