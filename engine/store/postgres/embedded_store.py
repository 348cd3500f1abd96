"""The store in the engine's own PostgreSQL server, which runs as long as somebody uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.store.postgres.embedded import EmbeddedPostgres
from engine.store.postgres.store import PostgresStore
from engine.store.postgres.upgrade import upgrade_if_needed

if TYPE_CHECKING:
    from pathlib import Path


class EmbeddedStore(PostgresStore):
    """A `Store` that starts its server when it is made, and is a user of it until it is closed."""

    def __init__(self, data_dir: Path) -> None:
        """Nobody else's tables are in there, so they are brought up to date without asking.

        Raises:
            EmbeddedPostgresError: The server cannot be used.
            SchemaMismatch: A newer engine has used it.
            StoreUnavailable: It went away again.
        """
        self._server = EmbeddedPostgres(data_dir).start()
        try:
            url = self._server.url()
            upgrade_if_needed(url)
            super().__init__(url)
            self._server.keep_up()
        except BaseException:
            self._server.close()
            raise

    def close(self) -> None:
        """See `Store.close`; the last user stops the server."""
        try:
            super().close()
        finally:
            self._server.close()
