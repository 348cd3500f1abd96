"""Every environment variable that the engine reads, read once into a frozen value.

ASL_REGION, else AWS_REGION, else AWS_DEFAULT_REGION    region in the ARNs we mint; default `us-east-1`
ASL_ACCOUNT_ID                                          account in the ARNs we mint; default `000000000000`
ASL_DATABASE_URL                                        the PostgreSQL database that durable executions are in
ASL_POOLER                                              1: that URL is one of a pooler in transaction mode
ASL_DASK_SCHEDULER                                      the Dask cluster that `dask:` handlers run on
ASL_HEALTH                                              where workers and servers answer probes: HOST:PORT
ASL_EVENTS                                              whom workers tell of changes of status, separated by blanks
ASL_LOGS                                                where they write the records of logging configurations
ASL_ACCESS_KEYS                                         the file of access keys that requests of the API are signed with

`DATABASE_URL` is never read: it is the user's application's.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

REGION = "us-east-1"
ACCOUNT_ID = "000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says; an argument given to the engine goes before it."""

    region: str = REGION
    account_id: str = ACCOUNT_ID
    database_url: str | None = None
    health: str | None = None
    events: tuple[str, ...] = ()
    logs: str | None = None
    pooler: str | None = None
    dask_scheduler: str | None = None
    access_keys: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Reads `environment`, by default that of the process. A variable that is set but empty counts as absent."""
        read = (os.environ if environment is None else environment).get
        return cls(
            region=read("ASL_REGION") or read("AWS_REGION") or read("AWS_DEFAULT_REGION") or REGION,
            account_id=read("ASL_ACCOUNT_ID") or ACCOUNT_ID,
            database_url=read("ASL_DATABASE_URL") or None,
            health=read("ASL_HEALTH") or None,
            events=tuple((read("ASL_EVENTS") or "").split()),
            logs=read("ASL_LOGS") or None,
            pooler=read("ASL_POOLER") or None,
            dask_scheduler=read("ASL_DASK_SCHEDULER") or None,
            access_keys=read("ASL_ACCESS_KEYS") or None,
        )

    @property
    def has_pooler(self) -> bool:
        """Whether the database is behind a pooler in transaction mode. Raises ValueError: neither yes nor no."""
        if self.pooler not in (None, "0", "1"):
            raise ValueError(f"ASL_POOLER: expected 1 or 0, got {self.pooler!r}")
        return self.pooler == "1"
