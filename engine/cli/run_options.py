"""What `asl run` was asked for, and the engine that goes with it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import click

from engine.cli.definitions import STDIN
from engine.cli.streams import json_text
from engine.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from engine.asl.program import StateMachine
    from engine.asl.states import MachineType
    from engine.cli.database import Database
    from engine.cli.definitions import Definition
    from engine.cli.run_machines import Case
    from engine.integrations.registry import Handlers
    from engine.jsonvalue import Json
    from engine.library import Engine, Limits, StateMachineHandle
    from engine.runtime.observers import Observer

OutputForm: TypeAlias = Literal["json", "pretty"]

_INPUT_IN_COMMAND = 4_000
"""Characters of an input from stdin that are repeated in a command. Longer ones are named, not shown."""

_LIMIT = re.compile(r"(?P<key>[a-z_]+)=(?P<value>[0-9]+|aws|off)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line as click read it; `program` is what the user called us."""

    program: str
    file: str
    input: str | None
    jsonl: bool
    targets: tuple[str, ...]
    handlers: str | None
    handlers_file: str | None
    allow_aws: bool
    machines: tuple[str, ...]
    test_case: str | None
    substitutions: tuple[str, ...]
    name: str | None
    type: MachineType
    real_time: bool
    limits: str
    seed: int | None
    concurrency: int
    history: str | None
    trace: bool
    quiet: bool
    output: OutputForm | None
    database: Database

    @property
    def is_durable(self) -> bool:
        """Whether the executions are kept in a database; otherwise they live in this process alone."""
        return self.database.is_given

    @property
    def pretty(self) -> bool | None:
        """Whether the output is to be indented; None: as stdout suggests."""
        return None if self.output is None else self.output == "pretty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything that is needed to run.

    Attributes:
        seed: What chance is drawn from: the user's, or one drawn for this run so that it can be repeated. Not used for
            executions in a database, whose ids and tokens nobody must draw again.
        machines: Other state machines, by name: those that this one starts.
        case: The test case that is run.
        url: Of the database; None: in memory.
    """

    options: Options
    definition: Definition
    program: StateMachine
    limits: Limits
    handlers: Handlers
    seed: int
    machines: Mapping[str, Definition]
    case: Case | None
    url: str | None = None

    def engine(self, observer: Observer | None = None) -> Engine:
        """An engine that runs as the options say."""
        from engine.library import Engine

        if self.url is not None:
            # Nobody else's executions: the targets of this command are not meant for them.
            return Engine(
                self.url,
                pooler=self.options.database.pooler,
                handlers=self.handlers,
                claims="own",
                limits=self.limits,
                observer=observer,
            )
        clock: Literal["real", "virtual"] = "real" if self.options.real_time else "virtual"
        return Engine.in_memory(self.handlers, clock=clock, limits=self.limits, observer=observer, seed=self.seed)

    async def machine(self, engine: Engine) -> StateMachineHandle:
        """The state machine in that engine, named after its file, or after its text when that came from stdin.

        One of which a test case is run has the name that the mock configuration gives it.
        """
        from engine.arguments import machine_name

        file = None if self.options.file == STDIN else self.options.file
        name = machine_name(file, self.definition.text) if self.case is None else self.case.machine_name
        for other, definition in self.machines.items():
            make = engine.create_state_machine if self.url is None else engine.deploy
            await make(definition.source(), other)
        source, type_ = self.definition.source(), self.options.type
        if self.url is None:
            return await engine.create_state_machine(source, name, type=type_)
        self._check_handlers({known.activity_arn for known in await engine.list_activities()})
        return await engine.deploy(source, name, type=type_)

    def _check_handlers(self, activities: Collection[str]) -> None:
        """Raises MissingHandler: nobody else would do what these handlers do not."""
        from engine.integrations.registry import BUILT_IN
        from engine.integrations.required import check_handlers

        settings = Settings.from_environment()
        check_handlers(
            self.handlers,
            self.program,
            region=settings.region,
            account=settings.account_id,
            activities=activities,
            test_case=None if self.case is None else self.case.key,
            built_in=BUILT_IN,
        )

    def started(self, machine: StateMachineHandle) -> StateMachineHandle | str:
        """What an execution is started of."""
        return machine if self.case is None else f"{machine.arn}#{self.case.name}"

    def reproduce(self, value: Json, *, of_many: bool = False) -> str:
        """The command that runs this input again, quoted for a shell."""
        options = self.options
        words = ["run", options.file]
        if options.input is not None:
            words += ["-i", self._input_word(value, of_many=of_many)]
        for target in options.targets:
            words += ["-t", target]
        for machine in options.machines:
            words += ["--machine", machine]
        for substitution in options.substitutions:
            words += ["-s", substitution]
        told = {"--handlers-file": options.handlers_file, "--handlers": options.handlers, "--name": options.name}
        if options.test_case is not None:
            told |= {"--mock-config": Settings.from_environment().mock_config, "--test-case": options.test_case}
        told |= {"--type": options.type if options.type != "STANDARD" else None}
        # What one of many draws depends on the others, so no seed gives it the same again.
        seed = None if of_many or options.is_durable else str(self.seed)
        told |= {"--limits": options.limits if options.limits != "aws" else None, "--seed": seed}
        for option, given in told.items():
            words += [] if given is None else [option, given]
        words += ["--allow-aws"] if options.allow_aws else []
        words += ["--real-time"] if options.real_time and not options.is_durable else []
        words += [] if options.database.data_dir is None else ["--data-dir", str(options.database.data_dir)]
        line = f"{options.program} {shlex.join(words)}"
        return f"{line}   # with the same definition on stdin" if options.file == STDIN else line

    def _input_word(self, value: Json, *, of_many: bool) -> str:
        assert self.options.input is not None
        if self.options.input != STDIN and not of_many:
            return self.options.input
        text = json_text(value, pretty=False)
        return text if len(text) <= _INPUT_IN_COMMAND else "@INPUT.json"


def read_limits(text: str) -> Limits:
    """Reads `aws`, `off` or `payload_bytes=N,history_events=N`, where N may be a number, `aws` or `off`.

    Raises:
        click.UsageError: It is none of these.
    """
    from dataclasses import fields

    from engine.library import Limits

    names = [field.name for field in fields(Limits)]
    if text in ("aws", "off"):
        text = ",".join(f"{name}={text}" for name in names)
    limits: dict[str, int | str] = {}
    for part in text.split(","):
        found = _LIMIT.fullmatch(part.strip().replace("-", "_"))
        if found is None or found["key"] not in names:
            raise click.UsageError(f"--limits {part}: expected aws, off, or KEY=N where KEY is {' or '.join(names)}.")
        value = found["value"]
        if value == "0":
            raise click.UsageError(f"--limits {part}: expected a number of 1 or more; off is without a limit.")
        limits[found["key"]] = int(value) if value.isdecimal() else value
    return Limits(**limits)  # type: ignore[arg-type]  # checked by name and by pattern above
