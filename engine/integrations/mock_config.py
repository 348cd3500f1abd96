"""`MockConfigFile.json` of Step Functions Local: what Tasks give in each test case of a state machine.

    {"StateMachines": {"Orders": {"TestCases": {"HappyPath": {"Charge Card": "Charged"}}}},
     "MockedResponses": {"Charged": {"0": {"Throw": {"Error": "Busy", "Cause": "later"}},
                                     "1-2": {"Return": {"receipt": 7}}}}}

An execution of a test case is started with `#HappyPath` behind the ARN. The numbers are attempts of a state: 0 is the
first one, 1 the first retry; each time a state is entered anew they begin at 0. A state that the test case does not
name is done as ever.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from engine.errors import StatesError
from engine.integrations.mock import Fixed
from engine.integrations.request import Answer, UnsupportedTask
from engine.jsonvalue import InvalidJson, decode, encode

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from engine.asl.diagnostics import Place
    from engine.asl.source import Source
    from engine.jsonvalue import Json

MockConfigLike: TypeAlias = "os.PathLike[str] | str | Mapping[str, Json]"
"""The path of a file, or what it holds."""

_ATTEMPTS = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?")
_KNOWN = ("StateMachines", "MockedResponses")

_Outcome: TypeAlias = "Answer | StatesError"
_Responses: TypeAlias = "tuple[tuple[int, int, _Outcome], ...]"
"""(first attempt, last attempt, what they give), in order and without a gap."""


class InvalidMockConfig(ValueError):
    """A mock configuration that cannot be read or means nothing; the text names file, line and member."""


class UnknownTestCase(LookupError):
    """No such test case; the text names those that there are."""


class MockConfig:
    """The test cases of state machines. A test case is known by `key`: the machine's name, `#` and its own."""

    def __init__(self, cases: Mapping[str, Mapping[str, tuple[str, _Responses]]]) -> None:
        """`cases`: by key and state, the name of the mocked responses and themselves."""
        self._cases = cases

    def key(self, machine_name: str, test_case: str) -> str:
        """What a test case of a state machine is known by. Raises UnknownTestCase."""
        key = f"{machine_name}#{test_case}"
        if key not in self._cases:
            there = ", ".join(sorted(self._cases)) or "none"
            raise UnknownTestCase(f"the mock configuration has no test case {key}; it has {there}")
        return key

    def machines(self, test_case: str) -> Collection[str]:
        """Names of the state machines that have a test case of this name."""
        return [machine for machine, _, case in (key.rpartition("#") for key in self._cases) if case == test_case]

    def knows(self, key: str) -> bool:
        """Whether there is such a test case: a start elsewhere may have named it by another file."""
        return key in self._cases

    def states(self, key: str) -> Collection[str]:
        """States whose responses a test case has."""
        return self._cases.get(key, {})

    def find(self, key: str, state: str, attempt: int) -> Fixed | None:
        """What does an attempt of a state in a test case; None: the test case does not say, so whoever does it else."""
        named = self._cases.get(key, {}).get(state)
        if named is None:
            return None
        name, responses = named
        for first, last, outcome in responses:
            if first <= attempt <= last:
                return Fixed(name, outcome)
        return Fixed(
            name,
            UnsupportedTask(
                f"test case {key}: the mocked response {name!r} of state {state!r} ends with attempt "
                f"{responses[-1][1]}, and this is attempt {attempt}"
            ),
        )


def read_mock_config(given: MockConfigLike) -> MockConfig:
    """The test cases of a file, or of what one would hold.

    Raises:
        InvalidMockConfig: It cannot be read, or a member means nothing.
    """
    from engine.asl.source import InvalidSource, read_source

    name, text = "mock_config", given
    if isinstance(given, str | os.PathLike):
        name = os.fspath(given)
        try:
            text = Path(given).read_text(encoding="utf-8-sig")
            document = decode(text)
        except OSError as error:
            raise InvalidMockConfig(f"{name}: {error.strerror or error}") from error
        except InvalidJson as error:
            raise InvalidMockConfig(f"{name}:{error.line}:{error.column}: {error.reason}") from error
        except UnicodeDecodeError as error:
            raise InvalidMockConfig(f"{name}: expected UTF-8: {error.reason}") from error
        if not isinstance(document, dict):
            raise InvalidMockConfig(f"{name}: expected an object with {' and '.join(_KNOWN)}")
    try:
        return _Reader(name, read_source(text)).config()
    except InvalidSource as error:
        raise InvalidMockConfig(f"{name}: {error.diagnostic.message}") from error


class _Reader:
    def __init__(self, name: str, source: Source) -> None:
        self._name = name
        self._source = source

    def config(self) -> MockConfig:
        if self._source.repeated:
            raise self._wrong(self._source.repeated[0], "this name is there twice")
        document = self._source.value
        for member in document:
            if member not in _KNOWN:
                raise self._wrong((member,), f"expected only {' and '.join(_KNOWN)}")
        given = self._object(document.get("MockedResponses", {}), ("MockedResponses",))
        responses = {name: self._responses(one, ("MockedResponses", name)) for name, one in given.items()}
        cases: dict[str, dict[str, tuple[str, _Responses]]] = {}
        for machine, about in self._object(document.get("StateMachines", {}), ("StateMachines",)).items():
            place = ("StateMachines", machine)
            about = self._object(about, place)
            for member in about:
                if member != "TestCases":
                    raise self._wrong((*place, member), "expected only TestCases")
            for case, states in self._object(about.get("TestCases", {}), (*place, "TestCases")).items():
                at = (*place, "TestCases", case)
                cases[f"{machine}#{case}"] = {
                    state: self._named(name, responses, (*at, state))
                    for state, name in self._object(states, at).items()
                }
        return MockConfig(cases)

    def _named(self, name: Json, responses: Mapping[str, _Responses], place: Place) -> tuple[str, _Responses]:
        if not isinstance(name, str) or name not in responses:
            raise self._wrong(place, f"expected the name of a member of MockedResponses, got {name!r}")
        return name, responses[name]

    def _responses(self, given: Json, place: Place) -> _Responses:
        found: list[tuple[int, int, _Outcome]] = []
        for attempts, response in self._object(given, place).items():
            at = (*place, attempts)
            match = _ATTEMPTS.fullmatch(attempts)
            if match is None:
                raise self._wrong(at, 'expected a number of an attempt such as "0", or several such as "1-2"')
            first, last = int(match[1]), int(match[2] or match[1])
            if last < first:
                raise self._wrong(at, f"{last} is before {first}")
            found.append((first, last, self._outcome(response, at)))
        found.sort(key=lambda one: one[0])
        following = 0
        for first, last, _ in found:
            if first != following:
                raise self._wrong(place, f"expected each attempt from 0 on once, got {first} where {following} was due")
            following = last + 1
        if not found:
            raise self._wrong(place, 'expected a response for attempt "0" at least')
        return tuple(found)

    def _outcome(self, given: Json, place: Place) -> _Outcome:
        response = self._object(given, place)
        if list(response) == ["Return"]:
            return Answer(response["Return"], len(encode(response["Return"])))
        if list(response) != ["Throw"]:
            raise self._wrong(place, f"expected either Return or Throw, got {', '.join(response) or 'nothing'}")
        at = (*place, "Throw")
        thrown = self._object(response["Throw"], at)
        for member, text in thrown.items():
            if member not in ("Error", "Cause") or not isinstance(text, str):
                raise self._wrong((*at, member), "expected Error and Cause, both texts")
        if "Error" not in thrown:
            raise self._wrong(at, "Error is missing")
        return StatesError(str(thrown["Error"]), None if "Cause" not in thrown else str(thrown["Cause"]))

    def _object(self, given: Json, place: Place) -> dict[str, Json]:
        if not isinstance(given, dict):
            raise self._wrong(place, f"expected an object, got {encode(given).decode()[:50]}")
        return given

    def _wrong(self, place: Place, reason: str) -> InvalidMockConfig:
        span = self._source.find_span(place, True)
        at = "" if span is None else f":{span.line}:{span.column}"
        return InvalidMockConfig(f"{self._name}{at}: {'.'.join(map(str, place))}: {reason}")
