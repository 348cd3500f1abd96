"""S3 for the files of Distributed Maps: reached as the rules for Tasks say, and not at all unless they allow it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from engine.asl.resource import parse_resource
from engine.integrations.registry import account_of
from engine.map_data.failures import DataFailed

if TYPE_CHECKING:
    from engine.integrations.aws import Account
    from engine.integrations.registry import Handlers
    from engine.interpreter.snapshot import Execution
    from engine.map_data.places import S3


def s3_of(handlers: Handlers, about: Execution, resource: str) -> S3:
    """How a map run reaches S3.

    Args:
        handlers: With the rules.
        about: The map run.
        resource: Of its ItemReader or ResultWriter.
    """
    assert about.map is not None, "a map run"
    parsed = parse_resource(resource)
    assert parsed is not None, "it was checked with the definition"
    account = handlers.s3_account(
        about.map.state, parsed, region=about.region, account=account_of(about.state_machine_arn)
    )
    return _refused if account is None else partial(_client, account)


def _refused(region: str) -> NoReturn:
    del region
    raise DataFailed(
        "S3 may not be called from here: allow it with --allow-aws, or with the rule 'arn:aws:states:::s3:*=aws:', or "
        "name another endpoint in AWS_ENDPOINT_URL_S3; a folder, file:///path, needs nothing"
    )


def _client(account: Account, region: str) -> Any:
    """boto3's client, whose roles are assumed anew as they expire. Raises DataFailed."""
    import boto3
    from botocore.credentials import CredentialProvider, CredentialResolver
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    from engine.integrations.aws_credentials import NoAnswer, credentials_of
    from engine.integrations.aws_endpoints import Route, address_at, identity_of, override_of, region_of
    from engine.map_data.buckets import client_config

    class Given(CredentialProvider):  # type: ignore[misc]  # botocore has no types
        METHOD = "given"

        def load(self) -> Any:
            return credentials

    try:
        session = Session(profile=account.profile)
        region = region_of(session, account, region)
        endpoint_url = account.endpoint_url or override_of(session, account.service) or ""
        address = address_at(session, account, region, endpoint_url, Route(None, None))
        credentials = credentials_of(identity_of(account, address))
        session.register_component("credential_provider", CredentialResolver([Given()]))
        return boto3.session.Session(botocore_session=session).client(
            "s3", region_name=region, endpoint_url=account.endpoint_url, config=client_config()
        )
    except (BotoCoreError, NoAnswer, OSError, ValueError) as error:
        raise DataFailed(f"S3: {error}") from error
