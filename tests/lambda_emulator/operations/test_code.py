"""Code that requests bring: how large it may be, from where it comes, and that it can be had back."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from engine.lambda_emulator import s3_objects
from engine.lambda_emulator.limits import Limits
from engine.lambda_emulator.operations import code, functions, layers
from tests.lambda_emulator.control_plane import REGION, created, emulating, refusal
from tests.lambda_emulator.packages import zipped
from tests.moto_server import moto_as_aws

pytestmark = pytest.mark.anyio

NOT_A_ZIP = (
    "InvalidParameterValueException",
    "Could not unzip uploaded file. Please check your file, then try to upload again.",
)


async def test_what_is_no_zip_is_refused(emulator):
    assert await refusal(created(emulator, code={"ZipFile": b"no zip"})) == NOT_A_ZIP
    assert await refusal(created(emulator, code={"ZipFile": zipped({"../a": ""})})) == NOT_A_ZIP
    assert await refusal(created(emulator, code={"ZipFile": zipped({})})) == (
        "InvalidParameterValueException",
        "Uploaded file must be a non-empty zip",
    )
    layer = layers.publish_layer_version(emulator, layer_name="l", content={"ZipFile": b"no zip"})
    assert await refusal(layer) == NOT_A_ZIP
    await created(emulator)
    assert await refusal(functions.update_function_code(emulator, function_name="f", zip_file=b"x")) == NOT_A_ZIP


def test_a_zip_has_50_megabytes_at_most_its_files_250_and_an_accounts_code_75_gigabytes():
    limits = Limits()
    assert (limits.zip_bytes_max, limits.unzipped_bytes_max) == (52_428_800, 262_144_000)
    assert limits.code_storage_bytes_max == 80_530_636_800


async def test_a_zip_with_the_request_is_as_large_as_it_may_be_and_not_larger(tmp_path):
    package = zipped()
    async with emulating(tmp_path, limits=Limits(zip_bytes_max=len(package))) as emulator:
        await created(emulator, code={"ZipFile": package})
        larger = zipped({"app.py": "", "b.py": "x"})
        assert len(larger) > len(package)
        assert await refusal(created(emulator, "g", code={"ZipFile": larger})) == (
            "RequestEntityTooLargeException",
            f"Zipped size must be smaller than {len(package)} bytes",
        )


async def test_the_files_of_a_zip_are_as_large_as_they_may_be_and_not_larger(tmp_path):
    async with emulating(tmp_path, limits=Limits(unzipped_bytes_max=1_000)) as emulator:
        await created(emulator, code={"ZipFile": zipped({"a": "x" * 1_000})})
        larger = zipped({"a": "x" * 1_001})
        expected = ("InvalidParameterValueException", "Unzipped size must be smaller than 1000 bytes")
        assert await refusal(created(emulator, "g", code={"ZipFile": larger})) == expected
        layer = layers.publish_layer_version(emulator, layer_name="l", content={"ZipFile": larger})
        assert await refusal(layer) == expected


async def test_an_accounts_code_is_as_large_as_it_may_be_and_not_larger(tmp_path):
    package = zipped()
    async with emulating(tmp_path, limits=Limits(code_storage_bytes_max=3 * len(package))) as emulator:
        await created(emulator, code={"ZipFile": package}, publish=True)
        await layers.publish_layer_version(emulator, layer_name="l", content={"ZipFile": package})
        expected = ("CodeStorageExceededException", "Code storage limit exceeded.")
        assert await refusal(created(emulator, "g", code={"ZipFile": package})) == expected
        layer = layers.publish_layer_version(emulator, layer_name="l", content={"ZipFile": package})
        assert await refusal(layer) == expected
        await functions.delete_function(emulator, function_name="f", qualifier="1")
        await created(emulator, "g", code={"ZipFile": package})


async def test_the_code_of_a_function_can_be_had_where_it_is_said_to_be(emulator):
    package = zipped()
    await created(emulator, code={"ZipFile": package})
    shown = (await functions.get_function(emulator, function_name="f"))["Code"]
    assert shown["RepositoryType"] == "S3"
    digest = shown["Location"].removeprefix(f"{emulator.url}/lambda-code/").removesuffix(".zip")
    assert await code.code_zip(emulator, digest) == package
    for other in ("0" * 64, "../../etc/passwd", digest.upper()):
        assert (await refusal(code.code_zip(emulator, other)))[0] == "ResourceNotFoundException"


async def test_code_comes_from_one_place(emulator):
    s3 = {"S3Bucket": "bucket", "S3Key": "key"}
    for given in ({}, {"ZipFile": zipped(), **s3}, {"S3Bucket": "bucket"}, {"S3Key": "key"}):
        assert (await refusal(created(emulator, code=given)))[0] == "InvalidParameterValueException"
    reference = {**s3, "S3ObjectStorageMode": "REFERENCE"}
    assert (await refusal(created(emulator, code=reference)))[0] == "NotImplementedException"


# ── S3 ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def bucket() -> Any:
    s3_objects._client.cache_clear()
    with moto_as_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="packages")
        client.put_bucket_versioning(Bucket="packages", VersioningConfiguration={"Status": "Enabled"})
        yield client
        client.close()
        s3_objects._client(REGION).close()
    s3_objects._client.cache_clear()


async def test_a_package_comes_from_s3_in_the_version_that_is_asked_for(emulator, bucket):
    first, second = zipped({"app.py": "1"}), zipped({"app.py": "2"})
    version = bucket.put_object(Bucket="packages", Key="p/f.zip", Body=first)["VersionId"]
    bucket.put_object(Bucket="packages", Key="p/f.zip", Body=second)
    made = await created(emulator, code={"S3Bucket": "packages", "S3Key": "p/f.zip"})
    assert made["CodeSize"] == len(second)
    changed = await functions.update_function_code(
        emulator, function_name="f", s3_bucket="packages", s3_key="p/f.zip", s3_object_version=version
    )
    assert changed["CodeSha256"] != made["CodeSha256"]


async def test_what_is_not_in_s3_is_refused_with_s3s_words(emulator, bucket):
    assert await refusal(created(emulator, code={"S3Bucket": "packages", "S3Key": "none"})) == (
        "InvalidParameterValueException",
        "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist.",
    )


async def test_a_package_in_s3_may_be_larger_than_one_in_a_request(tmp_path, bucket):
    package = zipped()
    bucket.put_object(Bucket="packages", Key="large.zip", Body=package)
    given = {"S3Bucket": "packages", "S3Key": "large.zip"}
    async with emulating(tmp_path / "a", limits=Limits(zip_bytes_max=1)) as emulator:
        await created(emulator, code=given)
    async with emulating(tmp_path / "b", limits=Limits(unzipped_bytes_max=len(package) - 1)) as emulator:
        assert (await refusal(created(emulator, code=given)))[1].startswith("Unzipped size must be smaller than")
