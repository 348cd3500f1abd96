"""Whose credentials a test calls AWS with: never those of the machine that it runs on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is said of AWS, by the environment or by files, nor of proxies and authorities."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "SSL_CERT_")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


def with_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `without_credentials`, but for a key of the environment."""
    without_credentials(monkeypatch)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
