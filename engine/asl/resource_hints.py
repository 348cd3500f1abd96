"""What was probably meant by a Resource that there is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.asl.resource import OPTIMISED, split_pattern
from engine.asl.sdk_actions import sdk_service, sdk_services

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.asl.resource import Resource

_SDK = "aws-sdk:"
_CLOSE = 0.75
_SUFFIXES = {
    "REQUEST_RESPONSE": "as it is",
    "SYNC": "with .sync",
    "SYNC_2": "with .sync:2",
    "WAIT_FOR_TASK_TOKEN": "with .waitForTaskToken",
}


def resource_hint(resource: Resource) -> str | None:
    """What to write instead of a Resource that is not recognized, if that can be told.

    `arn:aws:states:::aws-sdk:s3:GetObjekt` is probably `...:getObject`; `dynamodb:query` is there as `aws-sdk:` only.
    """
    service, (action, _) = resource.service, split_pattern(resource.action)
    if service.startswith(_SDK):
        return _sdk_hint(service.removeprefix(_SDK), action)
    patterns = OPTIMISED.get(service, {}).get(action)
    if patterns is not None:
        return f"{service}:{action} can be called {' or '.join(_SUFFIXES[one] for one in sorted(patterns))}"
    token = _sdk_token(service)
    known = None if token is None else sdk_service(token)
    if token is not None and known is not None and action in known.actions:
        return f"did you mean '{_SDK}{token}:{action}'?"
    if service in OPTIMISED:
        return _meant(service, action, OPTIMISED[service])
    near = _nearest(service, OPTIMISED)
    return None if near is None else f"did you mean '{near}:{action}'?"


def _sdk_hint(token: str, action: str) -> str | None:
    service = sdk_service(token)
    if service is None:
        near = _sdk_token(token) or _nearest(token, sdk_services())
        return None if near is None else f"did you mean '{_SDK}{near}:{action}'?"
    if action in service.refused:
        return "Step Functions cannot call this action"
    if action in service.actions:
        return f"{_SDK}{token}:{action} can be called as it is or with .waitForTaskToken"
    return _meant(f"{_SDK}{token}", action, service.actions)


def _sdk_token(name: str) -> str | None:
    """What Resources call a service that boto3 or its endpoint calls so: `cognito-idp` is `cognitoidentityprovider`."""
    for token in sdk_services():
        service = sdk_service(token)
        if service is not None and name in (token, service.client):
            return token
    squeezed = name.replace("-", "").replace(" ", "").lower()
    return squeezed if sdk_service(squeezed) is not None else None


def _meant(service: str, action: str, actions: Iterable[str]) -> str | None:
    near = _nearest(action, actions)
    return None if near is None else f"did you mean '{service}:{near}'?"


def _nearest(name: str, names: Iterable[str]) -> str | None:
    from difflib import get_close_matches

    spelled = {one.lower(): one for one in names}
    close = get_close_matches(name.lower(), spelled, n=1, cutoff=_CLOSE)
    return spelled[close[0]] if close else None
