"""Executions of a state machine that is being deleted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import engine
from engine.errors import StateMachineDeleting, StateMachineDoesNotExist
from engine.operations.resources import target
from engine.operations.state_machines import delete_state_machine, describe_state_machine
from engine.runtime import deletions
from engine.runtime.calls import DirectCalls
from engine.runtime.deletions import Deletions
from engine.runtime.executions import DELETED
from engine.store.memory import MemoryStore
from engine.store.protocol import StoreUnavailable
from tests.definitions import invoke, machine, wait
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

WAITING = machine(invoke(suffix=".waitForTaskToken"), {"Type": "Pass"})


async def test_in_memory_an_execution_ends_at_its_next_event_and_the_state_machine_with_it():
    async with engine.Engine.in_memory(clock="virtual") as one:
        made = await one.create_state_machine(machine(wait(5), wait(5)), "m")
        execution = await one.start_execution(made)
        await execution.describe()
        await delete_state_machine(one.service, state_machine_arn=made.arn)
        described = await describe_state_machine(one.service, state_machine_arn=made.arn)
        assert (execution.status, described["status"]) == ("RUNNING", "DELETING")
        with pytest.raises(StateMachineDeleting, match=made.arn):
            await target(one.service, made.arn)
        with pytest.raises(engine.ExecutionFailed) as caught:
            await execution.result()
        assert (caught.value.status, caught.value.cause) == ("ABORTED", DELETED)
        kinds = [event["type"] for event in await execution.history()]
        assert kinds == ["ExecutionStarted", "WaitStateEntered", "ExecutionAborted"]
        with pytest.raises(StateMachineDoesNotExist):
            await target(one.service, made.arn)
        again = await one.create_state_machine(machine({"Type": "Pass"}), "m")
        assert await one.run(again, 1) == 1


async def test_a_worker_elsewhere_learns_of_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(deletions, "ASK_SECONDS", 0.01)
    tokens: list[str] = []

    def handler(message: Any) -> None:
        tokens.append(message["token"])

    store = MemoryStore(through_bytes=True)
    async with (
        engine.Engine(url=lambda: store, handlers={"work": handler}) as worker,
        engine.Engine(url=lambda: store) as client,
    ):
        made = await client.deploy(WAITING, "m")
        execution = await client.start_execution(made)
        await until(lambda: bool(tokens))
        await delete_state_machine(client.service, state_machine_arn=made.arn)
        with pytest.raises(StateMachineDeleting):
            await client.deploy(WAITING, "m")
        executions = worker.service.backend.worker.worker.executions
        await until(lambda: made.arn in executions.doomed)
        await client.send_task_success(tokens[0], 1)
        with pytest.raises(engine.ExecutionFailed) as caught:
            await execution.result()
        assert caught.value.status == "ABORTED"
        with pytest.raises(StateMachineDoesNotExist):
            await describe_state_machine(client.service, state_machine_arn=made.arn)


class Told:
    """A store that is told what to answer."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.finished: list[str] = []

    def deleting(self) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def finish_deletion(self, arn: str) -> None:
        self.finished.append(arn)


def known(*live: str) -> Any:
    """Executions of these state machines are at hand."""
    executions = {
        place: SimpleNamespace(snapshot=SimpleNamespace(execution=SimpleNamespace(state_machine_arn=arn)))
        for place, arn in enumerate(live)
    }
    return SimpleNamespace(doomed={}, ended_of_doomed=set(), live=executions)


def test_a_store_that_is_away_is_asked_again_and_what_was_known_stays():
    store = Told({"a": 1}, StoreUnavailable("away"), {"b": 2})
    now = [0.0]
    executions = known()
    watching = Deletions(store, DirectCalls(), executions, lambda: now[0])
    seen, asked = [], []
    for _ in range(3):
        left = len(store.answers)
        due = watching.tick()
        assert watching.tick() == due
        assert len(store.answers) == left - 1
        seen.append(executions.doomed)
        asked.append(now[0])
        now[0] = due
    assert seen == [{"a": 1}, {"a": 1}, {"b": 2}]
    assert asked == [0.0, deletions.ASK_SECONDS, 2 * deletions.ASK_SECONDS]


def test_the_end_of_a_deletion_is_asked_for_when_no_execution_is_at_hand_any_more():
    store = Told({"a": 1}, {"a": 1}, {"a": 1}, {"a": 1}, {})
    now = [0.0]
    executions = known("a")
    watching = Deletions(store, DirectCalls(), executions, lambda: now[0])

    def asked() -> list[str]:
        store.finished.clear()
        now[0] = watching.tick()
        return list(store.finished)

    assert [asked(), asked()] == [[], []]
    executions.live.clear()
    assert [asked(), asked()] == [["a"], []]
    executions.ended_of_doomed.add("a")
    assert asked() == ["a"]
