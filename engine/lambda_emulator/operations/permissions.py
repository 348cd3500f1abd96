"""The operations on resource policies, of functions and of layers. Policies are kept and shown; nothing asks them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.lambda_emulator.errors import (
    InvalidParameterValueException,
    PolicyLengthExceededException,
    ResourceConflictException,
    ResourceNotFoundException,
)
from engine.lambda_emulator.functions import LATEST
from engine.lambda_emulator.identifiers import named
from engine.lambda_emulator.operations.layers import layer_key_of, layer_version
from engine.lambda_emulator.operations.lookup import (
    alias_of,
    configuration_of,
    existing,
    function_of,
    now_ms,
    require_revision,
)
from engine.lambda_emulator.records import LayerPolicy, new_revision_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.identifiers import Named
    from engine.lambda_emulator.records import FunctionRecord, LayerRecord

_ACCOUNT = re.compile(r"\d{12}")
_IAM_ARN = re.compile(r"arn:aws[a-zA-Z-]*:(?:iam|sts)::\d{12}:.+")

_NO_POLICY = "No policy is associated with the given resource."


async def add_permission(
    emulator: Emulator,
    *,
    function_name: str,
    statement_id: str,
    action: str,
    principal: str,
    qualifier: str | None = None,
    revision_id: str | None = None,
    source_arn: str | None = None,
    source_account: str | None = None,
    event_source_token: str | None = None,
    principal_org_id: str | None = None,
    function_url_auth_type: str | None = None,
    invoked_via_function_url: bool | None = None,
) -> dict[str, Any]:
    """Adds a statement to the policy of a function, a version or an alias.

    Raises:
        ResourceNotFoundException: No such one.
        InvalidParameterValueException: `$LATEST` by name, or nobody is such a principal.
        ResourceConflictException: The statement's id is taken.
        PreconditionFailedException: It was changed since.
        PolicyLengthExceededException: The policy would be too long.
    """
    where = named(emulator, function_name, qualifier)
    conditions = [
        ("StringEquals", "lambda:FunctionUrlAuthType", function_url_auth_type),
        ("StringEquals", "aws:PrincipalOrgID", principal_org_id),
        ("StringEquals", "AWS:SourceAccount", source_account),
        ("StringEquals", "lambda:EventSourceToken", event_source_token),
        ("ArnLike", "AWS:SourceArn", source_arn),
        ("Bool", "lambda:InvokedViaFunctionUrl", "true" if invoked_via_function_url else None),
    ]
    condition: dict[str, dict[str, str]] = {}
    for operator, name, value in conditions:
        if value is not None:
            condition.setdefault(operator, {})[name] = value
    statement: dict[str, Any] = {
        "Sid": statement_id,
        "Effect": "Allow",
        "Principal": _principal(principal),
        "Action": action,
        "Resource": where.qualified_arn,
    }
    if condition:
        statement["Condition"] = condition

    def change(statements: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        changed = _with(statements, statement)
        size = len(_text(changed).encode())
        if size > emulator.limits.policy_bytes_max:
            raise PolicyLengthExceededException(
                f"The final policy size ({size}) is bigger than the limit ({emulator.limits.policy_bytes_max})."
            )
        return changed

    if where.qualifier == LATEST:
        raise InvalidParameterValueException("We currently do not support adding policies for $LATEST.")
    await _change(emulator, where, revision_id, change)
    return {"Statement": _compact(statement)}


def _principal(principal: str) -> Any:
    if principal == "*":
        return "*"
    if _ACCOUNT.fullmatch(principal):
        return {"AWS": f"arn:aws:iam::{principal}:root"}
    if _IAM_ARN.fullmatch(principal):
        return {"AWS": principal}
    if principal.endswith((".amazonaws.com", ".amazon.com", ".amazonaws.com.cn")):
        return {"Service": principal}
    raise InvalidParameterValueException(
        "The provided principal was invalid. Please check the principal and try again."
    )


def _with(statements: Mapping[str, dict[str, Any]], statement: dict[str, Any]) -> dict[str, dict[str, Any]]:
    sid = statement["Sid"]
    if sid in statements:
        raise ResourceConflictException(
            f"The statement id ({sid}) provided already exists. Please provide a new statement id, or remove the "
            "existing statement."
        )
    return {**statements, sid: statement}


def _without(statements: Mapping[str, dict[str, Any]] | None, sid: str) -> dict[str, dict[str, Any]]:
    if not statements:
        raise ResourceNotFoundException(_NO_POLICY)
    if sid not in statements:
        raise ResourceNotFoundException(f"Statement {sid} is not found in resource policy.")
    return {key: one for key, one in statements.items() if key != sid}


async def _change(emulator: Emulator, where: Named, revision_id: str | None, change: Any) -> None:
    """Changes a policy, and with it the revision of what it is for."""
    now = now_ms(emulator)

    def edit(before: FunctionRecord | None) -> FunctionRecord:
        record = existing(before, where)
        require_revision(revision_id, _revision_id(record, where, now), shown_by="GetPolicy")
        place = where.qualifier or LATEST
        statements = change(record.policies.get(place, {}))
        policies = {key: one for key, one in record.policies.items() if key != place}
        if statements:
            policies[place] = statements
        alias = alias_of(record, where)
        if alias is not None:
            changed = replace(alias, revision_id=new_revision_id())
            return replace(record, policies=policies, aliases=record.aliases | {alias.name: changed})
        configuration = replace(configuration_of(record, where).settled(now), revision_id=new_revision_id())
        return replace(record, policies=policies).with_configuration(configuration)

    await emulator.library.change_function(where.key, edit)


def _revision_id(record: FunctionRecord, where: Named, now: int) -> str:
    alias = alias_of(record, where)
    return configuration_of(record, where).settled(now).revision_id if alias is None else alias.revision_id


async def remove_permission(
    emulator: Emulator,
    *,
    function_name: str,
    statement_id: str,
    qualifier: str | None = None,
    revision_id: str | None = None,
) -> None:
    """Removes a statement. Raises ResourceNotFoundException, PreconditionFailedException."""
    where = named(emulator, function_name, qualifier)
    await _change(emulator, where, revision_id, lambda statements: _without(statements, statement_id))


async def get_policy(emulator: Emulator, *, function_name: str, qualifier: str | None = None) -> dict[str, Any]:
    """The policy of a function, a version or an alias. Raises ResourceNotFoundException."""
    where = named(emulator, function_name, qualifier)
    record = await function_of(emulator, where)
    revision_id = _revision_id(record, where, now_ms(emulator))
    statements = record.policies.get(where.qualifier or LATEST)
    if not statements:
        raise ResourceNotFoundException("The resource you requested does not exist.")
    return {"Policy": _text(statements), "RevisionId": revision_id}


def _text(statements: Mapping[str, dict[str, Any]]) -> str:
    return _compact({"Version": "2012-10-17", "Id": "default", "Statement": list(statements.values())})


def _compact(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"))


async def add_layer_version_permission(
    emulator: Emulator,
    *,
    layer_name: str,
    version_number: int,
    statement_id: str,
    action: str,
    principal: str,
    organization_id: str | None = None,
    revision_id: str | None = None,
) -> dict[str, Any]:
    """Adds a statement to a layer version's policy.

    Raises:
        ResourceNotFoundException: No such layer version.
        ResourceConflictException: The statement's id is taken.
        PreconditionFailedException: It was changed since.
        InvalidParameterValueException: Nobody is such a principal.
    """
    record, _ = await layer_version(emulator, layer_name, version_number)
    statement: dict[str, Any] = {
        "Sid": statement_id,
        "Effect": "Allow",
        "Principal": _principal(principal),
        "Action": action,
        "Resource": record.arn(version_number),
    }
    if organization_id is not None:
        statement["Condition"] = {"StringEquals": {"aws:PrincipalOrgID": organization_id}}
    policy = await _change_layer(
        emulator, layer_name, version_number, revision_id, lambda statements: _with(statements, statement)
    )
    return {"Statement": _compact(statement), "RevisionId": policy.revision_id}


async def remove_layer_version_permission(
    emulator: Emulator, *, layer_name: str, version_number: int, statement_id: str, revision_id: str | None = None
) -> None:
    """Removes a statement. Raises ResourceNotFoundException, PreconditionFailedException."""
    await layer_version(emulator, layer_name, version_number)
    await _change_layer(
        emulator, layer_name, version_number, revision_id, lambda statements: _without(statements, statement_id)
    )


async def get_layer_version_policy(emulator: Emulator, *, layer_name: str, version_number: int) -> dict[str, Any]:
    """The policy of a layer version. Raises ResourceNotFoundException."""
    _, version = await layer_version(emulator, layer_name, version_number)
    if version.policy is None or not version.policy.statements:
        raise ResourceNotFoundException(_NO_POLICY)
    return {"Policy": _text(version.policy.statements), "RevisionId": version.policy.revision_id}


async def _change_layer(
    emulator: Emulator, layer_name: str, number: int, revision_id: str | None, change: Any
) -> LayerPolicy:
    after = LayerPolicy(revision_id=new_revision_id())

    def edit(before: LayerRecord | None) -> LayerRecord:
        nonlocal after
        if before is None or number not in before.versions:
            raise ResourceNotFoundException("The resource you requested does not exist.")
        version = before.versions[number]
        policy = version.policy or LayerPolicy(revision_id="")
        require_revision(revision_id, policy.revision_id, shown_by="GetLayerPolicy")
        after = replace(after, statements=change(policy.statements))
        return replace(before, versions=before.versions | {number: replace(version, policy=after)})

    await emulator.library.change_layer(layer_key_of(emulator, layer_name), edit)
    return after
