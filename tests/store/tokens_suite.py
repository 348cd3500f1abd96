"""Task tokens: the right to end a Task, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import InvalidToken, TaskTimedOut
from engine.interpreter.messages import TaskDone, TaskError
from engine.interpreter.snapshot import OnTask
from engine.store.protocol import NEVER_DUE, Conflict, DurableStore, ExecutionId, Group
from tests.store.runs import FAILED, TASK, Run, at_once, born, ids, root
from tests.store.store_suite import StoreSuite

if TYPE_CHECKING:
    from engine.store.library import Store


class TokensSuite(StoreSuite):
    """A part of `DurableSuite`."""

    def waiting(self, worker: DurableStore, *tokens: str) -> Run:
        run = born(worker)
        frame = root("T", waiting=OnTask(TASK, task_token=tokens[0]))
        run.write(worker, changed={(0, 0): frame}, tokens_opened=[(token, TASK) for token in tokens])
        return run

    @pytest.mark.parametrize("event", [TaskDone((9, 9, 9), {"x": 1}, 7), TaskError((9, 9, 9), None, None)])
    def test_a_token_is_taken_once_and_becomes_mail(self, worker: DurableStore, client: DurableStore, event: Any):
        run = self.waiting(worker, "t")
        assert client.take_token("t", event) == run.id
        (letter,) = worker.fetch_mail([run.id])
        assert type(letter.event) is type(event)
        assert letter.event.task_id == TASK  # type: ignore[union-attr]
        for again in (lambda: client.take_token("t", event), lambda: client.heartbeat_token("t")):
            with pytest.raises(TaskTimedOut):
                again()

    def test_one_of_many_takers_wins(self, store: Store, worker: DurableStore):
        run = self.waiting(worker, "t")
        won: list[ExecutionId] = []
        late: list[Exception] = []

        def take() -> None:
            try:
                won.append(store.handle().take_token("t", TaskDone(TASK, 1, 1)))
            except TaskTimedOut as error:
                late.append(error)

        at_once(take, 20)
        assert (won, len(late)) == ([run.id], 19)
        assert len(worker.fetch_mail([run.id])) == 1

    def test_an_unknown_token_is_invalid(self, client: DurableStore):
        for ask in (lambda: client.take_token("no", TaskDone(TASK, 1, 1)), lambda: client.heartbeat_token("\ud800")):
            with pytest.raises(InvalidToken):
                ask()

    def test_a_token_wakes_a_parked_execution(self, worker: DurableStore, client: DurableStore):
        run = self.waiting(worker, "t")
        run.write(worker, release=NEVER_DUE)
        client.take_token("t", TaskDone(TASK, 1, 1))
        assert ids(worker.claim(most=1)) == [run.id]

    def test_a_checkpoint_that_closes_a_taken_token_is_a_conflict(self, worker: DurableStore, client: DurableStore):
        run, bystander = self.waiting(worker, "t", "u"), born(worker)
        client.take_token("t", TaskDone(TASK, 1, 1))
        for checkpoint in (run.next(tokens_closed=["t"]), run.next(tokens_closed=["u", "t"], ending=FAILED)):
            with pytest.raises(Conflict) as caught:
                worker.commit(Group(checkpoints=[bystander.next(), checkpoint]))
            assert caught.value.execution_ids == {run.id}
        run.write(worker, tokens_closed=["u"])

    def test_closed_tokens_and_those_of_what_is_over_are_late(self, worker: DurableStore, client: DurableStore):
        run = self.waiting(worker, "a", "b")
        run.write(worker, tokens_closed=["a"])
        run.write(worker, ending=FAILED)
        for token in ("a", "b"):
            with pytest.raises(TaskTimedOut):
                client.take_token(token, TaskDone(TASK, 1, 1))
            with pytest.raises(TaskTimedOut):
                client.heartbeat_token(token)

    def test_a_token_that_is_given_up_as_it_is_minted_is_no_conflict(self, worker: DurableStore):
        born(worker).write(worker, tokens_opened=[("t", TASK)], tokens_closed=["t"])

    def test_a_heartbeat_is_remembered_for_its_task(self, worker: DurableStore, client: DurableStore):
        run = self.waiting(worker, "t")
        assert worker.last_heartbeat(run.id, TASK) is None
        client.heartbeat_token("t")
        at = worker.last_heartbeat(run.id, TASK)
        assert at is not None
        assert 0 < at <= worker.renew()
        assert worker.last_heartbeat(run.id, (0, 0, 2)) is None
