"""ARNs as they are given to an operation: of the right kind, or InvalidArn in AWS's words (api.md 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import arns
from engine.errors import InvalidArn

if TYPE_CHECKING:
    from engine.arns import Arn


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
    if arn is None or arn.service != "states" or not arn.region or not arn.account:
        raise InvalidArn(f"Invalid ARN: {text}")
    kind, _, name = arn.resource.partition(":")
    if kind not in kinds:
        raise InvalidArn(f"Resource type not valid in this context: {kind}")
    if not name:
        raise InvalidArn(f"Invalid ARN: {text}")
    return arn
