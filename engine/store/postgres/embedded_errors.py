"""What can be wrong with the embedded server. Each text says what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

OTHER_DATABASE = "give the URL of a PostgreSQL server (--db URL or ASL_DATABASE_URL)"


class EmbeddedPostgresError(Exception):
    """The embedded server cannot be used; nothing was lost."""


class NoEmbeddedPostgres(EmbeddedPostgresError):
    """There are no server binaries that run here and fit the data directory."""


class EmbeddedPostgresInUse(EmbeddedPostgresError):
    """The server is not stopped, because somebody uses it.

    Attributes:
        users: How many.
    """

    def __init__(self, data_dir: object, process_ids: Sequence[int]) -> None:
        self.users = len(process_ids)
        processes = ", ".join(map(str, process_ids))
        super().__init__(
            f"the PostgreSQL server in {data_dir} has {self.users} user{'s' * (self.users > 1)}"
            f" (process{'es' * (self.users > 1)} {processes}): stop them first, or force it"
        )
