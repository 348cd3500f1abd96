"""Buckets of S3 as places of files. boto3, because it is called in threads; its own settings say where S3 is.

An object is read in ranges, each a request of its own: between two pages of items may be hours, in which no connection
stays open, and a reader that takes over begins where the last one was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.map_data.failures import DataFailed
from engine.map_data.places import Listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from engine.jsonvalue import Json

_FIRST_BYTES = 64 << 10
"""Of the first request to an object, which tells its version and size: small objects are read with one request."""

_PART_BYTES = 8 << 20
"""Of an upload, which may have 10,000; S3 wants 5 MiB at least."""

_ATTEMPTS = 5
_CONNECT_SECONDS, _READ_SECONDS = 10, 60

_CHANGED = 412
_NO_RANGE = "InvalidRange"


class Bucket:
    """See `Place`."""

    def __init__(self, bucket: str, more: Mapping[str, Json], client: Any) -> None:
        """Asks nothing yet. `more`: what else all requests have; `client`: boto3's, which is closed with the bucket."""
        self.name = f"s3://{bucket}"
        self._bucket = bucket
        self._more = dict(more)
        self._client = client

    def open(self, key: str) -> StoredObject:
        """See `Place`."""
        return StoredObject(f"{self.name}/{key}", self._client.get_object, self._wanted(Key=key))

    def listed(self, prefix: str, after: str | None) -> Iterator[Listed]:
        """See `Place`."""
        while True:
            start = {} if after is None else {"StartAfter": after}
            answer = asked(self.name, self._client.list_objects_v2, {**self._wanted(Prefix=prefix), **start})
            for one in answer.get("Contents", ()):
                seconds = one["LastModified"].timestamp()
                after = one["Key"]
                yield Listed(after, one["ETag"], seconds, one["Size"], one.get("StorageClass", "STANDARD"))
            if not answer.get("IsTruncated") or not answer.get("Contents"):
                return

    def upload(self, key: str) -> UploadedObject:
        """See `Place`."""
        return UploadedObject(f"{self.name}/{key}", self._client, self._wanted(Key=key))

    def close(self) -> None:
        """See `Place`."""
        self._client.close()

    def _wanted(self, **given: Json) -> dict[str, Json]:
        return {**self._more, "Bucket": self._bucket, **given}


def client_config() -> Any:
    """botocore's, for reading and writing large objects."""
    from botocore.config import Config

    retries = {"mode": "standard", "max_attempts": _ATTEMPTS}
    return Config(retries=retries, connect_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS)


def own_client(region: str) -> Any:
    """As AWS's own configuration has it; `region`: where that names none. Raises DataFailed: it is faulty."""
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        session = boto3.session.Session()
        return session.client("s3", region_name=session.region_name or region, config=client_config())
    except (BotoCoreError, ValueError) as error:
        raise DataFailed(f"S3: {error}") from error


class StoredObject:
    """See `StoredFile`."""

    def __init__(self, name: str, get_object: Callable[..., Any], wanted: dict[str, Json]) -> None:
        """Reads its beginning. Raises DataFailed."""
        self.name = name
        self._get_object = get_object
        self._wanted = wanted
        self._first = b""
        self.size = 0
        self.version = ""
        self._first = self.part(0, _FIRST_BYTES)

    def part(self, first: int, length: int) -> bytes:
        """See `StoredFile`."""
        if first + length <= len(self._first) or len(self._first) == self.size > 0:
            return self._first[first : first + length]
        if self.version and first >= self.size:
            return b""
        wanted = {**self._wanted, "Range": f"bytes={first}-{first + length - 1}"}
        if self.version:
            wanted["IfMatch"] = self.version
        answer = asked(self.name, self._get_object, wanted, reads_body=True)
        if not self.version:
            self.version = answer["ETag"]
            self.size = int(answer.get("ContentRange", "/0").rpartition("/")[2])
        body: bytes = answer["Body"]
        return body

    def close(self) -> None:
        """See `StoredFile`. The bucket has the connections."""


class UploadedObject:
    """See `Upload`. One that fits into a part is put as a whole."""

    def __init__(self, name: str, client: Any, wanted: dict[str, Json]) -> None:
        self._name = name
        self._client = client
        self._wanted = wanted
        self._buffer = bytearray()
        self._upload: str | None = None
        self._parts: list[Json] = []

    def write(self, data: bytes) -> None:
        """See `Upload`."""
        self._buffer += data
        while len(self._buffer) >= _PART_BYTES:
            part = bytes(self._buffer[:_PART_BYTES])
            del self._buffer[:_PART_BYTES]
            self._send(part)

    def finish(self) -> None:
        """See `Upload`."""
        if self._upload is None:
            asked(self._name, self._client.put_object, {**self._wanted, "Body": bytes(self._buffer)})
            return
        if self._buffer:
            self._send(bytes(self._buffer))
        parts: Json = {"Parts": self._parts}
        wanted = {**self._wanted, "UploadId": self._upload, "MultipartUpload": parts}
        asked(self._name, self._client.complete_multipart_upload, wanted)
        self._upload = None

    def abandon(self) -> None:
        """See `Upload`."""
        if self._upload is not None:
            upload, self._upload = self._upload, None
            try:
                asked(self._name, self._client.abort_multipart_upload, {**self._wanted, "UploadId": upload})
            except DataFailed:
                return  # whatever hindered the upload hinders this; the bucket's own rules clean up

    def _send(self, part: bytes) -> None:
        if self._upload is None:
            begun = asked(self._name, self._client.create_multipart_upload, self._wanted)
            self._upload = begun["UploadId"]
        number = len(self._parts) + 1
        wanted = {**self._wanted, "UploadId": self._upload, "PartNumber": number, "Body": part}
        answer = asked(self._name, self._client.upload_part, wanted)
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})


def asked(name: str, call: Callable[..., Any], wanted: Mapping[str, Any], *, reads_body: bool = False) -> Any:
    """Asks S3, and again when a connection is lost while the body comes.

    Raises:
        DataFailed: With S3's own message, as AWS's SDK for Java prints it, which Step Functions shows.
    """
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        IncompleteReadError,
        ReadTimeoutError,
        ResponseStreamingError,
    )

    left = _ATTEMPTS
    while True:
        left -= 1
        try:
            answer = call(**wanted)
            if reads_body:
                answer["Body"] = answer["Body"].read()
        except (IncompleteReadError, ReadTimeoutError, ResponseStreamingError) as error:
            if not left:
                raise DataFailed(f"{name}: {error}") from error
        except ClientError as error:
            told = error.response.get("Error", {})
            about = error.response.get("ResponseMetadata", {})
            if told.get("Code") == _NO_RANGE and reads_body:
                return {"Body": b"", "ETag": '"empty"'}
            if about.get("HTTPStatusCode") == _CHANGED and "IfMatch" in wanted:
                raise DataFailed(f"{name}: it has changed while it was read") from error
            service = f"(Service: S3, Status Code: {about.get('HTTPStatusCode')}, Request ID: {about.get('RequestId')})"
            raise DataFailed(f"{name}: {told.get('Message') or told.get('Code')} {service}") from error
        except (BotoCoreError, ValueError) as error:
            raise DataFailed(f"{name}: {error}") from error
        else:
            return answer
