"""Functions and layers, for operations: records of documents, cached, changed one change at a time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

import anyio.to_thread

from engine.lambda_emulator.errors import ResourceConflictException
from engine.lambda_emulator.records import FunctionRecord, LayerRecord, Record, document_of, record_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.lambda_emulator.functions import Code, FunctionVersion
    from engine.lambda_emulator.store import Digest, Document, FunctionStore, Key, Usage

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", FunctionRecord, LayerRecord)

FRESH_SECONDS = 1.0
"""How old what an invocation goes by may be, where several servers use one database."""

_ATTEMPTS_MAX = 20
"""How often a change is made anew because others changed the same function. One of them gets through each time."""

NO_PACKAGES: Mapping[Digest, bytes] = {}


@dataclass(slots=True)
class _Known:
    tag: str
    record: Record
    checked_at: float


class Library:
    """Answers from the newest state, but for what has `lately` in its name.

    Attributes:
        under_way: What this process prepares: function, and version or what else.
        function_versions: Made of configurations, by function, version and `content_id`.
    """

    def __init__(self, store: FunctionStore, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._monotonic = monotonic
        self._known: dict[Key, _Known] = {}
        self._local: dict[Key, tuple[FunctionRecord, Code]] = {}
        self._usage: dict[Key, tuple[Usage, float]] = {}
        self._names: frozenset[Key] = frozenset()
        self.under_way: set[tuple[Key, str]] = set()
        self.function_versions: dict[tuple[Key, str, str], FunctionVersion] = {}

    async def ask(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls a method of the store, in a thread if it waits for somebody."""
        if not self._store.is_remote:
            return function(*args, **kwargs)
        return await anyio.to_thread.run_sync(lambda: function(*args, **kwargs))

    # ── functions of this process alone ─────────────────────────────────────────────────────────────────────────────

    def put_local(self, record: FunctionRecord, code: Code) -> None:
        """Shows a function that no store knows, with files that are not packed; a function of its name is hidden.

        Put again with another `revision_id`, its environments are retired.
        """
        self._local[record.key] = (record, code)

    def remove_local(self, key: Key) -> None:
        """Takes it away."""
        del self._local[key]

    def local_code(self, key: Key) -> Code | None:
        """The files of such a function."""
        found = self._local.get(key)
        return None if found is None else found[1]

    # ── functions ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def function(self, key: Key) -> FunctionRecord | None:
        """A function as it is."""
        if key in self._local:
            return self._local[key][0]
        return cast("FunctionRecord | None", await self._newest(key))

    async def lately(self, key: Key) -> FunctionRecord | None:
        """A function as it was a moment ago: what this process changed is seen at once, what others did in a second."""
        if key in self._local:
            return self._local[key][0]
        known = self._known.get(key)
        if known is None:
            return cast("FunctionRecord | None", await self._newest(key))
        if self._store.is_remote and self._monotonic() - known.checked_at < FRESH_SECONDS:
            return cast("FunctionRecord", known.record)
        now = self._monotonic()
        if await self.ask(self._store.tag, key) != known.tag:
            return cast("FunctionRecord | None", await self._newest(key))
        known.checked_at = now
        return cast("FunctionRecord", known.record)

    def knows(self, key: Key) -> bool:
        """Whether there is such a function, as of a second ago where several servers use one database."""
        return key in self._local or key in self._known or key in self._names

    async def learn_names(self) -> None:
        """Lets `knows` know; called each second while the emulator runs."""
        self._names = await self.ask(self._store.keys, "function")
        for key in self._known.keys() - self._names:
            if key.kind == "function":
                await self._newest(key)

    async def functions(self, like: Key, *, most: int) -> list[FunctionRecord]:
        """Those of the account and region whose names come after `like.name`, by name."""
        found = {one.key: self._take(one) for one in await self.ask(self._store.documents, like, most=most)}
        of = (like.account_id, like.region)
        for key, (record, _) in self._local.items():
            if (key.account_id, key.region) == of and key.name > like.name:
                found[key] = record
        return [cast("FunctionRecord", found[key]) for key in sorted(found, key=lambda key: key.name)[:most]]

    async def named_by(self, url_id: str) -> FunctionRecord | None:
        """The function that has a URL with this id."""
        document = await self.ask(self._store.named_by, url_id)
        return None if document is None else cast("FunctionRecord", self._take(document))

    async def change_function(
        self,
        key: Key,
        edit: Callable[[FunctionRecord | None], FunctionRecord | None],
        *,
        packages: Mapping[Digest, bytes] = NO_PACKAGES,
    ) -> FunctionRecord | None:
        """Changes, makes (from None) or removes (to None) a function.

        Args:
            edit: Of the newest record, without an effect of its own: called again when others were quicker. What it
                raises ends the change.
            packages: That the new record names and the old one may not.

        Raises:
            ResourceConflictException: It is a local function; or others change it all the time.
        """
        if key in self._local:
            raise ResourceConflictException(
                f"{key.name} is served from files of this machine and cannot be changed: change the files"
            )
        return await self._change(key, edit, packages)

    # ── layers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def layer(self, key: Key) -> LayerRecord | None:
        """A layer as it is."""
        return cast("LayerRecord | None", await self._newest(key))

    async def layers(self, like: Key, *, most: int) -> list[LayerRecord]:
        """Those of the account and region whose names come after `like.name`, by name."""
        return [cast("LayerRecord", self._take(one)) for one in await self.ask(self._store.documents, like, most=most)]

    async def change_layer(
        self,
        key: Key,
        edit: Callable[[LayerRecord | None], LayerRecord | None],
        *,
        packages: Mapping[Digest, bytes] = NO_PACKAGES,
    ) -> LayerRecord | None:
        """As `change_function`."""
        return await self._change(key, edit, packages)

    # ── packages ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def usage(self, like: Key) -> Usage:
        """How many documents of the kind the account has, and their code storage."""
        return await self.ask(self._store.usage, like)

    async def usage_lately(self, like: Key) -> Usage:
        """As `usage`; of what this process changed at once, of what others did in a second."""
        found = self._usage.get(like)
        now = self._monotonic()
        if found is None or now - found[1] >= FRESH_SECONDS:
            found = self._usage[like] = (await self.usage(like), now)
        return found[0]

    async def package(self, digest: Digest) -> bytes | None:
        """The bytes of a zip."""
        return await self.ask(self._store.package, digest)

    async def drop_packages(self) -> frozenset[Digest]:
        """Removes the packages that nothing names any more; those that something names."""
        await self.ask(self._store.drop_packages)
        return await self.ask(self._store.named_packages)

    # ── reading and writing ─────────────────────────────────────────────────────────────────────────────────────────

    async def _newest(self, key: Key) -> Record | None:
        document = await self.ask(self._store.document, key)
        if document is None:
            self._known.pop(key, None)
            return None
        return self._take(document)

    def _take(self, document: Document) -> Record:
        known = self._known.get(document.key)
        if known is not None and known.tag == document.tag:
            known.checked_at = self._monotonic()
            return known.record
        record = record_of(document)
        self._known[document.key] = _Known(document.tag, record, self._monotonic())
        return record

    async def _change(
        self, key: Key, edit: Callable[[R | None], R | None], packages: Mapping[Digest, bytes]
    ) -> R | None:
        for _ in range(_ATTEMPTS_MAX):
            now = await self.ask(self._store.document, key)
            tag = None if now is None else now.tag
            before = None if now is None else cast("R", self._take(now))
            after = edit(before)
            if after is before:
                return after
            if after is not None:
                document = document_of(after)
                if await self.ask(self._store.write, document, instead_of=tag, packages=packages):
                    self._usage.clear()
                    self._known[key] = _Known(document.tag, after, self._monotonic())
                    return after
            elif tag is not None and await self.ask(self._store.remove, key, instead_of=tag):
                self._usage.clear()
                self._known.pop(key, None)
                return None
        raise ResourceConflictException(
            f"The operation cannot be performed at this time. {key.name} is being changed by others; try again."
        )
