"""What the table of optimised integrations (`optimised`) is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Source = Literal["ARGUMENTS", "ANSWER"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What becomes of a job that an action began.

    Attributes:
        known_by: Of each name that the job is known by: where it stands, in the arguments or in the answer.
        ask: The action that tells how jobs stand.
        ask_with: Its members: names of what jobs are known by. A member that is a list has that of all jobs.
        together: How many jobs it tells of at once.
        items: Where the answer has the jobs, if it has several.
        same: The member of an item, and the name of what the job is known by, that must be equal.
        output: Where the Task's output stands in the answer, or in a job's item; empty: all of it.
        wrapped_as: The output is a member of this name.
        beside: Names of what the job is known by that stand in the output too.
        status: Where the status stands in the output, before it is wrapped.
        good, bad: The statuses of a job that is over.
        gone_is_good: It is over well when nothing is known of it any more.
        stop, stop_with: The action that stops it, and its members, as of `ask_with`; what is in quotes is a text.
    """

    known_by: Mapping[str, tuple[Source, str]]
    ask: str
    ask_with: Mapping[str, str]
    together: int = 1
    items: str = ""
    same: tuple[str, str] = ("", "")
    output: str = ""
    wrapped_as: str = ""
    beside: tuple[str, ...] = ()
    status: str
    good: frozenset[str]
    bad: frozenset[str]
    gone_is_good: bool = False
    stop: str = ""
    stop_with: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ByName:
    """What a Task names, and AWS's action wants the id of.

    Attributes:
        name: The Task's member that has the name.
        member: The Task's member that the id is put into, as `id`.
        ask: The action that lists what there is, page by page; it takes the Task's `ClusterId`.
        items: Where its answer has them; each has a `Name` and an `Id`.
    """

    name: str
    member: str
    id: str
    ask: str
    items: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """An action of Step Functions' own, made of one of AWS's API.

    Attributes:
        operation: What AWS's API calls it.
        given: What the API calls a member of the Task; with `[]` behind it: a list that has that one.
        answer: Of each member of the Task's answer: where it stands in the API's. Empty: all of it.
        refused: Members of the API that a Task may not give.
        wanted: Where the arguments must have `true`.
        by_name: A member is looked up first.
    """

    operation: str
    given: Mapping[str, str] = field(default_factory=dict)
    answer: Mapping[str, str] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    wanted: str = ""
    by_name: ByName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """An optimised service.

    Attributes:
        client: botocore's name of it.
        prefix: Of its errors.
        name: What the texts of its errors call it.
        base: Its errors without a class of their own.
        has_metadata: Whether answers carry what the SDK tells of the call.
        jobs: What becomes of the jobs that actions begin.
        calls: Its actions that are not AWS's own.
        elsewhere: Its actions of other APIs than the service's, each in a module of its own.
    """

    client: str
    prefix: str
    name: str
    base: str
    has_metadata: bool = True
    jobs: Mapping[str, Job] = field(default_factory=dict)
    calls: Mapping[str, Call] = field(default_factory=dict)
    elsewhere: frozenset[str] = frozenset()


def words(text: str) -> frozenset[str]:
    """Those of a text."""
    return frozenset(text.split())
