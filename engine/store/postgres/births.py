"""First checkpoints of executions with names of the callers', many in one statement.

It is a group's statement that takes the names as well, over a session and in a thread of its own: somebody's open
transaction may hold a name, and all executions of the worker would wait with a group. The names are taken before the
fence is locked, so that a wait for one holds up no renewal either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import psycopg

from engine.store.postgres.arrays import texts, uuids
from engine.store.postgres.connection import unavailable
from engine.store.postgres.group import statement
from engine.store.postgres.identity import as_execution_id, machine_key
from engine.store.postgres.writer import fitting
from engine.store.protocol import OwnershipLost

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from engine.store.postgres.connection import Session
    from engine.store.postgres.group import Written
    from engine.store.postgres.ownership import Ownership
    from engine.store.protocol import Checkpoint, ExecutionId

# Bad data, a name or an id that is there already, a deadlock, a name that was waited for too long: nothing was written.
_ROLLED_BACK_CLASSES = frozenset({"22", "23", "40", "54", "55"})
_WAITED_CLASS = "55"
_ATTEMPTS_MAX = 3

# Whatever its epoch is: the answer to a `recover` that raised it may be on its way, or lost.
_IS_ALIVE = "select 1 from asl.worker where id = $1 and state = 'alive'"

_TAKEN = """
select u.id from unnest($1::uuid[], $2::uuid[], $3::text[]) u(id, machine, name)
join asl.execution_name n on n.state_machine_id = u.machine and n.name = u.name
"""


class NamedBirths:
    """Starts executions that one worker incarnation then owns."""

    def __init__(self, session: Session, own: Ownership) -> None:
        self._session = session
        self._own = own

    def start_all(self, checkpoints: Sequence[Checkpoint]) -> Collection[ExecutionId]:
        """See `DurableStore.start_all`."""
        # What does not fit, or cannot be written, is started alone, and then told why it cannot be.
        births, _ = fitting(sorted(checkpoints, key=lambda checkpoint: checkpoint.execution_id.int), {})
        births = [birth for birth in births if as_execution_id(birth.execution.name) is None]
        for _ in range(_ATTEMPTS_MAX):
            if not births:
                break
            fate = self._send(births)
            if fate == "WRITTEN":
                return [birth.id for birth in births]
            if fate == "WAITED":
                break  # which of the names it was nobody tells
            births = self._untaken(births)
        return ()

    def _send(self, births: Sequence[Written]) -> Literal["WRITTEN", "REFUSED", "WAITED"]:
        """What became of them, all of them alike. WAITED: somebody holds a name."""
        epoch = self._own.epoch
        sent = statement(self._own.worker_id, epoch, births, ())
        try:
            self._session.execute_finished(sent.sql, sent.parameters)
        except psycopg.Error as error:
            # Without a connection nobody knows whether the end came before or after the commit.
            if error.sqlstate is None or not self._session.is_connected:
                raise unavailable(error) from error
            if error.sqlstate[:2] not in _ROLLED_BACK_CLASSES:
                raise unavailable(error) from error
            if not self._session.run(_IS_ALIVE, (self._own.worker_id,)):
                raise OwnershipLost("this worker was declared dead") from error
            return "WAITED" if error.sqlstate[:2] == _WAITED_CLASS else "REFUSED"
        return "WRITTEN"

    def _untaken(self, births: Sequence[Written]) -> list[Written]:
        """Those whose name and id nobody has."""
        ids = uuids([birth.id for birth in births])
        machines = uuids([machine_key(birth.execution.state_machine_arn) for birth in births])
        names = texts([birth.execution.name for birth in births])
        taken = {row[0] for row in self._session.run(_TAKEN, (ids, machines, names))}
        return [birth for birth in births if birth.id not in taken]
