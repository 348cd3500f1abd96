"""Items of the files that a manifest names: S3 inventories, and what Athena's UNLOAD wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.jsonvalue import InvalidJson, decode
from engine.map_data.failures import ITEM_BYTES_MAX, DataFailed
from engine.map_data.file_items import file_items
from engine.map_data.json_items import Entry
from engine.map_data.places import folder_path, is_folder
from engine.map_data.streams import blocks, lines, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from engine.jsonvalue import Json
    from engine.map_data.places import Place, StoredFile

_BUCKET_ARN = "arn:aws:s3:::"


def inventory_items(place: Place, key: str, after: Any) -> Iterator[Entry]:
    """The objects of an S3 inventory: its manifest.json names CSV or Parquet files, and the columns of the former.

    The files are where the manifest is. `after`: `[file's number, after in it]`.

    Raises:
        DataFailed: The manifest is none, or of ORC files.
    """
    manifest = _manifest(place, key)
    try:
        form = manifest["fileFormat"]
        keys = [str(one["key"]) for one in manifest["files"]]
        columns = [] if form == "Parquet" else [one.strip() for one in manifest["fileSchema"].split(",")]
    except (KeyError, TypeError, AttributeError) as error:
        raise DataFailed(
            f"{place.name}/{key}: expected an S3 inventory's manifest.json with fileFormat, fileSchema and files; "
            f"missing or wrong: {error}"
        ) from None
    if form not in ("CSV", "Parquet"):
        raise DataFailed(f"{place.name}/{key}: an inventory in {form} is not supported; expected CSV or Parquet")
    config: dict[str, Json] = {"CSVHeaderLocation": "GIVEN", "CSVHeaders": list(columns)}
    number, inner = after or (0, None)
    for at in range(number, len(keys)):
        for value, name, inner_after in file_items(place, keys[at], form.upper(), config, inner):
            yield Entry(value, name, [at, inner_after])
        inner = None


def unloaded_items(
    place: Place, key: str, config: Mapping[str, Any], after: Any, *, opened: Callable[..., Place]
) -> Iterator[Entry]:
    """The rows of the files that Athena wrote: the manifest has a URL in each line.

    Args:
        place: Where the manifest is.
        key: Of the manifest.
        config: The ReaderConfig; `InputType` is that of the files.
        after: `[byte of this URL's line, after in the file or null]`; None: from the beginning.
        opened: `open_place` with all but the bucket and what requests have besides.
    """
    first, inner = after or (0, None)
    manifest = place.open(key)
    try:
        begin = first
        for line, end in lines(manifest, first):
            url = text(line, manifest, begin).strip().strip('"')
            if url:
                for value, name, inner_after in _rows_at(url, place, config, inner, manifest, opened):
                    yield Entry(value, name, [begin, inner_after])
            begin, inner = end, None
    finally:
        manifest.close()


def _rows_at(
    url: str, place: Place, config: Mapping[str, Any], inner: Any, manifest: StoredFile, opened: Callable[..., Place]
) -> Iterator[Entry]:
    scheme, _, rest = url.partition("://")
    if is_folder(url):
        folder, _, key = folder_path(url).rpartition("/")
        bucket = f"file:{folder or '/'}"
    elif scheme == "s3":
        bucket, _, key = rest.partition("/")
    else:
        raise DataFailed(f"{manifest.name}: expected a URL like s3://bucket/key in each line, got {url[:200]!r}")
    other = place if place.name == f"s3://{bucket}" else opened(bucket, {})
    try:
        yield from file_items(other, key, config.get("InputType"), config, inner)
    finally:
        if other is not place:
            other.close()


def _manifest(place: Place, key: str) -> dict[str, Any]:
    file = place.open(key)
    try:
        data = b""
        for block in blocks(file):
            data += block
            if len(data) > ITEM_BYTES_MAX:
                raise DataFailed(f"{file.name}: the manifest is larger than {ITEM_BYTES_MAX >> 20} MB")
        found = decode(data)
    except InvalidJson as error:
        raise DataFailed(f"{file.name}: the manifest is not JSON: {error}") from None
    finally:
        file.close()
    return found if isinstance(found, dict) else {}
