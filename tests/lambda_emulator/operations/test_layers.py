"""Layers, and functions that name them (lambda.md 3.4)."""

from __future__ import annotations

import pytest

from engine.lambda_emulator.invocable import invocable
from engine.lambda_emulator.limits import Limits
from engine.lambda_emulator.operations import code, functions, layers
from tests.lambda_emulator.control_plane import ACCOUNT, REGION, created, emulating, refusal
from tests.lambda_emulator.packages import zipped

pytestmark = pytest.mark.anyio

LAYERS = f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer"
NOT_THERE = ("ResourceNotFoundException", "The resource you requested does not exist.")


async def publish(emulator, name="l", files=None, **given):
    return await layers.publish_layer_version(emulator, layer_name=name, content={"ZipFile": zipped(files)}, **given)


async def test_a_layers_versions_are_numbered_and_shown(emulator):
    first = await publish(
        emulator,
        description="d",
        compatible_runtimes=["python3.12"],
        compatible_architectures=["arm64"],
        license_info="MIT",
    )
    location = first.pop("Content")
    del first["CreatedDate"]
    assert first == {
        "LayerArn": f"{LAYERS}:l",
        "LayerVersionArn": f"{LAYERS}:l:1",
        "Version": 1,
        "Description": "d",
        "CompatibleRuntimes": ["python3.12"],
        "CompatibleArchitectures": ["arm64"],
        "LicenseInfo": "MIT",
    }
    assert location["CodeSize"] == len(zipped())
    digest = location["Location"].removeprefix(f"{emulator.url}/lambda-code/").removesuffix(".zip")
    assert await code.code_zip(emulator, digest) == zipped()
    assert (await publish(emulator))["Version"] == 2
    assert (await layers.get_layer_version(emulator, layer_name=f"{LAYERS}:l", version_number=1))["Version"] == 1
    by_arn = await layers.get_layer_version_by_arn(emulator, arn=f"{LAYERS}:l:2")
    assert "CompatibleRuntimes" not in by_arn


async def test_a_number_is_not_used_twice(emulator):
    await publish(emulator)
    for _ in range(2):
        await layers.delete_layer_version(emulator, layer_name="l", version_number=1)
    assert await refusal(layers.get_layer_version(emulator, layer_name="l", version_number=1)) == NOT_THERE
    assert (await layers.list_layers(emulator))["Layers"] == []
    assert (await publish(emulator))["Version"] == 2


async def test_what_is_not_there_is_not_found(emulator):
    assert await refusal(layers.get_layer_version(emulator, layer_name="l", version_number=1)) == NOT_THERE
    assert await refusal(layers.get_layer_version_by_arn(emulator, arn=f"{LAYERS}:l:1")) == NOT_THERE
    assert await refusal(layers.get_layer_version(emulator, layer_name="l", version_number=0)) == (
        "InvalidParameterValueException",
        "Layer Version Cannot be less than 1",
    )
    assert (await layers.list_layer_versions(emulator, layer_name="l"))["LayerVersions"] == []


async def test_layers_are_listed_by_name_with_their_newest_version_that_fits(emulator):
    for name, runtimes in (("b", ["python3.12"]), ("b", ["nodejs22.x"]), ("a", ["python3.12"]), ("c", None)):
        await publish(emulator, name, compatible_runtimes=runtimes)
    found = (await layers.list_layers(emulator))["Layers"]
    assert [(one["LayerName"], one["LatestMatchingVersion"]["Version"]) for one in found] == [
        ("a", 1), ("b", 2), ("c", 1),
    ]  # fmt: skip
    python = (await layers.list_layers(emulator, compatible_runtime="python3.12", max_items=1))["Layers"]
    assert [one["LayerName"] for one in python] == ["a"]
    rest = await layers.list_layers(
        emulator,
        compatible_runtime="python3.12",
        marker=(await layers.list_layers(emulator, compatible_runtime="python3.12", max_items=1))["NextMarker"],
    )
    assert [one["LatestMatchingVersion"]["Version"] for one in rest["Layers"]] == [1]
    assert "NextMarker" not in rest


async def test_versions_are_listed_newest_first_in_pages(emulator):
    for _ in range(3):
        await publish(emulator)
    first = await layers.list_layer_versions(emulator, layer_name="l", max_items=2)
    assert [one["Version"] for one in first["LayerVersions"]] == [3, 2]
    rest = await layers.list_layer_versions(emulator, layer_name="l", marker=first["NextMarker"])
    assert [one["Version"] for one in rest["LayerVersions"]] == [1]


# ── functions with layers ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_function_has_its_layers_in_order_and_keeps_those_that_were_deleted(emulator):
    for name in ("l", "m"):
        await publish(emulator, name, {f"python/{name}.py": ""})
    made = await created(emulator, layers=[f"{LAYERS}:m:1", f"{LAYERS}:l:1"])
    assert [one["Arn"] for one in made["Layers"]] == [f"{LAYERS}:m:1", f"{LAYERS}:l:1"]
    await layers.delete_layer_version(emulator, layer_name="m", version_number=1)
    await emulator.code.sweep()
    first, second = (await invocable(emulator, "f")).version.layers
    assert (await first.directory() / "python/m.py").is_file()
    assert (await second.directory() / "python/l.py").is_file()
    changed = await functions.update_function_configuration(emulator, function_name="f", layers=[])
    assert "Layers" not in changed


async def test_a_function_has_five_layers_at_most(emulator):
    names = [f"l{number}" for number in range(6)]
    for name in names:
        await publish(emulator, name)
    arns = [f"{LAYERS}:{name}:1" for name in names]
    assert await refusal(created(emulator, layers=arns)) == (
        "InvalidParameterValueException",
        "Cannot reference more than 5 layers.",
    )
    assert len((await created(emulator, layers=arns[:5]))["Layers"]) == 5


async def test_a_layer_must_be_there_and_once(emulator):
    await publish(emulator)
    await publish(emulator)
    assert await refusal(created(emulator, layers=[f"{LAYERS}:l:3"])) == (
        "InvalidParameterValueException",
        f"Layer version {LAYERS}:l:3 does not exist.",
    )
    one, two = f"{LAYERS}:l:1", f"{LAYERS}:l:2"
    assert await refusal(created(emulator, layers=[one, two])) == (
        "InvalidParameterValueException",
        "Two different versions of the same layer are not allowed to be referenced in the same function. "
        f"{one} and {two} are versions of the same layer.",
    )
    elsewhere = one.replace(ACCOUNT, "111111111111")
    code_, message = await refusal(created(emulator, layers=[elsewhere]))
    assert code_ == "AccessDeniedException"
    assert elsewhere in message


async def test_a_functions_files_and_those_of_its_layers_have_a_limit_together(tmp_path):
    async with emulating(tmp_path, limits=Limits(unzipped_bytes_max=1_000)) as emulator:
        await publish(emulator, files={"a": b"1" * 400})
        given = {"layers": [f"{LAYERS}:l:1"]}
        await created(emulator, code={"ZipFile": zipped({"a": b"1" * 600})}, **given)
        larger = zipped({"a": b"1" * 601})
        expected = ("InvalidParameterValueException", "Unzipped size must be smaller than 1000 bytes")
        assert await refusal(created(emulator, "g", code={"ZipFile": larger}, **given)) == expected
        assert await refusal(functions.update_function_code(emulator, function_name="f", zip_file=larger)) == expected
