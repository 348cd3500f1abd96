"""Writing what became of children, to a folder and to S3."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import StatesError
from engine.map_data import writing
from engine.map_data.writing import ChildResult, open_results
from tests.map_data.test_buckets import BUCKET, s3

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["s3"]

UUID = "2a4b1c1e-0000-4000-8000-000000000000"
RUN = f"arn:aws:states:us-east-1:123456789012:mapRun:SM/Each:{UUID}"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:SM/Each"
NAMES = "arn:aws:states:us-east-1:123456789012:execution:SM/Each:c", "c", MACHINE

SUCCEEDED = ChildResult(*NAMES, "SUCCEEDED", {"a": 1}, [1, 2], None, None, 1738633790099, 1738633790163)
PLAIN = ChildResult(*NAMES, "SUCCEEDED", 5, "x", None, None, 0, 1)
FAILED = ChildResult(*NAMES, "FAILED", 6, None, "Bad", "why", 0, 1, 2)
TIMED_OUT = ChildResult(*NAMES, "TIMED_OUT", 7, None, "States.Timeout", None, 0, 1)
PENDING = ChildResult(*NAMES, "PENDING", 8)
ALL = (SUCCEEDED, FAILED, PLAIN, PENDING, TIMED_OUT)


def write(bucket: str, *children: ChildResult, prefix: str = "out/", **config: str) -> Any:
    arguments = {"Bucket": bucket, "Prefix": prefix}
    writer: Any = {"Resource": "arn:aws:states:::s3:putObject", "Arguments": arguments, "WriterConfig": config}
    sink = open_results(writer, RUN, region="us-east-1")
    try:
        for child in children:
            sink.write([child])
        return sink.finish()
    finally:
        sink.close()


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / "out" / UUID / name).read_text())


def test_each_status_has_its_files_and_the_manifest_names_them(folder: Path) -> None:
    output = write(folder.as_uri(), *ALL)
    key = f"out/{UUID}/manifest.json"
    assert output == {"MapRunArn": RUN, "ResultWriterDetails": {"Bucket": folder.as_uri(), "Key": key}}
    shown = {
        kind: [{"Key": f"out/{UUID}/{kind}_0.json", "Size": (folder / "out" / UUID / f"{kind}_0.json").stat().st_size}]
        for kind in ("FAILED", "PENDING", "SUCCEEDED")
    }
    manifest = {"DestinationBucket": folder.as_uri(), "MapRunArn": RUN, "ResultFiles": shown}
    assert read(folder, "manifest.json") == manifest
    assert [one["Status"] for one in read(folder, "FAILED_0.json")] == ["FAILED", "TIMED_OUT"]
    assert [one["Input"] for one in read(folder, "PENDING_0.json")] == ["8"]


def test_a_child_is_shown_as_aws_shows_it(folder: Path) -> None:
    write(folder.as_uri(), SUCCEEDED, FAILED)
    assert read(folder, "SUCCEEDED_0.json") == [
        {
            "ExecutionArn": NAMES[0],
            "Input": '{"a":1}',
            "InputDetails": {"Included": True},
            "Name": "c",
            "Output": "[1,2]",
            "OutputDetails": {"Included": True},
            "RedriveCount": 0,
            "RedriveStatus": "NOT_REDRIVABLE",
            "RedriveStatusReason": "Execution is SUCCEEDED and cannot be redriven",
            "StartDate": "2025-02-04T01:49:50.099Z",
            "StateMachineArn": MACHINE,
            "Status": "SUCCEEDED",
            "StopDate": "2025-02-04T01:49:50.163Z",
        }
    ]
    (failed,) = read(folder, "FAILED_0.json")
    assert (failed["Error"], failed["Cause"], failed["RedriveCount"]) == ("Bad", "why", 2)
    assert failed["RedriveStatus"] == "REDRIVABLE_BY_MAP_RUN"


@pytest.mark.parametrize(("transformation", "expected"), [("COMPACT", [[1, 2], "x"]), ("FLATTEN", [1, 2, "x"])])
def test_transformations_are_of_those_that_succeeded(folder: Path, transformation: str, expected: list[Any]) -> None:
    write(folder.as_uri(), *ALL, Transformation=transformation)
    assert read(folder, "SUCCEEDED_0.json") == expected
    assert len(read(folder, "FAILED_0.json")) == 2


def test_lines_are_one_result_each(folder: Path) -> None:
    write(folder.as_uri(), *ALL, Transformation="COMPACT", OutputType="JSONL")
    assert (folder / "out" / UUID / "SUCCEEDED_0.json").read_text() == '[1,2]\n"x"\n'


def test_nothing_to_write_is_a_manifest_alone(folder: Path) -> None:
    write(folder.as_uri())
    assert read(folder, "manifest.json")["ResultFiles"] == {"FAILED": [], "PENDING": [], "SUCCEEDED": []}


def test_a_full_file_is_followed_by_the_next_number(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "FILE_BYTES_MAX", 15)
    write(folder.as_uri(), *[PLAIN] * 5, Transformation="COMPACT")
    files = read(folder, "manifest.json")["ResultFiles"]["SUCCEEDED"]
    assert [one["Key"].rpartition("/")[2] for one in files] == ["SUCCEEDED_0.json", "SUCCEEDED_1.json"]
    assert [read(folder, f"SUCCEEDED_{n}.json") for n in range(2)] == [["x"] * 3, ["x"] * 2]
    assert all(one["Size"] <= 15 for one in files)


def test_what_is_begun_anew_replaces_what_was_left(folder: Path) -> None:
    write(folder.as_uri(), FAILED, SUCCEEDED)
    write(folder.as_uri(), PLAIN)
    assert [one["Output"] for one in read(folder, "SUCCEEDED_0.json")] == ['"x"']


def test_what_is_given_up_leaves_no_file(folder: Path) -> None:
    arguments = {"Bucket": folder.as_uri(), "Prefix": "out"}
    writer: Any = {"Resource": "putObject", "Arguments": arguments, "WriterConfig": {}}
    sink = open_results(writer, RUN, region="us-east-1")
    sink.write(ALL)
    sink.close()
    assert list((folder / "out" / UUID).iterdir()) == []


def test_s3_gets_the_same_files(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    output = write(BUCKET, *ALL, prefix="a/b", Transformation="COMPACT")
    key = output["ResultWriterDetails"]["Key"]
    assert key == f"a/b/{UUID}/manifest.json"
    manifest = json.loads(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    assert manifest["DestinationBucket"] == BUCKET
    (file,) = manifest["ResultFiles"]["SUCCEEDED"]
    found = s3.get_object(Bucket=BUCKET, Key=file["Key"])
    assert (found["ContentLength"], json.loads(found["Body"].read())) == (file["Size"], [[1, 2], "x"])


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ({"Bucket": "nowhere"}, "The specified bucket does not exist"),
        ({"Bucket": ""}, "Bucket: expected a string"),
        ({"Bucket": "file:///closed"}, "ASL_MAP_FILES"),
        ([], "Arguments: expected an object"),
    ],
)
def test_where_it_cannot_write_it_fails(folder: Path, s3: Any, arguments: Any, cause: str) -> None:
    writer: Any = {"Resource": "putObject", "Arguments": arguments, "WriterConfig": {}}
    with pytest.raises(StatesError) as caught:
        open_results(writer, RUN, region="us-east-1").finish()
    assert caught.value.error == "States.ResultWriterFailed"
    assert cause in str(caught.value.cause)
