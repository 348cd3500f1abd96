"""Ports for servers that must be told one in advance."""

from __future__ import annotations

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """None of those that the kernel gives to other sockets by itself, which may have it before a test does."""
    while True:
        port = random.randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
