"""How a server's Lambda emulator is made of what the command line says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from engine.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.cli.api_face import ApiFace
    from engine.cli.api_options import ApiOptions
    from engine.cli.lambda_face import LambdaFace
    from engine.http.access import Access
    from engine.http.counts import Counts
    from engine.http.server import ApiServer
    from engine.lambda_emulator.limits import Limits
    from engine.lambda_emulator.local_functions import LocalFunction
    from engine.lambda_emulator.log_sink import LogSink

LAMBDA_PORT = 3001
"""That of SAM's local Lambda endpoint."""

_DUMMY_SECRET = "dummy"  # noqa: S105  says what it is: an open server asks for no secret


def beside(api: ApiOptions, face: ApiFace, lambda_port: int | None) -> LambdaFace:
    """The emulator of a server of the Step Functions API.

    Args:
        lambda_port: For Lambda alone; 0 takes a free one; None: the usual one, if nobody has it.

    Raises:
        click.ClickException: The port cannot be used.
    """
    import structlog

    from engine.cli.function_logs import ToServerLog

    server: ApiServer | None = None
    try:
        server = api.listening(LAMBDA_PORT if lambda_port is None else lambda_port, option="--lambda-port")
    except click.ClickException as error:
        if lambda_port is not None:
            raise
        structlog.get_logger().info("Lambda has no port of its own", url=face.url, reason=error.message)
    url = face.url if server is None else server.url
    endpoints = {"AWS_ENDPOINT_URL_SFN": face.url}
    return _face(server, face.access, url, endpoints, sink=ToServerLog(), counts=face.counts)


def alone(api: ApiOptions, local: tuple[LocalFunction, ...], *, watches: bool) -> LambdaFace:
    """An emulator without anything else.

    Raises:
        click.UsageError: Lambda would not take one of the functions.
        click.ClickException: It cannot listen there.
    """
    from engine.cli.function_logs import ToStdout
    from engine.http.counts import Counts

    _checked(local)
    access = api.access()
    server = api.listening(api.port, option="--port")
    return _face(server, access, server.url, {}, sink=ToStdout(), counts=Counts(), local=local, watches=watches)


def _limits(settings: Settings) -> Limits:
    """Raises click.UsageError."""
    from engine.lambda_emulator.limits import limits_of

    try:
        return limits_of(settings)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _checked(local: tuple[LocalFunction, ...]) -> None:
    """Raises click.UsageError: Lambda would not take one of them."""
    from engine.lambda_emulator.local_functions import InvalidLocalFunction, check

    limits = _limits(Settings.from_environment())
    try:
        for function in local:
            check(function, limits)
    except InvalidLocalFunction as error:
        raise click.UsageError(f"{error}.") from error


def _face(
    server: ApiServer | None,
    access: Access,
    url: str,
    endpoints: Mapping[str, str],
    *,
    sink: LogSink,
    counts: Counts,
    local: tuple[LocalFunction, ...] = (),
    watches: bool = False,
) -> LambdaFace:
    from engine.cli.lambda_face import LambdaFace

    settings = Settings.from_environment()
    # What the server's user has for other services holds for functions too; ours go before.
    variables = {**settings.endpoints, "AWS_ENDPOINT_URL_LAMBDA": url, **endpoints}
    if access.is_open:
        variables |= {"AWS_ACCESS_KEY_ID": settings.account_id, "AWS_SECRET_ACCESS_KEY": _DUMMY_SECRET}
    return LambdaFace(
        server,
        access,
        url=url,
        account_id=settings.account_id,
        region=settings.region,
        sink=sink,
        variables=variables,
        counts=counts,
        limits=_limits(settings),
        local=local,
        watches=watches,
    )
