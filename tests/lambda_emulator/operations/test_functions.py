"""Functions: what they are made of, the states that they go through, and what is refused."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest

from engine.lambda_emulator.functions import LATEST
from engine.lambda_emulator.limits import Limits
from engine.lambda_emulator.operations import aliases, concurrency, functions, versions
from engine.lambda_emulator.runtime_names import RUNTIMES
from tests.lambda_emulator.control_plane import ROLE, arn, clock, created, emulating, refusal, runner
from tests.lambda_emulator.packages import zipped

pytestmark = pytest.mark.anyio

CREATING = {"StateReason": "The function is being created.", "StateReasonCode": "Creating"}
REVISION = (
    "The Revision Id provided does not match the latest Revision Id. "
    "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
)


def not_found(qualifier: str | None = None) -> tuple[str, str]:
    return "ResourceNotFoundException", f"Function not found: {arn('f', qualifier)}"


# ── creation ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_function_is_pending_in_the_answer_and_active_from_then_on(emulator):
    made = await created(emulator)
    assert {name: made.get(name) for name in ("State", *CREATING)} == {"State": "Pending", **CREATING}
    assert "LastUpdateStatus" not in made
    for shown in (
        await functions.get_function_configuration(emulator, function_name="f"),
        (await functions.get_function(emulator, function_name="f"))["Configuration"],
    ):
        assert (shown["State"], shown["LastUpdateStatus"]) == ("Active", "Successful")
        assert not shown.keys() & {"StateReason", "StateReasonCode", "LastUpdateStatusReason"}
        assert shown["RevisionId"] != made["RevisionId"]


async def test_what_is_not_given_has_lambdas_defaults(emulator):
    package = zipped()
    made = await created(emulator, code={"ZipFile": package})
    del made["RevisionId"], made["RuntimeVersionConfig"], made["LastModified"]
    assert made == {
        "FunctionName": "f",
        "FunctionArn": arn(),
        "Runtime": "python3.12",
        "Role": ROLE,
        "Handler": "app.handler",
        "CodeSize": len(package),
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "CodeSha256": b64encode(hashlib.sha256(package).digest()).decode(),
        "Version": LATEST,
        "TracingConfig": {"Mode": "PassThrough"},
        "State": "Pending",
        **CREATING,
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"},
    }


async def test_what_is_given_is_shown(emulator):
    given: dict[str, Any] = {
        "description": "d",
        "timeout": 900,
        "memory_size": 10_240,
        "ephemeral_storage": {"Size": 10_240},
        "environment": {"Variables": {"KEY": "value"}},
        "architectures": ["arm64"],
        "tracing_config": {"Mode": "Active"},
        "logging_config": {"LogFormat": "JSON", "LogGroup": "mine"},
        "dead_letter_config": {"TargetArn": "arn:aws:sqs:eu-central-1:000000000000:q"},
        "kms_key_arn": "arn:aws:kms:eu-central-1:000000000000:key/k",
    }
    made = await created(emulator, **given)
    assert made["Description"] == "d"
    assert (made["Timeout"], made["MemorySize"], made["EphemeralStorage"]) == (900, 10_240, {"Size": 10_240})
    assert (made["Environment"], made["Architectures"]) == ({"Variables": {"KEY": "value"}}, ["arm64"])
    assert made["TracingConfig"] == {"Mode": "Active"}
    assert made["LoggingConfig"] == {
        "LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO", "LogGroup": "mine",
    }  # fmt: skip
    assert (made["DeadLetterConfig"], made["KMSKeyArn"]) == (given["dead_letter_config"], given["kms_key_arn"])


async def test_a_vpc_is_shown_with_an_id_of_its_own(emulator):
    made = await created(emulator, vpc_config={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]})
    assert made["VpcConfig"]["SubnetIds"] == ["subnet-1"]
    assert made["VpcConfig"]["VpcId"].startswith("vpc-")
    changed = await functions.update_function_configuration(
        emulator, function_name="f", vpc_config={"SubnetIds": [], "SecurityGroupIds": []}
    )
    assert "VpcConfig" not in changed


async def test_tags_and_reserved_concurrency_come_with_the_function_alone(emulator):
    await created(emulator, tags={"k": "v"})
    await concurrency.put_function_concurrency(emulator, function_name="f", reserved_concurrent_executions=7)
    shown = await functions.get_function(emulator, function_name="f")
    assert (shown["Tags"], shown["Concurrency"]) == ({"k": "v"}, {"ReservedConcurrentExecutions": 7})


async def test_a_function_may_be_published_at_once(emulator):
    made = await created(emulator, publish=True)
    assert (made["Version"], made["FunctionArn"], made["State"]) == ("1", arn("f", "1"), "Pending")
    shown = await functions.get_function_configuration(emulator, function_name="f", qualifier="1")
    assert (shown["State"], shown["LastUpdateStatus"]) == ("Active", "Successful")


async def test_a_name_is_taken_once(emulator):
    await created(emulator)
    assert await refusal(created(emulator)) == ("ResourceConflictException", "Function already exist: f")


@pytest.mark.parametrize("name", ["f" * 64, "f" * 65])
async def test_a_name_has_64_characters_at_most(emulator, name):
    if len(name) == 64:
        assert (await created(emulator, name))["FunctionName"] == name
        return
    assert await refusal(created(emulator, name)) == (
        "InvalidParameterValueException",
        f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: "
        "Member must have length less than or equal to 64",
    )


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"timeout": 901}, "timeout"),
        ({"memory_size": 10_241}, "memorySize"),
        ({"ephemeral_storage": {"Size": 10_241}}, "ephemeralStorage.size"),
    ],
)
async def test_numbers_above_lambdas_limits_are_refused(emulator, given, path):
    (value,) = [one["Size"] if isinstance(one, dict) else one for one in given.values()]
    expected = (
        "ValidationException",
        f"1 validation error detected: Value '{value}' at '{path}' failed to satisfy constraint: "
        f"Member must have value less than or equal to {value - 1}",
    )
    assert await refusal(created(emulator, **given)) == expected
    await created(emulator)
    change = functions.update_function_configuration(emulator, function_name="f", **given)
    assert await refusal(change) == expected


async def test_limits_can_be_raised(tmp_path):
    async with emulating(tmp_path, limits=Limits(timeout_max=5_400)) as emulator:
        assert (await created(emulator, timeout=5_400))["Timeout"] == 5_400
        assert (await refusal(created(emulator, "g", timeout=5_401)))[0] == "ValidationException"


async def test_an_environment_has_4_kilobytes_of_json_at_most(emulator):
    frame = len('{"KEY":""}')
    fits = {"KEY": "v" * (4_096 - frame)}
    assert (await created(emulator, environment={"Variables": fits}))["Environment"] == {"Variables": fits}
    larger = {"KEY": "v" * (4_097 - frame)}
    change = functions.update_function_configuration(emulator, function_name="f", environment={"Variables": larger})
    assert await refusal(change) == (
        "InvalidParameterValueException",
        "Lambda was unable to configure your environment variables because the environment variables you have "
        f"provided exceeded the 4KB limit. String measured: {json.dumps(larger, separators=(',', ':'))}",
    )


async def test_an_environments_bytes_are_counted_not_its_characters(emulator):
    code, _ = await refusal(created(emulator, environment={"Variables": {"KEY": "ä" * 2_044}}))
    assert code == "InvalidParameterValueException"
    await created(emulator, environment={"Variables": {"KEY": "ä" * 2_043}})


async def test_variables_of_lambdas_own_are_refused(emulator):
    given = {"Variables": {"MINE": "1", "AWS_REGION": "x", "AWS_LAMBDA_RUNTIME_API": "y"}}
    assert await refusal(created(emulator, environment=given)) == (
        "InvalidParameterValueException",
        "Lambda was unable to configure your environment variables because the environment variables you have "
        "provided contains reserved keys that are currently not supported for modification. Reserved keys used in "
        "this request: AWS_LAMBDA_RUNTIME_API, AWS_REGION",
    )


async def test_runtimes_that_lambda_does_not_take_are_refused(emulator):
    assert await refusal(created(emulator, runtime="cobol")) == (
        "InvalidParameterValueException",
        "Value cobol at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
        f"[{', '.join(RUNTIMES)}] or be a valid ARN",
    )
    assert await refusal(created(emulator, runtime="python3.7")) == (
        "InvalidParameterValueException",
        "The runtime parameter of python3.7 is no longer supported for creating or updating AWS Lambda functions. We "
        "recommend you use a supported runtime while creating or updating functions.",
    )


async def test_a_runtime_that_cannot_be_run_here_is_refused_by_name(emulator):
    assert await refusal(created(emulator, runtime="java21")) == (
        "NotImplementedException",
        "runtime java21: no Java here",
    )


@pytest.mark.parametrize("absent", ["runtime", "handler"])
async def test_a_deployment_package_needs_runtime_and_handler(emulator, absent):
    assert await refusal(created(emulator, **{absent: None})) == (
        "InvalidParameterValueException",
        "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
    )


@pytest.mark.parametrize(
    ("given", "member"),
    [
        ({"file_system_configs": [{"Arn": "a", "LocalMountPath": "/mnt/a"}]}, "FileSystemConfigs"),
        ({"durable_config": {"ExecutionTimeout": 1}}, "DurableConfig"),
        ({"code_signing_config_arn": "a"}, "CodeSigningConfigArn"),
        ({"tenancy_config": {"TenantIsolationMode": "PER_TENANT"}}, "TenancyConfig"),
        ({"capacity_provider_config": {"x": 1}}, "CapacityProviderConfig"),
    ],
)
async def test_what_is_not_built_is_refused_by_name(emulator, given, member):
    code, message = await refusal(created(emulator, **given))
    assert code == "NotImplementedException"
    assert message.startswith(f"{member} is not supported")


async def test_an_image_is_the_address_of_a_container_that_runs(emulator):
    image: dict[str, Any] = {"package_type": "Image", "runtime": None, "handler": None}
    made = await created(emulator, code={"ImageUri": "http://127.0.0.1:9000"}, **image)
    assert (made["PackageType"], made["CodeSize"]) == ("Image", 0)
    assert not made.keys() & {"Runtime", "Handler", "RuntimeVersionConfig"}
    code = (await functions.get_function(emulator, function_name="f"))["Code"]
    assert (code["RepositoryType"], code["ImageUri"]) == ("ECR", "http://127.0.0.1:9000")
    registry = "123456789012.dkr.ecr.us-east-1.amazonaws.com/mine:latest"
    code, message = await refusal(created(emulator, "g", code={"ImageUri": registry}, **image))
    assert code == "NotImplementedException"
    assert registry in message
    both = created(emulator, "g", package_type="Image", code={"ImageUri": "http://127.0.0.1:9000"})
    assert (await refusal(both))[1] == (
        "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."
    )


async def test_code_of_the_other_package_type_is_refused(emulator):
    await created(emulator)
    image: dict[str, Any] = {"package_type": "Image", "runtime": None, "handler": None}
    await created(emulator, "g", code={"ImageUri": "http://127.0.0.1:9000"}, **image)
    update = functions.update_function_code
    assert await refusal(update(emulator, function_name="g", zip_file=zipped())) == (
        "InvalidParameterValueException",
        "Please provide ImageUri when updating a function with packageType Image.",
    )
    assert await refusal(update(emulator, function_name="f", image_uri="http://127.0.0.1:9000")) == (
        "InvalidParameterValueException",
        "Please don't provide ImageUri when updating a function with packageType Zip.",
    )


# ── changes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_update_is_in_progress_in_the_answer_and_done_from_then_on(emulator):
    await created(emulator)
    before = await functions.get_function_configuration(emulator, function_name="f")
    changed = await functions.update_function_configuration(emulator, function_name="f", timeout=7)
    assert (changed["State"], changed["LastUpdateStatus"]) == ("Active", "InProgress")
    assert (changed["LastUpdateStatusReason"], changed["LastUpdateStatusReasonCode"]) == tuple(CREATING.values())
    after = await functions.get_function_configuration(emulator, function_name="f")
    assert (after["Timeout"], after["State"], after["LastUpdateStatus"]) == (7, "Active", "Successful")
    assert len({one["RevisionId"] for one in (before, changed, after)}) == 3


async def test_a_change_keeps_what_it_does_not_give(emulator):
    await created(emulator, environment={"Variables": {"KEY": "1"}}, timeout=5)
    changed = await functions.update_function_configuration(emulator, function_name="f", memory_size=256)
    assert (changed["Environment"], changed["Timeout"], changed["MemorySize"]) == ({"Variables": {"KEY": "1"}}, 5, 256)
    without = await functions.update_function_configuration(emulator, function_name="f", environment={"Variables": {}})
    assert "Environment" not in without


async def test_new_code_is_shown_by_its_digest(emulator):
    await created(emulator)
    package = zipped({"other.py": "x = 1"})
    changed = await functions.update_function_code(emulator, function_name="f", zip_file=package)
    assert changed["CodeSha256"] == b64encode(hashlib.sha256(package).digest()).decode()
    assert changed["CodeSize"] == len(package)
    assert changed["LastUpdateStatus"] == "InProgress"


async def test_a_dry_run_changes_nothing(emulator):
    await created(emulator)
    before = await functions.get_function_configuration(emulator, function_name="f")
    tried = await functions.update_function_code(
        emulator, function_name="f", zip_file=zipped({"a.py": ""}), dry_run=True
    )
    assert tried["CodeSha256"] != before["CodeSha256"]
    assert await functions.get_function_configuration(emulator, function_name="f") == before


async def test_new_code_may_be_published_at_once(emulator):
    await created(emulator)
    changed = await functions.update_function_code(
        emulator, function_name="f", zip_file=zipped({"a.py": ""}), publish=True
    )
    assert (changed["Version"], changed["FunctionArn"]) == ("1", arn("f", "1"))


async def test_a_change_of_another_revision_is_refused(emulator):
    made = await created(emulator)
    update = functions.update_function_configuration
    assert await refusal(update(emulator, function_name="f", revision_id=made["RevisionId"], timeout=7)) == (
        "PreconditionFailedException",
        REVISION,
    )
    now = await functions.get_function_configuration(emulator, function_name="f")
    await update(emulator, function_name="f", revision_id=now["RevisionId"], timeout=7)
    code = functions.update_function_code(emulator, function_name="f", revision_id=now["RevisionId"], zip_file=zipped())
    assert (await refusal(code))[0] == "PreconditionFailedException"


async def test_nothing_is_changed_while_something_is_under_way(emulator):
    await created(emulator)
    clock(emulator).is_stopped = True
    await functions.update_function_configuration(emulator, function_name="f", timeout=7)
    clock(emulator).time -= timedelta(milliseconds=1)
    update = functions.update_function_configuration(emulator, function_name="f", timeout=8)
    assert await refusal(update) == (
        "ResourceConflictException",
        f"The operation cannot be performed at this time. An update is in progress for resource: {arn()}",
    )
    clock(emulator).is_stopped = False
    await functions.update_function_configuration(emulator, function_name="f", timeout=8)


@pytest.mark.parametrize(
    "call",
    [
        lambda emulator: functions.get_function(emulator, function_name="f"),
        lambda emulator: functions.get_function_configuration(emulator, function_name="f"),
        lambda emulator: functions.update_function_configuration(emulator, function_name="f", timeout=1),
        lambda emulator: functions.update_function_code(emulator, function_name="f", zip_file=zipped()),
        lambda emulator: functions.delete_function(emulator, function_name="f"),
        lambda emulator: versions.publish_version(emulator, function_name="f"),
        lambda emulator: versions.list_versions_by_function(emulator, function_name="f"),
    ],
)
async def test_a_function_that_is_not_there_is_not_found(emulator, call):
    assert await refusal(call(emulator)) == not_found()


async def test_a_qualifier_that_is_not_there_is_not_found(emulator):
    await created(emulator)
    for qualifier in ("7", "prod"):
        call = functions.get_function(emulator, function_name="f", qualifier=qualifier)
        assert await refusal(call) == not_found(qualifier)


# ── deletion and lists ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_deleted_function_is_gone_with_its_environments_and_begins_anew(emulator):
    await created(emulator, publish=True)
    await functions.delete_function(emulator, function_name="f")
    assert runner(emulator).retired == [("f", None)]
    assert await refusal(functions.get_function(emulator, function_name="f")) == not_found()
    assert (await created(emulator, publish=True))["Version"] == "1"


async def test_latest_is_not_deleted_alone_and_an_alias_by_another_operation(emulator):
    await created(emulator, publish=True)
    delete = functions.delete_function
    assert await refusal(delete(emulator, function_name="f", qualifier=LATEST)) == (
        "InvalidParameterValueException",
        "$LATEST version cannot be deleted without deleting the function.",
    )
    await aliases.create_alias(emulator, function_name="f", name="prod", function_version="1")
    assert (await refusal(delete(emulator, function_name="f:prod")))[0] == "InvalidParameterValueException"


async def test_functions_are_listed_by_name_in_pages_without_their_states(emulator):
    for name in ("b", "a", "c-1", "c_1"):
        await created(emulator, name, code={"ZipFile": zipped()})
    first = await functions.list_functions(emulator, max_items=3)
    assert [one["FunctionName"] for one in first["Functions"]] == ["a", "b", "c-1"]
    assert not first["Functions"][0].keys() & {"State", "LastUpdateStatus", "RuntimeVersionConfig"}
    assert first["Functions"][0]["FunctionArn"] == arn("a")
    rest = await functions.list_functions(emulator, marker=first["NextMarker"])
    assert [one["FunctionName"] for one in rest["Functions"]] == ["c_1"]
    assert "NextMarker" not in rest


async def test_all_versions_are_listed_in_pages_that_may_end_within_a_function(emulator):
    for name in ("a", "b"):
        await created(emulator, name, publish=True)
        await functions.update_function_configuration(emulator, function_name=name, timeout=9)
        await versions.publish_version(emulator, function_name=name)
    found: list[str] = []
    marker = None
    while True:
        shown = await functions.list_functions(emulator, function_version="ALL", marker=marker, max_items=1)
        found += [one["FunctionArn"].rpartition("function:")[2] for one in shown["Functions"]]
        marker = shown.get("NextMarker")
        if marker is None:
            break
    assert found == ["a:$LATEST", "a:1", "a:2", "b:$LATEST", "b:1", "b:2"]


async def test_a_page_has_fifty_functions_at_most(emulator):
    for number in range(51):
        await created(emulator, f"f{number:02}")
    shown = await functions.list_functions(emulator, max_items=10_000)
    assert len(shown["Functions"]) == 50
    rest = await functions.list_functions(emulator, marker=shown["NextMarker"])
    assert [one["FunctionName"] for one in rest["Functions"]] == ["f50"]


async def test_a_marker_that_no_list_gave_is_refused(emulator):
    assert (await refusal(functions.list_functions(emulator, marker="%")))[0] == "InvalidParameterValueException"


async def test_accounts_have_functions_of_their_own(emulator):
    await created(emulator)
    other = emulator.of("111111111111")
    assert (await functions.list_functions(other))["Functions"] == []
    assert (await created(other))["FunctionArn"] == arn().replace("000000000000", "111111111111")
    await functions.delete_function(other, function_name="f")
    await functions.get_function(emulator, function_name="f")
