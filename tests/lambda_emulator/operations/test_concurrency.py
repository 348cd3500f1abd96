"""Reserved and provisioned concurrency (lambda.md 3.3)."""

from __future__ import annotations

import anyio
import pytest

from engine.lambda_emulator.errors import ServiceException
from engine.lambda_emulator.functions import LATEST
from engine.lambda_emulator.invocable import reserved_total
from engine.lambda_emulator.operations import aliases, concurrency, functions, settings, versions
from tests.lambda_emulator.control_plane import arn, created, refusal, runner
from tests.waiting import DEADLINE_SECONDS

pytestmark = pytest.mark.anyio


def reserve(emulator, count, name="f"):
    return concurrency.put_function_concurrency(emulator, function_name=name, reserved_concurrent_executions=count)


def provision(emulator, count=2, qualifier="1", name="f"):
    return concurrency.put_provisioned_concurrency_config(
        emulator, function_name=name, qualifier=qualifier, provisioned_concurrent_executions=count
    )


def provisioned(emulator, qualifier="1"):
    return concurrency.get_provisioned_concurrency_config(emulator, function_name="f", qualifier=qualifier)


async def until_it_is(emulator, status, qualifier="1"):
    with anyio.fail_after(DEADLINE_SECONDS):
        while (shown := await provisioned(emulator, qualifier))["Status"] != status:
            await anyio.lowlevel.checkpoint()
    return shown


async def unreserved(emulator):
    return (await settings.get_account_settings(emulator))["AccountLimit"]["UnreservedConcurrentExecutions"]


# ── reserved ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_reserved_is_shown_until_it_is_deleted(emulator):
    await created(emulator)
    get = concurrency.get_function_concurrency
    assert await get(emulator, function_name="f") == {}
    assert await reserve(emulator, 0) == {"ReservedConcurrentExecutions": 0}
    assert await get(emulator, function_name="f") == {"ReservedConcurrentExecutions": 0}
    await concurrency.delete_function_concurrency(emulator, function_name="f")
    assert await get(emulator, function_name="f") == {}


async def test_a_hundred_concurrent_executions_stay_unreserved(emulator):
    await created(emulator)
    await created(emulator, "g")
    await reserve(emulator, 400)
    expected = (
        "InvalidParameterValueException",
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below "
        "its minimum value of [100].",
    )
    assert await refusal(reserve(emulator, 501, "g")) == expected
    await reserve(emulator, 500, "g")
    assert (await unreserved(emulator), await reserved_total(emulator)) == (100, 900)
    assert await refusal(reserve(emulator, 401)) == expected
    await reserve(emulator, 300)
    await reserve(emulator, 600, "g")
    await functions.delete_function(emulator, function_name="g")
    assert (await unreserved(emulator), await reserved_total(emulator)) == (700, 300)


async def test_a_function_that_is_not_there_reserves_nothing(emulator):
    for call in (
        reserve(emulator, 1),
        concurrency.get_function_concurrency(emulator, function_name="f"),
        concurrency.delete_function_concurrency(emulator, function_name="f"),
    ):
        assert await refusal(call) == ("ResourceNotFoundException", f"Function not found: {arn()}")


# ── provisioned ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_environments_are_in_progress_until_they_are_there(emulator):
    await created(emulator, publish=True)
    runner(emulator).may_go_on = anyio.Event()
    asked = await provision(emulator)
    assert asked["Status"] == "IN_PROGRESS"
    counts = ("Requested", "Allocated", "Available")
    assert [asked[f"{one}ProvisionedConcurrentExecutions"] for one in counts] == [2, 0, 0]
    assert (await provisioned(emulator))["Status"] == "IN_PROGRESS"
    runner(emulator).may_go_on.set()
    shown = await until_it_is(emulator, "READY")
    assert [shown[f"{one}ProvisionedConcurrentExecutions"] for one in counts] == [2, 2, 2]
    assert [(version.version, count) for version, count in runner(emulator).prepared] == [("1", 2)]


async def test_environments_that_cannot_be_initialised_fail(emulator):
    await created(emulator, publish=True)
    runner(emulator).failure = ServiceException("no")
    await provision(emulator)
    assert (await until_it_is(emulator, "FAILED"))["StatusReason"] == "FUNCTION_ERROR_INIT_FAILURE"


async def test_an_alias_that_moves_gets_environments_of_the_other_version(emulator):
    await created(emulator, publish=True)
    await functions.update_function_configuration(emulator, function_name="f", timeout=9)
    await versions.publish_version(emulator, function_name="f")
    await aliases.create_alias(emulator, function_name="f", name="prod", function_version="1")
    await provision(emulator, qualifier="prod")
    await until_it_is(emulator, "READY", "prod")
    runner(emulator).may_go_on = anyio.Event()
    await aliases.update_alias(emulator, function_name="f", name="prod", function_version="2")
    assert (await provisioned(emulator, "prod"))["Status"] == "IN_PROGRESS"
    runner(emulator).may_go_on.set()
    await until_it_is(emulator, "READY", "prod")
    assert [version.version for version, _ in runner(emulator).prepared] == ["1", "2"]
    await aliases.delete_alias(emulator, function_name="f", name="prod")
    assert runner(emulator).retired == [("f", "1"), ("f", "2")]


async def test_the_last_request_counts_of_several_at_once(emulator):
    await created(emulator, publish=True)
    runner(emulator).may_go_on = anyio.Event()
    for count in (1, 2, 3):
        await provision(emulator, count)
        await anyio.lowlevel.checkpoint()
    runner(emulator).may_go_on.set()
    assert (await until_it_is(emulator, "READY"))["AvailableProvisionedConcurrentExecutions"] == 3
    assert runner(emulator).prepared[-1][1] == 3


async def test_only_what_was_published_has_environments_of_its_own(emulator):
    await created(emulator)
    await aliases.create_alias(emulator, function_name="f", name="dev", function_version=LATEST)
    for qualifier in (LATEST, "dev"):
        assert await refusal(provision(emulator, qualifier=qualifier)) == (
            "InvalidParameterValueException",
            "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
        )
    assert await refusal(provisioned(emulator, LATEST)) == (
        "InvalidParameterValueException",
        "The function resource provided must be an alias or a published version.",
    )
    assert (await refusal(provision(emulator, qualifier="9")))[1] == f"Function not found: {arn('f', '9')}"


async def test_a_version_is_provisioned_by_one_name(emulator):
    await created(emulator, publish=True)
    await aliases.create_alias(emulator, function_name="f", name="prod", function_version="1")
    await provision(emulator)
    assert await refusal(provision(emulator, qualifier="prod")) == (
        "ResourceConflictException",
        "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
    )
    await concurrency.delete_provisioned_concurrency_config(emulator, function_name="f", qualifier="1")
    await provision(emulator, qualifier="prod")
    assert await refusal(provision(emulator)) == (
        "ResourceConflictException",
        "Version is pointed by a Provisioned Concurrency alias",
    )


async def test_no_more_is_provisioned_than_reserved_and_no_less_reserved_than_provisioned(emulator):
    await created(emulator, publish=True)
    await reserve(emulator, 5)
    assert await refusal(provision(emulator, 6)) == (
        "InvalidParameterValueException",
        "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function",
    )
    await provision(emulator, 5)
    assert await refusal(reserve(emulator, 4)) == (
        "InvalidParameterValueException",
        "ReservedConcurrentExecutions 4 should not be lower than function's total provisioned concurrency [5].",
    )


async def test_without_a_reservation_the_accounts_are_provisioned(emulator):
    await created(emulator, publish=True)
    for asked, message in (
        (1_001, "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [1000]."),
        (
            901,
            "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
            "minimum value of [100].",
        ),
    ):
        assert await refusal(provision(emulator, asked)) == ("InvalidParameterValueException", message)
    await provision(emulator, 900)
    assert await unreserved(emulator) == 100
    await provision(emulator, 900)


async def test_a_version_with_a_snapshot_is_not_provisioned(emulator):
    await created(emulator, publish=True, snap_start={"ApplyOn": "PublishedVersions"})
    assert (await refusal(provision(emulator)))[0] == "InvalidParameterValueException"


async def test_what_is_provisioned_is_listed_and_goes_once(emulator):
    await created(emulator, publish=True)
    await provision(emulator)
    await until_it_is(emulator, "READY")
    shown = await concurrency.list_provisioned_concurrency_configs(emulator, function_name="f")
    assert [one["FunctionArn"] for one in shown["ProvisionedConcurrencyConfigs"]] == [arn("f", "1")]
    delete = concurrency.delete_provisioned_concurrency_config
    await delete(emulator, function_name="f", qualifier="1")
    await delete(emulator, function_name="f", qualifier="1")
    assert runner(emulator).retired == [("f", "1")]
    assert await refusal(provisioned(emulator)) == (
        "ProvisionedConcurrencyConfigNotFoundException",
        "No Provisioned Concurrency Config found for this function",
    )
