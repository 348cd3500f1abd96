"""Points in time as a person gives them."""

import time

import click
import pytest

from engine.cli.moments import Moment


def moment(text: str) -> int:
    return Moment().convert(text, None, None)


def test_a_timestamp_is_itself() -> None:
    assert moment("1970-01-01T00:00:01.5Z") == 1_500
    assert moment("1970-01-01T01:00:00+01:00") == 0


def test_a_day_begins_at_midnight_in_utc() -> None:
    assert moment("1970-01-02") == 86_400_000


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("15min", 900), ("15m", 900), ("2h", 7_200), ("7d", 604_800), ("1w", 604_800)]
)
def test_how_long_ago(text: str, seconds: int) -> None:
    before = time.time() - seconds
    assert before * 1_000 - 1 <= moment(text) <= (time.time() - seconds) * 1_000 + 1


@pytest.mark.parametrize("text", ["", "now", "2h ago", "-2h", "1.5h", "2024-13-01", "2024-01-01T00:00:00", "5"])
def test_anything_else_is_refused_with_what_is_expected(text: str) -> None:
    with pytest.raises(click.BadParameter, match="expected a time such as"):
        moment(text)
