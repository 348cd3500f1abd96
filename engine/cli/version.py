"""Which release this is."""

from __future__ import annotations


def version() -> str:
    """The installed version, or what it is when nothing is installed: a source tree."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("asl-engine")
    except PackageNotFoundError:
        return "0+source"
