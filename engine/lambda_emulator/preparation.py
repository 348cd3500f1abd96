"""What a version needs before it can be invoked: the snapshot of SnapStart, and environments that wait for events.

It goes on behind the answer that asked for it; what becomes of it is in the function's document. A server that stopped
meanwhile does it again when somebody asks for the version.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from engine.lambda_emulator.errors import LambdaError
from engine.lambda_emulator.function_versions import function_version
from engine.lambda_emulator.records import function_key, new_revision_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.records import Configuration, FunctionRecord, ProvisionedConcurrency
    from engine.lambda_emulator.store import Key

INIT_FAILURE = "FUNCTION_ERROR_INIT_FAILURE"
_PAGE = 100


def needs_snapshot(configuration: Configuration) -> bool:
    """Whether it is a version whose snapshot nobody has seen made."""
    return configuration.state == "Pending" and configuration.settling is None


def begin_preparation(emulator: Emulator, record: FunctionRecord, configuration: Configuration) -> None:
    """Begins to make a version's snapshot, if it needs one and nobody here makes it already."""
    mark = (record.key, configuration.version)
    if needs_snapshot(configuration) and mark not in emulator.library.under_way:
        emulator.library.under_way.add(mark)
        emulator.group.start_soon(_make_snapshot, emulator, record, configuration)


async def _make_snapshot(emulator: Emulator, record: FunctionRecord, configuration: Configuration) -> None:
    key, version = record.key, configuration.version
    try:
        failure = await _prepared(emulator, record, configuration, 0)
    finally:
        emulator.library.under_way.discard((key, version))

    def edit(before: FunctionRecord | None) -> FunctionRecord | None:
        now = None if before is None else before.configuration(version)
        if before is None or now is None or not needs_snapshot(now):
            return before
        if failure is None:
            after = now.active()
        else:
            after = replace(now, state="Failed", state_reason=failure, state_reason_code="FunctionError")
        return before.with_configuration(replace(after, revision_id=new_revision_id()))

    await _noted(emulator, key, edit)


def begin_provisioning(emulator: Emulator, record: FunctionRecord, qualifier: str) -> None:
    """Begins to make the environments of a version or alias, if nobody here makes them already."""
    mark = (record.key, f"provisioned {qualifier}")
    if mark not in emulator.library.under_way:
        emulator.library.under_way.add(mark)
        emulator.group.start_soon(_provision, emulator, record.key, qualifier)


async def _provision(emulator: Emulator, key: Key, qualifier: str) -> None:
    """Until what is there is what was asked for last."""
    try:
        while True:
            record = await emulator.library.function(key)
            wanted = None if record is None else record.provisioned.get(qualifier)
            if record is None or wanted is None:
                return
            configuration = provisioned_configuration(record, qualifier)
            failure = await _prepared(emulator, record, configuration, wanted.requested)
            if await _settle_provisioned(emulator, key, qualifier, wanted, failure):
                return
    finally:
        emulator.library.under_way.discard((key, f"provisioned {qualifier}"))


async def _settle_provisioned(
    emulator: Emulator, key: Key, qualifier: str, made: ProvisionedConcurrency, failure: str | None
) -> bool:
    """Whether it is still what was asked for, and noted."""
    is_current = True

    def edit(before: FunctionRecord | None) -> FunctionRecord | None:
        nonlocal is_current
        now = None if before is None else before.provisioned.get(qualifier)
        if before is None or now is None:
            return before
        is_current = (now.requested, now.last_modified) == (made.requested, made.last_modified)
        if not is_current:
            return before
        if failure is None:
            after = replace(now, status="READY", status_reason=None)
        else:
            after = replace(now, status="FAILED", status_reason=INIT_FAILURE)
        return before if after == now else replace(before, provisioned=before.provisioned | {qualifier: after})

    await _noted(emulator, key, edit)
    return is_current


def provisioned_configuration(record: FunctionRecord, qualifier: str) -> Configuration:
    """The version that a provisioned version or alias stands for."""
    alias = record.aliases.get(qualifier)
    found = record.configuration(qualifier if alias is None else alias.function_version)
    assert found is not None, "what is provisioned goes with its version or alias"
    return found


async def _prepared(emulator: Emulator, record: FunctionRecord, configuration: Configuration, count: int) -> str | None:
    """Why it failed."""
    try:
        await emulator.environments.prepare(function_version(emulator, record, configuration), count)
    except LambdaError as error:
        return error.message
    return None


async def _noted(emulator: Emulator, key: Key, edit: Callable[[FunctionRecord | None], FunctionRecord | None]) -> None:
    """Writes what became of it; when that cannot be done it is found undone by whoever asks next."""
    try:
        await emulator.library.change_function(key, edit)
    except Exception:  # noqa: BLE001
        structlog.get_logger().exception("could not note how a version stands", function=key.name)


async def resume(emulator: Emulator) -> None:
    """Begins what a server that stopped had under way, and the environments that are to be there, of this account."""
    after = ""
    while True:
        like = function_key(emulator.account_id, emulator.region, after)
        found = await emulator.library.functions(like, most=_PAGE)
        for record in found:
            for configuration in record.versions.values():
                begin_preparation(emulator, record, configuration)
            for qualifier in record.provisioned:
                begin_provisioning(emulator, record, qualifier)
        if len(found) < _PAGE:
            return
        after = found[-1].name
