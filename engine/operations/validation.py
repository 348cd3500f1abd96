"""ValidateStateMachineDefinition (api.md 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.asl.diagnostics import LINT
from engine.asl.parser import parse

if TYPE_CHECKING:
    from engine.asl.diagnostics import Diagnostic, Severity
    from engine.operations.service import Service
    from engine.store.protocol import MachineType

DIAGNOSTICS_MAX = 100
"""As many are shown when `maxResults` is absent or 0."""


async def validate_state_machine_definition(
    service: Service,
    *,
    definition: str,
    type: MachineType = "STANDARD",
    severity: Severity = "ERROR",
    max_results: int | None = None,
) -> dict[str, Any]:
    """What is wrong with a definition, as CreateStateMachine would find it; `WARNING` adds what is only doubtful.

    AWS's warnings only: those that `asl validate` adds have no code of AWS's.
    """
    del service  # nothing is looked up
    found = [one for one in parse(definition, type=type).diagnostics if one.code != LINT]
    errors = [one for one in found if one.severity == "ERROR"]
    asked = found if severity == "WARNING" else errors
    shown = asked[: max_results or DIAGNOSTICS_MAX]
    return {
        "result": "FAIL" if errors else "OK",
        "diagnostics": [_shown(diagnostic) for diagnostic in shown],
        "truncated": len(shown) < len(asked),
    }


def _shown(diagnostic: Diagnostic) -> dict[str, str]:
    answer = {"severity": diagnostic.severity, "code": diagnostic.code, "message": diagnostic.message}
    if diagnostic.location is not None:
        answer["location"] = diagnostic.location
    return answer
