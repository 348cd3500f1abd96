"""What an invocation begins with: which version a name stands for now, and how it is to be treated.

Quick, for every invocation comes through here: it goes by what this server saw a moment ago.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from engine.lambda_emulator.errors import ResourceConflictException, SnapStartNotReadyException
from engine.lambda_emulator.function_versions import function_version
from engine.lambda_emulator.functions import LATEST
from engine.lambda_emulator.identifiers import INVOKE_MAX, Named, named
from engine.lambda_emulator.operations.lookup import now_ms
from engine.lambda_emulator.preparation import begin_preparation, needs_snapshot
from engine.lambda_emulator.records import function_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.functions import FunctionVersion
    from engine.lambda_emulator.records import Alias, Configuration, FunctionRecord

RETRIES_MAX = 2
"""How often an asynchronous invocation is retried when nothing else is said (lambda.md 2.3)."""

AGE_SECONDS_MAX = 21_600
"""How old its event may become."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventInvokeConfig:
    """What becomes of asynchronous invocations.

    Attributes:
        on_success, on_failure: ARNs of destinations.
    """

    retries_max: int = RETRIES_MAX
    age_seconds_max: int = AGE_SECONDS_MAX
    on_success: str | None = None
    on_failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocable:
    """A function as an invocation finds it.

    Attributes:
        version: With aliases resolved.
        invoked_arn: As the caller named it.
        reserved_concurrency: Of the function as a whole.
        dead_letter_target: ARN of a queue or topic.
        may_loop: Whether it may be invoked without end by what its own events lead to.
    """

    version: FunctionVersion
    invoked_arn: str
    reserved_concurrency: int | None
    dead_letter_target: str | None
    event_invoke_config: EventInvokeConfig
    may_loop: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlTarget:
    """What a function URL leads to.

    Attributes:
        qualifier: An alias; None: `$LATEST`.
        cors: AWS's document.
    """

    account_id: str
    function_name: str
    qualifier: str | None
    auth_type: Literal["NONE", "AWS_IAM"]
    invoke_mode: Literal["BUFFERED", "RESPONSE_STREAM"]
    cors: Mapping[str, Any] | None


_BY_DEFAULT = EventInvokeConfig()


async def invocable(emulator: Emulator, function_name: str, qualifier: str | None = None) -> Invocable:
    """What is to be invoked.

    Raises:
        ResourceNotFoundException, ValidationException, InvalidParameterValueException, AccessDeniedException: The name
            names nothing here.
        SnapStartNotReadyException: The version's snapshot is being made.
        ResourceConflictException: The function cannot be invoked in its state.
    """
    where = named(emulator, function_name, qualifier, length_max=INVOKE_MAX)
    asked = where.qualifier or LATEST
    record = await emulator.library.lately(where.key)
    alias = None if record is None else record.aliases.get(asked)
    version = asked if alias is None else _drawn(emulator, alias)
    configuration = None if record is None else record.configuration(version)
    if record is None or configuration is None:
        raise Named(where.key, asked).not_found()
    if configuration.state != "Active" and not configuration.is_settled(now_ms(emulator)):
        _refuse(emulator, record, configuration)
    return Invocable(
        version=function_version(emulator, record, configuration),
        invoked_arn=where.qualified_arn,
        reserved_concurrency=record.reserved_concurrency,
        dead_letter_target=configuration.dead_letter_target,
        event_invoke_config=_event_invoke_config(record, asked),
        may_loop=record.recursive_loop == "Allow",
    )


def _refuse(emulator: Emulator, record: FunctionRecord, configuration: Configuration) -> NoReturn:
    """Of a version that cannot be invoked as it stands."""
    begin_preparation(emulator, record, configuration)
    if needs_snapshot(configuration):
        raise SnapStartNotReadyException(
            "Lambda is initializing your function. It will be ready to invoke once your function state becomes ACTIVE."
        )
    raise ResourceConflictException(
        "The operation cannot be performed at this time. "
        f"The function is currently in the following state: {configuration.state}"
    )


def _drawn(emulator: Emulator, alias: Alias) -> str:
    for version, weight in alias.additional_version_weights.items():
        if emulator.draw() < weight:
            return version
    return alias.function_version


def _event_invoke_config(record: FunctionRecord, qualifier: str) -> EventInvokeConfig:
    settings = record.event_invoke_settings.get(qualifier)
    if settings is None:
        return _BY_DEFAULT
    retries, age = settings.maximum_retry_attempts, settings.maximum_event_age_in_seconds
    return EventInvokeConfig(
        retries_max=RETRIES_MAX if retries is None else retries,
        age_seconds_max=AGE_SECONDS_MAX if age is None else age,
        on_success=settings.on_success,
        on_failure=settings.on_failure,
    )


async def function_url(emulator: Emulator, url_id: str) -> UrlTarget | None:
    """What the function URL with this id leads to, whoever's it is."""
    record = await emulator.library.named_by(url_id)
    for qualifier, url in () if record is None else record.urls.items():
        if record is not None and url.url_id == url_id:
            return UrlTarget(
                account_id=record.account_id,
                function_name=record.name,
                qualifier=None if qualifier == LATEST else qualifier,
                auth_type=url.auth_type,
                invoke_mode=url.invoke_mode,
                cors=url.cors,
            )
    return None


async def reserved_total(emulator: Emulator) -> int:
    """How many of the account's concurrent executions functions have to themselves; known a second late."""
    usage = await emulator.library.usage_lately(function_key(emulator.account_id, emulator.region, ""))
    return usage.reserved
