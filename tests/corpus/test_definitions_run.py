"""Published definitions that are valid run to an end, their Tasks answered by a rule: none fails for a reason of ours.

The rule answers with documents that hold whatever the definition reads (`permissive`), and S3 has what ItemReaders
name. A definition is tried with several shapes of them; it is over when an execution succeeds or reaches its own Fail
state. Where none does, each failure must be one of data that does not suit the definition, and such are few.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from engine import Engine, ExecutionFailed, Limits
from engine.asl.parser import parse
from engine.integrations.request import Answer
from engine.jsonvalue import encode
from tests.corpus.permissive import Wanted
from tests.moto_server import moto_as_aws
from tests.shared_data import shared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.integrations.request import Channel, TaskRequest, Workplace

pytestmark = pytest.mark.anyio

SLICES = 8
HISTORY_EVENTS_MAX = 2_000
"""Ends definitions that go round for ever with the documents of the rule."""

DATA_ERRORS = {
    "States.Runtime", "States.QueryEvaluationError", "States.IntrinsicFailure", "States.ResultPathMatchFailure",
    "States.ParameterPathFailure", "States.ItemReaderFailed", "States.ExceedToleratedFailureThreshold",
}  # fmt: skip
"""What an execution fails with whose data do not suit its definition: a path that leads nowhere, no array for a Map."""

ENDED_LEAST = 0.9
"""Of the definitions, those of which an execution ends as its author meant. Of the others some are wrong on purpose
(variables that do not exist, functions with too many arguments); the rest wants data that no rule here guesses.
"""

SHAPES = list(itertools.product((False, True), repeat=3))
"""Whether the input is an array, whether answers are arrays, and whether what nobody looks at is a whole document."""


class Answers:
    """A `Handler` for all Tasks."""

    name = "answers"
    fixed_answer = None
    waits_apart = True
    on_worker_loss = "rerun"
    concurrency = None

    def __init__(self) -> None:
        self.wanted = Wanted()
        self.states: dict[str, Any] = {}
        self.leaf: Any = "text"
        self.is_array = False
        self.visits: Counter[str] = Counter()

    async def run(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Answer:
        visit = self.visits[request.state]
        self.visits[request.state] += 1
        output = self.wanted.answer(self.states[request.state], visit, leaf=self.leaf)
        if self.is_array:
            output = [output, output]
        if request.task_token is not None:
            channel.send_task_success(request.task_token, output)
        return Answer(output, len(encode(output)))


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    import boto3

    with moto_as_aws():
        client = boto3.client("s3")
        yield client
        client.close()


@pytest.mark.parametrize("part", range(SLICES))
async def test_every_definition_runs_to_an_end(part: int, s3: Any) -> None:
    ends: dict[str, str] = {}
    answers = Answers()
    async with Engine.in_memory(
        {"*": answers}, clock="virtual", seed=0, region="us-east-1", limits=Limits(history_events=HISTORY_EVENTS_MAX)
    ) as engine:
        for path in sorted(shared("corpus", "definitions").glob("?" * 16 + ".json"))[part::SLICES]:
            if parse(path.read_bytes(), warnings=False).program is not None:
                definition = json.loads(path.read_text(encoding="utf-8"))
                for reader in _members(definition, "ItemReader"):
                    _put_items(s3, reader)
                for writer in _members(definition, "ResultWriter"):
                    _make_bucket(s3, _named(writer, "Bucket"))
                ends[path.stem] = await _end_of(engine, answers, definition, path.stem)
    left = {name: end for name, end in ends.items() if end != "ended"}
    assert {name: end for name, end in left.items() if end not in DATA_ERRORS} == {}
    assert len(left) <= (1 - ENDED_LEAST) * len(ends) + 5, left  # the slices are not alike
    assert len(ends) > 50


async def _end_of(engine: Engine, answers: Answers, definition: Any, name: str) -> str:
    """`ended`, or the error of the last try."""
    machine = await engine.create_state_machine(definition, name)
    answers.wanted, answers.states = Wanted.of(definition), dict(_states(definition))
    end = ""
    for is_input_array, answers.is_array, is_deep in SHAPES:
        answers.visits.clear()
        answers.leaf = answers.wanted.document(0) if is_deep else "text"
        document = answers.wanted.document(0, leaf=answers.leaf)
        if len(encode(document)) > 100_000:
            continue
        execution = await engine.start_execution(machine, [document] * 2 if is_input_array else document)
        try:
            await execution.result()
        except ExecutionFailed as failed:
            if any(event["type"] == "FailStateEntered" for event in await execution.history()):
                return "ended"
            end = str(failed.error)
        else:
            return "ended"
    return end


def _states(value: Any) -> Iterator[tuple[str, Any]]:
    """All states of a definition, by name."""
    match value:
        case dict():
            states = value.get("States")
            if isinstance(states, dict) and "StartAt" in value:
                yield from states.items()
            for member in value.values():
                yield from _states(member)
        case list():
            for item in value:
                yield from _states(item)


def _members(value: Any, name: str) -> Iterator[dict[str, Any]]:
    """All objects of this name in a definition."""
    match value:
        case dict():
            if isinstance(value.get(name), dict):
                yield value[name]
            for member in value.values():
                yield from _members(member, name)
        case list():
            for item in value:
                yield from _members(item, name)


# ── what is in S3 ───────────────────────────────────────────────────────────────────────────────────────────────────


def _named(at: dict[str, Any], member: str) -> str:
    """A bucket or a key; where it comes from data it is what the rule's documents have in all places."""
    given = (at.get("Parameters") or at.get("Arguments") or {}).get(member)
    return "text" if not isinstance(given, str) or given.startswith("{%") else given


def _make_bucket(s3: Any, bucket: str) -> None:
    if "{" not in bucket:  # a placeholder that nobody filled in
        s3.create_bucket(Bucket=bucket)


def _put_items(s3: Any, reader: dict[str, Any]) -> None:
    config = reader.get("ReaderConfig", {})
    bucket, key = _named(reader, "Bucket"), _named(reader, "Key")
    items: Any = [{"a": "1"}, {"a": "2"}]
    for name in reversed(config.get("ItemsPointer", "").split("/")[1:]):
        items = {name: items}
    body = {"CSV": "a,b\n1,2\n", "JSONL": '{"a": "1"}\n'}.get(config.get("InputType"), json.dumps(items))
    if reader["Resource"].endswith("listObjectsV2"):
        key = f"{_named(reader, 'Prefix')}/object"
    _make_bucket(s3, bucket)
    if "{" not in bucket:
        s3.put_object(Bucket=bucket, Key=key, Body=body)
