"""How requests name functions (lambda.md 1.1), and what an invocation finds under such a name."""

from __future__ import annotations

import pytest

from engine.lambda_emulator.functions import LATEST
from engine.lambda_emulator.invocable import AGE_SECONDS_MAX, invocable
from engine.lambda_emulator.operations import concurrency, event_invoke_configs, functions, versions
from tests.lambda_emulator.control_plane import ACCOUNT, REGION, arn, created, emulating, refusal

pytestmark = pytest.mark.anyio


@pytest.fixture
async def emulator(tmp_path, anyio_backend):
    async with emulating(tmp_path / "code") as entered:
        yield entered


@pytest.mark.parametrize(
    "name", ["f", f"{ACCOUNT}:function:f", "function:f", arn(), f"{REGION}:{ACCOUNT}:function:f", f"{ACCOUNT}:f"]
)
async def test_a_function_has_many_names(emulator, name):
    await created(emulator, publish=True)
    shown = await functions.get_function_configuration(emulator, function_name=name)
    assert (shown["FunctionArn"], shown["Version"]) == (arn(), LATEST)
    shown = await functions.get_function_configuration(emulator, function_name=f"{name}:1")
    assert (shown["FunctionArn"], shown["Version"]) == (arn("f", "1"), "1")
    assert (await invocable(emulator, f"{name}:1")).invoked_arn == arn("f", "1")


async def test_a_function_of_another_region_or_account_is_not_reached(emulator):
    elsewhere = arn().replace(REGION, "ap-southeast-1")
    assert await refusal(functions.get_function(emulator, function_name=elsewhere)) == (
        "ResourceNotFoundException",
        f"Functions from 'ap-southeast-1' are not reachable in this region ('{REGION}')",
    )
    others = arn().replace(ACCOUNT, "111111111111")
    assert (await refusal(functions.get_function(emulator, function_name=others)))[0] == "AccessDeniedException"


async def test_a_qualifier_is_said_once_or_twice_the_same(emulator):
    await created(emulator, publish=True)
    get = functions.get_function_configuration
    assert (await get(emulator, function_name="f:1", qualifier="1"))["Version"] == "1"
    assert await refusal(get(emulator, function_name="f:1", qualifier="2")) == (
        "InvalidParameterValueException",
        "The derived qualifier from the function name does not match the specified qualifier.",
    )


@pytest.mark.parametrize(("call", "most"), [(functions.get_function, 256), (functions.delete_function, 140)])
async def test_a_name_in_a_request_has_so_many_characters(emulator, call, most):
    assert (await refusal(call(emulator, function_name="f" * most)))[0] == "ResourceNotFoundException"
    assert await refusal(call(emulator, function_name="f" * (most + 1))) == (
        "ValidationException",
        f"1 validation error detected: Value '{'f' * (most + 1)}' at 'functionName' failed to satisfy constraint: "
        f"Member must have length less than or equal to {most}",
    )


async def test_what_is_no_name_is_refused_with_the_pattern(emulator):
    code, message = await refusal(invocable(emulator, "f!"))
    assert code == "ValidationException"
    assert message.startswith(
        "1 validation error detected: Value 'f!' at 'functionName' failed to satisfy constraint: "
    )


async def test_what_only_a_function_has_is_not_of_a_version(emulator):
    await created(emulator, publish=True)
    put = concurrency.put_function_concurrency(emulator, function_name="f:1", reserved_concurrent_executions=1)
    assert await refusal(put) == (
        "InvalidParameterValueException",
        "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
        "Please specify either a function name or an unqualified function ARN.",
    )


# ── invocations ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_invocation_of_what_is_not_there_names_its_qualifier(emulator):
    assert await refusal(invocable(emulator, "f")) == (
        "ResourceNotFoundException",
        f"Function not found: {arn('f', LATEST)}",
    )
    await created(emulator)
    assert (await refusal(invocable(emulator, "f", "7")))[1] == f"Function not found: {arn('f', '7')}"


async def test_the_invoked_arn_is_the_one_that_the_caller_named(emulator):
    await created(emulator)
    assert (await invocable(emulator, "f")).invoked_arn == arn()
    assert (await invocable(emulator, "f", LATEST)).invoked_arn == arn("f", LATEST)


async def test_an_invocation_finds_code_and_configuration(emulator):
    await created(
        emulator,
        environment={"Variables": {"KEY": "1"}},
        timeout=9,
        memory_size=512,
        dead_letter_config={"TargetArn": "arn:aws:sqs:x:0:q"},
        logging_config={"LogFormat": "JSON", "LogGroup": "g"},
    )
    await concurrency.put_function_concurrency(emulator, function_name="f", reserved_concurrent_executions=5)
    found = await invocable(emulator, "f")
    version = found.version
    assert (version.name, version.runtime, version.handler, version.timeout) == ("f", "python3.12", "app.handler", 9)
    assert (version.memory_size, dict(version.environment), version.log_group) == (512, {"KEY": "1"}, "g")
    assert (found.reserved_concurrency, found.dead_letter_target) == (5, "arn:aws:sqs:x:0:q")
    assert version.code is not None
    assert (await version.code.directory() / "app.py").is_file()


async def test_environments_are_kept_until_code_or_configuration_change(emulator):
    await created(emulator)
    first = (await invocable(emulator, "f")).version
    await concurrency.put_function_concurrency(emulator, function_name="f", reserved_concurrent_executions=5)
    await versions.publish_version(emulator, function_name="f")
    assert (await invocable(emulator, "f")).version is first
    await functions.update_function_configuration(emulator, function_name="f", timeout=9)
    assert (await invocable(emulator, "f")).version.revision_id != first.revision_id


async def test_what_becomes_of_asynchronous_invocations_is_said_for_each_qualifier(emulator):
    await created(emulator, publish=True)
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"
    await event_invoke_configs.put_function_event_invoke_config(
        emulator,
        function_name="f",
        maximum_retry_attempts=0,
        destination_config={"OnFailure": {"Destination": queue}},
    )
    said = (await invocable(emulator, "f")).event_invoke_config
    assert (said.retries_max, said.age_seconds_max, said.on_success, said.on_failure) == (
        0, AGE_SECONDS_MAX, None, queue,
    )  # fmt: skip
    other = (await invocable(emulator, "f:1")).event_invoke_config
    assert (other.retries_max, other.on_failure) == (2, None)
