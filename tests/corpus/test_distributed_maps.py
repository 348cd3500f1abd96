"""Every Distributed Map that people published runs: items from S3 or the input, its Tasks mocked, results to S3.

Each is taken out of its state machine. What it reads is made of the paths that it has itself: one document, of which
each path finds something, is its input, each of its items and the result of each Task.
"""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import engine
from engine.asl.parser import parse
from tests.events.conftest import aws
from tests.shared_data import shared

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["aws"]

pytestmark = pytest.mark.anyio

_PATH = re.compile(
    r"(?<![$\w])\$(?:states\.(?:input|result)|(?:\$|states\.context)\.Map\.Item\.Value)?"
    r"((?:\.[\w-]+|\[(?:\d+|\*|'[^']+')\])+)"
)
_VARIABLE = re.compile(r"(?<![$\w])\$([A-Za-z]\w*)\b(?!\()(?!\s*:=)")
_STEP = re.compile(r"\.([\w-]+)|\['([^']+)'\]|\[(?:\d+|\*)\]")
_NUMBERS = ("MaxConcurrency", "MaxItems", "ToleratedFailure", "MaxInputBytes", "TimeoutSeconds", "HeartbeatSeconds")
_MANY_BYTES = 100_000
_LEAF = "2026"
"""A name, a bucket's as well, that is JSON, too."""


FAILS_BY_ITSELF = {"ac28de34ea0963e8-RunLoad": "States.IntrinsicFailure"}
"""Where the ARN of a placeholder is to be parsed as JSON."""


class Published(NamedTuple):
    file: str
    name: str
    language: str
    state: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.file.partition('.')[0]}-{self.name}"


def maps(flow: dict[str, Any], language: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Its Distributed Maps, also those inside others: name, query language, state."""
    for name, state in flow["States"].items():
        own = state.get("QueryLanguage", language)
        processor = state.get("ItemProcessor") or state.get("Iterator")
        if processor is not None:
            if processor.get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED":
                yield name, own, state
            yield from maps(processor, language)
        for branch in state.get("Branches", ()):
            yield from maps(branch, language)


def published() -> list[Published]:
    found = []
    for path in sorted(shared("corpus", "definitions").glob("*.json")):
        text = path.read_text(encoding="utf-8")
        if '"DISTRIBUTED"' in text and parse(text, warnings=False).program is not None:
            definition = json.loads(text)
            language = definition.get("QueryLanguage", "JSONPath")
            found += [Published(path.name, *one) for one in maps(definition, language)]
    return found


def strings(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """All texts, each with the field that it is in."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from strings(member, name)
    elif isinstance(value, list):
        for member in value:
            yield from strings(member, field)


def put(document: dict[str, Any], path: str, leaf: Any) -> None:
    """Makes a path of a document find something; what is there stays."""
    steps = [one.group(1) or one.group(2) or 0 for one in _STEP.finditer(path)]
    at: Any = document
    for place, step in enumerate(steps):
        following = steps[place + 1] if place + 1 < len(steps) else None
        new: Any = leaf if following is None else [None] if following == 0 else {}
        if isinstance(step, int):
            if not isinstance(at, list):
                return
            if at[0] is None:
                at[0] = new
            at = at[0]
            continue
        if not isinstance(at, dict):
            return
        if step not in at or (following is not None and not isinstance(at[step], dict | list)):
            at[step] = new
        at = at[step]


def document_of(state: dict[str, Any]) -> dict[str, Any]:
    """What each path of a state finds something in: a number, a name, or, for ItemsPath, such documents again."""
    found: dict[str, Any] = {}
    texts = list(strings(state))
    for field, text in texts:
        for path in _PATH.findall(text):
            number = _MANY_BYTES if "Bytes" in field else 2
            leaf = number if field.startswith(_NUMBERS) or "Count" in path else _LEAF
            # A path may lead through the result of a Task, which is this document as well: so may its end.
            steps = [found.group() for found in _STEP.finditer(path)]
            for first in range(len(steps)):
                put(found, "".join(steps[first:]), leaf)
    for field, text in reversed(texts):  # inner Maps have their items in those of the outer ones
        if field in ("ItemsPath", "Items") and text != "$":
            for path in _PATH.findall(text):
                items = [json.loads(json.dumps(found))] * 2
                *above, last = [one.group(1) or one.group(2) or 0 for one in _STEP.finditer(path)]
                at: Any = found
                for step in above:
                    at = at[step]
                at[last] = items
    return found


def evaluated(arguments: Any, document: dict[str, Any]) -> dict[str, str]:
    """Bucket, Key and Prefix of a reader or writer, whose values are texts or plain paths of the input."""
    found: dict[str, str] = {}
    for name, given in arguments.items():
        value: Any = given
        path = _PATH.search(given)
        if name.endswith(".$") or "{%" in given:
            assert path is not None, given
            value = document
            for step in _STEP.finditer(path.group(1)):
                value = value[step.group(1) or step.group(2) or 0]
        found[name.removesuffix(".$")] = value
    return found


def file_of(config: dict[str, Any], item: dict[str, Any], bucket: str, s3: Any, *, is_object: bool) -> bytes:
    """Two items, as a reader of this configuration takes them."""
    kind = config["InputType"]
    if kind == "JSON":
        document: Any = {"a": item, "b": item} if is_object else [item, item]
        for token in reversed(config.get("ItemsPointer", "").split("/")[1:]):
            document = {token: document}
        return json.dumps(document).encode()
    if kind == "JSONL":
        return b"".join(json.dumps(one).encode() + b"\n" for one in (item, item))
    text = io.StringIO()
    rows = csv.writer(text)
    if kind == "CSV":
        columns = config.get("CSVHeaders") or list(item) or ["column"]
        rows.writerows(([columns] if "CSVHeaders" not in config else []) + [columns, columns])
        return text.getvalue().encode()
    assert kind == "MANIFEST"
    rows.writerows([[bucket, "a"], [bucket, "b"]])
    s3.put_object(Bucket=bucket, Key="inventory.csv", Body=text.getvalue().encode())
    files = [{"key": "inventory.csv", "size": 1}]
    return json.dumps({"fileFormat": "CSV", "fileSchema": "Bucket, Key", "files": files}).encode()


def filled(state: dict[str, Any], document: dict[str, Any], s3: Any) -> dict[str, Any]:
    """The state with buckets whose names S3 takes, which exist; in them what it reads."""
    state = {**state}
    for field in ("ItemReader", "ResultWriter"):
        if field not in state:
            continue
        one = dict(state[field])
        key = "Parameters" if "Parameters" in one else "Arguments"
        given = evaluated(one[key], document)
        bucket = re.sub(r"[^a-z0-9-]", "-", given["Bucket"].lower()).strip("-")
        if bucket not in [found["Name"] for found in s3.list_buckets()["Buckets"]]:
            s3.create_bucket(Bucket=bucket)
        one[key] = {**one[key], **({"Bucket": bucket} if "Bucket" in one[key] else {})}
        state[field] = one
        if field == "ResultWriter":
            continue
        if "Key" in given:
            is_object = "Map.Item.Key" in json.dumps(state)
            body = file_of(one["ReaderConfig"], document, bucket, s3, is_object=is_object)
            s3.put_object(Bucket=bucket, Key=given["Key"], Body=body)
        else:
            for name in "ab":
                s3.put_object(Bucket=bucket, Key=f"{given.get('Prefix', '')}{name}", Body=b"x")
    return state


def alone(one: Published, document: dict[str, Any], s3: Any) -> dict[str, Any]:
    """A state machine of the state, before which all variables that it may read are assigned."""
    state = filled({name: value for name, value in one.state.items() if name not in ("Next", "Catch")}, document, s3)
    names = {name for _, text in strings(one.state) for name in _VARIABLE.findall(text)} - {"states"}
    given = {"Type": "Pass", "Assign": dict.fromkeys(names, 2), "Next": one.name}
    return {
        "QueryLanguage": one.language,
        "StartAt": "Given",
        "States": {"Given": given, one.name: {**state, "End": True}},
    }


@pytest.mark.timeout(60)
@pytest.mark.parametrize("one", published(), ids=str)
async def test_a_published_distributed_map_runs(one: Published, aws: Any) -> None:
    document = document_of(one.state)
    definition = alone(one, document, aws("s3"))
    given: Any = document
    if one.state.get("ItemsPath", "$") == "$" and not {"ItemReader", "Items"} & one.state.keys():
        given = [document, document]
    for step in reversed([found.group(1) for found in _STEP.finditer(one.state.get("InputPath", "$"))]):
        given = {step: given}
    mock = "mock:" + json.dumps({**document, "Payload": document, "StatusCode": 200})
    async with engine.Engine.in_memory({"*": mock}) as opened:
        execution = await opened.start_execution(definition, given)
        try:
            await execution.result()
        except engine.ExecutionFailed as failed:
            children = [
                (child.error, child.cause, child.input)
                for run in await opened.map_runs(execution.arn)
                async for child in opened.map_run_children(run, status="FAILED")
            ]
            if not children or children[0][0] != FAILS_BY_ITSELF.get(str(one)):
                raise AssertionError(f"{failed}\n{children[:1]}") from failed
            return
        runs = [await opened.map_run_counts(arn) for arn in await opened.map_runs(execution.arn)]
        assert [(run.status, run.succeeded == run.total > 0) for run in runs] == [("SUCCEEDED", True)]
