"""Who asks, and whether they may: signed requests, bearer tokens, or, on a server that is open, whoever comes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from engine.api import faults, sigv4

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.api.bearer import Bearers
    from engine.api.sigv4 import AccessKey


_BEARER = "Bearer"
"""The scheme of bearer tokens (RFC 6750)."""


class Received(NamedTuple):
    """A request as it came.

    Attributes:
        path: Percent signs and all.
        headers: By lower-case name; several of one name joined by commas.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a server knows its callers. With neither keys nor bearers it is open.

    Attributes:
        keys: Access keys by id.
        bearers: Checks bearer tokens.
        now: Seconds since the epoch.
    """

    keys: Mapping[str, AccessKey] = field(default_factory=dict)
    bearers: Bearers | None = None
    now: Callable[[], float]

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
            return sigv4.claimed_account(authorization)
        if not authorization:
            raise faults.no_authentication()
        if self.keys and authorization.startswith(sigv4.SCHEME):
            return self._signer(received, authorization).account_id
        scheme, _, token = authorization.partition(" ")
        if self.bearers is not None and scheme.lower() == _BEARER.lower():
            holder = await self.bearers.holder(token.strip())
            if not holder.may(action):
                raise faults.not_allowed(holder.subject, action)
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
        )
