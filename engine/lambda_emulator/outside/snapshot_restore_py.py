"""The hooks of SnapStart, as the package of this name has them, for functions that do not bring it (lambda.md 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Function = TypeVar("_Function", bound="Callable[..., Any]")
_Hooks = list[tuple[Any, tuple[Any, ...], dict[str, Any]]]

_before_snapshot: _Hooks = []
_after_restore: _Hooks = []


def register_before_snapshot(function: _Function, *args: Any, **kwargs: Any) -> _Function:
    """Has the function called before the snapshot, the last one first. A decorator too."""
    _before_snapshot.append((function, args, kwargs))
    return function


def register_after_restore(function: _Function, *args: Any, **kwargs: Any) -> _Function:
    """Has the function called in each restored environment, the first one first. A decorator too."""
    _after_restore.append((function, args, kwargs))
    return function


def get_before_snapshot() -> _Hooks:
    """Those of `register_before_snapshot`, in the order of their registration."""
    return _before_snapshot


def get_after_restore() -> _Hooks:
    """Those of `register_after_restore`."""
    return _after_restore
