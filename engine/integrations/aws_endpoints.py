"""Where services of AWS are, and who calls them: as rules, the environment, profiles and botocore's tables say."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from engine.integrations.aws_credentials import Identity

if TYPE_CHECKING:
    import ssl

    from engine.integrations.aws import Account

_ENV_PREFIX = "AWS_ENDPOINT_URL"


class Route(NamedTuple):
    """How an endpoint is reached: whom TLS trusts, and through which proxy."""

    tls: ssl.SSLContext | None
    proxy_url: str | None


class ApiAddress(NamedTuple):
    """Where a service is. `sts_url`: where its callers assume their roles, if not where AWS's configuration says."""

    region: str
    endpoint_url: str
    route: Route
    sts_url: str | None


def identity_of(account: Account, address: ApiAddress) -> Identity:
    """As whom an account calls a service there."""
    is_local = account.is_local or is_loopback(address.endpoint_url)
    if not account.role_arns:
        return Identity(account.profile, is_local=is_local)
    return Identity(account.profile, account.role_arns, address.region, address.sts_url, is_local)


def address_at(session: Any, account: Account, region: str, endpoint_url: str, route: Route) -> ApiAddress:
    """The address of a service at this endpoint.

    An endpoint on this machine stands for all of AWS: its STS is asked for roles, unless another one is configured, so
    that nothing leaves the machine that was not meant to.
    """
    is_local = account.is_local or is_loopback(endpoint_url)
    sts_url = endpoint_url if is_local and override_of(session, "sts") is None else None
    return ApiAddress(region, endpoint_url.rstrip("/"), route, sts_url)


def region_of(session: Any, account: Account, default_region: str) -> str:
    """The region that an account's calls go to."""
    return str(account.region or session.get_config_variable("region") or default_region)


def override_of(session: Any, service: str) -> str | None:
    """The endpoint that the environment or the configuration files name for a service, in place of AWS's.

    Args:
        session: botocore's.
        service: botocore's name of it.
    """
    from botocore.utils import CLIENT_NAME_TO_HYPHENIZED_SERVICE_ID_OVERRIDES

    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    profile = session.get_scoped_config()
    services = session.full_config.get("services", {}).get(profile.get("services", ""), {})
    if not (profile.get("endpoint_url") or services or any(name.startswith(_ENV_PREFIX) for name in os.environ)):
        return None
    name = CLIENT_NAME_TO_HYPHENIZED_SERVICE_ID_OVERRIDES.get(service, service).replace("-", "_")
    own = services.get(name.lower())
    found = (
        os.environ.get(f"{_ENV_PREFIX}_{name.upper()}")
        or os.environ.get(_ENV_PREFIX)
        or (own.get("endpoint_url") if isinstance(own, dict) else None)
        or profile.get("endpoint_url")
    )
    return None if found is None else str(found)


def destination_of(account: Account) -> str | None:
    """For people, the other machine that an account's service is on: `AWS`, or a URL; None: it is on this one."""
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    url = account.endpoint_url
    if url is None:
        with suppress(BotoCoreError):  # such as of a profile that there is not, which the first call tells
            url = override_of(Session(profile=account.profile), account.service)
    return "AWS" if url is None else None if is_loopback(url) else url


def is_loopback(url: str) -> bool:
    """Whether a URL is one of this machine."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.") or host.endswith(".localhost")


def configured_endpoint(session: Any, service: str, region: str) -> str:
    """Where a service is, as the environment, the profile and botocore's tables have it."""
    none = "none"  # the client sends nothing
    client = session.create_client(service, region_name=region, aws_access_key_id=none, aws_secret_access_key=none)
    endpoint_url: str = client.meta.endpoint_url
    client.close()
    return endpoint_url


def host_of(url: str) -> str:
    """As it is signed: without the port that goes without saying."""
    parts = urlsplit(url)
    return parts.netloc.removesuffix({"http": ":80", "https": ":443"}.get(parts.scheme, ":"))
