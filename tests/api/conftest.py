"""Servers of the API as processes, over a database of each test's own."""

from tests.cli.conftest import cluster, fleet, new_database, url

__all__ = ["cluster", "fleet", "new_database", "url"]
