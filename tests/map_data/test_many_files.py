"""Listings, what is in what they list, and manifests: from folders."""

from __future__ import annotations

import csv
import gzip
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.map_data.sources import failure, items, lister, reader
from tests.map_data.test_buckets import BUCKET, s3

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["s3"]

LOAD = {"Transformation": "LOAD_AND_FLATTEN"}


def fill(folder: Path, files: dict[str, str | bytes]) -> None:
    for key, content in files.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b/", "a-", "none"])
def test_a_folder_is_listed_in_the_order_of_s3(folder: Path, prefix: str, anew: bool) -> None:
    keys = ["a/z", "a/b/2", "a/b/10", "a-1", "a.txt", "a0", "b", "é", "B", "a/b-"]
    fill(folder, dict.fromkeys(keys, "12345"))
    found = items(lister(folder, prefix), items_max=1, anew=anew)
    assert [one["Key"] for one in found] == sorted(
        (key for key in keys if key.startswith(prefix)), key=lambda key: key.encode()
    )
    assert all(one["Size"] == 5 and one["StorageClass"] == "STANDARD" for one in found)


def test_a_folder_that_is_missing_fails_and_an_empty_one_has_no_items(folder: Path) -> None:
    assert "there is no such folder" in failure(lister(folder / "no"))
    (folder / "empty").mkdir()
    assert items(lister(folder / "empty")) == []


@pytest.mark.parametrize("anew", [False, True])
def test_what_is_in_the_listed_files_is_read(folder: Path, anew: bool) -> None:
    fill(folder, {"in/1.jsonl": "1\n2\n3\n", "in/2.jsonl": gzip.compress(b"4\n"), "in/3.jsonl": "", "in/x/4": "5\n6\n"})
    assert items(lister(folder, "in/", InputType="JSONL", **LOAD), items_max=2, anew=anew) == [1, 2, 3, 4, 5, 6]


def test_files_whose_columns_differ_give_items_that_differ(folder: Path) -> None:
    fill(folder, {"1.csv": "a,b\n1,2\n", "2.csv": "c\n3\n"})
    wanted = lister(folder, "", InputType="CSV", CSVHeaderLocation="FIRST_ROW", **LOAD)
    assert items(wanted) == [{"a": "1", "b": "2"}, {"c": "3"}]


def test_a_faulty_file_among_those_listed_fails_by_name(folder: Path) -> None:
    fill(folder, {"1.json": "[1]", "2.json": "[2"})
    assert "2.json: not JSON as it should be at byte 2" in failure(lister(folder, "", InputType="JSON", **LOAD))
    assert "InputType: expected one of CSV, JSON, JSONL, PARQUET" in failure(lister(folder, "", **LOAD))


@pytest.mark.parametrize("anew", [False, True])
def test_objects_of_s3_are_read_one_after_the_other(s3: Any, anew: bool) -> None:
    for key, body in {"in/": b"", "in/1": b"[1, 2]", "in/2": b"[3]"}.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    assert items(lister(BUCKET, "in/", InputType="JSON", **LOAD), items_max=1, anew=anew) == [1, 2, 3]


def rows(*found: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(found)
    return gzip.compress(text.getvalue().encode())


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize("config", [{"ManifestType": "S3_INVENTORY"}, {}], ids=["named", "by default"])
def test_the_objects_of_an_inventory_are_items(s3: Any, config: dict[str, str], anew: bool) -> None:
    manifest = {
        "sourceBucket": "source",
        "destinationBucket": f"arn:aws:s3:::{BUCKET}",
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size",
        "files": [{"key": "inv/data/1.csv.gz", "size": 9}, {"key": "inv/data/2.csv.gz"}],
    }
    s3.put_object(Bucket=BUCKET, Key="inv/manifest.json", Body=json.dumps(manifest))
    s3.put_object(Bucket=BUCKET, Key="inv/data/1.csv.gz", Body=rows(["source", "a", "1"], ["source", "b", "2"]))
    s3.put_object(Bucket=BUCKET, Key="inv/data/2.csv.gz", Body=rows(["source", "c", "3"]))
    found = items(reader(BUCKET, "inv/manifest.json", "MANIFEST", **config), items_max=1, anew=anew)
    assert found == [{"Bucket": "source", "Key": key, "Size": size} for key, size in zip("abc", "123", strict=True)]


@pytest.mark.parametrize(
    ("manifest", "cause"),
    [
        ({"fileFormat": "ORC", "fileSchema": "a", "files": []}, "an inventory in ORC is not supported"),
        ({"files": []}, "expected an S3 inventory's manifest.json"),
        ([], "expected an S3 inventory's manifest.json"),
        ({"fileFormat": "CSV", "fileSchema": "a", "files": [{"key": "no"}]}, "No such file"),
    ],
)
def test_a_manifest_that_is_none_fails(folder: Path, manifest: Any, cause: str) -> None:
    (folder / "m.json").write_text(json.dumps(manifest))
    assert cause in failure(reader(folder, "m.json", "MANIFEST"))


@pytest.mark.parametrize("anew", [False, True])
def test_the_rows_that_athena_unloaded_are_items(s3: Any, folder: Path, anew: bool) -> None:
    s3.put_object(Bucket=BUCKET, Key="t/1.gz", Body=gzip.compress(b'{"n": 1}\n{"n": 2}\n'))
    (folder / "2.jsonl").write_text('{"n": 3}\n')
    urls = f"s3://{BUCKET}/t/1.gz\n{(folder / '2.jsonl').as_uri()}\n"
    s3.put_object(Bucket=BUCKET, Key="t/manifest.csv", Body=urls.encode())
    wanted = reader(BUCKET, "t/manifest.csv", "JSONL", ManifestType="ATHENA_DATA")
    assert items(wanted, items_max=1, anew=anew) == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_a_manifest_of_athena_without_urls_fails(folder: Path) -> None:
    (folder / "m.csv").write_text("a,b\n")
    wanted = reader(folder, "m.csv", "JSONL", ManifestType="ATHENA_DATA")
    assert "expected a URL like s3://bucket/key in each line, got 'a,b'" in failure(wanted)
