"""Fixtures of what reads and writes data of Distributed Maps."""

from tests.events.conftest import aws
from tests.map_data.sources import folder

__all__ = ["aws", "folder"]
