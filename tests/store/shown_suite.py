"""What every store promises about executions as they are shown. A backend's test module gives a `store` fixture and
subclasses `ShownSuite`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import ExecutionDoesNotExist
from engine.store.library import REDRIVE_TOKENS_MAX
from engine.store.protocol import Birth, ExecutionId
from engine.uuids import uuid7
from tests.store.runs import FAILED, MACHINE, REVISION, SUCCEEDED, Run, execution, new_id
from tests.waiting import wait_until

if TYPE_CHECKING:
    from engine.interpreter.snapshot import Ending
    from engine.store.library import Store
    from engine.store.protocol import DurableStore


class ShownSuite:
    """The promises."""

    @pytest.fixture
    def worker(self, store: Store) -> DurableStore:
        handle = store.handle()
        handle.enlist(pools=["default"], host="here", pid=1)
        return handle

    def test_many_are_described_at_once_and_each_is_what_it_is_alone(self, store: Store, worker: DurableStore):
        unnamed, over = Run(), Run()
        for run in (unnamed, over):
            run.write(worker)
        over.write(worker, ending=SUCCEEDED)
        named = new_id()
        store.handle().start_named(named, Birth(execution=execution("n"), revision_id=REVISION, input_text="{}"))
        missing = [execution(name).arn for name in ("nobody", str(new_id()), "with\0nul", "with\ud800surrogate")]
        of_another_machine = execution(unnamed.arn.rpartition(":")[2], machine=MACHINE + "2").arn
        missing += [of_another_machine, "arn:aws:states:us-east-1:123456789012:stateMachine:m", ""]
        there = [unnamed.arn, over.arn, execution("n").arn]
        found = store.described([*missing, *there])
        assert [found[arn] for arn in there] == [store.execution(arn) for arn in there]
        assert [record.status for record in map(store.execution, there)] == ["RUNNING", "SUCCEEDED", "RUNNING"]
        assert store.execution(execution("n").arn).execution_id == named
        for arn in missing:
            assert isinstance(found[arn], ExecutionDoesNotExist)
            with pytest.raises(ExecutionDoesNotExist):
                store.execution(arn)
        assert len(found) == len(missing) + len(there)
        assert not store.described([])

    def test_history_is_read_in_pages(self, store: Store, worker: DurableStore):
        run = Run()
        for events in (2, 1, 3, 2):
            run.write(worker, events=events)

        def firsts(**page: object) -> list[int]:
            return [segment.first_event_id for segment in store.history(run.arn, **page)]  # type: ignore[arg-type]

        assert firsts() == [1, 3, 4, 7]
        assert firsts(events_max=2) == [1]
        assert firsts(events_max=3) == [1, 3]
        assert firsts(from_event_id=5) == [4, 7]
        assert firsts(from_event_id=4, events_max=1) == [4]
        assert firsts(backwards=True, events_max=2) == [7, 4]
        assert firsts(backwards=True, from_event_id=6, events_max=2) == [4]
        assert firsts(backwards=True, from_event_id=6, events_max=4) == [4, 3]
        assert firsts(backwards=True, from_event_id=5) == [4, 3, 1]
        with pytest.raises(ExecutionDoesNotExist):
            store.history(run.arn + "x")

    def test_a_redrive_is_known_again_by_its_client_token(self, store: Store, worker: DurableStore):
        run = Run()
        run.write(worker)
        run.write(worker, ending=FAILED)
        assert store.redriven(run.arn, "a") is None
        _, time = store.reopen(run.arn, "a")
        assert store.redriven(run.arn, "a") == time
        assert store.redriven(run.arn, "b") is None
        with pytest.raises(ExecutionDoesNotExist):
            store.redriven(run.arn + "x", "a")

    def test_only_the_last_redrives_are_known_again(self, store: Store, worker: DurableStore):
        run = Run()
        run.write(worker)
        for number in range(REDRIVE_TOKENS_MAX + 1):
            run.write(worker, ending=FAILED, now=store.handle().now())
            _, time = store.reopen(run.arn, f"token-{number}")
            wait_until(lambda time=time: store.handle().now() > time)  # type: ignore[misc]
            run.snapshot = worker.claim(most=1).claimed[0].snapshot
        assert store.redriven(run.arn, "token-0") is None
        assert store.redriven(run.arn, "token-1") is not None

    def test_the_latest_stand_at_their_end_or_while_they_run_at_their_start_or_redrive(
        self, store: Store, worker: DurableStore
    ):
        now = store.handle().now()

        def made(start: int, ending: Ending | None = None, stop: int = 0, machine: str = MACHINE) -> str:
            run = Run(ExecutionId(uuid7(now + start, start)), start_time=now + start, machine=machine)
            run.write(worker)
            if ending is not None:
                run.write(worker, ending=ending, now=now + stop)
            return run.arn

        running = {start: made(start) for start in (-400, -150, -50)}
        ended_late = made(-500, SUCCEEDED, -100)
        failed = made(-300, FAILED, -200)
        ended_early = made(-600, SUCCEEDED, -590)
        redriven = made(-700, FAILED, -690)
        store.reopen(redriven)
        made(-1, machine=MACHINE + "2")

        def listed(**options: Any) -> list[str]:
            return [record.execution.arn for record in store.latest_executions(MACHINE, **options)]

        whole = [redriven, running[-50], ended_late, running[-150], failed, running[-400], ended_early]
        assert listed() == whole
        assert listed(status="RUNNING") == [redriven, running[-50], running[-150], running[-400]]
        assert listed(status="SUCCEEDED") == [ended_late, ended_early]
        assert listed(status="FAILED") == [failed]
        assert listed(status="ABORTED") == []
        for size in (1, 2, 3):
            found: list[str] = []
            after = None
            while page := store.latest_executions(MACHINE, after=after, most=size):
                found += [record.execution.arn for record in page]
                after = (page[-1].last_change, page[-1].execution_id)
            assert found == whole, size
