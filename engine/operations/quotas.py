"""How many state machines and activities an account may have (api.md 1.5), where a server was told of a quota.

Creations at the same moment may pass together, so a quota is kept nearly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine import arns
from engine.errors import (
    ActivityDoesNotExist,
    ActivityLimitExceeded,
    StateMachineDoesNotExist,
    StateMachineLimitExceeded,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.operations.service import Service
    from engine.store.library import Counted

AWS_MAX = 100_000
"""AWS's own, of either kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """Of one account in one region; None: as many as one likes."""

    state_machines: int | None = None
    activities: int | None = None


_FORM = re.compile(r"(?P<kind>state-machines|activities)=(?P<most>\d{1,9})")


class InvalidQuota(ValueError):
    """What was said of a quota means nothing."""


def quotas_of(words: Sequence[str]) -> Quotas:
    """The quotas that the words name: `aws`, `state-machines=1000`, `activities=50`; later first.

    Raises:
        InvalidQuota: They name nothing.
    """
    quotas = Quotas()
    for word in words:
        if word == "aws":
            quotas = Quotas(state_machines=AWS_MAX, activities=AWS_MAX)
            continue
        found = _FORM.fullmatch(word)
        if found is None:
            raise InvalidQuota(f"expected aws, state-machines=N or activities=N, got {word!r}")
        quotas = replace(quotas, **{found["kind"].replace("-", "_"): int(found["most"])})
    return quotas


async def check_room_for_state_machine(service: Service, arn: str) -> None:
    """Raises StateMachineLimitExceeded: it would be one too many. One that is there already is none more."""
    most = service.quotas.state_machines
    if most is None:
        return
    try:
        await service.ask(service.library.state_machine, arn)
    except StateMachineDoesNotExist:
        if await _count(service, "stateMachine") >= most:
            raise StateMachineLimitExceeded(most) from None


async def check_room_for_activity(service: Service, arn: str) -> None:
    """Raises ActivityLimitExceeded: it would be one too many. One that is there already is none more."""
    most = service.quotas.activities
    if most is None:
        return
    try:
        await service.ask(service.library.activity, arn)
    except ActivityDoesNotExist:
        if await _count(service, "activity") >= most:
            raise ActivityLimitExceeded(most) from None


async def _count(service: Service, kind: Counted) -> int:
    make = arns.state_machine_arn if kind == "stateMachine" else arns.activity_arn
    return await service.ask(service.library.count, kind, within=make(service.region, service.account_id, ""))
