"""A server for the session, and a database with our tables that is empty for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from engine.store.postgres.store import PostgresStore
from engine.store.postgres.upgrade import upgrade
from tests.store.postgres.cluster import Cluster, running_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as running:
        yield running


@pytest.fixture(scope="session")
def url_with_tables(cluster: Cluster) -> str:
    with psycopg.connect(cluster.url(), autocommit=True) as admin:
        admin.execute("create database asl")
    upgrade(cluster.url("asl"))
    return cluster.url("asl")


@pytest.fixture
def url(url_with_tables: str) -> Iterator[str]:
    yield url_with_tables
    with psycopg.connect(url_with_tables, autocommit=True) as admin:
        # Whatever a test left behind must not hold the tables.
        admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
        # Only those that were written: there are a partition of each table for each day.
        tables = admin.execute(
            "select string_agg(oid::regclass::text, ', ') from pg_class where relnamespace = 'asl'::regnamespace "
            "and relkind = 'r' and relname <> 'alembic_version' and pg_relation_size(oid) > 0"
        ).fetchall()[0][0]
        if tables is not None:
            admin.execute(f"truncate {tables}".encode())


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    opened = PostgresStore(url)
    yield opened
    opened.close()


@pytest.fixture
def database(url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """For looking behind the store."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
