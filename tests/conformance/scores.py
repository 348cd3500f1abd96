"""Replays everything and counts: the score table of docs/compatibility.md."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from tests.conformance.api_adapter import api_adapter, needs_more
from tests.conformance.cases import Case, all_cases
from tests.conformance.compare import ABSENT, EXEMPT, Difference, outside
from tests.conformance.known_misses import load_misses, misses_of, unlisted
from tests.conformance.recorded_history import recorded_executions, replay_history
from tests.conformance.replay import replay

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.conformance.known_misses import Misses

CONVERSATIONS = "known_misses.toml"
HISTORIES = "known_misses_histories.toml"
"""The lists of known misses."""

LATER_MEMBERS = frozenset(
    {"encryptionConfiguration", "redriveCount", "RedriveCount", "RedriveStatus", "RedriveStatusReason"}
)
"""What AWS's answers have had only since 2023 or 2024: older recordings lack it, later ones have it.

That our answers have it besides all that AWS answered is no miss of levels 1 and 2; it is one to the letter.
"""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one case, or of one history of it.

    Attributes:
        level_1: Differences without the paths that the case itself marks as not matched by the source project.
        level_2: Differences from everything that AWS answered, but HTTP metadata and request ids.
        is_partial: Some texts were left out at both levels, because they are an emulator's and not AWS's.
        is_older: Our answers have members of `LATER_MEMBERS` that the recording is too old for; left out as well.
    """

    case: Case
    level_1: Sequence[Difference]
    level_2: Sequence[Difference]
    is_partial: bool
    is_older: bool

    @property
    def is_to_the_letter(self) -> bool:
        """Whether the answers are those of the recording, and nothing besides."""
        return not self.level_2 and not self.is_older


@dataclass(frozen=True, slots=True)
class Scores:
    """All results, and the cases that were left for later with the reason."""

    results: Sequence[Result]
    later: Sequence[tuple[Case, str]]


_Row: TypeAlias = tuple[str, ...]


def result_of(case: Case, differences: Sequence[Difference]) -> Result:
    """The differences of a case at both levels."""
    foreign = case.paths_not_from_aws
    differences = outside(differences, foreign)
    whole = len(differences)
    differences = [one for one in differences if not _is_of_older_days(case, one)]
    level_1 = outside(differences, [*EXEMPT, *case.unmatched_paths])
    return Result(case, level_1, outside(differences, EXEMPT), bool(foreign), len(differences) < whole)


def _is_of_older_days(case: Case, one: Difference) -> bool:
    """Whether AWS has answered otherwise since the recording.

    Until the middle of 2024 what follows a Distributed Map followed MapRunSucceeded, and since then MapRunStarted.
    """
    if one.expected is ABSENT:
        return one.place[-1] in LATER_MEMBERS
    if one.place[1:2] != ("events",) or one.place[-1] != "previousEventId":
        return False
    expectations = (expectation for step in case.steps for expectation in step.get("expect", ()))
    events = next(found["value"]["events"] for found in expectations if found["key"] == one.place[0])
    event, followed = events[one.place[2]], events[one.expected - 1]
    return event["type"] == "MapStateExited" and followed["type"] == "MapRunSucceeded"


def replay_case(case: Case, *, is_emulated: bool = False) -> Result:
    """Replays a whole conversation over the API's wire; in a process once.

    `is_emulated`: with functions of the emulator, not handlers in their place.
    """
    found = _replayed.get((case.file, is_emulated))
    if found is None:
        with api_adapter(case, is_emulated=is_emulated) as adapter:
            found = _replayed[case.file, is_emulated] = result_of(case, replay(case, adapter))
    return found


_replayed: dict[tuple[str, bool], Result] = {}


def replay_histories(case: Case) -> list[Result]:
    """Drives the interpreter by each history of a case that was recorded."""
    return [result_of(case, replay_history(case, recorded)) for recorded in recorded_executions(case)]


@cache
def conversations() -> Scores:
    """Every case, with functions of the emulator where handlers cannot stand for them."""
    results: list[Result] = []
    later: list[tuple[Case, str]] = []
    for case in all_cases():
        why = needs_more(case)
        if why is None:
            results.append(replay_case(case))
        elif sys.platform == "linux" and needs_more(case, is_emulated=True) is None:
            results.append(replay_case(case, is_emulated=True))
        else:
            later.append((case, why))
    return Scores(results, later)


@cache
def histories() -> Scores:
    """Every recorded history, whatever services its Tasks called."""
    cases = [case for case in all_cases() if any(recorded_executions(case))]
    return Scores([result for case in cases for result in replay_histories(case)], [])


def report() -> str:
    """Both tables and all misses, as Markdown."""
    parts = [
        "### Conversations: API calls as recorded, answered over the API's wire",
        _tables(conversations(), "cases", load_misses(CONVERSATIONS)),
        "### Histories: the interpreter driven by what the Tasks answered in the recording",
        _tables(histories(), "histories", load_misses(HISTORIES)),
    ]
    return "\n\n".join(parts) + "\n"


def _tables(scores: Scores, what: str, misses: Misses) -> str:
    areas = Counter(result.case.area for result in scores.results)
    level_1 = Counter(result.case.area for result in scores.results if not result.level_1)
    level_2 = Counter(result.case.area for result in scores.results if not result.level_2)
    to_the_letter = Counter(result.case.area for result in scores.results if result.is_to_the_letter)
    kept = (level_1, level_2, to_the_letter)
    rows = [(area, str(n), *(_share(level[area], n) for level in kept)) for area, n in sorted(areas.items())]
    whole = areas.total()
    rows.append(("**all**", str(whole), *(_share(level.total(), whole) for level in kept)))
    head: _Row = ("area", what, "level 1", "level 2", "to the letter")
    motos = Counter(result.case.area for result in scores.results if is_motos_alone(result, misses))
    if motos:
        head = (*head, "missed by moto alone")
        rows = [(*row, str(motos[row[0]] or "")) for row in rows[:-1]] + [(*rows[-1], str(motos.total()))]
    parts = [_table(head, rows)]
    whole_cases = [result for result in scores.results if not result.is_partial]
    if len(whole_cases) < whole:
        parts.append(
            f"Of {whole - len(whole_cases)} cases the error's text is left out at both levels: what was recorded there "
            "is not AWS's but an emulator's (`Error=ValueError Args=...`). Their error code counts. Without these "
            f"cases: level 1 {sum(not result.level_1 for result in whole_cases)}, "
            f"level 2 {sum(not result.level_2 for result in whole_cases)} of {len(whole_cases)}."
        )
    older = [result.case.file for result in scores.results if result.is_older]
    if older:
        members = ", ".join(f"`{member}`" for member in sorted(LATER_MEMBERS))
        parts.append(
            f"Recorded before AWS answered with {members}, as later recordings of the "
            "same operations do, or had what comes after a Distributed Map follow MapRunSucceeded, where they have "
            "MapRunStarted. There our answers have all that AWS answered then, and these members besides: missed "
            f"to the letter, and not at levels 1 and 2. Of the {what} these are {len(older)}: "
            f"{', '.join(f'`{file}`' for file in older)}."
        )
    missed = _missed_rows(scores.results, misses)
    if missed:
        parts.append(_table(("missed", "level", "where", "why"), missed))
    if scores.later:
        reasons = Counter(reason for _, reason in scores.later)
        counted = ", ".join(f"{reason}: {n}" for reason, n in sorted(reasons.items()))
        parts.append(f"Not counted here, because of what they need: {counted}.")
    return "\n\n".join(parts)


def is_motos_alone(result: Result, misses: Misses) -> bool:
    """Whether a case is missed, and only where moto, which stands for other services, differs from AWS."""
    by_moto = tuple(miss for miss in misses if miss.by == "moto")
    return bool(result.level_2) and not unlisted(result.case, result.level_2, by_moto)


def _missed_rows(results: Iterable[Result], misses: Misses) -> list[_Row]:
    rows: dict[_Row, None] = {}
    for result in results:
        if result.level_2:
            level = "1 and 2" if result.level_1 else "2"
            for miss in misses_of(result.case, misses):
                rows[result.case.file, level, ", ".join(f"`{path}`" for path in miss.paths), miss.reason] = None
            for difference in unlisted(result.case, result.level_2, misses):
                rows[result.case.file, level, f"`{difference.path}`", "not explained"] = None
    return list(rows)


def _share(part: int, whole: int) -> str:
    return f"{part} ({100 * part / whole:.1f} %)" if part != whole else f"{part} (100 %)"


def _table(head: _Row, rows: Iterable[_Row]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
