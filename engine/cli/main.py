"""The command `asl`: finds the subcommand that is asked for, and turns every way to end into an exit code.

`asl --help` must be quick, so each command's module is imported when the command runs or completes, and no sooner.
Texts for the list of commands stand here for the same reason.
"""

from __future__ import annotations

import importlib
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import click

from engine.cli.exits import ExitCode
from engine.cli.streams import open_closed_streams, print_note, silence
from engine.cli.version import version

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SECTIONS = {
    "Run here": {
        "run": ("engine.cli.run", "Run a state machine here and print its output."),
        "validate": ("engine.cli.validate", "Check definitions as AWS does, and beyond."),
        "graph": ("engine.cli.graph", "Draw a state machine."),
        "eval": ("engine.cli.eval_", "Try a JSONPath, intrinsic function or JSONata expression."),
        "test-state": ("engine.cli.test_state", "Run one state once and print what became of it."),
    },
    "Serve the API": {
        "serve": ("engine.cli.serve", "Answer as AWS Step Functions and AWS Lambda do, and run both."),
        "server": ("engine.cli.server", "Answer as AWS Step Functions does; workers run executions."),
        "lambda": ("engine.cli.lambda_", "Serve Lambda functions, and call them."),
        "env": ("engine.cli.env", "Print what makes AWS's tools use such a server."),
    },
    "Operate a fleet": {
        "worker": ("engine.cli.worker", "Run executions until told to stop."),
        "workers": ("engine.cli.workers", "List the workers."),
        "deploy": ("engine.cli.deploy", "Create a state machine, or give it a new revision."),
        "versions": ("engine.cli.versions", "List, publish and delete versions of a state machine."),
        "aliases": ("engine.cli.aliases", "List, set and delete aliases of a state machine."),
        "delete": ("engine.cli.delete", "Delete a state machine with its versions and aliases."),
        "start": ("engine.cli.start", "Start an execution."),
        "ls": ("engine.cli.ls", "List executions."),
        "get": ("engine.cli.get", "Show how an execution stands, and why it does not move."),
        "history": ("engine.cli.history", "Show what happened in an execution."),
        "wait": ("engine.cli.wait", "Wait for an execution's end and print its output."),
        "stop": ("engine.cli.stop", "End an execution as ABORTED."),
        "redrive": ("engine.cli.redrive", "Go on with an execution where it failed."),
        "resume": ("engine.cli.resume", "End an execution's quarantine."),
        "task": ("engine.cli.task", "Answer for a Task by its token."),
        "db": ("engine.cli.db", "Look after the database."),
    },
}
"""Heading → name → the module whose `command` it is, and the line in the list of commands."""

_COMMANDS = {name: about for section in _SECTIONS.values() for name, about in section.items()}

_OTHER_NAMES = {"dev": "serve"}


class _Commands(click.Group):
    """Imports the module of a command when the command is wanted, and ends the process with our exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        cmd_name = _OTHER_NAMES.get(cmd_name, cmd_name)
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, commands in _SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([(name, line) for name, (_, line) in commands.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in {*_COMMANDS, *_OTHER_NAMES}:
            import difflib

            near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            ctx.fail(f"No such command {args[0]!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        """Runs the command line and exits; click's own way out has another code for wrong usage."""
        open_closed_streams()
        extra["standalone_mode"] = False
        sys.exit(_exit_code(partial(super().main, args, prog_name, **extra)))


def _exit_code(run: Callable[[], int | None]) -> int:
    try:
        code = int(run() or 0)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.ABORTED
    except BrokenPipeError:
        silence(sys.stdout)
        return ExitCode.SUCCEEDED
    except Exception:  # noqa: BLE001  our own fault, to be told as such
        return _internal_error()
    return code


def _internal_error() -> int:
    import platform
    import traceback

    traceback.print_exc()
    print_note(
        f"\nThis is a fault of asl itself (asl {version()}, Python {platform.python_version()}): "
        "please report it with the text above."
    )
    return ExitCode.INTERNAL


def _print_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"asl {version()}")
        ctx.exit()


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 succeeded, 1 wrong usage or definition, 2 failed, 3 timed out, 4 aborted.",
)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Show the version."
)
def main() -> None:
    """Amazon States Language on your machines: run, check, draw and try out state machines; operate durable ones."""
