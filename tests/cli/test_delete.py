from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.fleet import Fleet

ARN = "arn:aws:states:us-east-1:000000000000:stateMachine:m"
PASS = {"P": {"Type": "Pass", "End": True}}


def test_a_state_machine_without_executions_is_gone_at_once(fleet: Fleet) -> None:
    fleet.deploy("m", PASS)
    fleet.asl("versions", "publish", "m")
    fleet.asl("aliases", "set", "m", "prod", "1")
    assert fleet.says("delete", "m", code=0) == f"{ARN} is deleted\n"
    for named in ("m", "m:1", "m:prod"):
        assert "State Machine Does Not Exist" in fleet.says("start", named)
    assert fleet.says("delete", ARN, code=0) == f"{ARN} is not there\n"
    fleet.deploy("m", PASS)


def test_what_runs_is_ended_and_then_it_is_gone(fleet: Fleet) -> None:
    again = {"Type": "Choice", "Choices": [{"Variable": "$.over", "IsPresent": True, "Next": "P"}], "Default": "A"}
    fleet.deploy("m", {"A": {"Type": "Wait", "Seconds": 1, "Next": "B"}, "B": again, **PASS})
    execution = fleet.start("m")
    assert fleet.says("delete", "m", code=0) == f"{ARN} is being deleted: what runs of it ends at its next event\n"
    assert "State Machine is being deleted" in fleet.says("start", "m")
    with fleet.worker():
        fleet.asl("wait", execution, code=4)
    # Within a minute by itself, and at once when somebody asks.
    assert fleet.says("delete", "m", code=0) == f"{ARN} is deleted\n"
    fleet.deploy("m", PASS)
    assert fleet.json("get", execution)["status"] == "ABORTED"


def test_a_version_is_deleted_by_another_command(fleet: Fleet) -> None:
    assert "Expected the ARN of a state machine" in fleet.says("delete", "m:1")
