"""What else clients ask of an account and of a function: quotas, recursion, runtime management, code signing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from engine.lambda_emulator.errors import InvalidParameterValueException
from engine.lambda_emulator.functions import LATEST
from engine.lambda_emulator.identifiers import INVOKE_MAX, named, unqualified
from engine.lambda_emulator.operations.code import code_storage
from engine.lambda_emulator.operations.lookup import configuration_of, existing, function_of
from engine.lambda_emulator.records import RuntimeManagement, function_key

if TYPE_CHECKING:
    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.records import FunctionRecord


async def get_account_settings(emulator: Emulator) -> dict[str, Any]:
    """The account's quotas, and what it uses of them."""
    limits = emulator.limits
    usage = await emulator.library.usage(function_key(emulator.account_id, emulator.region, ""))
    return {
        "AccountLimit": {
            "TotalCodeSize": limits.code_storage_bytes_max,
            "CodeSizeUnzipped": limits.unzipped_bytes_max,
            "CodeSizeZipped": limits.zip_bytes_max,
            "ConcurrentExecutions": limits.concurrent_executions,
            "UnreservedConcurrentExecutions": limits.concurrent_executions - usage.reserved,
        },
        "AccountUsage": {"TotalCodeSize": await code_storage(emulator), "FunctionCount": usage.count},
    }


async def get_function_recursion_config(emulator: Emulator, *, function_name: str) -> dict[str, Any]:
    """Whether a function may invoke itself for ever. Raises ResourceNotFoundException."""
    record = await function_of(emulator, unqualified(emulator, function_name))
    return {"RecursiveLoop": record.recursive_loop}


async def put_function_recursion_config(
    emulator: Emulator, *, function_name: str, recursive_loop: Literal["Allow", "Terminate"]
) -> dict[str, Any]:
    """Says whether `lineage` ends its loops. Raises ResourceNotFoundException."""
    where = unqualified(emulator, function_name)
    await emulator.library.change_function(
        where.key, lambda before: replace(existing(before, where), recursive_loop=recursive_loop)
    )
    return {"RecursiveLoop": recursive_loop}


async def get_runtime_management_config(
    emulator: Emulator, *, function_name: str, qualifier: str | None = None
) -> dict[str, Any]:
    """When the runtime may change below a version. Raises ResourceNotFoundException."""
    where = named(emulator, function_name, qualifier, length_max=INVOKE_MAX)
    record = await function_of(emulator, where)
    version = configuration_of(record, where).version
    return _shown(record, version, where.qualifier)


async def put_runtime_management_config(
    emulator: Emulator,
    *,
    function_name: str,
    update_runtime_on: Literal["Auto", "FunctionUpdate", "Manual"],
    qualifier: str | None = None,
    runtime_version_arn: str | None = None,
) -> dict[str, Any]:
    """Says so; kept and shown: runtimes here are those of this machine.

    Raises:
        ResourceNotFoundException: No such version.
        InvalidParameterValueException: `Manual` without the version of the runtime, or one without `Manual`.
    """
    where = named(emulator, function_name, qualifier, length_max=INVOKE_MAX)
    if (update_runtime_on == "Manual") != (runtime_version_arn is not None):
        raise InvalidParameterValueException(
            "RuntimeVersionArn is needed when UpdateRuntimeOn is Manual, and only then."
        )
    said = RuntimeManagement(update_runtime_on=update_runtime_on, runtime_version_arn=runtime_version_arn)

    def edit(before: FunctionRecord | None) -> FunctionRecord:
        record = existing(before, where)
        version = configuration_of(record, where).version
        return replace(record, runtime_management=record.runtime_management | {version: said})

    record = await emulator.library.change_function(where.key, edit)
    assert record is not None, "the edit answers a record"
    return _shown(record, configuration_of(record, where).version, where.qualifier)


def _shown(record: FunctionRecord, version: str, qualifier: str | None) -> dict[str, Any]:
    said = record.runtime_management.get(version, RuntimeManagement())
    shown = {
        "UpdateRuntimeOn": said.update_runtime_on,
        "FunctionArn": record.arn(qualifier or LATEST),
        "RuntimeVersionArn": said.runtime_version_arn,
    }
    return {name: value for name, value in shown.items() if value is not None}


async def get_function_code_signing_config(emulator: Emulator, *, function_name: str) -> dict[str, Any]:
    """None: code signing is not built, so no function has a configuration of it. Raises ResourceNotFoundException."""
    await function_of(emulator, named(emulator, function_name, length_max=INVOKE_MAX))
    return {}
