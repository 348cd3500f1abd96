"""Why items cannot be read or results not be written."""

from __future__ import annotations

ITEM_READER_FAILED = "States.ItemReaderFailed"
RESULT_WRITER_FAILED = "States.ResultWriterFailed"

ITEM_BYTES_MAX = 8 << 20
"""Of an item as it is read (asl.md 17.3). It bounds what is in memory, too."""


class DataFailed(Exception):
    """A file, an object or a listing is not there, not to be reached, or not what it should be. The text says which."""
