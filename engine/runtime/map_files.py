"""Reads the items of map runs and writes their results, in threads: what a map run asks of the world outside.

A source stays open between two pages. Whoever takes a map run over opens it anew, where the cursor says.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from engine import arns
from engine.errors import StatesError
from engine.interpreter.map_chunks import CAUSE, ERROR, OUTPUT, REDRIVES, START_DATE, STOP_DATE, child_of
from engine.interpreter.map_counts import PLACE, STATUS
from engine.interpreter.messages import ItemsRead, MapDataFailed, ReadItems, ResultsWritten, WriteResults
from engine.map_data.failures import ITEM_READER_FAILED, RESULT_WRITER_FAILED
from engine.map_data.reading import open_items
from engine.map_data.writing import ChildResult, open_results
from engine.runtime.map_buckets import s3_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anyio.abc import TaskGroup

    from engine.integrations.registry import Handlers
    from engine.interpreter.messages import Event
    from engine.interpreter.snapshot import Execution
    from engine.jsonvalue import Json
    from engine.map_data.reading import ItemSource, Page
    from engine.runtime.clock import Clock
    from engine.runtime.live import LiveExecution
    from engine.store.library import Library
    from engine.store.protocol import ExecutionId
    from engine.store.records import ExecutionRecord

THREADS_MAX = 4
"""Map runs of one worker that read or write at once."""


class MapFiles:
    """See `MapData`."""

    def __init__(
        self,
        library: Library,
        *,
        handlers: Handlers,
        group: TaskGroup,
        clock: Clock,
        mail: Callable[[LiveExecution, Event], None],
        on_fault: Callable[[LiveExecution, Exception], None],
    ) -> None:
        """Nothing is open.

        Args:
            library: Where the results of chunks are found; called in threads.
            handlers: Whose rules say how S3 is reached.
            group: Where it waits for its threads.
            clock: Time does not jump while it reads or writes.
            mail: Takes the answers.
            on_fault: Takes what is our own fault.
        """
        self._library = library
        self._handlers = handlers
        self._group = group
        self._clock = clock
        self._mail = mail
        self._on_fault = on_fault
        self._limiter = anyio.CapacityLimiter(THREADS_MAX)
        self._open: dict[ExecutionId, tuple[Json, ItemSource]] = {}

    def ask(self, execution: LiveExecution, command: ReadItems | WriteResults) -> None:
        """See `MapData`."""
        self._clock.hold()
        execution.asking += 1
        self._group.start_soon(self._do, execution, command)

    def forget(self, execution: LiveExecution) -> None:
        """See `MapData`."""
        _, source = self._open.pop(execution.execution_id, (None, None))
        if source is not None:
            source.close()

    async def _do(self, execution: LiveExecution, command: ReadItems | WriteResults) -> None:
        work = self._read if isinstance(command, ReadItems) else self._write
        about = execution.snapshot.execution
        try:
            event = await anyio.to_thread.run_sync(
                partial(work, execution.execution_id, about, command), limiter=self._limiter
            )
        except Exception as error:  # noqa: BLE001  we are wrong; the other executions must not pay for it
            execution.asking -= 1
            if not execution.is_gone:
                self._on_fault(execution, error)
        else:
            execution.asking -= 1
            if not execution.is_gone:
                self._mail(execution, event)
        finally:
            if execution.is_gone:
                self.forget(execution)
            self._clock.release()

    # ── in a thread ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, run_id: ExecutionId, about: Execution, command: Any) -> Event:
        try:
            page = self._page(run_id, about, command)
        except StatesError as error:
            return MapDataFailed(command.number, error.error or ITEM_READER_FAILED, error.cause or "")
        keys = None if page.keys is None else list(page.keys)
        files = None if page.files is None else list(page.files)
        return ItemsRead(command.number, list(page.items), keys, page.cursor, files)

    def _page(self, run_id: ExecutionId, about: Execution, command: ReadItems) -> Page:
        at, source = self._open.pop(run_id, (None, None))
        if source is None or at != command.cursor:
            if source is not None:
                source.close()
            s3 = s3_of(self._handlers, about, str(command.reader["Resource"]))
            source = open_items(command.reader, command.cursor, region=about.region, s3=s3)
        try:
            page = source.read(items_max=command.items_max, bytes_max=command.bytes_max)
        except BaseException:
            source.close()
            raise
        if page.cursor is None:
            source.close()
        else:
            self._open[run_id] = (page.cursor, source)
        return page

    def _write(self, run_id: ExecutionId, about: Execution, command: Any) -> Event:
        del run_id
        try:
            exported_by = command.writer.get("Resource")
            sink = open_results(
                command.writer,
                about.arn,
                region=about.region,
                payload_bytes_max=about.payload_bytes_max,
                s3=None if exported_by is None else s3_of(self._handlers, about, str(exported_by)),
            )
            try:
                for chunk in command.chunks:
                    arn = arns.map_chunk_arn(about.state_machine_arn, str(chunk))
                    sink.write(children_of(self._library.execution(arn)))
                output = sink.finish()
            finally:
                sink.close()
        except StatesError as error:
            return MapDataFailed(command.number, error.error or RESULT_WRITER_FAILED, error.cause or "")
        return ResultsWritten(command.number, output)


def children_of(chunk: ExecutionRecord) -> Iterator[ChildResult]:
    """What became of the children of a chunk that is over, in their order."""
    about = chunk.execution
    given: Any = about.input
    output: Any = None if chunk.ending is None else chunk.ending.output
    results = {} if output is None else {result[PLACE]: result for result in output["results"]}
    for place, data in enumerate(given["inputs"]):
        child, result = child_of(about, place, about.start_time), results.get(place)
        names = child.arn, child.name, child.state_machine_arn
        if result is None:
            yield ChildResult(*names, "PENDING", data)
        else:
            yield ChildResult(*names, result[STATUS], data, result[OUTPUT], result[ERROR], result[CAUSE],
                              result[START_DATE], result[STOP_DATE], result[REDRIVES])  # fmt: skip
