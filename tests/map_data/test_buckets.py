"""The same with S3: an emulator of it answers."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from engine.errors import StatesError
from engine.map_data import buckets, streams
from engine.map_data.places import open_place
from engine.map_data.reading import open_items
from tests.map_data.sources import failure, items, lister, reader

BUCKET = "items"


@pytest.fixture
def s3(aws: Any) -> Any:
    """A client, and an empty bucket of it."""
    client = aws("s3")
    client.create_bucket(Bucket=BUCKET)
    yield client
    for one in client.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        client.delete_object(Bucket=BUCKET, Key=one["Key"])
    client.delete_bucket(Bucket=BUCKET)


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_an_object_is_read_in_ranges(s3: Any, monkeypatch: pytest.MonkeyPatch, packed: Any, anew: bool) -> None:
    monkeypatch.setattr(streams, "PART_BYTES", 1_000)
    monkeypatch.setattr(buckets, "_FIRST_BYTES", 100)
    records = [{"n": n, "text": "é" * n} for n in range(100)]
    s3.put_object(Bucket=BUCKET, Key="a/b c.json", Body=packed(json.dumps(records).encode()))
    assert items(reader(BUCKET, "a/b c.json", "JSON"), items_max=40, anew=anew) == records


def test_an_empty_object_has_no_lines(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="empty.jsonl", Body=b"")
    assert items(reader(BUCKET, "empty.jsonl", "JSONL")) == []


def test_a_missing_object_or_bucket_fails_with_the_words_of_s3(s3: Any) -> None:
    cause = failure(reader(BUCKET, "no.json", "JSON"))
    assert cause.startswith("s3://items/no.json: The specified key does not exist. (Service: S3, Status Code: 404, ")
    assert "The specified bucket does not exist" in failure(reader("nowhere", "no.json", "JSON"))
    assert "The specified bucket does not exist" in failure(lister("nowhere"))


def test_without_credentials_it_fails(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert "Unable to locate credentials" in failure(reader(BUCKET, "a.json", "JSON"))


def test_an_object_that_is_replaced_between_two_ranges_fails(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PART_BYTES", 10)
    monkeypatch.setattr(buckets, "_FIRST_BYTES", 10)
    s3.put_object(Bucket=BUCKET, Key="a.jsonl", Body=b"1\n" * 100)
    source = open_items(reader(BUCKET, "a.jsonl", "JSONL"), None, region="us-east-1")
    source.read(items_max=1, bytes_max=99)
    s3.put_object(Bucket=BUCKET, Key="a.jsonl", Body=b"2\n" * 100)
    with pytest.raises(StatesError) as caught:
        source.read(items_max=99, bytes_max=99)
    source.close()
    assert "it has changed while it was read" in str(caught.value.cause)


def test_an_object_that_is_replaced_between_two_readers_fails(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="a.jsonl", Body=b"1\n2\n" + b"\n" * 2_000)
    wanted = reader(BUCKET, "a.jsonl", "JSONL")
    source = open_items(wanted, None, region="us-east-1")
    cursor = source.read(items_max=1, bytes_max=99).cursor
    source.close()
    s3.put_object(Bucket=BUCKET, Key="a.jsonl", Body=b"3\n4\n")
    with pytest.raises(StatesError) as caught:
        open_items(wanted, cursor, region="us-east-1").read(items_max=1, bytes_max=99)
    assert "it has changed while it was read" in str(caught.value.cause)


@pytest.mark.parametrize("anew", [False, True])
def test_objects_are_listed_as_aws_shows_them(s3: Any, anew: bool) -> None:
    for key in ("b/2", "b/1", "a", "c", "b/"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    found = items(lister(BUCKET, "b/"), items_max=1, anew=anew)
    assert [one["Key"] for one in found] == ["b/", "b/1", "b/2"]
    about = s3.head_object(Bucket=BUCKET, Key="b/1")
    assert found[1] == {
        "Etag": about["ETag"],
        "Key": "b/1",
        "LastModified": int(about["LastModified"].timestamp()),
        "Size": 3,
        "StorageClass": "STANDARD",
    }


def test_a_large_upload_goes_in_parts_and_is_there_when_it_is_finished(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = 5 << 20
    monkeypatch.setattr(buckets, "_PART_BYTES", part)
    place = open_place(BUCKET, {}, region="us-east-1")
    upload = place.upload("large")
    upload.write(b"a" * (part + 10))
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)
    upload.write(b"b")
    upload.finish()
    assert s3.get_object(Bucket=BUCKET, Key="large")["Body"].read() == b"a" * (part + 10) + b"b"
    abandoned = place.upload("other")
    abandoned.write(b"a" * part)
    abandoned.abandon()
    place.close()
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)
