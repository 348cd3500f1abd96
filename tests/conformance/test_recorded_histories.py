"""Every recorded history as a script: what the Tasks answered goes in, the same history comes out."""

from __future__ import annotations

import pytest

from tests.conformance.cases import Case, all_cases
from tests.conformance.compare import outside
from tests.conformance.known_misses import complaints, load_misses, misses_of
from tests.conformance.recorded_history import recorded_executions
from tests.conformance.scores import HISTORIES, replay_histories

CASES = [case for case in all_cases() if any(recorded_executions(case))]
MISSES = load_misses(HISTORIES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_the_interpreter_writes_the_recorded_history(case: Case) -> None:
    results = replay_histories(case)
    listed = [path for miss in misses_of(case, MISSES) for path in miss.paths]
    assert [outside(result.level_1, listed) for result in results] == [[] for _ in results]
    assert complaints(case, [difference for result in results for difference in result.level_2], MISSES) == []


def test_every_known_miss_is_about_a_history_that_is_replayed() -> None:
    assert [miss.case for miss in MISSES if not any(misses_of(case, (miss,)) for case in CASES)] == []
