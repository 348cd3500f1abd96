"""Which handler does which Task: the rules that `handlers=` gives, and how a text or a callable becomes a Handler.

For one Task the first that fits counts:

1. a rule with the Task state's name;
2. a rule with the function's name or ARN (of a function's own ARN, or of `FunctionName` in `lambda:invoke`), with or
   without its qualifier, or with the name or ARN of the activity;
3. a rule with the whole Resource ARN;
4. a function of a module or an object whose name is that of the state, the function or the activity;
5. a rule with `*`, `?` or `[` in it that fits the Resource ARN or the function's ARN, in the order given;
6. the default: the rule `*`;
7. the engine itself, for `states:startExecution` and `aws-sdk:sfn`;
8. the function of that name in this process's Lambda emulator, if there is one;
9. AWS, where that was allowed or another endpoint is configured in its place.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from engine.arns import function_arn, parse_arn

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from engine.asl.resource import Resource
    from engine.integrations.aws import Account
    from engine.integrations.connections import Connection, ConnectionsLike
    from engine.integrations.lambda_ import LambdaEmulator
    from engine.integrations.mock_config import MockConfig
    from engine.integrations.request import Handler, WorkerLoss

Spec: TypeAlias = "Callable[..., Any] | str | Handler"
"""A callable; a text such as `cmd:...`, `lambda:...` or `module:function` (`make_handler` knows them); or a Handler."""

HandlersLike: TypeAlias = "Handlers | Mapping[str, Spec] | object | None"
"""Rules; or a module or object whose public functions carry the names of states or functions."""

BUILT_IN = ("states", "aws-sdk:sfn")
"""Services whose Tasks every engine does itself, where no rule does."""

F = TypeVar("F", bound="Callable[..., Any]")

TARGETS_EXPECTED = (
    '"module:function", "cmd:COMMAND", "http://HOST/PATH", "lambda:", "emulator:", "aws:", "dask:module:function", '
    '"mock:JSON" or "fail:Error:cause"'
)

_WITHOUT_A_NAME = ("lambda", "emulator", "aws")
"""Kinds of text that may say nothing more: the Task names the function."""

_NO_CALLABLES = ("cmd", "http", "https", "mock", "fail", *_WITHOUT_A_NAME)

_DEFAULT = "*"
_GLOB = re.compile(r"[*?\[]")
_FUNCTION_NAME_AT = 6  # arn:aws:lambda:region:account:function:NAME
_ARNS_CACHED = 4_096
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")


class InvalidHandler(ValueError):
    """A rule whose handler cannot be made: no such command, module or function; `mock:` without JSON; and so on."""


_AT_AWS = " 'aws:' calls AWS, 'aws:?endpoint=URL' (or AWS_ENDPOINT_URL) an emulator such as LocalStack."


class MissingHandler(LookupError):
    """A Task has no handler. `tasks`: the state's name and what it calls, for each of them."""

    def __init__(self, tasks: list[tuple[str, str]]) -> None:
        self.tasks = tasks
        lines = "".join(f"\n  state {state!r} calls {what}" for state, what in tasks)
        state, what = tasks[0]
        super().__init__(
            f"no handler for {len(tasks)} Task state{'s' if len(tasks) > 1 else ''}:{lines}\n"
            f"Give one by state name, function name, Resource ARN or glob: handlers={{{state!r}: function}}, "
            f"or {{{state!r}: 'mock:{example_result(what)}'}}, or {{'*': 'cmd:./script'}}."
            + (_AT_AWS if self.are_outside else "")
        )

    @property
    def are_outside(self) -> bool:
        """Whether AWS could do some of them, if it were asked."""
        from engine.asl.resource import parse_resource
        from engine.integrations.aws_actions import is_outside

        called = (parse_resource(what.partition(" ")[0]) for _, what in self.tasks)
        return any(resource is not None and is_outside(resource) for resource in called)

    def __reduce__(self) -> tuple[type[MissingHandler], tuple[list[tuple[str, str]]]]:
        return type(self), (self.tasks,)


def example_result(what: str) -> str:
    """A fixed answer that fits what a Task calls, as JSON text; those of functions and APIs are envelopes."""
    _, _, called = what.partition(" ")[0].partition(":states:::")
    if called == "lambda:invoke":
        return '{"Payload": {}}'
    return '{"StatusCode": 200, "ResponseBody": {}}' if called in ("http:invoke", "apigateway:invoke") else "{}"


class Handlers:
    """Rules: filled with `@handlers.task(...)` or `add`, or at once from whatever `handlers=` takes.

    Attributes:
        mocks: What Tasks give in the executions of test cases, before all rules.
        connections: How the APIs of HTTP Tasks are authorized, by name or ARN.
    """

    def __init__(self, rules: HandlersLike = None, *, connections: ConnectionsLike | None = None) -> None:
        """Makes rules of whatever `handlers=` takes.

        Args:
            rules: A mapping, a module, an object with methods, or other rules.
            connections: Tables by name or ARN, such as `{"crm": {"type": "basic", "username": ..., "password": ...}}`:
                see `engine.integrations.connections`.

        Raises:
            InvalidHandler: One of them means nothing.
        """
        self._exact: dict[str, Handler] = {}
        self._globs: dict[str, Handler] = {}
        self._named: dict[str, Handler] = {}
        self._emulator: LambdaEmulator | None = None
        self._emulated: Handler | None = None
        self._built_in: dict[str, Handler] = {}
        self._aws: Handler | None = None
        self._is_aws_allowed = False
        self._wrap: Callable[[Handler], Handler] | None = None
        self._unwrapped: Handlers | None = None
        self.mocks: MockConfig | None = None
        self.connections: Mapping[str, Connection] = {}
        if isinstance(rules, str | bytes | list | tuple | set) or inspect.isclass(rules) or inspect.isroutine(rules):
            raise InvalidHandler(
                "handlers: expected a mapping such as {state or function name: callable}, an engine.Handlers, "
                f"a module, or an object with methods; got {rules!r}"
            )
        if isinstance(rules, Handlers):
            self._exact = dict(rules._exact)  # noqa: SLF001  of the same class
            self._globs = dict(rules._globs)  # noqa: SLF001
            self._named = dict(rules._named)  # noqa: SLF001
            self._emulator, self._emulated = rules._emulator, rules._emulated  # noqa: SLF001
            self._built_in, self.mocks = dict(rules._built_in), rules.mocks  # noqa: SLF001
            self._aws, self._is_aws_allowed = rules._aws, rules._is_aws_allowed  # noqa: SLF001
            self._wrap, self._unwrapped = rules._wrap, rules._unwrapped  # noqa: SLF001
            self.connections = rules.connections
        elif isinstance(rules, Mapping):
            for pattern, spec in rules.items():
                self.add(pattern, spec)
        elif rules is not None:
            self._named = _public_functions(rules)
        for name, table in (connections or {}).items():
            self.connect(name, table)

    @classmethod
    def from_file(cls, path: os.PathLike[str] | str) -> Handlers:
        """The rules of a TOML file: `engine.integrations.handlers_file` has its form. Raises InvalidHandler."""
        from engine.integrations.handlers_file import read_rules

        return read_rules(path)

    def add(
        self,
        pattern: str,
        spec: Spec,
        *,
        process: bool = False,
        dask: bool | str = False,
        timeout_seconds: float | None = None,
        on_worker_loss: WorkerLoss | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Adds a rule, or replaces the one with the same pattern.

        Args:
            pattern: A state name, a function or activity name or ARN, a Resource ARN, or a glob.
            spec: What does the Tasks.
            process: Run the callable in a process of its own, which a time-out kills.
            dask: Run the callable on a Dask cluster: the address of its scheduler, or True: ASL_DASK_SCHEDULER's.
            timeout_seconds: Limit for one invocation; Lambda's 900 when not given.
            on_worker_loss: `rerun`, when not given: a Task that was in flight when its worker was lost runs again.
                `fail`: it fails as `Engine.WorkerLost`, for Retry and Catch to treat.
            concurrency: How many of its Tasks one engine does at once; the others wait, in nobody's way.

        Raises:
            InvalidHandler: `spec` cannot be made a Handler.
        """
        try:
            handler = make_handler(
                spec,
                process=process,
                dask=dask,
                timeout_seconds=timeout_seconds,
                on_worker_loss=on_worker_loss,
                concurrency=concurrency,
            )
        except (ValueError, ImportError, AttributeError, TypeError) as error:
            raise InvalidHandler(f"handler for {pattern!r}: {error}") from error
        (self._globs if _GLOB.search(pattern) else self._exact)[pattern] = handler

    def connect(self, name: str, table: Mapping[str, object]) -> None:
        """Adds a connection, or replaces the one with the same name or ARN. Raises InvalidHandler."""
        from engine.integrations.connections import InvalidConnection, read_connection

        try:
            self.connections = {**self.connections, name: read_connection(name, table)}
        except InvalidConnection as error:
            raise InvalidHandler(f"connection {name!r}: {error}") from error

    def task(
        self,
        pattern: str | None = None,
        *,
        process: bool = False,
        dask: bool | str = False,
        timeout_seconds: float | None = None,
        on_worker_loss: WorkerLoss | None = None,
        concurrency: int | None = None,
    ) -> Callable[[F], F]:
        """Decorates a function with a rule; without a pattern its own name is the state's or function's.

        Raises:
            InvalidHandler: It cannot run that way.
        """

        def register(function: F) -> F:
            # A process finds the function by its name, which the module has only once this decorator has returned.
            self.add(
                function.__name__ if pattern is None else pattern,
                function,
                process=process,
                dask=dask,
                timeout_seconds=timeout_seconds,
                on_worker_loss=on_worker_loss,
                concurrency=concurrency,
            )
            return function

        return register

    def include(self, rules: HandlersLike) -> None:
        """Adds the rules of another; those that are there already go before. Raises InvalidHandler."""
        other = Handlers(rules)
        self._exact = {**other._exact, **self._exact}
        self._globs = {**self._globs, **{key: one for key, one in other._globs.items() if key not in self._globs}}
        self._named = {**other._named, **self._named}
        self.connections = {**other.connections, **self.connections}

    def wrapped(self, wrap: Callable[[Handler], Handler]) -> Handlers:
        """The same rules, each with what `wrap` makes of its handler; so will be what is built in later."""
        rules = Handlers()
        rules._exact = {key: wrap(one) for key, one in self._exact.items()}
        rules._globs = {key: wrap(one) for key, one in self._globs.items()}
        rules._named = {key: wrap(one) for key, one in self._named.items()}
        rules._emulator = self._emulator
        rules._emulated = None if self._emulated is None else wrap(self._emulated)
        rules._built_in = {key: wrap(one) for key, one in self._built_in.items()}
        rules._aws = None if self._aws is None else wrap(self._aws)
        rules._is_aws_allowed = self._is_aws_allowed
        rules.mocks, rules.connections = self.mocks, self.connections
        rules._unwrapped = self
        before = self._wrap
        rules._wrap = wrap if before is None else lambda handler: wrap(before(handler))
        return rules

    def _wrapped(self, handler: Handler) -> Handler:
        return handler if self._wrap is None else self._wrap(handler)

    def build_in(self, service: str, handler: Handler) -> None:
        """The engine itself does the Tasks of a service, such as `states`, for which there is no rule."""
        self._built_in[service] = self._wrapped(handler)

    def fall_back_on(self, emulator: LambdaEmulator) -> None:
        """Functions of this emulator do the Tasks that call them and for which there is no rule."""
        if self._emulator is not emulator:
            self._emulator, self._emulated = emulator, self._wrapped(make_handler("emulator:"))

    def call_aws(self, *, is_allowed: bool) -> None:
        """AWS does the Tasks for which there is no rule, and nothing here.

        Args:
            is_allowed: All of them; else only those of services for which another endpoint is configured
                (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_SQS`, ...). What was allowed once stays so.
        """
        if self._aws is None:
            self._aws = self._wrapped(make_handler("aws:"))
        self._is_aws_allowed |= is_allowed

    def without_rule(self, resource: Resource, function: str | None) -> Handler | None:
        """What does a Task that has no rule: the engine, a function of the emulator, if it is there now, or AWS.

        `function`: see `find`.
        """
        built_in = self._built_in.get(resource.service) if resource.kind == "service" else None
        if built_in is not None:
            return built_in
        name = resource.arn if resource.kind == "lambda" else function
        if self._emulator is not None and name is not None and self._emulator.has(name, None):
            return self._emulated
        return self._aws if self._aws is not None and self._leads_to_aws(resource) else None

    def _leads_to_aws(self, resource: Resource) -> bool:
        from engine.integrations.aws_actions import has_endpoint, is_outside

        return is_outside(resource) and (self._is_aws_allowed or has_endpoint(resource))

    def s3_account(self, state: str, resource: Resource, *, region: str, account: str) -> Account | None:
        """How S3 is reached for the files of a Distributed Map; None: it may not be.

        As for a Task of the same Resource, but that a rule which does not lead to AWS, such as a mock for all, says
        nothing of files.

        Args:
            state: Name of the Map state.
            resource: Of its ItemReader or ResultWriter.
            region: See `rule_for`.
            account: Likewise.
        """
        from engine.integrations.aws import Account
        from engine.integrations.aws_actions import AwsActions, has_own_endpoint

        rules = self
        while rules._unwrapped is not None:
            rules = rules._unwrapped
        handler = rules.rule_for(state, resource, None, region=region, account=account)
        if isinstance(handler, AwsActions):
            return handler.account._replace(service="s3")
        return Account("s3") if self._is_aws_allowed or has_own_endpoint("s3") else None

    def find(
        self, state: str, resource: Resource, function: str | None, *, region: str, account: str
    ) -> Handler | None:
        """The handler of a Task as things are now, or None; see `rule_for`."""
        rule = self.rule_for(state, resource, function, region=region, account=account)
        return rule or self.without_rule(resource, function)

    def rule_for(
        self, state: str, resource: Resource, function: str | None, *, region: str, account: str
    ) -> Handler | None:
        """The handler that the rules have for a Task, or None; always the same.

        Args:
            state: Name of the Task state.
            resource: Its Resource.
            function: The evaluated FunctionName of `lambda:invoke`.
            region: Of the execution; fills up the ARN of a function that is given by its name.
            account: Likewise.
        """
        names = list(_names(state, resource, function, region, account))
        for name in names:
            if name in self._exact:
                return self._exact[name]
        for name in names:
            handler = self._named.get(_folded(name))
            if handler is not None:
                return handler
        arns = [name for name in names if name.startswith("arn:")]
        for pattern, handler in self._globs.items():
            if pattern != _DEFAULT and any(fnmatchcase(arn, pattern) for arn in arns):
                return handler
        return self._globs.get(_DEFAULT)


def _names(state: str, resource: Resource, function: str | None, region: str, account: str) -> Iterator[str]:
    """What exact rules may call the Task, most specific first."""
    yield state
    if resource.kind == "lambda":
        function = resource.arn
    if function is not None:
        whole = function_arn(function, region, account)
        parts = whole.split(":")
        yield function
        yield whole
        if len(parts) > _FUNCTION_NAME_AT:  # else data that is no ARN, though it begins like one
            yield ":".join(parts[: _FUNCTION_NAME_AT + 1])
            yield ":".join(parts[_FUNCTION_NAME_AT:])
            yield parts[_FUNCTION_NAME_AT]
    if resource.kind == "activity":
        yield resource.action
    yield resource.arn


def make_handler(
    spec: Spec,
    *,
    process: bool = False,
    dask: bool | str = False,
    timeout_seconds: float | None = None,
    on_worker_loss: WorkerLoss | None = None,
    concurrency: int | None = None,
) -> Handler:
    """The Handler for a callable, a text or a Handler.

    Raises:
        ValueError: (InvalidJson among them) the text says something that cannot be.
        ImportError, AttributeError: `module:function` names nothing, or Dask is not installed.
        TypeError: It is neither of the three.
    """
    if on_worker_loss not in (None, "rerun", "fail"):
        raise ValueError(f'on_worker_loss: expected "rerun" or "fail", got {on_worker_loss!r}')
    if concurrency is not None and concurrency < 1:
        raise ValueError(f"concurrency: expected 1 or more, got {concurrency}")
    given = {"timeout_seconds": timeout_seconds, "on_worker_loss": on_worker_loss, "concurrency": concurrency}
    options: dict[str, Any] = {option: value for option, value in given.items() if value is not None}
    if isinstance(spec, str):
        kind, colon, rest = spec.partition(":")
        if not colon or not (rest or kind in _WITHOUT_A_NAME):
            raise ValueError(f"expected {TARGETS_EXPECTED}, got {spec!r}")
        if (process or dask) and kind in _NO_CALLABLES:
            raise ValueError(f"{'process=True' if process else 'dask='} is for Python callables, not for {spec!r}")
        if kind in _NO_CALLABLES:
            return _by_kind(kind, spec, options)
        if kind == "dask":
            return _on_dask(spec, process, dask, options)
        spec = _imported(kind, rest)
    if callable(spec) and not inspect.isclass(spec):
        if dask:
            return _on_dask(spec, process, dask, options)
        from engine.integrations.python_ import PythonCallable

        return PythonCallable(spec, process=process, **options)
    if not callable(getattr(spec, "run", None)) or not hasattr(spec, "fixed_answer"):
        raise TypeError(f"expected a callable, a text or a Handler, got {spec!r}")
    if process or dask or options:
        named = ", ".join(f"{option}=" for option in ("process", "dask", *given))
        raise ValueError(f"{named} are not for a Handler: {spec!r}")
    return cast("Handler", spec)


def _by_kind(kind: str, spec: str, options: dict[str, Any]) -> Handler:
    """The handler for a text that names no Python function. Raises ValueError."""
    if kind == "cmd":
        from engine.integrations.command import Command

        return Command(spec, **options)
    if kind in ("http", "https"):
        from engine.integrations.http_target import HttpTarget

        return HttpTarget(spec, **options)
    if kind == "aws":
        from engine.integrations.aws_actions import AwsActions

        if "timeout_seconds" in options:
            raise ValueError("timeout_seconds is for functions and commands; give the Task a TimeoutSeconds")
        return AwsActions(spec, **options)
    if kind in _WITHOUT_A_NAME:
        from engine.integrations.lambda_ import LambdaFunction

        return LambdaFunction(spec, **options)
    from engine.integrations import mock

    if options:
        raise ValueError(f"{next(iter(options))} is for what runs, not for {spec!r}")
    return mock.mock(spec) if kind == "mock" else mock.fail(spec)


def _on_dask(spec: Callable[..., Any] | str, process: bool, dask: bool | str, options: dict[str, Any]) -> Handler:
    """A callable, or `dask:module:function`, which only the cluster's workers have to be able to import."""
    from engine.integrations.dask_ import DaskCallable, parsed
    from engine.integrations.processes import reference_to
    from engine.settings import Settings

    if process:
        raise ValueError("process= and dask= exclude one another")
    scheduler = dask if isinstance(dask, str) else Settings.from_environment().dask_scheduler
    return DaskCallable(parsed(spec) if isinstance(spec, str) else reference_to(spec, "dask="), scheduler, **options)


def _imported(module: str, qualname: str) -> Callable[..., Any]:
    found: Any = importlib.import_module(module)
    for name in qualname.split("."):
        found = getattr(found, name)
    if not callable(found):
        raise TypeError(f"{module}:{qualname} is not callable")
    return cast("Callable[..., Any]", found)


def _public_functions(source: object) -> dict[str, Handler]:
    """The functions of a module that are its own, or the methods of an object, by their folded names.

    Raises:
        InvalidHandler: Two of them cannot be told apart, or one cannot be a handler.
    """
    handlers: dict[str, Handler] = {}
    for name, value in inspect.getmembers(source, inspect.isroutine):
        if name.startswith("_") or (isinstance(source, ModuleType) and value.__module__ != source.__name__):
            continue
        if _folded(name) in handlers:
            raise InvalidHandler(f"{source!r}: {name} and another function both fit the same states")
        try:
            handlers[_folded(name)] = make_handler(value)
        except ValueError as error:
            raise InvalidHandler(f"handler {name!r}: {error}") from error
    if not handlers:
        raise InvalidHandler(f"{source!r} has no public functions")
    return handlers


def _folded(name: str) -> str:
    """`Charge Card`, `charge-card`, `ChargeCard` and `charge_card` are one name."""
    return _NOT_ALPHANUMERIC.sub("", name).casefold()


@lru_cache(_ARNS_CACHED)
def account_of(state_machine_arn: str) -> str:
    """The account in an ARN that we minted."""
    arn = parse_arn(state_machine_arn)
    assert arn is not None, state_machine_arn
    return arn.account
