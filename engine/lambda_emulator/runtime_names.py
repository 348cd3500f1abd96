"""Which runtimes Lambda takes. Which of them can run here is for the environments to say."""

from __future__ import annotations

RUNTIMES = (
    "nodejs20.x", "provided.al2023", "python3.12", "python3.13", "nodejs24.x", "nodejs22.x", "java17", "nodejs16.x",
    "dotnet8", "python3.10", "java11", "python3.11", "dotnet6", "python3.14", "java21", "nodejs18.x", "dotnet10",
    "java25", "provided.al2", "ruby3.3", "ruby3.4", "ruby3.2", "java8.al2", "python3.8", "python3.9",
    "nodejs26.x", "python3.15", "ruby4.0", "java8.al2023", "java11.al2023", "java17.al2023",
)  # fmt: skip
"""In the order in which AWS tells them, as far as that was recorded."""

DEPRECATED_RUNTIMES = frozenset(
    {
        "nodejs", "nodejs4.3", "nodejs4.3-edge", "nodejs6.10", "nodejs8.10", "nodejs10.x", "nodejs12.x", "nodejs14.x",
        "java8", "python2.7", "python3.6", "python3.7", "dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1",
        "dotnetcore3.1", "go1.x", "ruby2.5", "ruby2.7", "provided",
    }
)  # fmt: skip
"""Those of the service model that it knows but takes no more."""

_SNAP_STARTABLE = frozenset(
    {
        "java11", "java17", "java21", "java25", "java11.al2023", "java17.al2023", "python3.12", "python3.13",
        "python3.14", "python3.15", "dotnet8", "dotnet10",
    }
)  # fmt: skip


def is_snap_startable(runtime: str) -> bool:
    """Whether Lambda can make snapshots of it (lambda.md 7)."""
    return runtime in _SNAP_STARTABLE
