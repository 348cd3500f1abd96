"""What the SDK for Java 2 does of its own accord in calls of S3, and so does Step Functions; botocore does not."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from engine.jsonvalue import Json

_COPIES = ("CopyObject", "UploadPartCopy")
_SOURCE = ("sourcebucket", "sourcekey", "sourceversionid")

_MISSING = {
    "HeadObject": ("NoSuchKey", "The specified key does not exist."),
    "HeadBucket": ("NoSuchBucket", "The specified bucket does not exist"),
}


def with_copy_source(operation: str, arguments: Json) -> Json:
    """The arguments of a copy with `CopySource` in place of members that S3 does not have.

        {"SourceBucket": "a", "SourceKey": "b c", ...}  ->  {"CopySource": "a/b%20c", ...}

    Arguments that have some of these members, but no bucket and key, or a `CopySource` as well, stay as they are.
    """
    if operation not in _COPIES or not isinstance(arguments, dict):
        return arguments
    source = {name.lower(): value for name, value in arguments.items() if name.lower() in _SOURCE}
    bucket, key, version = (source.get(name) for name in _SOURCE)
    others = {name: value for name, value in arguments.items() if name.lower() not in _SOURCE}
    has_both = any(name.lower() == "copysource" for name in others)
    if has_both or not isinstance(bucket, str) or not isinstance(key, str):
        return arguments
    copied = quote(f"{bucket}/{key}", safe="/") + (f"?versionId={version}" if isinstance(version, str) else "")
    return {**others, "CopySource": copied}


def missing(operation: str, status: int) -> tuple[str, str] | None:
    """Code and message of an answer that there is no such thing, which has none itself, for it answers HEAD."""
    return _MISSING.get(operation) if status == 404 else None
