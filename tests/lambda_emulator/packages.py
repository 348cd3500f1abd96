"""Zips for tests."""

from __future__ import annotations

import io
import stat
import zipfile

HANDLER = "def handler(event, context):\n    return event\n"


def zipped(files: dict[str, str | bytes] | None = None, *, links: dict[str, str] | None = None) -> bytes:
    """A zip of these files, and symbolic links; by default of a function that answers its event."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in ({"app.py": HANDLER} if files is None else files).items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
        for name, target in (links or {}).items():
            entry = zipfile.ZipInfo(name)
            entry.create_system = 3
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, target)
    return buffer.getvalue()
