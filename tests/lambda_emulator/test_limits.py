"""Lambda's quotas, and the variables that raise two of them."""

from __future__ import annotations

import pytest

from engine.lambda_emulator.limits import Limits, limits_of
from engine.settings import Settings


def test_without_variables_the_quotas_are_lambdas():
    assert limits_of(Settings.from_environment({})) == Limits()
    assert (Limits().timeout_max, Limits().memory_size_max, Limits().environment_bytes_max) == (900, 10_240, 4_096)
    assert (Limits().layers_max, Limits().tags_max, Limits().policy_bytes_max) == (5, 50, 20_480)
    assert (Limits().concurrent_executions, Limits().unreserved_min) == (1_000, 100)


def test_time_and_memory_are_what_the_variables_say():
    said = {"ASL_LAMBDA_TIMEOUT_MAX": "5400", "ASL_LAMBDA_MEMORY_MAX": "32768"}
    assert limits_of(Settings.from_environment(said)) == Limits(timeout_max=5_400, memory_size_max=32_768)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "an hour", "900s"])
def test_what_is_no_number_is_refused_with_its_name(text):
    with pytest.raises(ValueError, match=f"ASL_LAMBDA_TIMEOUT_MAX: expected a whole number of seconds.*{text}"):
        limits_of(Settings.from_environment({"ASL_LAMBDA_TIMEOUT_MAX": text}))
