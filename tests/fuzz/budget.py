"""How many cases a property gets: few and always the same ones in CI, many new ones in a long run.

`ASL_FUZZ=long` multiplies the cases by `ASL_FUZZ_TIMES` (20), draws them anew each time and gives each test an hour. A
failure names the seed of its `Random`; `Machine(Random(seed)).definition` and so on give the case again.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONG = os.environ.get("ASL_FUZZ") == "long"
TIMES = int(os.environ.get("ASL_FUZZ_TIMES", "20")) if LONG else 1

CASE_SECONDS_MAX = 5.0
"""What takes longer hangs: a thousand times what a case usually takes."""

RANDOMS = st.randoms(use_true_random=True, note_method_calls=False)
"""Where a case comes from: drawing every choice through hypothesis takes longer than running the case."""

_Test = TypeVar("_Test", bound="Callable[..., None]")


def cases(number: int) -> Callable[[_Test], _Test]:
    """Settings of a property that gets so many cases in CI."""
    bounded = settings(
        max_examples=number * TIMES,
        deadline=None,
        derandomize=not LONG,
        database=None,
        suppress_health_check=list(HealthCheck),
    )

    def decorate(test: _Test) -> _Test:
        patient: Any = pytest.mark.timeout(3_600 if LONG else 120)
        decorated: _Test = patient(bounded(test))
        return decorated

    return decorate


@contextmanager
def no_hang(what: Callable[[], Any]) -> Iterator[None]:
    """Fails when its body takes the time of a hang; `what` gives the case to show."""
    begun = time.process_time()
    yield
    taken = time.process_time() - begun
    assert taken < CASE_SECONDS_MAX, f"{taken:.1f} s for {what()!r}"
