"""What has to be written of a transition: its checkpoint, with the tokens, letters and births that go with it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec

from engine.interpreter.messages import CancelTask, ScheduleTask, SendEvent, StartChild
from engine.runtime.children import end_of_child, stop_of_child
from engine.store.protocol import Birth, Checkpoint, ExecutionId, Mail, MailId
from engine.uuids import UUID7_BITS, uuid7

if TYPE_CHECKING:
    from engine.interpreter.messages import Ticket
    from engine.interpreter.snapshot import Transition
    from engine.query.evaluation import Chance
    from engine.runtime.chronicler import Chronicler
    from engine.runtime.collaborators import Keeper
    from engine.runtime.folded import Folded
    from engine.runtime.live import LiveExecution


class Checkpoints:
    """Makes them."""

    def __init__(self, chronicler: Chronicler | None, chance: Chance, *, keeps_born: bool) -> None:
        """`chronicler` says what is told outside; `keeps_born`: see `Checkpoint`."""
        self._chronicler = chronicler
        self._keeps_born = keeps_born
        # Ids need not be unguessable, and asking the system for each takes longer than all else in a letter.
        self._ids = random.Random(chance.getrandbits(128))  # noqa: S311

    def of(self, execution: LiveExecution, transition: Transition, folded: Folded, keeper: Keeper) -> Checkpoint:
        """The checkpoint of what was folded. `keeper` says whether the execution rests from then on."""
        opened: dict[Ticket, str] = {}
        closed: list[str] = []
        sent: list[Mail] = []
        born: list[tuple[ExecutionId, Birth]] = []
        now = transition.now
        for command in transition.commands:
            if isinstance(command, ScheduleTask) and command.task_token is not None:
                opened[command.task_id] = command.task_token
            elif isinstance(command, CancelTask) and command.task_id not in folded.taken:
                task = execution.tasks.get(command.task_id)
                token = opened.get(command.task_id) if task is None else task.task_token
                if token is not None:
                    closed.append(token)
                if task is not None and task.job is not None and task.job.child is not None:
                    sent.append(stop_of_child(task.job.child, execution.arn, now=now, ids=self._ids))
            elif isinstance(command, SendEvent):
                mail_id = MailId(uuid7(now, self._ids.getrandbits(UUID7_BITS)))
                sent.append(Mail(id=mail_id, execution_id=ExecutionId(command.execution_id), event=command.event))
            elif isinstance(command, StartChild):
                born.append((ExecutionId(command.execution_id), _birth_of(execution, command)))
        closed += folded.tokens
        parent = execution.snapshot.execution.parent
        if parent is not None and parent.wants is not None and transition.ending is not None:
            sent.append(end_of_child(execution.snapshot, transition, parent, now=now, ids=self._ids))
        return Checkpoint(
            execution_id=execution.execution_id,
            seq=execution.seq + 1,
            snapshot=execution.snapshot,
            transition=transition,
            birth=execution.birth,
            mail=folded.mail,
            tokens_opened=[(token, task_id) for task_id, token in opened.items()],
            tokens_closed=closed,
            release=keeper.rest(execution, transition, folded.over),
            lost_tasks=None if execution.lost_tasks is None else keeper.still_lost(execution, transition, folded.over),
            status_changes=()
            if self._chronicler is None or not execution.snapshot.execution.is_shown
            else self._chronicler.status_changes(execution.snapshot, transition),
            sent=sent,
            born=born,
            keeps_born=self._keeps_born,
        )


def _birth_of(execution: LiveExecution, command: StartChild) -> Birth:
    """The rows of what an execution has begin: it runs the same revision, in the same pool, and tells it of its end."""
    about, revision_id = command.execution, execution.revision_id
    assert about.map is not None, "only map runs, their chunks and children begin so"
    assert revision_id is not None, "it runs"
    about = msgspec.structs.replace(about, map=msgspec.structs.replace(about.map, above=execution.execution_id))
    return Birth(execution=about, revision_id=revision_id, pool=execution.pool)
