"""Writing a group: one statement, and what it means when it fails.

fence gone                                  OwnershipLost
a row not ours at its seq, a token taken    Conflict, which names the executions
SQLSTATE classes 22, 23, 54                 the bad rows are found by halves, the others written, Unwritable
rolled back for a passing reason            sent again, a few times
anything else                               StoreUnavailable: only `recover` can tell
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
from msgspec.structs import replace

from engine.store.postgres.arrays import byteas, int4s, uuids
from engine.store.postgres.connection import NOW_MS, OWNED_BY_ID, unavailable
from engine.store.postgres.group import statement, write
from engine.store.protocol import Committed, Conflict, ExecutionId, OwnershipLost, StoreUnavailable, Unwritable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.store.postgres.connection import Session
    from engine.store.postgres.group import Written
    from engine.store.protocol import Checkpoint, Group, Release

_DIVISION_BY_ZERO = "22012"
_BAD_DATA_CLASSES = frozenset({"22", "23", "54"})
# Serialization failure and deadlock; lock_timeout. The server says that it rolled back.
_PASSING_CLASSES = frozenset({"40", "55"})
_ATTEMPTS_MAX = 4

GROUP_BYTES_MAX = 32 << 20
"""More does not go into one statement: on a slow disk it would not come to an end in time, at 1 GB never."""

CHECKPOINT_BYTES_MAX = 256 << 20
"""A larger one is refused: sent alone, it would fail again and again, and hold up all others."""

_CLOCK = f"select {NOW_MS}"

_FENCE_HOLDS = "select 1 from asl.worker where id = $1 and epoch = $2 and state = 'alive'"

_NOT_OURS = f"""
select u.id from unnest($2::uuid[], $3::int[]) u(id, seq)
left join asl.open_execution o on o.id = any(array[u.id]) and o.seq = u.seq and {OWNED_BY_ID} where o.id is null
"""

# `offset 0`: as a join it is planned to read all of an index, as long as the planner takes the table for empty.
_ALREADY_BORN = """
select e.id from unnest($1::uuid[]) u(id), lateral (select id from asl.execution e where e.id = u.id offset 0) e
"""

_TOKENS_GONE = """
select u.digest from unnest($1::bytea[]) u(digest)
left join asl.task_token t on t.digest = any(array[u.digest]) and t.closed_at is null where t.digest is null
"""


class GroupWriter:
    """Writes groups for one worker incarnation over its own session."""

    def __init__(self, session: Session, worker_id: UUID) -> None:
        self._session = session
        self._worker_id = worker_id

    def commit(self, group: Group, epoch: int) -> Committed:
        """See `DurableStore.commit`."""
        if not group.checkpoints and not group.releases:
            raise ValueError("a group without a checkpoint or release")
        bad: dict[ExecutionId, str] = {}
        checkpoints, left = fitting(sorted(group.checkpoints, key=_by_execution), bad)
        releases = sorted(group.releases, key=_by_execution)
        committed = self._commit(checkpoints, releases, epoch, bad)
        if left:
            committed = replace(committed, left=left)
        if bad:
            raise Unwritable(bad.keys(), "; ".join(sorted(set(bad.values()))), committed)
        return committed

    def _commit(
        self, checkpoints: list[Written], releases: list[Release], epoch: int, bad: dict[ExecutionId, str]
    ) -> Committed:
        """Writes what is not bad; `bad` grows by what the server refuses."""
        failure: psycopg.Error | None = None
        for _ in range(_ATTEMPTS_MAX):
            if not checkpoints and not releases:
                break
            try:
                return self._send(checkpoints, releases, epoch)
            except psycopg.Error as error:
                state = error.sqlstate
                # Without a connection nobody knows whether the end came before or after the commit.
                if state is None or not self._session.is_connected:
                    raise unavailable(error) from error
                self._check_ownership(checkpoints, releases, epoch)
                kind = state[:2]
                if kind in _BAD_DATA_CLASSES and state != _DIVISION_BY_ZERO:
                    refused = self._refused(checkpoints, epoch)
                    bad |= refused
                    checkpoints = [c for c in checkpoints if c.id not in refused]
                elif kind not in _PASSING_CLASSES and state != _DIVISION_BY_ZERO:
                    raise unavailable(error) from error
                failure = error
        if not checkpoints and not releases:
            return Committed(now=self._session.run(_CLOCK)[0][0])
        raise StoreUnavailable(f"the group failed {_ATTEMPTS_MAX} times, at last with: {failure}") from failure

    def _send(self, checkpoints: Sequence[Written], releases: Sequence[Release], epoch: int) -> Committed:
        sent = statement(self._worker_id, epoch, checkpoints, releases)
        now, kept = self._session.execute_finished(sent.sql, sent.parameters)[:2]
        assert now is not None
        ids = kept.strip("{}").split(",") if kept else ()
        return Committed(now=int(now), kept=frozenset(ExecutionId(UUID(one)) for one in ids if one))

    def _check_ownership(self, checkpoints: list[Written], releases: list[Release], epoch: int) -> None:
        """Raises OwnershipLost or Conflict where that is why a group failed."""
        run = self._session.run
        if not run(_FENCE_HOLDS, (self._worker_id, epoch)):
            raise OwnershipLost("this worker was declared dead")
        expected = [(c.id, c.seq - 1) for c in checkpoints if c.birth is None]
        expected += [(release.execution_id, release.seq) for release in releases]
        given = (self._worker_id, uuids([e[0] for e in expected]), int4s([e[1] for e in expected]))
        lost = {row[0] for row in run(_NOT_OURS, given)}
        lost |= {row[0] for row in run(_ALREADY_BORN, (uuids([c.id for c in checkpoints if c.birth is not None]),))}
        tokens = {digest: c.id for c in checkpoints for digest in c.tokens_closed}
        if tokens:
            lost |= {tokens[row[0]] for row in run(_TOKENS_GONE, (byteas(list(tokens)),))}
        if lost:
            raise Conflict(lost)

    def _refused(self, checkpoints: Sequence[Written], epoch: int) -> dict[ExecutionId, str]:
        """The checkpoints whose data the server does not take, and why: found by halves, writing nothing."""
        reason = self._rehearse(checkpoints, epoch)
        if reason is None:
            return {}
        if len(checkpoints) == 1:
            return {checkpoints[0].id: reason}
        middle = len(checkpoints) // 2
        return self._refused(checkpoints[:middle], epoch) | self._refused(checkpoints[middle:], epoch)

    def _rehearse(self, checkpoints: Sequence[Written], epoch: int) -> str | None:
        if not checkpoints:
            return None
        sent = statement(self._worker_id, epoch, checkpoints, (), is_rehearsal=True)
        try:
            self._session.execute_finished(sent.sql, sent.parameters)
        except psycopg.Error as error:
            if error.sqlstate is None:
                raise unavailable(error) from error
            if error.sqlstate == _DIVISION_BY_ZERO or error.sqlstate[:2] not in _BAD_DATA_CLASSES:
                return None
            return f"{error.sqlstate}: {error.diag.message_primary}"
        raise AssertionError("a rehearsal always fails")


def fitting(
    checkpoints: Sequence[Checkpoint], bad: dict[ExecutionId, str]
) -> tuple[list[Written], frozenset[ExecutionId]]:
    """The first of these, as many as one statement takes; and those that are left. `bad` grows by what cannot be."""
    written: list[Written] = []
    total = 0
    for number, checkpoint in enumerate(checkpoints):
        try:
            one = write(checkpoint)
        except (ValueError, TypeError, RecursionError, OverflowError) as error:
            bad[checkpoint.execution_id] = repr(error)
            continue
        size = one.size
        if size > CHECKPOINT_BYTES_MAX:
            bad[checkpoint.execution_id] = (
                f"a checkpoint of {size} bytes, at most {CHECKPOINT_BYTES_MAX} can be written"
            )
            continue
        if written and total + size > GROUP_BYTES_MAX:
            return written, frozenset(left.execution_id for left in checkpoints[number:])
        total += size
        written.append(one)
    return written, frozenset()


def _by_execution(item: Checkpoint | Release) -> int:
    # The number, as PostgreSQL sorts: comparing UUIDs is Python code and takes ten times as long.
    return item.execution_id.int
