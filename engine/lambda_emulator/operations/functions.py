"""The operations on functions themselves: create, read, list, change, delete (lambda.md 3)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.lambda_emulator.errors import InvalidParameterValueException, ResourceConflictException
from engine.lambda_emulator.functions import LATEST
from engine.lambda_emulator.identifiers import INVOKE_MAX, NAME_MAX, constraint_text, is_version, named, unqualified
from engine.lambda_emulator.operations.code import check_code_storage, check_unzipped, new_code, shown_code
from engine.lambda_emulator.operations.configuration import (
    changes,
    check_snap_start,
    logging_config,
)
from engine.lambda_emulator.operations.lookup import (
    configuration_of,
    existing,
    function_of,
    now_ms,
    require_revision,
    require_settled,
)
from engine.lambda_emulator.operations.paging import NAME, NUMBER, page, page_size, position
from engine.lambda_emulator.operations.shown import listed_configuration, shown_configuration
from engine.lambda_emulator.operations.tag_rules import check_tags
from engine.lambda_emulator.operations.versions import published
from engine.lambda_emulator.preparation import begin_preparation
from engine.lambda_emulator.records import (
    CREATING,
    Configuration,
    FunctionRecord,
    Settling,
    function_key,
    new_revision_id,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.identifiers import Named
    from engine.lambda_emulator.operations.code import NewCode


async def create_function(
    emulator: Emulator,
    *,
    function_name: str,
    role: str,
    code: Mapping[str, Any],
    package_type: str | None = None,
    publish: bool = False,
    tags: Mapping[str, str] | None = None,
    **given: Any,
) -> dict[str, Any]:
    """Makes a function. It is Pending in the answer, and Active from then on.

    Raises:
        InvalidParameterValueException, ValidationException, RequestEntityTooLargeException,
        CodeStorageExceededException: It cannot be made so.
        ResourceConflictException: The name is taken.
        NotImplementedException: A parameter asks for something that is not built.
    """
    if len(function_name) > NAME_MAX and ":" not in function_name:
        raise InvalidParameterValueException(
            constraint_text("functionName", function_name, f"have length less than or equal to {NAME_MAX}")
        )
    where = unqualified(emulator, function_name)
    kind = package_type or "Zip"
    _check_kind(kind, given)
    check_tags(emulator, tags or {})
    fields = await changes(emulator, where.key.name, given | {"role": role})
    if await emulator.library.function(where.key) is not None:  # before the code is read
        raise _taken(where)
    brought = await new_code(emulator, code, kind)
    now = now_ms(emulator)
    given_fields = {
        "logging_config": logging_config(where.key.name, None),
        "package_type": kind,
        "revision_id": new_revision_id(),
        "content_id": new_revision_id(),
        "last_modified": now,
        "settling": Settling(at=now, revision_id=new_revision_id()),
        **_code_fields(brought),
    }
    latest = Configuration(**(given_fields | fields))
    _check_together(emulator, latest)
    await check_code_storage(emulator, latest.code_size * (2 if publish else 1))
    key = where.key
    record = FunctionRecord(
        account_id=key.account_id, region=key.region, name=key.name, latest=latest, tags=dict(tags or {})
    )
    if publish:
        record = published(record, now=now)

    def edit(before: FunctionRecord | None) -> FunctionRecord:
        if before is not None:
            raise _taken(where)
        return record

    await emulator.library.change_function(key, edit, packages=brought.packages)
    return _changed(emulator, record, now, publish=publish)


def _taken(where: Named) -> ResourceConflictException:
    return ResourceConflictException(f"Function already exist: {where.key.name}")


def _check_kind(package_type: str, given: Mapping[str, Any]) -> None:
    """Raises InvalidParameterValueException: what the package type needs is missing, or what it excludes is there."""
    has = [name for name in ("runtime", "handler") if given.get(name)]
    if package_type == "Zip" and len(has) < 2:
        raise InvalidParameterValueException(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )
    if package_type == "Image" and (has or given.get("layers")):
        raise InvalidParameterValueException(
            "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."
        )


def _code_fields(brought: NewCode) -> dict[str, Any]:
    return {"code_sha256": brought.code_sha256, "package": brought.package, "image_uri": brought.image_uri}


def _check_together(emulator: Emulator, configuration: Configuration) -> None:
    """What depends on several fields. Raises InvalidParameterValueException, NotImplementedException."""
    check_unzipped(emulator, configuration.package, configuration.layers)
    check_snap_start(
        configuration.snap_start,
        package_type=configuration.package_type,
        runtime=configuration.runtime,
        ephemeral_storage=configuration.ephemeral_storage,
    )


def _changed(emulator: Emulator, record: FunctionRecord, now: int, *, publish: bool) -> dict[str, Any]:
    """The answer to a change, and what a published version still needs."""
    if not publish:
        return _as_it_was(record, record.latest, None)
    version = record.versions[record.published]
    begin_preparation(emulator, record, version)
    return _as_it_was(record, version, version.version)


def _as_it_was(record: FunctionRecord, configuration: Configuration, qualifier: str | None) -> dict[str, Any]:
    """As it was when it was changed: what settles has not."""
    before = 0 if configuration.settling is None else configuration.settling.at - 1
    return shown_configuration(record, configuration, now=before, qualifier=qualifier)


async def get_function(emulator: Emulator, *, function_name: str, qualifier: str | None = None) -> dict[str, Any]:
    """A function, or a version or alias of it, and where its code is. Raises ResourceNotFoundException."""
    where = named(emulator, function_name, qualifier, length_max=INVOKE_MAX)
    record = await function_of(emulator, where)
    configuration = configuration_of(record, where)
    answer: dict[str, Any] = {
        "Configuration": shown_configuration(record, configuration, now=now_ms(emulator), qualifier=where.qualifier),
        "Code": shown_code(emulator, configuration),
    }
    if record.tags:
        answer["Tags"] = dict(record.tags)
    if record.reserved_concurrency is not None:
        answer["Concurrency"] = {"ReservedConcurrentExecutions": record.reserved_concurrency}
    return answer


async def get_function_configuration(
    emulator: Emulator, *, function_name: str, qualifier: str | None = None
) -> dict[str, Any]:
    """The configuration of a function, or of a version or alias of it. Raises ResourceNotFoundException."""
    where = named(emulator, function_name, qualifier, length_max=INVOKE_MAX)
    record = await function_of(emulator, where)
    return shown_configuration(record, configuration_of(record, where), now=now_ms(emulator), qualifier=where.qualifier)


async def list_functions(
    emulator: Emulator,
    *,
    master_region: str | None = None,
    function_version: str | None = None,
    marker: str | None = None,
    max_items: int | None = None,
) -> dict[str, Any]:
    """The account's functions by name, or (`ALL`) all their versions. `MasterRegion` is for Lambda@Edge: nothing here.

    Raises:
        InvalidParameterValueException: Not a marker of ours.
    """
    if master_region is not None:
        return {"Functions": []}
    name, _, version = position(marker, f"{NAME}(:{NUMBER})?").partition(":")
    most, now = page_size(max_items) + 1, now_ms(emulator)
    # A marker in the middle of a function's versions: that function again. No name has a letter behind \x7e.
    after = f"{name[:-1]}{chr(ord(name[-1]) - 1)}\x7f" if version else name
    found: list[tuple[FunctionRecord, Configuration]] = []
    for record in await emulator.library.functions(
        function_key(emulator.account_id, emulator.region, after), most=most + 1
    ):
        numbers = sorted(record.versions) if function_version == "ALL" else []
        own = [record.latest, *(record.versions[number] for number in numbers)]
        if version and record.name == name:
            own = [one for one in own if one.version.isdecimal() and int(one.version) > int(version)]
        found += [(record, one) for one in own]

    def show(item: tuple[FunctionRecord, Configuration]) -> Mapping[str, Any]:
        record, one = item
        qualifier = one.version if function_version == "ALL" else None
        return listed_configuration(record, one, now=now, qualifier=qualifier)

    return page("Functions", found, max_items=max_items, position_of=_list_position(function_version), show=show)


def _list_position(function_version: str | None) -> Any:
    def of(item: tuple[FunctionRecord, Configuration]) -> str:
        record, one = item
        if function_version != "ALL":
            return record.name
        return f"{record.name}:{0 if one.version == LATEST else one.version}"

    return of


async def update_function_code(
    emulator: Emulator,
    *,
    function_name: str,
    publish: bool = False,
    dry_run: bool = False,
    revision_id: str | None = None,
    architectures: list[str] | None = None,
    publish_to: str | None = None,
    source_kms_key_arn: str | None = None,
    **code: Any,
) -> dict[str, Any]:
    """Gives a function other code.

    Raises:
        ResourceNotFoundException, ResourceConflictException, PreconditionFailedException: Not now.
        InvalidParameterValueException, RequestEntityTooLargeException, CodeStorageExceededException: Not this code.
    """
    del source_kms_key_arn  # the zip comes as it is
    where = unqualified(emulator, function_name)
    record = await function_of(emulator, where)
    fields = await changes(emulator, record.name, {"architectures": architectures, "publish_to": publish_to})
    given = {_CODE_MEMBERS[name]: value for name, value in code.items() if value is not None}
    brought = await new_code(emulator, given, record.latest.package_type)
    fields |= _code_fields(brought)
    if brought.package is not None:
        await check_code_storage(emulator, brought.package.code_size)
    if dry_run:
        now = now_ms(emulator)
        latest = replace(_ready(record, now, revision_id), **fields)
        _check_together(emulator, latest)
        return shown_configuration(record, latest, now=now)
    return await _update(emulator, where, fields, revision_id=revision_id, publish=publish, brought=brought)


_CODE_MEMBERS = {
    "zip_file": "ZipFile",
    "s3_bucket": "S3Bucket",
    "s3_key": "S3Key",
    "s3_object_version": "S3ObjectVersion",
    "s3_object_storage_mode": "S3ObjectStorageMode",
    "image_uri": "ImageUri",
}


async def update_function_configuration(
    emulator: Emulator, *, function_name: str, revision_id: str | None = None, **given: Any
) -> dict[str, Any]:
    """Changes what is given of a function's configuration.

    Raises:
        ResourceNotFoundException, ResourceConflictException, PreconditionFailedException: Not now.
        InvalidParameterValueException, ValidationException, NotImplementedException: Not this.
    """
    where = unqualified(emulator, function_name)
    await function_of(emulator, where)
    fields = await changes(emulator, where.key.name, given)
    return await _update(emulator, where, fields, revision_id=revision_id, publish=False, brought=None)


async def _update(
    emulator: Emulator,
    where: Named,
    fields: Mapping[str, Any],
    *,
    revision_id: str | None,
    publish: bool,
    brought: NewCode | None,
) -> dict[str, Any]:
    now = now_ms(emulator)
    under_way: dict[str, Any] = {
        "last_modified": now,
        "revision_id": new_revision_id(),
        "content_id": new_revision_id(),
        "last_update_status": "InProgress",
        "last_update_status_reason": CREATING,
        "last_update_status_reason_code": "Creating",
        "settling": Settling(at=now, revision_id=new_revision_id()),
    }

    def edit(before: FunctionRecord | None) -> FunctionRecord:
        record = existing(before, where)
        latest = replace(_ready(record, now, revision_id), **fields)
        _check_together(emulator, latest)
        if latest.package_type == "Image" and (latest.runtime or latest.handler or latest.layers):
            raise InvalidParameterValueException(
                "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."
            )
        changed = replace(record, latest=replace(latest, **under_way))
        return published(changed, now=now) if publish else changed

    packages = {} if brought is None else brought.packages
    record = await emulator.library.change_function(where.key, edit, packages=packages)
    assert record is not None, "the edit answers a record"
    return _changed(emulator, record, now, publish=publish)


def _ready(record: FunctionRecord, now: int, revision_id: str | None) -> Configuration:
    """`$LATEST`, when it may be changed. Raises ResourceConflictException, PreconditionFailedException."""
    latest = record.latest.settled(now)
    require_settled(record, latest)
    require_revision(revision_id, latest.revision_id)
    return latest


async def delete_function(emulator: Emulator, *, function_name: str, qualifier: str | None = None) -> dict[str, Any]:
    """Deletes a function with all that it has, or one of its versions.

    Raises:
        ResourceNotFoundException: No such function.
        InvalidParameterValueException: `$LATEST` alone, or an alias.
        ResourceConflictException: An alias leads to the version.
    """
    where = named(emulator, function_name, qualifier)
    if where.qualifier == LATEST:
        raise InvalidParameterValueException("$LATEST version cannot be deleted without deleting the function.")
    if where.qualifier is not None and not is_version(where.qualifier):
        raise InvalidParameterValueException(
            "Deletion of aliases is not currently supported. Please use DeleteAlias instead."
        )

    def edit(before: FunctionRecord | None) -> FunctionRecord | None:
        record = existing(before, where)
        return None if where.qualifier is None else without_version(record, where.qualifier)

    await emulator.library.change_function(where.key, edit)
    await emulator.environments.retire(where.key.name, where.qualifier)
    return {"StatusCode": 204}


def without_version(record: FunctionRecord, version: str) -> FunctionRecord:
    """Without a version, and what belongs to it; one that is not there is deleted already.

    Raises:
        ResourceConflictException: An alias leads to it.
    """
    aliases = [
        alias.name
        for alias in record.aliases.values()
        if version == alias.function_version or version in alias.additional_version_weights
    ]
    if aliases:
        raise ResourceConflictException(
            f"Version {version} of {record.name} cannot be deleted: these aliases lead to it: {', '.join(aliases)}"
        )
    if int(version) not in record.versions:
        return record
    return replace(
        without_qualifier(record, version),
        versions={number: one for number, one in record.versions.items() if number != int(version)},
    )


def without_qualifier(record: FunctionRecord, qualifier: str) -> FunctionRecord:
    """Without what belongs to a version or an alias that goes."""
    names = ("policies", "provisioned", "event_invoke_settings", "urls", "runtime_management")
    kept: dict[str, Any] = {
        name: {key: value for key, value in getattr(record, name).items() if key != qualifier} for name in names
    }
    return replace(record, **kept)
