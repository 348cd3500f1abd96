"""The functions and layers of the Lambda emulator, and their deployment packages.

Runs before the code that needs it. Locks nothing that was there before.
"""

from alembic import op

revision = "0009"
down_revision = "0008"

_STATEMENTS = (
    """
    create table asl.lambda_document (
        kind text collate "C" not null,
        account_id text collate "C" not null,
        region text collate "C" not null,
        name text collate "C" not null,
        tag text not null,
        document text not null,
        packages text[] not null,
        code_bytes bigint not null,
        handles text[] not null,
        reserved integer not null,
        primary key (kind, account_id, region, name)
    )
    """,
    "create index lambda_document_by_handle on asl.lambda_document using gin (handles)",
    "create index lambda_document_by_package on asl.lambda_document using gin (packages)",
    """
    create table asl.lambda_package (
        digest text collate "C" not null primary key,
        named_at bigint not null,
        zip bytea not null
    )
    """,
    # Zips cannot be compressed again.
    "alter table asl.lambda_package alter column zip set storage external",
)


def upgrade() -> None:
    """Makes the tables."""
    for statement in _STATEMENTS:
        op.execute(statement)
