"""Executions around one intrinsic function, or the JSONata function in its place, recorded from the real service."""

from __future__ import annotations

from typing import Any

import pytest

from tests.corpus.recorded_run import differences, run_again
from tests.shared_data import json_lines

CASES = json_lines("corpus", "intrinsics", "cases.jsonl")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['id']}-{case['call'][0][:40]}")
def test_a_function_gives_what_was_recorded(case: dict[str, Any]) -> None:
    assert differences(case, run_again(case)) == []
