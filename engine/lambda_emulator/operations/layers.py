"""The operations on layers, and how functions name them (lambda.md 3.4)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.lambda_emulator.deployment_packages import shown_digest
from engine.lambda_emulator.errors import (
    AccessDeniedException,
    InvalidParameterValueException,
    ResourceNotFoundException,
)
from engine.lambda_emulator.operations.code import check_code_storage, location, new_package
from engine.lambda_emulator.operations.lookup import now_ms
from engine.lambda_emulator.operations.paging import NUMBER, page, page_size, position
from engine.lambda_emulator.operations.shown import last_modified
from engine.lambda_emulator.records import LayerRecord, LayerUse, LayerVersion, layer_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.store import Key

_VERSION_ARN = re.compile(
    r"arn:(?:aws[a-zA-Z-]*)?:lambda:(?P<region>[a-z0-9-]+):(?P<account_id>\d{12}):layer:(?P<name>[a-zA-Z0-9-_]+)"
    r"(?::(?P<version>\d+))?"
)

_NOT_THERE = "The resource you requested does not exist."


async def layer_uses(emulator: Emulator, arns: Sequence[str]) -> tuple[LayerUse, ...]:
    """The layer versions that a function names, in its order.

    Raises:
        InvalidParameterValueException: There are too many, one is not there, or two are versions of the same layer.
        AccessDeniedException: One belongs to another account.
    """
    if len(arns) > emulator.limits.layers_max:
        raise InvalidParameterValueException(f"Cannot reference more than {emulator.limits.layers_max} layers.")
    by_layer: dict[str, str] = {}
    for arn in arns:
        layer = arn.rpartition(":")[0]
        if layer in by_layer:
            raise InvalidParameterValueException(
                "Two different versions of the same layer are not allowed to be referenced in the same function. "
                f"{by_layer[layer]} and {arn} are versions of the same layer."
            )
        by_layer[layer] = arn
    return tuple([await _layer_use(emulator, arn) for arn in arns])


async def _layer_use(emulator: Emulator, arn: str) -> LayerUse:
    try:
        _, version = await _version_by_arn(emulator, arn)
    except ResourceNotFoundException:
        raise InvalidParameterValueException(f"Layer version {arn} does not exist.") from None
    return LayerUse(arn=arn, package=version.package)


async def _version_by_arn(emulator: Emulator, arn: str) -> tuple[LayerRecord, LayerVersion]:
    """Raises ResourceNotFoundException, AccessDeniedException."""
    found = _VERSION_ARN.fullmatch(arn)
    if found is None or (found["region"], found["account_id"]) != (emulator.region, emulator.account_id):
        raise AccessDeniedException(
            f"User: arn:aws:iam::{emulator.account_id}:root is not authorized to perform: lambda:GetLayerVersion on "
            f"resource: {arn} because no resource-based policy allows the lambda:GetLayerVersion action. "
            "Layers of other accounts and regions are not here: publish it in this account and region."
        )
    return await layer_version(emulator, found["name"], int(found["version"] or 0))


def layer_key_of(emulator: Emulator, layer_name: str) -> Key:
    """Of a layer that is given by name or ARN."""
    found = _VERSION_ARN.fullmatch(layer_name)
    if found is None:
        return layer_key(emulator.account_id, emulator.region, layer_name)
    return layer_key(found["account_id"], found["region"], found["name"])


async def layer_version(emulator: Emulator, layer_name: str, number: int) -> tuple[LayerRecord, LayerVersion]:
    """A version of a layer. Raises ResourceNotFoundException, InvalidParameterValueException."""
    if number < 1:
        raise InvalidParameterValueException("Layer Version Cannot be less than 1")
    record = await emulator.library.layer(layer_key_of(emulator, layer_name))
    if record is None or number not in record.versions:
        raise ResourceNotFoundException(_NOT_THERE)
    return record, record.versions[number]


async def publish_layer_version(
    emulator: Emulator,
    *,
    layer_name: str,
    content: Mapping[str, Any],
    description: str = "",
    compatible_runtimes: Sequence[str] | None = None,
    compatible_architectures: Sequence[str] | None = None,
    license_info: str | None = None,
) -> dict[str, Any]:
    """Makes the next version of a layer, and the layer with its first one.

    Raises:
        InvalidParameterValueException, RequestEntityTooLargeException, CodeStorageExceededException: Not this content.
    """
    package, data = await new_package(emulator, content)
    await check_code_storage(emulator, package.code_size)
    key = layer_key_of(emulator, layer_name)
    made = LayerVersion(
        version=0,
        package=package,
        code_sha256=shown_digest(package.digest),
        created_date=now_ms(emulator),
        description=description,
        compatible_runtimes=None if compatible_runtimes is None else tuple(compatible_runtimes),
        compatible_architectures=None if compatible_architectures is None else tuple(compatible_architectures),
        license_info=license_info,
    )

    def edit(before: LayerRecord | None) -> LayerRecord:
        record = before or LayerRecord(account_id=key.account_id, region=key.region, name=key.name)
        number = record.published + 1
        versions = record.versions | {number: replace(made, version=number)}
        return replace(record, versions=versions, published=number)

    record = await emulator.library.change_layer(key, edit, packages={package.digest: data})
    assert record is not None, "the edit answers a record"
    return _shown(emulator, record, record.versions[record.published])


async def get_layer_version(emulator: Emulator, *, layer_name: str, version_number: int) -> dict[str, Any]:
    """A version of a layer. Raises ResourceNotFoundException, InvalidParameterValueException."""
    return _shown(emulator, *await layer_version(emulator, layer_name, version_number))


async def get_layer_version_by_arn(emulator: Emulator, *, arn: str) -> dict[str, Any]:
    """A version of a layer. Raises ResourceNotFoundException, AccessDeniedException."""
    return _shown(emulator, *await _version_by_arn(emulator, arn))


async def delete_layer_version(emulator: Emulator, *, layer_name: str, version_number: int) -> None:
    """Removes a version, if it is there; functions that name it keep it. Raises InvalidParameterValueException."""
    if version_number < 1:
        raise InvalidParameterValueException("Layer Version Cannot be less than 1")

    def edit(before: LayerRecord | None) -> LayerRecord | None:
        if before is None or version_number not in before.versions:
            return before
        kept = {number: version for number, version in before.versions.items() if number != version_number}
        return replace(before, versions=kept)

    await emulator.library.change_layer(layer_key_of(emulator, layer_name), edit)


async def list_layers(
    emulator: Emulator,
    *,
    compatible_runtime: str | None = None,
    compatible_architecture: str | None = None,
    marker: str | None = None,
    max_items: int | None = None,
) -> dict[str, Any]:
    """The account's layers by name, each with its newest version of those that fit.

    Raises:
        InvalidParameterValueException: Not a marker of ours.
    """
    after, most = position(marker), page_size(max_items) + 1
    found: list[tuple[LayerRecord, LayerVersion]] = []
    while len(found) < most:
        records = await emulator.library.layers(layer_key(emulator.account_id, emulator.region, after), most=most)
        for record in records:
            fitting = _fitting(record, compatible_runtime, compatible_architecture)
            found += [(record, fitting[0])] if fitting else []
        if len(records) < most:
            break
        after = records[-1].name
    return page(
        "Layers",
        found,
        max_items=max_items,
        position_of=lambda item: item[0].name,
        show=lambda item: {
            "LayerName": item[0].name,
            "LayerArn": item[0].arn(),
            "LatestMatchingVersion": _listed(*item),
        },
    )


async def list_layer_versions(
    emulator: Emulator,
    *,
    layer_name: str,
    compatible_runtime: str | None = None,
    compatible_architecture: str | None = None,
    marker: str | None = None,
    max_items: int | None = None,
) -> dict[str, Any]:
    """A layer's versions that fit, newest first; none of a layer that is not there.

    Raises:
        InvalidParameterValueException: Not a marker of ours.
    """
    before = position(marker, NUMBER)
    record = await emulator.library.layer(layer_key_of(emulator, layer_name))
    found = [] if record is None else _fitting(record, compatible_runtime, compatible_architecture)
    return page(
        "LayerVersions",
        [one for one in found if not before or one.version < int(before)],
        max_items=max_items,
        position_of=lambda one: str(one.version),
        show=lambda one: None if record is None else _listed(record, one),
    )


def _fitting(record: LayerRecord, runtime: str | None, architecture: str | None) -> list[LayerVersion]:
    """Newest first."""
    newest_first = [record.versions[number] for number in sorted(record.versions, reverse=True)]
    return [
        one
        for one in newest_first
        if (runtime is None or runtime in (one.compatible_runtimes or ()))
        and (architecture is None or architecture in (one.compatible_architectures or ()))
    ]


def _listed(record: LayerRecord, version: LayerVersion) -> dict[str, Any]:
    runtimes, architectures = version.compatible_runtimes, version.compatible_architectures
    shown = {
        "LayerVersionArn": record.arn(version.version),
        "Version": version.version,
        "Description": version.description,
        "CreatedDate": last_modified(version.created_date),
        "CompatibleRuntimes": None if runtimes is None else list(runtimes),
        "LicenseInfo": version.license_info,
        "CompatibleArchitectures": None if architectures is None else list(architectures),
    }
    return {name: value for name, value in shown.items() if value is not None}


def _shown(emulator: Emulator, record: LayerRecord, version: LayerVersion) -> dict[str, Any]:
    return {
        "Content": {
            "Location": location(emulator, version.package),
            "CodeSha256": version.code_sha256,
            "CodeSize": version.package.code_size,
        },
        "LayerArn": record.arn(),
        **_listed(record, version),
    }
