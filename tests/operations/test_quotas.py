from __future__ import annotations

import json

import pytest

from engine.errors import ActivityLimitExceeded, StateMachineAlreadyExists, StateMachineLimitExceeded
from engine.operations.activities import create_activity, delete_activity
from engine.operations.quotas import AWS_MAX, InvalidQuota, Quotas, quotas_of
from engine.operations.state_machines import create_state_machine

pytestmark = pytest.mark.anyio

DEFINITION = json.dumps({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}})
ROLE = "arn:aws:iam::123456789012:role/any"


async def created(service, name, definition=DEFINITION):
    return await create_state_machine(service, name=name, definition=definition, role_arn=ROLE)


async def test_a_full_account_creates_nothing_more_but_what_it_has(engine):
    service = engine.service.within(Quotas(state_machines=2, activities=1))
    made = await created(service, "a")
    await created(service, "b")
    with pytest.raises(StateMachineLimitExceeded, match=r": 2$"):
        await created(service, "c")
    assert await created(service, "a") == made
    with pytest.raises(StateMachineAlreadyExists):
        await created(service, "a", DEFINITION + " ")
    activity = (await create_activity(service, name="a"))["activity_arn"]
    with pytest.raises(ActivityLimitExceeded, match=r": 1$"):
        await create_activity(service, name="b")
    await delete_activity(service, activity_arn=activity)
    await create_activity(service, name="b")


async def test_each_account_has_its_own(engine):
    service = engine.service.within(Quotas(state_machines=1, activities=1))
    for one in (service, service.of("210987654321")):
        await created(one, "a")
        await create_activity(one, name="a")


async def test_nobody_is_limited_unless_asked_for(engine):
    for name in "abc":
        await created(engine.service, name)


def test_quotas_are_said_in_words():
    assert quotas_of([]) == Quotas(state_machines=None, activities=None)
    assert quotas_of(["aws", "activities=0"]) == Quotas(state_machines=AWS_MAX, activities=0)
    for word in ("", "executions=1", "activities", "activities=-1", "activities=many"):
        with pytest.raises(InvalidQuota, match="expected aws, state-machines=N or activities=N"):
            quotas_of([word])
