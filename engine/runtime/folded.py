"""What is folded into one checkpoint: what is taken for it, and what it then says of Tasks and mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.interpreter.messages import ChildDone, SendEvent, StartChild, TaskDone, TaskError
from engine.runtime.unwritten import may_wait
from engine.store.protocol import Mail, MailId

if TYPE_CHECKING:
    from engine.interpreter.messages import Ticket
    from engine.interpreter.snapshot import Transition
    from engine.runtime.live import LiveExecution, Post
    from engine.runtime.open_task import OpenTask


TOGETHER_MAX = 256
"""Posts that are folded into one checkpoint."""


def take_together(execution: LiveExecution) -> list[Post]:
    """Takes what may be folded together out of the mailbox."""
    mailbox = execution.mailbox
    if len(mailbox) == 1 or execution.lost_tasks is not None:
        return [mailbox.popleft()]  # of a suspect one by one: what kills workers is not to take others' results along
    return [mailbox.popleft() for _ in range(min(len(mailbox), TOGETHER_MAX))]


class Folded:
    """What was folded into one checkpoint.

    Attributes:
        posts: In this order.
        transition: What they did.
        mail: What of it came from the store.
        over: Tasks that it answers.
        answered: Those of them that this worker knows.
        tokens: Of those that were not answered by their token.
        taken: Those that were answered by mail: nobody has a token of theirs any more.
    """

    __slots__ = ("answered", "mail", "over", "posts", "taken", "tokens", "transition")

    def __init__(self, execution: LiveExecution, posts: list[Post], transition: Transition) -> None:
        self.posts = posts
        self.transition = transition
        self.mail: list[MailId] = []
        self.over: list[Ticket] = []
        self.answered: list[OpenTask] = []
        self.tokens: list[str] = []
        self.taken: list[Ticket] = []
        for post in posts:
            has_taken = isinstance(post, Mail)  # mail of an answer took the token with it
            event = post.event if isinstance(post, Mail) else post
            if isinstance(post, Mail):
                self.mail.append(post.id)
            if isinstance(event, ChildDone):
                event, has_taken = event.answer, False
            if isinstance(event, TaskDone | TaskError) and event.task_id not in self.over:  # the first answer counts
                self.over.append(event.task_id)
                if has_taken:
                    self.taken.append(event.task_id)
                task = execution.tasks.get(event.task_id)
                if task is not None:
                    self.answered.append(task)
                    if task.task_token is not None and not has_taken:
                        self.tokens.append(task.task_token)


def may_defer(execution: LiveExecution, folded: Folded, now: int) -> bool:
    """Whether what was folded may stay in memory alone. Of what dies with its workers each step is to be known."""
    return (
        execution.snapshot.execution.type == "EXPRESS"
        and execution.birth is None
        and execution.lost_tasks is None
        and execution.quarantine is None
        and folded.transition.ending is None
        and not folded.tokens
        and not any(isinstance(command, SendEvent | StartChild) for command in folded.transition.commands)
        and not (execution.unwritten is not None and execution.unwritten.is_full(now))
        and may_wait(folded.posts)
    )
