"""Role, logging, tracing and encryption of a state machine: checked, and with nothing left out (api.md 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from engine import arns
from engine.errors import InvalidArn, InvalidEncryptionConfiguration, InvalidLoggingConfiguration
from engine.operations.resources import is_storable
from engine.store.records import AWS_OWNED_KEY, LOGGING_OFF

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.jsonvalue import Json

REUSE_SECONDS = 300
"""kmsDataKeyReusePeriodSeconds when it is not given."""


def checked_role(role_arn: str) -> str:
    """Raises InvalidArn: not the ARN of an IAM role. Whether there is such a role nobody here knows."""
    arn = arns.parse_arn(role_arn)
    if arn is None or arn.service != "iam" or not arn.resource.startswith("role/") or not is_storable(role_arn):
        raise InvalidArn.of_role(role_arn)
    return role_arn


def logging_of(given: Mapping[str, Json]) -> Mapping[str, Json]:
    """A loggingConfiguration as AWS shows it: `destinations` only when it was given, even as `[]`.

    Raises:
        InvalidLoggingConfiguration: Something is to be logged, and not to exactly one log group.
    """
    found = {**LOGGING_OFF, **given}
    groups = log_groups_of(found)
    if len(groups) > 1 or (found["level"] != "OFF" and not groups):
        raise InvalidLoggingConfiguration("Must specify exactly one Log Destination.")
    for group in groups:
        arn = arns.parse_arn(group)
        is_group = arn is not None and arn.service == "logs" and arn.resource.startswith("log-group:")
        if not is_group or not group.endswith(":*") or not is_storable(group):
            raise InvalidLoggingConfiguration("Log Destination not found.")
    return found


def log_groups_of(logging: Mapping[str, Json]) -> list[str]:
    """The ARNs of the log groups among a loggingConfiguration's destinations; of one that names none an empty text."""
    destinations = cast("Sequence[Mapping[str, Mapping[str, str]]]", logging.get("destinations", ()))
    return [one.get("cloudWatchLogsLogGroup", {}).get("logGroupArn", "") for one in destinations]


def tracing_of(given: Mapping[str, Json]) -> Mapping[str, Json]:
    """A tracingConfiguration as AWS shows it."""
    return {"enabled": bool(given.get("enabled"))}


def encryption_of(given: Mapping[str, Json]) -> Mapping[str, Json]:
    """An encryptionConfiguration as AWS shows it. It is kept and shown; what is stored is not encrypted with that key.

    Raises:
        InvalidEncryptionConfiguration: A key of the customer's without its id, or the other way round.
    """
    key = given.get("kmsKeyId")
    if given["type"] == AWS_OWNED_KEY["type"]:
        if key is not None or "kmsDataKeyReusePeriodSeconds" in given:
            raise InvalidEncryptionConfiguration("kmsKeyId and its reuse period go with CUSTOMER_MANAGED_KMS_KEY only")
        return AWS_OWNED_KEY
    if not isinstance(key, str) or not is_storable(key):
        raise InvalidEncryptionConfiguration("CUSTOMER_MANAGED_KMS_KEY needs a kmsKeyId")
    return {"kmsDataKeyReusePeriodSeconds": REUSE_SECONDS, **given}
