"""What every store promises. A backend's test module gives a `store` fixture and subclasses `StoreSuite`."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import (
    ExecutionAlreadyExists,
    ExecutionDoesNotExist,
    ExecutionNotRedrivable,
    InvalidToken,
    OwnershipLost,
    StateMachineAlreadyExists,
    StateMachineDoesNotExist,
    TaskTimedOut,
)
from engine.interpreter.snapshot import Ending, Execution, Frame, Redrives, Snapshot, Transition
from engine.store.protocol import Checkpoint, ExecutionStore, StateMachineRecord, TokenOwner

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:m"


def execution(name: str = "e", **fields: Any) -> Execution:
    given: dict[str, Any] = {
        "arn": f"arn:aws:states:us-east-1:123456789012:execution:m:{name}",
        "name": name,
        "type": "STANDARD",
        "role_arn": "arn:aws:iam::123456789012:role/r",
        "state_machine_arn": MACHINE,
        "state_machine_name": "m",
        "input": {"a": 1},
        "input_bytes": 7,
        "start_time": 1_000,
        "payload_bytes_max": 262_144,
        "history_events_max": 25_000,
        "region": "us-east-1",
    }
    return Execution(**given | fields)


def frame(state: str) -> Frame:
    return Frame((0, 0), None, state, {"in": state}, 10)


class Writer:
    """Makes the checkpoints of one execution, as the runtime would."""

    def __init__(self, started: Execution) -> None:
        self.snapshot = Snapshot(execution=started)
        self.seq = 0

    def next(self, *, events: int = 1, ending: Ending | None = None, **fields: Any) -> Checkpoint:
        transition = Transition(
            changed={(0, 0): frame(f"S{self.seq + 1}")},
            counter=self.snapshot.counter,
            first_event_id=self.snapshot.last_event_id + 1,
            now=1_000 + self.seq,
            history=[(0, self.snapshot.last_event_id + place, None, {"n": place}) for place in range(events)],
            commands=[],
            redrives=fields.pop("redrives", self.snapshot.redrives),
            ending=ending,
        )
        self.seq += 1
        return Checkpoint(
            execution_arn=self.snapshot.execution.arn,
            seq=self.seq,
            snapshot=self.snapshot,
            transition=transition,
            **fields,
        )

    def write(self, store: ExecutionStore, **fields: Any) -> None:
        checkpoint = self.next(**fields)
        store.commit([checkpoint])
        self.snapshot.apply(checkpoint.transition)


def started(store: ExecutionStore, name: str = "e", **fields: Any) -> Writer:
    given = execution(name, **fields)
    assert store.start(given).is_new
    return Writer(given)


SUCCEEDED = Ending("SUCCEEDED", {"out": 1})
FAILED = Ending("FAILED", None, "E", "c", "S", (0, 0))


class StoreSuite:
    """The promises."""

    # ── state machines ──────────────────────────────────────────────────────────────────────────────────────────────

    def record(self, **fields: Any) -> StateMachineRecord:
        given: dict[str, Any] = {
            "arn": MACHINE,
            "name": "m",
            "type": "STANDARD",
            "definition": "{}",
            "creation_date": 5,
        }
        return StateMachineRecord(**given | fields)

    def test_a_state_machine_is_kept_and_the_first_creation_counts(self, store: ExecutionStore):
        first = store.create_state_machine(self.record())
        assert store.create_state_machine(self.record(creation_date=9)) == first
        assert store.state_machine(MACHINE) == first

    @pytest.mark.parametrize("other", [{"definition": "{ }"}, {"type": "EXPRESS"}])
    def test_another_state_machine_of_the_same_name_is_refused(self, store: ExecutionStore, other):
        store.create_state_machine(self.record())
        with pytest.raises(StateMachineAlreadyExists, match=MACHINE):
            store.create_state_machine(self.record(**other))

    def test_an_unknown_state_machine_does_not_exist(self, store: ExecutionStore):
        with pytest.raises(StateMachineDoesNotExist, match=MACHINE):
            store.state_machine(MACHINE)

    # ── starts ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_an_execution_runs_from_its_start_on(self, store: ExecutionStore):
        started(store)
        record = store.execution(execution().arn)
        assert (record.status, record.execution, record.stop_date) == ("RUNNING", execution(), None)
        assert store.history(execution().arn) == []

    def test_the_same_start_again_finds_the_running_execution(self, store: ExecutionStore):
        started(store)
        again = store.start(execution(start_time=2_000))
        assert (again.is_new, again.execution.start_time) == (False, 1_000)

    @pytest.mark.parametrize("given", [{"a": 2}, {"a": 1.0}, {}, None, [1]])
    def test_the_same_name_with_another_input_is_refused(self, store: ExecutionStore, given):
        started(store)
        with pytest.raises(ExecutionAlreadyExists, match="Execution Already Exists: 'arn"):
            store.start(execution(input=given))

    def test_a_closed_execution_keeps_its_name(self, store: ExecutionStore):
        started(store).write(store, ending=SUCCEEDED)
        with pytest.raises(ExecutionAlreadyExists):
            store.start(execution())

    # ── commits ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_history_is_what_was_committed_in_order(self, store: ExecutionStore):
        writer = started(store)
        writer.write(store, events=2)
        writer.write(store, events=0)
        writer.write(store, events=3, ending=SUCCEEDED)
        segments = store.history(execution().arn)
        assert [(segment.first_event_id, len(segment.events)) for segment in segments] == [(1, 2), (3, 3)]
        assert store.execution(execution().arn).last_event_id == 5

    def test_an_ending_closes_the_execution(self, store: ExecutionStore):
        started(store).write(store, ending=SUCCEEDED)
        record = store.execution(execution().arn)
        assert (record.status, record.ending, record.stop_date) == ("SUCCEEDED", SUCCEEDED, 1_000)

    def test_a_checkpoint_out_of_sequence_is_refused_with_its_whole_group(self, store: ExecutionStore):
        good, bad = started(store, "good"), started(store, "bad")
        bad.next()
        with pytest.raises(OwnershipLost):
            store.commit([good.next(), bad.next()])
        assert store.history(execution("good").arn) == store.history(execution("bad").arn) == []

    def test_a_group_is_written_for_all_its_executions(self, store: ExecutionStore):
        writers = [started(store, str(number)) for number in range(10)]
        store.commit([writer.next(events=number + 1) for number, writer in enumerate(writers)])
        for number in range(10):
            assert len(store.history(execution(str(number)).arn)[0].events) == number + 1

    def test_a_closed_or_unknown_execution_takes_no_checkpoint(self, store: ExecutionStore):
        writer = started(store)
        writer.write(store, ending=SUCCEEDED)
        with pytest.raises(OwnershipLost):
            store.commit([writer.next()])
        with pytest.raises(OwnershipLost):
            store.commit([Writer(execution("unknown")).next()])

    def test_the_store_does_not_keep_the_snapshot_that_it_was_shown(self, store: ExecutionStore):
        writer = started(store)
        writer.write(store, ending=FAILED)
        writer.snapshot.frames[0, 0].state = "changed afterwards"
        assert store.reopen(execution().arn).snapshot.frames[0, 0].state == "S1"

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_an_unknown_execution_does_not_exist(self, store: ExecutionStore):
        for ask in (store.execution, store.history, store.reopen):
            with pytest.raises(ExecutionDoesNotExist, match="Execution Does Not Exist: 'arn:x'"):
                ask("arn:x")

    def test_executions_are_listed_newest_first_by_machine_and_status(self, store: ExecutionStore):
        for name in ("a", "b", "c"):
            started(store, name)
        started(store, "elsewhere", state_machine_arn=MACHINE + "2")
        writer = started(store, "d")
        writer.write(store, ending=FAILED)
        assert [record.execution.name for record in store.executions(MACHINE)] == ["d", "c", "b", "a"]
        assert [record.execution.name for record in store.executions(MACHINE, status="FAILED")] == ["d"]
        assert [record.execution.name for record in store.executions(MACHINE, status="RUNNING")] == ["c", "b", "a"]

    # ── redrive ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_a_reopened_execution_stands_where_it_was_and_goes_on(self, store: ExecutionStore):
        writer = started(store)
        writer.write(store)
        writer.write(store, events=2, ending=FAILED)
        reopened = store.reopen(execution().arn)
        assert reopened.seq == 2
        assert reopened.snapshot == writer.snapshot
        assert store.execution(execution().arn).status == "RUNNING"
        writer.write(store, redrives=Redrives(1, 9_000))
        record = store.execution(execution().arn)
        assert (record.redrives, record.last_event_id, record.status) == (Redrives(1, 9_000), 4, "RUNNING")

    def test_only_what_did_not_succeed_is_reopened(self, store: ExecutionStore):
        writer = started(store)
        with pytest.raises(ExecutionNotRedrivable, match="RUNNING"):
            store.reopen(execution().arn)
        writer.write(store, ending=SUCCEEDED)
        with pytest.raises(ExecutionNotRedrivable, match="SUCCEEDED"):
            store.reopen(execution().arn)

    # ── task tokens ─────────────────────────────────────────────────────────────────────────────────────────────────

    def test_a_token_is_taken_once(self, store: ExecutionStore):
        started(store).write(store, tokens_opened=[("t", (0, 0, 1))])
        owner = TokenOwner(execution().arn, (0, 0, 1))
        assert store.token_owner("t") == store.token_owner("t") == owner
        assert store.take_token("t") == owner
        for ask in (store.take_token, store.token_owner):
            with pytest.raises(TaskTimedOut):
                ask("t")

    def test_an_unknown_token_is_invalid(self, store: ExecutionStore):
        for ask in (store.take_token, store.token_owner):
            with pytest.raises(InvalidToken):
                ask("nonsense")

    def test_a_checkpoint_closes_tokens_and_an_ending_closes_all_that_are_left(self, store: ExecutionStore):
        writer = started(store)
        writer.write(store, tokens_opened=[(token, (0, 0, 1)) for token in ("a", "b", "c")])
        writer.write(store, tokens_closed=["a"])
        with pytest.raises(TaskTimedOut):
            store.take_token("a")
        store.take_token("b")
        writer.write(store, ending=FAILED)
        for token in ("a", "b", "c"):
            with pytest.raises(TaskTimedOut):
                store.take_token(token)
