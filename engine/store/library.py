"""Definitions, executions as they are shown, and the store as a whole: what is asked of a store beside `protocol`.

Every promise is tested, as there; `records` has what the answers are made of.

All times are milliseconds since the epoch.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from engine.interpreter.history import LAST_EVENT_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from engine.interpreter.history import Segment
    from engine.interpreter.snapshot import Ending, Frame, Snapshot
    from engine.store.hints import Hints
    from engine.store.protocol import Backlog, DurableStore, ExecutionId, ExecutionStatus, RevisionId
    from engine.store.records import (
        ActivityRecord,
        AliasRecord,
        Changes,
        ExecutionRecord,
        Garbage,
        Publication,
        Routing,
        StateMachineRecord,
        TakenChange,
        VersionRecord,
    )

LIST_MAX = 1_000
"""AWS's largest page."""

REDRIVE_TOKENS_MAX = 10
REDRIVE_TOKEN_MS = 15 * 60 * 1_000
"""Client tokens of RedriveExecution that are known again, of one execution (api.md 5.4)."""

NO_TAGS: Mapping[str, str] = MappingProxyType({})

RETENTION_MS_MIN = 24 * 3_600 * 1_000
"""Finished executions are kept for so long at least: they go by days."""

HIDDEN_MS_MAX = 3_600 * 1_000
"""How long a change of status that could not be told waits at most until it is tried again."""

NAME_KEPT_MS = 90 * 24 * 3_600 * 1_000
"""How long after the end nobody may use the name of an execution again (api.md 5.3), even if the execution is gone."""


VERSIONS_MAX = 1_000
ALIASES_MAX = 100
TAGS_MAX = 50
"""AWS's quotas of one state machine, and of one resource (api.md 1.5)."""

Counted: TypeAlias = Literal["stateMachine", "activity"]
"""What `Library.count` counts."""


def check_retention(milliseconds: int | None) -> None:
    """Raises ValueError: it is less than a day, and days go as a whole."""
    if milliseconds is not None and milliseconds < RETENTION_MS_MIN:
        raise ValueError(f"retention: expected a day at least, got {milliseconds / RETENTION_MS_MIN:.3g} days")


class Library(Protocol):
    """Definitions; executions and histories as they are shown; and what an operator does to an execution."""

    # ── state machines ──────────────────────────────────────────────────────────────────────────────────────────────

    def create_state_machine(
        self,
        machine: StateMachineRecord,
        *,
        publication: Publication | None = None,
        tags: Mapping[str, str] = NO_TAGS,
    ) -> StateMachineRecord:
        """Keeps a state machine; the same one again gives the record that there is (execution.md 15).

        Args:
            machine: Its role counts only when it is new; so do `tags`.
            publication: Of version 1, which is published with it; part of what has to be the same.
            tags: Of the state machine.

        Raises:
            StateMachineAlreadyExists: The name is taken by one that was created otherwise, or was changed since.
            StateMachineDeleting: The name is taken by one that is being deleted.
        """
        ...

    def deploy(self, machine: StateMachineRecord) -> StateMachineRecord:
        """Creates the state machine or gives it a new revision with this definition; and its pool.

        The definition that it has already keeps its revision. Executions that run keep the revision that they were
        started with. Role, logging, tracing and encryption of a state machine that is there stay as they are.

        Raises:
            StateMachineAlreadyExists: It is there with another type, which nothing can change.
            StateMachineDeleting: It is being deleted.
        """
        ...

    def update_state_machine(
        self, arn: str, changes: Changes, *, revision_id: RevisionId, now: int
    ) -> StateMachineRecord:
        """Gives a state machine a new revision, `revision_id`, unless it has all of these already.

        Raises:
            StateMachineDoesNotExist, StateMachineDeleting: It is not there, or not for long.
        """
        ...

    def delete_state_machine(self, arn: str) -> None:
        """Has a state machine go, if it is there, and its versions, aliases and tags at once.

        It is DELETING until none of its executions is open; workers stop them at the next event of each.
        """
        ...

    def deleting(self) -> Mapping[str, int]:
        """Since when which state machines, by ARN, are DELETING. Cheap enough to be asked every second."""
        ...

    def finish_deletion(self, arn: str) -> None:
        """Has a state machine go that is DELETING and has no open execution any more; the sweep does it otherwise."""
        ...

    def state_machine(self, arn: str) -> StateMachineRecord:
        """A state machine with its newest revision.

        Raises:
            StateMachineDoesNotExist: No such one.
        """
        ...

    def state_machines(
        self, *, within: str = "arn:", after: str = "", most: int = LIST_MAX
    ) -> Sequence[StateMachineRecord]:
        """State machines with their newest revisions, by ARN, in the order of code points.

        Args:
            within: What their ARNs begin with.
            after: The last ARN of the page before.
            most: The size of a page.
        """
        ...

    def count(self, kind: Counted, *, within: str) -> int:
        """How many state machines or activities there are whose ARNs begin so."""
        ...

    def revision(self, revision_id: RevisionId) -> StateMachineRecord:
        """The state machine as it was in this revision, which some execution or state machine names."""
        ...

    # ── versions and aliases ────────────────────────────────────────────────────────────────────────────────────────

    def publish_version(
        self, machine_arn: str, *, expected: str | None = None, description: str | None = None, now: int
    ) -> VersionRecord:
        """Makes the current revision a version; the one that it is already, if it was published before.

        Args:
            machine_arn: Of the state machine.
            expected: `revision_name` of the revision that is meant; None: whichever is the current one.
            description: Of a new version.
            now: When.

        Raises:
            StateMachineDoesNotExist, StateMachineDeleting: See there.
            ConflictException: Another revision is the current one.
            ServiceQuotaExceededException: There are VERSIONS_MAX.
        """
        ...

    def version(self, machine_arn: str, number: int) -> VersionRecord:
        """A version. Raises StateMachineDoesNotExist, with the version's ARN."""
        ...

    def versions(self, machine_arn: str, *, before: int | None = None, most: int = LIST_MAX) -> Sequence[VersionRecord]:
        """The versions of a state machine, the newest first; `before`: the last number of the page before."""
        ...

    def delete_version(self, machine_arn: str, number: int) -> None:
        """Removes a version, if it is there; its number is never used again. Raises ConflictException: an alias has it.

        Executions that were started with it go on.
        """
        ...

    def create_alias(self, machine_arn: str, alias: AliasRecord) -> AliasRecord:
        """Makes an alias; one that is there with the same routing and description is given as it is.

        Raises:
            StateMachineDoesNotExist, StateMachineDeleting: See there.
            ResourceNotFound: No such version.
            ConflictException: The name has another routing or description.
            ServiceQuotaExceededException: There are ALIASES_MAX.
        """
        ...

    def update_alias(
        self, machine_arn: str, name: str, *, description: str | None, routing: Routing | None, now: int
    ) -> AliasRecord:
        """Changes what is not None of an alias.

        Raises:
            ResourceNotFound: No such alias or version.
        """
        ...

    def alias(self, machine_arn: str, name: str) -> AliasRecord:
        """An alias. Raises ResourceNotFound."""
        ...

    def aliases(
        self, machine_arn: str, *, of_version: int | None = None, after: str = "", most: int = LIST_MAX
    ) -> Sequence[AliasRecord]:
        """The aliases of a state machine by name, in the order of code points.

        Args:
            machine_arn: Of the state machine.
            of_version: Those alone that lead to this version.
            after: The last name of the page before.
            most: The size of a page.
        """
        ...

    def delete_alias(self, machine_arn: str, name: str) -> None:
        """Removes an alias, if it is there."""
        ...

    # ── tags ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def tag(self, resource_arn: str, tags: Mapping[str, str]) -> None:
        """Gives a state machine or activity tags, by key; what it has under other keys stays.

        Raises:
            ResourceNotFound: No such state machine or activity.
            TooManyTags: It would have more than TAGS_MAX.
        """
        ...

    def untag(self, resource_arn: str, keys: Collection[str]) -> None:
        """Removes tags; keys that it has not are no fault. Raises ResourceNotFound."""
        ...

    def tags(self, resource_arn: str) -> Mapping[str, str]:
        """The tags of a state machine or activity, in the order of their keys. Raises ResourceNotFound."""
        ...

    # ── activities ──────────────────────────────────────────────────────────────────────────────────────────────────

    def create_activity(self, activity: ActivityRecord, *, tags: Mapping[str, str] = NO_TAGS) -> ActivityRecord:
        """Makes an activity; one that is there already keeps its date and its tags (api.md 5.5).

        Raises:
            ActivityAlreadyExists: It is there with another encryption.
        """
        ...

    def delete_activity(self, activity_arn: str) -> None:
        """Removes an activity, if it is there. Its Tasks wait on; created again, it has those that were offered."""
        ...

    def activity(self, activity_arn: str) -> ActivityRecord:
        """An activity. Raises ActivityDoesNotExist."""
        ...

    def activities(self, *, after: str = "", most: int = 1_000) -> Sequence[ActivityRecord]:
        """Activities by ARN, in the order of code points; `after`: the last ARN of the page before."""
        ...

    # ── executions ──────────────────────────────────────────────────────────────────────────────────────────────────

    def execution(self, execution_arn: str) -> ExecutionRecord:
        """An execution as it was last committed.

        Raises:
            ExecutionDoesNotExist: No such one.
            UnknownFormat: A newer engine wrote its beginning or its end.
        """
        ...

    def described(self, execution_arns: Collection[str]) -> Mapping[str, ExecutionRecord | Exception]:
        """`execution` of many, in one question: for each ARN its record, or the error that `execution` raises."""
        ...

    def executions(self, state_machine_arn: str, *, status: ExecutionStatus | None = None) -> Sequence[ExecutionRecord]:
        """The executions of a state machine, newest first, of one status or of all."""
        ...

    def endings(self, execution_ids: Collection[ExecutionId]) -> Mapping[ExecutionId, Ending | str | None]:
        """For whoever waits for many executions: what there is to tell of them, in one question.

        Returns:
            The ending of each that is over; the reason of each that is in quarantine; None for each that is nowhere.
            Those that run are left out.
        """
        ...

    def history(
        self,
        execution_arn: str,
        *,
        from_event_id: int = 0,
        events_max: int = LAST_EVENT_ID,
        backwards: bool = False,
    ) -> Sequence[Segment]:
        """What was committed, oldest first.

        Args:
            execution_arn: Whose.
            from_event_id: The segment that has this event comes first.
            events_max: Segments that have one of so many events from there; a few more events stand around these.
            backwards: The newest first, from `from_event_id` down (0: from the last segment).

        Raises:
            ExecutionDoesNotExist: No such one.
        """
        ...

    def snapshot(self, execution_arn: str) -> Snapshot | None:
        """Where an execution stands, or where it ended without success; None: it succeeded, or that is no longer kept.

        Raises:
            ExecutionDoesNotExist: No such one.
        """
        ...

    def roots(self, execution_ids: Collection[ExecutionId]) -> Mapping[ExecutionId, Frame | None]:
        """The root Frames of those that are not over, and nothing else of them; None: it has not begun."""
        ...

    def latest_executions(
        self,
        state_machine_arn: str,
        *,
        status: ExecutionStatus | None = None,
        after: tuple[int, ExecutionId] | None = None,
        most: int = LIST_MAX,
    ) -> Sequence[ExecutionRecord]:
        """The executions of a state machine, those first to which something happened last: `last_change`, then id.

        Args:
            state_machine_arn: Of the state machine.
            status: Those of this status alone.
            after: `last_change` and id of the last one of the page before.
            most: The size of a page.
        """
        ...

    def redriven(self, execution_arn: str, client_token: str) -> int | None:
        """When a redrive with this token was made, if that is one of the last REDRIVE_TOKENS_MAX in REDRIVE_TOKEN_MS.

        Raises:
            ExecutionDoesNotExist: No such one.
        """
        ...

    def reopen(
        self, execution_arn: str, client_token: str | None = None, *, redrives: int | None = None
    ) -> tuple[ExecutionId, int]:
        """Opens an execution that did not succeed, unowned and with RedriveRequested as mail; it counts as RUNNING.

        Args:
            execution_arn: Whose.
            client_token: See `redriven`.
            redrives: See `RedriveRequested`.

        Returns:
            Its id, and when that was.

        Raises:
            ExecutionDoesNotExist: No such one.
            ExecutionNotRedrivable: It is open, it succeeded, or its last snapshot is no longer kept.
        """
        ...

    def resume(self, execution_arn: str) -> ExecutionId:
        """Ends an execution's quarantine, if it is in one: from then on it can be claimed.

        Raises:
            ExecutionDoesNotExist: No such one, or it is over.
        """
        ...


class Store(Library, Protocol):
    """A whole backend."""

    @property
    def hints(self) -> Hints:
        """What its processes tell one another. What is done by a handle or by `Library` is told by itself."""
        ...

    def handle(self) -> DurableStore:
        """The access of one worker, or of a client; each has its own."""
        ...

    def gc(self, *, older_than: int | None = None, dry_run: bool = False) -> Garbage:
        """Deletes what nobody needs any more; workers may run meanwhile.

        Always: what callers and dead workers left behind. With `older_than` also executions that finished more than so
        many milliseconds ago. They may stay until the whole day (UTC) that they started in is as old. Open ones stay.

        Args:
            dry_run: Deletes nothing and tells what would go now.

        Raises:
            ValueError: `older_than` is less than a day.
        """
        ...

    def sweep(self, *, retention: int | None, proceed: Callable[[], bool]) -> Garbage:
        """As `gc`, for a fleet whose workers all call it now and then: what one has done the others leave alone.

        Args:
            proceed: Asked now and then; when it is false this ends early.
        """
        ...

    def backlog(self, pools: Collection[str]) -> Backlog:
        """What waits in these pools. Cheap enough to be asked twice a minute by every worker."""
        ...

    def take_status_changes(self, *, most: int, hidden_ms: int) -> Sequence[TakenChange]:
        """Takes changes of status that nobody has told yet, those that wait longest; by execution and number.

        They are hidden from everybody for `hidden_ms`, twice as long with each time that they were taken, an hour at
        most; then they can be taken again, unless they were settled.
        """
        ...

    def settle_status_changes(self, changes: Sequence[TakenChange]) -> None:
        """They were told, or never will be: removes them."""
        ...

    def notify(self, channel: str, payloads: Sequence[str]) -> None:
        """Tells whoever listens to a channel of PostgreSQL.

        Raises:
            StoreUnavailable: Perhaps they were told.
            ValueError: This store has no channels.
        """
        ...

    def close(self) -> None:
        """Closes connections; handles are of no use afterwards."""
        ...
