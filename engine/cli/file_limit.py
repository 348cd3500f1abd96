"""How many files and connections a process that serves may have open."""

from __future__ import annotations

from contextlib import suppress

FILES_MAX = 65_536
"""A thousand invocations of Lambda, as many clients and the database, many times over. Linux begins with 1,024."""


def raise_file_limit() -> None:
    """Sets the soft limit to the hard one, or to FILES_MAX; what it is stays where the system has no such limits."""
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # macOS has a limit of its own below that
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
