"""`Engine` is put together of parts, each about one kind of thing; what all of them use of it."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.operations.service import Service
    from engine.runtime.backend import Backend


class Part:
    """A part of `Engine`."""

    @property
    @abstractmethod
    def _own(self) -> Backend[Any]:
        """The backend, for the process that made it. Raises UsedAfterFork."""

    @property
    @abstractmethod
    def service(self) -> Service:
        """What `engine.operations` work with: the actions of the Step Functions API, on this engine's executions."""
