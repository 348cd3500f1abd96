"""The recorded conversations as data: which there are, what each needs, and the parameters of a step made ready."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from tests.shared_data import shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

ACCOUNT: Final = "123456789012"
SECOND_ACCOUNT: Final = "210987654321"

_EMULATOR_TEXT = re.compile(r"Error=\w+ Args=")
_REFERENCE = re.compile(r"@@([^@]+)@@")
_ROLE = re.compile(r"role\d*")


class Unanswered(Exception):
    """A step refers to something that no earlier answer held."""


@dataclass(frozen=True, slots=True)
class Case:
    """One recorded conversation.

    Attributes:
        file: Its path below `conformance/sfn`: what the score tables and the lists of known misses call it.
        data: The case as the data's README describes it.
    """

    file: str
    data: dict[str, Any]

    @property
    def area(self) -> str:
        """The folder it is in."""
        return self.file.partition("/")[0]

    @property
    def unmatched_paths(self) -> list[str]:
        """JSONPaths that the source project leaves out of its own comparison."""
        paths: list[str] = self.data.get("paths_the_source_project_does_not_match", [])
        return paths

    @property
    def paths_not_from_aws(self) -> list[str]:
        """Where the recorded text is not AWS's but an emulator's: `Error=ValueError Args=...`."""
        texts = [
            expectation["value"].get("message", "")
            for step in self.steps
            for expectation in step.get("expect", ())
            if isinstance(expectation["value"], dict)
        ]
        return ["$..Error.Message", "$..message"] if any(map(_EMULATOR_TEXT.match, texts)) else []

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The API calls, in order."""
        steps: list[dict[str, Any]] = self.data["steps"]
        return steps


def load_case(path: Path) -> Case:
    """Reads the file of one case."""
    return Case(f"{path.parent.name}/{path.name}", json.loads(path.read_text(encoding="utf-8")))


def all_cases() -> list[Case]:
    """Every case; skips the calling test when the data is not there."""
    return [load_case(path) for path in sorted(shared("conformance", "sfn").glob("*/*.json"))]


def references_in(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the parameters of these steps refer to."""
    return _REFERENCE.findall(json.dumps([step["params"] for step in steps]))


@dataclass(slots=True)
class Parameters:
    """Fills in what a case's parameters refer to.

    Attributes:
        answers: The answers so far, by step id.
        stand_in: What to take for a reference that no answer holds; without it that is `Unanswered`.
    """

    case: Case
    answers: dict[str, Any] = field(default_factory=dict)
    stand_in: Callable[[str], str] | None = None

    def of(self, value: Any) -> Any:
        """The value with its references resolved and its `@json`, `@text`, `@base64`, `@datetime` made."""
        if isinstance(value, list):
            return [self.of(member) for member in value]
        if isinstance(value, str):
            return self._filled(value)
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (kind, content) = next(iter(value.items()))
            if kind == "@json":
                return json.dumps(self.of(content))
            if kind == "@text":
                return self._filled(content).encode()
            if kind == "@base64":
                return base64.b64decode(content)
            if kind == "@datetime":
                return datetime.fromisoformat(content)
        return {self._filled(key): self.of(member) for key, member in value.items()}

    def are_answered(self, references: Iterable[str], step: str) -> bool:
        """Whether the answer to a step holds everything that these references want of it."""
        try:
            for reference in references:
                if reference.startswith(f"{step}."):
                    self._resolve(reference)
        except Unanswered:
            return False
        return True

    def _filled(self, text: str) -> Any:
        whole = _REFERENCE.fullmatch(text)
        if whole is not None:
            return self._resolve(whole[1])
        return _REFERENCE.sub(lambda found: str(self._resolve(found[1])), text)

    def _resolve(self, reference: str) -> Any:
        if reference == "account":
            return ACCOUNT
        if reference == "account2":
            return SECOND_ACCOUNT
        if _ROLE.fullmatch(reference):
            account = SECOND_ACCOUNT if self.case.data.get("roles", {}).get(reference) == "second" else ACCOUNT
            return f"arn:aws:iam::{account}:role/{reference}"
        if re.fullmatch(r"u\d+", reference):
            return f"{reference:x<8}"
        step, *path = reference.split(".")
        value: Any = self.answers.get(step)
        try:
            for key in path:
                value = json.loads(value) if key == "!" else value[int(key) if isinstance(value, list) else key]
        except (KeyError, IndexError, TypeError, ValueError):
            if self.stand_in is None:
                raise Unanswered(reference) from None
            return self.stand_in(reference)
        return value
