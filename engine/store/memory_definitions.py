"""State machines, versions, aliases and tags in dictionaries: the part of the memory store that no worker changes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from engine.errors import (
    ConflictException,
    ResourceNotFound,
    ServiceQuotaExceededException,
    StateMachineAlreadyExists,
    StateMachineDeleting,
    StateMachineDoesNotExist,
    TooManyTags,
)
from engine.store.library import ALIASES_MAX, LIST_MAX, NO_TAGS, TAGS_MAX, VERSIONS_MAX
from engine.store.protocol import RevisionId
from engine.store.records import AliasRecord, VersionRecord, same_alias, same_creation

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Mapping

    from engine.store.library import Counted
    from engine.store.records import ActivityRecord, Changes, Publication, Routing, StateMachineRecord


@dataclass(slots=True)
class _Machine:
    """A state machine.

    Attributes:
        record: With its current revision.
        publication: Of its creation.
        published: How many versions it ever had.
        versions: By number; the newest is the last.
        aliases: By name.
    """

    record: StateMachineRecord
    publication: Publication | None = None
    published: int = 0
    versions: dict[int, VersionRecord] = field(default_factory=dict)
    aliases: dict[str, AliasRecord] = field(default_factory=dict)


class MemoryDefinitions:
    """The definitions of a `Library`, and the tags.

    Attributes:
        lock: Of the whole store.
        now: The store's clock, ms since the epoch.
        doomed: What `deleting` gives.
        activity_records: By ARN.
    """

    def __init__(self, lock: threading.RLock, now: Callable[[], int], has_open: Callable[[str], bool]) -> None:
        """Nothing is in it.

        Args:
            lock: Of the whole store.
            now: Its clock.
            has_open: Whether an execution of a state machine, given by ARN, is open.
        """
        self.lock = lock
        self.now = now
        self.doomed: dict[str, int] = {}
        self._has_open = has_open
        self.activity_records: dict[str, ActivityRecord] = {}
        self._machines: dict[str, _Machine] = {}
        self._revisions: dict[RevisionId, StateMachineRecord] = {}
        self._tags: dict[str, dict[str, str]] = {}

    # ── state machines ──────────────────────────────────────────────────────────────────────────────────────────────

    def create_state_machine(
        self,
        machine: StateMachineRecord,
        *,
        publication: Publication | None = None,
        tags: Mapping[str, str] = NO_TAGS,
    ) -> StateMachineRecord:
        """See `Library`."""
        with self.lock:
            known = self._machines.get(machine.arn)
            if known is not None:
                self._require_active(known.record)
                if known.publication != publication or not same_creation(known.record, machine):
                    raise StateMachineAlreadyExists(machine.arn)
                return known.record
            made = _Machine(self._new_revision(machine, now=machine.creation_date, is_initial=True), publication)
            self._machines[machine.arn] = made
            if publication is not None:
                self._publish(made, publication.description, machine.creation_date)
            if tags:
                self.tag(machine.arn, tags)
            return made.record

    def deploy(self, machine: StateMachineRecord) -> StateMachineRecord:
        """See `Library`."""
        with self.lock:
            known = self._machines.get(machine.arn)
            if known is None:
                return self.create_state_machine(machine)
            self._require_active(known.record)
            if known.record.type != machine.type:
                raise StateMachineAlreadyExists(machine.arn)
            given = replace(known.record, definition=machine.definition, pool=machine.pool)
            if given.definition != known.record.definition:
                given = replace(given, revision_id=machine.revision_id)
                given = self._new_revision(given, now=machine.creation_date, is_initial=False)
            known.record = given
            return given

    def update_state_machine(
        self, arn: str, changes: Changes, *, revision_id: RevisionId, now: int
    ) -> StateMachineRecord:
        """See `Library`."""
        with self.lock:
            known = self._active(arn)
            given = replace(known.record, **changes)
            if given != known.record:
                known.record = self._new_revision(replace(given, revision_id=revision_id), now=now, is_initial=False)
            return known.record

    def _new_revision(self, record: StateMachineRecord, *, now: int, is_initial: bool) -> StateMachineRecord:
        record = replace(record, is_initial=is_initial, revision_date=now, status="ACTIVE")
        if record.revision_id in self._revisions:  # the same definition again, after another one
            record = replace(record, revision_id=RevisionId(uuid4()))
        self._revisions[record.revision_id] = record
        return record

    def delete_state_machine(self, arn: str) -> None:
        """See `Library`."""
        with self.lock:
            known = self._machines.get(arn)
            if known is not None:
                known.record = replace(known.record, status="DELETING")
                self.doomed.setdefault(arn, self.now())
                known.versions, known.aliases = {}, {}
                self._tags.pop(arn, None)
                self.finish_deletion(arn)

    def finish_deletion(self, arn: str) -> None:
        """See `Library`. An execution that ends asks for it itself."""
        with self.lock:
            if arn in self.doomed and not self._has_open(arn):
                del self._machines[arn], self.doomed[arn]

    def deleting(self) -> Mapping[str, int]:
        """See `Library`."""
        with self.lock:
            return dict(self.doomed)

    def state_machine(self, arn: str) -> StateMachineRecord:
        """See `Library`."""
        return self._known(arn).record

    def state_machines(
        self, *, within: str = "arn:", after: str = "", most: int = LIST_MAX
    ) -> list[StateMachineRecord]:
        """See `Library`."""
        with self.lock:
            found = sorted(arn for arn in self._machines if arn.startswith(within) and arn > after)
            return [self._machines[arn].record for arn in found[:most]]

    def count(self, kind: Counted, *, within: str) -> int:
        """See `Library`."""
        with self.lock:
            known = self._machines if kind == "stateMachine" else self.activity_records
            return sum(arn.startswith(within) for arn in known)

    def revision(self, revision_id: RevisionId) -> StateMachineRecord:
        """See `Library`."""
        record = self._revisions[revision_id]
        known = self._machines.get(record.arn)
        return record if known is None else replace(record, pool=known.record.pool, status=known.record.status)

    def _known(self, arn: str) -> _Machine:
        try:
            return self._machines[arn]
        except KeyError:
            raise StateMachineDoesNotExist(arn) from None

    def _active(self, arn: str) -> _Machine:
        known = self._known(arn)
        self._require_active(known.record)
        return known

    @staticmethod
    def _require_active(record: StateMachineRecord) -> None:
        if record.status == "DELETING":
            raise StateMachineDeleting(record.arn)

    # ── versions ────────────────────────────────────────────────────────────────────────────────────────────────────

    def publish_version(
        self, machine_arn: str, *, expected: str | None = None, description: str | None = None, now: int
    ) -> VersionRecord:
        """See `Library`."""
        with self.lock:
            known = self._active(machine_arn)
            current = known.record.revision_name
            if expected is not None and expected != current:
                raise ConflictException.of_revision(expected, current)
            revision_id = known.record.revision_id
            for version in reversed(known.versions.values()):
                if version.revision_id == revision_id:
                    return version
            return self._publish(known, description, now)

    def _publish(self, known: _Machine, description: str | None, now: int) -> VersionRecord:
        if len(known.versions) >= VERSIONS_MAX:
            raise ServiceQuotaExceededException("versions", VERSIONS_MAX)
        known.published += 1
        version = known.versions[known.published] = VersionRecord(
            number=known.published,
            revision_id=known.record.revision_id,
            description=description,
            creation_date=now,
        )
        return version

    def version(self, machine_arn: str, number: int) -> VersionRecord:
        """See `Library`."""
        with self.lock:
            known = self._machines.get(machine_arn)
            if known is None or number not in known.versions:
                raise StateMachineDoesNotExist(f"{machine_arn}:{number}")
            return known.versions[number]

    def versions(self, machine_arn: str, *, before: int | None = None, most: int = LIST_MAX) -> list[VersionRecord]:
        """See `Library`."""
        with self.lock:
            known = self._machines.get(machine_arn)
            found = [] if known is None else list(reversed(known.versions.values()))
        return [version for version in found if before is None or version.number < before][:most]

    def delete_version(self, machine_arn: str, number: int) -> None:
        """See `Library`."""
        with self.lock:
            referring = [alias.name for alias in self.aliases(machine_arn, of_version=number)]
            if referring:
                raise ConflictException.of_aliases(referring)
            if machine_arn in self._machines:
                self._machines[machine_arn].versions.pop(number, None)

    # ── aliases ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def create_alias(self, machine_arn: str, alias: AliasRecord) -> AliasRecord:
        """See `Library`."""
        with self.lock:
            known = self._active(machine_arn)
            there = known.aliases.get(alias.name)
            if there is not None:
                if not same_alias(there, alias):
                    raise ConflictException.of_alias()
                return there
            self._require_versions(known, alias.routing)
            if len(known.aliases) >= ALIASES_MAX:
                raise ServiceQuotaExceededException("aliases", ALIASES_MAX)
            known.aliases[alias.name] = alias
            return alias

    def update_alias(
        self, machine_arn: str, name: str, *, description: str | None, routing: Routing | None, now: int
    ) -> AliasRecord:
        """See `Library`."""
        with self.lock:
            if machine_arn in self._machines:
                self._require_active(self._machines[machine_arn].record)
            alias = replace(self.alias(machine_arn, name), update_date=now)
            if description is not None:
                alias = replace(alias, description=description)
            if routing is not None:
                self._require_versions(self._machines[machine_arn], routing)
                alias = replace(alias, routing=routing)
            self._machines[machine_arn].aliases[name] = alias
            return alias

    @staticmethod
    def _require_versions(known: _Machine, routing: Routing) -> None:
        if any(number not in known.versions for number, _ in routing):
            raise ResourceNotFound

    def alias(self, machine_arn: str, name: str) -> AliasRecord:
        """See `Library`."""
        with self.lock:
            known = self._machines.get(machine_arn)
            if known is None or name not in known.aliases:
                raise ResourceNotFound
            return known.aliases[name]

    def aliases(
        self, machine_arn: str, *, of_version: int | None = None, after: str = "", most: int = LIST_MAX
    ) -> list[AliasRecord]:
        """See `Library`."""
        with self.lock:
            known = self._machines.get(machine_arn)
            found = [] if known is None else sorted(known.aliases.values(), key=lambda alias: alias.name)
        return [
            alias for alias in found if alias.name > after and (of_version is None or of_version in dict(alias.routing))
        ][:most]

    def delete_alias(self, machine_arn: str, name: str) -> None:
        """See `Library`."""
        with self.lock:
            known = self._machines.get(machine_arn)
            if known is not None:
                known.aliases.pop(name, None)

    # ── tags ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def tag(self, resource_arn: str, tags: Mapping[str, str]) -> None:
        """See `Library`."""
        with self.lock:
            self._require_resource(resource_arn)
            together = {**self._tags.get(resource_arn, {}), **tags}
            if len(together) > TAGS_MAX:
                raise TooManyTags(resource_arn)
            self._tags[resource_arn] = together

    def untag(self, resource_arn: str, keys: Collection[str]) -> None:
        """See `Library`."""
        with self.lock:
            self._require_resource(resource_arn)
            for key in keys:
                self._tags.get(resource_arn, {}).pop(key, None)

    def tags(self, resource_arn: str) -> dict[str, str]:
        """See `Library`."""
        with self.lock:
            self._require_resource(resource_arn)
            return dict(sorted(self._tags.get(resource_arn, {}).items()))

    def _require_resource(self, arn: str) -> None:
        if arn not in self._machines and arn not in self.activity_records:
            raise ResourceNotFound.of_tags(arn)

    def forget_tags(self, resource_arn: str) -> None:
        """Of a resource that is gone; the lock is held."""
        self._tags.pop(resource_arn, None)
