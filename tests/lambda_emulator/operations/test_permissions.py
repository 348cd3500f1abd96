"""Resource policies of functions and layer versions (lambda.md 3.4)."""

from __future__ import annotations

import json

import pytest

from engine.lambda_emulator.functions import LATEST
from engine.lambda_emulator.operations import aliases, functions, layers, permissions
from tests.lambda_emulator.control_plane import ACCOUNT, REGION, arn, created, refusal
from tests.lambda_emulator.packages import zipped

pytestmark = pytest.mark.anyio

LAYER = f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:l:1"


def add(emulator, sid="s", **given):
    needed = {"function_name": "f", "action": "lambda:InvokeFunction", "principal": "s3.amazonaws.com"}
    return permissions.add_permission(emulator, statement_id=sid, **(needed | given))


async def statements(emulator, **given):
    shown = await permissions.get_policy(emulator, function_name="f", **given)
    policy = json.loads(shown["Policy"])
    assert (policy["Version"], policy["Id"]) == ("2012-10-17", "default")
    return policy["Statement"]


async def test_a_statement_says_who_may_do_what_when(emulator):
    await created(emulator)
    added = await add(
        emulator, source_arn="arn:aws:s3:::b", source_account="111111111111", event_source_token="t",
        principal_org_id="o-1", function_url_auth_type="NONE", invoked_via_function_url=True,
    )  # fmt: skip
    statement = json.loads(added["Statement"])
    assert statement == {
        "Sid": "s",
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": arn(),
        "Condition": {
            "StringEquals": {
                "lambda:FunctionUrlAuthType": "NONE",
                "aws:PrincipalOrgID": "o-1",
                "AWS:SourceAccount": "111111111111",
                "lambda:EventSourceToken": "t",
            },
            "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"},
            "Bool": {"lambda:InvokedViaFunctionUrl": "true"},
        },
    }
    assert await statements(emulator) == [statement]


@pytest.mark.parametrize(
    ("principal", "shown"),
    [
        ("*", "*"),
        ("111111111111", {"AWS": "arn:aws:iam::111111111111:root"}),
        ("arn:aws:iam::111111111111:user/u", {"AWS": "arn:aws:iam::111111111111:user/u"}),
        ("events.amazonaws.com", {"Service": "events.amazonaws.com"}),
    ],
)
async def test_a_principal_is_everybody_an_account_somebody_or_a_service(emulator, principal, shown):
    await created(emulator)
    await add(emulator, principal=principal)
    ((statement),) = await statements(emulator)
    assert statement["Principal"] == shown
    assert "Condition" not in statement


async def test_nobody_else_is_a_principal(emulator):
    await created(emulator)
    assert await refusal(add(emulator, principal="nobody")) == (
        "InvalidParameterValueException",
        "The provided principal was invalid. Please check the principal and try again.",
    )


async def test_function_versions_and_aliases_have_policies_of_their_own(emulator):
    await created(emulator, publish=True)
    await aliases.create_alias(emulator, function_name="f", name="prod", function_version="1")
    for qualifier in (None, "1", "prod"):
        await add(emulator, qualifier=qualifier)
        (statement,) = await statements(emulator, qualifier=qualifier)
        assert statement["Resource"] == arn("f", qualifier)
    assert await refusal(add(emulator, qualifier=LATEST)) == (
        "InvalidParameterValueException",
        "We currently do not support adding policies for $LATEST.",
    )
    await aliases.delete_alias(emulator, function_name="f", name="prod")
    await aliases.create_alias(emulator, function_name="f", name="prod", function_version="1")
    gone = permissions.get_policy(emulator, function_name="f", qualifier="prod")
    assert await refusal(gone) == ("ResourceNotFoundException", "The resource you requested does not exist.")


async def test_a_statement_is_added_once_and_removed_once(emulator):
    await created(emulator)
    remove = permissions.remove_permission
    assert await refusal(remove(emulator, function_name="f", statement_id="s")) == (
        "ResourceNotFoundException",
        "No policy is associated with the given resource.",
    )
    await add(emulator)
    await add(emulator, "t")
    assert await refusal(add(emulator)) == (
        "ResourceConflictException",
        "The statement id (s) provided already exists. Please provide a new statement id, or remove the existing "
        "statement.",
    )
    await remove(emulator, function_name="f", statement_id="s")
    assert [one["Sid"] for one in await statements(emulator)] == ["t"]
    assert await refusal(remove(emulator, function_name="f", statement_id="s")) == (
        "ResourceNotFoundException",
        "Statement s is not found in resource policy.",
    )


async def test_a_policys_revision_is_that_of_what_it_is_for(emulator):
    await created(emulator)
    await add(emulator)
    first = (await permissions.get_policy(emulator, function_name="f"))["RevisionId"]
    shown = await functions.get_function_configuration(emulator, function_name="f")
    assert shown["RevisionId"] == first
    await add(emulator, "t", revision_id=first)
    remove = permissions.remove_permission(emulator, function_name="f", statement_id="t", revision_id=first)
    assert await refusal(remove) == (
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. "
        "Call the GetPolicy API to retrieve the latest Revision Id",
    )


async def test_a_policy_has_20_kilobytes_at_most(emulator):
    await created(emulator)
    await add(emulator)
    one = len((await permissions.get_policy(emulator, function_name="f"))["Policy"])
    await add(emulator, "t", source_arn="a")
    two = len((await permissions.get_policy(emulator, function_name="f"))["Policy"])
    room = 20_480 - two
    await permissions.remove_permission(emulator, function_name="f", statement_id="t")
    code, message = await refusal(add(emulator, "t", source_arn="a" * (room + 2)))
    assert (code, message) == (
        "PolicyLengthExceededException",
        "The final policy size (20481) is bigger than the limit (20480).",
    )
    assert len((await permissions.get_policy(emulator, function_name="f"))["Policy"]) == one
    await add(emulator, "t", source_arn="a" * (room + 1))


async def test_a_layer_version_has_a_policy(emulator):
    await layers.publish_layer_version(emulator, layer_name="l", content={"ZipFile": zipped()})
    where = {"layer_name": "l", "version_number": 1}
    get = permissions.get_layer_version_policy
    assert await refusal(get(emulator, **where)) == (
        "ResourceNotFoundException",
        "No policy is associated with the given resource.",
    )
    given = {"statement_id": "s", "action": "lambda:GetLayerVersion", "principal": "*", "organization_id": "o-1"}
    added = await permissions.add_layer_version_permission(emulator, **where, **given)
    assert json.loads(added["Statement"]) == {
        "Sid": "s", "Effect": "Allow", "Principal": "*", "Action": "lambda:GetLayerVersion", "Resource": LAYER,
        "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}},
    }  # fmt: skip
    shown = await get(emulator, **where)
    assert shown["RevisionId"] == added["RevisionId"]
    again = permissions.add_layer_version_permission(emulator, **where, **given)
    assert (await refusal(again))[0] == "ResourceConflictException"
    remove = permissions.remove_layer_version_permission
    assert await refusal(remove(emulator, **where, statement_id="s", revision_id="x")) == (
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. "
        "Call the GetLayerPolicy API to retrieve the latest Revision Id",
    )
    await remove(emulator, **where, statement_id="s", revision_id=shown["RevisionId"])
    assert (await refusal(get(emulator, **where)))[0] == "ResourceNotFoundException"
