"""A process that serves may have as many files open as the system lets it."""

import resource
import subprocess
import sys

import pytest

from tests.cli.command_line import environment

ASK = """
import resource
from engine.cli.file_limit import raise_file_limit
{before}
raise_file_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def limits(before: str) -> list[int]:
    """Soft and hard limit of a process that had these before."""
    words = [sys.executable, "-c", ASK.format(before=before)]
    asked = subprocess.run(words, env=environment(), capture_output=True, text=True, check=True, timeout=60)
    return [int(number) for number in asked.stdout.split()]


@pytest.mark.parametrize("hard", [300, 500])
def test_the_soft_limit_becomes_the_hard_one(hard: int) -> None:
    assert limits(f"resource.setrlimit(resource.RLIMIT_NOFILE, (200, {hard}))") == [hard, hard]


def test_a_limit_that_is_high_enough_stays() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert limits("")[0] >= min(soft, hard)
