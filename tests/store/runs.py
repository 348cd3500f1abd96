"""Executions by hand: what a worker that owns one writes, step by step, to a store."""

from __future__ import annotations

import threading
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import msgspec

from engine.interpreter.messages import StopRequested
from engine.interpreter.snapshot import Ending, Execution, Frame, Snapshot, Transition
from engine.store.protocol import (
    NEVER_DUE,
    Birth,
    Checkpoint,
    Committed,
    DurableStore,
    ExecutionId,
    Group,
    Mail,
    MailId,
    RevisionId,
)
from engine.uuids import uuid7

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:m"
REVISION = RevisionId(UUID(int=7))
SUCCEEDED = Ending("SUCCEEDED", {"out": 1})
FAILED = Ending("FAILED", None, "E", "c", "S1", (0, 0))
TASK = (0, 0, 1)
DAY_MS = 86_400_000

_bits = count(1)


def new_id() -> ExecutionId:
    return ExecutionId(uuid7(1_700_000_000_000, next(_bits)))


def execution(name: str, machine: str = MACHINE, **fields: Any) -> Execution:
    given: dict[str, Any] = {
        "arn": machine.replace(":stateMachine:", ":execution:") + f":{name}",
        "name": name,
        "type": "STANDARD",
        "role_arn": "arn:aws:iam::123456789012:role/r",
        "state_machine_arn": machine,
        "state_machine_name": machine.rpartition(":")[2],
        "input": {"a": 1},
        "input_bytes": 7,
        "start_time": 1_000,
        "payload_bytes_max": 262_144,
        "history_events_max": 25_000,
        "region": "us-east-1",
    }
    return Execution(**given | fields)


def root(state: str, **fields: Any) -> Frame:
    return Frame((0, 0), None, state, {"in": state}, 10, **fields)


class Run:
    """One execution as a worker that owns it keeps it: it makes the checkpoints, and moves on when they are written."""

    def __init__(self, execution_id: ExecutionId | None = None, *, pool: str = "default", **fields: Any) -> None:
        self.id = execution_id or new_id()
        self.snapshot = Snapshot(execution=execution(str(self.id), **fields))
        self.seq = 0
        self.pool = pool

    @property
    def arn(self) -> str:
        return self.snapshot.execution.arn

    def next(
        self, *, changed: dict[tuple[int, int], Frame | None] | None = None, ending: Ending | None = None, **fields: Any
    ) -> Checkpoint:
        last = self.snapshot.last_event_id
        events = fields.pop("events", 1)
        transition = Transition(
            changed={(0, 0): root(f"S{self.seq + 1}")} if changed is None else changed,
            counter=self.snapshot.counter + 1,
            first_event_id=last + 1,
            now=fields.pop("now", 1_000 + self.seq),
            history=[(0, last + place, None, {"n": place}) for place in range(events)],
            commands=[],
            redrives=fields.pop("redrives", self.snapshot.redrives),
            ending=ending,
        )
        birth = Birth(execution=self.snapshot.execution, revision_id=REVISION, pool=self.pool)
        return Checkpoint(
            execution_id=self.id,
            seq=self.seq + 1,
            snapshot=self.snapshot,
            transition=transition,
            birth=birth if self.seq == 0 else None,
            **fields,
        )

    def wrote(self, checkpoint: Checkpoint) -> None:
        self.snapshot.apply(checkpoint.transition)
        self.seq = checkpoint.seq

    def write(self, worker: DurableStore, **fields: Any) -> Committed:
        checkpoint = self.next(**fields)
        committed = worker.commit(Group(checkpoints=[checkpoint]))
        self.wrote(checkpoint)
        return committed


def born(worker: DurableStore, **fields: Any) -> Run:
    """An execution with its first checkpoint, owned by this worker."""
    run = Run(**fields)
    run.write(worker)
    return run


def parked(worker: DurableStore, wake_at: int = NEVER_DUE, **fields: Any) -> Run:
    """An execution with its first checkpoint, owned by nobody."""
    run = Run(**fields)
    run.write(worker, release=wake_at)
    return run


def stop(run_id: ExecutionId, mail_id: UUID | None = None) -> Mail:
    return Mail(id=MailId(mail_id or uuid4()), execution_id=run_id, event=StopRequested("E", "c"))


def ids(claims: Any) -> list[ExecutionId]:
    return [claim.execution_id for claim in claims.claimed]


def birth_of(name: str, input_text: str | None = '{"a": 1}', **fields: Any) -> Birth:
    return Birth(execution=execution(name, **fields), revision_id=REVISION, input_text=input_text)


def named(name: str, *, input_text: str | None = '{"a": 1}', **fields: Any) -> Checkpoint:
    """The first checkpoint of an execution with a name of the caller's."""
    run = Run()
    run.snapshot = Snapshot(execution=execution(name))
    checkpoint = run.next(**fields)
    birth = Birth(execution=execution(name), revision_id=REVISION, input_text=input_text, is_named=True)
    return msgspec.structs.replace(checkpoint, birth=birth)


def without_birth(checkpoint: Checkpoint) -> Checkpoint:
    """For an execution that has its rows already."""
    fields = {name: getattr(checkpoint, name) for name in checkpoint.__struct_fields__}
    return Checkpoint(**fields | {"birth": None})


def at_once(work: Any, times: int) -> None:
    """Calls `work` in so many threads, all at the same moment."""
    barrier = threading.Barrier(times)

    def wait_and_work() -> None:
        barrier.wait()
        work()

    threads = [threading.Thread(target=wait_and_work) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
