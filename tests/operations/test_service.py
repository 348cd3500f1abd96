from __future__ import annotations

import pytest

from engine import Engine
from engine.errors import StateMachineDoesNotExist

pytestmark = pytest.mark.anyio

DEFINITION = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}


async def test_an_operation_asks_the_library_through_the_service() -> None:
    async with Engine.in_memory() as engine:
        machine = await engine.create_state_machine(DEFINITION, "M")
        service = engine.service

        record = await service.ask(service.library.state_machine, machine.arn)

        assert record.revision_id == machine.revision_id
        with pytest.raises(StateMachineDoesNotExist):
            await service.ask(service.library.state_machine, service.machine_arn("Other"))


async def test_another_account_sees_the_same_service_under_its_own_number() -> None:
    async with Engine.in_memory(account_id="111111111111") as engine:
        other = engine.service.of("222222222222")

        assert other.machine_arn("M") == "arn:aws:states:us-east-1:222222222222:stateMachine:M"
        assert other.library is engine.service.library
        assert engine.service.of("111111111111") is engine.service
