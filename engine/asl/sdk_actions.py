"""Services and actions of `arn:aws:states:::aws-sdk:SERVICE:ACTION`, from a table beside this module.

The table has a line for each service: what a Resource calls it, botocore's name of it, the prefix of its errors, and
its actions, of which those with a `!` are in the SDK but not for Step Functions. `make sdk-actions` writes it from the
models of the botocore that is installed
(`engine.integrations.aws_names` has the naming rules). It is a file, because to look into the models of all services
takes seconds, and the language must not depend on an SDK.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "sdk_actions.txt"


class SdkService(NamedTuple):
    """A service of the SDK.

    Attributes:
        client: botocore's name of it; `-`: AWS has ended the service, and botocore has no model of it any more.
        prefix: What its errors begin with: `DynamoDb`.
        actions: As a Resource spells them: `putItem`.
        refused: Actions that Step Functions cannot call, likewise.
    """

    client: str
    prefix: str
    actions: frozenset[str]
    refused: frozenset[str]


@cache
def _lines() -> Mapping[str, str]:
    text = (files(__package__) / FILE).read_text("ascii")
    return {line.partition(" ")[0]: line for line in text.splitlines() if not line.startswith("#")}


@cache
def sdk_service(token: str) -> SdkService | None:
    """The service that a Resource calls so, or None; reads the table the first time."""
    line = _lines().get(token)
    if line is None:
        return None
    _, client, prefix, *actions = line.split(" ")
    refused = frozenset(action[1:] for action in actions if action.startswith("!"))
    return SdkService(client, prefix, frozenset(action for action in actions if action[0] != "!"), refused)


def sdk_services() -> tuple[str, ...]:
    """What Resources call the services."""
    return tuple(_lines())
