"""Worker processes share the chunks of a map run."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.cli.fleet import task

if TYPE_CHECKING:
    from tests.cli.fleet import Fleet

HANDLERS = """
import asyncio
import os
from pathlib import Path

async def meet(item):
    Path(f"here-{os.getpid()}").touch()
    while len(list(Path().glob("here-*"))) < 2:
        await asyncio.sleep(0.02)
    return os.getpid()
"""
"""No Task ends before both workers have begun one."""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["EXPRESS", "STANDARD"])
def test_one_worker_does_not_take_all_chunks(fleet: Fleet, kind: str) -> None:
    (fleet.folder / "shop.py").write_text(HANDLERS)
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": kind}, "StartAt": "Meet",
                 "States": {"Meet": task("meet")}}  # fmt: skip
    fleet.deploy("m", {"Each": {"Type": "Map", "ItemProcessor": processor, "End": True}})
    with fleet.worker("--concurrency", "8"):
        arn = fleet.start("m", "-i", json.dumps(list(range(80))))
        with fleet.worker("--concurrency", "8"):
            pids = Counter(json.loads(fleet.asl("wait", arn)))
    assert len(pids) == 2
    assert sum(pids.values()) == 80
