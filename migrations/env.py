"""How alembic runs here: over the connection that `engine.store.postgres.upgrade` gives, in one transaction.

Forward only. The version table is in the schema `asl` like everything of ours, so that the database may be the user's.
"""

from alembic import context

context.configure(connection=context.config.attributes["connection"], version_table_schema="asl")
with context.begin_transaction():
    context.run_migrations()
