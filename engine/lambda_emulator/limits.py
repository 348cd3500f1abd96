"""Lambda's quotas, which are ours until somebody says otherwise (lambda.md 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.settings import Settings

MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a function, a request or an account can have at most.

    Lambda's service model allows more memory and time than Lambda gives to functions outside of its managed instances;
    these are the numbers that it gives.

    Attributes:
        memory_size_max: MB; also of `/tmp`.
        environment_bytes_max: Of the variables, as JSON text.
        zip_bytes_max: Of a deployment package that comes with the request.
        unzipped_bytes_max: Of a function's files and those of its layers.
        unreserved_min: As much of `concurrent_executions` no function can reserve.
    """

    timeout_max: int = 900
    memory_size_max: int = 10_240
    ephemeral_storage_max: int = 10_240
    environment_bytes_max: int = 4 * 1024
    zip_bytes_max: int = 50 * MEGABYTE
    unzipped_bytes_max: int = 250 * MEGABYTE
    layers_max: int = 5
    policy_bytes_max: int = 20 * 1024
    tags_max: int = 50
    code_storage_bytes_max: int = 75 * 1024 * MEGABYTE
    concurrent_executions: int = 1_000
    unreserved_min: int = 100


def limits_of(settings: Settings) -> Limits:
    """Lambda's quotas, with what the environment says otherwise.

    Raises:
        ValueError: A variable that is no whole number of 1 or more.
    """
    lambdas = Limits()
    return Limits(
        timeout_max=_read("ASL_LAMBDA_TIMEOUT_MAX", settings.lambda_timeout_max, "seconds") or lambdas.timeout_max,
        memory_size_max=_read("ASL_LAMBDA_MEMORY_MAX", settings.lambda_memory_max, "MB") or lambdas.memory_size_max,
    )


def _read(name: str, text: str | None, unit: str) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{name}: expected a whole number of {unit}, 1 or more; got {text!r}")
    return int(text)
