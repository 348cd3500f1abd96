"""What an operation works with: the backend, the store's library, time, chance, and whose resources they are."""

from __future__ import annotations

import copy
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from engine import arns
from engine.operations.quotas import Quotas

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.arguments import Limits
    from engine.integrations.mock_config import MockConfig
    from engine.machines import Machines
    from engine.query.evaluation import Chance
    from engine.runtime.backend import Backend
    from engine.runtime.clock import Clock
    from engine.starts import Starts
    from engine.store.library import Library

P = ParamSpec("P")
T = TypeVar("T")


class Service:
    """Step Functions in one region, as one account sees it. Every operation takes one as its first argument.

    Operations take AWS's members as keyword arguments in snake_case; nested documents keep AWS's own member names. They
    answer with a dict: members in snake_case, times as aware datetimes, absent members left out. What AWS's service
    model says of a member (required, length, pattern, enum) was checked before; operations check everything else.

    Attributes:
        backend: Runs executions. It is entered and left by whoever made it.
        region: Of the ARNs that are made here.
        account_id: Likewise, and whose lists these are.
        limits: Of the executions that are started here.
        chance: Where ids and draws come from.
        starts: Drafts executions.
        machines: Compiled definitions.
        quotas: On what is created.
        has_log_group: Whether log records can go to the log group of an ARN; may wait, so it is called in a thread.
        mocks: What Tasks give in the executions of test cases; None: there are no test cases.
        pollers: How many poll for the Tasks of each activity, by ARN.
    """

    def __init__(
        self,
        backend: Backend[Any],
        *,
        region: str,
        account_id: str,
        limits: Limits,
        chance: Chance,
        starts: Starts,
        machines: Machines,
        mocks: MockConfig | None = None,
        has_log_group: Callable[[str], bool] | None = None,
    ) -> None:
        self.backend = backend
        self.region = region
        self.account_id = account_id
        self.limits = limits
        self.chance = chance
        self.starts = starts
        self.machines = machines
        self.quotas = Quotas()
        self.mocks = mocks
        self.has_log_group = has_log_group
        self.pollers: Counter[str] = Counter()

    def of(self, account_id: str) -> Self:
        """The same service, as another account sees it."""
        if account_id == self.account_id:
            return self
        other = copy.copy(self)
        other.account_id = account_id
        return other

    def within(self, quotas: Quotas) -> Self:
        """The same service, with these quotas."""
        other = copy.copy(self)
        other.quotas = quotas
        return other

    @property
    def role_arn(self) -> str:
        """Of a state machine that was deployed without a role."""
        return arns.default_role_arn(self.account_id)

    def machine_arn(self, named: str) -> str:
        """The ARN of a state machine that is given by name or ARN."""
        return named if named.startswith("arn:") else arns.state_machine_arn(self.region, self.account_id, named)

    @property
    def clock(self) -> Clock:
        """Where its time comes from."""
        return self.backend.clock

    def now(self) -> int:
        """The store's clock, in ms since the epoch."""
        return self.backend.clock.now()

    def new_uuid(self) -> uuid.UUID:
        """A UUID (version 4)."""
        return uuid.UUID(int=self.chance.getrandbits(128), version=4)

    @property
    def library(self) -> Library:
        """The store's definitions and executions. Its methods wait, so they are called by `ask`."""
        return self.backend.library

    async def ask(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls a method of the library without holding up the event loop: `await service.ask(library.revision, id)`.

        While the store cannot be reached the call is made again, so it must be one that may be made twice.

        Raises:
            StoreUnavailable: It could not be reached for half a minute.
        """
        return await self.backend.ask(function, *args, **kwargs)
