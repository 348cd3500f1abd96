"""Every recorded TestState conversation, answer by answer, exactly (level 2: nothing is left out but request ids)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from anyio.from_thread import start_blocking_portal

from engine import Engine
from engine.errors import ApiError
from engine.operations import test_state as operation
from tests.conformance.cases import ACCOUNT, Case, load_case
from tests.conformance.compare import EXEMPT, outside
from tests.conformance.replay import CallFailed, replay
from tests.shared_data import shared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anyio.from_thread import BlockingPortal

_AREA = "test_state"
_SNAKE = {
    "roleArn": "role_arn",
    "inspectionLevel": "inspection_level",
    "revealSecrets": "reveal_secrets",
    "stateName": "state_name",
    "stateConfiguration": "state_configuration",
}
_AWS = {"next_state": "nextState", "inspection_data": "inspectionData"}


def echo(event: Any) -> Any:
    return event


def _function(behaviour: Mapping[str, Any]) -> Any:
    return echo if behaviour["kind"] == "echo" else lambda event: behaviour["value"]


class Operation:
    """TestState as an `Adapter`."""

    def __init__(self, engine: Engine, portal: BlockingPortal) -> None:
        self._engine = engine
        self._portal = portal

    def call(self, service: str, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
        assert (service, name) == ("stepfunctions", "TestState")
        given = {_SNAKE.get(member, member): value for member, value in params.items()}
        try:
            answer = self._portal.call(lambda: operation.test_state(self._engine.service, **given))
        except ApiError as error:
            raise CallFailed(type(error).__name__, error.message) from None
        return {_AWS.get(member, member): value for member, value in answer.items()}

    def let_pass(self, seconds: float) -> None:
        raise AssertionError("no recorded conversation waits")


def _cases() -> list[Any]:
    try:
        folder = shared("conformance", "sfn", _AREA)
    except pytest.skip.Exception as error:
        return [pytest.param(None, marks=pytest.mark.skip(reason=str(error)))]
    return [pytest.param(load_case(path), id=path.stem) for path in sorted(folder.glob("*.json"))]


@pytest.mark.parametrize("case", _cases())
def test_it_answers_as_aws_did(case: Case) -> None:
    handlers = {
        function["name"].replace("@@u1@@", "u1xxxxxx"): _function(function["behaviour"])
        for function in case.data.get("functions", ())
    }
    with start_blocking_portal() as portal:
        engine = Engine.in_memory(handlers, account_id=ACCOUNT)
        with portal.wrap_async_context_manager(engine):
            differences = replay(case, Operation(engine, portal))
    assert not outside(differences, EXEMPT), "\n".join(map(str, differences))
