"""Credentials for calls to AWS: botocore finds them, in threads; a role is assumed once, and anew before its time ends.

Each profile's and each role's credentials are looked up by one caller at a time, whatever the number of Tasks that wait
for them: those get what it got, a failure too. So nobody waits for another role's STS, and a role that may not be
assumed is not asked for a thousand times at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    from engine.integrations.threads import Threads

T = TypeVar("T")

_KNOWN_MAX = 1_000
"""Roles may come from data."""

_LOOKUPS_AT_ONCE = 8

_END_SECONDS = 10 * 60
"""Keys that end sooner are renewed before anything is called with them; botocore begins some minutes earlier."""

_AGAIN_SECONDS = 60.0
"""Between two tries to renew keys that are good for longer: an STS that does not answer holds up few calls."""

_STS_CONNECT_SECONDS, _STS_READ_SECONDS, _STS_ATTEMPTS = 5, 15, 2
_SESSION_NAME = "asl-engine"


class NoAnswer(Exception):
    """A call brought no answer: it could not be signed or sent, or the connection was lost. The text says why."""


class Identity(NamedTuple):
    """Whose credentials.

    Attributes:
        profile: Of the configuration files.
        role_arns: Roles that are assumed, each with the credentials of the one before.
        region: Of the STS that is asked for them.
        sts_url: Where it is, if not where AWS's configuration says.
        is_local: For an emulator on this machine: it takes any credentials, so there need be none.
    """

    profile: str | None = None
    role_arns: tuple[str, ...] = ()
    region: str = ""
    sts_url: str | None = None
    is_local: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class _Known:
    """Botocore's credentials, the keys they had last, and when they were asked for those. It does not show them."""

    source: Any
    frozen: Any
    asked_at: float


class _Flight(Generic[T]):
    """Work that several wait for. `value` or `error` once it is done; neither: who did it was cancelled."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.value: tuple[T] | None = None
        self.error: NoAnswer | None = None


class Flights:
    """Does work for each key once at a time: whoever asks meanwhile gets what comes of it."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight[Any]] = {}

    async def once(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` gives, if nobody does it for this key now; else what it gives them. Raises NoAnswer."""
        while (under_way := self._flights.get(key)) is not None:
            await under_way.done.wait()
            if under_way.error is not None:
                raise NoAnswer(str(under_way.error)) from under_way.error
            if under_way.value is not None:
                found: T = under_way.value[0]
                return found
        flight = self._flights[key] = _Flight[T]()
        try:
            value = await work()
            flight.value = (value,)
        except NoAnswer as error:
            flight.error = error
            raise
        finally:
            del self._flights[key]
            flight.done.set()
        return value


class Credentials:
    """The credentials of one engine. To be used in one event loop."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._lookups = anyio.CapacityLimiter(_LOOKUPS_AT_ONCE)
        self._flights = Flights()
        self._known: dict[Identity, _Known] = {}

    async def of(self, identity: Identity) -> Any:
        """Botocore's ReadOnlyCredentials, as they are now; they end some minutes from now at the earliest.

        Raises:
            NoAnswer: There is no such profile, there are no credentials, or a role cannot be assumed.
        """
        known = self._known.get(identity)
        if known is not None:
            if not _is_stale(known.source):
                return known.source.get_frozen_credentials()
            is_asked = anyio.current_time() < known.asked_at + _AGAIN_SECONDS
            if is_asked and not _is_stale(known.source, _END_SECONDS):
                return known.frozen
        return await self._flights.once(identity, lambda: self._renewed(identity))

    async def _renewed(self, identity: Identity) -> Any:
        async with self._lookups:
            known = self._known.get(identity)
            source = None if known is None else known.source
            if source is None:
                earlier = self._known.get(identity._replace(role_arns=identity.role_arns[:-1]))
                source = await self._threads.run(_found, identity, None if earlier is None else earlier.source)
            frozen = await self._threads.run(_frozen, source)
        self._known[identity] = _Known(source, frozen, anyio.current_time())
        while len(self._known) > _KNOWN_MAX:
            del self._known[next(iter(self._known))]
        return frozen


def _is_stale(source: Any, seconds: int | None = None) -> bool:
    """Whether they end soon (within `seconds`), or were never looked up: botocore then asks elsewhere."""
    needs = getattr(source, "refresh_needed", None)
    return needs is not None and bool(needs(seconds))


def _frozen(source: Any) -> Any:
    """In a thread. Raises NoAnswer."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return source.get_frozen_credentials()
    except (BotoCoreError, ClientError, OSError, RuntimeError, ValueError) as error:  # RuntimeError: it has expired
        raise NoAnswer(str(error)) from error


def credentials_of(identity: Identity) -> Any:
    """Botocore's credentials, which renew themselves, for a client of boto3's; blocks. Raises NoAnswer."""
    return _found(identity)


def _found(identity: Identity, earlier: Any = None) -> Any:
    """Botocore's credentials, which renew themselves; in a thread, for it may ask the instance it runs on.

    `earlier`: those of all roles but the last, if they are known. Raises NoAnswer.
    """
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    try:
        session = Session(profile=identity.profile)
        if not identity.role_arns:
            return _of_profile(session, is_local=identity.is_local)
        *before, role_arn = identity.role_arns
        source = earlier or _found(identity._replace(role_arns=tuple(before)))
        fetcher = AssumeRoleCredentialFetcher(
            _sts_of(session, identity), source, role_arn, extra_args={"RoleSessionName": _SESSION_NAME}
        )
        return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
    except (BotoCoreError, OSError, ValueError) as error:
        raise NoAnswer(str(error)) from error


def _of_profile(session: Any, *, is_local: bool) -> Any:
    from botocore.credentials import Credentials as Fixed

    if is_local:
        # Else it asks for the metadata of an instance that this machine is not, and waits for it.
        session.get_component("credential_provider").remove("iam-role")
    found = session.get_credentials()
    if found is None:
        if not is_local:
            raise NoAnswer("Unable to load AWS credentials from any provider in the chain")
        found = Fixed("local", "local")
    return found


def _sts_of(session: Any, identity: Identity) -> Callable[..., Any]:
    """Makes clients of STS. It waits less, and tries less often, than botocore would: a Task waits for it."""
    from botocore.config import Config

    config = Config(
        connect_timeout=_STS_CONNECT_SECONDS,
        read_timeout=_STS_READ_SECONDS,
        retries={"total_max_attempts": _STS_ATTEMPTS},
    )

    def sts(service: str, **given: Any) -> Any:
        return session.create_client(
            service, region_name=identity.region, endpoint_url=identity.sts_url, config=config, **given
        )

    return sts
