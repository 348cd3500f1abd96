"""Answers as JSON, driven by botocore's model of a service. No IO here.

Operations answer with members in AWS's spelling or in snake_case, times as aware datetimes; None is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from botocore import xform_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from botocore.model import Shape

Writer: TypeAlias = "Callable[[Any], Any]"
"""Our value -> what `encode` writes."""

_MS_PER_SECOND = 1_000

encode = msgspec.json.Encoder().encode


def writer(shape: Shape) -> Writer | None:
    """How values of a shape are written; None: as they are."""
    match shape.type_name:
        case "structure":
            return structure_writer({name: writer(one) for name, one in shape.members.items()})
        case "list":
            item = writer(shape.member)
            return None if item is None else lambda value: [item(one) for one in value]
        case "timestamp":
            return _epoch_seconds
        case _:
            return None  # a scalar, or a map, whose keys are the user's


def structure_writer(members: Mapping[str, Writer | None]) -> Writer:
    """How a structure of these members is written. A member that is none of them is a fault of the operation."""
    known = {name: (name, write) for name, write in members.items()}
    known |= {xform_name(name): (name, write) for name, write in members.items()}

    def write(value: Mapping[str, Any]) -> dict[str, Any]:
        written = {}
        for key, one in value.items():
            if one is not None:
                name, member = known[key]
                written[name] = one if member is None else member(one)
        return written

    return write


def _epoch_seconds(time: datetime) -> float:
    """With the milliseconds, and nothing finer."""
    return round(time.timestamp() * _MS_PER_SECOND) / _MS_PER_SECOND
