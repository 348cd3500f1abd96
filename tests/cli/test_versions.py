from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.fleet import Fleet

HEAD = "arn:aws:states:us-east-1:000000000000:stateMachine:m"


def deployed(fleet: Fleet, result: int) -> None:
    fleet.deploy("m", {"P": {"Type": "Pass", "Result": result, "End": True}})


def test_versions_are_published_listed_and_deleted(fleet: Fleet) -> None:
    deployed(fleet, 1)
    for _ in range(2):
        assert fleet.asl("versions", "publish", "m") == f"{HEAD}:1\n"
    deployed(fleet, 2)
    assert fleet.asl("versions", "publish", HEAD, "--description", "two") == f"{HEAD}:2\n"
    found = fleet.json("versions", "ls", "m")["stateMachineVersions"]
    assert [one["stateMachineVersionArn"] for one in found] == [f"{HEAD}:2", f"{HEAD}:1"]
    assert found[0]["creationDate"].endswith("Z")
    fleet.asl("versions", "delete", "m:1")
    assert f"{HEAD}:1" not in fleet.asl("versions", "ls", "m")
    assert fleet.says("versions", "publish", "n") == (
        f"Error: State Machine Does Not Exist: '{HEAD.removesuffix('m')}n'\n"
    )
    assert "Invalid Arn" in fleet.says("versions", "delete", "m")


def test_an_alias_is_made_and_led_elsewhere_by_the_same_command(fleet: Fleet) -> None:
    for result in (1, 2):
        deployed(fleet, result)
        fleet.asl("versions", "publish", "m")
    assert fleet.asl("aliases", "set", "m", "prod", "1", "--description", "d") == f"{HEAD}:prod\n"
    fleet.asl("aliases", "set", "m", "prod", "1=90", "2=10")
    (alias,) = fleet.json("aliases", "ls", "m")["stateMachineAliases"]
    routing = [(route["stateMachineVersionArn"], route["weight"]) for route in alias["routingConfiguration"]]
    assert (routing, alias["description"]) == ([(f"{HEAD}:1", 90), (f"{HEAD}:2", 10)], "d")
    assert "1=90, 2=10" in fleet.asl("aliases", "ls", "m")
    assert "must equal 100" in fleet.says("aliases", "set", "m", "prod", "1=90")
    assert "does not exist" in fleet.says("aliases", "set", "m", "test", "7")
    assert "NUMBER=PERCENTAGE" in fleet.says("aliases", "set", "m", "prod", "one")
    fleet.asl("aliases", "delete", "m:prod")
    assert fleet.json("aliases", "ls", "m") == {"stateMachineAliases": []}
