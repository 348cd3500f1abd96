"""botocore's model of a service, without what is for readers."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel


@lru_cache(maxsize=16)
def service_model(client: str) -> ServiceModel:
    """The model of the service that boto3 has this client for. Raises botocore's UnknownServiceError."""
    document = Loader().load_service_model(client, "service-2")
    # A third of it, and as long as the process lives.
    for operation in document["operations"].values():
        operation.pop("documentation", None)
    for shape in document["shapes"].values():
        _forget_documentation(shape)
    return ServiceModel(document, client)


def _forget_documentation(shape: dict[str, Any]) -> None:
    members = shape.get("members", {}).values()
    for one in (shape, *members, *(shape[name] for name in ("member", "key", "value") if name in shape)):
        one.pop("documentation", None)
