"""The days: `execution`, `closed_execution` and `history_segment` have a partition for each day (UTC) of their ids.

An id is a UUIDv7 and begins with the time of the start, so all rows of an execution are in partitions of one day, and
retention removes a day as a whole. The three partitions of a day are made together, at least a week ahead. What has no
partition falls into a DEFAULT one: nothing fails, but there a day cannot go as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg

if TYPE_CHECKING:
    from engine.store.postgres.connection import Connection

PARTITIONED = {"execution": "id", "closed_execution": "execution_id", "history_segment": "execution_id"}
"""The tables, and the column that says the day."""

DAYS_AHEAD = 8
"""Days to come that have partitions. A fleet may stand still for a week."""

DAY_MS = 86_400_000

LOCK_TIMEOUT_MS = 50
"""Whoever waits for a lock of a whole table makes everybody wait who comes after him. So nobody waits long, and tries
again another time."""

_EPOCH = date(1970, 1, 1)

_DAYS = """
select right(c.relname, 8) from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'asl.execution'::regclass and c.relname ~ '^execution_[0-9]{8}$' order by 1
"""

_TODAY = "select floor(extract(epoch from clock_timestamp()) / 86400)::int"


@dataclass(frozen=True, slots=True)
class Day:
    """One day in UTC. `number`: days since 1970-01-01."""

    number: int

    @property
    def label(self) -> str:
        """As in the names of partitions: 20240501."""
        return self.date.strftime("%Y%m%d")

    @property
    def date(self) -> date:
        """It."""
        return _EPOCH + timedelta(days=self.number)

    @property
    def first(self) -> UUID:
        """No id of this day is less."""
        return UUID(int=(self.number * DAY_MS) << 80)

    @property
    def end(self) -> UUID:
        """Every id of this day is less."""
        return Day(self.number + 1).first

    def partition(self, table: str) -> str:
        """The name of its partition."""
        return f"asl.{table}_{self.label}"


def days(connection: Connection) -> list[Day]:
    """The days that have partitions, oldest first."""
    found = connection.execute(_DAYS).fetchall()
    return [Day((date(int(label[:4]), int(label[4:6]), int(label[6:])) - _EPOCH).days) for (label,) in found]


def today(connection: Connection) -> Day:
    """The day by the store's clock."""
    return Day(connection.execute(_TODAY).fetchall()[0][0])


def make_days(connection: Connection, *, ahead: int = DAYS_AHEAD) -> list[Day]:
    """Makes the partitions that are missing, from today on; those that were made.

    A day that has rows in a DEFAULT partition already is left there: to move what is being written would stop all
    writers. A day whose tables are busy is left for another time.
    """
    known, first = set(days(connection)), today(connection).number
    missing = [day for day in map(Day, range(first, first + ahead + 1)) if day not in known]
    return [day for day in missing if not stray_rows(connection, day) and _make(connection, day)]


@dataclass(frozen=True, slots=True)
class Outlook:
    """How the days stand.

    Attributes:
        until: The last one that has partitions.
        is_short: Whether those of tomorrow are missing.
        has_strays: Whether rows of today are in a DEFAULT partition.
    """

    until: date | None
    is_short: bool
    has_strays: bool


def outlook(connection: Connection) -> Outlook:
    """How the days stand."""
    now, made = today(connection), days(connection)
    is_short = not made or made[-1].number <= now.number
    return Outlook(made[-1].date if made else None, is_short, stray_rows(connection, now))


def stray_rows(connection: Connection, day: Day) -> bool:
    """Whether rows of this day are in a DEFAULT partition."""
    questions = " or ".join(
        f"exists (select from asl.{table}_default where {key} >= $1 and {key} < $2)"
        for table, key in PARTITIONED.items()
    )
    return bool(connection.execute(f"select {questions}", (day.first, day.end)).fetchall()[0][0])


def _make(connection: Connection, day: Day) -> bool:
    """Makes the partitions of a day; whether it could be done now."""
    try:
        with connection.transaction():
            connection.execute(f"set local lock_timeout = {LOCK_TIMEOUT_MS}")
            for table in PARTITIONED:
                # CREATE TABLE ... PARTITION OF would lock the whole table; ATTACH stops no writer.
                name = day.partition(table)
                connection.execute(f"create table {name} (like asl.{table} including all)")
                connection.execute(
                    f"alter table asl.{table} attach partition {name} for values from ('{day.first}') to ('{day.end}')"
                )
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DuplicateTable, psycopg.errors.UniqueViolation):
        return False  # somebody reads a DEFAULT partition, or makes the same day
    except psycopg.errors.CheckViolation:
        return False  # its first row went into a DEFAULT partition just now
    return True
