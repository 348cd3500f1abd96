"""How Step Functions spells what belongs to AWS's SDK: services, errors, members (integrations.md 1.2, 1.3, 2).

Calls of `aws-sdk:` are made with the SDK for Java 2, so its naming rules are those of services, errors and members:
`DBInstanceArn` is `DbInstanceArn` there. The optimised integrations have members as the SDK for Java 1 has them: only
the first letter is another one (`MD5OfMessageBody`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_NO_WORD = re.compile(r"[^A-Za-z0-9]+")
_STEPS = (
    (re.compile(r"([^a-z]{2,})v([0-9]+)"), r"\1 v\2 "),
    (re.compile(r"([^A-Z]{2,})V([0-9]+)"), r"\1 V\2 "),
    (re.compile(r"(?<=[a-z])(?=[A-Z][a-zA-Z0-9])"), " "),
    (re.compile(r"([A-Z]+)([A-Z][a-z])"), r"\1 \2"),
    (re.compile(r"([0-9])([a-zA-Z])"), r"\1 \2"),
)
_RESERVED = frozenset(
    [
        "abstract",
        "assert",
        "boolean",
        "break",
        "byte",
        "case",
        "catch",
        "char",
        "class",
        "const",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extends",
        "false",
        "final",
        "finally",
        "float",
        "for",
        "goto",
        "if",
        "implements",
        "import",
        "instanceof",
        "int",
        "interface",
        "long",
        "native",
        "new",
        "null",
        "package",
        "private",
        "protected",
        "public",
        "return",
        "short",
        "static",
        "strictfp",
        "super",
        "switch",
        "synchronized",
        "this",
        "throw",
        "throws",
        "transient",
        "true",
        "try",
        "void",
        "volatile",
        "while",
        "equals",
        "finalize",
        "getClass",
        "hashCode",
        "notify",
        "notifyAll",
        "toString",
        "wait",
        "builder",
        "sdkFields",
        "toBuilder",
        "overrideConfiguration",
        "sdkHttpResponse",
    ]
)
"""Members whose Java methods cannot have their names: `equals` is `EqualsValue`, as AWS's documents say."""

_RENAMED = {
    ("AttributeValue", "NULL"): "Nul",
    ("CopyObjectRequest", "Bucket"): "DestinationBucket",
    ("CopyObjectRequest", "Key"): "DestinationKey",
    ("FpgaImage", "Public"): "IsPublic",
    ("Image", "Public"): "PublicLaunchPermissions",
    ("UploadPartCopyRequest", "Bucket"): "DestinationBucket",
    ("UploadPartCopyRequest", "Key"): "DestinationKey",
}
"""Members, by their shape and name, that the SDK for Java 2 gives another name."""

_UNSUPPORTED = {
    "applicationdiscovery": "describeExportConfigurations exportConfigurations",
    "bedrockagentruntime": "optimizePrompt",
    "codedeploy": "batchGetDeploymentInstances getDeploymentInstance listDeploymentInstances "
    "skipWaitTimeForInstanceTermination",
    "comprehendmedical": "detectEntities",
    "dataexchange": "sendApiAsset",
    "directconnect": "allocateConnectionOnInterconnect describeConnectionLoa describeConnectionsOnInterconnect "
    "describeInterconnectLoa",
    "efs": "createTags",
    "emr": "describeJobFlows",
    "iot": "attachPrincipalPolicy detachPrincipalPolicy listPolicyPrincipals listPrincipalPolicies",
    "iotdeviceadvisor": "listTestCases",
    "lambda": "invokeAsync",
    "mediapackage": "rotateChannelCredentials",
    "rdsdata": "executeSql",
    "shield": "deleteSubscription",
    "sts": "assumeRole assumeRoleWithSAML assumeRoleWithWebIdentity",
}
"""Actions that AWS's table of services says Step Functions cannot call, beside those of streams (documented)."""

_RETIRED = (
    "iotanalytics - IoTAnalytics batchPutMessage cancelPipelineReprocessing createChannel createDataset "
    "createDatasetContent createDatastore createPipeline deleteChannel deleteDataset deleteDatasetContent "
    "deleteDatastore deletePipeline describeChannel describeDataset describeDatastore describeLoggingOptions "
    "describePipeline getDatasetContent listChannels listDatasetContents listDatasets listDatastores listPipelines "
    "listTagsForResource putLoggingOptions runPipelineActivity sampleChannelData startPipelineReprocessing "
    "tagResource untagResource updateChannel updateDataset updateDatastore updatePipeline",
)
"""Services that AWS has ended, which botocore has no model of; definitions that call them still run with rules."""


def pascal_case(name: str) -> str:
    """`IoTAnalytics`, `CloudWatch Logs`, `DynamoDB` as Java's code generator has them: `DynamoDb`."""
    name = _NO_WORD.sub(" ", name)
    for pattern, replacement in _STEPS:
        name = pattern.sub(replacement, name)
    return "".join(word.capitalize() for word in name.split())


def service_token(service_id: str) -> str:
    """What a Resource calls a service: `DynamoDB` is `dynamodb`, `Config Service` is `config`."""
    return _NO_WORD.sub("", service_id).lower().removesuffix("service")


def service_prefix(service_id: str) -> str:
    """What a service's errors begin with."""
    return pascal_case(service_id).removeprefix("Amazon").removeprefix("Aws").removesuffix("Service")


def action_token(operation: str) -> str:
    """`PutItem` is `putItem`."""
    return operation[:1].lower() + operation[1:]


def exception_name(shape_name: str, prefix: str) -> str:
    """The class of a modelled error: `NoSuchKey` is `NoSuchKeyException`, `DBInstanceNotFoundFault` likewise.

    Args:
        shape_name: Of the model.
        prefix: Of the service: its class for all other errors has this name as well, so that one gives way.
    """
    if shape_name.endswith("Exception"):
        name = pascal_case(shape_name)
    else:
        name = pascal_case(shape_name.removesuffix("Fault")) + "Exception"
    return f"Default{name}" if name == f"{prefix}Exception" else name


def sdk_member(name: str, shape_name: str = "") -> str:
    """A member of a structure in calls of `aws-sdk:`: `taskArn` is `TaskArn`, `DBInstanceArn` is `DbInstanceArn`.

    Args:
        name: Of the model.
        shape_name: Of the structure, which some names depend on.
    """
    renamed = _RENAMED.get((shape_name, name))
    if renamed is not None:
        return renamed
    end = 1
    while end < len(name) and name[end].isupper() and not name[end + 1 : end + 2].islower():
        end += 1
    spelled = name[:end].lower() + name[end:]
    if spelled in _RESERVED:
        spelled += "Value"
    return spelled[:1].upper() + spelled[1:]


def optimised_member(name: str, shape_name: str = "") -> str:
    """A member of a structure in calls of optimised integrations, whatever the structure: `taskArn` is `TaskArn`."""
    return name[:1].upper() + name[1:]


def table(clients: Iterable[str] | None = None) -> str:
    """The text of `engine/asl/sdk_actions.txt`; reads the models of all services, which takes seconds.

    `clients`: botocore's names of the services that are wanted; None: all.
    """
    import botocore
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    loader = Loader()
    lines = {line.partition(" ")[0]: line for line in _RETIRED}
    for client in sorted(loader.list_available_services("service-2") if clients is None else clients):
        model = ServiceModel(loader.load_service_model(client, "service-2"), client)
        token = service_token(model.service_id)
        if token in lines and client.replace("-", "") != token:
            continue  # an older model of the same service
        refused = _UNSUPPORTED.get(token, "").split()
        actions = []
        for name in model.operation_names:
            action = action_token(name)
            actions.append(f"!{action}" if action in refused or _is_stream(model, name) else action)
        lines[token] = " ".join((token, client, service_prefix(model.service_id), *sorted(actions)))
    columns = "service, botocore's name of it, prefix of its errors, actions (!: not for Tasks)"
    head = f"# {columns}; of botocore {botocore.__version__}\n"
    return head + "".join(lines[token] + "\n" for token in sorted(lines))


def _is_stream(model: Any, operation: str) -> bool:
    """Whether an operation answers with, or takes, a stream of events: no Task can call it."""
    operation_model = model.operation_model(operation)
    return bool(operation_model.has_event_stream_input or operation_model.has_event_stream_output)


if __name__ == "__main__":
    print(table(), end="")  # noqa: T201  for `make sdk-actions`
