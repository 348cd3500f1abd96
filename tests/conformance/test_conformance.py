"""Recorded conversations with the real service, replayed against the engine."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from engine.lambda_emulator.runtimes import Programs
from tests.conformance.api_adapter import needs_more
from tests.conformance.cases import Case, all_cases
from tests.conformance.known_misses import complaints, load_misses, misses_of, unlisted
from tests.conformance.scores import CONVERSATIONS, LATER_MEMBERS, conversations, is_motos_alone, replay_case

if TYPE_CHECKING:
    from collections.abc import Mapping

CASES = all_cases()
MISSES = load_misses(CONVERSATIONS)
IN_SCOPE = [case for case in CASES if needs_more(case) is None]

EMULATED = [case for case in CASES if case.data.get("functions") and needs_more(case, is_emulated=True) is None]

LEVEL_2_LEAST = 0.97

# moto warns of a Detail that is no object; the recorded conversation has one on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:EventDetail should be of type dict")


@pytest.mark.parametrize("case", IN_SCOPE, ids=lambda case: case.file)
def test_the_engine_answers_as_the_service_did(case: Case) -> None:
    result = replay_case(case)
    assert unlisted(case, result.level_1, MISSES) == []
    assert complaints(case, result.level_2, MISSES) == []


@pytest.mark.skipif(sys.platform != "linux", reason="functions of the emulator run on Linux")
@pytest.mark.skipif(Programs().hidden() is not None, reason="below /tmp functions see other paths than recorded")
@pytest.mark.parametrize("case", EMULATED, ids=lambda case: case.file)
def test_with_functions_of_the_emulator_the_engine_answers_as_the_service_did(case: Case) -> None:
    result = replay_case(case, is_emulated=True)
    assert unlisted(case, result.level_1, MISSES) == []
    assert complaints(case, result.level_2, MISSES) == []


def test_few_cases_with_functions_are_known_to_be_missed() -> None:
    missed = [case for case in EMULATED if misses_of(case, MISSES)]
    assert len(missed) <= (1 - LEVEL_2_LEAST) * len(EMULATED)
    assert len(EMULATED) >= 49  # all of the recordings that have functions


def test_every_known_miss_is_about_a_case_that_is_replayed() -> None:
    assert [miss.case for miss in MISSES if not any(misses_of(case, (miss,)) for case in IN_SCOPE)] == []


def test_the_strict_level_reaches_the_share_that_was_asked_for() -> None:
    results = conversations().results
    met = [not result.level_2 or is_motos_alone(result, MISSES) for result in results]
    assert sum(met) >= LEVEL_2_LEAST * len(results)


def test_a_miss_at_level_1_is_motos_and_not_the_engines() -> None:
    assert [result.case.file for result in conversations().results
            if result.level_1 and not is_motos_alone(result, MISSES)] == []  # fmt: skip


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


@pytest.mark.skipif(sys.platform != "linux", reason="functions of the emulator run on Linux")
def test_nothing_is_left_for_later() -> None:
    assert [case.file for case, _ in conversations().later] == []
