"""The store in PostgreSQL: one that is given by its URL, or one that the engine starts by itself."""
