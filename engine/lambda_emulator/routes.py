"""Which function does which operation: one row for each that is built. The others refuse by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from engine.lambda_emulator.errors import NotImplementedException
from engine.lambda_emulator.operations import (
    aliases,
    concurrency,
    event_invoke_configs,
    functions,
    invoking,
    layers,
    permissions,
    settings,
    tags,
    urls,
    versions,
)
from engine.lambda_emulator.rest_json import codecs

Operation: TypeAlias = Callable[..., Awaitable[Any]]
"""Takes the emulator and AWS's members in snake_case."""

ROUTES: Mapping[str, Operation] = {
    "AddLayerVersionPermission": permissions.add_layer_version_permission,
    "AddPermission": permissions.add_permission,
    "CreateAlias": aliases.create_alias,
    "CreateFunction": functions.create_function,
    "CreateFunctionUrlConfig": urls.create_function_url_config,
    "DeleteAlias": aliases.delete_alias,
    "DeleteFunction": functions.delete_function,
    "DeleteFunctionConcurrency": concurrency.delete_function_concurrency,
    "DeleteFunctionEventInvokeConfig": event_invoke_configs.delete_function_event_invoke_config,
    "DeleteFunctionUrlConfig": urls.delete_function_url_config,
    "DeleteLayerVersion": layers.delete_layer_version,
    "DeleteProvisionedConcurrencyConfig": concurrency.delete_provisioned_concurrency_config,
    "GetAccountSettings": settings.get_account_settings,
    "GetAlias": aliases.get_alias,
    "GetFunction": functions.get_function,
    "GetFunctionCodeSigningConfig": settings.get_function_code_signing_config,
    "GetFunctionConcurrency": concurrency.get_function_concurrency,
    "GetFunctionConfiguration": functions.get_function_configuration,
    "GetFunctionEventInvokeConfig": event_invoke_configs.get_function_event_invoke_config,
    "GetFunctionRecursionConfig": settings.get_function_recursion_config,
    "GetFunctionUrlConfig": urls.get_function_url_config,
    "GetLayerVersion": layers.get_layer_version,
    "GetLayerVersionByArn": layers.get_layer_version_by_arn,
    "GetLayerVersionPolicy": permissions.get_layer_version_policy,
    "GetPolicy": permissions.get_policy,
    "GetProvisionedConcurrencyConfig": concurrency.get_provisioned_concurrency_config,
    "GetRuntimeManagementConfig": settings.get_runtime_management_config,
    "Invoke": invoking.invoke,
    "InvokeAsync": invoking.invoke_async,
    "InvokeWithResponseStream": invoking.invoke_with_response_stream,
    "ListAliases": aliases.list_aliases,
    "ListFunctionEventInvokeConfigs": event_invoke_configs.list_function_event_invoke_configs,
    "ListFunctionUrlConfigs": urls.list_function_url_configs,
    "ListFunctions": functions.list_functions,
    "ListLayerVersions": layers.list_layer_versions,
    "ListLayers": layers.list_layers,
    "ListProvisionedConcurrencyConfigs": concurrency.list_provisioned_concurrency_configs,
    "ListTags": tags.list_tags,
    "ListVersionsByFunction": versions.list_versions_by_function,
    "PublishLayerVersion": layers.publish_layer_version,
    "PublishVersion": versions.publish_version,
    "PutFunctionConcurrency": concurrency.put_function_concurrency,
    "PutFunctionEventInvokeConfig": event_invoke_configs.put_function_event_invoke_config,
    "PutFunctionRecursionConfig": settings.put_function_recursion_config,
    "PutProvisionedConcurrencyConfig": concurrency.put_provisioned_concurrency_config,
    "PutRuntimeManagementConfig": settings.put_runtime_management_config,
    "RemoveLayerVersionPermission": permissions.remove_layer_version_permission,
    "RemovePermission": permissions.remove_permission,
    "TagResource": tags.tag_resource,
    "UntagResource": tags.untag_resource,
    "UpdateAlias": aliases.update_alias,
    "UpdateFunctionCode": functions.update_function_code,
    "UpdateFunctionConfiguration": functions.update_function_configuration,
    "UpdateFunctionEventInvokeConfig": event_invoke_configs.update_function_event_invoke_config,
    "UpdateFunctionUrlConfig": urls.update_function_url_config,
}
"""By AWS's name of the operation."""

CALLED = frozenset({"Invoke", "InvokeAsync", "InvokeWithResponseStream"})
"""They are told of the request itself as well."""


def operation(name: str, routes: Mapping[str, Operation] = ROUTES) -> Operation:
    """The function for an operation of the model. Raises NotImplementedException: there is none."""
    assert name in codecs(), "the path named it"
    found = routes.get(name)
    if found is None:
        raise NotImplementedException(f"{name} is an operation of AWS Lambda that this emulator does not have")
    return found
