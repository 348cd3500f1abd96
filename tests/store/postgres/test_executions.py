"""Lists and pages beyond what every store has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.interpreter.messages import RedriveRequested, StopRequested
from engine.store.postgres.snapshots import encode_row
from engine.store.protocol import Birth
from tests.store.definitions_suite import machine
from tests.store.postgres.workers import enlisted
from tests.store.runs import FAILED, MACHINE, REVISION, born, execution, new_id

if TYPE_CHECKING:
    import psycopg

    from engine.store.postgres.store import PostgresStore


def test_lists_are_filtered_and_paged(store: PostgresStore):
    worker = enlisted(store)
    runs = [born(worker, start_time=1_000 + number) for number in range(5)]
    for name in ("order_1", "order-2", "other"):
        store.handle().start_named(new_id(), Birth(execution=execution(name), revision_id=REVISION))
    elsewhere = born(worker, machine=MACHINE + "2", start_time=9_000)
    for name in ("m", "m2"):
        store.create_state_machine(machine(name))
    born(worker, machine="what a map run's children are listed by", start_time=9_001)

    def names(**filters: object) -> list[str]:
        return [record.execution.name for record in store.executions(MACHINE, **filters)]  # type: ignore[arg-type]

    first = store.executions(MACHINE, most=3)
    rest = store.executions(MACHINE, after=first[-1].execution_id)
    assert len(first) == 3
    assert [record.execution_id for record in [*first, *rest]] == [
        record.execution_id for record in store.executions(MACHINE)
    ]
    assert sorted(names(name_prefix="order")) == ["order-2", "order_1"]
    assert names(name_prefix="order_") == ["order_1"]
    assert names(started_from=1_001, started_before=1_003) == [str(runs[2].id), str(runs[1].id)]
    assert len(store.executions(None)) == 9
    assert store.executions(None)[0].execution_id == elsewhere.id


def test_a_redrive_does_not_meet_mail_that_came_in_the_moment_of_the_end(
    store: PostgresStore, database: psycopg.Connection[tuple[object, ...]]
):
    worker = enlisted(store)
    run = born(worker)
    run.write(worker, ending=FAILED)
    database.execute(
        "insert into asl.mail (execution_id, id, sent_at, format, event) values (%s, gen_random_uuid(), 1, 1, %s)",
        (run.id, encode_row(StopRequested(None, None))),
    )
    _, time = store.reopen(run.arn)
    (claim,) = worker.claim(most=9).claimed
    assert [letter.event for letter in claim.mail] == [RedriveRequested(time)]
