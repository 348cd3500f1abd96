"""Finds the measuring data that is kept outside the project: recordings of the real service and public corpora.

A user's checkout does not have it, so tests that need it are skipped there, and say so.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(os.environ.get("ASL_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared")


def shared(*parts: str) -> Path:
    """The path of a file or folder of the measuring data; skips the calling test (or module) when it is not there."""
    path = ROOT.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"measuring data not found: {path} (set ASL_SHARED_DATA to its folder)", allow_module_level=True)
    return path


def json_lines(*parts: str) -> list[dict[str, Any]]:
    """The cases of a `.jsonl` file of the measuring data."""
    with shared(*parts).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
