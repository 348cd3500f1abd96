"""Reads one JSON object of a definition field by field; what is off is reported in AWS's words, and reading goes on.

A reader returns None both for a field that is absent and for one that it reported: whoever builds the program looks at
the report before using it. Message forms are measured ones unless a comment says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.asl.diagnostics import Place, Report
    from engine.asl.field_tables import Mode
    from engine.asl.program import QueryLanguage
    from engine.jsonvalue import Json

_Word = TypeVar("_Word", bound=str)

_PYTHON_TYPES: Mapping[str, type] = {"String": str, "Boolean": bool, "Object": dict, "Array": list}


class Fields:
    """The fields of one object.

    Attributes:
        values: The object.
        place: Where it stands in the definition.
        field: Its name within its state as JSONata errors spell it (asl.md 8.5), such as `Catch[1]`; empty for a state.
        language: The query language that holds here.
        report: Where problems go.
        refused: Fields that may not be here: they were reported, and are read as absent.
    """

    __slots__ = ("field", "language", "place", "refused", "report", "values")

    def __init__(
        self, values: dict[str, Json], place: Place, report: Report, language: QueryLanguage, field: str = ""
    ) -> None:
        self.values = values
        self.place = place
        self.report = report
        self.language = language
        self.field = field
        self.refused: set[str] = set()

    def has(self, name: str) -> bool:
        """Whether a field is there and may be."""
        return name in self.values and name not in self.refused

    def get(self, name: str) -> Json:
        """A field's value; None also when it is absent or refused."""
        return self.values.get(name) if name not in self.refused else None

    def at(self, name: str) -> Place:
        """The place of a field."""
        return (*self.place, name)

    def field_name(self, name: str) -> str:
        """A field's name within its state: `Catch[1]/Output`."""
        return f"{self.field}/{name}" if self.field else name

    def check_names(self, allowed: Mapping[str, Mode]) -> None:
        """Reports fields that are not supported here, and those of the other query language."""
        language = self.language
        for name in self.values:
            mode = allowed.get(name)
            if mode is None:
                self.unsupported(name, hint=_suggestion(name, allowed))
            elif mode not in ("both", language):
                self.refused.add(name)
                self.report.error(
                    "field-of-other-query-language",
                    f"The QueryLanguage is set to '{language}', but field '{name}' is only supported "
                    f"for the '{mode}' QueryLanguage",
                    self.place,
                    at=self.at(name),
                    key=True,
                )

    def unsupported(self, name: str, *, hint: str | None = None) -> None:
        """Reports a field that may not be here."""
        message = f"Field '{name}' is not supported"
        self.refused.add(name)
        self.report.error("unsupported-field", message, self.place, at=self.at(name), key=True, hint=hint)

    def require(self, *names: str) -> bool:
        """Reports those of the names that are absent, in the order given; says whether all are there."""
        missing = [name for name in names if name not in self.values]
        if missing:
            self.report.error("required-field", f"These fields are required: [{', '.join(missing)}]", self.place)
        return not missing

    def at_most_one(self, *names: str) -> None:
        """Reports when more than one of the names is there; AWS lists all of them."""
        present = [name for name in names if name in self.values]
        if len(present) > 1:
            self.report.error(
                "only-one-of-fields",
                f"There should only be one of the following fields: [{', '.join(names)}]",
                self.place,
                at=self.at(present[1]),
                key=True,
            )

    def exactly_one(self, *names: str) -> None:
        """Reports when none or more than one of the names is there."""
        if any(name in self.values for name in names):
            self.at_most_one(*names)
            return
        self.report.error(
            "one-of-fields-required",
            f"This object should have only one of the following fields: [{', '.join(names)}]",
            self.place,
        )

    def expected(self, name: str, kind: str, *, index: int | None = None) -> None:
        """Reports a value (or an element of it) of the wrong type."""
        place = self.at(name) if index is None else (*self.at(name), index)
        self.report.error("wrong-type", f"Expected value of type {kind}", place)

    def _typed(self, name: str, kind: Literal["String", "Boolean", "Object", "Array"]) -> Json:
        if not self.has(name):
            return None
        value = self.values[name]
        if not isinstance(value, _PYTHON_TYPES[kind]):
            self.expected(name, kind)
            return None
        return value

    def string(self, name: str) -> str | None:
        """A string."""
        value = self._typed(name, "String")
        return value if isinstance(value, str) else None

    def boolean(self, name: str) -> bool | None:
        """A boolean."""
        value = self._typed(name, "Boolean")
        return value if isinstance(value, bool) else None

    def comment(self) -> str | None:
        """The `Comment` that nearly every object may have."""
        return self.string("Comment")

    def integer(self, name: str, *, minimum: int, maximum: int | None = None) -> int | None:
        """A whole number written as one: 1.0 is refused."""
        if not self.has(name):
            return None
        value = self.values[name]
        if isinstance(value, bool) or not isinstance(value, int):
            self.expected(name, "Integer")
            return None
        return value if self._in_range(name, value, minimum, maximum) else None

    def number(self, name: str, *, minimum: float, maximum: float | None = None) -> float | None:
        """Any number."""
        if not self.has(name):
            return None
        value = self.values[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.expected(name, "Number")
            return None
        return value if self._in_range(name, value, minimum, maximum) else None

    def _in_range(self, name: str, value: float, minimum: float, maximum: float | None) -> bool:
        if value < minimum:
            self.report.error("out-of-range", f"Minimum value is {minimum}", self.at(name))
            return False
        if maximum is not None and value > maximum:
            self.report.error("out-of-range", f"Maximum value is {maximum}", self.at(name))
            return False
        return True

    def one_of(self, name: str, words: Sequence[_Word]) -> _Word | None:
        """One of the words."""
        value = self.string(name)
        if value is None:
            return None
        for word in words:
            if value == word:
                return word
        message = f"Value should be one of the following: [{', '.join(words)}]"
        self.report.error("not-one-of-values", message, self.at(name))
        return None

    def object(self, name: str) -> Fields | None:
        """An object, to be read in turn."""
        value = self._typed(name, "Object")
        if not isinstance(value, dict):
            return None
        return Fields(value, self.at(name), self.report, self.language, self.field_name(name))

    def array(self, name: str, *, empty: bool) -> list[Json] | None:
        """An array; `empty` says whether it may be."""
        value = self._typed(name, "Array")
        if not isinstance(value, list):
            return None
        if not value and not empty:
            self.report.error("empty", "Value cannot be empty", self.at(name))
            return None
        return value

    def objects(self, name: str, *, empty: bool) -> list[Fields]:
        """An array of objects, to be read in turn; elements that are none are reported and left out."""
        found = []
        for index, value in enumerate(self.array(name, empty=empty) or ()):
            if isinstance(value, dict):
                place = (*self.at(name), index)
                field = f"{self.field_name(name)}[{index}]"
                found.append(Fields(value, place, self.report, self.language, field))
            else:
                self.expected(name, "Object", index=index)
        return found

    def strings(self, name: str, *, empty: bool) -> list[str] | None:
        """An array of strings; None when an element is none."""
        values = self.array(name, empty=empty)
        if values is None:
            return None
        found = [value for value in values if isinstance(value, str)]
        for index, value in enumerate(values):
            if not isinstance(value, str):
                self.expected(name, "String", index=index)
        return found if len(found) == len(values) else None


def _suggestion(name: str, allowed: Mapping[str, Mode]) -> str | None:
    from difflib import get_close_matches

    close = get_close_matches(name.lower(), [field.lower() for field in allowed], n=1, cutoff=0.8)
    for field in allowed:
        if close and field.lower() == close[0]:
            return f"did you mean '{field}'?"
    return None
