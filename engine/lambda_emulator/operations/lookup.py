"""What most operations begin with: the function that a request names, the time, whether it may be changed now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lambda_emulator.errors import PreconditionFailedException, ResourceConflictException
from engine.lambda_emulator.functions import LATEST

if TYPE_CHECKING:
    from datetime import datetime

    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.identifiers import Named
    from engine.lambda_emulator.records import Alias, Configuration, FunctionRecord


def now_ms(emulator: Emulator) -> int:
    """The emulator's clock, in milliseconds since the epoch."""
    return ms_of(emulator.clock.now())


def ms_of(moment: datetime) -> int:
    """In milliseconds since the epoch."""
    return round(moment.timestamp() * 1_000)


def existing(record: FunctionRecord | None, named: Named) -> FunctionRecord:
    """The function, where it must be there. Raises ResourceNotFoundException."""
    if record is None:
        raise named.not_found()
    return record


async def function_of(emulator: Emulator, named: Named) -> FunctionRecord:
    """The function that is named, whatever its qualifier says. Raises ResourceNotFoundException."""
    return existing(await emulator.library.function(named.key), named)


def alias_of(record: FunctionRecord, named: Named) -> Alias | None:
    """The alias that the qualifier is; None: it is none, but a version that is there, or nothing.

    Raises:
        ResourceNotFoundException: No version and no alias of the function has this name.
    """
    qualifier = named.qualifier or LATEST
    if qualifier in record.aliases:
        return record.aliases[qualifier]
    if record.configuration(qualifier) is None:
        raise named.not_found()
    return None


def configuration_of(record: FunctionRecord, named: Named) -> Configuration:
    """That of the version, or of the alias's first one. Raises ResourceNotFoundException."""
    alias = alias_of(record, named)
    found = record.configuration(named.qualifier or LATEST if alias is None else alias.function_version)
    assert found is not None, "a version that an alias leads to cannot be deleted"
    return found


def require_revision(given: str | None, current: str, *, shown_by: str = "GetFunction/GetAlias") -> None:
    """Raises PreconditionFailedException: a RevisionId was given, and somebody changed the resource since."""
    if given is not None and given != current:
        raise PreconditionFailedException(
            "The Revision Id provided does not match the latest Revision Id. "
            f"Call the {shown_by} API to retrieve the latest Revision Id"
        )


def require_settled(record: FunctionRecord, latest: Configuration) -> None:
    """Raises ResourceConflictException: what was asked before is not done yet (lambda.md 3.1)."""
    if latest.state == "Pending":
        raise ResourceConflictException(
            "The operation cannot be performed at this time. "
            f"The function is currently in the following state: {latest.state}"
        )
    if latest.last_update_status == "InProgress":
        raise ResourceConflictException(
            f"The operation cannot be performed at this time. An update is in progress for resource: {record.arn()}"
        )
