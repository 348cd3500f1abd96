"""moto's server in place of AWS, and clients of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.moto_server import environment_of, moto_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes a boto3 client; this process's AWS is moto."""
    import boto3

    with moto_server() as url:
        for name, value in environment_of(url).items():
            monkeypatch.setenv(name, value)
        yield boto3.session.Session().client
