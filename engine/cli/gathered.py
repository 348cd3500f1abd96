"""Options that many commands have, as one value."""

from __future__ import annotations

import functools
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")


def gathered(kind: type[Any], name: str, options: tuple[Callable[[Any], Any], ...]) -> Callable[[F], F]:
    """Adds options to a command, which gets them as one value.

    Args:
        kind: A dataclass, whose fields are named as the options' parameters. One with a default needs no option.
        name: Of the command's parameter.
        options: In the order in which the help shows them.
    """
    names = [field.name for field in fields(kind)]

    def decorate(command: F) -> F:
        @functools.wraps(command)
        def with_one(*args: Any, **given: Any) -> Any:
            one = kind(**{field: given.pop(field) for field in names if field in given})
            return command(*args, **{name: one}, **given)

        decorated: Any = with_one  # the same but for the options it takes
        for option in reversed(options):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate
