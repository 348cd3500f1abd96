"""Writes the results of a Distributed Map where its ResultWriter wants them (asl.md 17.5).

A writer is JSON as it stands in the definition, with everything evaluated:

    {"Resource": "arn:aws:states:::s3:putObject",
     "Arguments": {"Bucket": "...", "Prefix": "..."},
     "WriterConfig": {"Transformation": "NONE", "OutputType": "JSON"}}

`Arguments` also holds what JSONPath calls Parameters. One without a Resource exports nothing: what would be in the
files is the state's own result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

from engine.errors import StatesError
from engine.jsonvalue import encode, text
from engine.map_data.failures import RESULT_WRITER_FAILED, DataFailed
from engine.map_data.places import open_place
from engine.timestamps import iso_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from engine.jsonvalue import Json
    from engine.map_data.places import S3, Place, Upload

FILE_BYTES_MAX = 5 << 30
"""Of a file of results; what follows is in another one (asl.md 17.5)."""

ChildStatus: TypeAlias = Literal["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING"]


class ChildResult(NamedTuple):
    """What became of one child execution.

    Attributes:
        status: PENDING: it was never started.
        input: As it was given.
        output: Of one that SUCCEEDED.
        error: Of one that did not.
        cause: Likewise.
        start_date: Milliseconds since the epoch; None: it was never started.
        stop_date: Likewise.
        redrive_count: How often it was redriven.
    """

    execution_arn: str
    name: str
    state_machine_arn: str
    status: ChildStatus
    input: Json
    output: Json = None
    error: str | None = None
    cause: str | None = None
    start_date: int | None = None
    stop_date: int | None = None
    redrive_count: int = 0


class ResultSink(Protocol):
    """Where the results of one map run go. Used by one thread at a time; begun anew, it writes the same again."""

    def write(self, children: Iterable[ChildResult]) -> None:
        """Takes the next children, in the order of their items.

        Raises:
            StatesError: `States.ResultWriterFailed`, with AWS's cause.
        """
        ...

    def finish(self) -> Json:
        """Completes all files and the manifest; what the state's result is then. Raises as `write`."""
        ...

    def close(self) -> None:
        """Lets go of files and connections; may be called twice, and instead of `finish`."""
        ...


def open_results(
    writer: Mapping[str, Json], map_run_arn: str, *, region: str, payload_bytes_max: int = 0, s3: S3 | None = None
) -> ResultSink:
    """Opens what a writer names.

    Args:
        writer: See the head of the module.
        map_run_arn: Whose results.
        region: Of the execution, for AWS's services.
        payload_bytes_max: Of a result that is not exported; 0: no limit.
        s3: See `open_place`.

    Raises:
        StatesError: `States.ResultWriterFailed`: it cannot be written to.
    """
    if "Resource" not in writer:
        return _Gathered(payload_bytes_max)
    try:
        return _Results(writer, map_run_arn, region=region, s3=s3)
    except DataFailed as error:
        raise StatesError(RESULT_WRITER_FAILED, str(error)) from error


def entry_of(child: ChildResult) -> dict[str, Json]:
    """A child as AWS exports it untransformed (asl.md 17.5): members in the order of the alphabet, data as text."""
    is_over = child.status == "SUCCEEDED"
    found: dict[str, Json] = {
        "Cause": child.cause,
        "Error": child.error,
        "ExecutionArn": child.execution_arn,
        "Input": text(child.input),
        "InputDetails": {"Included": True},
        "Name": child.name,
        "Output": text(child.output) if is_over else None,
        "OutputDetails": {"Included": True},
        "RedriveCount": child.redrive_count,
        "RedriveStatus": "NOT_REDRIVABLE" if is_over else "REDRIVABLE_BY_MAP_RUN",
        "RedriveStatusReason": f"Execution is {child.status} and cannot be redriven" if is_over else None,
        "StartDate": None if child.start_date is None else iso_timestamp(child.start_date),
        "StateMachineArn": child.state_machine_arn,
        "Status": child.status,
        "StopDate": None if child.stop_date is None else iso_timestamp(child.stop_date),
    }
    return {name: value for name, value in found.items() if value is not None}


def results_of(child: ChildResult, transformation: str | None) -> list[Json]:
    """What a child is shown as; all but those that succeeded are untransformed whatever is wanted."""
    if child.status != "SUCCEEDED" or transformation not in ("COMPACT", "FLATTEN"):
        return [entry_of(child)]
    if transformation == "FLATTEN" and isinstance(child.output, list):
        return child.output
    return [child.output]


class _Gathered:
    """See `ResultSink`: the results are the state's result, untransformed."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 1
        self._results: list[Json] = []

    def write(self, children: Iterable[ChildResult]) -> None:
        """See `ResultSink`. Raises StatesError: `States.DataLimitExceeded`."""
        for child in children:
            result = entry_of(child)
            self._bytes += len(encode(result)) + 1
            if 0 < self._bytes_max < self._bytes:
                raise StatesError("States.DataLimitExceeded", None)
            self._results.append(result)

    def finish(self) -> Json:
        """See `ResultSink`."""
        return self._results

    def close(self) -> None:
        """See `ResultSink`."""


class _Results:
    """See `ResultSink`. All files have names that follow from the map run, so one that begins anew replaces them."""

    def __init__(self, writer: Mapping[str, Json], map_run_arn: str, *, region: str, s3: S3 | None) -> None:
        """Raises DataFailed."""
        given, config = _object(writer, "Arguments"), _object(writer, "WriterConfig")
        bucket, prefix = given.get("Bucket"), given.get("Prefix") or ""
        for name, value in (("Bucket", bucket), ("Prefix", prefix)):
            if not isinstance(value, str) or (name == "Bucket" and not value):
                raise DataFailed(f"{name}: expected a string, got {text(value)[:200]}")
        self._bucket = bucket
        self._map_run_arn = map_run_arn
        folder = map_run_arn.rpartition(":")[2]
        self._prefix = f"{prefix}{'/' if prefix and not prefix.endswith('/') else ''}{folder}/"
        self._transformation = config.get("Transformation")
        more = {name: value for name, value in given.items() if name not in ("Bucket", "Prefix")}
        self._place: Place = open_place(str(bucket), more, region=region, s3=s3)
        is_lines = config.get("OutputType") == "JSONL"
        self._files = {
            kind: _Numbered(self._place, f"{self._prefix}{kind}", is_lines=is_lines)
            for kind in ("FAILED", "PENDING", "SUCCEEDED")
        }

    def write(self, children: Iterable[ChildResult]) -> None:
        """See `ResultSink`."""
        try:
            for child in children:
                file = self._files[child.status if child.status in self._files else "FAILED"]
                for result in results_of(child, self._transformation):
                    file.add(encode(result))
        except DataFailed as error:
            raise StatesError(RESULT_WRITER_FAILED, str(error)) from error

    def finish(self) -> Json:
        """See `ResultSink`."""
        key = f"{self._prefix}manifest.json"
        try:
            files: Json = {kind: list(file.finished()) for kind, file in self._files.items()}
            manifest = {"DestinationBucket": self._bucket, "MapRunArn": self._map_run_arn, "ResultFiles": files}
            upload = self._place.upload(key)
            try:
                upload.write(encode(manifest))
                upload.finish()
            finally:
                upload.abandon()
        except DataFailed as error:
            raise StatesError(RESULT_WRITER_FAILED, str(error)) from error
        return {"MapRunArn": self._map_run_arn, "ResultWriterDetails": {"Bucket": self._bucket, "Key": key}}

    def close(self) -> None:
        """See `ResultSink`."""
        for file in self._files.values():
            file.abandon()
        self._place.close()


class _Numbered:
    """The files of one status: `SUCCEEDED_0.json`, and the next number when one is full."""

    def __init__(self, place: Place, stem: str, *, is_lines: bool) -> None:
        self._place = place
        self._stem = stem
        # What is before the first result, between two, and after the last.
        self._marks = (b"", b"\n", b"\n") if is_lines else (b"[", b",", b"]")
        self._sizes: list[int] = []
        self._upload: Upload | None = None

    def add(self, result: bytes) -> None:
        """Appends a result. Raises DataFailed."""
        if self._upload is not None and self._sizes[-1] + len(result) >= FILE_BYTES_MAX:
            self._complete()
        if self._upload is None:
            self._upload = self._place.upload(self._key(len(self._sizes)))
            self._sizes.append(0)
            self._write(self._marks[0] + result)
        else:
            self._write(self._marks[1] + result)

    def finished(self) -> Iterator[Json]:
        """Completes the last one; all of them as the manifest has them. Raises DataFailed."""
        if self._upload is not None:
            self._complete()
        for number, size in enumerate(self._sizes):
            yield {"Key": self._key(number), "Size": size}

    def abandon(self) -> None:
        """Leaves nothing of a file that is not complete."""
        if self._upload is not None:
            self._upload.abandon()
            self._upload = None

    def _write(self, data: bytes) -> None:
        assert self._upload is not None, "a file is open"
        self._upload.write(data)
        self._sizes[-1] += len(data)

    def _complete(self) -> None:
        self._write(self._marks[2])
        assert self._upload is not None, "a file is open"
        self._upload.finish()
        self._upload = None

    def _key(self, number: int) -> str:
        return f"{self._stem}_{number}.json"  # of JSONL as well, as another emulator was corrected to after AWS


def _object(writer: Mapping[str, Json], name: str) -> dict[str, Any]:
    value = writer.get(name)
    if not isinstance(value, dict):
        raise DataFailed(f"{name}: expected an object, got {text(value)[:200]}")
    return value
