"""moto's server, in a thread of this process: many services of AWS, in memory.

One for the whole process, started when it is first asked for; it ends with the process. Who needs it empty empties it.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING
from unittest.mock import patch

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION = "us-east-1"


@contextmanager
def moto_server() -> Iterator[str]:
    """Its URL, with nothing in any service."""
    import urllib3

    url = _url()
    urllib3.request("POST", f"{url}/moto-api/reset")
    yield url


@cache
def _url() -> str:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # it tells of each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


def environment_of(url: str, region: str = REGION) -> dict[str, str]:
    """Variables that make a server everything that AWS is."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": region,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


@contextmanager
def moto_as_aws(region: str = REGION) -> Iterator[str]:
    """Its URL, with nothing in any service; meanwhile it is AWS for all that reads AWS's configuration."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with moto_server() as url, patch.dict(os.environ, {**others, **environment_of(url, region)}, clear=True):
        yield url
