"""Which program runs a function, and which variables it finds (lambda.md 5.1)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from engine.lambda_emulator.spawning import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.lambda_emulator.functions import FunctionVersion

Initialization = Literal["on-demand", "provisioned-concurrency", "snap-start"]

_FAMILY: Final = re.compile(r"(python|nodejs|provided)(?:(\d[\d.]*)(?:\.x)?|\.al\d+(?:\.\d+)?)?")
_SNAP_STARTED = "python"

CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "ASIAEMULATEDFUNCTION",
    "AWS_SECRET_ACCESS_KEY": "emulated",
    "AWS_SESSION_TOKEN": "emulated",
}
"""What functions sign with unless they are given others: no service of AWS takes them."""


class UnsupportedRuntime(ValueError):
    """A runtime that cannot be run here; the text says what to do."""


class CannotRun(Exception):
    """A function has nothing that could be run.

    Attributes:
        error_type: `Runtime.InvalidEntrypoint` and the like (lambda.md 2.2).
    """

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.message = message


@dataclass(frozen=True, slots=True)
class Programs:
    """Which programs run functions.

    Attributes:
        interpreters: By runtime (`python3.12`, `nodejs20.x`) or family (`python`, `nodejs`). Python without an entry is
            `pythonX.Y` of the PATH, else the interpreter that runs the emulator, whatever its version.
        variables: Set for every function, before its own: credentials, endpoints of other emulators.
    """

    interpreters: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    def check(self, runtime: str) -> None:
        """Whether functions of this runtime can be run here. Raises UnsupportedRuntime."""
        if _family(runtime) != "provided":
            self.interpreter(runtime)

    def hidden(self) -> str | None:
        """The first of the interpreters that is below /tmp: where a function has its own /tmp, it cannot be started."""
        known = (sys.executable, sys.base_prefix, *self.interpreters.values())
        return next((path for path in known if _is_below_tmp(path)), None)

    def interpreter(self, runtime: str) -> str:
        """The program that runs its functions. Raises UnsupportedRuntime."""
        family = _family(runtime)
        given = self.interpreters.get(runtime) or self.interpreters.get(family)
        found = given or _found(runtime, family)
        if found is None or shutil.which(found) is None:
            raise UnsupportedRuntime(
                f"runtime {runtime}: {found or 'node'} was not found; install it, or say where the interpreter is"
            )
        return found


def _is_below_tmp(path: str) -> bool:
    return any(place.startswith("/tmp/") for place in (os.path.abspath(path), os.path.realpath(path)))  # noqa: S108


def _family(runtime: str) -> str:
    match = _FAMILY.fullmatch(runtime)
    if match is None:
        raise UnsupportedRuntime(
            f"runtime {runtime} is not run by this emulator; expected python3.*, nodejs* or provided*: package the "
            f"function with a `bootstrap` for provided.al2023, or run its container image and give the URL of that"
        )
    return match[1]


@cache
def _found(runtime: str, family: str) -> str | None:
    if family == "nodejs":
        return shutil.which("node")
    if runtime == f"python{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    return _real(shutil.which(runtime)) or sys.executable


def _real(program: str | None) -> str | None:
    """The interpreter behind a name: managers of versions put scripts of theirs there, slow or for nothing at all."""
    if program is None:
        return None
    try:
        said = subprocess.run(  # noqa: S603  a program of the PATH, once
            [program, "-I", "-c", "import sys; print(sys.executable)"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.stdout.strip() or None


def command(
    version: FunctionVersion, programs: Programs, *, task: Path, layers: list[Path], namespace: bool
) -> list[str]:
    """The program and its arguments, as the process sees them.

    Args:
        task: The unpacked code.
        layers: Unpacked too.
        namespace: Whether the process has a view of its own of the files (confinement.py).

    Raises:
        CannotRun: The package lacks what its runtime needs.
        UnsupportedRuntime: Nothing here runs it.
    """
    runtime = version.runtime or "provided"
    family = _family(runtime)
    outside = Path("/var/runtime") if namespace else OUTSIDE
    if family == "python":
        # -u: what a child of the function writes by the same descriptor must not overtake it.
        arguments = [programs.interpreter(runtime), "-u", str(outside / "bootstrap_python.py")]
    elif family == "nodejs":
        arguments = [programs.interpreter(runtime), str(outside / "bootstrap_node.mjs")]
    else:
        places = [(task, "/var/task")] + [(layer, "/opt") for layer in reversed(layers)]
        found = next(((real, seen) for real, seen in places if (real / "bootstrap").is_file()), None)
        if found is None:
            text = "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
            raise CannotRun("Runtime.InvalidEntrypoint", text)
        arguments = [f"{found[1] if namespace else found[0]}/bootstrap"]
    if family != "provided" and namespace and _is_below_tmp(arguments[0]):
        text = f"{arguments[0]} is below /tmp, of which functions have their own: install the interpreter elsewhere"
        raise CannotRun("Runtime.InvalidEntrypoint", text)
    wrapper = version.environment.get("AWS_LAMBDA_EXEC_WRAPPER")
    return arguments if not wrapper else [wrapper, *arguments]


def new_log_stream(version: FunctionVersion) -> str:
    """`2026/01/31/[$LATEST]<32 hex>`, in UTC."""
    return f"{time.strftime('%Y/%m/%d', time.gmtime())}/[{version.version}]{uuid.uuid4().hex}"


def can_snap_start(runtime: str | None) -> bool:
    """Whether snapshots of its functions can be made here."""
    return runtime is not None and runtime.startswith(_SNAP_STARTED)


def variables(
    version: FunctionVersion,
    programs: Programs,
    *,
    address: str,
    log_stream: str,
    initialization: Initialization,
    task: Path,
    layers: list[Path],
    namespace: bool,
) -> dict[str, str]:
    """All variables of a process of the function.

    Args:
        address: `host:port` of its Runtime API.
        task: See `command`; `layers` and `namespace` too.
    """
    system = os.environ.get
    runtime = version.runtime or "provided"
    is_snap_start = initialization == "snap-start"
    root = "/var/task" if namespace else str(task)
    outside = "/var/runtime" if namespace else str(OUTSIDE)
    opt = ["/opt"] if namespace else [str(layer) for layer in reversed(layers)]
    libraries = [f"{outside}", f"{root}", f"{root}/lib", *(f"{one}/lib" for one in opt)]
    # The machine's comes first: its interpreter may need it.
    library_path = [path for path in (system("LD_LIBRARY_PATH"), *libraries) if path]
    found: dict[str, str] = {
        "AWS_REGION": version.region,
        "AWS_DEFAULT_REGION": version.region,
        "AWS_LAMBDA_FUNCTION_NAME": version.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(version.memory_size),
        "AWS_LAMBDA_FUNCTION_VERSION": version.version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": initialization,
        "AWS_LAMBDA_LOG_GROUP_NAME": version.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "AWS_LAMBDA_RUNTIME_API": address,
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "169.254.79.129:2000",
        "_HANDLER": version.handler or "",
        "LAMBDA_TASK_ROOT": root,
        "LAMBDA_RUNTIME_DIR": outside,
        "LANG": "en_US.UTF-8",
        "LC_CTYPE": "C.UTF-8",
        "LD_LIBRARY_PATH": ":".join(library_path),
        "PATH": ":".join(
            [str(Path(sys.executable).parent), "/usr/local/bin:/usr/bin:/bin", *(f"{o}/bin" for o in opt)]
        ),
        "PWD": root,
        "SHLVL": "0",
        "TZ": ":UTC",
        **CREDENTIALS,
    }
    family = _family(runtime)
    if family != "provided":
        found["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{runtime}"
    if family == "python":
        found["PYTHONPATH"] = ":".join([outside] if namespace else [*(f"{one}/python" for one in opt), outside])
    if family == "nodejs":
        parts = [f"{one}/nodejs/node_modules" for one in opt] + [f"{outside}/node_modules", outside, root]
        found["NODE_PATH"] = ":".join(parts)
    if version.logging_config.log_format == "JSON":
        found["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        if version.logging_config.application_log_level is not None:
            found["AWS_LAMBDA_LOG_LEVEL"] = version.logging_config.application_log_level
    found |= programs.variables
    if is_snap_start:
        for name in ("AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_FUNCTION_VERSION"):
            del found[name]  # they would be the snapshot's
    found.update(version.environment)
    return found


def credentials_of(programs: Programs) -> dict[str, str]:
    """The JSON that a SnapStart function fetches its credentials as (lambda.md 5.1)."""
    found = {**CREDENTIALS, **programs.variables}
    return {
        "AccessKeyId": found["AWS_ACCESS_KEY_ID"],
        "SecretAccessKey": found["AWS_SECRET_ACCESS_KEY"],
        "Token": found["AWS_SESSION_TOKEN"],
        "Expiration": "2099-01-01T00:00:00Z",
    }


def fetched_credentials(found: dict[str, str]) -> None:
    """Puts the place to fetch credentials from where the credentials stood."""
    for name in CREDENTIALS:
        found.pop(name, None)
    found["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"http://{found['AWS_LAMBDA_RUNTIME_API']}/credentials"
    found["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = uuid.uuid4().hex
