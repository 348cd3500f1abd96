"""The options of a server of the API: where it listens, whom it answers, and how often."""

from __future__ import annotations

import errno
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from engine.cli.gathered import gathered
from engine.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.api.throttling import Throttle
    from engine.cli.api_face import ApiFace
    from engine.http.access import Access
    from engine.http.bearer import Bearers
    from engine.http.server import ApiServer
    from engine.operations.quotas import Quotas

F = TypeVar("F", bound="Callable[..., Any]")

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8083
"""That of AWS's Step Functions Local."""

_FILE = click.Path(dir_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOptions:
    """What the command line says of the API."""

    host: str
    port: int
    access_keys: Path | None
    jwt_issuer: str | None
    jwt_audiences: tuple[str, ...]
    jwks_url: str | None
    jwt_scopes: tuple[str, ...]
    tls_cert: Path | None
    tls_key: Path | None
    insecure_no_auth: bool
    rate_limits: tuple[str, ...] = ()
    quotas: tuple[str, ...] = ()

    def face(self) -> ApiFace:
        """Listens as they say. Raises click.ClickException: they mean nothing, or are refused."""
        from engine.cli.api_face import ApiFace

        access, throttle, quotas = self.access(), self._throttle(), self._quotas()
        return ApiFace(self.listening(self.port, option="--port"), access, throttle, quotas)

    def listening(self, port: int, *, option: str) -> ApiServer:
        """A server that listens at this port of the host; `option` gave it. Raises click.ClickException: it cannot."""
        from engine.http.server import ApiServer, InvalidTls, Tls

        if (self.tls_cert is None) != (self.tls_key is None):
            raise click.UsageError("--tls-cert and --tls-key go together.")
        tls = None
        if self.tls_cert is not None and self.tls_key is not None:
            tls = Tls(certificate=self.tls_cert, key=self.tls_key)
        try:
            return ApiServer(self.host, port, tls)
        except InvalidTls as error:
            raise click.ClickException(f"--tls-cert, --tls-key: {error}") from error
        except OSError as error:
            where = f"--host {self.host} {option} {port}"
            if error.errno == errno.EADDRINUSE:
                told = f"{where}: {os.strerror(error.errno)}; {option} N takes another port, 0 a free one"
                raise click.ClickException(told) from error
            raise click.ClickException(f"{where}: {error.strerror or error}") from error

    def access(self) -> Access:
        """Whom it answers. Raises click.ClickException: that means nothing, or is refused."""
        from engine.http.server import is_loopback

        access = self._access()
        if access.is_open and not is_loopback(self.host) and not self.insecure_no_auth:
            raise click.UsageError(
                f"--host {self.host}: whoever reaches this address could start executions or run functions. Give "
                "--access-keys FILE or --jwt-issuer URL, so that callers are known, or --insecure-no-auth if that is "
                "meant."
            )
        return access

    def _access(self) -> Access:
        from engine.http.access import Access
        from engine.http.sigv4 import InvalidAccessKeys, read_access_keys

        option, path = "--access-keys", self.access_keys
        if path is None and (named := Settings.from_environment().access_keys) is not None:
            option, path = "ASL_ACCESS_KEYS", Path(named)
        try:
            keys = {} if path is None else read_access_keys(path)
        except InvalidAccessKeys as error:
            raise click.ClickException(f"{option}: {error}") from error
        except OSError as error:
            raise click.ClickException(f"{option} {path}: {error.strerror or error}") from error
        return Access(keys=keys, bearers=self._bearers(), now=time.time, local_names_only=not self.insecure_no_auth)

    def _bearers(self) -> Bearers | None:
        if self.jwt_issuer is None:
            if self.jwt_audiences or self.jwks_url or self.jwt_scopes:
                raise click.UsageError("--jwt-audience, --jwks-url and --jwt-scope need --jwt-issuer.")
            return None
        from engine.http.bearer import Bearers, InvalidIssuer, Issuer

        scopes: dict[str, tuple[str, ...]] = {}
        for word in self.jwt_scopes:
            scope, equals, actions = word.rpartition("=")
            if not equals or not scope or not actions:
                raise click.UsageError(f"--jwt-scope {word}: expected SCOPE=ACTIONS, as orders/read=Describe*,List*.")
            scopes[scope] = (*scopes.get(scope, ()), *actions.split(","))
        try:
            issuer = Issuer(
                url=self.jwt_issuer,
                audiences=frozenset(self.jwt_audiences),
                jwks_url=self.jwks_url,
                scopes=scopes or None,
            )
        except InvalidIssuer as error:
            raise click.UsageError(f"--jwt-issuer: {error}") from error
        return Bearers(issuer)

    def _throttle(self) -> Throttle | None:
        from engine.api.aws_json import codecs
        from engine.api.throttling import InvalidRate, Throttle, rates_of

        try:
            rates = rates_of(self.rate_limits, list(codecs()))
        except InvalidRate as error:
            raise click.UsageError(f"--rate-limit: {error}") from error
        return Throttle(rates, time.monotonic) if rates else None

    def _quotas(self) -> Quotas:
        from engine.operations.quotas import InvalidQuota, quotas_of

        try:
            return quotas_of(self.quotas)
        except InvalidQuota as error:
            raise click.UsageError(f"--quota: {error}") from error


def api_options(command: F) -> F:
    """Adds the options of the Step Functions API; the function gets them as `api`."""
    return gathered(ApiOptions, "api", (*_listening(DEFAULT_PORT), *_HOW_OFTEN))(command)


def listening_options(port: int) -> Callable[[F], F]:
    """Adds the options of a server that listens at this port by default; the function gets them as `api`."""
    return gathered(ApiOptions, "api", _listening(port))


_HOW_OFTEN = (
    click.option(
        "--rate-limit",
        "rate_limits",
        multiple=True,
        metavar="RATE",
        help="aws, or OPERATION=BUCKET/REFILL a second: throttle as AWS does; repeatable.",
    ),
    click.option(
        "--quota",
        "quotas",
        multiple=True,
        metavar="QUOTA",
        help="aws, state-machines=N or activities=N: so many an account may have; repeatable.",
    ),
)


def _listening(default_port: int) -> tuple[Callable[[Any], Any], ...]:
    return (
        click.option("--host", default=DEFAULT_HOST, show_default=True, metavar="ADDRESS", help="Where to listen."),
        click.option(
            "--port",
            type=click.IntRange(0, 65_535),
            default=default_port,
            show_default=True,
            metavar="N",
            help="Likewise; 0 takes a free one.",
        ),
        click.option(
            "--access-keys",
            type=_FILE,
            metavar="FILE",
            help="Take requests signed with these (SigV4): a file as ~/.aws/credentials; else ASL_ACCESS_KEYS.",
        ),
        click.option("--jwt-issuer", metavar="URL", help="Take bearer tokens of this OpenID Connect issuer."),
        click.option(
            "--jwt-audience",
            "jwt_audiences",
            multiple=True,
            metavar="NAME",
            help="That its tokens must be meant for: their aud or client_id; repeatable.",
        ),
        click.option("--jwks-url", metavar="URL", help="Where its keys are; else as its discovery document says."),
        click.option(
            "--jwt-scope",
            "jwt_scopes",
            multiple=True,
            metavar="SCOPE=ACTIONS",
            help="What a scope allows: orders/read=Describe*,List*; repeatable. By default a scope states:Describe* "
            "does.",
        ),
        click.option("--tls-cert", type=_FILE, metavar="FILE", help="Certificate with its chain (PEM): speak HTTPS."),
        click.option("--tls-key", type=_FILE, metavar="FILE", help="Its key (PEM)."),
        click.option(
            "--insecure-no-auth",
            is_flag=True,
            help="Answer whoever comes, also from other machines, and under any name.",
        ),
    )
