"""What every store promises to a fleet of workers. A backend's test module gives a `store` fixture and subclasses
`DurableSuite`.
"""

from __future__ import annotations

from tests.store.claims_suite import ClaimsSuite
from tests.store.groups_suite import GroupsSuite
from tests.store.hints_suite import HintsSuite
from tests.store.library_suite import LibrarySuite
from tests.store.starts_suite import StartsSuite
from tests.store.tokens_suite import TokensSuite
from tests.store.workers_suite import WorkersSuite


class DurableSuite(GroupsSuite, ClaimsSuite, WorkersSuite, StartsSuite, TokensSuite, LibrarySuite, HintsSuite):
    """The promises."""
