"""`-t STATE=TARGET`, `--handlers-file FILE` and `--handlers MODULE`: who does which Task."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType
    from typing import Any

    from engine.asl.program import StateMachine
    from engine.integrations.registry import Handlers, HandlersLike, MissingHandler

TARGET_FORM = "STATE=TARGET"

# Where a target begins: state names may hold a "=" themselves.
_TARGET = re.compile(r"=(?=(?:cmd|mock|fail|lambda|emulator|aws):|https?://|[A-Za-z_][\w.]*:[A-Za-z_])")


HANDLERS_FILE = click.option(
    "--handlers-file",
    metavar="FILE",
    help="A TOML file with a table [handlers]; ./asl.toml, else [tool.asl] of ./pyproject.toml, when not given.",
)


_MOCK_CONFIG_VARIABLE = "SFN_MOCK_CONFIG"


def _into_the_environment(_ctx: click.Context, _option: click.Parameter, file: str | None) -> None:
    """Where the engine of this process finds it, and those of child processes. Raises click.ClickException."""
    if file is None:
        return
    from engine.integrations.mock_config import InvalidMockConfig, read_mock_config

    try:
        read_mock_config(file)
    except InvalidMockConfig as error:
        raise click.ClickException(f"mock configuration {error}") from error
    os.environ[_MOCK_CONFIG_VARIABLE] = os.path.abspath(file)


MOCK_CONFIG = click.option(
    "--mock-config",
    metavar="FILE",
    envvar=_MOCK_CONFIG_VARIABLE,
    expose_value=False,
    callback=_into_the_environment,
    help="Test cases in the form of Step Functions Local; else SFN_MOCK_CONFIG's.",
)


def target_option(form: str) -> Callable[[Any], Any]:
    """The option `-t`."""
    return click.option(
        "-t", "--target", "--resource", "targets", metavar=form, multiple=True, help="What does a Task; see above."
    )


ALLOW_AWS = click.option("--allow-aws", is_flag=True, help="Tasks that have no target may call AWS and HTTPS APIs.")


def read_handlers(
    modules: Sequence[str], targets: Sequence[str], file: str | None = None, *, allow_aws: bool = False
) -> Handlers:
    """The rules that the command line gives: of `targets`, of `file`, of `modules`, earlier before later.

    `allow_aws`: see `Handlers.call_aws`.

    Raises:
        click.ClickException: A target, the file or a module cannot be used; the message names the option.
    """
    from engine.integrations.registry import Handlers, InvalidHandler

    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    handlers = Handlers()
    handlers.include(_rules_of_file(file))
    for module in modules:
        try:
            handlers.include(_handlers_in(module))
        except InvalidHandler as error:
            raise click.ClickException(f"--handlers {module}: {error}") from error
    added = Handlers()
    for target in targets:
        pattern, spec = _split(target)
        try:
            added.add(pattern, spec)
        except InvalidHandler as error:
            raise click.ClickException(f"-t {target}: {_without_pattern(error)}") from error
        except Exception as error:  # the user's module, while it was imported
            raise click.ClickException(f"-t {target}: {_told(error)}") from error
    added.include(handlers)
    added.call_aws(is_allowed=allow_aws)
    return added


def _rules_of_file(file: str | None) -> HandlersLike:
    """The rules of the handlers file, given or found. Raises click.ClickException."""
    from engine.integrations.handlers_file import file_here, read_rules
    from engine.integrations.registry import InvalidHandler

    named = "" if file is None else "--handlers-file "
    try:
        path = file_here() if file is None else Path(file)
        return None if path is None else read_rules(path)
    except InvalidHandler as error:
        raise click.ClickException(f"{named}{error}") from error
    except Exception as error:  # a module of the user's, while it was imported
        raise click.ClickException(f"{named or 'handlers '}{_told(error)}") from error


def missing_text(missing: MissingHandler) -> str:
    """What to do about Tasks without a handler, ready to be pasted."""
    from engine.integrations.registry import example_result

    count = len(missing.tasks)
    lines = [f"No handler for {count} Task state{'s' if count > 1 else ''}:"]
    lines += [f"  {state} calls {what}" for state, what in missing.tasks]
    lines.append("\nGive each one a target, for example a fixed answer:")
    lines += [f"  -t {shlex.quote(f'{state}=mock:{example_result(what)}')}" for state, what in missing.tasks]
    lines.append("or a command (cmd:./script), a Python function (module:function), real Lambda (lambda:), or a module")
    lines.append("(--handlers MODULE).")
    if missing.are_outside:
        lines.append("They would leave this machine. --allow-aws lets those without a target call AWS and HTTPS APIs;")
        lines.append("AWS_ENDPOINT_URL, or -t '*=aws:?endpoint=URL', has an emulator such as LocalStack do them.")
    return "\n".join(lines)


def idle_targets(targets: Sequence[str], program: StateMachine) -> list[tuple[str, str | None]]:
    """The patterns of `-t` that fit no Task state, each with the name of the state that was probably meant, if any.

    Where a FunctionName comes from data every pattern may fit, so none is told.
    """
    from engine.integrations.registry import Handlers, MissingHandler
    from engine.integrations.required import check_handlers, task_states
    from engine.settings import Settings

    settings = Settings.from_environment()
    names = [state.name for state in task_states(program)]
    idle = []
    for pattern, _ in map(_split, targets):
        alone = Handlers({pattern: "mock:null"})
        try:
            check_handlers(alone, program, region=settings.region, account=settings.account_id, activities=())
        except MissingHandler as missing:
            if len(missing.tasks) == len(names):
                import difflib

                idle.append((pattern, next(iter(difflib.get_close_matches(pattern, names, n=1)), None)))
    return idle


def _split(target: str) -> tuple[str, str]:
    found = _TARGET.search(target)
    if found is None or found.start() == 0:
        raise click.UsageError(
            f"-t {target}: expected {TARGET_FORM}, where TARGET is module:function, cmd:COMMAND, http://HOST/PATH, "
            "lambda:, emulator:, aws:, dask:module:function, mock:JSON or fail:Error:cause."
        )
    return target[: found.start()], target[found.end() :]


def _without_pattern(error: Exception) -> str:
    """The registry's message names the pattern first, which the option has said."""
    return str(error.__cause__ or error)


def _handlers_in(name: str) -> HandlersLike:
    """What a module offers: its `handlers`, when that is a registry, or else all its public functions."""
    from engine.integrations.registry import Handlers

    try:
        module = _from_file(Path(name)) if name.endswith(".py") else importlib.import_module(name)
    except click.ClickException:
        raise
    except Exception as error:  # the user's module
        raise click.ClickException(f"--handlers {name}: {_told(error)}") from error
    registry = getattr(module, "handlers", None)
    return registry if isinstance(registry, Handlers) else module


def _from_file(path: Path) -> ModuleType:
    """Imports a file under its own name, so that child processes of `process=True` handlers find it as well."""
    if not os.path.isfile(path):
        raise click.ClickException(f"--handlers {path}: no such file")
    path = path.resolve()
    sys.path.insert(0, str(path.parent))
    module = importlib.import_module(path.stem)
    if module.__file__ is None or Path(module.__file__).resolve() != path:
        raise click.ClickException(f"--handlers {path}: another module is called {path.stem!r}; rename the file")
    return module


def _told(error: BaseException) -> str:
    """The error of somebody's module in one line, with the place in that module."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    inside = [frame for frame in frames if Path(__file__).parents[1] not in Path(frame.filename).parents]
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError) or not inside or "importlib" in inside[-1].filename:
        return text
    return f"{text} ({inside[-1].filename}, line {inside[-1].lineno})"
