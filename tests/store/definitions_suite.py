"""What every store promises about state machines, versions, aliases and tags. A backend's test module gives a `store`
fixture and subclasses `DefinitionsSuite`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from engine.errors import (
    ConflictException,
    ResourceNotFound,
    ServiceQuotaExceededException,
    StateMachineAlreadyExists,
    StateMachineDeleting,
    StateMachineDoesNotExist,
    TooManyTags,
)
from engine.store.library import ALIASES_MAX, TAGS_MAX, VERSIONS_MAX, Store
from engine.store.protocol import DurableStore, RevisionId
from engine.store.records import LOGGING_OFF, ActivityRecord, AliasRecord, Publication, StateMachineRecord
from tests.store.runs import MACHINE, SUCCEEDED, Run, born

if TYPE_CHECKING:
    from collections.abc import Callable

ALL: Any = {"level": "ALL", "includeExecutionData": True}
ACTIVITY = ActivityRecord(arn="arn:aws:states:us-east-1:123456789012:activity:paint", name="paint", creation_date=7)


def new_revision_id() -> RevisionId:
    return RevisionId(uuid4())


def machine(name: str = "m", **fields: Any) -> StateMachineRecord:
    given: dict[str, Any] = {
        "arn": MACHINE.rpartition(":")[0] + f":{name}",
        "name": name,
        "type": "STANDARD",
        "definition": "{}",
        "creation_date": 5,
        "revision_id": new_revision_id(),
    }
    return StateMachineRecord(**{**given, **fields})


def alias(name: str = "prod", *routing: tuple[int, int], **fields: Any) -> AliasRecord:
    given: dict[str, Any] = {"description": None, "creation_date": 7, "update_date": 7}
    return AliasRecord(name=name, routing=routing or ((1, 100),), **{**given, **fields})


def enlisted(store: Store) -> DurableStore:
    worker = store.handle()
    worker.enlist(pools=["default"], host="here", pid=1)
    return worker


class DefinitionsSuite:
    """Test classes of a backend inherit this."""

    def updated(self, store: Store, definition: str, now: int = 9) -> StateMachineRecord:
        return store.update_state_machine(MACHINE, {"definition": definition}, revision_id=new_revision_id(), now=now)

    def published(self, store: Store, *definitions: str) -> None:
        store.create_state_machine(machine(), publication=Publication())
        for definition in definitions:
            self.updated(store, definition)
            store.publish_version(MACHINE, now=9)

    # ── creation ────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_a_role_and_tags_are_not_compared_and_not_changed(self, store: Store):
        first = store.create_state_machine(machine(role_arn="a"), tags={"k": "v"})
        assert store.create_state_machine(machine(role_arn="b"), tags={"k": "w"}) == first
        assert first.role_arn == "a"
        assert store.tags(MACHINE) == {"k": "v"}

    @pytest.mark.parametrize("other", [{"logging": ALL}, {"tracing": {"enabled": True}}, {"encryption": {"type": "X"}}])
    def test_everything_else_is_compared(self, store: Store, other: dict[str, Any]):
        store.create_state_machine(machine())
        with pytest.raises(StateMachineAlreadyExists):
            store.create_state_machine(machine(**other))
        with pytest.raises(StateMachineAlreadyExists):
            store.create_state_machine(machine(), publication=Publication())

    def test_a_creation_that_publishes_is_compared_with_its_description(self, store: Store):
        first = store.create_state_machine(machine(), publication=Publication(description="one"))
        assert store.create_state_machine(machine(), publication=Publication(description="one")) == first
        for other in (None, Publication(), Publication(description="two")):
            with pytest.raises(StateMachineAlreadyExists):
                store.create_state_machine(machine(), publication=other)
        (version,) = store.versions(MACHINE)
        assert (version.number, version.description, version.creation_date) == (1, "one", 5)

    def test_what_was_changed_since_is_not_the_same(self, store: Store):
        store.create_state_machine(machine())
        self.updated(store, "[]")
        with pytest.raises(StateMachineAlreadyExists):
            store.create_state_machine(machine())

    # ── updates ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_a_change_makes_a_revision_and_the_same_again_does_not(self, store: Store):
        first = store.create_state_machine(machine(role_arn="a", logging=ALL))
        second = self.updated(store, "[]")
        assert (first.revision_name, second.revision_name) == ("INITIAL", str(second.revision_id))
        assert (second.creation_date, second.revision_date, second.role_arn, second.logging) == (5, 9, "a", ALL)
        assert self.updated(store, "[]", now=11) == second == store.state_machine(MACHINE)
        assert store.revision(first.revision_id) == first

    @pytest.mark.parametrize("change", [{"role_arn": "b"}, {"logging": ALL}, {"tracing": {"enabled": True}}])
    def test_not_only_the_definition_makes_a_revision(self, store: Store, change: Any):
        first = store.create_state_machine(machine(role_arn="a"))
        changed = store.update_state_machine(MACHINE, change, revision_id=new_revision_id(), now=9)
        assert changed.revision_id != first.revision_id
        assert replace(first, **change, is_initial=False, revision_date=9, revision_id=changed.revision_id) == changed

    def test_going_back_makes_a_revision_too(self, store: Store):
        first = store.create_state_machine(machine())
        self.updated(store, "[]")
        back = self.updated(store, "{}")
        assert back.definition == first.definition
        assert not back.is_initial
        assert store.deploy(machine(definition="1")).revision_id != first.revision_id
        again = store.deploy(replace(first, pool="gpu"))
        assert again.revision_id not in (first.revision_id, back.revision_id)
        assert store.revision(first.revision_id).is_initial

    def test_a_deployment_leaves_role_and_configuration_as_they_are(self, store: Store):
        store.create_state_machine(machine(role_arn="a", logging=ALL))
        deployed = store.deploy(machine(definition="[]", pool="gpu"))
        assert (deployed.role_arn, deployed.logging, deployed.pool) == ("a", ALL, "gpu")
        assert store.deploy(machine(definition="[]", pool="cpu")).revision_id == deployed.revision_id
        assert store.state_machine(MACHINE).pool == store.revision(deployed.revision_id).pool == "cpu"

    def test_an_unknown_state_machine_can_not_be_changed(self, store: Store):
        with pytest.raises(StateMachineDoesNotExist):
            self.updated(store, "[]")
        with pytest.raises(StateMachineDoesNotExist):
            store.publish_version(MACHINE, now=9)
        with pytest.raises(StateMachineDoesNotExist):
            store.create_alias(MACHINE, alias())
        with pytest.raises(ResourceNotFound):
            store.update_alias(MACHINE, "prod", description="d", routing=None, now=9)
        store.delete_version(MACHINE, 1)
        store.delete_alias(MACHINE, "prod")
        store.delete_state_machine(MACHINE)

    # ── lists ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_state_machines_are_listed_by_code_points_in_pages(self, store: Store):
        names = ["a_0", "a_10", "a_1_", "B", "b", "ä"]
        for name in reversed(names):
            store.create_state_machine(machine(name))
        elsewhere = store.create_state_machine(machine(arn="arn:aws:states:eu-west-1:1:stateMachine:a"))
        within = MACHINE.rpartition(":")[0] + ":"
        found = [record.name for record in store.state_machines(within=within)]
        assert found == sorted(names)
        page = store.state_machines(within=within, most=2)
        rest = store.state_machines(within=within, after=page[-1].arn)
        assert [record.name for record in [*page, *rest]] == found
        assert store.state_machines(most=1) == [elsewhere]

    def test_what_is_there_is_counted_by_the_beginning_of_its_arn(self, store: Store):
        kept = [machine(name) for name in ("a", "ab", "b")]
        for one in kept:
            store.create_state_machine(one)
        store.create_activity(ACTIVITY)
        machines, activities = MACHINE.rpartition(":")[0] + ":", ACTIVITY.arn.rpartition(":")[0] + ":"
        assert store.count("stateMachine", within=machines) == 3
        assert store.count("stateMachine", within=machines + "a") == 2
        assert store.count("stateMachine", within=machines.replace("123456789012", "210987654321")) == 0
        store.delete_state_machine(kept[0].arn)
        assert store.count("stateMachine", within=machines) == 2
        assert store.count("activity", within=activities) == 1
        store.delete_activity(ACTIVITY.arn)
        assert store.count("activity", within=activities) == 0

    # ── deletion ────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_a_state_machine_without_open_executions_goes_at_once(self, store: Store):
        self.published(store)
        store.create_alias(MACHINE, alias())
        store.tag(MACHINE, {"k": "v"})
        store.delete_state_machine(MACHINE)
        with pytest.raises(StateMachineDoesNotExist):
            store.state_machine(MACHINE)
        with pytest.raises(StateMachineDoesNotExist):
            store.version(MACHINE, 1)
        with pytest.raises(ResourceNotFound):
            store.alias(MACHINE, "prod")
        with pytest.raises(ResourceNotFound):
            store.tags(MACHINE)
        assert list(store.state_machines()) == list(store.versions(MACHINE)) == list(store.aliases(MACHINE)) == []
        assert list(store.deleting()) == []

    def test_created_again_it_is_another_one(self, store: Store):
        self.published(store, "[]")
        old = store.state_machine(MACHINE)
        store.delete_state_machine(MACHINE)
        new = store.create_state_machine(
            machine(type="EXPRESS", definition="1", creation_date=20), publication=Publication(description="d")
        )
        assert store.state_machine(MACHINE) == new
        assert (new.type, new.is_initial, new.creation_date) == ("EXPRESS", True, 20)
        assert [version.number for version in store.versions(MACHINE)] == [1]
        assert store.revision(old.revision_id).definition == "[]"
        store.delete_state_machine(MACHINE)
        assert store.deploy(machine()).is_initial

    @pytest.mark.parametrize(
        "finish",
        [lambda store: store.gc(), lambda store: store.finish_deletion(MACHINE)],
        ids=["the sweep", "a worker"],
    )
    def test_one_with_open_executions_is_being_deleted_until_they_have_ended(
        self, store: Store, finish: Callable[[Store], None]
    ):
        worker = enlisted(store)
        run = born(worker)
        self.published(store)
        store.delete_state_machine(MACHINE)
        store.delete_state_machine(MACHINE)
        assert store.state_machine(MACHINE).status == store.state_machines()[0].status == "DELETING"
        since = dict(store.deleting())
        assert list(since) == [MACHINE]
        assert 0 < since[MACHINE] <= worker.renew()
        assert list(store.versions(MACHINE)) == []
        for refused in (
            lambda: store.create_state_machine(machine()),
            lambda: store.deploy(machine()),
            lambda: self.updated(store, "[]"),
            lambda: store.publish_version(MACHINE, now=9),
            lambda: store.create_alias(MACHINE, alias()),
        ):
            with pytest.raises(StateMachineDeleting, match=MACHINE):
                refused()
        finish(store)
        assert store.deleting() == since
        run.write(worker, ending=SUCCEEDED)
        finish(store)
        with pytest.raises(StateMachineDoesNotExist):
            store.state_machine(MACHINE)

    def test_what_is_not_being_deleted_is_not_finished(self, store: Store):
        made = store.create_state_machine(machine())
        store.finish_deletion(MACHINE)
        assert store.state_machine(MACHINE) == made

    def test_open_executions_of_others_do_not_keep_it(self, store: Store):
        Run(state_machine_arn=MACHINE + "2").write(enlisted(store))
        store.create_state_machine(machine())
        store.delete_state_machine(MACHINE)
        assert list(store.deleting()) == []

    # ── versions ────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_a_version_stands_for_one_revision(self, store: Store):
        first = store.create_state_machine(machine())
        one = store.publish_version(MACHINE, description="one", now=7)
        assert (one.number, one.revision_id, one.description, one.creation_date) == (1, first.revision_id, "one", 7)
        assert store.publish_version(MACHINE, description="again", now=8) == one == store.version(MACHINE, 1)
        second = self.updated(store, "[]")
        two = store.publish_version(MACHINE, now=9)
        assert (two.number, two.revision_id) == (2, second.revision_id)
        assert list(store.versions(MACHINE)) == [two, one]
        assert list(store.versions(MACHINE, most=1)) == [two]
        assert list(store.versions(MACHINE, before=2)) == [one]

    def test_a_number_is_never_used_again(self, store: Store):
        self.published(store, "[]")
        store.delete_version(MACHINE, 2)
        store.delete_version(MACHINE, 2)
        with pytest.raises(StateMachineDoesNotExist, match=f"{MACHINE}:2"):
            store.version(MACHINE, 2)
        assert store.publish_version(MACHINE, now=9).number == 3

    def test_only_the_revision_that_is_meant_is_published(self, store: Store):
        store.create_state_machine(machine())
        assert store.publish_version(MACHINE, expected="INITIAL", now=9).number == 1
        current = self.updated(store, "[]").revision_name
        with pytest.raises(ConflictException) as caught:
            store.publish_version(MACHINE, expected="INITIAL", now=9)
        assert caught.value.message == (
            "Failed to publish the State Machine version for revision INITIAL. "
            f"The current State Machine revision is {current}."
        )
        assert store.publish_version(MACHINE, expected=current, now=9).number == 2

    def test_there_are_only_so_many_versions(self, store: Store, monkeypatch: pytest.MonkeyPatch):
        self.fewer(monkeypatch, "VERSIONS_MAX")
        assert VERSIONS_MAX == 1_000
        self.published(store, "1")
        self.updated(store, "2")
        with pytest.raises(ServiceQuotaExceededException):
            store.publish_version(MACHINE, now=9)
        store.delete_version(MACHINE, 1)
        assert store.publish_version(MACHINE, now=9).number == 3

    def fewer(self, monkeypatch: pytest.MonkeyPatch, quota: str) -> None:
        for module in ("engine.store.memory_definitions", "engine.store.postgres.versions"):
            monkeypatch.setattr(f"{module}.{quota}", 2)

    # ── aliases ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_an_alias_is_kept_and_the_same_again_changes_nothing(self, store: Store):
        self.published(store, "[]")
        made = store.create_alias(MACHINE, alias("prod", (1, 30), (2, 70), description="d"))
        again = alias("prod", (2, 70), (1, 30), description="d", creation_date=99, update_date=99)
        assert store.create_alias(MACHINE, again) == made == store.alias(MACHINE, "prod")
        for other in (alias("prod", (1, 100), description="d"), replace(again, description=None)):
            with pytest.raises(ConflictException, match="an alias with the same name and a different routing"):
                store.create_alias(MACHINE, other)

    def test_an_alias_leads_to_versions_that_are_there(self, store: Store):
        self.published(store)
        with pytest.raises(ResourceNotFound):
            store.create_alias(MACHINE, alias("prod", (2, 100)))
        store.create_alias(MACHINE, alias())
        with pytest.raises(ResourceNotFound):
            store.update_alias(MACHINE, "prod", description=None, routing=((2, 100),), now=9)
        with pytest.raises(ConflictException, match=r"referencing this version: \[prod\]$"):
            store.delete_version(MACHINE, 1)
        store.delete_alias(MACHINE, "prod")
        store.delete_alias(MACHINE, "prod")
        store.delete_version(MACHINE, 1)

    def test_an_update_changes_what_it_says_and_no_more(self, store: Store):
        self.published(store, "[]")
        store.create_alias(MACHINE, alias(description="d"))
        rerouted = store.update_alias(MACHINE, "prod", description=None, routing=((1, 50), (2, 50)), now=9)
        assert rerouted == alias("prod", (1, 50), (2, 50), description="d", update_date=9)
        described = store.update_alias(MACHINE, "prod", description="e", routing=None, now=11)
        assert described == replace(rerouted, description="e", update_date=11) == store.alias(MACHINE, "prod")
        with pytest.raises(ResourceNotFound):
            store.update_alias(MACHINE, "test", description="e", routing=None, now=11)

    def test_aliases_are_listed_by_name_of_all_versions_or_of_one(self, store: Store):
        self.published(store, "[]")
        for one in (alias("b", (1, 100)), alias("C", (2, 100)), alias("a", (1, 1), (2, 99))):
            store.create_alias(MACHINE, one)
        assert [one.name for one in store.aliases(MACHINE)] == ["C", "a", "b"]
        assert [one.name for one in store.aliases(MACHINE, after="C", most=1)] == ["a"]
        assert [one.name for one in store.aliases(MACHINE, of_version=1)] == ["a", "b"]

    def test_there_are_only_so_many_aliases(self, store: Store, monkeypatch: pytest.MonkeyPatch):
        self.fewer(monkeypatch, "ALIASES_MAX")
        assert ALIASES_MAX == 100
        self.published(store)
        store.create_alias(MACHINE, alias("a"))
        store.create_alias(MACHINE, alias("b"))
        with pytest.raises(ServiceQuotaExceededException):
            store.create_alias(MACHINE, alias("c"))

    # ── tags ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_tags_are_put_and_removed_by_key(self, store: Store):
        store.create_state_machine(machine())
        store.create_activity(ACTIVITY)
        for arn in (MACHINE, ACTIVITY.arn):
            store.tag(arn, {})
            assert store.tags(arn) == {}
            store.tag(arn, {"b": "1", "a": ""})
            store.tag(arn, {"b": "2"})
            assert list(store.tags(arn).items()) == [("a", ""), ("b", "2")]
            store.untag(arn, ["a", "a", "z"])
            assert store.tags(arn) == {"b": "2"}

    def test_tags_need_a_resource_and_go_with_it(self, store: Store):
        for ask in (lambda: store.tag(MACHINE, {}), lambda: store.untag(MACHINE, []), lambda: store.tags(MACHINE)):
            with pytest.raises(ResourceNotFound, match=MACHINE):
                ask()
        store.create_activity(ACTIVITY)
        store.tag(ACTIVITY.arn, {"k": "v"})
        store.delete_activity(ACTIVITY.arn)
        store.create_activity(ACTIVITY)
        assert store.tags(ACTIVITY.arn) == {}

    def test_there_are_only_so_many_tags(self, store: Store):
        store.create_state_machine(machine())
        store.tag(MACHINE, {str(number): "" for number in range(TAGS_MAX)})
        store.tag(MACHINE, {"0": "other"})
        with pytest.raises(TooManyTags):
            store.tag(MACHINE, {"one": "more"})
        assert len(store.tags(MACHINE)) == TAGS_MAX

    def test_what_was_never_said_is_as_aws_has_it(self, store: Store):
        record = store.deploy(machine())
        assert (record.logging, record.status) == (LOGGING_OFF, "ACTIVE")
        assert store.state_machine(MACHINE) == record
