"""A Task that no execution waits for, done by a worker of a database; a client has nobody to do it."""

from __future__ import annotations

import pytest

from engine import MissingHandler, blocking

TASK = {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f", "End": True}


def test_a_worker_does_it_and_a_client_cannot(url: str) -> None:
    with blocking.Engine(url, handlers={"f": lambda event: event["n"] + 1}) as worker:
        assert worker.test_state(TASK, {"n": 1}).output == 2
    with blocking.Engine(url) as client, pytest.raises(MissingHandler):
        client.test_state(TASK, {"n": 1})
