"""Versions and aliases: numbers that stand still, names that lead to them, snapshots made behind the answer."""

from __future__ import annotations

import anyio
import pytest

from engine.lambda_emulator.errors import SnapStartException
from engine.lambda_emulator.functions import LATEST
from engine.lambda_emulator.invocable import invocable
from engine.lambda_emulator.operations import aliases, functions, versions
from engine.lambda_emulator.preparation import resume
from tests.lambda_emulator.control_plane import arn, created, emulating, refusal, runner
from tests.lambda_emulator.packages import zipped
from tests.waiting import DEADLINE_SECONDS

pytestmark = pytest.mark.anyio


async def published(emulator, count=1):
    """A function with so many versions, whose timeouts are 11, 12, ..."""
    await created(emulator)
    for number in range(1, count + 1):
        await functions.update_function_configuration(emulator, function_name="f", timeout=10 + number)
        await versions.publish_version(emulator, function_name="f")


async def aliased(emulator, **given):
    needed = {"function_name": "f", "name": "prod", "function_version": "1"}
    return await aliases.create_alias(emulator, **(needed | given))


# ── versions ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_version_stays_as_it_was_published(emulator):
    await published(emulator, 2)
    await functions.update_function_configuration(emulator, function_name="f", timeout=3)
    await functions.update_function_code(emulator, function_name="f", zip_file=zipped({"b.py": ""}))
    for number, timeout in (("1", 11), ("2", 12)):
        shown = await functions.get_function_configuration(emulator, function_name="f", qualifier=number)
        assert (shown["Timeout"], shown["Version"], shown["FunctionArn"]) == (timeout, number, arn("f", number))
        assert (shown["State"], shown["LastUpdateStatus"]) == ("Active", "Successful")


async def test_publishing_again_what_did_not_change_gives_the_same_version(emulator):
    await published(emulator)
    assert (await versions.publish_version(emulator, function_name="f", description="again"))["Version"] == "1"
    await functions.update_function_configuration(emulator, function_name="f", timeout=12)
    again = await versions.publish_version(emulator, function_name="f", description="second")
    assert (again["Version"], again["Description"]) == ("2", "second")


async def test_a_number_is_not_used_twice(emulator):
    await published(emulator, 2)
    await functions.delete_function(emulator, function_name="f", qualifier="2")
    assert runner(emulator).retired == [("f", "2")]
    assert (await versions.publish_version(emulator, function_name="f"))["Version"] == "3"


async def test_what_is_published_must_be_what_the_caller_saw(emulator):
    made = await created(emulator)
    digest = made["CodeSha256"]
    assert await refusal(versions.publish_version(emulator, function_name="f", code_sha256="other")) == (
        "InvalidParameterValueException",
        f"CodeSHA256 (other) is different from current CodeSHA256 in $LATEST ({digest}). "
        "Please try again with the CodeSHA256 in $LATEST.",
    )
    stale = versions.publish_version(emulator, function_name="f", revision_id=made["RevisionId"])
    assert (await refusal(stale))[0] == "PreconditionFailedException"
    assert (await versions.publish_version(emulator, function_name="f", code_sha256=digest))["Version"] == "1"


async def test_versions_are_listed_after_latest_without_their_states(emulator):
    await published(emulator, 2)
    shown = await versions.list_versions_by_function(emulator, function_name="f", max_items=2)
    assert [one["FunctionArn"] for one in shown["Versions"]] == [arn("f", LATEST), arn("f", "1")]
    assert not shown["Versions"][0].keys() & {"State", "LastUpdateStatus", "RuntimeVersionConfig"}
    rest = await versions.list_versions_by_function(emulator, function_name="f", marker=shown["NextMarker"])
    assert [one["Version"] for one in rest["Versions"]] == ["2"]
    wrong = versions.list_versions_by_function(emulator, function_name="f", marker="eA==")
    assert (await refusal(wrong))[0] == "InvalidParameterValueException"


async def test_a_version_that_an_alias_leads_to_is_not_deleted(emulator):
    await published(emulator, 3)
    await aliased(emulator, routing_config={"AdditionalVersionWeights": {"2": 0.5}})
    for number in ("1", "2"):
        code, message = await refusal(functions.delete_function(emulator, function_name="f", qualifier=number))
        assert code == "ResourceConflictException"
        assert "prod" in message
    await functions.delete_function(emulator, function_name="f", qualifier="3")
    await functions.delete_function(emulator, function_name="f", qualifier="3")


# ── snapshots ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def snap_started(emulator):
    await created(emulator, snap_start={"ApplyOn": "PublishedVersions"})
    return await versions.publish_version(emulator, function_name="f")


async def until_it_is(emulator, state, qualifier="1"):
    with anyio.fail_after(DEADLINE_SECONDS):
        while True:
            shown = await functions.get_function_configuration(emulator, function_name="f", qualifier=qualifier)
            if shown["State"] == state:
                return shown
            await anyio.lowlevel.checkpoint()


async def test_a_version_with_snap_start_is_pending_until_its_snapshot_is_made(emulator):
    runner(emulator).may_go_on = anyio.Event()
    made = await snap_started(emulator)
    assert made["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}
    assert (made["State"], made["StateReasonCode"]) == ("Pending", "Creating")
    assert await refusal(invocable(emulator, "f:1")) == (
        "SnapStartNotReadyException",
        "Lambda is initializing your function. It will be ready to invoke once your function state becomes ACTIVE.",
    )
    assert (await invocable(emulator, "f")).version.version == LATEST
    runner(emulator).may_go_on.set()
    shown = await until_it_is(emulator, "Active")
    assert shown["LastUpdateStatus"] == "Successful"
    ((version, count),) = runner(emulator).prepared
    assert (version.version, version.is_snap_started, count) == ("1", True, 0)
    assert (await invocable(emulator, "f:1")).version is version


async def test_latest_is_never_snapshotted(emulator):
    made = await created(emulator, snap_start={"ApplyOn": "PublishedVersions"})
    assert made["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    await invocable(emulator, "f")
    assert runner(emulator).prepared == []


async def test_a_snapshot_that_cannot_be_made_fails_the_version_with_the_reason(emulator):
    runner(emulator).failure = SnapStartException("the hook failed")
    await snap_started(emulator)
    shown = await until_it_is(emulator, "Failed")
    assert shown["StateReason"] == "the hook failed"
    code, message = await refusal(invocable(emulator, "f:1"))
    assert (code, message.rpartition(": ")[2]) == ("ResourceConflictException", "Failed")


async def test_what_a_server_left_undone_is_done_by_the_next(tmp_path):
    from engine.lambda_emulator.memory_store import MemoryFunctionStore

    store = MemoryFunctionStore()
    async with emulating(tmp_path, store=store) as emulator:
        runner(emulator).may_go_on = anyio.Event()
        await snap_started(emulator)
    async with emulating(tmp_path, store=store) as emulator:
        await resume(emulator)
        await until_it_is(emulator, "Active")


async def test_snap_start_is_for_some_runtimes_and_little_storage(emulator):
    given = {"snap_start": {"ApplyOn": "PublishedVersions"}}
    assert await refusal(created(emulator, runtime="python3.11", **given)) == (
        "InvalidParameterValueException",
        "python3.11 is not supported for SnapStart enabled functions.",
    )
    assert (await refusal(created(emulator, ephemeral_storage={"Size": 513}, **given)))[0] == (
        "InvalidParameterValueException"
    )
    await created(emulator, ephemeral_storage={"Size": 512}, **given)


# ── aliases ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_alias_leads_to_a_version(emulator):
    await published(emulator, 2)
    made = await aliased(emulator, description="d")
    revision_id = made.pop("RevisionId")
    assert made == {"AliasArn": arn("f", "prod"), "Name": "prod", "FunctionVersion": "1", "Description": "d"}
    got = await aliases.get_alias(emulator, function_name="f", name="prod")
    assert got == {**made, "RevisionId": revision_id}
    shown = await functions.get_function(emulator, function_name="f", qualifier="prod")
    assert (shown["Configuration"]["FunctionArn"], shown["Configuration"]["Version"]) == (arn("f", "prod"), "1")
    changed = await aliases.update_alias(emulator, function_name="f", name="prod", function_version="2")
    assert (changed["FunctionVersion"], changed["Description"]) == ("2", "d")
    assert changed["RevisionId"] != revision_id


async def test_a_weighted_alias_leads_to_two_versions(tmp_path):
    drawn = iter([0.0, 0.2999, 0.3, 0.999])
    async with emulating(tmp_path, draw=lambda: next(drawn)) as emulator:
        await published(emulator, 2)
        made = await aliased(emulator, routing_config={"AdditionalVersionWeights": {"2": 0.3}})
        assert made["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.3}}
        found = [(await invocable(emulator, "f", "prod")).version.version for _ in range(4)]
        assert found == ["2", "2", "1", "1"]
        one = await aliases.update_alias(
            emulator, function_name="f", name="prod", routing_config={"AdditionalVersionWeights": {}}
        )
        assert "RoutingConfig" not in one
        assert (await invocable(emulator, "f:prod")).version.version == "1"


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        (
            {"routing_config": {"AdditionalVersionWeights": {"2": 0.1, "3": 0.1}}},
            "InvalidParameterValueException",
            "Number of items in AdditionalVersionWeights cannot be greater than 1",
        ),
        (
            {"routing_config": {"AdditionalVersionWeights": {"1": 0.1}}},
            "InvalidParameterValueException",
            "Invalid function version 1. Function version 1 is already included in routing configuration.",
        ),
        (
            {"function_version": LATEST, "routing_config": {"AdditionalVersionWeights": {"1": 0.1}}},
            "InvalidParameterValueException",
            "$LATEST is not supported for an alias pointing to more than 1 version",
        ),
        ({"function_version": "9"}, "ResourceNotFoundException", f"Function not found: {arn('f', '9')}"),
        (
            {"routing_config": {"AdditionalVersionWeights": {"9": 0.1}}},
            "ResourceNotFoundException",
            f"Function not found: {arn('f', '9')}",
        ),
        ({"function_name": "g"}, "ResourceNotFoundException", f"Function not found: {arn('g')}"),
    ],
)
async def test_an_alias_must_lead_somewhere(emulator, given, code, message):
    await published(emulator, 3)
    assert await refusal(aliased(emulator, **given)) == (code, message)
    if "function_name" not in given:
        await aliased(emulator)
        changed = aliases.update_alias(emulator, **({"function_name": "f", "name": "prod"} | given))
        assert await refusal(changed) == (code, message)


async def test_an_alias_is_made_once_and_found_by_its_name(emulator):
    await published(emulator)
    await aliased(emulator)
    assert await refusal(aliased(emulator)) == (
        "ResourceConflictException",
        f"Alias already exists: {arn('f', 'prod')}",
    )
    assert await refusal(aliases.get_alias(emulator, function_name="f", name="dev")) == (
        "ResourceNotFoundException",
        f"Cannot find alias arn: {arn('f', 'dev')}",
    )
    assert await refusal(aliases.update_alias(emulator, function_name="f", name="dev")) == (
        "ResourceNotFoundException",
        f"Alias not found: {arn('f', 'dev')}",
    )


async def test_an_alias_of_another_revision_is_not_changed(emulator):
    await published(emulator)
    made = await aliased(emulator)
    update = aliases.update_alias
    await update(emulator, function_name="f", name="prod", description="x", revision_id=made["RevisionId"])
    assert await refusal(update(emulator, function_name="f", name="prod", revision_id=made["RevisionId"])) == (
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. "
        "Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
    )


async def test_aliases_are_listed_by_name_and_by_version(emulator):
    await published(emulator, 2)
    for name, version in (("b", "1"), ("a", "2"), ("c", "1")):
        await aliased(emulator, name=name, function_version=version)
    shown = await aliases.list_aliases(emulator, function_name="f", max_items=2)
    assert [one["Name"] for one in shown["Aliases"]] == ["a", "b"]
    rest = await aliases.list_aliases(emulator, function_name="f", marker=shown["NextMarker"])
    assert [one["Name"] for one in rest["Aliases"]] == ["c"]
    of_one = await aliases.list_aliases(emulator, function_name="f", function_version="1")
    assert [one["Name"] for one in of_one["Aliases"]] == ["b", "c"]


async def test_an_alias_is_deleted_once_or_twice(emulator):
    await published(emulator)
    await aliased(emulator)
    await aliases.delete_alias(emulator, function_name="f", name="prod")
    await aliases.delete_alias(emulator, function_name="f", name="prod")
    assert (await aliases.list_aliases(emulator, function_name="f"))["Aliases"] == []
