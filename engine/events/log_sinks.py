"""Where log records go: a file, the process's own log, or the log groups of CloudWatch Logs that they are meant for."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec

from engine import arns
from engine.events.delivery import TryAgain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from engine.events.execution_logs import LogRecord

_BATCH_EVENTS_MAX = 10_000
_BATCH_BYTES_MAX = 1_048_576
_EVENT_BYTES = 26
_BATCH_SPAN_MS = 24 * 3_600 * 1_000
"""What one PutLogEvents takes; of each event so many bytes are CloudWatch's own."""

_MS_PER_SECOND = 1_000

VALIDATION_STREAM = "log_stream_created_by_aws_to_validate_log_delivery_subscriptions"
"""AWS makes it in each log group beside its own streams; what reads the second stream of a group counts on it."""

_GONE = "ResourceNotFoundException"
_NEVER = frozenset(
    ["AccessDeniedException", "UnrecognizedClientException", "InvalidParameterException", _GONE, "ValidationException"]
)


class FileSink:
    """Appends a line of JSON for each record. Several processes may have the same file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, records: Sequence[LogRecord]) -> int:
        """See `LogSink`."""
        # Opened each time, so that the file may be moved away while the engine runs; one write, so that lines of
        # several processes do not mix.
        lines = "".join(f"{record.text}\n" for record in records).encode()
        try:
            with self._path.open("ab", buffering=0) as file:
                file.write(lines)
        except OSError as error:
            raise TryAgain(f"{self._path}: {error.strerror or error}") from error
        return 0

    def has_log_group(self, group_arn: str) -> bool:
        """See `LogSink`: the records go elsewhere."""
        return True

    def close(self) -> None:
        """See `LogSink`."""


class StructlogSink:
    """Logs each record with structlog: its members beside `event`, which is "history event"."""

    def __init__(self) -> None:
        import structlog

        self._log = structlog.get_logger()

    def write(self, records: Sequence[LogRecord]) -> int:
        """See `LogSink`."""
        for record in records:
            self._log.info("history event", **msgspec.json.decode(record.text))
        return 0

    def has_log_group(self, group_arn: str) -> bool:
        """See `LogSink`: the records go elsewhere."""
        return True

    def close(self) -> None:
        """See `LogSink`."""


class CloudWatchSink:
    """Puts records into the log groups that they are meant for, with boto3, which reads its own settings.

    A log group that is not there is not made: AWS refuses to write to it as well. A stream of this process is made in
    each, `states/<state machine>/<when it was made>/<id>`.
    """

    def __init__(self, tell: Callable[..., None]) -> None:
        """`tell`: told of what is refused for good."""
        self._tell = tell
        self._clients: dict[str, Any] = {}
        self._streams: dict[tuple[str, str], str] = {}
        self._id = uuid4().hex[:8]

    def write(self, records: Sequence[LogRecord]) -> int:
        """See `LogSink`."""
        by_target: dict[tuple[str, str], list[LogRecord]] = defaultdict(list)
        for record in records:
            if record.log_group_arn is not None:
                by_target[record.log_group_arn, record.state_machine].append(record)
        refused = sum(record.log_group_arn is None for record in records)
        for (group_arn, state_machine), meant in by_target.items():
            for batch in _batches(sorted(meant, key=lambda record: record.timestamp)):
                refused += self._put(group_arn, state_machine, batch)
        return refused

    def has_log_group(self, group_arn: str) -> bool:
        """Whether records can be put there: AWS tries it in the same way when a state machine is made, with a stream.

        Any thread. What cannot be found out now is taken for granted: the records' own refusal will be told.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        arn = arns.parse_arn(group_arn)
        if arn is None:
            return False
        group = arn.resource.removeprefix("log-group:").removesuffix(":*")
        try:
            with closing(_client_of(arn.region, attempts=1)) as client:
                client.create_log_stream(logGroupName=group, logStreamName=VALIDATION_STREAM)
        except ClientError as error:
            return bool(error.response["Error"]["Code"] != _GONE)
        except BotoCoreError as error:
            self._tell("execution logs: log group not checked", log_group=group, error=str(error))
        return True

    def close(self) -> None:
        """See `LogSink`."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _put(self, group_arn: str, state_machine: str, batch: Sequence[LogRecord]) -> int:
        from botocore.exceptions import BotoCoreError, ClientError

        arn = arns.parse_arn(group_arn)
        if arn is None or not arn.resource.startswith("log-group:"):
            self._tell("execution logs: refused", log_group=group_arn, error="no ARN of a log group")
            return len(batch)
        group = arn.resource.removeprefix("log-group:")
        try:
            client = self._client(arn.region)
            stream = self._stream(client, group, state_machine)
            answer = client.put_log_events(
                logGroupName=group,
                logStreamName=stream,
                logEvents=[{"timestamp": record.timestamp, "message": record.text} for record in batch],
            )
        except ClientError as error:
            was_known = self._streams.pop((group, state_machine), None) is not None
            code = error.response["Error"]["Code"]
            # Of a stream that was there somebody may have deleted it: it is made again.
            if code not in _NEVER or (code == _GONE and was_known):
                raise TryAgain(f"{group}: {error}") from error
            self._tell("execution logs: refused", log_group=group, error=str(error))
            return len(batch)
        except BotoCoreError as error:
            raise TryAgain(f"{group}: {error}") from error
        return _rejected(answer.get("rejectedLogEventsInfo"), len(batch))

    def _client(self, region: str) -> Any:
        client = self._clients.get(region)
        if client is None:
            client = self._clients[region] = _client_of(region, attempts=3)
        return client

    def _stream(self, client: Any, group: str, state_machine: str) -> str:
        """The name of this process's stream, which is made when it is first needed."""
        stream = self._streams.get((group, state_machine))
        if stream is None:
            begun = datetime.now(UTC).strftime("%Y-%m-%d-%H-%M")
            stream = f"states/{state_machine}/{begun}/{self._id}"
            for name in (VALIDATION_STREAM, stream):
                try:
                    client.create_log_stream(logGroupName=group, logStreamName=name)
                except client.exceptions.ResourceAlreadyExistsException:
                    continue
            self._streams[group, state_machine] = stream
        return stream


def _client_of(region: str, *, attempts: int) -> Any:
    import boto3
    from botocore.config import Config

    retries = {"mode": "standard", "total_max_attempts": attempts}
    config = Config(retries=retries, connect_timeout=5, read_timeout=10)
    return boto3.session.Session().client("logs", region_name=region, config=config)


def _batches(records: Sequence[LogRecord]) -> Iterator[list[LogRecord]]:
    """As many as one call takes, each time."""
    batch: list[LogRecord] = []
    size = 0
    for record in records:
        bytes_ = len(record.text.encode()) + _EVENT_BYTES
        is_full = len(batch) == _BATCH_EVENTS_MAX or size + bytes_ > _BATCH_BYTES_MAX
        if batch and (is_full or record.timestamp - batch[0].timestamp >= _BATCH_SPAN_MS):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += bytes_
    if batch:
        yield batch


def _rejected(info: dict[str, int] | None, count: int) -> int:
    """How many of so many events were too old or too new: PutLogEvents answers with places."""
    if not info:
        return 0
    begin = max(info.get("tooOldLogEventEndIndex", 0), info.get("expiredLogEventEndIndex", 0))
    end = info.get("tooNewLogEventStartIndex", count)
    return count - max(0, end - begin)
