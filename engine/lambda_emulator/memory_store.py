"""A `FunctionStore` for one process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from engine.lambda_emulator.store import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.lambda_emulator.store import Digest, Document, Key, Kind


class MemoryFunctionStore:
    """Keeps nothing beyond the process."""

    is_remote = False

    def __init__(self) -> None:
        self._documents: dict[Key, Document] = {}
        self._packages: dict[Digest, bytes] = {}
        self._lock = threading.RLock()

    def document(self, key: Key) -> Document | None:
        """See `FunctionStore`."""
        return self._documents.get(key)

    def tag(self, key: Key) -> str | None:
        """See `FunctionStore`."""
        found = self._documents.get(key)
        return None if found is None else found.tag

    def documents(self, like: Key, *, most: int) -> list[Document]:
        """See `FunctionStore`."""
        found = [one for one in self._alike(like) if one.key.name > like.name]
        return sorted(found, key=lambda one: one.key.name)[:most]

    def keys(self, kind: Kind) -> frozenset[Key]:
        """See `FunctionStore`."""
        with self._lock:
            return frozenset(key for key in self._documents if key.kind == kind)

    def named_by(self, handle: str) -> Document | None:
        """See `FunctionStore`."""
        with self._lock:
            return next((one for one in self._documents.values() if handle in one.handles), None)

    def usage(self, like: Key) -> Usage:
        """See `FunctionStore`."""
        found = self._alike(like)
        return Usage(
            count=len(found),
            code_bytes=sum(one.code_bytes for one in found),
            reserved=sum(one.reserved for one in found),
        )

    def _alike(self, like: Key) -> list[Document]:
        of = (like.kind, like.account_id, like.region)
        with self._lock:
            found = list(self._documents.values())
        return [one for one in found if (one.key.kind, one.key.account_id, one.key.region) == of]

    def write(self, document: Document, *, instead_of: str | None, packages: Mapping[Digest, bytes]) -> bool:
        """See `FunctionStore`."""
        with self._lock:
            if self.tag(document.key) != instead_of:
                return False
            self._documents[document.key] = document
            self._packages |= packages
            assert document.packages <= self._packages.keys(), "a document brings the packages that it names"
            return True

    def remove(self, key: Key, *, instead_of: str) -> bool:
        """See `FunctionStore`."""
        with self._lock:
            if self.tag(key) != instead_of:
                return False
            del self._documents[key]
            return True

    def package(self, digest: Digest) -> bytes | None:
        """See `FunctionStore`."""
        return self._packages.get(digest)

    def named_packages(self) -> frozenset[Digest]:
        """See `FunctionStore`."""
        with self._lock:
            return frozenset().union(*(one.packages for one in self._documents.values()))

    def drop_packages(self) -> int:
        """See `FunctionStore`. Documents come with their packages here, so there is none on its way."""
        with self._lock:
            unnamed = self._packages.keys() - self.named_packages()
            for digest in unnamed:
                del self._packages[digest]
            return len(unnamed)
