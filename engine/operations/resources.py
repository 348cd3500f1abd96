"""ARNs as they are given to an operation: of the right kind, or InvalidArn in AWS's words (api.md 2)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from engine import arns
from engine.errors import (
    InvalidArn,
    ResourceNotFound,
    StateMachineDeleting,
    StateMachineDoesNotExist,
    ValidationException,
)
from engine.integrations.mock_config import UnknownTestCase
from engine.store.records import drawn

if TYPE_CHECKING:
    from engine.arns import Arn
    from engine.operations.service import Service
    from engine.store.records import StateMachineRecord


_SURROGATE = re.compile("[\ud800-\udfff]")


def checked_arn(text: str, *kinds: str) -> Arn:
    """The parts of an ARN of Step Functions; what it names need not exist.

    Args:
        text: As given.
        kinds: What it may be of, as in its resource: `execution`, `stateMachine`, `activity`, `mapRun`.

    Raises:
        InvalidArn: Not an ARN, or that of something else. The first two texts are recorded; of other malformed ARNs no
            text of AWS is known.
    """
    if not text.startswith("arn:"):
        raise InvalidArn(f"Invalid ARN prefix: {text}")
    arn = arns.parse_arn(text)
    if arn is None or not is_storable(text) or arn.service != "states" or not arn.region or not arn.account:
        raise InvalidArn(f"Invalid ARN: {text}")
    kind, _, name = arn.resource.partition(":")
    if kind not in kinds:
        raise InvalidArn(f"Resource type not valid in this context: {kind}")
    if not name:
        raise InvalidArn(f"Invalid ARN: {text}")
    return arn


def not_authorized(account_id: str, action: str, resource_arn: str) -> str:
    """What AWS says to those who name a resource of another account that no policy opens to them (api.md 1.4)."""
    return (
        f"User: arn:aws:iam::{account_id}:root is not authorized to perform: states:{action} on resource: "
        f"{resource_arn} because no resource-based policy allows the states:{action} action"
    )


class MachineArn(NamedTuple):
    """The ARN of a state machine, or of one of its versions or aliases.

    Attributes:
        text: As given.
        machine: The state machine's own.
        version: A number, when it is that of a version.
        alias: A name, when it is that of an alias.
    """

    text: str
    machine: str
    version: int | None
    alias: str | None

    @property
    def is_qualified(self) -> bool:
        """Whether it names a version or an alias."""
        return self.version is not None or self.alias is not None


def machine_arn_of(text: str) -> MachineArn:
    """What an ARN of a state machine names.

    Raises:
        InvalidArn: See `checked_arn`.
        ValidationException: It names the Distributed Map inside a state machine, which no operation takes.
    """
    arn = checked_arn(text, "stateMachine")
    name, *qualifiers = arn.resource.split(":")[1:]
    if len(qualifiers) > 1 or "" in qualifiers:
        raise InvalidArn(f"Invalid ARN: {text}")
    if "/" in name:
        raise ValidationException(
            f"This operation does not support labelled state machine ARNs: '{text}'",
            reason="API_DOES_NOT_SUPPORT_LABELED_ARNS",
        )
    if not qualifiers:
        return MachineArn(text, text, None, None)
    (qualifier,) = qualifiers
    machine = text.rpartition(":")[0]
    # An alias has a letter, "_", "-" or "." in it (api.md 2).
    if qualifier.isascii() and qualifier.isdecimal():
        return MachineArn(text, machine, version_number(qualifier), None)
    return MachineArn(text, machine, None, qualifier)


_DIGITS_MAX = 9


def version_number(digits: str) -> int:
    """The number of a version; 0, which no version has, when it is not written as we write them, or too large."""
    number = int(digits) if len(digits) <= _DIGITS_MAX else 0
    return number if str(number) == digits else 0


def version_arn(machine_arn: str, number: int) -> str:
    """The ARN of a version."""
    return f"{machine_arn}:{number}"


class Target(NamedTuple):
    """What a start names.

    Attributes:
        machine: With the revision to run.
        version_arn: Of the version that was named, or that an alias led to.
        alias_arn: Of the alias that was named.
        test_case: Key of the test case that was named, behind a `#`; see `MockConfig`.
    """

    machine: StateMachineRecord
    version_arn: str | None = None
    alias_arn: str | None = None
    test_case: str | None = None


async def target(service: Service, state_machine_arn: str) -> Target:
    """The revision that a start of a state machine, version or alias runs; an alias is drawn for by its weights.

    Raises:
        InvalidArn, ValidationException: See `machine_arn_of`.
        ValidationException: There is no such test case.
        StateMachineDoesNotExist: Nothing has the ARN, with the ARN as given.
        StateMachineDeleting: See there.
    """
    named, mark, test_case = state_machine_arn.partition("#")
    arn = machine_arn_of(named)
    key = _test_case(service, arn, test_case) if mark else None
    try:
        machine = await service.backend.state_machine(arn.machine)
        if machine.status == "DELETING":
            raise StateMachineDeleting(arn.machine)
        if not arn.is_qualified:
            return Target(machine, test_case=key)
        number = arn.version if arn.version is not None else await _drawn(service, arn)
        version = await service.ask(service.library.version, arn.machine, number)
    except (StateMachineDoesNotExist, ResourceNotFound):
        raise StateMachineDoesNotExist(state_machine_arn) from None
    revision = await service.ask(service.library.revision, version.revision_id)
    return Target(revision, version_arn(arn.machine, number), None if arn.alias is None else arn.text, key)


def _test_case(service: Service, arn: MachineArn, test_case: str) -> str:
    """The key of a test case. Raises ValidationException: nobody can say what it mocks."""
    if service.mocks is None:
        raise ValidationException(
            f"#{test_case} names a test case, and there is no mock configuration: SFN_MOCK_CONFIG names its file"
        )
    try:
        return service.mocks.key(arn.machine.rpartition(":")[2], test_case)
    except UnknownTestCase as error:
        raise ValidationException(str(error)) from None


async def _drawn(service: Service, arn: MachineArn) -> int:
    assert arn.alias is not None
    alias = await service.ask(service.library.alias, arn.machine, arn.alias)
    return drawn(alias.routing, service.chance.random())


def is_storable(text: str) -> bool:
    """Whether a database can hold it: it has no NUL and no half of a surrogate pair."""
    return "\0" not in text and not _SURROGATE.search(text)


def check_storable(**members: str | None) -> None:
    """Raises ValidationException: a text has what no database holds, a NUL or half a surrogate pair."""
    for member, text in members.items():
        if text is not None and not is_storable(text):
            raise ValidationException(f"{member}: NUL and half surrogate pairs are not allowed in it")
