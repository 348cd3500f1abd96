"""The operations on function URLs (lambda.md 3.4)."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from engine.lambda_emulator.errors import (
    InvalidParameterValueException,
    ResourceConflictException,
    ResourceNotFoundException,
)
from engine.lambda_emulator.functions import LATEST
from engine.lambda_emulator.identifiers import is_alias, named, unqualified
from engine.lambda_emulator.operations.lookup import alias_of, function_of, now_ms
from engine.lambda_emulator.operations.paging import page_by_name
from engine.lambda_emulator.records import FunctionUrl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.identifiers import Named
    from engine.lambda_emulator.records import FunctionRecord

_NOT_THERE = "The resource you requested does not exist."


def _place(emulator: Emulator, function_name: str, qualifier: str | None) -> tuple[Named, str]:
    """Raises InvalidParameterValueException: only functions as a whole and aliases have URLs."""
    where = named(emulator, function_name, qualifier)
    if where.qualifier is not None and not is_alias(where.qualifier):
        raise InvalidParameterValueException(
            f"Function URLs are for functions and aliases, got the qualifier {where.qualifier}."
        )
    return where, where.qualifier or LATEST


async def create_function_url_config(
    emulator: Emulator,
    *,
    function_name: str,
    auth_type: Any,
    qualifier: str | None = None,
    cors: Mapping[str, Any] | None = None,
    invoke_mode: Any = "BUFFERED",
) -> dict[str, Any]:
    """Gives a function or an alias a URL.

    Raises:
        ResourceNotFoundException: No such function or alias.
        ResourceConflictException: It has one.
    """
    where, place = _place(emulator, function_name, qualifier)
    now = now_ms(emulator)
    url = FunctionUrl(
        url_id=uuid.uuid4().hex,
        auth_type=auth_type,
        creation_time=now,
        last_modified_time=now,
        invoke_mode=invoke_mode or "BUFFERED",
        cors=dict(cors) if cors else None,
    )

    def edit(before: FunctionRecord | None) -> FunctionRecord:
        if before is None:
            raise ResourceNotFoundException("Function does not exist")
        alias_of(before, where)
        if place in before.urls:
            raise ResourceConflictException(
                f"Failed to create function url config for [functionArn = {where.qualified_arn}]. "
                "Error message:  FunctionUrlConfig exists for this Lambda function"
            )
        return replace(before, urls=before.urls | {place: url})

    record = await emulator.library.change_function(where.key, edit)
    assert record is not None, "the edit answers a record"
    shown = _shown(emulator, record, place)
    del shown["LastModifiedTime"]
    return shown


async def update_function_url_config(
    emulator: Emulator,
    *,
    function_name: str,
    qualifier: str | None = None,
    auth_type: Any = None,
    cors: Mapping[str, Any] | None = None,
    invoke_mode: Any = None,
) -> dict[str, Any]:
    """Changes what is given. Raises ResourceNotFoundException: no such function or URL."""
    where, place = _place(emulator, function_name, qualifier)
    changes: dict[str, Any] = {"last_modified_time": now_ms(emulator)}
    if auth_type is not None:
        changes["auth_type"] = auth_type
    if cors is not None:
        changes["cors"] = dict(cors) or None
    if invoke_mode is not None:
        changes["invoke_mode"] = invoke_mode

    def edit(before: FunctionRecord | None) -> FunctionRecord:
        record, url = _found(before, place)
        return replace(record, urls=record.urls | {place: replace(url, **changes)})

    record = await emulator.library.change_function(where.key, edit)
    assert record is not None, "the edit answers a record"
    return _shown(emulator, record, place)


def _found(record: FunctionRecord | None, place: str) -> tuple[FunctionRecord, FunctionUrl]:
    if record is None or place not in record.urls:
        raise ResourceNotFoundException(_NOT_THERE)
    return record, record.urls[place]


async def get_function_url_config(
    emulator: Emulator, *, function_name: str, qualifier: str | None = None
) -> dict[str, Any]:
    """A URL. Raises ResourceNotFoundException."""
    where, place = _place(emulator, function_name, qualifier)
    record, _ = _found(await emulator.library.function(where.key), place)
    return _shown(emulator, record, place)


async def delete_function_url_config(emulator: Emulator, *, function_name: str, qualifier: str | None = None) -> None:
    """Takes a URL away. Raises ResourceNotFoundException."""
    where, place = _place(emulator, function_name, qualifier)

    def edit(before: FunctionRecord | None) -> FunctionRecord:
        record, _ = _found(before, place)
        return replace(record, urls={key: url for key, url in record.urls.items() if key != place})

    await emulator.library.change_function(where.key, edit)


async def list_function_url_configs(
    emulator: Emulator, *, function_name: str, marker: str | None = None, max_items: int | None = None
) -> dict[str, Any]:
    """The URLs of a function and its aliases. Raises ResourceNotFoundException."""
    where = unqualified(emulator, function_name)
    record = await function_of(emulator, where)
    return page_by_name(
        "FunctionUrlConfigs",
        record.urls,
        marker=marker,
        max_items=max_items,
        show=lambda place: _shown(emulator, record, place),
    )


def _shown(emulator: Emulator, record: FunctionRecord, place: str) -> dict[str, Any]:
    url = record.urls[place]
    base = urlsplit(emulator.url)
    port = "" if base.port is None else f":{base.port}"
    shown = {
        # Names below .localhost are this machine, with nobody asked (RFC 6761).
        "FunctionUrl": f"{base.scheme}://{url.url_id}.lambda-url.{record.region}.localhost{port}/",
        "FunctionArn": record.arn(None if place == LATEST else place),
        "AuthType": url.auth_type,
        "Cors": url.cors,
        "CreationTime": _moment(url.creation_time),
        "LastModifiedTime": _moment(url.last_modified_time),
        "InvokeMode": url.invoke_mode,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _moment(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1_000, UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
