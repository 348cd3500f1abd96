"""The operations on versions (lambda.md 3.2, 7)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.lambda_emulator.errors import InvalidParameterValueException
from engine.lambda_emulator.functions import LATEST
from engine.lambda_emulator.identifiers import unqualified
from engine.lambda_emulator.operations.code import check_code_storage
from engine.lambda_emulator.operations.lookup import (
    existing,
    function_of,
    now_ms,
    require_revision,
    require_settled,
)
from engine.lambda_emulator.operations.paging import NUMBER, page, position
from engine.lambda_emulator.operations.shown import listed_configuration, shown_configuration
from engine.lambda_emulator.preparation import begin_preparation
from engine.lambda_emulator.records import CREATING, Settling, is_same_content, new_revision_id

if TYPE_CHECKING:
    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.records import FunctionRecord


async def publish_version(
    emulator: Emulator,
    *,
    function_name: str,
    code_sha256: str | None = None,
    description: str | None = None,
    revision_id: str | None = None,
    publish_to: str | None = None,
) -> dict[str, Any]:
    """Makes a version of `$LATEST` as it is; the last version again, if nothing changed since.

    Raises:
        ResourceNotFoundException, ResourceConflictException, PreconditionFailedException: Not now.
        InvalidParameterValueException: `$LATEST` has another code.
        CodeStorageExceededException: The account has too much code.
    """
    del publish_to  # LATEST_PUBLISHED is of managed instances, which there are none of
    where = unqualified(emulator, function_name)
    now = now_ms(emulator)
    known = await function_of(emulator, where)
    if _is_new(known):
        await check_code_storage(emulator, known.latest.code_size)

    def edit(before: FunctionRecord | None) -> FunctionRecord:
        record = existing(before, where)
        latest = record.latest.settled(now)
        require_settled(record, latest)
        require_revision(revision_id, latest.revision_id)
        if code_sha256 is not None and code_sha256 != latest.code_sha256:
            raise InvalidParameterValueException(
                f"CodeSHA256 ({code_sha256}) is different from current CodeSHA256 in $LATEST ({latest.code_sha256}). "
                "Please try again with the CodeSHA256 in $LATEST."
            )
        return published(record, now=now, description=description)

    record = await emulator.library.change_function(where.key, edit)
    assert record is not None, "the edit answers a record"
    version = record.versions[record.published]
    begin_preparation(emulator, record, version)
    return shown_configuration(record, version, now=now, qualifier=version.version)


def _is_new(record: FunctionRecord) -> bool:
    last = record.versions.get(record.published)
    return last is None or not is_same_content(record.latest, last)


def published(record: FunctionRecord, *, now: int, description: str | None = None) -> FunctionRecord:
    """With a version of `$LATEST` as it is, whose number is `published`."""
    if not _is_new(record):
        return record
    number = record.published + 1
    latest = record.latest.settled(now - 1)  # what was changed just now is under way in the version too
    version = replace(
        latest,
        version=str(number),
        description=latest.description if description is None else description,
        revision_id=new_revision_id(),
    )
    if version.snap_start == "PublishedVersions":
        version = replace(version.active(), state="Pending", state_reason=CREATING, state_reason_code="Creating")
        version = replace(version, last_update_status=None)
    elif version.state == "Pending":
        version = replace(version, settling=Settling(at=now, revision_id=new_revision_id()))
    else:
        version = version.active()
    return replace(record, versions=record.versions | {number: version}, published=number)


async def list_versions_by_function(
    emulator: Emulator, *, function_name: str, marker: str | None = None, max_items: int | None = None
) -> dict[str, Any]:
    """`$LATEST`, then the published versions, oldest first. Raises ResourceNotFoundException."""
    where = unqualified(emulator, function_name)
    after = int(position(marker, NUMBER) or -1)
    record = await function_of(emulator, where)
    now = now_ms(emulator)
    ordered = [record.latest, *(record.versions[number] for number in sorted(record.versions))]
    found = [one for one in ordered if (0 if one.version == LATEST else int(one.version)) > after]
    return page(
        "Versions",
        found,
        max_items=max_items,
        position_of=lambda one: "0" if one.version == LATEST else one.version,
        show=lambda one: listed_configuration(record, one, now=now, qualifier=one.version),
    )
