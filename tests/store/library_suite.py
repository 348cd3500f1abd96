"""Definitions, executions as they are listed, and what goes when it is old."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from engine.errors import ExecutionDoesNotExist, StateMachineAlreadyExists, StateMachineDoesNotExist
from engine.interpreter.snapshot import Frame
from engine.store.protocol import NEVER_DUE, DurableStore, Group, Release, RevisionId
from engine.store.records import StateMachineRecord
from tests.store.runs import DAY_MS, FAILED, MACHINE, SUCCEEDED, Run, born, execution, new_id
from tests.store.store_suite import StoreSuite

if TYPE_CHECKING:
    from engine.store.library import Store


class LibrarySuite(StoreSuite):
    """A part of `DurableSuite`."""

    # ── the library ─────────────────────────────────────────────────────────────────────────────────────────────────

    def record(self, **fields: Any) -> StateMachineRecord:
        given: dict[str, Any] = {
            "arn": MACHINE,
            "name": "m",
            "type": "STANDARD",
            "definition": "{}",
            "creation_date": 5,
        }
        return StateMachineRecord(**{**given, "revision_id": RevisionId(uuid4()), **fields})

    def test_a_state_machine_is_kept_and_the_first_creation_counts(self, store: Store):
        first = store.create_state_machine(self.record())
        assert store.create_state_machine(self.record(creation_date=9)) == first
        assert store.state_machine(MACHINE) == store.revision(first.revision_id) == first

    @pytest.mark.parametrize("other", [{"definition": "{ }"}, {"type": "EXPRESS"}])
    def test_another_creation_of_the_same_name_is_refused(self, store: Store, other: dict[str, Any]):
        store.create_state_machine(self.record())
        with pytest.raises(StateMachineAlreadyExists, match=MACHINE):
            store.create_state_machine(self.record(**other))

    def test_a_deployment_makes_a_revision_and_keeps_the_old_ones(self, store: Store):
        first, second = store.deploy(self.record()), store.deploy(self.record(definition="[]"))
        assert (second.definition, second.creation_date) == ("[]", 5)
        assert store.state_machine(MACHINE) == second
        assert store.revision(first.revision_id).definition == "{}"
        assert store.deploy(self.record(definition="[]")).revision_id == second.revision_id
        with pytest.raises(StateMachineAlreadyExists):
            store.deploy(self.record(type="EXPRESS"))

    def test_an_unknown_state_machine_does_not_exist(self, store: Store):
        with pytest.raises(StateMachineDoesNotExist, match=MACHINE):
            store.state_machine(MACHINE)

    def test_history_is_what_was_committed_in_order(self, store: Store, worker: DurableStore):
        run = Run()
        run.write(worker, events=2)
        run.write(worker, events=0)
        run.write(worker, events=3, ending=SUCCEEDED)
        segments = store.history(run.arn)
        assert [(segment.first_event_id, len(segment.events)) for segment in segments] == [(1, 2), (3, 3)]

    def test_an_unknown_execution_does_not_exist(self, store: Store):
        for arn in (execution("x").arn, execution(str(new_id())).arn, "arn:x", "x"):
            for ask in (store.execution, store.history, store.snapshot):
                with pytest.raises(ExecutionDoesNotExist, match=f"Execution Does Not Exist: '{arn}'"):
                    ask(arn)

    def test_executions_are_listed_newest_first_by_machine_and_status(self, store: Store, worker: DurableStore):
        runs = [born(worker) for _ in range(4)]
        born(worker, machine=MACHINE + "2")
        runs[1].write(worker, ending=FAILED)
        runs[2].write(worker, ending=SUCCEEDED)
        wanted = {None: [3, 2, 1, 0], "RUNNING": [3, 0], "FAILED": [1], "SUCCEEDED": [2], "ABORTED": []}
        for status, places in wanted.items():
            found = store.executions(MACHINE, status=status)  # type: ignore[arg-type]
            assert [record.execution_id for record in found] == [runs[place].id for place in places], status
        assert store.executions(MACHINE, status="FAILED")[0] == store.execution(runs[1].arn)

    def test_where_a_running_execution_stands_is_shown(self, store: Store, worker: DurableStore):
        run = born(worker)
        run.write(worker, changed={(1, place): Frame((1, place), (0, 0), "B", place, 5) for place in range(40)})
        assert store.snapshot(run.arn) == run.snapshot
        assert store.execution(run.arn).last_event_id == 2

    def test_endings_of_many_are_asked_at_once(self, store: Store):
        worker = self.enlisted(store)
        good, bad, running, stuck, nowhere = (*(born(worker) for _ in range(4)), new_id())
        good.write(worker, ending=SUCCEEDED)
        bad.write(worker, ending=FAILED)
        worker.commit(Group(releases=[Release(execution_id=stuck.id, seq=1, wake_at=NEVER_DUE, quarantine="broken")]))
        told = store.endings([good.id, bad.id, running.id, stuck.id, nowhere])
        assert told == {good.id: SUCCEEDED, bad.id: FAILED, stuck.id: "broken", nowhere: None}
        assert store.endings([]) == {}

    # ── retention ───────────────────────────────────────────────────────────────────────────────────────────────────

    def test_executions_that_finished_long_ago_go_and_open_ones_stay(self, store: Store, worker: DurableStore):
        now = worker.now()
        gone, failed, late, run = (born(worker) for _ in range(4))
        gone.write(worker, ending=SUCCEEDED, now=now - 31 * DAY_MS)
        failed.write(worker, ending=FAILED, now=now - 31 * DAY_MS)
        late.write(worker, ending=FAILED, now=now - 29 * DAY_MS)
        assert store.gc().executions == 0
        assert store.gc(older_than=30 * DAY_MS, dry_run=True).executions == 2
        assert store.gc(older_than=30 * DAY_MS).executions == 2
        for over in (gone, failed):
            with pytest.raises(ExecutionDoesNotExist):
                store.execution(over.arn)
            with pytest.raises(ExecutionDoesNotExist):
                store.history(over.arn)
        assert {record.execution_id for record in store.executions(MACHINE)} == {late.id, run.id}
        assert (len(store.history(late.arn)), len(store.history(run.arn))) == (2, 1)
        run.write(worker)
        assert store.reopen(late.arn)[0] == late.id
        assert store.gc(older_than=30 * DAY_MS).executions == 0

    @pytest.mark.parametrize("dry_run", [True, False])
    def test_nothing_goes_before_it_is_a_day_old(self, store: Store, dry_run: bool):
        with pytest.raises(ValueError, match="expected a day at least"):
            store.gc(older_than=DAY_MS - 1, dry_run=dry_run)
        with pytest.raises(ValueError, match="expected a day at least"):
            store.sweep(retention=0, proceed=lambda: True)

    def test_a_fleet_sweeps_by_the_same_rule(self, store: Store, worker: DurableStore):
        run = born(worker)
        run.write(worker, ending=SUCCEEDED, now=worker.now() - 2 * DAY_MS)
        assert store.sweep(retention=None, proceed=lambda: True).executions == 0
        assert store.sweep(retention=DAY_MS, proceed=lambda: True).executions == 1
