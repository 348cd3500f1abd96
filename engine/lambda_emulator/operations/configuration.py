"""What a function's configuration may be: checks, defaults, and changes of one (lambda.md 3, 4)."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from botocore import xform_name

from engine.lambda_emulator.errors import InvalidParameterValueException, NotImplementedException
from engine.lambda_emulator.identifiers import constraint
from engine.lambda_emulator.operations.layers import layer_uses
from engine.lambda_emulator.runtime_names import (
    DEPRECATED_RUNTIMES,
    RUNTIMES,
    is_snap_startable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.limits import Limits

_RESERVED_VARIABLES = frozenset(
    {
        "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API", "AWS_REGION", "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT",
    }
)  # fmt: skip

_SNAP_START_STORAGE_MAX = 512

# Of CreateFunction and UpdateFunctionConfiguration. What needs a service of AWS's that is not here is refused.
REFUSED = {
    "file_system_configs": "EFS and S3 file systems cannot be mounted",
    "code_signing_config_arn": "code signing is not checked",
    "durable_config": "durable functions are not run",
    "tenancy_config": "tenants are not isolated",
    "capacity_provider_config": "there are no managed instances",
    "accelerator_config": "there are no accelerators",
    "runtime_config": "there are no runtimes of one's own",
    "publish_to": "there are no managed instances",
}
"""By parameter: why not."""


def refuse(given: Mapping[str, Any]) -> None:
    """Raises NotImplementedException: a parameter asks for something that is not built."""
    for name, reason in REFUSED.items():
        if given.get(name):
            member = next(one for one in _MEMBERS if xform_name(one) == name)
            raise NotImplementedException(f"{member} is not supported by this emulator: {reason}")


_MEMBERS = (
    "FileSystemConfigs", "CodeSigningConfigArn", "DurableConfig", "TenancyConfig", "CapacityProviderConfig",
    "AcceleratorConfig", "RuntimeConfig", "PublishTo",
)  # fmt: skip


def check_numbers(
    emulator: Emulator, *, timeout: int | None, memory_size: int | None, ephemeral_storage: Mapping[str, int] | None
) -> None:
    """Raises ValidationException: a number is above its limit. The lower ones are in the service model."""
    limits = emulator.limits
    size = None if ephemeral_storage is None else ephemeral_storage["Size"]
    for path, value, most in (
        ("memorySize", memory_size, limits.memory_size_max),
        ("timeout", timeout, limits.timeout_max),
        ("ephemeralStorage.size", size, limits.ephemeral_storage_max),
    ):
        if value is not None and value > most:
            raise constraint(path, value, f"have value less than or equal to {most}")


def check_runtime(emulator: Emulator, runtime: str) -> None:
    """Whether a function can have this runtime.

    Raises:
        InvalidParameterValueException: Lambda has no such runtime, or no longer takes it.
        NotImplementedException: Its functions cannot be run here.
    """
    if runtime in DEPRECATED_RUNTIMES:
        raise InvalidParameterValueException(
            f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. "
            "We recommend you use a supported runtime while creating or updating functions."
        )
    if runtime not in RUNTIMES:
        raise InvalidParameterValueException(
            f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
            f"[{', '.join(RUNTIMES)}] or be a valid ARN"
        )
    try:
        emulator.environments.check(runtime)
    except ValueError as error:
        raise NotImplementedException(str(error)) from error


def check_environment(limits: Limits, variables: Mapping[str, str]) -> None:
    """Raises InvalidParameterValueException: a name is Lambda's own, or they are too long together."""
    begin = (
        "Lambda was unable to configure your environment variables because the environment variables you have provided"
    )
    reserved = sorted(_RESERVED_VARIABLES.intersection(variables))
    if reserved:
        raise InvalidParameterValueException(
            f"{begin} contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    text = json.dumps(variables, separators=(",", ":"), ensure_ascii=False)
    if len(text.encode()) > limits.environment_bytes_max:
        raise InvalidParameterValueException(f"{begin} exceeded the 4KB limit. String measured: {text}")


def check_snap_start(apply_on: str, *, package_type: str, runtime: str | None, ephemeral_storage: int) -> None:
    """Raises InvalidParameterValueException: the function cannot have SnapStart (lambda.md 7)."""
    if apply_on == "None":
        return
    if package_type == "Image":
        raise NotImplementedException("SnapStart of container images is not supported by this emulator")
    if runtime is None or not is_snap_startable(runtime):
        raise InvalidParameterValueException(f"{runtime} is not supported for SnapStart enabled functions.")
    if ephemeral_storage > _SNAP_START_STORAGE_MAX:
        raise InvalidParameterValueException(
            f"SnapStart does not support ephemeral storage of more than {_SNAP_START_STORAGE_MAX} MB, "
            f"got {ephemeral_storage} MB."
        )


def logging_config(name: str, given: Mapping[str, str] | None) -> dict[str, str]:
    """With Lambda's defaults."""
    found = dict(given or {})
    shown = {"LogFormat": found.get("LogFormat", "Text")}
    if shown["LogFormat"] == "JSON":
        shown["ApplicationLogLevel"] = found.get("ApplicationLogLevel", "INFO")
        shown["SystemLogLevel"] = found.get("SystemLogLevel", "INFO")
    elif "ApplicationLogLevel" in found or "SystemLogLevel" in found:
        raise InvalidParameterValueException("Log levels can be given for the log format JSON only.")
    return shown | {"LogGroup": found.get("LogGroup", f"/aws/lambda/{name}")}


def vpc_config(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """As it is shown; None: none. It is kept and shown: functions have this machine's network."""
    subnets, groups = list(given.get("SubnetIds") or ()), list(given.get("SecurityGroupIds") or ())
    if not subnets and not groups:
        return None
    vpc = hashlib.sha256(repr(sorted(subnets)).encode()).hexdigest()[:17]
    return {
        "SubnetIds": subnets,
        "SecurityGroupIds": groups,
        "VpcId": f"vpc-{vpc}",
        "Ipv6AllowedForDualStack": bool(given.get("Ipv6AllowedForDualStack")),
    }


async def changes(emulator: Emulator, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a Configuration that a request gives, checked one by one.

    Args:
        given: Parameters in snake_case; None: not given.

    Raises:
        ValidationException, InvalidParameterValueException, NotImplementedException: See the checks above.
    """
    refuse(given)
    check_numbers(
        emulator,
        timeout=given.get("timeout"),
        memory_size=given.get("memory_size"),
        ephemeral_storage=given.get("ephemeral_storage"),
    )
    found = {field: given[field] for field in _AS_GIVEN if given.get(field) is not None}
    if found.get("runtime") is not None:
        check_runtime(emulator, found["runtime"])
    if given.get("environment") is not None:
        found["environment"] = dict(given["environment"].get("Variables") or {})
        check_environment(emulator.limits, found["environment"])
    if given.get("layers") is not None:
        found["layers"] = await layer_uses(emulator, given["layers"])
    for member, (field, read) in _READ.items():
        if given.get(member) is not None:
            found[field] = read(given[member])
    if given.get("logging_config") is not None:
        found["logging_config"] = logging_config(name, given["logging_config"])
    return found


_AS_GIVEN = ("role", "handler", "description", "timeout", "memory_size", "runtime")

_READ: Mapping[str, tuple[str, Any]] = {
    "architectures": ("architectures", tuple),
    "ephemeral_storage": ("ephemeral_storage", lambda given: given["Size"]),
    "snap_start": ("snap_start", lambda given: given.get("ApplyOn", "None")),
    "tracing_config": ("tracing_mode", lambda given: given.get("Mode", "PassThrough")),
    "dead_letter_config": ("dead_letter_target", lambda given: given.get("TargetArn") or None),
    "vpc_config": ("vpc_config", vpc_config),
    "kms_key_arn": ("kms_key_arn", lambda given: given or None),
    "image_config": ("image_config", lambda given: dict(given) or None),
}
"""By parameter: the field, and how it is read."""
