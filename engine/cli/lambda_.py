"""`asl lambda`: the Lambda emulator by itself, and its functions from the shell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from engine.cli.api_options import ApiOptions, listening_options
from engine.cli.database import database_options
from engine.cli.exits import ExitCode
from engine.cli.lambda_options import LAMBDA_PORT, alone
from engine.cli.streams import print_json, print_note, print_result
from engine.cli.worker_options import UNTIL_EOF, drain_option
from engine.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.cli.database import Database
    from engine.jsonvalue import Json
    from engine.lambda_emulator.local_functions import LocalFunction

_DRAIN_SECONDS = 10
_READ_SECONDS = 905
"""A little more than a function may take."""

URL = click.option("--url", metavar="URL", help="Of the server; else AWS_ENDPOINT_URL_LAMBDA; else this machine's.")


@click.group("lambda")
def command() -> None:
    """Serve Lambda functions, and call them.

    `asl serve` has the same emulator beside the Step Functions API.
    """


@command.command("serve")
@click.argument("functions", nargs=-1, metavar="[[NAME=]MODULE:FUNCTION]...")
@click.option("--name", metavar="NAME", help="Of the one function that is given.")
@click.option("--watch", "watches", is_flag=True, help="Begin anew with a function whose files change.")
@click.option("-e", "--env", "variables", metavar="NAME=VALUE", multiple=True, help="Variable of those functions.")
@click.option(
    "--timeout", type=click.IntRange(1), default=3, show_default=True, metavar="S", help="Theirs, in seconds."
)
@click.option("--memory", type=click.IntRange(128), default=128, show_default=True, metavar="MB", help="Theirs.")
@click.option("--in-memory", is_flag=True, help="Use no database: functions that are created here go with the server.")
@listening_options(LAMBDA_PORT)
@drain_option(_DRAIN_SECONDS, "requests in flight")
@UNTIL_EOF
@database_options
def serve(
    functions: tuple[str, ...],
    name: str | None,
    watches: bool,
    variables: tuple[str, ...],
    timeout: int,
    memory: int,
    in_memory: bool,
    api: ApiOptions,
    drain_seconds: float,
    until_eof: bool,
    database: Database,
) -> int:
    """Answer as AWS Lambda does, and run functions.

    boto3, the AWS CLI and Terraform use it when AWS_ENDPOINT_URL_LAMBDA is set to it. Functions that they create
    are kept in the database.

    [NAME=]MODULE:FUNCTION is a function in files of the current directory, which needs no upload: f=app:handler is
    handler in app.py. A file of Node is named likewise: index.mjs:handler.

    What functions write goes to stdout, the server's own log to stderr, a line of JSON for each thing that happened.

    SIGTERM or Ctrl-C drains; a second one gives up what is in flight.
    """
    from contextlib import ExitStack

    from engine.cli.database import connected
    from engine.cli.event_loop import run
    from engine.cli.lambda_service import serve_functions
    from engine.cli.worker_log import configure_log

    local = _local(functions, name, variables, timeout, memory)
    words = click.get_current_context().params
    if in_memory and (words["db"] is not None or words["data_dir"] is not None):
        raise click.UsageError("--in-memory excludes --db and --data-dir.")
    configure_log()
    face = alone(api, local, watches=watches)
    with ExitStack() as exits:
        exits.callback(face.close)
        if not in_memory:
            face.keep_in(exits.enter_context(connected(database)), pooler=database.pooler)
        return run(serve_functions, face, drain_seconds, until_eof)


def _local(
    functions: Sequence[str], name: str | None, variables: Sequence[str], timeout: int, memory: int
) -> tuple[LocalFunction, ...]:
    """Raises click.UsageError."""
    from engine.lambda_emulator.local_functions import InvalidLocalFunction, LocalFunction

    if name is not None and len(functions) != 1:
        raise click.UsageError("--name is for one function; give several as NAME=MODULE:FUNCTION.")
    environment = {}
    for variable in variables:
        key, equals, value = variable.partition("=")
        if not equals or not key:
            raise click.UsageError(f"--env {variable}: expected NAME=VALUE.")
        environment[key] = value
    try:
        found = [
            LocalFunction.parse(
                words, Path.cwd(), name=name, environment=environment, timeout=timeout, memory_size=memory
            )
            for words in functions
        ]
    except InvalidLocalFunction as error:
        raise click.UsageError(f"{error}.") from error
    names = [one.name for one in found]
    if len(set(names)) < len(names):
        raise click.UsageError(f"two functions have one name ({', '.join(names)}): give them as NAME=MODULE:FUNCTION.")
    return tuple(found)


@command.command("invoke")
@click.argument("function", metavar="FUNCTION")
@click.option("-p", "--payload", metavar="JSON|@FILE|-", default="{}", show_default=True, help="The event.")
@click.option("--qualifier", metavar="VERSION|ALIAS", help="Which version; $LATEST when not given.")
@click.option("--log", "has_log", is_flag=True, help="Print the end of the function's log to stderr.")
@click.option("--event", "is_event", is_flag=True, help="Only queue it: nobody waits for the result.")
@URL
def invoke(function: str, payload: str, qualifier: str | None, has_log: bool, is_event: bool, url: str | None) -> int:
    """Call a function and print its result.

    FUNCTION is a name or an ARN. When the function fails its error goes to stdout and the exit code is 2.
    """
    from base64 import b64decode

    from engine.cli.documents import read_document
    from engine.jsonvalue import encode

    event = encode(read_document(payload, option="-p"))
    given: dict[str, Any] = {"Qualifier": qualifier} if qualifier is not None else {}
    given |= {"InvocationType": "Event"} if is_event else {"LogType": "Tail"} if has_log else {}
    answer = _asked(url, "invoke", FunctionName=function, Payload=event, **given)
    if has_log and "LogResult" in answer:
        print_note(b64decode(answer["LogResult"]).decode(errors="replace").rstrip("\n"))
    text = answer["Payload"].read().decode(errors="replace")
    if text:
        print_result(text)
    return ExitCode.FAILED if "FunctionError" in answer else ExitCode.SUCCEEDED


@command.command("ls")
@click.option("--json", "as_json", is_flag=True, help="As ListFunctions answers.")
@URL
def ls(as_json: bool, url: str | None) -> int:
    """List the functions."""
    from engine.cli.tables import print_table

    found: list[dict[str, Any]] = []
    marker: dict[str, str] = {}
    while True:
        page = _asked(url, "list_functions", **marker)
        found += page["Functions"]
        if not page.get("NextMarker"):
            break
        marker = {"Marker": page["NextMarker"]}
    if as_json:
        print_json({"Functions": cast("Json", found)})
    elif found:
        rows = [
            (
                one["FunctionName"], one.get("Runtime") or one.get("PackageType", ""), one.get("Handler", ""),
                f"{one['MemorySize']} MB", f"{one['Timeout']} s", one["LastModified"],
            )
            for one in found
        ]  # fmt: skip
        print_table(("NAME", "RUNTIME", "HANDLER", "MEMORY", "TIMEOUT", "MODIFIED"), rows, cut=("HANDLER",))
    else:
        print_note("No functions.")
    return ExitCode.SUCCEEDED


def _asked(url: str | None, operation: str, **members: Any) -> Any:
    """What a server answers. Raises click.ClickException: an error, or nothing."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    settings = Settings.from_environment()
    endpoint = url or settings.lambda_endpoint or f"http://127.0.0.1:{LAMBDA_PORT}"
    session = boto3.Session(region_name=settings.region)
    # An open server takes any; the account's own number shows its functions.
    keys = {} if session.get_credentials() else {
        "aws_access_key_id": settings.account_id, "aws_secret_access_key": "dummy",
    }  # fmt: skip
    config = Config(retries={"total_max_attempts": 1}, read_timeout=_READ_SECONDS, tcp_keepalive=True)
    try:
        client = session.client("lambda", endpoint_url=endpoint, config=config, **keys)
        return getattr(client, operation)(**members)
    except ClientError as error:
        told = error.response["Error"]
        raise click.ClickException(f"{told['Code']}: {told['Message']}") from error
    except (BotoCoreError, ValueError) as error:
        raise click.ClickException(f"{endpoint}: {error}. Is `asl serve` or `asl lambda serve` running?") from error
