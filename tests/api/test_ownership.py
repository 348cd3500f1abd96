from __future__ import annotations

import pytest

from engine.api.ownership import check_own
from engine.http.faults import Fault

OWN, OTHER = "111111111111", "222222222222"
MACHINE = f"arn:aws:states:us-east-1:{OTHER}:stateMachine:m"


def route(arn):
    return {"stateMachineVersionArn": arn, "weight": 100}


@pytest.mark.parametrize(
    "arguments",
    [
        {"state_machine_arn": MACHINE},
        {"resource_arn": f"arn:aws:states:us-east-1:{OTHER}:activity:a", "tags": []},
        {"execution_arn": f"arn:aws:states:us-east-1:{OTHER}:execution:m:e", "name": "x"},
        {"name": "live", "routing_configuration": [route(MACHINE.replace(OTHER, OWN) + ":1"), route(MACHINE + ":1")]},
    ],
)
def test_a_resource_of_another_account_is_denied(arguments):
    check_own(OTHER, "Any", {**arguments, "routing_configuration": []})
    with pytest.raises(Fault) as caught:
        check_own(OWN, "Any", arguments)
    assert (caught.value.code, caught.value.status) == ("AccessDeniedException", 400)
    assert f"is not authorized to perform: states:Any on resource: arn:aws:states:us-east-1:{OTHER}:" in str(
        caught.value.message
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"role_arn": f"arn:aws:iam::{OTHER}:role/any"},
        {"state_machine_arn": "no ARN"},
        {"state_machine_arn": "arn:aws:states:us-east-1::stateMachine:m"},
        {"definition": MACHINE, "name": MACHINE},
    ],
)
def test_what_names_no_resource_of_ours_is_left_to_the_operation(arguments):
    check_own(OWN, "Any", arguments)
