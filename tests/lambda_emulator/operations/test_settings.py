"""Tags, function URLs, what becomes of asynchronous invocations, and the small settings."""

from __future__ import annotations

import pytest

from engine.lambda_emulator.functions import LATEST
from engine.lambda_emulator.invocable import function_url
from engine.lambda_emulator.operations import aliases, event_invoke_configs, functions, settings, tags, urls
from engine.lambda_emulator.routes import ROUTES
from tests.lambda_emulator.control_plane import ACCOUNT, REGION, arn, created, refusal

pytestmark = pytest.mark.anyio

NOT_FOUND = ("ResourceNotFoundException", f"Function not found: {arn()}")
NOT_THERE = ("ResourceNotFoundException", "The resource you requested does not exist.")
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"


# ── tags ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_tags_are_given_and_taken(emulator):
    await created(emulator, tags={"a": "1"})
    await tags.tag_resource(emulator, resource=arn(), tags={"a": "2", "b": "3"})
    await tags.untag_resource(emulator, resource=arn(), tag_keys=["b", "c"])
    assert await tags.list_tags(emulator, resource=arn()) == {"Tags": {"a": "2"}}


async def test_a_function_has_fifty_tags_at_most(emulator):
    fifty = {f"k{number}": "" for number in range(50)}
    expected = ("InvalidParameterValueException", "Number of tags exceeds resource tag limit.")
    assert await refusal(created(emulator, tags=fifty | {"one": "more"})) == expected
    await created(emulator, tags=fifty)
    assert await refusal(tags.tag_resource(emulator, resource=arn(), tags={"one": "more"})) == expected
    await tags.tag_resource(emulator, resource=arn(), tags={"k0": "changed"})
    assert (await tags.list_tags(emulator, resource=arn()))["Tags"] == fifty | {"k0": "changed"}


async def test_versions_have_no_tags_and_nothing_is_no_tag(emulator):
    await created(emulator, publish=True)
    expected = (
        "InvalidParameterValueException",
        "Tags on function aliases and versions are not supported. Please specify a function ARN.",
    )
    assert await refusal(tags.list_tags(emulator, resource=arn("f", "1"))) == expected
    assert await refusal(tags.tag_resource(emulator, resource=arn(), tags={})) == (
        "InvalidParameterValueException",
        "An error occurred and the request cannot be processed.",
    )
    assert (await refusal(tags.tag_resource(emulator, resource=arn(), tags={"aws:x": ""})))[0] == expected[0]
    mapping = f"arn:aws:lambda:{REGION}:{ACCOUNT}:event-source-mapping:x"
    assert (await refusal(tags.list_tags(emulator, resource=mapping)))[0] == "NotImplementedException"


async def test_a_function_that_is_not_there_has_no_tags(emulator):
    for call in (
        tags.list_tags(emulator, resource=arn()),
        tags.tag_resource(emulator, resource=arn(), tags={"a": ""}),
        tags.untag_resource(emulator, resource=arn(), tag_keys=["a"]),
    ):
        assert await refusal(call) == NOT_FOUND


# ── function URLs ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_function_and_each_alias_has_one_url(emulator):
    await created(emulator, publish=True)
    await aliases.create_alias(emulator, function_name="f", name="prod", function_version="1")
    made = await urls.create_function_url_config(
        emulator, function_name="f", auth_type="NONE", cors={"AllowOrigins": ["*"]}
    )
    assert (made["FunctionArn"], made["AuthType"], made["InvokeMode"]) == (arn(), "NONE", "BUFFERED")
    assert made["Cors"] == {"AllowOrigins": ["*"]}
    url_id, _, rest = made["FunctionUrl"].removeprefix("http://").partition(".")
    assert rest == f"lambda-url.{REGION}.localhost:3001/"
    assert await refusal(urls.create_function_url_config(emulator, function_name="f", auth_type="NONE")) == (
        "ResourceConflictException",
        f"Failed to create function url config for [functionArn = {arn()}]. "
        "Error message:  FunctionUrlConfig exists for this Lambda function",
    )
    other = await urls.create_function_url_config(
        emulator, function_name="f", qualifier="prod", auth_type="AWS_IAM", invoke_mode="RESPONSE_STREAM"
    )
    assert (other["FunctionArn"], other["FunctionUrl"] == made["FunctionUrl"]) == (arn("f", "prod"), False)
    listed = await urls.list_function_url_configs(emulator, function_name="f")
    assert [one["FunctionArn"] for one in listed["FunctionUrlConfigs"]] == [arn(), arn("f", "prod")]

    target = await function_url(emulator.of("111111111111"), url_id)
    assert target is not None
    assert (target.account_id, target.function_name, target.qualifier) == (ACCOUNT, "f", None)
    assert (target.auth_type, target.invoke_mode, target.cors) == ("NONE", "BUFFERED", {"AllowOrigins": ["*"]})
    assert await function_url(emulator, "other") is None


async def test_a_url_is_changed_and_deleted(emulator):
    await created(emulator)
    made = await urls.create_function_url_config(emulator, function_name="f", auth_type="NONE", cors={"MaxAge": 1})
    changed = await urls.update_function_url_config(emulator, function_name="f", auth_type="AWS_IAM")
    assert (changed["AuthType"], changed["Cors"], changed["FunctionUrl"]) == (
        "AWS_IAM", {"MaxAge": 1}, made["FunctionUrl"],
    )  # fmt: skip
    assert await urls.get_function_url_config(emulator, function_name="f") == changed
    await urls.delete_function_url_config(emulator, function_name="f")
    for call in (
        urls.get_function_url_config(emulator, function_name="f"),
        urls.update_function_url_config(emulator, function_name="f", auth_type="NONE"),
        urls.delete_function_url_config(emulator, function_name="f"),
    ):
        assert await refusal(call) == NOT_THERE
    url_id = made["FunctionUrl"].removeprefix("http://").partition(".")[0]
    assert await function_url(emulator, url_id) is None


async def test_a_version_has_no_url_and_a_url_needs_a_function(emulator):
    create = urls.create_function_url_config
    assert await refusal(create(emulator, function_name="f", auth_type="NONE")) == (
        "ResourceNotFoundException",
        "Function does not exist",
    )
    await created(emulator, publish=True)
    for qualifier in ("1", LATEST):
        call = create(emulator, function_name="f", qualifier=qualifier, auth_type="NONE")
        assert (await refusal(call))[0] == "InvalidParameterValueException"
    gone = create(emulator, function_name="f", qualifier="prod", auth_type="NONE")
    assert (await refusal(gone))[1] == f"Function not found: {arn('f', 'prod')}"


# ── asynchronous invocations ────────────────────────────────────────────────────────────────────────────────────────


async def test_put_says_it_anew_and_update_changes_what_is_given(emulator):
    await created(emulator)
    put, update = (
        event_invoke_configs.put_function_event_invoke_config,
        event_invoke_configs.update_function_event_invoke_config,
    )
    said = await put(
        emulator, function_name="f", maximum_retry_attempts=1, destination_config={"OnSuccess": {"Destination": QUEUE}}
    )
    assert said.pop("LastModified").tzinfo is not None
    assert said == {
        "FunctionArn": arn("f", LATEST),
        "MaximumRetryAttempts": 1,
        "DestinationConfig": {"OnSuccess": {"Destination": QUEUE}, "OnFailure": {}},
    }
    changed = await update(emulator, function_name="f", maximum_event_age_in_seconds=60)
    assert (changed["MaximumRetryAttempts"], changed["MaximumEventAgeInSeconds"]) == (1, 60)
    assert changed["DestinationConfig"]["OnSuccess"] == {"Destination": QUEUE}
    anew = await put(emulator, function_name="f", maximum_event_age_in_seconds=61)
    assert "MaximumRetryAttempts" not in anew
    assert anew["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {}}


async def test_something_must_be_said_and_a_destination_be_one(emulator):
    await created(emulator)
    put = event_invoke_configs.put_function_event_invoke_config
    assert await refusal(put(emulator, function_name="f")) == (
        "InvalidParameterValueException",
        "You must specify at least one of error handling or destination setting.",
    )
    itself = put(emulator, function_name="f", destination_config={"OnFailure": {"Destination": arn()}})
    assert await refusal(itself) == (
        "InvalidParameterValueException",
        "You can't specify the function as a destination for itself.",
    )
    nothing = put(
        emulator,
        function_name="f",
        destination_config={"OnFailure": {"Destination": "arn:aws:iam::0:role/r"}},
    )
    code, message = await refusal(nothing)
    assert code == "InvalidParameterValueException"
    assert message == (
        "The provided destination config DestinationConfig(onFailure=OnFailure(destination=arn:aws:iam::0:role/r)) "
        "is invalid."
    )


async def test_what_was_not_said_is_not_found(emulator):
    put = event_invoke_configs.put_function_event_invoke_config
    assert await refusal(put(emulator, function_name="f", maximum_retry_attempts=1)) == (
        "ResourceNotFoundException",
        "The function doesn't exist.",
    )
    await created(emulator, publish=True)
    expected = f"The function {arn('f', LATEST)} doesn't have an EventInvokeConfig"
    for call in (
        event_invoke_configs.get_function_event_invoke_config(emulator, function_name="f"),
        event_invoke_configs.delete_function_event_invoke_config(emulator, function_name="f"),
        event_invoke_configs.update_function_event_invoke_config(emulator, function_name="f", maximum_retry_attempts=1),
    ):
        assert await refusal(call) == ("ResourceNotFoundException", expected)
    await put(emulator, function_name="f", qualifier="1", maximum_retry_attempts=1)
    listed = await event_invoke_configs.list_function_event_invoke_configs(emulator, function_name="f")
    assert [one["FunctionArn"] for one in listed["FunctionEventInvokeConfigs"]] == [arn("f", "1")]
    await event_invoke_configs.delete_function_event_invoke_config(emulator, function_name="f", qualifier="1")
    listed = await event_invoke_configs.list_function_event_invoke_configs(emulator, function_name="f")
    assert listed["FunctionEventInvokeConfigs"] == []


# ── the rest ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_account_sees_its_quotas_and_what_it_uses(emulator):
    made = await created(emulator, publish=True)
    await functions.update_function_configuration(emulator, function_name="f", timeout=9)
    shown = await settings.get_account_settings(emulator)
    assert shown["AccountLimit"] == {
        "TotalCodeSize": 80_530_636_800,
        "CodeSizeUnzipped": 262_144_000,
        "CodeSizeZipped": 52_428_800,
        "ConcurrentExecutions": 1_000,
        "UnreservedConcurrentExecutions": 1_000,
    }
    assert shown["AccountUsage"] == {"TotalCodeSize": 2 * made["CodeSize"], "FunctionCount": 1}


async def test_recursion_and_runtime_management_are_kept_and_shown(emulator):
    await created(emulator, publish=True)
    get, put = settings.get_function_recursion_config, settings.put_function_recursion_config
    assert await get(emulator, function_name="f") == {"RecursiveLoop": "Terminate"}
    assert await put(emulator, function_name="f", recursive_loop="Allow") == {"RecursiveLoop": "Allow"}
    assert await get(emulator, function_name="f") == {"RecursiveLoop": "Allow"}
    manage, managed = settings.put_runtime_management_config, settings.get_runtime_management_config
    assert await managed(emulator, function_name="f") == {
        "UpdateRuntimeOn": "Auto",
        "FunctionArn": arn("f", LATEST),
    }
    runtime = f"arn:aws:lambda:{REGION}::runtime:0"
    assert await manage(
        emulator, function_name="f", qualifier="1", update_runtime_on="Manual", runtime_version_arn=runtime
    ) == {"UpdateRuntimeOn": "Manual", "FunctionArn": arn("f", "1"), "RuntimeVersionArn": runtime}
    assert (await managed(emulator, function_name="f"))["UpdateRuntimeOn"] == "Auto"
    without = manage(emulator, function_name="f", update_runtime_on="Manual")
    assert (await refusal(without))[0] == "InvalidParameterValueException"


async def test_no_function_has_a_code_signing_configuration(emulator):
    get = settings.get_function_code_signing_config
    assert await refusal(get(emulator, function_name="f")) == NOT_FOUND
    await created(emulator)
    assert await get(emulator, function_name="f") == {}


def test_what_other_operations_there_are_is_refused_by_name():
    refused = ("EventSourceMapping", "CapacityProvider", "DurableExecution", "CodeSigningConfig", "ScalingConfig")
    assert [name for name in ROUTES if any(one in name for one in refused)] == ["GetFunctionCodeSigningConfig"]
