"""Who asks, and whether they may: signed requests, bearer tokens, or, on a server that is open, whoever comes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING

from engine.http import faults, sigv4

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.http.bearer import Bearers
    from engine.http.requests import Received
    from engine.http.sigv4 import AccessKey


_BEARER = "Bearer"
"""The scheme of bearer tokens (RFC 6750)."""

STEP_FUNCTIONS = "states"


_SYNC = "sync-"
"""What AWS's tools put before the name for some operations (api.md 1.1)."""

_PORT = re.compile(r":\d*$")
_LABELS = re.compile(r"[a-z0-9_.-]+")
_NEVER_PUBLIC = (".localhost", ".internal", ".local", ".localdomain", ".test")
"""Ends of names that nobody can register (RFC 6761, RFC 6762; ICANN for `internal`)."""


def is_local_name(host: str) -> bool:
    """Whether a `Host` header names a machine as only somebody near it does: by address, or by no public name."""
    name = _PORT.sub("", host).lower().removesuffix(".").removeprefix(_SYNC)
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return bool(_LABELS.fullmatch(name)) and ("." not in name or name.endswith(_NEVER_PUBLIC))
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a server knows its callers. With neither keys nor bearers it is open.

    Attributes:
        keys: Access keys by id.
        bearers: Checks bearer tokens.
        now: Seconds since the epoch.
        service: AWS's name of what is served, in signatures and in the names of actions.
        local_names_only: An open server is asked under names that mean this machine, and no others. A web page whose
            name was made to lead here (DNS rebinding) would otherwise be taken for a tool of its user.
    """

    keys: Mapping[str, AccessKey] = field(default_factory=dict)
    bearers: Bearers | None = None
    now: Callable[[], float]
    service: str = STEP_FUNCTIONS
    local_names_only: bool = False

    @property
    def is_open(self) -> bool:
        """Whether anybody may ask anything."""
        return not self.keys and self.bearers is None

    async def account_of(self, received: Received, action: str) -> str | None:
        """The account whose resources the caller sees; None: the server's own.

        Raises:
            Fault: Nobody that we know, or somebody who may not.
        """
        authorization = received.headers.get("authorization")
        if self.is_open:
            if "origin" in received.headers:
                raise faults.from_a_browser()
            if self.local_names_only and not is_local_name(host := received.headers.get("host", "localhost")):
                raise faults.of_another_name(host)
            return sigv4.claimed_account(authorization)
        if not authorization:
            raise faults.no_authentication()
        if self.keys and authorization.startswith(sigv4.SCHEME):
            return self._signer(received, authorization).account_id
        scheme, _, token = authorization.partition(" ")
        if self.bearers is not None and scheme.lower() == _BEARER.lower():
            holder = await self.bearers.holder(token.strip())
            asked = f"{self.service}:{action}"
            if not holder.may(asked):
                raise faults.not_allowed(holder.subject, asked)
            return None
        raise faults.incomplete_signature(f"Authorization: expected {' or '.join(self._schemes)}")

    @property
    def _schemes(self) -> list[str]:
        return [*([sigv4.SCHEME] if self.keys else []), *([_BEARER] if self.bearers is not None else [])]

    def _signer(self, received: Received, authorization: str) -> AccessKey:
        return sigv4.verified(
            self.keys,
            sigv4.parse_authorization(authorization),
            method=received.method,
            path=received.path,
            query=received.query,
            headers=received.headers,
            body=received.body,
            now=self.now(),
            service=self.service,
        )
