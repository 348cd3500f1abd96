"""What a Resource that is not recognized was probably meant to be."""

from __future__ import annotations

import pytest

from engine.asl.resource import parse_resource
from engine.asl.resource_hints import resource_hint


@pytest.mark.parametrize(
    ("resource", "hint"),
    [
        ("aws-sdk:s3:getObjekt", "did you mean 'aws-sdk:s3:getObject'?"),
        ("aws-sdk:s3:GetObject", "did you mean 'aws-sdk:s3:getObject'?"),
        ("aws-sdk:dynamodbb:putItem", "did you mean 'aws-sdk:dynamodb:putItem'?"),
        ("aws-sdk:cognito-idp:adminGetUser", "did you mean 'aws-sdk:cognitoidentityprovider:adminGetUser'?"),
        ("aws-sdk:bedrock-runtime:invokeModel", "did you mean 'aws-sdk:bedrockruntime:invokeModel'?"),
        ("aws-sdk:stepfunctions:listExecutions", "did you mean 'aws-sdk:sfn:listExecutions'?"),
        (
            "aws-sdk:glue:startJobRun.sync",
            "aws-sdk:glue:startJobRun can be called as it is or with .waitForTaskToken",
        ),
        ("aws-sdk:sts:assumeRole", "Step Functions cannot call this action"),
        ("aws-sdk:kinesis:subscribeToShard", "Step Functions cannot call this action"),
        ("dynamodb:query", "did you mean 'aws-sdk:dynamodb:query'?"),
        ("redshift-data:executeStatement", "did you mean 'aws-sdk:redshiftdata:executeStatement'?"),
        ("sqs:sendMessage.sync", "sqs:sendMessage can be called as it is or with .waitForTaskToken"),
        ("sqs:sendMesage", "did you mean 'sqs:sendMessage'?"),
        ("lamda:invoke", "did you mean 'lambda:invoke'?"),
        ("nothing:alike", None),
        ("aws-sdk:nothing:alike", None),
    ],
)
def test_a_near_miss_is_told(resource: str, hint: str | None) -> None:
    parsed = parse_resource(f"arn:aws:states:::{resource}")
    assert parsed is not None
    assert resource_hint(parsed) == hint
