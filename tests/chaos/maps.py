"""Distributed Maps of the chaos run: their items, what their children do, and what must have come of them.

Each item calls a Task once. Its beginnings are lines of one length in a file that all workers append to, so that its
size tells how far a map is.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter, defaultdict
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.histories import fault_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from engine.interpreter.snapshot import Ending, Execution
    from tests.chaos.verdict import Verdict

ITEM_SECONDS = 0.02

_LINE = "{:>8} {:>8} {:>15.3f}\n"
_LINE_BYTES = len(_LINE.format(0, 0, 0.0))

_CLOCKS_DIFFER_SECONDS = 0.25

_WRONG_MAX = 3
"""Of one kind that are told in full."""


def definition(kind: str) -> dict[str, Any]:
    """A Map over the lines of a file, whose results go to files."""
    files = {"Bucket.$": "$.bucket"}
    work = {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:work", "End": True}
    each = {
        "Type": "Map",
        "ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSONL"},
                       "Parameters": {**files, "Key.$": "$.key"}},
        "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": kind},
                          "StartAt": "Work", "States": {"Work": work}},
        "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {**files, "Prefix": "results"},
                         "WriterConfig": {"Transformation": "COMPACT", "OutputType": "JSONL"}},
        "MaxConcurrency": 400,
        "End": True,
    }  # fmt: skip
    return {"StartAt": "Each", "States": {"Each": each}}


MAPS = {"map-express": definition("EXPRESS"), "map-standard": definition("STANDARD")}


def write_items(folder: Path, items: int) -> dict[str, Any]:
    """Makes the file; the input of an execution of one of MAPS."""
    (folder / "items.jsonl").write_text("".join(f'{{"item": {number}}}\n' for number in range(items)))
    return {"bucket": f"file:{folder}", "key": "items.jsonl", "items": items}


# ── what children do ────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def _file() -> int:
    return os.open(os.environ["ASL_CHAOS_ITEMS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


async def work_on(item: int) -> Any:
    """The Task of an item."""
    os.write(_file(), _LINE.format(item, os.getpid(), time.time()).encode())
    await asyncio.sleep(ITEM_SECONDS)
    return answer_to(item)


def answer_to(item: int) -> Any:
    """What it gives, however often it runs."""
    return {"item": item, "answer": 7 * item}


def begun(path: Path) -> int:
    """How many Tasks of items have begun so far."""
    return path.stat().st_size // _LINE_BYTES if path.exists() else 0


class _Begun(NamedTuple):
    item: int
    pid: int
    at: float


def _read(path: Path) -> list[_Begun]:
    if not path.exists():
        return []
    lines = (line.split() for line in path.read_text().splitlines())
    return [_Begun(int(item), int(pid), float(at)) for item, pid, at in lines]


# ── what must have come of them ─────────────────────────────────────────────────────────────────────────────────────


class MapVerdict:
    """Takes the executions of a map and its parts one by one, and judges them together."""

    def __init__(self) -> None:
        self._items = 0
        self._counted: dict[str, int] = {}
        self._over_at: dict[int, float] = {}  # by item: when its chunk was over, seconds since the epoch
        self._children = 0

    def take(
        self,
        verdict: Verdict,
        execution: Execution,
        endings: Sequence[tuple[Ending, int]],
        events: Sequence[dict[str, Any]],
    ) -> None:
        """One of them.

        Args:
            endings: All that are written of it, and when.
        """
        verdict.lost += not endings
        verdict.twice += len(endings) > 1
        if len(endings) != 1:
            verdict.details.append(f"{execution.arn} ended {len(endings)} times")
            return
        ending, stop_date = endings[0]
        match execution.role:
            case "RUN":
                self._take_run(verdict, ending)
            case "CHUNK":
                self._take_chunk(verdict, execution, ending, stop_date)
            case _:
                self._take_shown(verdict, execution, ending, events)

    def _take_shown(
        self, verdict: Verdict, execution: Execution, ending: Ending, events: Sequence[dict[str, Any]]
    ) -> None:
        fault = fault_of(events)
        if fault is not None:
            verdict.illegal += 1
            verdict.details.append(f"{execution.arn}: {fault}")
        if execution.role == "CHILD":
            self._children += 1
            return
        verdict.finished += 1
        given: Any = execution.input
        self._items = given["items"]
        what = _wrong_results(ending, self._items)
        told = [event["type"] for event in events if event["type"].startswith("MapRun")]
        if told != ["MapRunStarted", "MapRunSucceeded"]:
            what = f"its history tells {told}"
        if what is not None:
            verdict.wrong += 1
            verdict.details.append(f"{execution.arn}: {what}")

    def _take_run(self, verdict: Verdict, ending: Ending) -> None:
        shown: Any = ending.output
        for name in ("itemCounts", "executionCounts"):
            counts = {what: count for what, count in shown[name].items() if count}
            total = counts.get("total", 0)
            if counts != {"succeeded": total, "total": total, "resultsWritten": total}:
                verdict.wrong += 1
                verdict.details.append(f"{name} {counts}")
            self._counted[name] = total

    def _take_chunk(self, verdict: Verdict, chunk: Execution, ending: Ending, stop_date: int) -> None:
        given: Any = chunk.input
        ended: Any = ending.output
        places = [result[0] for result in ended["results"]]
        if places != list(range(len(given["inputs"]))):
            verdict.wrong += 1
            verdict.details.append(f"{chunk.arn} has {len(places)} results of {len(given['inputs'])} children")
        self._over_at |= {one["item"]: stop_date / 1_000 for one in given["inputs"]}

    def finish(self, verdict: Verdict, path: Path, disturbed: Collection[int]) -> None:
        """Judges what was done.

        Args:
            path: The file of beginnings.
            disturbed: Processes whose Tasks may run again.
        """
        runs: dict[int, list[_Begun]] = defaultdict(list)
        for one in _read(path):
            runs[one.item].append(one)
        self._count(verdict, runs)
        for item, begun_at in runs.items():
            over_at = self._over_at.get(item, 0.0)
            is_allowed = all(
                before.pid in disturbed and after.at <= over_at + _CLOCKS_DIFFER_SECONDS
                for before, after in pairwise(begun_at)
            )
            if not is_allowed or len({one.pid for one in begun_at}) < len(begun_at):
                verdict.uncalled += 1
                if verdict.uncalled <= _WRONG_MAX:
                    verdict.details.append(f"ran again: {begun_at}; its chunk was over at {over_at}")

    def _count(self, verdict: Verdict, runs: dict[int, list[_Begun]]) -> None:
        verdict.tasks += len(runs)
        verdict.repeated += sum(len(begun_at) - 1 for begun_at in runs.values())
        verdict.skipped += self._items - len(runs)
        wanted = {"itemCounts": self._items, "executionCounts": self._items}
        if self._counted != wanted or len(self._over_at) != self._items or self._children not in (0, self._items):
            verdict.wrong += 1
            verdict.details.append(
                f"{self._items} items: counted {self._counted}, in chunks {len(self._over_at)}, "
                f"children {self._children}"
            )


def _wrong_results(ending: Ending, items: int) -> str | None:
    """What is wrong with the output of a map, and with the files that it names; None: nothing."""
    if ending.status != "SUCCEEDED":
        return f"ended as {ending}"
    output: Any = ending.output
    place = output["ResultWriterDetails"]
    folder = Path(place["Bucket"].removeprefix("file:"))
    files = json.loads((folder / place["Key"]).read_text())["ResultFiles"]
    if files["FAILED"] or files["PENDING"]:
        return f"there are files of what did not succeed: {files}"
    lines = [line for file in files["SUCCEEDED"] for line in (folder / file["Key"]).read_text().splitlines()]
    found = [json.loads(line) for line in lines]
    if found == [answer_to(item) for item in range(items)]:
        return None
    numbers = Counter(one["item"] for one in found)
    return f"{len(found)} results, {len(numbers)} different ones, at most {max(numbers.values(), default=0)} of an item"
