"""ARNs: the ones we mint, and the parts of the ones we accept."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arn:
    """`arn:partition:service:region:account:resource`; `resource` keeps its own colons."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"


def parse_arn(text: str) -> Arn | None:
    """The ARN's parts, or None when the text has not the shape of an ARN."""
    head, *parts = text.split(":", 5)
    if head != "arn" or len(parts) != 5 or not parts[0] or not parts[1] or not parts[4]:
        return None
    return Arn(*parts)


def state_machine_arn(region: str, account: str, name: str) -> str:
    """The ARN of a state machine."""
    return f"arn:aws:states:{region}:{account}:stateMachine:{name}"


def execution_arn(region: str, account: str, state_machine: str, name: str) -> str:
    """The ARN of a Standard execution."""
    return f"arn:aws:states:{region}:{account}:execution:{state_machine}:{name}"


def express_execution_arn(region: str, account: str, state_machine: str, name: str, run_id: str) -> str:
    """The ARN of an Express execution; `run_id` tells apart executions that share a name (execution.md 10)."""
    return f"arn:aws:states:{region}:{account}:express:{state_machine}:{name}:{run_id}"


def labelled(machine_arn: str, label: str) -> str:
    """The ARN of a Distributed Map inside a state machine: that of the state machine of its child executions."""
    return f"{machine_arn.partition('/')[0]}/{label}"


def map_run_arn(labelled_arn: str, run_id: str) -> str:
    """The ARN of a Map Run."""
    return f"{labelled_arn.replace(':stateMachine:', ':mapRun:', 1)}:{run_id}"


def map_chunk_arn(labelled_arn: str, chunk_id: str) -> str:
    """What a chunk of a Map Run is called in the store, and nowhere else (docs/decisions/0020)."""
    return f"{labelled_arn.replace(':stateMachine:', ':mapChunk:', 1)}:{chunk_id}"


def labelled_arn_of(arn: str) -> str:
    """The ARN of the Distributed Map that a Map Run or a child execution is of."""
    parts = arn.split(":")
    return ":".join([*parts[:5], "stateMachine", parts[6]])


def child_execution_arn(labelled_arn: str, name: str, *, is_express: bool) -> str:
    """The ARN of a child execution of a Map Run. `name` is an id, so it tells Express ones apart as well."""
    if is_express:
        return f"{labelled_arn.replace(':stateMachine:', ':express:', 1)}:{name}:{name}"
    return f"{labelled_arn.replace(':stateMachine:', ':execution:', 1)}:{name}"


def activity_arn(region: str, account: str, name: str) -> str:
    """The ARN of an activity."""
    return f"arn:aws:states:{region}:{account}:activity:{name}"


def default_role_arn(account: str) -> str:
    """The role of a state machine that was deployed without one: nothing here checks what a role may do."""
    return f"arn:aws:iam::{account}:role/asl-engine"


# asl.md 1.2: whitespace, these characters, control characters, and what no UTF-8 text or XML can hold.
_FORBIDDEN_IN_NAMES = re.compile(
    r"[\s<>{}\[\]?*\"#%\\^|~`$&,;:/\u0000-\u001f\u007f-\u009f\ud800-\udfff\ufffe\uffff\U0010ffff]"
)
_NAME_MAX = 80


def is_valid_name(name: str) -> bool:
    """Whether AWS takes it as the name of a state machine, an activity or an execution."""
    return 1 <= len(name) <= _NAME_MAX and _FORBIDDEN_IN_NAMES.search(name) is None


_PARTIAL_FUNCTION_ARN = re.compile(r"(?:\d{12}:)?function:(?P<rest>.+)")


def function_arn(name: str, region: str, account: str) -> str:
    """The whole ARN of a Lambda function, of any way to name one: `f`, `f:alias`, `123456789012:function:f`, an ARN.

    Source: lambda.md 1.1. A qualifier stays.
    """
    if name.startswith("arn:"):
        return name
    partial = _PARTIAL_FUNCTION_ARN.fullmatch(name)
    if partial is None:
        return f"arn:aws:lambda:{region}:{account}:function:{name}"
    account = name.partition(":")[0] if name[0].isdigit() else account
    return f"arn:aws:lambda:{region}:{account}:function:{partial['rest']}"
