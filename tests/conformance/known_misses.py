"""Differences that are known, each with its reason. A miss that is gone must leave the list."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from tests.conformance.compare import outside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conformance.cases import Case
    from tests.conformance.compare import Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """One known miss.

    Attributes:
        case: A case's file; may be a glob.
        paths: JSONPaths that hold every difference.
        reason: Why it is so, and stays so.
        varies: It depends on how long things take, and may be met by chance.
        by: Who differs from AWS: `engine`, or `moto`, which stands for other services.
    """

    case: str
    paths: tuple[str, ...]
    reason: str
    varies: bool = False
    by: str = "engine"


Misses: TypeAlias = tuple[Miss, ...]


def load_misses(name: str) -> Misses:
    """The list in a TOML file beside this module."""
    with Path(__file__).with_name(name).open("rb") as file:
        entries = tomllib.load(file).get("miss", [])
    return tuple(Miss(**{**entry, "paths": tuple(entry["paths"])}) for entry in entries)


def misses_of(case: Case, misses: Misses) -> Misses:
    """The entries that are about a case."""
    return tuple(miss for miss in misses if fnmatchcase(case.file, miss.case))


def unlisted(case: Case, differences: Sequence[Difference], misses: Misses) -> list[Difference]:
    """The differences that no entry explains."""
    return outside(differences, [path for miss in misses_of(case, misses) for path in miss.paths])


def complaints(case: Case, differences: Sequence[Difference], misses: Misses) -> list[str]:
    """What is wrong with the list for this case: differences that are not in it, and entries that are fixed."""
    listed = [path for miss in misses_of(case, misses) for path in miss.paths if not miss.varies]
    new = [f"{case.file}: {difference}" for difference in unlisted(case, differences, misses)]
    fixed = [path for path in listed if len(outside(differences, [path])) == len(differences)]
    return new + [f"{case.file}: {path} is no longer missed; take it off the list" for path in fixed]
