"""Whole executions without Tasks, recorded from the real service: status, output, error, cause and every event."""

from __future__ import annotations

from typing import Any

import pytest

from tests.corpus.recorded_run import differences, run_again
from tests.shared_data import json_lines

CASES = json_lines("corpus", "dataflow", "cases.jsonl")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_an_execution_runs_as_it_was_recorded(case: dict[str, Any]) -> None:
    assert differences(case, run_again(case)) == []
