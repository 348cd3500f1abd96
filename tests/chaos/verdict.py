"""What came of a scenario: counts, and whether any of them is one that must never be."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import psycopg

from engine.interpreter.history import as_aws
from engine.jsonvalue import text
from engine.store.postgres.snapshots import decode_ending, decode_execution, decode_segment
from tests.chaos.arena import read_lines
from tests.chaos.maps import MAPS, MapVerdict
from tests.chaos.programs import expected
from tests.histories import fault_of, scheduled_tasks

if TYPE_CHECKING:
    from tests.chaos.arena import Arena
    from tests.histories import ScheduledTask

_CLOCKS_DIFFER_SECONDS = 0.25
"""The store's clock as a worker estimates it, and that of the machine. Whoever takes over does so after a lease."""


@dataclass
class Verdict:
    """Counts of one scenario.

    Attributes:
        started: Starts that were asked for.
        acknowledged: Those whose caller was told that they are.
        finished: Executions that are over.
        lost: Acknowledged, and not there or not over.
        twice: With more than one row or event of an end.
        wrong: With another output than in memory.
        illegal: With a history that cannot be.
        faults: How often something was done: to a process, the server or a connection.
        tasks: Tasks that ran, each attempt counted once.
        repeated: How often one ran again.
        uncalled: Of these, how often without anything having happened to the process that ran it before: it was not
            killed or stopped, nor starved by the machine for a good part of its lease.
        unordered: Tasks that ran before a durable checkpoint ordered them: no history knows them, or it says that they
            were scheduled later, by whoever took over.
        skipped: Tasks that are answered and never ran.
        tokens: Task tokens that were answered.
        token_faults: Accepted twice, or accepted and without effect.
        details: What is wrong, for people.
    """

    started: int = 0
    acknowledged: int = 0
    finished: int = 0
    lost: int = 0
    twice: int = 0
    wrong: int = 0
    illegal: int = 0
    faults: int = 0
    tasks: int = 0
    repeated: int = 0
    uncalled: int = 0
    unordered: int = 0
    skipped: int = 0
    tokens: int = 0
    token_faults: int = 0
    resumed: int = 0
    details: list[str] = field(default_factory=list)

    NEVER = ("lost", "twice", "wrong", "illegal", "uncalled", "unordered", "skipped", "token_faults")

    @property
    def is_good(self) -> bool:
        return not self.details and not any(getattr(self, name) for name in self.NEVER)

    def counts(self) -> dict[str, int]:
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "details"}


def judge(arena: Arena) -> Verdict:
    """Reads everything back and counts."""
    verdict = Verdict(
        started=arena.asked.started,
        acknowledged=len(arena.asked.acknowledged),
        faults=arena.faults_in_all,
        resumed=len(arena.resumed),
        details=arena.complaints(),
    )
    known: dict[str, ScheduledTask] = {}
    succeeded: dict[str, list[str]] = defaultdict(list)
    disturbed = _disturbed(arena)
    maps = MapVerdict()
    with psycopg.connect(arena.url) as connection, connection.cursor(name="executions") as cursor:
        arns = set()
        for row in cursor.execute(_EXECUTIONS):
            execution = decode_execution(row[1])
            arns.add(execution.arn)
            segments = [decode_segment(one) for one in row[4]]
            events = list(as_aws(segments))
            if execution.state_machine_name.partition("/")[0] in MAPS:  # children and chunks have its label
                endings = [(decode_ending(one), at) for one, at in zip(row[2], row[3], strict=True)]
                maps.take(verdict, execution, endings, events)
                continue
            _judge_execution(verdict, execution, row[2], events)
            if row[2]:
                known |= {task.key: task for task in scheduled_tasks(execution.arn, events)}
                succeeded[execution.arn] = [
                    event["taskSucceededEventDetails"]["output"] for event in events if event["type"] == "TaskSucceeded"
                ]
    nowhere = arena.asked.acknowledged - arns
    verdict.lost += len(nowhere)
    verdict.details += [f"{arn}: acknowledged, and there is no such execution" for arn in sorted(nowhere)[:3]]
    if arena.items.exists():
        maps.finish(verdict, arena.items, disturbed)
    _judge_tasks(verdict, arena, known, disturbed)
    _judge_tokens(verdict, arena, succeeded)
    return verdict


_EXECUTIONS = b"""
select e.id, e.head, array(select c.ending from asl.closed_execution c where c.execution_id = e.id),
 array(select c.stop_time from asl.closed_execution c where c.execution_id = e.id),
 array(select h.data from asl.history_segment h where h.execution_id = e.id order by h.first_event_id)
from asl.execution e
"""


def _judge_execution(verdict: Verdict, execution: Any, endings: list[bytes], events: list[dict[str, Any]]) -> None:
    if not endings:
        verdict.lost += 1
        verdict.details.append(f"{execution.arn} is not over")
        return
    verdict.finished += 1
    if len(endings) > 1:
        verdict.twice += 1
        verdict.details.append(f"{execution.arn} ended {len(endings)} times")
    ending = decode_ending(endings[0])
    wanted = expected(execution.state_machine_name, execution.input)
    if ending.status != "SUCCEEDED" or ending.output != wanted:
        verdict.wrong += 1
        verdict.details.append(f"{execution.arn} gave {ending}, in memory {wanted}")
    fault = fault_of(events)
    if fault is not None:
        verdict.illegal += 1
        verdict.details.append(f"{execution.arn}: {fault}")


def _disturbed(arena: Arena) -> set[int]:
    """Processes whose Tasks may run again: something was done to them, or the machine starved them."""
    starved = (line for line in read_lines(arena.effects) if line["what"] == "starved")
    return arena.disturbed | {line["pid"] for line in starved if line["seconds"] > arena.lease_seconds / 4}


def _judge_tasks(verdict: Verdict, arena: Arena, known: dict[str, ScheduledTask], disturbed: set[int]) -> None:
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in read_lines(arena.effects):
        if line["what"] == "begun":
            runs[line["key"]].append(line)
    verdict.tasks += len(runs)
    verdict.repeated += sum(len(lines) - 1 for lines in runs.values())
    for key, lines in runs.items():
        for before, after in pairwise(lines):
            if before["pid"] not in disturbed:
                verdict.uncalled += 1
                verdict.details.append(f"{before['state']} of {before['arn']} ran again: {before} {after}")
        if key not in known or lines[0]["time"] < known[key].scheduled_at.timestamp() - _CLOCKS_DIFFER_SECONDS:
            verdict.unordered += 1
            verdict.details.append(f"nothing durable ordered {lines[0]}; history: {known.get(key)}")
    missing = [key for key, task in known.items() if task.is_answered and key not in runs]
    verdict.skipped += len(missing)


def _judge_tokens(verdict: Verdict, arena: Arena, succeeded: dict[str, list[str]]) -> None:
    senders = arena.senders
    verdict.tokens = len(senders.answers)
    twice = [token for token, number in senders.accepted.items() if number > 1]
    without = []
    for token in {*senders.accepted, *senders.unknown}:
        arn, answer = senders.answers[token]
        if text(answer) in succeeded[arn]:
            succeeded[arn].remove(text(answer))
        elif token in senders.accepted:
            without.append(token)
    verdict.token_faults = len(twice) + len(without)
    verdict.details += [f"token accepted twice: {senders.answers[token]}" for token in twice[:3]]
    verdict.details += [f"token accepted without effect: {senders.answers[token]}" for token in without[:3]]
