"""The exit codes of every command."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a shell script may rely on; of many executions the highest code counts."""

    SUCCEEDED = 0
    USAGE = 1
    """The command line, a file it names, the input or the definition is wrong; nothing ran."""
    FAILED = 2
    """The execution failed; `asl eval`: the expression did, or gave nothing."""
    TIMED_OUT = 3
    ABORTED = 4
    """The execution was stopped, or the user interrupted the command."""
    UNFIT = 75
    """`asl worker`: this process is not fit to go on and wants to be started anew (EX_TEMPFAIL)."""
    INTERNAL = 70
    """The engine's own fault (EX_SOFTWARE of sysexits.h)."""


EXIT_OF_STATUS = {
    "SUCCEEDED": ExitCode.SUCCEEDED,
    "FAILED": ExitCode.FAILED,
    "TIMED_OUT": ExitCode.TIMED_OUT,
    "ABORTED": ExitCode.ABORTED,
}
"""By AWS's status of an execution that is over."""
