"""Configurations as AWS shows them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from engine.lambda_emulator.functions import LATEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.lambda_emulator.records import Configuration, FunctionRecord

# lambda.md 3.2: what lists leave away.
_NOT_LISTED = frozenset(
    {
        "State", "StateReason", "StateReasonCode", "LastUpdateStatus", "LastUpdateStatusReason",
        "LastUpdateStatusReasonCode", "RuntimeVersionConfig",
    }
)  # fmt: skip


def last_modified(ms: int) -> str:
    """`2025-11-25T00:00:00.000+0000`."""
    moment = datetime.fromtimestamp(ms // 1_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1_000:03}+0000"


def shown_configuration(
    record: FunctionRecord, configuration: Configuration, *, now: int, qualifier: str | None = None
) -> dict[str, Any]:
    """A FunctionConfiguration.

    Args:
        qualifier: That the ARN ends in: what the request named; None: the function's own ARN.
    """
    one = configuration.settled(now)
    is_optimized = one.snap_start == "PublishedVersions" and one.version != LATEST
    shown = {
        "FunctionName": record.name,
        "FunctionArn": record.arn(qualifier),
        "Runtime": one.runtime,
        "Role": one.role,
        "Handler": one.handler,
        "CodeSize": one.code_size,
        "Description": one.description,
        "Timeout": one.timeout,
        "MemorySize": one.memory_size,
        "LastModified": last_modified(one.last_modified),
        "CodeSha256": one.code_sha256,
        "Version": one.version,
        "VpcConfig": one.vpc_config,
        "DeadLetterConfig": {"TargetArn": one.dead_letter_target} if one.dead_letter_target else None,
        "Environment": {"Variables": one.environment} if one.environment else None,
        "KMSKeyArn": one.kms_key_arn,
        "TracingConfig": {"Mode": one.tracing_mode},
        "RevisionId": one.revision_id,
        "Layers": [{"Arn": layer.arn, "CodeSize": layer.package.code_size} for layer in one.layers] or None,
        "State": one.state,
        "StateReason": one.state_reason,
        "StateReasonCode": one.state_reason_code,
        "LastUpdateStatus": one.last_update_status,
        "LastUpdateStatusReason": one.last_update_status_reason,
        "LastUpdateStatusReasonCode": one.last_update_status_reason_code,
        "PackageType": one.package_type,
        "ImageConfigResponse": {"ImageConfig": one.image_config} if one.image_config else None,
        "Architectures": list(one.architectures),
        "EphemeralStorage": {"Size": one.ephemeral_storage},
        "SnapStart": {"ApplyOn": one.snap_start, "OptimizationStatus": "On" if is_optimized else "Off"},
        "RuntimeVersionConfig": _runtime_version(record.region, one),
        "LoggingConfig": one.logging_config,
    }
    return {name: value for name, value in shown.items() if value is not None}


def listed_configuration(
    record: FunctionRecord, configuration: Configuration, *, now: int, qualifier: str | None = None
) -> Mapping[str, Any]:
    """As an item of a list."""
    shown = shown_configuration(record, configuration, now=now, qualifier=qualifier)
    return {name: value for name, value in shown.items() if name not in _NOT_LISTED}


def _runtime_version(region: str, configuration: Configuration) -> dict[str, str] | None:
    """AWS's names are of its own builds of a runtime; ours say at least which of them are the same."""
    if configuration.runtime is None:
        return None
    digest = hashlib.sha256(configuration.runtime.encode()).hexdigest()
    return {"RuntimeVersionArn": f"arn:aws:lambda:{region}::runtime:{digest}"}
