"""How rows find each other: keys made from ARNs, and digests in place of what must not be stored or is too long."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, UUID, uuid5

from engine.arns import is_valid_name, parse_arn, state_machine_arn
from engine.errors import ExecutionDoesNotExist

if TYPE_CHECKING:
    from engine.store.protocol import ExecutionId


@lru_cache(maxsize=1_024)
def machine_key(arn: str) -> UUID:
    """The key of a state machine: of its ARN alone, so that a start need not look it up."""
    return uuid5(NAMESPACE_URL, arn)


@lru_cache(maxsize=1_024)
def activity_key(arn: str) -> UUID:
    """The key of an activity: of its ARN alone, so that an offer need not look it up."""
    return uuid5(NAMESPACE_URL, arn)


def owns_its_name(execution_id: ExecutionId, arn: str) -> bool:
    """Whether the ARN ends in the execution's own id: nobody else can have it, and it needs no row of its own."""
    return arn.endswith(f":{execution_id}")


def as_execution_id(name: str) -> UUID | None:
    """The id that an ARN's last part spells, exactly as we spell it; None: it is a name that somebody chose."""
    try:
        found = UUID(name)
    except ValueError:
        return None
    return found if str(found) == name else None


def name_key(execution_arn: str) -> tuple[UUID, str]:
    """State machine and name of an execution, the key of `execution_name`.

    Raises:
        ExecutionDoesNotExist: The ARN is not that of an execution, or has a name that no execution can have.
    """
    arn = parse_arn(execution_arn)
    parts = arn.resource.split(":") if arn is not None else []
    if arn is None or len(parts) < 3 or parts[0] not in _EXECUTIONS or not is_valid_name(parts[-1]):
        raise ExecutionDoesNotExist(execution_arn)
    return machine_key(state_machine_arn(arn.region, arn.account, parts[1])), parts[-1]


_EXECUTIONS = ("execution", "express", "mapRun", "mapChunk")
"""What ARNs of executions say that they are; the last two are those of a Distributed Map (docs/decisions/0020)."""


def token_digest(task_token: str) -> bytes:
    """What is stored of a task token: who reads the database must not be able to end a Task."""
    return hashlib.sha256(task_token.encode("utf-8", "surrogatepass")).digest()


def input_digest(input_text: str | None, encoded_input: bytes) -> bytes:
    """Of the input, byte by byte as it was given (execution.md 7)."""
    return hashlib.sha256(encoded_input if input_text is None else input_text.encode()).digest()
