"""The services besides Step Functions of recorded conversations: moto's server, in place of AWS."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from engine.events.log_sinks import VALIDATION_STREAM
from tests.conformance.replay import CallFailed
from tests.moto_server import moto_as_aws

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@contextmanager
def services(region: str) -> Iterator[Services]:
    """All of them, with nothing in them; for this process they are AWS meanwhile."""
    with moto_as_aws(region) as url, ExitStack() as exits:
        yield Services(url, exits)


class Services:
    """Answers the calls of a conversation that are not for Step Functions.

    Attributes:
        url: Where they are.
    """

    def __init__(self, url: str, exits: ExitStack) -> None:
        import boto3

        self.url = url
        self._exits = exits
        self._session = boto3.session.Session()
        self._clients: dict[str, Any] = {}

    def call(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Answers one operation, as `Adapter.call` does; a stream is its text. Raises CallFailed."""
        client = self._clients.get(service)
        if client is None:
            client = self._clients[service] = self._session.client(service)
            self._exits.callback(client.close)
        try:
            answer: dict[str, Any] = getattr(client, xform_name(operation))(**params)
        except ClientError as error:
            told = error.response
            status = told["ResponseMetadata"]["HTTPStatusCode"]
            raise CallFailed(told["Error"]["Code"], told["Error"]["Message"], status=status) from error
        if operation == "CreateBucket":
            _encrypt(client, params["Bucket"])
        if operation == "DescribeLogStreams":
            answer["logStreams"] = _of_executions(answer["logStreams"])
        return {name: _text(value) for name, value in answer.items()}


def _of_executions(streams: Sequence[Any]) -> list[Any]:
    """The stream that has executions, at both places that conversations take it from.

    They take the first one or the second: as many as the emulator had with which the calls were recorded.
    """
    return [one for one in streams if one["logStreamName"] != VALIDATION_STREAM] * 2


def _encrypt(s3: Any, bucket: str) -> None:
    """As S3 does since 2023 with all buckets; moto wants to be told."""
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


def _text(value: Any) -> Any:
    return value.read().decode() if isinstance(value, StreamingBody) else value
