"""What every store promises about functions, layers and packages. A test module gives a `store` fixture and subclasses
`FunctionStoreSuite`.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import replace
from typing import Any

from engine.lambda_emulator.deployment_packages import digest_of
from engine.lambda_emulator.store import Document, FunctionStore, Key, Usage
from tests.waiting import DEADLINE_SECONDS

KEY = Key(kind="function", account_id="000000000000", region="eu-central-1", name="f")
ZIP = b"\x00\xff zip"
DIGEST = digest_of(ZIP)


def document(name: str = "f", **fields: Any) -> Document:
    key = replace(KEY, **{field: fields.pop(field) for field in ("kind", "account_id", "region") if field in fields})
    return Document(**({"key": replace(key, name=name), "tag": uuid.uuid4().hex, "text": "{}"} | fields))


class FunctionStoreSuite:
    """Test classes of a store inherit this."""

    def put(self, store: FunctionStore, *documents: Document) -> None:
        for one in documents:
            assert store.write(one, instead_of=None, packages={})

    # ── documents ───────────────────────────────────────────────────────────────────────────────────────────────────

    def test_a_document_is_read_as_it_was_written(self, store: FunctionStore):
        written = document(
            text='{"a": "ä\\u0000"}',
            packages=frozenset({DIGEST}),
            code_bytes=1 << 40,
            handles=frozenset({"u", "v"}),
            reserved=7,
        )
        assert store.write(written, instead_of=None, packages={DIGEST: ZIP})
        assert store.document(KEY) == written
        assert store.tag(KEY) == written.tag
        assert store.package(DIGEST) == ZIP

    def test_what_is_not_there_is_none(self, store: FunctionStore):
        assert store.document(KEY) is store.tag(KEY) is store.package(DIGEST) is store.named_by("u") is None
        assert store.documents(KEY, most=5) == []
        assert store.usage(KEY) == Usage()
        assert not store.remove(KEY, instead_of="x")

    def test_a_write_names_the_state_that_it_follows(self, store: FunctionStore):
        first, second, third = document(), document(text="2"), document(text="3")
        self.put(store, first)
        assert not store.write(second, instead_of=None, packages={})
        assert not store.write(second, instead_of=second.tag, packages={})
        assert store.document(KEY) == first
        assert store.write(second, instead_of=first.tag, packages={})
        assert not store.write(third, instead_of=first.tag, packages={})
        assert store.document(KEY) == second

    def test_nothing_of_a_write_that_comes_too_late_is_kept(self, store: FunctionStore):
        self.put(store, document())
        late = document(packages=frozenset({DIGEST}))
        assert not store.write(late, instead_of="other", packages={DIGEST: ZIP})
        assert store.package(DIGEST) is None

    def test_a_removal_names_the_state_that_it_ends(self, store: FunctionStore):
        first = document()
        self.put(store, first)
        assert not store.remove(KEY, instead_of="other")
        assert store.remove(KEY, instead_of=first.tag)
        assert store.document(KEY) is None
        self.put(store, first)

    def test_of_many_writes_at_once_one_is_done(self, store: FunctionStore):
        first = document()
        self.put(store, first)
        done: list[bool] = []
        begin = threading.Barrier(6)

        def write() -> None:
            begin.wait()
            done.append(store.write(document(), instead_of=first.tag, packages={DIGEST: ZIP}))

        threads = [threading.Thread(target=write) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE_SECONDS)
        assert sorted(done) == [False] * 5 + [True]

    # ── lists ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_documents_are_listed_by_code_points_within_account_region_and_kind(self, store: FunctionStore):
        names = ["B", "a", "a-b", "a1", "a_b", "b"]
        self.put(store, *(document(name) for name in reversed(names)))
        self.put(store, document(kind="layer"), document(account_id="1"), document(region="x"))
        like = replace(KEY, name="")
        assert [one.key.name for one in store.documents(like, most=10)] == names
        assert [one.key.name for one in store.documents(replace(KEY, name="a-b"), most=2)] == ["a1", "a_b"]

    def test_all_keys_of_a_kind_are_told_whoevers_they_are(self, store: FunctionStore):
        some = [document(), document("g"), document(account_id="1"), document(region="x")]
        self.put(store, *some, document(kind="layer"))
        assert store.keys("function") == {one.key for one in some}

    def test_a_handle_finds_its_function(self, store: FunctionStore):
        one, other = document(handles=frozenset({"u", "v"})), document("g", handles=frozenset({"w"}))
        self.put(store, one, other)
        assert store.named_by("v") == one
        assert store.write(document(), instead_of=one.tag, packages={})
        assert store.named_by("v") is None
        assert store.named_by("w") == other

    def test_what_functions_use_is_added_up_for_each_account_region_and_kind(self, store: FunctionStore):
        self.put(store, document(code_bytes=1 << 40, reserved=3), document("g", code_bytes=5, reserved=4))
        self.put(store, document(kind="layer", code_bytes=7), document(account_id="1", code_bytes=9, reserved=9))
        assert store.usage(KEY) == Usage(count=2, code_bytes=(1 << 40) + 5, reserved=7)
        assert store.usage(replace(KEY, kind="layer")) == Usage(count=1, code_bytes=7)

    # ── packages ────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_a_package_that_is_named_stays(self, store: FunctionStore):
        first = document(packages=frozenset({DIGEST}))
        assert store.write(first, instead_of=None, packages={DIGEST: ZIP})
        other = document("g", packages=frozenset({DIGEST}))
        assert store.write(other, instead_of=None, packages={DIGEST: ZIP})
        assert store.named_packages() == {DIGEST}
        assert store.remove(KEY, instead_of=first.tag)
        self.let_time_pass(store)
        assert store.drop_packages() == 0
        assert store.package(DIGEST) == ZIP
        assert store.remove(other.key, instead_of=other.tag)
        self.let_time_pass(store)
        assert store.drop_packages() == 1
        assert store.package(DIGEST) is None
        assert store.named_packages() == frozenset()

    def let_time_pass(self, store: FunctionStore) -> None:
        """For stores that keep packages for a while."""
