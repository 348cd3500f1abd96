"""How requests name functions: plain, with a qualifier, partial ARN, ARN (lambda.md 1.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from engine.lambda_emulator.errors import (
    AccessDeniedException,
    InvalidParameterValueException,
    ResourceNotFoundException,
    ValidationException,
)
from engine.lambda_emulator.functions import LATEST
from engine.lambda_emulator.records import function_key

if TYPE_CHECKING:
    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.store import Key

NAME_MAX = 64
CONTROL_MAX = 140
"""Characters of a function's name in requests, whatever form it has; those that invoke take `INVOKE_MAX`."""

INVOKE_MAX = 256

# As AWS shows it, and with names for its parts.
PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?"
    r"([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?"
)
_PARTS = re.compile(
    r"(?:arn:(?:aws[a-zA-Z-]*)?:lambda:)?(?:(?P<region>(?:eusc-)?[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d):)?"
    r"(?:(?P<account_id>\d{12}):)?(?:function:)?(?P<name>[a-zA-Z0-9-_.]+)"
    r"(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)


@dataclass(frozen=True, slots=True)
class Named:
    """A function as a request names it.

    Attributes:
        key: Of its document.
        qualifier: `$LATEST`, a version number, an alias; None: none was given.
    """

    key: Key
    qualifier: str | None

    @property
    def arn(self) -> str:
        """Of the function."""
        return f"arn:aws:lambda:{self.key.region}:{self.key.account_id}:function:{self.key.name}"

    @property
    def qualified_arn(self) -> str:
        """With the qualifier, if there is one."""
        return self.arn if self.qualifier is None else f"{self.arn}:{self.qualifier}"

    def not_found(self) -> ResourceNotFoundException:
        """The error for a function, version or alias that is not there."""
        return ResourceNotFoundException(f"Function not found: {self.qualified_arn}")


def named(
    emulator: Emulator, function_name: str, qualifier: str | None = None, *, length_max: int = CONTROL_MAX
) -> Named:
    """Which function, and which of its versions, a request means.

    Raises:
        ValidationException: It is no name.
        ResourceNotFoundException: It names another region.
        AccessDeniedException: It names another account.
        InvalidParameterValueException: The name has a qualifier, and it is not the one that is given beside it.
    """
    found = _parsed(function_name, length_max)
    region, account_id, name, own = found
    if region is not None and region != emulator.region:
        raise ResourceNotFoundException(
            f"Functions from '{region}' are not reachable in this region ('{emulator.region}')"
        )
    if account_id is not None and account_id != emulator.account_id:
        arn = f"arn:aws:lambda:{emulator.region}:{account_id}:function:{name}"
        raise AccessDeniedException(
            f"User: arn:aws:iam::{emulator.account_id}:root is not authorized to access resource: {arn} "
            "because no resource-based policy allows it"
        )
    if own is not None and qualifier is not None and own != qualifier:
        raise InvalidParameterValueException(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    return Named(function_key(emulator.account_id, emulator.region, name), own if qualifier is None else qualifier)


@lru_cache(1_024)
def _parsed(text: str, length_max: int) -> tuple[str | None, str | None, str, str | None]:
    found = _PARTS.fullmatch(text)
    wrong = []
    if len(text) > length_max:
        wrong.append(f"have length less than or equal to {length_max}")
    if found is None:
        wrong.append(f"satisfy regular expression pattern: {PATTERN}")
    if wrong or found is None:
        raise constraint("functionName", text, *wrong)
    return found["region"], found["account_id"], found["name"], found["qualifier"]


def constraint(path: str, value: object, *wrong: str) -> ValidationException:
    """The error for a member that breaks constraints, in AWS's words (lambda.md 1).

    Args:
        path: Of the member, in lowerCamelCase.
        wrong: What it must do, such as `have length less than or equal to 64`.
    """
    return ValidationException(constraint_text(path, value, *wrong))


def constraint_text(path: str, value: object, *wrong: str) -> str:
    """The text of `constraint`, for the places where AWS gives it another code."""
    told = "; ".join(f"Value '{value}' at '{path}' failed to satisfy constraint: Member must {one}" for one in wrong)
    return f"{len(wrong)} validation error{'s' if len(wrong) > 1 else ''} detected: {told}"


def unqualified(emulator: Emulator, function_name: str) -> Named:
    """As `named`, for what only a function as a whole has.

    Raises:
        InvalidParameterValueException: It names a version or an alias.
    """
    found = named(emulator, function_name)
    if found.qualifier is not None:
        raise InvalidParameterValueException(
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
            "Please specify either a function name or an unqualified function ARN."
        )
    return found


def is_version(qualifier: str) -> bool:
    """Whether it is the number of a published version."""
    return qualifier.isdecimal()


def is_alias(qualifier: str) -> bool:
    """Whether it is the name of an alias."""
    return qualifier != LATEST and not is_version(qualifier)
