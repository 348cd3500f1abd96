"""What the control plane asks of whoever keeps functions, layers and their code.

A **document** is all that is known of one function or of one layer, as JSON text: it is read and written as a whole,
and a write names the state that it was made of, so that of two changes at once one is told to look again. A **package**
is a zip, named by its SHA-256; it stays as long as a document names it.

Methods wait for whatever they need, so they are called in a thread where `is_remote`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NewType, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["function", "layer"]

Digest = NewType("Digest", str)
"""SHA-256 of a package, 64 hexadecimal digits in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Names a document. Names sort by code points."""

    kind: Kind
    account_id: str
    region: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One state of a function or layer.

    Attributes:
        tag: Names the state: no two writes of any document have the same.
        text: JSON.
        packages: Those that it needs.
        code_bytes: What it counts towards the account's code storage.
        handles: Other names under which the document is to be found: ids of function URLs.
        reserved: Concurrent executions that nobody else can have.
    """

    key: Key
    tag: str
    text: str
    packages: frozenset[Digest] = frozenset()
    code_bytes: int = 0
    handles: frozenset[str] = frozenset()
    reserved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the documents of one kind in one account and region come to."""

    count: int = 0
    code_bytes: int = 0
    reserved: int = 0


class FunctionStore(Protocol):
    """Keeps documents and packages; any thread.

    Every method raises StoreUnavailable when the world behind it is down.
    """

    @property
    def is_remote(self) -> bool:
        """Whether its methods wait for somebody."""
        ...

    def document(self, key: Key) -> Document | None:
        """The newest state."""
        ...

    def tag(self, key: Key) -> str | None:
        """Of the newest state: cheaper than the state."""
        ...

    def documents(self, like: Key, *, most: int) -> list[Document]:
        """Those of the same kind, account and region whose names come after `like.name`, by name."""
        ...

    def keys(self, kind: Kind) -> frozenset[Key]:
        """Of all documents of a kind, of whatever account and region."""
        ...

    def named_by(self, handle: str) -> Document | None:
        """The function that has this handle."""
        ...

    def usage(self, like: Key) -> Usage:
        """Of the kind, account and region of `like`."""
        ...

    def write(self, document: Document, *, instead_of: str | None, packages: Mapping[Digest, bytes]) -> bool:
        """Puts a state in place of the one with this tag (None: there must be none), with packages that it brings.

        Returns:
            Whether it was done. If not, the newest state is another one, and nothing was written.
        """
        ...

    def remove(self, key: Key, *, instead_of: str) -> bool:
        """As `write`: takes the document away."""
        ...

    def package(self, digest: Digest) -> bytes | None:
        """The bytes of a zip; None when no document has named it for a while."""
        ...

    def named_packages(self) -> frozenset[Digest]:
        """Those that any document, of whatever account, names."""
        ...

    def drop_packages(self) -> int:
        """Removes those that no document names, except the newest ones, whose document may be on its way.

        Returns:
            How many.
        """
        ...
