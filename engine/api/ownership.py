"""Whose resources a request names: its caller's, or it is refused.

An operation finds whatever an ARN names. That callers of one account do not reach into another is seen to here, for all
operations at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine import arns
from engine.api.faults import of_another_account

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ROUTING = "routing_configuration"
_VERSION_ARN = "stateMachineVersionArn"
_SERVICE = "states"


def check_own(account_id: str, action: str, arguments: Mapping[str, Any]) -> None:
    """Raises Fault: a member names a resource of Step Functions in another account.

    What is no such ARN at all the operation refuses, in its own words. Roles, keys and log groups are not resources of
    ours.
    """
    for text in _named(arguments):
        arn = arns.parse_arn(text)
        if arn is not None and arn.service == _SERVICE and arn.account not in ("", account_id):
            raise of_another_account(account_id, action, text)


def _named(arguments: Mapping[str, Any]) -> Iterator[str]:
    for name, value in arguments.items():
        if name.endswith("_arn"):
            yield value
        elif name == _ROUTING:
            yield from (route[_VERSION_ARN] for route in value)
