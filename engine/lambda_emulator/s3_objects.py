"""Deployment packages in S3, or in whatever `AWS_ENDPOINT_URL_S3` stands for."""

from __future__ import annotations

from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from engine.lambda_emulator.errors import InvalidParameterValueException

if TYPE_CHECKING:
    from engine.lambda_emulator.limits import Limits


async def s3_object(bucket: str, key: str, version: str | None, *, region: str, limits: Limits) -> bytes:
    """The bytes of an object.

    Raises:
        InvalidParameterValueException: It cannot be had, or has more bytes than a package's files may have.
    """
    return await anyio.to_thread.run_sync(_read, bucket, key, version, region, limits.unzipped_bytes_max)


def _read(bucket: str, key: str, version: str | None, region: str, bytes_max: int) -> bytes:
    from botocore.exceptions import BotoCoreError, ClientError

    named = {"Bucket": bucket, "Key": key} | ({} if version is None else {"VersionId": version})
    try:
        answer = _client(region).get_object(**named)
        with closing(answer["Body"]) as body:
            if answer["ContentLength"] > bytes_max:
                raise InvalidParameterValueException(f"Unzipped size must be smaller than {bytes_max} bytes")
            data: bytes = body.read()
    except ClientError as error:
        told = error.response.get("Error", {})
        raise InvalidParameterValueException(
            f"Error occurred while GetObject. S3 Error Code: {told.get('Code')}. "
            f"S3 Error Message: {told.get('Message')}"
        ) from error
    except BotoCoreError as error:
        raise InvalidParameterValueException(f"Error occurred while GetObject. {error}") from error
    return data


@cache
def _client(region: str) -> Any:
    import boto3
    from botocore.config import Config

    # Whoever stands in for S3 seldom has a name for each bucket.
    return boto3.session.Session().client("s3", region_name=region, config=Config(s3={"addressing_style": "path"}))
