"""`asl run`: runs a state machine in this process, once or for each line of input, and prints what comes out.

In memory; or kept in a database, when one is named.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from engine.cli.database import connected, database_options
from engine.cli.definitions import STDIN, definition_file, read_definition
from engine.cli.documents import Lines, read_inputs
from engine.cli.exits import ExitCode
from engine.cli.run_machines import MACHINES, mocked, read_machines
from engine.cli.run_options import Job, Options, read_limits
from engine.cli.streams import print_note
from engine.cli.substitutions import read_substitutions, substitution_option
from engine.cli.targets import ALLOW_AWS, HANDLERS_FILE, MOCK_CONFIG, TARGET_FORM, read_handlers, target_option

if TYPE_CHECKING:
    from engine.jsonvalue import Json


@click.command("run")
@click.argument("file", metavar="FILE", type=definition_file)
@click.option("-i", "--input", metavar="JSON|@FILE|-", help="The input; {} when not given.")
@click.option("--jsonl", is_flag=True, help="Each line of the input is one: run them all.")
@target_option(TARGET_FORM)
@HANDLERS_FILE
@ALLOW_AWS
@click.option("--handlers", metavar="MODULE", help="A module or .py file whose functions are named as the states.")
@MACHINES
@MOCK_CONFIG
@click.option("--test-case", metavar="NAME", help="Of the mock configuration: whose responses the Tasks get.")
@substitution_option
@click.option("--name", metavar="NAME", help="Of the execution; a UUID when not given.")
@click.option(
    "--type",
    type=click.Choice(["STANDARD", "EXPRESS"], case_sensitive=False),
    default="STANDARD",
    show_default=True,
    metavar="STANDARD|EXPRESS",
    help="Of the state machine.",
)
@click.option("--real-time/--skip-time", default=False, help="Wait, or skip all waiting (the default).")
@click.option("--limits", metavar="LIMITS", default="aws", show_default=True, help="aws, off, or KEY=N,...")
@click.option("--seed", type=int, metavar="N", help="Draw the same again: jitter, States.UUID, $random and so on.")
@click.option(
    "-j",
    "--concurrency",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    metavar="N",
    help="Of many inputs, how many run at once.",
)
@click.option("--history", metavar="FILE", type=click.Path(dir_okay=False), help="Write the events as AWS shows them.")
@click.option("--trace", is_flag=True, help="Tell each state's input and output.")
@click.option("-q", "--quiet", is_flag=True, help="Tell nothing but the output and a failure.")
@click.option("--output", type=click.Choice(["json", "pretty"]), help="By default pretty on a terminal, else one line.")
@database_options
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Run a state machine here and print its output.

    FILE is JSON or YAML; - is stdin. The output goes to stdout, all else to stderr.

    \b
    STATE is a state's name, a function's name or ARN, a Resource, or a glob such as *.
    TARGET is one of
      module:function       a Python function of (event, context) or (event)
      cmd:./script --flag   a command: JSON on stdin, JSON on stdout
      http://host/path      an HTTP endpoint: JSON by POST, JSON as answer
      lambda:               the Lambda function on AWS; lambda:NAME?region=R&profile=P
      emulator:             the same in the Lambda emulator
      aws:                  what the Task calls on AWS; aws:?endpoint=URL&region=R
      dask:module:function  a Python function, on the Dask cluster of ASL_DASK_SCHEDULER
      mock:{"ok": true}     a fixed result
      fail:Error:cause      a fixed failure

    Several lines of JSON on stdin (-i -) are as many inputs; each gives a line of output, in the same order.

    LIMITS sets payload_bytes and history_events, each to a number, aws or off.

    With --db, --data-dir or ASL_DATABASE_URL the execution is kept in that database, and nothing is skipped: should
    this process be killed, asl worker with the same handlers finishes it.
    """  # noqa: D301  the escape is click's mark of a paragraph to leave as it is
    options = Options(program=ctx.find_root().info_name or "asl", **given)
    _check(options)
    if options.is_durable:
        _check_durable(ctx, options)
    limits = read_limits(options.limits)
    values = read_substitutions(options.substitutions)
    definition = read_definition(options.file, type=options.type, substitutions=values)
    if definition.program is None:
        from engine.cli.render_text import print_invalid

        print_invalid(definition)
        return ExitCode.USAGE
    value = {} if options.input is None else read_inputs(options.input, option="-i", lines=options.jsonl)
    modules = () if options.handlers is None else (options.handlers,)
    handlers = read_handlers(modules, options.targets, options.handlers_file, allow_aws=options.allow_aws)
    job = Job(
        options=options,
        definition=definition,
        program=definition.program,
        limits=limits,
        handlers=handlers,
        seed=_drawn() if options.seed is None else options.seed,
        machines=read_machines(options.machines, values),
        case=None if options.test_case is None else mocked(handlers, options.test_case, options.file),
    )
    if not options.quiet:
        _warn_of_idle_targets(job)
        _tell_what_leaves(job)
    if isinstance(value, Lines):
        _check_many(options)
    if not options.is_durable:
        return _run(job, value)
    with connected(options.database) as url:
        return _run(replace(job, url=url), value)


def _warn_of_idle_targets(job: Job) -> None:
    from engine.cli.targets import idle_targets

    for pattern, near in idle_targets(job.options.targets, job.program):
        meant = f"; did you mean {near!r}?" if near else ""
        print_note(f"Warning: -t {pattern!r} fits no Task state, function or Resource{meant}")


def _tell_what_leaves(job: Job) -> None:
    """Which Tasks will call another machine."""
    from engine.integrations.required import leaving
    from engine.settings import Settings

    settings = Settings.from_environment()
    region, account = settings.region, settings.account_id
    case = None if job.case is None else job.case.key
    found = leaving(job.handlers, job.program, region=region, account=account, test_case=case)
    for machine in job.machines.values():
        if machine.program is not None:
            found += leaving(job.handlers, machine.program, region=region, account=account)
    if found:
        print_note("These Tasks call other machines:")
        for state, what, place in found:
            print_note(f"  {state} calls {what} at {place}")


def _run(job: Job, value: Json | Lines) -> int:
    if isinstance(value, Lines):
        from engine.cli.run_many import run_many

        return run_many(job, value)
    from engine.cli.run_one import run_one

    return run_one(job, value)


def _check(options: Options) -> None:
    """Refuses options that exclude one another, before anything is read."""
    if options.file == STDIN and options.input == STDIN:
        raise click.UsageError("FILE and -i cannot both be stdin.")
    if options.jsonl and options.input is None:
        raise click.UsageError("--jsonl needs -i.")
    if options.trace and options.quiet:
        raise click.UsageError("--trace and --quiet exclude one another.")
    if options.history is not None:
        if options.history == STDIN:
            raise click.UsageError("--history needs a file: stdout is the output's.")
        if not os.path.isdir(os.path.dirname(options.history) or os.curdir):
            raise click.UsageError(f"--history {options.history}: no such directory.")


def _check_durable(ctx: click.Context, options: Options) -> None:
    if options.seed is not None:
        raise click.UsageError("--seed is for executions in memory: ids and tokens in a database must not come twice.")
    is_told = ctx.get_parameter_source("real_time") is ParameterSource.COMMANDLINE
    if is_told and not options.real_time:
        raise click.UsageError("--skip-time is for executions in memory: in a database time is real.")


def _check_many(options: Options) -> None:
    for option, value in (("--name", options.name), ("--history", options.history), ("--trace", options.trace)):
        if value:
            raise click.UsageError(f"{option} is for one execution, and the input has one for each line.")
    if options.output == "pretty":
        raise click.UsageError("--output pretty is for one execution: of many, each has one line.")


def _drawn() -> int:
    import secrets

    return secrets.randbits(32)
