"""Recorded conversations with the real service, replayed against the engine."""

from __future__ import annotations

import pytest

from tests.conformance.api_adapter import needs_more
from tests.conformance.cases import Case, all_cases
from tests.conformance.compare import outside
from tests.conformance.known_misses import complaints, load_misses, misses_of
from tests.conformance.scores import CONVERSATIONS, conversations, replay_case

CASES = all_cases()
MISSES = load_misses(CONVERSATIONS)
IN_SCOPE = [case for case in CASES if needs_more(case) is None]

LEVEL_2_LEAST = 0.97


@pytest.mark.parametrize("case", IN_SCOPE, ids=lambda case: case.file)
def test_the_engine_answers_as_the_service_did(case: Case) -> None:
    result = replay_case(case)
    listed = [path for miss in misses_of(case, MISSES) for path in miss.paths]
    assert outside(result.level_1, listed) == []
    assert complaints(case, result.level_2, MISSES) == []


def test_every_known_miss_is_about_a_case_that_is_replayed() -> None:
    assert [miss.case for miss in MISSES if not any(misses_of(case, (miss,)) for case in IN_SCOPE)] == []


def test_the_strict_level_reaches_the_share_that_was_asked_for() -> None:
    results = conversations().results
    assert sum(not result.level_2 for result in results) >= LEVEL_2_LEAST * len(results)


def test_what_is_left_for_later_needs_services_or_a_distributed_map() -> None:
    assert {reason for _, reason in conversations().later} <= {"services", "Distributed Map"}
