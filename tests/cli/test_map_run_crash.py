"""kill -9 of a worker in the middle of a map run, with real processes and a real database."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.fleet import task
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.fleet import Fleet

HANDLERS = """
import asyncio
import os
from pathlib import Path

BEGUN = Path("begun.txt")

async def count(item):
    begun = os.open(BEGUN, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(begun, f"{item} {os.getpid()}\\n".encode())  # one write, so whole lines
    finally:
        os.close(begun)
    await asyncio.sleep(0.2)  # so chunks last longer than the second after which their results are written
    return item * 2
"""


def begun(fleet: Fleet) -> list[tuple[int, int]]:
    """Item and process of each Task that was begun."""
    path: Path = fleet.folder / "begun.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(item), int(pid)) for item, pid in (line.split() for line in lines)]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("kind", "items"), [("EXPRESS", 4_000), ("STANDARD", 1_000)])
def test_each_item_has_one_result_when_a_worker_is_killed_in_the_middle(fleet: Fleet, kind: str, items: int) -> None:
    (fleet.folder / "shop.py").write_text(HANDLERS)
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": kind}, "StartAt": "Count",
                 "States": {"Count": task("count")}}  # fmt: skip
    each = {"Type": "Map", "ItemProcessor": processor, "MaxConcurrency": 200, "End": True}
    fleet.deploy("m", {"Each": each})
    given = fleet.folder / "items.json"
    given.write_text(json.dumps(list(range(items))))
    with fleet.worker() as one, fleet.worker() as other:
        arn = fleet.start("m", "-i", f"@{given}")
        wait_until(lambda: len(begun(fleet)) > items / 2)
        pid = begun(fleet)[0][1]
        (one if one.popen.pid == pid else other).kill()
        before = begun(fleet)
        assert len(before) < items, "it was killed in the middle"
        output = json.loads(fleet.asl("wait", arn))
    assert output == [2 * item for item in range(items)]
    runs = Counter(item for item, _ in begun(fleet))
    assert set(runs) == set(range(items))
    assert max(runs.values()) <= 2
    of_killed = {item for item, process in before if process == pid}
    assert {item for item, count in runs.items() if count > 1} <= of_killed, "only what the killed worker had begun"
    assert counts_of(fleet, arn) == (items, 0, 0, items, 0, 0, 0)


def counts_of(fleet: Fleet, arn: str) -> tuple[Any, ...]:
    """Of its only map run: total, pending, running, succeeded, failed, timed out, aborted."""
    from engine import blocking

    with blocking.Engine(fleet.place[1]) as engine:
        (map_run_arn,) = engine.map_runs(arn)
        return engine.map_run_counts(map_run_arn)[3:10]
