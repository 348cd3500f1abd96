"""S3 for recorded conversations that put objects: an emulator, which the engine finds as it finds AWS."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLS = frozenset({"CreateBucket", "PutObject"})
"""Of S3, what conversations call themselves."""


@contextmanager
def object_store(region: str) -> Iterator[Any]:
    """An empty S3 and a client of it; this process's S3 is that one meanwhile."""
    import boto3
    import urllib3

    url = _server()
    urllib3.request("POST", f"{url}/moto-api/reset")
    environment = {"AWS_ENDPOINT_URL_S3": url, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    with patch.dict(os.environ, environment):
        client = boto3.session.Session().client("s3", region_name=region)
        yield client
        client.close()


@cache
def _server() -> str:
    """One for the process: its threads end with it."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # it tells of each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"
