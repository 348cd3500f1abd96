"""Sources of items for tests: files in a folder, and what reading them gives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import StatesError
from engine.map_data.reading import Page, open_items

if TYPE_CHECKING:
    from pathlib import Path

GET = "arn:aws:states:::s3:getObject"
LIST = "arn:aws:states:::s3:listObjectsV2"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that definitions may use."""
    monkeypatch.setenv("ASL_MAP_FILES", str(tmp_path))
    return tmp_path


def reader(bucket: str | Path, key: str, input_type: str | None, **config: Any) -> dict[str, Any]:
    """An ItemReader of one file; `bucket` is a folder, if it is no text."""
    name = bucket if isinstance(bucket, str) else bucket.as_uri()
    types = {} if input_type is None else {"InputType": input_type}
    return {"Resource": GET, "ReaderConfig": {**types, **config}, "Arguments": {"Bucket": name, "Key": key}}


def lister(bucket: str | Path, prefix: str = "", **config: Any) -> dict[str, Any]:
    """An ItemReader that lists."""
    name = bucket if isinstance(bucket, str) else bucket.as_uri()
    return {"Resource": LIST, "ReaderConfig": config, "Arguments": {"Bucket": name, "Prefix": prefix}}


def pages(wanted: dict[str, Any], *, items_max: int = 100, anew: bool = False) -> list[Page]:
    """All pages; `anew`: each by another reader, which has nothing but the cursor."""
    found: list[Page] = []
    cursor: Any = None
    source = open_items(wanted, None, region="us-east-1")
    try:
        while True:
            found.append(source.read(items_max=items_max, bytes_max=1 << 20))
            cursor = json.loads(json.dumps(found[-1].cursor))
            if cursor is None:
                return found
            assert len(found) < 1_000, "it comes to an end"
            if anew:
                source.close()
                source = open_items(wanted, cursor, region="us-east-1")
    finally:
        source.close()


def items(wanted: dict[str, Any], **given: Any) -> list[Any]:
    """All items."""
    return [item for page in pages(wanted, **given) for item in page.items]


def failure(wanted: dict[str, Any], **given: Any) -> str:
    """The cause of its failing."""
    with pytest.raises(StatesError) as caught:
        pages(wanted, **given)
    assert caught.value.error == "States.ItemReaderFailed"
    return str(caught.value.cause)
