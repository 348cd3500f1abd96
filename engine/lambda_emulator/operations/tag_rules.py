"""How many tags a function may have, and which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lambda_emulator.errors import InvalidParameterValueException

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.lambda_emulator.emulator import Emulator


def check_tags(emulator: Emulator, tags: Mapping[str, str]) -> None:
    """Raises InvalidParameterValueException: there are too many, or one begins as those that AWS gives."""
    if len(tags) > emulator.limits.tags_max:
        raise InvalidParameterValueException("Number of tags exceeds resource tag limit.")
    if any(key.lower().startswith("aws:") for key in tags):
        raise InvalidParameterValueException("aws: prefixed tag key names are not allowed for external use.")
