"""Recorded conversations with the real service, replayed against the engine."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from engine.lambda_emulator.runtimes import Programs
from tests.conformance.api_adapter import needs_more
from tests.conformance.cases import Case, all_cases
from tests.conformance.compare import outside
from tests.conformance.known_misses import complaints, load_misses, misses_of
from tests.conformance.scores import CONVERSATIONS, LATER_MEMBERS, conversations, replay_case

if TYPE_CHECKING:
    from collections.abc import Mapping

CASES = all_cases()
MISSES = load_misses(CONVERSATIONS)
IN_SCOPE = [case for case in CASES if needs_more(case) is None]

EMULATED = [case for case in CASES if case.data.get("functions") and needs_more(case, is_emulated=True) is None]

LEVEL_2_LEAST = 0.97


@pytest.mark.parametrize("case", IN_SCOPE, ids=lambda case: case.file)
def test_the_engine_answers_as_the_service_did(case: Case) -> None:
    result = replay_case(case)
    listed = [path for miss in misses_of(case, MISSES) for path in miss.paths]
    assert outside(result.level_1, listed) == []
    assert complaints(case, result.level_2, MISSES) == []


@pytest.mark.skipif(sys.platform != "linux", reason="functions of the emulator run on Linux")
@pytest.mark.skipif(Programs().hidden() is not None, reason="below /tmp functions see other paths than recorded")
@pytest.mark.parametrize("case", EMULATED, ids=lambda case: case.file)
def test_with_functions_of_the_emulator_the_engine_answers_as_the_service_did(case: Case) -> None:
    result = replay_case(case, is_emulated=True)
    listed = [path for miss in misses_of(case, MISSES) for path in miss.paths]
    assert outside(result.level_1, listed) == []
    assert complaints(case, result.level_2, MISSES) == []


def test_few_cases_with_functions_are_known_to_be_missed() -> None:
    missed = [case for case in EMULATED if misses_of(case, MISSES)]
    assert len(missed) <= (1 - LEVEL_2_LEAST) * len(EMULATED)
    assert len(EMULATED) >= 48  # all of the recordings that have functions, but one which reads CloudWatch's logs


def test_every_known_miss_is_about_a_case_that_is_replayed() -> None:
    assert [miss.case for miss in MISSES if not any(misses_of(case, (miss,)) for case in IN_SCOPE)] == []


def test_the_strict_level_reaches_the_share_that_was_asked_for() -> None:
    results = conversations().results
    assert sum(not result.level_2 for result in results) >= LEVEL_2_LEAST * len(results)


def test_what_counts_as_added_later_is_in_other_recordings_of_the_same_operations() -> None:
    have = {(step["op"], member) for case in CASES for step in case.steps for member in LATER_MEMBERS
            if f'"{member}"' in _answer(step)}  # fmt: skip
    older = [result.case for result in conversations().results if result.is_older]
    assert older
    for case in older:
        described = {
            step["op"] for step in case.steps if step["op"].startswith("Describe") or "Execution" in step["op"]
        }
        assert any((operation, member) in have for operation in described for member in LATER_MEMBERS), case.file


def _answer(step: Mapping[str, Any]) -> str:
    """What AWS answered, with the texts of JSON in it as if they were JSON."""
    return json.dumps(step.get("expect", ())).replace("\\\\", "").replace('\\"', '"')


def test_what_is_left_for_later_needs_services_or_a_distributed_map() -> None:
    assert {reason for _, reason in conversations().later} <= {"services"}
