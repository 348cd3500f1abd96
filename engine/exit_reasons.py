"""How Lambda says that the process of a function has ended (lambda.md 2.2)."""

from __future__ import annotations

import signal

_SIGNAL_TEXTS = {
    # As the platform's language names them, which is not Python's way.
    signal.SIGKILL: "killed",
    signal.SIGTERM: "terminated",
    signal.SIGINT: "interrupt",
    signal.SIGHUP: "hangup",
    signal.SIGABRT: "aborted",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGILL: "illegal instruction",
    signal.SIGTRAP: "trace/breakpoint trap",
    signal.SIGPIPE: "broken pipe",
    signal.SIGALRM: "alarm clock",
    signal.SIGUSR1: "user defined signal 1",
    signal.SIGUSR2: "user defined signal 2",
    signal.SIGXCPU: "CPU time limit exceeded",
    signal.SIGXFSZ: "file size limit exceeded",
}


def exit_reason(status: int | None) -> str:
    """The reason in AWS's words. `status` as `os.waitstatus_to_exitcode` has it; None: it is not known."""
    if not status:
        return "Runtime exited without providing a reason"
    if status > 0:
        return f"Runtime exited with error: exit status {status}"
    return f"Runtime exited with error: signal: {_signal_text(-status)}"


def _signal_text(number: int) -> str:
    try:
        return _SIGNAL_TEXTS[signal.Signals(number)]
    except (ValueError, KeyError):
        return f"signal {number}"
