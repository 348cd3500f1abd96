from __future__ import annotations

import pytest

from engine.errors import InvalidArn
from engine.operations.resources import checked_arn

HEAD = "arn:aws:states:us-east-1:123456789012"


def test_an_arn_of_the_right_kind_is_taken_apart():
    arn = checked_arn(f"{HEAD}:execution:M:e", "execution")
    assert (arn.region, arn.account, arn.resource) == ("us-east-1", "123456789012", "execution:M:e")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no_arn", "Invalid ARN prefix: no_arn"),
        (f"{HEAD}:express:M:e:u", "Resource type not valid in this context: express"),
        (f"{HEAD}:stateMachine:M", "Resource type not valid in this context: stateMachine"),
        ("arn:aws:states", "Invalid ARN: arn:aws:states"),
        ("arn:aws:lambda:us-east-1:123456789012:execution:M:e", None),
        (f"{HEAD}:execution:", None),
        ("arn:aws:states:::execution:M:e", None),
    ],
)
def test_anything_else_is_refused_in_the_words_of_aws(text, reason):
    with pytest.raises(InvalidArn) as caught:
        checked_arn(text, "execution")
    assert caught.value.message == f"Invalid Arn: '{reason or f'Invalid ARN: {text}'}'"
