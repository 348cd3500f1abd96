"""`asl env`: what makes boto3, the AWS CLI and Terraform use a server of ours."""

from __future__ import annotations

import json
import os
import shlex
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from engine.cli.api_options import DEFAULT_HOST, DEFAULT_PORT
from engine.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

_DUMMY_SECRET = "dummy"  # noqa: S105  says what it is: an open server asks for no secret
_SHELLS = ("sh", "fish", "powershell")
_KEY_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""Tools look at them first, whatever profile they are told to use; so those that are not wanted must go."""


_ASK_SECONDS = 2.0
_A_PATH_OF_LAMBDA = "/2016-08-19/account-settings/"


@click.command("env")
@click.option(
    "--url", metavar="URL", default=f"http://{DEFAULT_HOST}:{DEFAULT_PORT}", show_default=True, help="Of the server."
)
@click.option(
    "--access-keys",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The server's file of access keys, or one with the caller's own; else ASL_ACCESS_KEYS; else dummy keys.",
)
@click.option("--profile", metavar="NAME", help="The section of that file; its first when not given.")
@click.option(
    "--shell", type=click.Choice(_SHELLS), default=_SHELLS[0], show_default=True, help="Whose words to print."
)
@click.option("--no-lambda", is_flag=True, help="Leave out Lambda: the server has no functions (asl server).")
@click.option("--json", "as_json", is_flag=True, help="Print an object of names and values; null: to be unset.")
def command(
    url: str, access_keys: Path | None, profile: str | None, shell: str, no_lambda: bool, as_json: bool
) -> None:
    """Print what makes AWS's tools use such a server.

    For a shell: eval "$(asl env)". The tools then reach Step Functions and Lambda there, and all other services where
    they were before, but with these keys. Lambda is left out when the server runs and has none, as asl server.
    """
    settings = Settings.from_environment()
    keys = access_keys or (None if settings.access_keys is None else Path(settings.access_keys))
    if profile is not None and keys is None:
        raise click.UsageError("--profile is a section of the file that --access-keys names.")
    variables: dict[str, str | None] = {
        "AWS_ENDPOINT_URL_SFN": url,
        **({} if no_lambda or not _may_serve_lambda(url) else {"AWS_ENDPOINT_URL_LAMBDA": url}),
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        **dict.fromkeys(_KEY_VARIABLES),
        **(_of_profile(keys, profile) if keys is not None else _dummy_keys(settings)),
    }
    click.echo(json.dumps(variables) if as_json else "\n".join(_lines(variables, shell)))


def _may_serve_lambda(url: str) -> bool:
    """Asks the server; one that does not answer yet may. Raises click.UsageError: it is no URL of a server."""
    import http.client

    try:
        parts = urlsplit(url)
        kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        connection: http.client.HTTPConnection = kinds[parts.scheme](
            parts.hostname or "", parts.port, timeout=_ASK_SECONDS
        )
    except (KeyError, ValueError, http.client.InvalidURL) as error:
        raise click.UsageError(f"--url {url}: expected http://HOST:PORT or https://HOST:PORT.") from error
    try:
        connection.request("GET", _A_PATH_OF_LAMBDA)
        return connection.getresponse().status != HTTPStatus.METHOD_NOT_ALLOWED
    except (OSError, http.client.HTTPException):
        return True
    finally:
        connection.close()


def _dummy_keys(settings: Settings) -> Mapping[str, str]:
    """An open server takes an access key of 12 digits for the account."""
    return {"AWS_ACCESS_KEY_ID": settings.account_id, "AWS_SECRET_ACCESS_KEY": _DUMMY_SECRET}


def _of_profile(path: Path, profile: str | None) -> Mapping[str, str]:
    """The file is one of AWS's own form, so its secrets need not stand in the environment."""
    from engine.http.sigv4 import InvalidAccessKeys, read_access_keys

    try:
        names = [key.name for key in read_access_keys(path).values()]
    except InvalidAccessKeys as error:
        raise click.ClickException(f"--access-keys: {error}") from error
    except OSError as error:
        raise click.ClickException(f"--access-keys {path}: {error.strerror or error}") from error
    if profile is not None and profile not in names:
        raise click.ClickException(f"--profile {profile}: {path} has {', '.join(names)}")
    return {"AWS_SHARED_CREDENTIALS_FILE": os.fspath(path.resolve()), "AWS_PROFILE": profile or names[0]}


def _lines(variables: Mapping[str, str | None], shell: str) -> list[str]:
    """One for each variable; None takes it away."""
    return [_line(name, value, shell) for name, value in variables.items()]


def _line(name: str, value: str | None, shell: str) -> str:
    match shell:
        case "fish":
            return f"set -e {name};" if value is None else f"set -gx {name} {shlex.quote(value)};"
        case "powershell":
            quoted = "" if value is None else value.replace("'", "''")
            return f"$Env:{name} = '{quoted}'"  # an empty one is none
        case _:
            return f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}"
