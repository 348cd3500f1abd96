"""Every environment variable that the engine reads, read once into a frozen value.

ASL_REGION, else AWS_REGION, else AWS_DEFAULT_REGION    region in the ARNs we mint; default `us-east-1`
ASL_ACCOUNT_ID                                          account in the ARNs we mint; default `000000000000`
ASL_DATABASE_URL                                        the PostgreSQL database that durable executions are in
ASL_POOLER                                              1: that URL is one of a pooler in transaction mode
ASL_DASK_SCHEDULER                                      the Dask cluster that `dask:` handlers run on
SFN_MOCK_CONFIG                                         the mock configuration, as Step Functions Local has it
AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_*                    where the emulator's functions find other services: as we do
AWS_ENDPOINT_URL_EXECUTE_API                            where `apigateway:invoke` finds APIs, in place of AWS's
AWS_ENDPOINT_URL_LAMBDA                                 where `emulator:` handlers find the Lambda emulator
ASL_HEALTH                                              where workers and servers answer probes: HOST:PORT
ASL_EVENTS                                              whom workers tell of changes of status, separated by blanks
ASL_LOGS                                                where they write the records of logging configurations
ASL_LAMBDA_TIMEOUT_MAX                                  seconds that a function's Timeout may be; default 900, Lambda's
ASL_LAMBDA_MEMORY_MAX                                   MB that its MemorySize may be; default 10240, Lambda's
ASL_MAP_FILES                                           folders that `file:` readers and writers of Distributed Maps
                                                        may use, as PATH has them; default: the working directory
ASL_ACCESS_KEYS                                         the file of access keys that requests of the API are signed with

`DATABASE_URL` is never read: it is the user's application's.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

REGION = "us-east-1"
ACCOUNT_ID = "000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says; an argument given to the engine goes before it.

    Attributes:
        map_files: None: the working directory.
        endpoints: The variables themselves, by name.
    """

    region: str = REGION
    account_id: str = ACCOUNT_ID
    database_url: str | None = None
    health: str | None = None
    events: tuple[str, ...] = ()
    logs: str | None = None
    pooler: str | None = None
    dask_scheduler: str | None = None
    access_keys: str | None = None
    lambda_endpoint: str | None = None
    mock_config: str | None = None
    lambda_timeout_max: str | None = None
    lambda_memory_max: str | None = None
    map_files: tuple[str, ...] | None = None
    endpoints: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Reads `environment`, by default that of the process. A variable that is set but empty counts as absent."""
        given = os.environ if environment is None else environment
        read = given.get
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
            lambda_endpoint=read("AWS_ENDPOINT_URL_LAMBDA") or None,
            mock_config=read("SFN_MOCK_CONFIG") or None,
            lambda_timeout_max=read("ASL_LAMBDA_TIMEOUT_MAX") or None,
            lambda_memory_max=read("ASL_LAMBDA_MEMORY_MAX") or None,
            map_files=tuple(filter(None, (read("ASL_MAP_FILES") or "").split(os.pathsep))) or None,
            endpoints={name: url for name, url in given.items() if name.startswith("AWS_ENDPOINT_URL") and url},
        )

    @property
    def has_pooler(self) -> bool:
        """Whether the database is behind a pooler in transaction mode. Raises ValueError: neither yes nor no."""
        if self.pooler not in (None, "0", "1"):
            raise ValueError(f"ASL_POOLER: expected 1 or 0, got {self.pooler!r}")
        return self.pooler == "1"
