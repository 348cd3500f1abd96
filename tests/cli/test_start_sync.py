from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.cli.fleet import task

if TYPE_CHECKING:
    from tests.cli.fleet import Fleet

HEAD = "arn:aws:states:us-east-1:000000000000"
FAILS = {"F": {"Type": "Fail", "Error": "No", "Cause": "luck"}}


def test_an_express_execution_is_run_to_its_end(fleet: Fleet) -> None:
    fleet.deploy("e", {"A": task("charge")}, "--type", "EXPRESS")
    fleet.asl("versions", "publish", "e")
    fleet.asl("aliases", "set", "e", "prod", "1")
    fleet.deploy("f", FAILS, "--type", "EXPRESS")
    fleet.deploy("m", FAILS)
    with fleet.worker("-t", 'charge=mock:{"paid": true}'):
        for named in ("e", "e:1", "e:prod"):
            assert json.loads(fleet.asl("start", named, "--sync")) == {"paid": True}
        told = fleet.json("start", "e", "--sync", "-i", "[1]", "--name", "one")
        assert told["executionArn"].startswith(f"{HEAD}:express:e:one:")
        assert (told["status"], told["input"], told["output"]) == ("SUCCEEDED", "[1]", '{"paid":true}')
        assert told["billingDetails"]["billedDurationInMilliseconds"] >= 100
        assert told["startDate"].endswith("Z")
        assert fleet.says("start", "f", "--sync", code=2) == "FAILED: No\n  cause      luck\n"
        failed = json.loads(fleet.asl("start", "f", "--sync", "--json", code=2))
        assert (failed["status"], failed["error"], failed["cause"]) == ("FAILED", "No", "luck")
        assert "output" not in failed
        assert "not supported by this type" in fleet.says("start", "m", "--sync")


def test_who_waits_for_nobody_is_told(fleet: Fleet) -> None:
    fleet.deploy("e", {"A": task("charge")}, "--type", "EXPRESS", "--pool", "gpu")
    with fleet.process("start", "e", "--sync") as process:
        process.line_with("e waits: no worker serves pool gpu")
        with fleet.worker("-t", "charge=mock:1", "--pool", "gpu"):
            assert process.ended() == 0


def test_it_waits_by_itself(fleet: Fleet) -> None:
    assert "--sync waits by itself" in fleet.says("start", "e", "--sync", "--wait")
    assert "--sync waits by itself" in fleet.says("start", "e", "--sync", "--pool", "p")
