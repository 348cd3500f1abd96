"""Starts by name, one and many, owned from birth or by nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import ExecutionAlreadyExists
from engine.interpreter.messages import StartRequested, StopRequested
from engine.interpreter.snapshot import Snapshot
from engine.store.protocol import DurableStore, ExecutionId, Group, OwnershipLost
from tests.store.runs import MACHINE, SUCCEEDED, Run, at_once, birth_of, execution, named, new_id, stop, without_birth
from tests.store.store_suite import StoreSuite

if TYPE_CHECKING:
    from engine.store.library import Store


class StartsSuite(StoreSuite):
    """A part of `DurableSuite`."""

    # ── starts by name that are owned from birth ────────────────────────────────────────────────────────────────────

    def test_those_whose_names_are_free_are_written_and_owned(self, store: Store, client: DurableStore):
        worker_id, worker = self.enlisted_as(store)
        client.start_named(new_id(), birth_of("taken"))
        first, taken, second = named("a"), named("taken"), named("b")
        started = worker.start_all(worker_id, [first, taken, second])
        assert set(started) == {first.execution_id, second.execution_id}
        assert set(worker.owned()) == {first.execution_id, second.execution_id}
        assert worker.written([first.execution_id]) == {first.execution_id: 1}
        assert store.execution(execution("a").arn).execution_id == first.execution_id
        loaded = worker.reload([second.execution_id]).claimed[0]
        assert (loaded.seq, loaded.mail, list(loaded.snapshot.frames)) == (1, [], [(0, 0)])

    def test_a_name_that_was_started_so_is_taken(self, store: Store, client: DurableStore):
        worker_id, worker = self.enlisted_as(store)
        mine = named("n")
        worker.start_all(worker_id, [mine])
        assert worker.start_all(worker_id, [named("n")]) in ([], ())
        assert client.start_named(new_id(), birth_of("n")) == (mine.execution_id, False)
        assert client.start_named(mine.execution_id, birth_of("n")) == (mine.execution_id, True)
        with pytest.raises(ExecutionAlreadyExists):
            client.start_named(new_id(), birth_of("n", "{}"))

    def test_the_same_start_made_again_is_left_to_start_named(self, store: Store, client: DurableStore):
        worker_id, worker = self.enlisted_as(store)
        mine = named("n")
        worker.start_all(worker_id, [mine])
        assert list(worker.start_all(worker_id, [mine])) == []
        assert worker.written([mine.execution_id]) == {mine.execution_id: 1}

    def test_one_that_is_over_at_once_keeps_its_name(self, store: Store, client: DurableStore):
        worker_id, worker = self.enlisted_as(store)
        mine = named("n", ending=SUCCEEDED)
        assert list(worker.start_all(worker_id, [mine])) == [mine.execution_id]
        assert store.execution(execution("n").arn).status == "SUCCEEDED"
        with pytest.raises(ExecutionAlreadyExists):
            client.start_named(new_id(), birth_of("n"))

    def test_a_dead_worker_starts_nothing(self, store: Store, other: DurableStore, client: DurableStore):
        worker_id, worker = self.enlisted_as(store)
        self.bury(other)
        with pytest.raises(OwnershipLost):
            worker.start_all(worker_id, [named("n")])
        assert client.start_named(new_id(), birth_of("n"))[1]

    def test_what_the_worker_before_wanted_to_start_is_not_the_next_ones(self, store: Store):
        worker_id, worker = self.enlisted_as(store)
        worker.enlist(pools=["default"], host="here", pid=1)
        with pytest.raises(OwnershipLost):
            worker.start_all(worker_id, [named("n")])
        assert list(worker.owned()) == []

    # ── starts by name ──────────────────────────────────────────────────────────────────────────────────────────────

    def test_a_named_start_is_due_at_once_and_begins_with_its_request(
        self, store: Store, worker: DurableStore, client: DurableStore
    ):
        given = new_id()
        assert client.start_named(given, birth_of("n")) == (given, True)
        assert store.execution(execution("n").arn).status == "RUNNING"
        client.deliver([stop(given)])
        claim = worker.claim(most=1).claimed[0]
        assert (claim.execution_id, claim.seq, claim.snapshot) == (given, 0, Snapshot(execution=execution("n")))
        assert [letter.event for letter in claim.mail] == [StartRequested('{"a": 1}'), StopRequested("E", "c")]
        run = Run(given)
        run.snapshot = claim.snapshot
        checkpoint = run.next(mail=[claim.mail[0].id])
        worker.commit(Group(checkpoints=[without_birth(checkpoint)]))
        assert [letter.event for letter in worker.fetch_mail([given])] == [StopRequested("E", "c")]
        assert worker.written([given]) == {given: 1}

    def test_the_same_start_again_finds_the_running_execution(self, client: DurableStore):
        first = new_id()
        client.start_named(first, birth_of("n"))
        assert client.start_named(new_id(), birth_of("n", start_time=5)) == (first, False)
        assert client.start_named(first, birth_of("n")) == (first, True)

    @pytest.mark.parametrize("text", ['{"a":1}', "{}", None])
    def test_the_same_name_with_other_bytes_is_refused(self, client: DurableStore, text: str | None):
        client.start_named(new_id(), birth_of("n"))
        with pytest.raises(ExecutionAlreadyExists, match="Execution Already Exists: 'arn"):
            client.start_named(new_id(), birth_of("n", text))

    def test_a_closed_execution_keeps_its_name(self, worker: DurableStore, client: DurableStore):
        given = new_id()
        client.start_named(given, birth_of("n"))
        run = Run(given)
        run.snapshot = worker.claim(most=1).claimed[0].snapshot
        worker.commit(Group(checkpoints=[without_birth(run.next(ending=SUCCEEDED))]))
        with pytest.raises(ExecutionAlreadyExists):
            client.start_named(new_id(), birth_of("n"))
        assert client.start_named(given, birth_of("n")) == (given, True)

    def test_other_machines_may_use_the_same_name(self, client: DurableStore):
        client.start_named(new_id(), birth_of("n"))
        assert client.start_named(new_id(), birth_of("n", machine=MACHINE + "2"))[1]

    def test_a_start_without_a_name_of_its_own_takes_its_id(self, store: Store, client: DurableStore):
        given = new_id()
        assert client.start_named(given, birth_of(str(given))) == (given, True)
        assert client.start_named(given, birth_of(str(given))) == (given, True)
        assert store.execution(execution(str(given)).arn).execution_id == given
        with pytest.raises(ExecutionAlreadyExists):
            client.start_named(new_id(), birth_of(str(given), "other"))

    def test_one_of_many_starts_at_once_wins(self, store: Store):
        answers: list[tuple[ExecutionId, bool]] = []

        def start() -> None:
            answers.append(store.handle().start_named(new_id(), birth_of("n")))

        at_once(start, 8)
        assert len(answers) == 8
        assert sum(is_new for _, is_new in answers) == 1
        assert len({execution_id for execution_id, _ in answers}) == 1

    def test_many_starts_at_once_leave_those_whose_names_are_taken(
        self, store: Store, worker: DurableStore, client: DurableStore
    ):
        client.start_named(new_id(), birth_of("taken"))
        given = {name: new_id() for name in ("a", "taken", "b")}
        unnamed, spelled = new_id(), new_id()
        client.start_named(spelled, birth_of(str(spelled)))
        births = [(one, birth_of(name)) for name, one in given.items()]
        births += [(unnamed, birth_of(str(unnamed))), (new_id(), birth_of(str(spelled)))]
        assert set(client.start_many(births)) == {given["a"], given["b"], unnamed}
        assert list(client.start_many(births)) == []
        for execution_id, name in [(given["a"], "a"), (unnamed, str(unnamed))]:
            assert store.execution(execution(name).arn).execution_id == execution_id
            assert client.start_named(execution_id, birth_of(name)) == (execution_id, True)
        claims = {claim.execution_id: claim for claim in worker.claim(most=9).claimed}
        for one, name in [(given["b"], "b"), (unnamed, str(unnamed))]:
            assert (claims[one].seq, claims[one].snapshot) == (0, Snapshot(execution=execution(name)))
            assert [letter.event for letter in claims[one].mail] == [StartRequested('{"a": 1}')]
        assert len(claims) == 5

    def test_two_of_one_name_among_many_starts_are_one(self, client: DurableStore):
        first, second = new_id(), new_id()
        (started,) = client.start_many([(first, birth_of("n")), (second, birth_of("n"))])
        assert client.start_named(new_id(), birth_of("n")) == (started, False)

    def test_one_of_many_starts_of_many_wins(self, store: Store):
        started: list[ExecutionId] = []

        def start() -> None:
            started.extend(store.handle().start_many([(new_id(), birth_of(name)) for name in ("a", "b", "c")]))

        at_once(start, 8)
        assert len(started) == 3
