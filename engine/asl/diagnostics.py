"""What is wrong with a definition: values in a list, never exceptions on the way.

A rule reports a finding at a *place*: the keys and indexes that lead to it, such as `("States", "A", "Retry", 0)`.
Lines and columns are looked up last, and only when there is a finding at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from engine.errors import ApiError

Place: TypeAlias = tuple[str | int, ...]
Severity: TypeAlias = Literal["ERROR", "WARNING"]

SCHEMA = "SCHEMA_VALIDATION_FAILED"
"""AWS's code for whatever one object of the definition alone can get wrong."""

LINT = "LINT"
"""The code of the warnings that are ours; `Diagnostic.rule` tells them apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One problem.

    Attributes:
        severity: An ERROR makes the definition unusable; a WARNING does not.
        code: AWS's code (asl.md 2.2), or `LINT`.
        message: AWS's text where it is known.
        location: AWS's path, `/States/X/Branches[0]/States/Y/Type`; None where AWS gives none. It may name the object
            around the problem.
        pointer: The problem itself as an RFC 6901 pointer; None when the text is no JSON.
        line: Of the first character of the key or value at fault, from 1; None when there was no text.
        column: From 1, in characters.
        end_line: Of the last character.
        end_column: One past the last character.
        rule: A name that does not change, such as `unsupported-field`.
        hint: What to do about it, when that is more than the message says.
    """

    severity: Severity
    code: str
    message: str
    location: str | None = None
    pointer: str | None = None
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None
    rule: str
    hint: str | None = None

    def __str__(self) -> str:
        """For a person: `3:17: ERROR Field 'X' is not supported (/States/A) [unsupported-field]`."""
        start = f"{self.line}:{self.column}: " if self.line is not None else ""
        # Of a text that is not JSON AWS's message and location repeat the text.
        message, more, _ = self.message.partition("\n")
        where = f" ({self.location})" if self.location is not None and not more else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{start}{self.severity} {message}{where}{hint} [{self.rule}]"


class Span(NamedTuple):
    """Where a key or a value stands in the text: lines and columns from 1, the end one past the last character."""

    line: int
    column: int
    end_line: int
    end_column: int


FindSpan: TypeAlias = Callable[[Place, bool], Span | None]
"""(place, whether its key is meant) -> where that is in the text; None when there is no text."""


class Finding(NamedTuple):
    """A problem before its line and column are known. `at` is the exact place, `place` what AWS names."""

    severity: Severity
    code: str
    message: str
    rule: str
    place: Place | None
    at: Place
    key: bool
    hint: str | None


class Report:
    """Collects findings in the order in which rules report them."""

    __slots__ = ("findings",)

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def error(
        self,
        rule: str,
        message: str,
        place: Place | None,
        *,
        code: str = SCHEMA,
        at: Place | None = None,
        key: bool = False,
        hint: str | None = None,
    ) -> None:
        """Adds an ERROR.

        Args:
            rule: The rule's own name.
            message: AWS's text.
            place: What AWS names; None: no location.
            code: AWS's code.
            at: The exact place, when AWS names only what is around it.
            key: The key at that place is at fault, not its value.
            hint: What to do.
        """
        self._add("ERROR", rule, message, place, code, at, key, hint)

    def warning(
        self,
        rule: str,
        message: str,
        place: Place,
        *,
        code: str = LINT,
        at: Place | None = None,
        key: bool = False,
        hint: str | None = None,
    ) -> None:
        """Adds a WARNING; arguments as of `error`."""
        self._add("WARNING", rule, message, place, code, at, key, hint)

    def _add(
        self,
        severity: Severity,
        rule: str,
        message: str,
        place: Place | None,
        code: str,
        at: Place | None,
        key: bool,
        hint: str | None,
    ) -> None:
        exact = at if at is not None else place or ()
        self.findings.append(Finding(severity, code, message, rule, place, exact, key, hint))

    @property
    def has_errors(self) -> bool:
        """Whether anything reported so far makes the definition unusable."""
        return any(finding.severity == "ERROR" for finding in self.findings)

    def diagnostics(self, find_span: FindSpan) -> tuple[Diagnostic, ...]:
        """All findings with their positions, errors first; a missing thing is shown at the nearest object around it."""
        by_severity = sorted(self.findings, key=lambda finding: finding.severity != "ERROR")
        return tuple(_located(finding, find_span) for finding in by_severity)


def _located(finding: Finding, find_span: FindSpan) -> Diagnostic:
    span = find_span(finding.at, finding.key)
    return Diagnostic(
        severity=finding.severity,
        code=finding.code,
        message=finding.message,
        location=None if finding.place is None else location_of(finding.place),
        pointer=pointer_of(finding.at),
        line=span.line if span else None,
        column=span.column if span else None,
        end_line=span.end_line if span else None,
        end_column=span.end_column if span else None,
        rule=finding.rule,
        hint=finding.hint,
    )


def location_of(place: Place) -> str:
    """AWS's spelling of a place: `/` for the root, `/States/A/Retry[0]`; names are not escaped (asl.md 2.1)."""
    return "".join(f"[{part}]" if isinstance(part, int) else f"/{part}" for part in place) or "/"


def pointer_of(place: Place) -> str:
    """A place as a JSON Pointer, RFC 6901."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place)


def invalid_definition_message(diagnostics: Iterable[Diagnostic]) -> str:
    """The message of AWS's `InvalidDefinition`, from CreateStateMachine, UpdateStateMachine and TestState (asl.md 2.1).

    Warnings are left out. A problem without a location is "at null" [R].
    """
    errors = [
        f"{diagnostic.code}: {diagnostic.message} at {diagnostic.location or 'null'}"
        for diagnostic in diagnostics
        if diagnostic.severity == "ERROR"
    ]
    return f"Invalid State Machine Definition: '{', '.join(errors)}'"


class InvalidDefinition(ApiError):
    """A definition cannot be used.

    Attributes:
        diagnostics: Everything that was found, warnings too.
        message: AWS's.
    """

    def __init__(self, diagnostics: tuple[Diagnostic, ...], message: str | None = None) -> None:
        super().__init__(invalid_definition_message(diagnostics) if message is None else message)
        self.diagnostics = diagnostics

    def __reduce__(self) -> tuple[type[InvalidDefinition], tuple[tuple[Diagnostic, ...], str]]:
        return type(self), (self.diagnostics, self.message)

    def __str__(self) -> str:
        errors = [diagnostic for diagnostic in self.diagnostics if diagnostic.severity == "ERROR"]
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        return "\n  ".join([f"the definition has {count}:", *map(str, errors)])
