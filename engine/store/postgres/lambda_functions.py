"""The Lambda emulator's functions and layers, and their packages: a `FunctionStore` in the database.

A document is one row, and a write is one transaction: a package is touched or inserted first, so that whoever removes
those that nothing names waits for the row, sees that it is new, and leaves it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from engine.lambda_emulator.store import Digest, Document, Key, Usage
from engine.store.postgres.connection import NOW_MS, Pool
from engine.store.postgres.upgrade import require_current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.lambda_emulator.store import Kind
    from engine.store.postgres.connection import Connection, Row

_GRACE_MS = 3_600_000
"""How long a package that nothing names stays: the document that will name it may be on its way."""

_COLUMNS = "kind, account_id, region, name, tag, document, packages, code_bytes, handles, reserved"
_OF = "kind = $1 and account_id = $2 and region = $3"
_READ = f"select {_COLUMNS} from asl.lambda_document where {_OF} and name = $4"
_TAG = f"select tag from asl.lambda_document where {_OF} and name = $4"
_LIST = f"select {_COLUMNS} from asl.lambda_document where {_OF} and name > $4 order by name limit $5"
_KEYS = "select account_id, region, name from asl.lambda_document where kind = $1"
_NAMED_BY = f"select {_COLUMNS} from asl.lambda_document where handles @> array[$1::text]"
_USAGE = f"""
select count(*), coalesce(sum(code_bytes), 0)::bigint, coalesce(sum(reserved), 0)::bigint
from asl.lambda_document where {_OF}
"""

_INSERT = f"""
insert into asl.lambda_document ({_COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7::text[], $8, $9::text[], $10)
on conflict do nothing
"""
_UPDATE = f"""
update asl.lambda_document set tag = $5, document = $6, packages = $7::text[], code_bytes = $8, handles = $9::text[],
 reserved = $10
where {_OF} and name = $4 and tag = $11
"""
_DELETE = f"delete from asl.lambda_document where {_OF} and name = $4 and tag = $5"

_TOUCH = f"update asl.lambda_package set named_at = {NOW_MS} where digest = $1"
_INSERT_PACKAGE = f"""
insert into asl.lambda_package (digest, named_at, zip) values ($1, {NOW_MS}, $2)
on conflict (digest) do update set named_at = excluded.named_at
"""
_PACKAGE = "select zip from asl.lambda_package where digest = $1"
_NAMED = "select distinct unnest(packages) from asl.lambda_document"
_DROP = f"""
delete from asl.lambda_package p where p.named_at < {NOW_MS} - $1::bigint
and not exists (select from asl.lambda_document d where d.packages @> array[p.digest])
"""


class PostgresFunctionStore:
    """In the database of a URL; connections are made when they are needed, and closed by `close`."""

    is_remote = True

    def __init__(self, url: str, *, application_name: str = "asl functions", pooler: bool = False) -> None:
        """Args as of `PostgresStore`.

        Raises:
            SchemaMismatch, StoreUnavailable: As there.
        """
        self._pool = Pool(url, application_name, pooler=pooler)
        try:
            require_current(self._pool)
        except BaseException:
            self._pool.close()
            raise

    def close(self) -> None:
        """Closes the connections."""
        self._pool.close()

    def document(self, key: Key) -> Document | None:
        """See `FunctionStore`."""
        rows = self._pool.execute(_READ, _of(key))
        return _document(rows[0]) if rows else None

    def tag(self, key: Key) -> str | None:
        """See `FunctionStore`."""
        rows = self._pool.execute(_TAG, _of(key))
        return rows[0][0] if rows else None

    def documents(self, like: Key, *, most: int) -> list[Document]:
        """See `FunctionStore`."""
        return [_document(row) for row in self._pool.execute(_LIST, (*_of(like), most))]

    def keys(self, kind: Kind) -> frozenset[Key]:
        """See `FunctionStore`."""
        rows = self._pool.execute(_KEYS, (kind,))
        return frozenset(Key(kind=kind, account_id=row[0], region=row[1], name=row[2]) for row in rows)

    def named_by(self, handle: str) -> Document | None:
        """See `FunctionStore`."""
        rows = self._pool.execute(_NAMED_BY, (handle,))
        return _document(rows[0]) if rows else None

    def usage(self, like: Key) -> Usage:
        """See `FunctionStore`."""
        ((count, code_bytes, reserved),) = self._pool.execute(_USAGE, _of(like)[:3])
        return Usage(count=count, code_bytes=code_bytes, reserved=reserved)

    def write(self, document: Document, *, instead_of: str | None, packages: Mapping[Digest, bytes]) -> bool:
        """See `FunctionStore`."""
        given = (
            *_of(document.key),
            document.tag,
            document.text,
            sorted(document.packages),
            document.code_bytes,
            sorted(document.handles),
            document.reserved,
        )
        with self._pool.connection() as connection, connection.transaction() as transaction:
            for digest in sorted(packages):  # so that two writes at once do not wait for one another
                _put(connection, digest, packages[digest])
            if instead_of is None:
                written = connection.execute(_INSERT, given).rowcount
            else:
                written = connection.execute(_UPDATE, (*given, instead_of)).rowcount
            if not written:
                raise psycopg.Rollback(transaction)
        return bool(written)

    def remove(self, key: Key, *, instead_of: str) -> bool:
        """See `FunctionStore`."""
        with self._pool.connection() as connection:
            return bool(connection.execute(_DELETE, (*_of(key), instead_of)).rowcount)

    def package(self, digest: Digest) -> bytes | None:
        """See `FunctionStore`."""
        with self._pool.connection() as connection:
            # As bytes, not as their hexadecimal digits: a package may have 250 MB.
            row = connection.execute(_PACKAGE, (digest,), binary=True).fetchone()
        return None if row is None else bytes(row[0])

    def named_packages(self) -> frozenset[Digest]:
        """See `FunctionStore`."""
        return frozenset(Digest(row[0]) for row in self._pool.execute(_NAMED))

    def drop_packages(self) -> int:
        """See `FunctionStore`."""
        with self._pool.connection() as connection:
            return connection.execute(_DROP, (_GRACE_MS,)).rowcount


def _put(connection: Connection, digest: Digest, data: bytes) -> None:
    if not connection.execute(_TOUCH, (digest,)).rowcount:
        connection.execute(_INSERT_PACKAGE, (digest, psycopg.Binary(data)))


def _of(key: Key) -> tuple[str, str, str, str]:
    return key.kind, key.account_id, key.region, key.name


def _document(row: Row) -> Document:
    kind, account_id, region, name, tag, text, packages, code_bytes, handles, reserved = row
    return Document(
        key=Key(kind=kind, account_id=account_id, region=region, name=name),
        tag=tag,
        text=text,
        packages=frozenset(Digest(one) for one in packages),
        code_bytes=code_bytes,
        handles=frozenset(handles),
        reserved=reserved,
    )
